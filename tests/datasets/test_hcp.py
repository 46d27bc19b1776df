import gzip
import re
import time
from pathlib import Path

import numpy as np
import pytest

from truemap.data.nifti import write_map
from truemap.datasets._layouts import LAYOUTS, map_path
from truemap.datasets.hcp import Options, index, prepare, read
from truemap.runtime.files import DataError, IncompleteSubjects

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


@pytest.mark.parametrize(
    ("name", "number"),
    [("100300", 1), ("sub-100307", 1), ("100307_", 1), ("hcp", 1), ("100408", 0), (" 100408\u00a0", 0)],
)
def test_a_name_to_exclude_that_nobody_has_is_refused_with_the_nearest(root, name, number):
    options = Options(root=str(root), exclude=["100307", name])
    if number:
        with pytest.raises(DataError, match=rf"exclude: .* has no subject '{name}' \(number 2 of the list\)") as caught:
            index(options, 0)
        assert ("did you mean '100307'" in str(caught.value)) == (name != "hcp")
    else:
        with pytest.raises(DataError, match="no subject folder"):
            index(options, 0)


def test_a_subject_whose_folder_is_gone_cannot_be_excluded_but_one_without_maps_can(root):
    (root / "100512").mkdir()
    assert len(index(Options(root=str(root), exclude=["100512"]), 0)) == 50
    (root / "100512").rmdir()
    with pytest.raises(DataError, match="take it out where the subject is gone"):
        index(Options(root=str(root), exclude=["100512"]), 0)


@pytest.mark.parametrize(
    ("name", "target", "said"),
    [
        ("100307_backup", None, "a folder with maps whose name is no subject's ID"),
        ("old.100307", None, "a folder with maps whose name is no subject's ID"),
        ("1003070", None, "a folder with maps whose name is no subject's ID"),
        ("latest", "100307", "a link to 100307, another subject's folder"),
        ("100309", "100307", "a link to 100307, another subject's folder"),
        ("100206", "../{name}/100307", "a link to 100307, another subject's folder"),
    ],
)
def test_a_copy_of_a_subjects_folder_is_no_subject(root, name, target, said):
    if target:
        (root / name).symlink_to(target.format(name=root.name))
    else:
        add_subject(root, name)
    for exclude in ([], ["100307"]):
        with pytest.raises(DataError, match=f"/{name}: {said}.*list it under `exclude`"):
            index(Options(root=str(root), exclude=exclude), 0)
    assert set(index(Options(root=str(root), exclude=[name]), 0)["subject"]) == {"100307", "100408"}


