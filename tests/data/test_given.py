"""Sheets of maps from elsewhere: what they say, and each way that they cannot be used."""

import re

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.data.given import check_explained, check_numbers, files, read_sheet
from truemap.data.given_maps import SheetReader, open_stack
from truemap.data.grid import Grid, turned
from truemap.data.oddities import Oddities
from truemap.runtime.files import DataError

SHAPE = (3, 4, 2)
AFFINE = np.array([[-2.0, 0, 0, 4], [0, 2, 0, -6], [0, 0, 2, -1], [0, 0, 0, 1]])
GRID = Grid(np.ones(SHAPE, bool), AFFINE)
MASK = np.arange(24).reshape(SHAPE) > 3
CLASSES = ["left", "rest", "right"]
#: Test maps are 3 to 8, two of each class.
SAMPLES = pd.DataFrame(
    [
        (f"data/{split}/{subject}-{label}.nii", subject, label, label, False, split)
        for split, subjects in (("train", ["a"]), ("test", ["b", "c"]))
        for subject in subjects
        for label in CLASSES
    ],
    columns=["image", "subject", "label", "condition", "negated", "split"],
)
TESTED = SAMPLES[SAMPLES["split"] == "test"].rename_axis("sample").reset_index()
VALUES = np.random.default_rng(0).normal(size=(18, *SHAPE))


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "all.npy", VALUES)
    return tmp_path


def lines(targets=None):
    """Cells of a whole sheet of one stack: row, sample and target of each line."""
    pairs = [(sample, target) for sample in TESTED["sample"] for target in CLASSES]
    return [[str(row), str(sample), target] for row, (sample, target) in enumerate(pairs)]


def own_class(cells):
    return [line for line in cells if SAMPLES["label"][int(line[1])] == line[2]]


def write(folder, cells, image="all.npy", header="image\trow\tsample\ttarget", end="\n", mark=""):
    text = end.join([header, *("\t".join([image, *line]) for line in cells)]) + end
    (folder / "maps.tsv").write_bytes((mark + text).encode())
    return folder / "maps.tsv"


def refusal(folder, cells, **form):
    with pytest.raises(DataError) as caught:
        read_sheet(write(folder, cells, **form), SAMPLES)
    assert str(folder / "maps.tsv") in str(caught.value)
    return str(caught.value).replace(str(folder), "")


def maps_of(folder, cells=None, grid=GRID, signed=True, nan="refuse", **form):
    sheet = read_sheet(write(folder, lines() if cells is None else cells, **form), SAMPLES)
    return list(SheetReader(sheet, grid, signed, nan).blocks(TESTED, CLASSES))


def unfit(*arguments, **named):
    with pytest.raises(DataError) as caught:
        maps_of(*arguments, **named)
    return str(caught.value)


# What it says


@pytest.mark.parametrize("form", [{}, {"end": "\r\n", "mark": "\ufeff"}], ids=["plain", "windows"])
def test_maps_are_those_of_the_lines_by_subject_and_class(folder, form):
    shuffled = [lines()[k] for k in np.random.default_rng(1).permutation(18)]
    blocks = maps_of(folder, shuffled, **form)
    assert [set(rows["subject"]) for rows, _ in blocks] == [{"b"}, {"c"}]
    rows, maps = pd.concat([rows for rows, _ in blocks]), np.concatenate([maps for _, maps in blocks])
    assert list(zip(rows["sample"].astype(str), rows["target"], strict=True)) == [(s, t) for _, s, t in lines()]
    assert list(rows["label"]) == list(SAMPLES["label"][rows["sample"]])
    np.testing.assert_allclose(maps * rows["scale"].to_numpy()[:, None], VALUES.reshape(18, -1), rtol=1e-15)
    assert np.abs(maps).max(axis=1).tolist() == [1.0] * 18
    assert rows["residual"].isna().all()


def test_a_sample_is_called_by_its_image_or_its_number(folder):
    by_name = [[row, SAMPLES["image"][int(sample)], target] for row, sample, target in lines()]
    mixed = [*lines()[:9], *by_name[9:]]
    wanted = read_sheet(write(folder, lines()), SAMPLES)
    for cells, numbered in ((by_name, False), (mixed, True)):
        found = read_sheet(write(folder, cells), SAMPLES)
        pd.testing.assert_frame_equal(found, wanted)
        assert found.attrs["numbered"] == numbered


def test_maps_for_the_own_class_alone_are_enough(folder):
    blocks = maps_of(folder, own_class(lines()))
    assert [list(rows["target"]) for rows, _ in blocks] == [CLASSES, CLASSES]


