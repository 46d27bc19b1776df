import pytest

from truemap.datasets._contrasts import check, parse, places
from truemap.runtime.files import DataError

#: Titles of the contrasts in HCPpipelines, Examples/fsf_templates/tfMRI_*_LR_hp200_s4_level1.fsf.
EMOTION = ["FACES", "SHAPES", "FACES-SHAPES", "neg_FACES", "neg_SHAPES", "SHAPES-FACES"]
RELATIONAL = ["MATCH", "REL", "MATCH-REL", "REL-MATCH", "neg_MATCH", "neg_REL"]
WM = [
    *["2BK_BODY", "2BK_FACE", "2BK_PLACE", "2BK_TOOL", "0BK_BODY", "0BK_FACE", "0BK_PLACE", "0BK_TOOL", "2BK", "0BK"],
    *["2BK-0BK", "neg_2BK", "neg_0BK", "0BK-2BK", "BODY", "FACE", "PLACE", "TOOL", "BODY-AVG", "FACE-AVG"],
]
FOLDER = "/hcp/1/MNINonLinear/Results/tfMRI_EMOTION/tfMRI_EMOTION_hp200_s4_level2vol.feat"
COPES = {"FACES": 1, "SHAPES": 2, "NEG_FACES": 4, "NEG_SHAPES": 5}


def lines(names):
    return "".join(f"{name}\n" for name in names)


def con(names):
    titles = "".join(f"/ContrastName{number}\t{name}\n" for number, name in enumerate(names, 1))
    return f"{titles}/NumWaves\t4\n/NumContrasts\t{len(names)}\n\n/Matrix\n1 0 0 0\n"


def fsf(names):
    return "# Title for contrast_real 1\n" + "".join(
        f'set fmri(conpic_real.{number}) 1\nset fmri(conname_real.{number}) "{name}"\n'
        f'set fmri(conname_orig.{number}) "orig {name}"\n'
        for number, name in enumerate(names, 1)
    )


WRITERS = {"Contrasts.txt": lines, "design.con": con, "tfMRI_EMOTION_LR_hp200_s4_level1.fsf": fsf}


@pytest.mark.parametrize(("name", "write"), WRITERS.items())
def test_names_are_read_by_number(name, write):
    assert parse(f"/x/{name}", write(EMOTION)) == dict(enumerate(EMOTION, 1))


@pytest.mark.parametrize(("name", "write"), [("design.con", con), ("x.fsf", fsf)])
def test_a_level_2_design_has_only_its_own_mean_and_counts_as_no_names(name, write):
    assert parse(f"{FOLDER}/{name}", write(["mean"])) == {}


def test_the_trap_sign_flips_have_other_numbers_in_other_tasks():
    emotion, relational = {f"{FOLDER}/Contrasts.txt": lines(EMOTION)}, {f"{FOLDER}/Contrasts.txt": lines(RELATIONAL)}
    groups = places(FOLDER, "EMOTION")
    assert check(emotion.get, groups, "EMOTION", COPES) == f"{FOLDER}/Contrasts.txt"
    assert check(relational.get, groups, "RELATIONAL", {"NEG_MATCH": 5, "NEG_REL": 6})
    with pytest.raises(DataError) as caught:
        check(emotion.get, groups, "EMOTION", {"FACES": 1, "NEG_FACES": 5})
    message = str(caught.value)
    assert message.startswith(f"{FOLDER}/Contrasts.txt: EMOTION NEG_FACES is expected as cope 5")
    assert "calls contrast 5 'neg_SHAPES' (NEG_FACES is its number 4)" in message


def test_names_that_the_paper_writes_otherwise_are_hcps():
    files = {f"{FOLDER}/Contrasts.txt": lines(WM)}
    wm = {"2-BACK": 9, "0-BACK": 10, "BODY": 15, "FACE": 16, "PLACE": 17, "TOOL": 18}
    assert check(files.get, places(FOLDER, "WM"), "WM", wm)
    with pytest.raises(DataError, match=r"2-BACK is expected as cope 11.*'2BK-0BK' \(2-BACK is its number 9\)"):
        check(files.get, places(FOLDER, "WM"), "WM", {"2-BACK": 11})


def test_a_list_that_ends_too_soon_does_not_agree():
    files = {f"{FOLDER}/Contrasts.txt": lines(EMOTION[:3])}
    with pytest.raises(DataError, match=r"NEG_FACES .* has no contrast 4 \(NEG_FACES is not in it\)"):
        check(files.get, places(FOLDER, "EMOTION"), "EMOTION", COPES)


@pytest.mark.parametrize(
    ("path", "write"),
    [
        (f"{FOLDER}/design.con", con),
        ("/hcp/1/MNINonLinear/Results/tfMRI_EMOTION_RL/tfMRI_EMOTION_RL_hp200_s4_level1.feat/design.con", con),
        ("/hcp/1/MNINonLinear/Results/tfMRI_EMOTION_LR/tfMRI_EMOTION_LR_hp200_s4_level1.fsf", fsf),
    ],
)
def test_every_place_is_asked_though_the_level_2_design_says_nothing(path, write):
    files = {f"{FOLDER}/design.con": con(["mean"]), path: write(EMOTION)}
    assert check(files.get, places(FOLDER, "EMOTION"), "EMOTION", COPES) == path
    files[path] = write(RELATIONAL)
    with pytest.raises(DataError, match="FACES is expected as cope 1, but this file calls contrast 1 'MATCH'"):
        check(files.get, places(FOLDER, "EMOTION"), "EMOTION", COPES)


def test_without_any_names_nothing_is_checked():
    assert check({}.get, places(FOLDER, "EMOTION"), "EMOTION", COPES) is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Contrasts.txt", "FACES\r\nSHAPES\r\n"),
        ("design.con", "/ContrastName1\tFACES\n/ContrastName2\tSHAPES\n"),
        ("level1.fsf", 'set fmri(conname_real.1) "FACES"\nset fmri(conname_real.2) "SHAPES"\n'),
    ],
)
def test_a_byte_order_mark_is_no_part_of_a_name(name, text):
    assert parse(name, "\ufeff" + text) == {1: "FACES", 2: "SHAPES"}
