import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.config import Split
from truemap.files import DataError
from truemap.samples import COLUMNS, SPLITS, assign_splits, check, read, shard, write

quick = settings(deadline=None, max_examples=60)
PAPER = Split().model_dump()


def cohort(subjects, split=""):
    """Samples of so many subjects, with two maps of each of two classes."""
    rows = [
        {
            "image": f"{subject:04d}/{label}/{condition}.nii",
            "subject": f"{subject:04d}",
            "label": label,
            "condition": condition,
            "negated": condition == "NEG",
            "split": split,
        }
        for subject, label, condition in itertools.product(range(subjects), "AB", ["POS", "NEG"])
    ]
    return pd.DataFrame(rows)


def whole_cohort():
    """Samples that pass every check: subjects 0, 1 and 2, each in a split of its own."""
    samples = cohort(3)
    return samples.assign(split=[SPLITS[int(subject)] for subject in samples["subject"]])


def split_of(samples):
    """Subject -> split, one split a subject."""
    by_subject = samples.groupby("subject")["split"]
    assert (by_subject.nunique() == 1).all()
    return by_subject.first().to_dict()


def test_965_subjects_are_split_as_in_the_paper():
    counts = pd.Series(split_of(assign_splits(cohort(965), PAPER, 0))).value_counts().to_dict()
    assert counts == {"train": 790, "validation": 87, "test": 88}


def test_the_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    samples = cohort(40)
    first = split_of(assign_splits(samples, PAPER, 0))
    assert split_of(assign_splits(samples, PAPER, 0)) == first
    assert split_of(assign_splits(samples.sample(frac=1, random_state=1), PAPER, 0)) == first
    assert split_of(assign_splits(samples, PAPER, 1)) != first


def test_subjects_are_not_split_by_their_order():
    split = split_of(assign_splits(cohort(100), {"train": 0.5, "validation": 0.25, "test": 0.25}, 0))
    ranks = [int(subject) for subject in split if split[subject] == "train"]
    assert 0.3 < np.mean(ranks) / 100 < 0.7


@quick
@given(st.integers(3, 40), st.tuples(*[st.floats(0.01, 1)] * 3))
def test_every_split_has_a_subject_and_every_subject_a_split(subjects, shares):
    shares = dict(zip(SPLITS, np.array(shares) / sum(shares), strict=True))
    split = split_of(assign_splits(cohort(subjects), shares, 0))
    assert len(split) == subjects
    assert set(split.values()) == set(SPLITS)


def test_splits_that_the_source_gives_are_kept():
    samples = whole_cohort()
    pd.testing.assert_frame_equal(assign_splits(samples, PAPER, 0), samples)


def test_a_split_for_some_maps_only_is_refused():
    samples = whole_cohort()
    samples.loc[5, "split"] = ""
    with pytest.raises(DataError, match=f"{samples['image'][5]}: has no split"):
        assign_splits(samples, PAPER, 0)


def test_two_subjects_cannot_be_split_in_three():
    with pytest.raises(DataError, match=r"2 subject\(s\)"):
        assign_splits(cohort(2), PAPER, 0)


def test_good_samples_pass():
    check(whole_cohort())
    check(whole_cohort().assign(subject=""))


def test_an_unknown_split_is_refused_with_its_file():
    samples = whole_cohort()
    samples.loc[4, "split"] = "testing"
    with pytest.raises(DataError, match=f"{samples['image'][4]}: unknown split 'testing'"):
        check(samples)


def test_the_same_map_of_a_subject_twice_is_refused_with_both_files():
    samples = whole_cohort()
    again = samples.iloc[[6]].assign(image="again.nii")
    with pytest.raises(DataError) as caught:
        check(pd.concat([samples, again], ignore_index=True))
    assert samples["image"][6] in str(caught.value)
    assert "again.nii" in str(caught.value)


def test_a_file_listed_twice_is_refused_by_name():
    samples = whole_cohort()
    samples.loc[7, "image"] = samples["image"][2]
    with pytest.raises(DataError, match=f"{samples['image'][2]}: listed twice"):
        check(samples)


def test_a_subject_in_two_splits_is_refused_with_a_file_of_it():
    samples = whole_cohort()
    samples.loc[5, "split"] = "test"
    with pytest.raises(DataError, match=r"0001/.*: its subject is in the splits (validation, test|test, validation)"):
        check(samples)


def test_one_class_is_too_few():
    samples = whole_cohort()
    with pytest.raises(DataError, match="all 6 maps have the label 'A'"):
        check(samples[samples["label"] == "A"])


def test_no_samples_at_all_are_refused():
    with pytest.raises(DataError):
        check(whole_cohort().iloc[:0])


@pytest.mark.parametrize("split", SPLITS)
def test_a_class_missing_from_a_split_is_refused_with_both_names(split):
    samples = whole_cohort()
    with pytest.raises(DataError, match=f"no map of class B in the split '{split}'"):
        check(samples[(samples["split"] != split) | (samples["label"] != "B")])


def test_the_table_comes_back_sorted_and_numbered(tmp_path):
    samples = whole_cohort().assign(label=lambda table: table["label"].replace("A", "NA"))
    write(tmp_path / "one.tsv", samples)
    write(tmp_path / "other.tsv", samples.sample(frac=1, random_state=1))
    assert (tmp_path / "one.tsv").read_bytes() == (tmp_path / "other.tsv").read_bytes()
    table = read(tmp_path / "one.tsv")
    assert list(table.columns) == list(COLUMNS)
    assert list(table.index) == list(range(len(samples)))
    assert list(table["split"].unique()) == list(SPLITS)
    order = samples.assign(rank=samples["split"].map(SPLITS.index)).sort_values(
        ["rank", "subject", "label", "condition"]
    )
    pd.testing.assert_frame_equal(table, order[list(COLUMNS)].reset_index(drop=True), check_dtype=False)


@quick
@given(st.integers(1, 12), st.integers(1, 5), st.booleans())
def test_shards_partition_a_split_and_tear_no_subject(subjects, count, named):
    samples = cohort(subjects, "test")
    samples = samples if named else samples.assign(subject="")
    parts = [shard(samples, "test", number, count) for number in range(count)]
    pd.testing.assert_frame_equal(pd.concat(parts).sort_index(), samples)
    if named:
        for one, other in itertools.combinations(parts, 2):
            assert not set(one["subject"]) & set(other["subject"])
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= (4 if named else 1)


def test_a_shard_holds_its_split_only():
    assert set(shard(whole_cohort(), "validation", 0, 1)["subject"]) == {"0001"}
