import os

import pandas as pd
import pytest

from truemap.data.designs import check_copies, check_files, check_truth, warn_alike
from truemap.data.samples import check
from truemap.runtime.files import DataError


def rows(*entries, columns=("image", "subject", "label", "split")):
    table = pd.DataFrame([entry.split() for entry in entries], columns=list(columns))
    return table.assign(condition=[f"c{n}" for n in range(len(table))], negated=False)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    for name in ("x.nii", "y.nii"):
        (tmp_path / name).write_text(name)
    (tmp_path / "link.nii").symlink_to("x.nii")
    os.link(tmp_path / "x.nii", tmp_path / "hard.nii")
    (tmp_path / "other").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["sub/../x.nii", "./x.nii", "/x.nii", "link.nii", "hard.nii", "other/x.nii", "relative"]
)
def test_one_file_by_two_names_is_refused_with_both(folder, name):
    other = os.path.relpath(folder / "x.nii") if name == "relative" else f"{folder}/{name}"
    samples = rows(f"{folder}/x.nii s1 A train", f"{folder}/y.nii s1 B train", f"{other} s2 A test")
    for refuse in (check_files, check):
        with pytest.raises(DataError, match="the same file") as caught:
            refuse(samples)
        assert f"{folder}/x.nii and {other}: " in str(caught.value)
    check_files(samples.iloc[:2])


def test_missing_files_and_names_that_are_no_files_are_told_apart_by_name(folder):
    check_files(rows("synthetic/A/1 s A test", "synthetic/A/2 s A test", "s3://b/k s A test", "s3://b//k2 s A test"))
    with pytest.raises(DataError, match="the same file"):
        check_files(rows(f"{folder}/gone.nii s1 A test", f"{folder}/other/gone.nii s2 A test"))


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("s1 A train", "two subjects"),
        ("s2 A train", "two subjects"),
        ("s1 A test", "two splits"),
    ],
)
def test_equal_content_of_two_subjects_or_in_two_splits_is_refused_with_both_images(where, place):
    samples = rows("a.nii s1 A train", "b.nii s1 B train", f"copy.nii {where}", "d.nii s3 A test")
    checksums = {"a.nii": "1", "b.nii": "2", "copy.nii": "1", "d.nii": "3"}
    if where == "s1 A train":
        samples.loc[0, "subject"] = "s9"
    with pytest.raises(DataError, match=rf"a\.nii and copy\.nii: identical content .*{place}, 1 such"):
        check_copies(samples, checksums)
    check_copies(samples, {**checksums, "copy.nii": "4"})


def test_equal_content_in_two_splits_is_refused_where_there_are_no_subjects():
    samples = rows("a.nii - A train", "b.nii - A test").assign(subject="")
    with pytest.raises(DataError, match=r"a\.nii and b\.nii.*two splits"):
        check_copies(samples, {"a.nii": "1", "b.nii": "1"})


def test_content_that_a_subject_lists_twice_is_a_warning(caplog):
    samples = rows("a.nii s1 A train", "b.nii s1 B train", "c.nii s1 A train")
    check_copies(samples, {"a.nii": "1", "b.nii": "1", "c.nii": "2"})
    assert "2 maps have the same content" in caplog.text
    assert "a.nii and b.nii (classes A and B)" in caplog.text


def test_no_checksum_empty_files_and_sign_flips_of_one_file_are_no_copies(caplog):
    nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    samples = rows(
        "a s1 A train", "b s2 A test", "c s1 A train", "d s2 A test", "e s3 A test", "f s3 A test", "g s3 B test"
    )
    samples.loc[5, "negated"] = True
    check_copies(samples, {"a": "", "b": "", "c": nothing, "d": nothing, "e": "1", "f": "1"})
    assert not caplog.records


def test_one_class_a_subject_is_refused_with_what_would_be_needed():
    samples = rows(*(f"{n}.nii s{n} {'AB'[n % 2]} test" for n in range(6)))
    with pytest.raises(DataError, match=r"none of the 6 test subjects has maps of two classes.*no truth.*Give"):
        check_truth(samples)


def test_one_map_a_subject_is_such_a_design_too():
    with pytest.raises(DataError, match="none of the 1 test subjects has chosen maps of two classes"):
        check_truth(rows("a.nii s1 A test"), "chosen maps")


def test_subjects_and_classes_without_truth_are_counted_and_nobody_named(caplog):
    check_truth(rows("a who1 A test", "b who1 B test", "c who2 A test", "d who3 C test", "e who1 A test"))
    assert "2 of 3 test subjects have maps of one class only" in caplog.text
    assert "no truth for class C: " in caplog.text
    assert "who" not in caplog.text


def test_without_negated_maps_or_the_map_itself_truth_may_be_gone(caplog):
    check_truth(rows("a s1 A test", "b s1 B test").assign(negated=[False, True]))
    assert "`no_negated` has no truth" in caplog.text
    assert "no test subject has two maps of one class" in caplog.text


def test_a_whole_design_and_one_without_subjects_pass_without_a_word(caplog):
    whole = rows(*(f"{s}{label}{n} s{s} {label} test" for s in range(3) for label in "AB" for n in range(2)))
    check_truth(whole)
    check_truth(whole.assign(subject="", label="A"))
    check_truth(whole.iloc[:0])
    assert not caplog.records


def test_names_that_look_alike_are_warned_of(caplog):
    samples = rows("a 01 Faces train", "b 1 faces train", "c 02 houses test")
    warn_alike(samples.assign(condition=["run-1", "run–1", "rest"]))
    for said in ("labels look like others", "'Faces' and 'faces'", "'01' and '1'", "'run-1' and 'run–1'"):
        assert said in caplog.text
    caplog.clear()
    warn_alike(samples.iloc[1:])
    assert not caplog.records