def test_of_two_classes_both_or_the_own_one(folder):
    two = SAMPLES[SAMPLES["label"] != "rest"].reset_index(drop=True)
    cells = [[str(k), str(s), t] for k, (s, t) in enumerate((s, t) for s in (2, 3, 4, 5) for t in ("left", "right"))]
    assert len(read_sheet(write(folder, cells), two)) == 8
    assert len(read_sheet(write(folder, [c for c in cells if two["label"][int(c[1])] == c[2]]), two)) == 4


@pytest.mark.parametrize("shape", [(18, *SHAPE), (18, 24)])
def test_stacks_of_volumes_and_of_vectors_are_the_same(folder, shape):
    wanted = maps_of(folder)
    np.save(folder / "all.npy", np.asfortranarray(VALUES.reshape(shape)))
    for (_, maps), (_, found) in zip(wanted, maps_of(folder), strict=True):
        np.testing.assert_array_equal(maps, found)


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (lambda maps: maps, False),
        (lambda maps: maps.transpose(0, 3, 2, 1), True),
        (lambda maps: np.stack([one.ravel(order="F") for one in maps]), True),
        # Sizes that are the same in the brain and around it tell nothing.
        (lambda maps: np.random.default_rng(1).normal(size=maps.shape), False),
    ],
    ids=["as they are", "z, y, x", "MATLAB's vectors", "no brain"],
)
def test_a_stack_whose_axes_are_in_the_reverse_order_is_said(folder, caplog, stored, said):
    mask = np.zeros((5, 8, 5), bool)
    mask[1:3, 1:7, :4] = True
    np.save(folder / "all.npy", stored(np.random.default_rng(0).normal(size=(18, 5, 8, 5)) * mask))
    sheet = read_sheet(write(folder, lines()), SAMPLES)
    reader = SheetReader(sheet, Grid(mask, AFFINE), True, "refuse")
    list(reader.blocks(TESTED, CLASSES))
    reader.warn_order("maps.tsv")
    assert ("axes are taken in the reverse order" in caplog.text) == said


def test_a_stack_of_images_needs_no_axis_of_one_voxel(tmp_path):
    grid = Grid(np.ones((4, 5, 1), bool), np.eye(4))
    np.save(tmp_path / "flat.npy", np.zeros((2, 4, 5), np.uint8))
    assert open_stack(str(tmp_path / "flat.npy"), 1, grid).shape == (2, 4, 5)


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=20, deadline=None)
def test_a_map_in_another_orientation_is_turned(order, flips):
    """Whatever the order and direction of axes, each voxel's value stays where it is in mm."""
    values = VALUES[0].transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    to_grid = np.zeros((4, 4))
    to_grid[3, 3] = 1
    for axis, (old, flip) in enumerate(zip(order, flips, strict=True)):
        to_grid[old, axis] = -1 if flip else 1
        to_grid[old, 3] = SHAPE[old] - 1 if flip else 0
    np.testing.assert_array_equal(turned(values, AFFINE @ to_grid, GRID), VALUES[0])


def odd(folder, caplog, values, rows, signed=True):
    """Return what is said of a sheet whose maps are these, the lines' rows being `rows`."""
    np.save(folder / "all.npy", values)
    cells = [[str(row), sample, target] for row, (_, sample, target) in zip(rows, lines(), strict=True)]
    reader = SheetReader(read_sheet(write(folder, cells), SAMPLES), GRID, signed, "refuse")
    list(reader.blocks(TESTED, CLASSES))
    caplog.clear()
    reader.odd.warn("maps.tsv")
    return caplog.text


