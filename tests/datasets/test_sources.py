import stat

import numpy as np
import pandas as pd
import pytest
from methods import made_up

from truemap.data.sources import COLUMNS, named, pseudonymise, public_names, read, write
from truemap.datasets._images import Images
from truemap.runtime.files import DataError, SourceError
from truemap.runtime.privacy import Scrubber, pseudonyms

SALT = "salt"


@pytest.fixture
def samples():
    return pd.DataFrame(
        [
            {
                "image": f"/hcp/{subject}//{label}-{condition}.nii",
                "subject": subject,
                "label": label,
                "condition": condition,
                "negated": False,
                "split": "train",
                "checksum": f"sum of {subject} {label}",
            }
            for subject in ("100307", "100408")
            for label in "AB"
            for condition in ("x", "y")
        ]
    )


def names_of(samples):
    return pseudonyms(SALT, named(samples))


def test_without_pseudonyms_samples_stay_and_images_are_their_own_paths(samples, tmp_path):
    public, images = pseudonymise(samples, None)
    pd.testing.assert_frame_equal(public, samples.drop(columns="checksum"))
    write(tmp_path / "images.tsv", images)
    images = read(tmp_path / "images.tsv")
    assert images["image"].tolist() == images["path"].tolist() == sorted(samples["image"])
    assert public_names(images) == {}


def test_with_pseudonyms_only_the_private_table_names_subjects_and_files(samples, tmp_path):
    public, images = pseudonymise(samples, names_of(samples))
    text = public.to_csv()
    assert "100307" not in text and "100408" not in text and "/hcp" not in text
    name = names_of(samples)["100408"]
    assert public["subject"].tolist()[-1] == name
    assert public["image"].tolist()[-1] == f"{name}/B/y"
    unchanged = ["label", "condition", "negated", "split"]
    pd.testing.assert_frame_equal(public[unchanged], samples[unchanged])
    path = tmp_path / "images.tsv"
    write(path, images.sample(frac=1, random_state=0))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = read(path)
    assert tuple(again.columns) == COLUMNS
    paths = again.set_index("image")["path"]
    assert paths[public["image"]].tolist() == samples["image"].tolist()
    assert again.set_index("image")["subject"][public["image"]].tolist() == samples["subject"].tolist()


def test_where_there_are_no_subjects_there_are_none_afterwards(samples):
    samples = samples.assign(subject="")
    public, images = pseudonymise(samples, names_of(samples))
    assert set(public["subject"]) == {""}
    assert public["image"].is_unique
    assert not public["image"].str.contains("100307").any()
    assert set(public_names(images).values()) == set(public["image"])


def test_labels_that_give_two_images_one_name_are_refused(samples):
    samples.loc[1, ["label", "condition"]] = "A/x", "z"
    samples.loc[2, ["label", "condition"]] = "A", "x/z"
    with pytest.raises(DataError, match="Use no '/' in labels"):
        pseudonymise(samples, names_of(samples))


def test_messages_name_images_as_samples_do(samples):
    public, images = pseudonymise(samples, names_of(samples))
    scrub, asked = Scrubber(), []

    def source_read(image, options, seed):
        if "100408" in image:
            # As pathlib writes it: one slash.
            raise DataError(f"{image.replace('//', '/')}: truncated. Fetch 100408 again.")
        asked.append((image, options, seed))
        return np.zeros(1), np.eye(4), "sum of 100307 A"

    scrub.learn(public_names(images))
    maps = Images(images, made_up("datasets", "options", read=source_read), 7, scrub)
    assert maps(public["image"][0])[2] == "sum of 100307 A"
    assert asked == [(samples["image"][0], "options", 7)]
    with pytest.raises(SourceError, match="changed after the samples were listed") as changed:
        maps(public["image"][2])  # of class B, and the source reads the bytes of A
    assert "100307" not in str(changed.value)
    with pytest.raises(DataError) as caught:
        maps(public["image"][4])
    assert str(caught.value) == f"{public['image'][4]}: truncated. Fetch {public['subject'][4]} again."
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_source_that_fetches_is_asked_to_first_by_its_own_names(samples):
    public, images = pseudonymise(samples, names_of(samples))
    scrub, asked = Scrubber(), []

    def prepare(images, options, seed):
        asked.append((images, options, seed))
        if len(images) > 2:
            raise DataError("http://100307: no answer")

    scrub.learn(public_names(images))
    maps = Images(images, made_up("datasets", "options", prepare=prepare), 7, scrub)
    wanted = public["image"].tolist()
    assert maps.prepare(wanted[:2]) == wanted[:2]
    assert asked == [(samples["image"].tolist()[:2], "options", 7)]
    with pytest.raises(DataError, match=f"http://{public['subject'][0]}: no answer"):
        maps.prepare(wanted)
    assert Images(images, made_up("datasets"), 0, scrub).prepare(wanted) == wanted
