from pathlib import Path

import numpy as np
import pytest

from truemap.datasets.hcp import Options, index, kind, map_path, read
from truemap.datasets.nifti import write_map
from truemap.files import DataError

#: HCP S1200 reference manual: contrasts of the level-2 analyses, by number.
CONDITIONS = """
WM 2-BACK 9, 0-BACK 10, BODY 15, FACE 16, PLACE 17, TOOL 18
GAMBLING PUNISH 1, REWARD 2
MOTOR LF 2, LH 3, RF 4, RH 5, T 6
LANGUAGE MATH 1, STORY 2
SOCIAL RANDOM 1, TOM 2
RELATIONAL MATCH 1, REL 2, NEG_MATCH 5, NEG_REL 6
EMOTION FACES 1, SHAPES 2, NEG_FACES 4, NEG_SHAPES 5
"""
EXPECTED = {
    (task, *entry.split()) for line in CONDITIONS.split("\n")[1:-1] for task, rest in [line.split(" ", 1)]
    for entry in rest.split(", ")
}  # fmt: skip


def add_subject(root, subject):
    """Give a subject empty files where its maps would be."""
    for task, condition, _ in EXPECTED:
        path = map_path(root, subject, task, condition)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def root(tmp_path):
    for subject in ("100408", "100307"):
        add_subject(tmp_path, subject)
    (tmp_path / "not-a-subject").mkdir()
    (tmp_path / "shard-0.tsv").touch()
    return tmp_path


def test_paths_are_those_of_the_s1200_release():
    assert map_path("/hcp", "100307", "EMOTION", "NEG_FACES") == Path(
        "/hcp/100307/MNINonLinear/Results/tfMRI_EMOTION/tfMRI_EMOTION_hp200_s4_level2vol.feat"
        "/cope4.feat/stats/cope1.nii.gz"
    )


def test_all_25_conditions_of_each_subject_are_listed_with_their_copes(root):
    assert len(EXPECTED) == 25
    samples = index(Options(root=str(root)), 0)
    for subject in ("100307", "100408"):
        rows = samples[samples["subject"] == subject]
        copes = rows["image"].str.extract(r"tfMRI_(\w+)_hp200_s4_level2vol\.feat/cope(\d+)\.feat/stats/cope1\.nii\.gz$")
        assert set(zip(rows["label"], rows["condition"], copes[1], strict=True)) == EXPECTED
        assert len(rows) == 25
        assert (copes[0] == rows["label"]).all()
        assert rows["image"].str.startswith(f"{root}/{subject}/").all()
    assert set(samples["subject"]) == {"100307", "100408"}
    assert (samples["split"] == "").all()


def test_the_four_sign_flips_are_marked(root):
    samples = index(Options(root=str(root)), 0)
    assert set(samples.loc[samples["negated"], "condition"]) == {"NEG_MATCH", "NEG_REL", "NEG_FACES", "NEG_SHAPES"}
    assert samples["negated"].sum() == 2 * 4


def test_excluded_subjects_are_left_out_complete_or_not(root):
    map_path(root, "100307", "WM", "FACE").unlink()
    assert set(index(Options(root=str(root), exclude=["100307"]), 0)["subject"]) == {"100408"}


def test_missing_maps_are_counted_and_the_first_is_named(root):
    missing = [map_path(root, "100307", "WM", "FACE"), map_path(root, "100408", "SOCIAL", "TOM")]
    for path in missing:
        path.unlink()
    with pytest.raises(DataError) as caught:
        index(Options(root=str(root)), 0)
    assert str(missing[0]) in str(caught.value)
    assert "task WM, condition FACE" in str(caught.value)
    assert "2 maps of 2 subjects" in str(caught.value)


def test_a_root_without_subjects_is_refused_by_name(root, tmp_path):
    with pytest.raises(DataError, match=r"nowhere: no such folder"):
        index(Options(root=str(tmp_path / "nowhere")), 0)
    with pytest.raises(DataError, match=r"not-a-subject: no subject folder"):
        index(Options(root=str(root / "not-a-subject")), 0)
    with pytest.raises(DataError, match="no subject folder"):
        index(Options(root=str(root), exclude=["100307", "100408"]), 0)


def test_simulated_subjects_of_an_earlier_larger_run_are_not_read(tmp_path):
    for subject in ("sim-0000", "sim-0001", "sim-0002"):
        add_subject(tmp_path, subject)
    samples = index(Options(simulate={"subjects": 2}), 0, root=str(tmp_path))
    assert sorted(samples["subject"].unique()) == ["sim-0000", "sim-0001"]


@pytest.mark.parametrize("options", [{}, {"root": "/hcp", "simulate": {}}])
def test_maps_come_either_from_a_tree_or_from_a_simulation(options):
    with pytest.raises(ValueError, match="either 'root'"):
        Options(**options)


def test_simulated_data_are_never_called_hcps():
    assert "not HCP" in kind(Options(simulate={}))
    assert kind(Options(root="/hcp")) == "HCP S1200"


def test_a_map_of_the_tree_can_be_read(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    path = map_path(tmp_path, "100307", "MOTOR", "T")
    write_map(path, values, np.eye(4))
    np.testing.assert_array_equal(read(str(path), Options(root=str(tmp_path)), 0)[0], values)