def test_a_subject_may_be_a_link_to_elsewhere_and_the_root_too_but_not_two_to_one_place(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (root / "100307").rename(elsewhere / "scan-17")
    (root / "100307").symlink_to(elsewhere / "scan-17")
    (elsewhere / "hcp").symlink_to(root)
    assert set(index(Options(root=str(elsewhere / "hcp")), 0)["subject"]) == {"100307", "100408"}
    (root / "100309").symlink_to(elsewhere / "scan-17")
    for exclude in ([], ["100307"]):
        with pytest.raises(DataError, match="/100309: a link to 100307"):
            index(Options(root=str(root), exclude=exclude), 0)


def test_in_a_tree_of_other_names_copies_are_those_with_a_name_in_theirs(tmp_path):
    for name in ("S1", "S10", "anna", "ann", "pilot"):
        add_subject(tmp_path, name)
    (tmp_path / "derivatives").mkdir()
    assert index(Options(root=str(tmp_path)), 0)["subject"].nunique() == 5
    add_subject(tmp_path, "S1_old")
    with pytest.raises(DataError, match="/S1_old: named like a copy of S1;"):
        index(Options(root=str(tmp_path)), 0)
    assert index(Options(root=str(tmp_path), exclude=["S1_old"]), 0)["subject"].nunique() == 5


@pytest.mark.parametrize("inside", [".", "MNINonLinear", "MNINonLinear/Results", "T1w"])
@pytest.mark.parametrize("names", [("100307", "100408", "100512"), ("S01", "S02", "S3")])
def test_an_empty_subject_folder_is_listed_as_incomplete(tmp_path, names, inside):
    *whole, empty = names
    for name in whole:
        add_subject(tmp_path, name)
    (tmp_path / empty / inside).mkdir(parents=True)
    with pytest.raises(IncompleteSubjects, match="25 maps of 1 subjects are") as caught:
        index(Options(root=str(tmp_path)), 0)
    assert caught.value.lacking == {
        empty: (str(map_path(tmp_path, empty, "WM", "2-BACK")), "25 of its maps are missing")
    }
    assert set(index(Options(root=str(tmp_path), exclude=[empty]), 0)["subject"]) == set(whole)


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
    assert "not HCP" in Options(simulate={}).kind()
    assert Options(root="/hcp").kind() == "HCP S1200"


def test_a_map_of_the_tree_can_be_read(tmp_path):
    values = np.arange(24.0).reshape(2, 3, 4)
    path = map_path(tmp_path, "100307", "MOTOR", "T")
    write_map(path, values, np.eye(4))
    np.testing.assert_array_equal(read(str(path), Options(root=str(tmp_path)), 0)[0], values)


STANDARD = (
    "{subject}/MNINonLinear/Results/tfMRI_{task}/tfMRI_{task}_hp200_s4_level2.feat/"
    "StandardVolumeStats/cope{cope}.feat/{statistic}1.nii.gz"
)


def add_maps(root, subject, template, statistic="cope"):
    """Give a subject empty files in any layout."""
    for task, _, cope in EXPECTED:
        path = root / template.format(subject=subject, task=task, cope=cope, statistic=statistic)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.mark.parametrize("statistic", ["cope", "zstat", "tstat"])
@pytest.mark.parametrize(
    ("layout", "template"),
    [
        ("standard_volume", STANDARD),
        ("volume", LAYOUTS["volume"]),
        ("{root}/{subject}/MNINonLinear/{task}/{cope}_{statistic}.nii.gz",) * 2,
    ],
)
def test_maps_are_found_in_either_layout_or_an_own_one(tmp_path, layout, template, statistic):
    add_maps(tmp_path, "100307", template.removeprefix("{root}/"), statistic)
    samples = index(Options(root=str(tmp_path), layout=layout, statistic=statistic), 0)
    assert len(samples) == 25
    row = samples[samples["condition"] == "NEG_SHAPES"].iloc[0]
    values = {"subject": "100307", "task": "EMOTION", "cope": 5, "statistic": statistic}
    assert row["image"] == str(tmp_path / template.removeprefix("{root}/").format(**values))


def test_files_of_the_other_layout_are_pointed_out(root, tmp_path):
    with pytest.raises(DataError, match=r"It is there as .*level2vol.*: set `layout: volume`"):
        index(Options(root=str(root), layout="standard_volume"), 0)
    add_maps(tmp_path / "new", "100307", STANDARD)
    with pytest.raises(DataError, match=r"StandardVolumeStats.*: set `layout: standard_volume`"):
        index(Options(root=str(tmp_path / "new")), 0)


def test_a_datalad_link_without_its_content_is_called_that(root):
    path = map_path(root, "100307", "WM", "FACE")
    path.unlink()
    path.symlink_to("../.git/annex/objects/not-here")
    with pytest.raises(DataError, match=r"FACE.*datalad get"):
        index(Options(root=str(root)), 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layout": "{subject}/{tsk}/{cope}.nii.gz"}, "unknown placeholder '{tsk}'. Known here: subject, task, cope"),
        ({"layout": "{subject}/{task}.nii.gz"}, "with {cope} in it"),
        ({"layout": "volumes"}, "give volume, standard_volume"),
        ({"layout": "{subject}/{task}/{cope}}.nii.gz"}, "braces do not pair"),
        ({"layout": "}{subject}/{task}/{cope.nii.gz"}, "unknown placeholder"),
        ({"layout": "{subject}/{task}/{cope}.nii.gz", "statistic": "zstat"}, "has no {statistic}"),
        ({"cache": "maps"}, "in a bucket"),
        ({"endpoint_url": "http://127.0.0.1:1"}, "in a bucket"),
        ({"root": "s3://key:secret@bucket/HCP"}, "keys do not belong"),
    ],
)
def test_options_that_cannot_work_are_refused(options, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        Options(**{"root": "/hcp", **options})


def test_a_simulated_tree_has_one_layout():
    with pytest.raises(ValueError, match="simulated tree"):
        Options(simulate={}, layout="standard_volume")


#: Contrasts of each task in order, as far as they matter (HCPpipelines, Examples/fsf_templates/*level1.fsf).
NAMES = """
WM 2BK_BODY 2BK_FACE 2BK_PLACE 2BK_TOOL 0BK_BODY 0BK_FACE 0BK_PLACE 0BK_TOOL 2BK 0BK 2BK-0BK neg_2BK neg_0BK
0BK-2BK BODY FACE PLACE TOOL
GAMBLING PUNISH REWARD PUNISH-REWARD neg_PUNISH neg_REWARD REWARD-PUNISH
MOTOR CUE LF LH RF RH T AVG
LANGUAGE MATH STORY MATH-STORY STORY-MATH neg_MATH neg_STORY
SOCIAL RANDOM TOM RANDOM-TOM neg_RANDOM neg_TOM TOM-RANDOM
RELATIONAL MATCH REL MATCH-REL REL-MATCH neg_MATCH neg_REL
EMOTION FACES SHAPES FACES-SHAPES neg_FACES neg_SHAPES SHAPES-FACES
""".replace("neg_0BK\n", "neg_0BK ")


def add_names(root, subject):
    """Write HCP's Contrasts.txt beside a subject's maps."""
    for line in NAMES.strip().splitlines():
        task, *names = line.split()
        feat = map_path(root, subject, task, next(c for t, c, _ in EXPECTED if t == task)).parents[2]
        (feat / "Contrasts.txt").write_text("\n".join(names) + "\n")


def test_cope_numbers_agree_with_the_names_hcp_wrote(root, caplog):
    add_names(root, "100307")
    with caplog.at_level("INFO", "truemap"):
        assert len(index(Options(root=str(root)), 0)) == 50
    assert "in 7 designs, 7 have none" in caplog.text


def test_one_subject_whose_contrasts_are_in_another_order_stops_it(root):
    for subject in ("100307", "100408"):
        add_names(root, subject)
    file = map_path(root, "100408", "EMOTION", "FACES").parents[2] / "Contrasts.txt"
    file.write_bytes(b"\xef\xbb\xbfFACES\r\nSHAPES\r\nFACES-SHAPES\r\nneg_FACES\r\nneg_SHAPES\r\nSHAPES-FACES\r\n")
    assert len(index(Options(root=str(root)), 0)) == 50
    file.write_text("FACES SHAPES FACES-SHAPES SHAPES-FACES neg_FACES neg_SHAPES".replace(" ", "\n"))
    with pytest.raises(DataError) as caught:
        index(Options(root=str(root)), 0)
    for said in (str(file), "NEG_FACES is expected as cope 4", "'SHAPES-FACES'", "its number 5", "exclude"):
        assert said in str(caught.value)
    assert len(index(Options(root=str(root), exclude=["100408"]), 0)) == 25


def test_names_are_beside_the_newer_layouts_maps_too(tmp_path):
    add_maps(tmp_path, "100307", STANDARD)
    file = tmp_path / "100307/MNINonLinear/Results/tfMRI_SOCIAL/tfMRI_SOCIAL_hp200_s4_level2.feat/Contrasts.txt"
    file.write_text("TOM\nRANDOM\n")
    with pytest.raises(DataError, match=f"{file}: SOCIAL RANDOM is expected as cope 1"):
        index(Options(root=str(tmp_path), layout="standard_volume"), 0)


def test_level_1_designs_are_asked_where_nothing_is_nearer(root):
    run = root / "100408/MNINonLinear/Results/tfMRI_GAMBLING_LR"
    run.mkdir(parents=True)
    (run / "tfMRI_GAMBLING_LR_hp200_s4_level1.fsf").write_text(
        'set fmri(conname_real.1) "REWARD"\nset fmri(conname_real.2) "PUNISH"\n'
    )
    with pytest.raises(DataError, match=r"level1.fsf: GAMBLING PUNISH is expected as cope 1.*'REWARD'"):
        index(Options(root=str(root)), 0)


def test_a_task_whose_copes_are_not_together_has_no_names_to_check(tmp_path):
    add_maps(tmp_path, "100307", "{subject}/MNINonLinear/{task}_{cope}.nii.gz")
    (tmp_path / "100307/MNINonLinear/Contrasts.txt").write_text("A\nB\n")
    assert len(index(Options(root=str(tmp_path), layout="{subject}/MNINonLinear/{task}_{cope}.nii.gz"), 0)) == 25


def test_a_truncated_map_is_refused_by_name(root):
    path = map_path(root, "100307", "WM", "FACE")
    path.write_bytes(gzip.compress(bytes(5000))[:-9])
    with pytest.raises(DataError, match=r"cope16.*truncated"):
        read(str(path), Options(root=str(root)), 0)


def test_maps_on_disk_need_no_preparation(root):
    prepare([str(map_path(root, "100307", "WM", "FACE"))], Options(root=str(root)), 0)


def test_the_whole_release_is_listed_in_seconds(tmp_path):
    add_subject(tmp_path, "000000")
    add_names(tmp_path, "000000")
    for number in range(1, 965):
        (tmp_path / f"{number:06d}").mkdir()
        (tmp_path / f"{number:06d}/MNINonLinear").symlink_to(tmp_path / "000000/MNINonLinear")
    start = time.process_time()
    samples = index(Options(root=str(tmp_path)), 0)
    assert len(samples) == 965 * 25
    assert time.process_time() - start < 8
