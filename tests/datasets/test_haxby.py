import gzip
import hashlib
import io
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from methods import as_method
from redirected import Server
from scipy.signal import detrend

from truemap.config.registry import options_of
from truemap.data.reading import usable
from truemap.data.shared_grid import find_grid
from truemap.datasets import _fetch as http
from truemap.datasets import haxby
from truemap.datasets._listing import list_samples, write_listing
from truemap.datasets.haxby import CATEGORIES, REST, Options, block_maps, files, index, prepare, read, subjects_of
from truemap.runtime.files import DataError, IncompleteSubjects, SourceError
from truemap.runtime.privacy import Scrubber

SHAPE, RUNS = (14, 16, 12), 5
BASE = "data.pymvpa.org/datasets/haxby2001/"
ARCHIVE = f"{BASE}subj2-2010.01.14.tar.gz"
AFFINE = np.diag([-3.5, 3.75, 3.75, 1.0])
#: Order of a run's volumes: rest, and two of each category, as labels.txt has it.
LABELS = [REST, REST, *(word for name in CATEGORIES for word in (name, name, REST))]


def series(runs=RUNS):
    """BOLD: a bright brain that drifts, with noise."""
    random = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*(np.linspace(-1.2, 1.2, n) for n in SHAPE), indexing="ij"))
    inside = (grid**2).sum(axis=0) < 1
    values = random.normal(0, 5, (*SHAPE, runs * len(LABELS))) + 900 * inside[..., None] + 50
    values += np.arange(values.shape[-1]) % len(LABELS)
    return values.astype(np.int16), inside


def labels_of(runs=RUNS, without=()):
    lines = [f"{REST if run in without else label} {run}" for run in range(runs) for label in LABELS]
    return "\n".join(["labels chunks", *lines]) + "\n"


