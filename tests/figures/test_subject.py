import numpy as np
import pandas as pd
import pytest

from truemap.data.maps import MapWriter
from truemap.figures.subject import choose_subject, subject_maps
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError

VOXELS = 12
INSIDE = np.arange(VOXELS) % 3 > 0


def written(path, inside=None):
    """Maps of two subjects, zero outside the brain, each of two classes explained for two."""
    random = np.random.default_rng(0)
    blocks = []
    with MapWriter(path, VOXELS, "float16", inside) as writer:
        for subject in ("s1", "s2"):
            rows = pd.DataFrame(
                {
                    "subject": subject,
                    "label": np.repeat(["a", "a", "a", "b"], 2),
                    "condition": np.repeat(["A1", "A2", "A3", "B1"], 2),
                    "negated": np.repeat([False, True, False, False], 2),
                    "target": ["a", "b"] * 4,
                    "scale": random.random(8) + 0.5,
                }
            )
            maps = (random.standard_normal((8, VOXELS)) * INSIDE).astype(np.float16)
            writer.write(rows, maps)
            blocks.append((rows, maps.astype(np.float64)))
    return blocks


@pytest.mark.parametrize("inside", [None, INSIDE], ids=["all", "brain"])
@pytest.mark.parametrize(
    ("conditions", "kept"),
    [("all", {"a": [0, 1, 2], "b": [3]}), ("no_negated", {"a": [0, 2], "b": [3]}), ("chosen", {"a": [1, 2]})],
)
def test_subject_maps_are_means_at_the_maps_own_scale_on_the_whole_grid(tmp_path, inside, conditions, kept):
    blocks = written(tmp_path / "maps.parquet", inside)
    for number, subject in enumerate(("s1", "s2")):
        rows, maps = blocks[number]
        found = subject_maps(tmp_path / "maps.parquet", subject, "b", INSIDE, conditions, ["A2", "A3", "Z"])
        assert set(found) == set(kept)
        for label, samples in kept.items():
            places = [2 * sample + 1 for sample in samples]
            expected = np.mean([maps[k] * rows["scale"][k] for k in places], axis=0)
            np.testing.assert_allclose(found[label], expected, rtol=1e-12)
            assert (found[label][~INSIDE] == 0).all()


def test_a_subject_without_maps_is_named_with_the_file(tmp_path):
    written(tmp_path / "maps.parquet")
    with pytest.raises(DataError, match=r"maps\.parquet: has no maps of the test subject"):
        subject_maps(tmp_path / "maps.parquet", "s3", "a", INSIDE)


class Truths(dict):
    """(Subject, set) -> what stands for its truth; of which classes it is, is known without asking for any."""

    def __init__(self, classes):
        super().__init__({key: f"{key[0][1:]} {key[1]}" for key in classes})
        self.classes = classes


def test_the_subject_is_drawn_by_seed_among_those_that_have_the_set():
    truths = Truths({(f"s{k}", name): {"a"} for k in range(5) for name in ("all", "no_negated") if k or name == "all"})
    for seed in range(8):
        number = derive_seed(seed, "figure-3")
        assert choose_subject(truths, "all", seed) == (f"s{number % 5}", f"{number % 5} all", "all")
        place = 1 + number % 4
        assert choose_subject(truths, "no_negated", seed) == (f"s{place}", f"{place} no_negated", "no_negated")
        assert choose_subject(truths, "chosen", seed) == choose_subject(truths, "all", seed)


def test_the_subject_drawn_has_all_classes_shown():
    truths = Truths({(f"s{k}", "all"): set("abc"[: 1 + k % 3]) for k in range(9)})
    drawn = {choose_subject(truths, "all", seed, ["c", "a"])[0] for seed in range(40)}
    assert drawn == {"s2", "s5", "s8"}
    with pytest.raises(DataError, match="no test subject has maps of all of a, d"):
        choose_subject(truths, "all", 0, ["a", "d"])


def test_a_subject_without_a_map_for_the_class_drawn_is_said_before_it_is_drawn(tmp_path):
    written(tmp_path / "maps.parquet")
    with pytest.raises(DataError, match="no map of the test subject drawn is of class c in these conditions"):
        subject_maps(tmp_path / "maps.parquet", "s1", "c", INSIDE)