def test_maps_that_equal_another_are_said(folder, caplog):
    assert odd(folder, caplog, VALUES, range(18)) == ""
    classes, samples = "equal one of the same sample for another class", "equal one of another sample"
    found = odd(folder, caplog, VALUES, [k // 3 for k in range(18)])
    assert f"12 maps {classes}" in found and samples not in found
    # As those of a linear decoder: one a class.
    found = odd(folder, caplog, 2.0 ** np.arange(18)[:, None, None, None] * VALUES, [k % 3 for k in range(18)])
    assert f"15 maps {samples}" in found and classes not in found
    found = odd(folder, caplog, VALUES, [0] * 18)
    assert f"2 maps {classes}" in found and f"15 maps {samples}" in found
    # The same but for their length, which agreement does not see.
    longer = VALUES[:1] * 2.0 ** np.arange(18)[:, None, None, None]
    assert f"15 maps {samples}" in odd(folder, caplog, longer, range(18))
    assert odd(folder, caplog, np.zeros_like(VALUES), range(18)) == ""


def test_sizes_for_and_against_one_of_two_classes_may_be_equal(folder, caplog):
    odd = Oddities(halves=True)
    odd.add(pd.DataFrame({"sample": [0, 0]}), np.ones((2, 5)))
    odd.warn("maps.tsv")
    assert caplog.text == "" and odd.classes == 1


def test_maps_that_were_rounded_when_they_were_saved_are_said(caplog):
    rng = np.random.default_rng(0)
    maps = rng.normal(size=(4, 500))
    rows = pd.DataFrame({"sample": range(4)})
    for saved in ((1e-7 * maps).astype(np.float16), maps.astype(np.int8), maps > 1, maps[:, :40].astype(np.int8)):
        odd = Oddities(halves=False)
        odd.add(rows, saved.astype(np.float64))
        odd.warn("maps.tsv")
        assert odd.rounded == (4 if saved.shape[1] == 500 else 0)
    assert "4 maps have fewer than 16 different sizes" in caplog.text
    for saved in (maps.astype(np.float16), (1e3 * maps).astype(np.int16)):
        odd = Oddities(halves=False)
        odd.add(rows, saved.astype(np.float64))
        assert odd.rounded == 0


def test_constant_maps_and_maps_of_zero_are_taken(folder):
    np.save(folder / "all.npy", np.zeros((18, *SHAPE)))
    assert [rows["scale"].max() for rows, _ in maps_of(folder)] == [0, 0]


def test_nan_is_zero_where_the_config_says_so(folder):
    values = VALUES.copy()
    values[4, 0, 0, 0] = np.nan
    np.save(folder / "all.npy", values)
    (_, maps), _ = maps_of(folder, nan="zero")
    assert maps[4, 0] == 0
    assert "all.npy, row 4: 1 voxels are NaN or infinite" in unfit(folder)


def test_what_saving_leaves_of_zero_is_no_sign(folder):
    values = np.abs(VALUES)
    values[3, 0, 0, 0] = -1e-7
    np.save(folder / "all.npy", values)
    assert min(maps.min() for _, maps in maps_of(folder, signed=False)) == 0


def test_the_files_of_a_sheet_are_those_that_are_read(folder):
    sheet = read_sheet(write(folder, lines()), SAMPLES)
    assert files(sheet) == [str(folder / "all.npy")]
    for ending in ("hdr", "img"):
        (folder / f"pair.{ending}").touch()
    assert files(sheet.assign(image=str(folder / "pair.hdr"))) == [str(folder / f"pair.{e}") for e in ("hdr", "img")]


def test_numbers_of_samples_that_may_have_shifted_are_refused():
    was, other = ([1, 2, 3, 4], "was"), ([1, 2, 3, 4], "other")
    before = {"maps.tsv": was, "samples.tsv": was, "a.npy": was}
    check_numbers("maps.tsv", "samples.tsv", {}, before)
    check_numbers("maps.tsv", "samples.tsv", before, {**before, "a.npy": other})
    check_numbers("maps.tsv", "samples.tsv", before, {**before, "maps.tsv": other, "samples.tsv": other})
    with pytest.raises(DataError, match=r"maps.tsv: calls samples by their numbers, and samples.tsv is another one"):
        check_numbers("maps.tsv", "samples.tsv", before, {**before, "samples.tsv": other})


# What cannot be used


def replaced(line, place, cell):
    cells = lines()
    cells[line][place] = cell
    return cells


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (
            replaced(4, 1, "100307"),
            "line 6: no such sample. Write what the column `image` of the",
        ),
        (replaced(4, 1, "03"), "line 6: no such sample"),
        (replaced(4, 1, "9"), "(0 to 8; 0 is the first below the header)"),
        (replaced(4, 1, "1"), "line 6: sample 1 is a train map, and agreement is that of test maps"),
        (replaced(4, 2, "rigth"), "line 6: no class 'rigth'; did you mean 'right'?"),
        (replaced(4, 2, "left"), "line 6: sample 4 for class 'left' again, as in line 5"),
        (replaced(4, 0, ""), "line 6: a stack. Say in the column `row`"),
        (replaced(4, 0, "-1"), "line 6: a stack. Say in the column `row`"),
        (replaced(4, 0, "100307x"), "line 6: a stack. Say in the column `row`"),
        (lines()[1:], "1 of 6 samples have no map for their own class: 3 (class left). Add those lines."),
        (lines()[:-1], "1 of 6 samples have no map for their own class: 8 (class right)"),
        (lines()[:-2] + lines()[-1:], "1 of 6 samples have maps for some or none of the other 2 classes"),
        (own_class(lines())[:3] + lines()[9:], "3 of 6 samples have maps for some or none of the other 2 classes"),
        ([], "no lines below the header"),
    ],
)
def test_a_line_that_is_wrong_is_named(folder, cells, words):
    message = refusal(folder, cells)
    assert words in message
    assert "100307" not in message


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"header": "image\trow\tsample\tclass"}, "has no column 'target'"),
        ({"header": "image\tlabel\tsample\ttarget"}, "unknown column 'label'"),
        ({"header": "image,row,sample,target"}, "cells seem to be separated by commas"),
        ({"image": "none.npy"}, "line 2: /none.npy: no such file. Paths are relative to the sheet"),
        ({"image": ""}, "line 2: empty 'image'"),
        ({"image": "maps.tsv"}, "line 2: a row, but no stack"),
    ],
)
def test_a_sheet_that_is_wrong_is_named(folder, form, words):
    assert words in refusal(folder, lines(), **form)