def archive(values, labels):
    stored, raw = io.BytesIO(), gzip.compress(nib.Nifti1Image(values, AFFINE).to_bytes(), 1)
    others = ("mask4_vt", "mask8b_face_vt", "mask8b_house_vt", "mask8_face_vt", "mask8_house_vt", "anat")
    with tarfile.open(fileobj=stored, mode="w:gz") as tar:
        for name, content in (("bold.nii.gz", raw), ("labels.txt", labels), *((f"{n}.nii.gz", b"") for n in others)):
            entry = tarfile.TarInfo(f"subj2/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return stored.getvalue()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(http, "PAUSE", 0.01)
    haxby._at.cache_clear()
    with Server() as serving:
        serving.redirect(monkeypatch)
        serving.files["www.nitrc.org/frs/download.php/7868/mask.nii.gz"] = b"mask"
        serving.give = lambda content: serving.files.update(
            {
                ARCHIVE: content,
                f"{BASE}MD5SUMS": f"{hashlib.md5(content).hexdigest()}  {ARCHIVE.removeprefix(BASE)}\n".encode(),
            }
        )
        serving.give(archive(series()[0], labels_of().encode()))
        yield serving
    haxby._at.cache_clear()


@pytest.fixture
def options(tmp_path):
    return lambda **changes: Options(**{"cache": str(tmp_path / "cache")} | changes)


def test_options_can_be_read_without_importing_the_module():
    assert options_of("datasets", "haxby")().model_dump() == Options().model_dump()


def test_the_data_are_called_what_they_are():
    assert Options().kind() == "Haxby et al. 2001, runs of one person (2) as pseudo-subjects"


def expected(run):
    """The formula once more, with scipy's detrending."""
    signal = detrend(run.astype(float), axis=-1)
    rest = signal[..., np.array(LABELS) == REST]
    return {
        name: (signal[..., np.array(LABELS) == name].mean(-1) - rest.mean(-1)) / rest.std(-1, ddof=1)
        for name in CATEGORIES
    }


def test_maps_are_those_of_the_formula_and_0_outside_the_brain(server, options):
    values, inside = series()
    samples = index(options(), 0)
    assert len(samples) == RUNS * 8
    assert samples["subject"].unique().tolist() == [f"run-{run:02d}" for run in range(RUNS)]
    for row in samples.iloc[[0, 3, 12, -1]].itertuples():
        found, affine, checksum = read(row.image, options(), 0)
        number = int(row.subject.removeprefix("run-"))
        own = values[..., number * len(LABELS) : (number + 1) * len(LABELS)]
        brain = found != 0
        np.testing.assert_allclose(found[brain], expected(own)[row.label][brain], rtol=1e-4, atol=1e-5)
        assert (brain & ~inside).sum() == 0
        assert (brain & inside).sum() > 0.8 * inside.sum()
        np.testing.assert_allclose(affine, AFFINE)
        assert len(checksum) == 64
    assert samples["label"].tolist() == samples["condition"].tolist() == [*CATEGORIES] * RUNS


@settings(max_examples=25)
@given(st.integers(0, 99), st.floats(-50, 50), st.floats(-5, 5), st.floats(0.1, 10))
def test_a_voxels_level_drift_and_scale_do_not_matter(seed, level, drift, scale):
    run = np.random.default_rng(seed).normal(0, 1, (2, 1, 1, len(LABELS)))
    first, second = block_maps(run, LABELS), block_maps(scale * run + level + drift * np.arange(len(LABELS)), LABELS)
    for name, values in expected(run).items():
        np.testing.assert_allclose(first[name], values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(second[name], values, rtol=1e-3, atol=1e-4)


def test_a_voxel_that_never_varies_is_0_and_a_run_without_rest_is_refused():
    run = np.full((2, 1, 1, len(LABELS)), 812.3)
    run[1] += np.arange(len(LABELS))
    assert not any(values.any() for values in block_maps(run, LABELS).values())
    with pytest.raises(DataError, match=r"0 volumes at rest\. Leave it out \(`exclude`\)"):
        block_maps(run[..., :2], ["face", "face"])


def test_the_archive_is_fetched_once_and_the_series_is_read_once_a_job(server, options, monkeypatch):
    samples = index(options(), 0)
    prepare(samples["image"].tolist(), options(), 0)
    haxby._block_maps.cache_clear()
    for image in samples["image"]:
        read(image, options(), 0)
    assert haxby._block_maps.cache_info().misses == 1
    assert set(server.requests.values()) == {1}
    haxby._at.cache_clear()
    assert index(options(), 0).equals(samples)
    assert set(server.requests.values()) == {1}


def test_a_download_that_breaks_off_is_gone_on_with(server, options):
    server.faults[ARCHIVE] = [3 * 8192]
    index(options(), 0)
    assert server.requests[ARCHIVE] == 2
    assert server.sent[ARCHIVE] == len(server.files[ARCHIVE])


def test_an_archive_that_is_another_than_its_sum_says_is_refused(server, options):
    server.files[ARCHIVE] = server.files[ARCHIVE][:-1] + b"x"
    with pytest.raises(SourceError, match="checksum verification has failed"):
        index(options(), 0)


def test_a_run_without_labels_is_named_and_can_be_left_out(server, options):
    server.give(archive(series()[0], labels_of(without=[3]).encode()))
    with pytest.raises(IncompleteSubjects, match=r"run-03/bottle: missing .*8 maps of 1 subjects are\. Their labels"):
        index(options(), 0)
    assert set(index(options(exclude=["run-03"]), 0)["subject"]) == {"run-00", "run-01", "run-02", "run-04"}
    assert len(subjects_of(options(exclude=["run-03"]))) == RUNS
    with pytest.raises(DataError, match=r"person 2 has no subject 'run-3' .*did you mean 'run-03'"):
        index(options(exclude=["run-3"]), 0)


@pytest.mark.parametrize(
    ("values", "labels", "words"),
    [
        (series()[0][..., :-1], labels_of(), r"has shape \(14, 16, 12, 129\), and there are 130 labels"),
        (series()[0][..., 0], labels_of(), r"has shape \(14, 16, 12\)"),
    ],
    ids=["short", "3D"],
)
def test_a_series_that_cannot_be_used_is_refused(server, options, values, labels, words):
    server.give(archive(values, labels.encode()))
    with pytest.raises(DataError, match=rf"bold\.nii\.gz: {words}[\s\S]*Delete the person's folder"):
        read(index(options(), 0)["image"][0], options(), 0)


@pytest.mark.parametrize(
    "labels",
    ["a b c\n", "labels chunks\nface one\n", "labels chunks\nface 0\nface 1\nface 0\n"],
    ids=["columns", "words", "order"],
)
def test_labels_that_cannot_be_used_are_refused(server, options, labels):
    server.give(archive(series()[0], labels.encode()))
    with pytest.raises(DataError, match=r"labels\.txt: .*Delete its folder"):
        index(options(), 0)


def test_a_series_that_was_cut_is_refused(server, options):
    image = index(options(), 0)["image"][0]
    series_file, _ = files(image, options())
    with Path(series_file).open("r+b") as file:
        file.truncate(20000)
    with pytest.raises(DataError, match=r"bold\.nii\.gz: truncated or unreadable"):
        read(image, options(), 0)


def test_maps_of_one_file_are_no_copies_of_each_other_and_can_be_stored(server, options, tmp_path, caplog):
    source = as_method(haxby, options())
    wanted = {
        "split": {"train": 0.6, "validation": 0.2, "test": 0.2},
        "seed": 0,
        "family": None,
        "on_bad_subject": "stop",
    }
    listing = list_samples(source, wanted, None, None, Scrubber())
    places = {name: str(tmp_path / f"out/{name}.tsv") for name in ("samples", "images", "skipped")}
    write_listing(listing, pd.Series(places), source, wanted, None, Scrubber())
    listed = pd.read_csv(places["images"], sep="\t")
    assert listed["checksum"].nunique() == 1
    assert "same content" not in caplog.text

    def reading(image):
        return read(image, options(), 0)

    assert reading(listed["image"][0])[2] == listed["checksum"][0]
    grid = find_grid(listed["image"][:8].tolist(), reading, None)
    inside = series()[1]
    assert 0.8 * inside.sum() < grid.mask.sum() <= inside.sum()
    assert np.isfinite(usable(listed["image"][9], reading, grid)[1]).all()