def test_samples_that_are_not_those_explained_are_refused(folder, caplog):
    sheet = read_sheet(write(folder, lines()), SAMPLES)
    check_explained("maps.tsv", sheet, TESTED, TESTED["sample"], SAMPLES)
    with pytest.raises(DataError, match=r"line 11: sample 6 is not among the 3 test maps that are explained"):
        check_explained("maps.tsv", sheet, TESTED[:3], TESTED["sample"], SAMPLES)
    with pytest.raises(DataError, match=r"no maps of 2 of the 6 test maps .*: 3 \(class left\), 4 \(class rest\)\."):
        check_explained("maps.tsv", sheet[6:], TESTED, TESTED["sample"], SAMPLES)
    assert not caplog.records
    # Of a subject that was skipped: no fault of the sheet's.
    check_explained("maps.tsv", sheet, TESTED[:3], TESTED["sample"][:3], SAMPLES)
    assert "9 lines of maps that were skipped are not used" in caplog.text


def nifti(folder, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values, affine), folder / "one.nii.gz")
    return [["", sample, target] for _, sample, target in lines()]


def test_another_grid_is_refused_with_both_in_words(folder):
    message = unfit(folder, nifti(folder, VALUES[0], np.diag([3.0, 3, 3, 1])), image="one.nii.gz")
    assert "one.nii.gz: grid (3, 4, 2) voxels of [3.0, 3.0, 3.0] mm" in message
    assert "differs from the dataset's (3, 4, 2) voxels of [2.0, 2.0, 2.0] mm, axes LAS" in message
    moved = AFFINE + np.eye(4)[:, [0]] * np.eye(4)[3] * 2
    assert "Resample" in unfit(folder, nifti(folder, VALUES[0], moved), image="one.nii.gz")


def test_a_map_that_is_no_image_is_refused(folder):
    (folder / "one.nii.gz").write_text("nothing of the kind")
    cells = [["", sample, target] for _, sample, target in lines()]
    assert "not a readable NIfTI" in unfit(folder, cells, image="one.nii.gz")


def test_negative_values_of_maps_without_signs_are_refused(folder):
    words = r"all.npy, row 0: has negative values \(to -\d\.\d+\), and the config says `signed: false`"
    assert re.search(words, unfit(folder, signed=False))


class Touch:
    """Unpickled, it would leave a trace."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (VALUES[:, :2], "shape (18, 2, 4, 2); a stack of the dataset's maps has (n, 3, 4, 2) or (n, 24)"),
        (VALUES[0], "shape (3, 4, 2); a stack"),
        (VALUES[:3], "row 17 is asked for, and it has 3 (0 to 2)"),
        (VALUES.astype(complex), "holds complex128, not one real number a voxel"),
        (VALUES.reshape(18, -1)[:, MASK.ravel()], "values of the brain alone: nilearn.masking.unmask"),
    ],
)
def test_a_stack_of_another_shape_or_type_is_refused(folder, array, words):
    np.save(folder / "all.npy", array)
    message = unfit(folder, grid=Grid(MASK, AFFINE))
    assert words in message
    assert str(folder / "all.npy") in message


def test_nothing_is_unpickled(folder):
    trace = folder / "trace"
    np.save(folder / "all.npy", np.array([Touch(str(trace))] * 18, dtype=object), allow_pickle=True)
    assert "no Python objects are read" in unfit(folder)
    assert not trace.exists()


@pytest.mark.parametrize("part", [slice(0, -100), slice(0, 20), slice(2, None), slice(0, 0)])
def test_a_damaged_stack_is_refused(folder, part):
    (folder / "all.npy").write_bytes((folder / "all.npy").read_bytes()[part])
    assert "all.npy: no stack of maps (" in unfit(folder)
