import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.config.data import Split
from truemap.data.samples import COLUMNS, SPLITS, assign_splits, check, first_of_train, read, read_family, shard, write
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError

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


@st.composite
def families(draw):
    """Subject -> family of a cohort of which some subjects are not listed, and the number of subjects."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=3, max_size=30))
    family = [number for number, size in enumerate(sizes) for _ in range(size)]
    family = draw(st.permutations(family))
    listed = {f"{subject:04d}": f"family {number}" for subject, number in enumerate(family)}
    alone = {subject for subject in listed if draw(st.booleans()) and family.count(family[int(subject)]) == 1}
    return {subject: number for subject, number in listed.items() if subject not in alone}, len(family)


def subjects_of(split):
    return np.array([sum(value == name for value in split.values()) for name in SPLITS])


@quick
@given(families(), st.tuples(*[st.floats(0.05, 1)] * 3), st.integers(0, 3))
def test_no_family_is_torn_and_shares_are_right_to_one_familys_size(family, shares, seed):
    family, count = family
    shares = dict(zip(SPLITS, np.array(shares) / sum(shares), strict=True))
    split = split_of(assign_splits(cohort(count), shares, seed, family))
    of_family = pd.Series(split).groupby([family.get(subject, subject) for subject in split]).nunique()
    assert (of_family == 1).all()
    assert set(split.values()) == set(SPLITS)
    wanted = subjects_of(split_of(assign_splits(cohort(count), shares, seed)))
    largest = pd.Series(list(family.values()) or ["alone"]).value_counts().max()
    # Where a share is smaller than a family, it may have to be exceeded so that no split is empty.
    if wanted.min() > largest:
        assert np.abs(subjects_of(split) - wanted).max() <= largest


@quick
@given(families())
def test_no_cut_of_the_shuffled_families_comes_closer_to_the_shares(family):
    family, count = family
    shares = {"train": 0.6, "validation": 0.2, "test": 0.2}
    found = split_of(assign_splits(cohort(count), shares, 0, family))
    wanted = subjects_of(split_of(assign_splits(cohort(count), shares, 0)))
    key = {subject: family.get(subject, subject) for subject in found}
    # The order that the families were shuffled into: as without families, of one subject each.
    first = pd.Series(key).reset_index().groupby(0)["index"].min()
    order = sorted(first)
    np.random.default_rng(derive_seed(0, "split")).shuffle(order)
    sizes = [sum(value == key[subject] for value in key.values()) for subject in order]
    errors = [
        np.abs(np.array([sum(sizes[:i]), sum(sizes[i:j]), sum(sizes[j:])]) - wanted).sum()
        for i, j in itertools.combinations(range(1, len(sizes)), 2)
    ]
    assert np.abs(subjects_of(found) - wanted).sum() == min(errors)


def test_families_by_other_names_in_another_order_give_the_same_split():
    family = {f"{subject:04d}": f"f{subject // 3}" for subject in range(30)}
    first = split_of(assign_splits(cohort(40), PAPER, 0, family))
    renamed = {subject: "xyz" + name[::-1] for subject, name in reversed(family.items())}
    samples = cohort(40).sample(frac=1, random_state=1)
    assert split_of(assign_splits(samples, PAPER, 0, renamed)) == first
    assert split_of(assign_splits(samples, PAPER, 1, renamed)) != first


@quick
@given(st.integers(3, 40), st.integers(0, 5))
def test_families_of_one_change_no_split(subjects, seed):
    family = {f"{subject:04d}": str(subject) for subject in range(0, subjects, 2)}
    expected = assign_splits(cohort(subjects), PAPER, seed)
    pd.testing.assert_frame_equal(assign_splits(cohort(subjects), PAPER, seed, family), expected)


def test_splits_are_those_of_the_version_before_families():
    split = split_of(assign_splits(cohort(9), {"train": 0.5, "validation": 0.25, "test": 0.25}, 0))
    subjects = sorted(split)
    np.random.default_rng(derive_seed(0, "split")).shuffle(subjects)
    assert [split[subject] for subject in subjects] == ["train"] * 5 + ["validation"] * 2 + ["test"] * 2


def test_an_unlisted_subject_is_not_in_a_family_of_its_name():
    # Of three subjects two are a family: with the third one that would be one family only.
    with pytest.raises(DataError, match="3 subjects of 2 families"):
        assign_splits(cohort(3), PAPER, 0, {"0001": "0000", "0002": "0000"})


def test_two_families_cannot_be_split_in_three():
    with pytest.raises(DataError, match="6 subjects of 2 families"):
        assign_splits(cohort(6), PAPER, 0, {f"{subject:04d}": str(subject % 2) for subject in range(6)})


def test_a_given_split_that_tears_a_family_is_refused_and_names_no_relative():
    samples = whole_cohort()
    with pytest.raises(DataError, match=r"0001/.*: its subject's family is in the splits") as caught:
        assign_splits(samples, PAPER, 0, {"0001": "Smith", "0002": "Smith"})
    assert "Smith" not in str(caught.value)
    assert "0002" not in str(caught.value)
    pd.testing.assert_frame_equal(assign_splits(samples, PAPER, 0, {"0001": "Smith", "9999": "Smith"}), samples)


def family_file(folder, text):
    path = folder / "family.tsv"
    path.write_text(text)
    return path


def test_families_are_read_by_name_of_column(tmp_path):
    path = family_file(tmp_path, "zygosity\tfamily\tsubject\nMZ\tNA\t0001\nMZ\tNA\t0002\n\nDZ\t7\t0003\nDZ\t7\t0003\n")
    assert read_family(path, ["0001"]) == {"0001": "NA", "0002": "NA", "0003": "7"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("subject\tFamily_ID\n0001\tSmith\n", "has no column 'family'"),
        ("0001\tSmith\n", "has no column 'subject'"),
        ("subject,family\n0001,Smith\n", "line 1: has no tab; cells seem to be separated by commas"),
        ("subject\tfamily\n0002\tSmith\n0001\t\n", "line 3: empty 'family'"),
        ("subject\tfamily\n0001\tSmith\n\n0001\tJones\n", "line 4: its subject is in another family"),
        ("subject\tfamily\n0001\tSmith\tJones\n", "more cells than the header"),
        ("subject\tfamily\nsub-0001\tSmith\n", "lists none of the 1 subjects"),
        ("", "cannot be read"),
    ],
)
def test_a_bad_list_of_families_is_refused_and_nobody_named(tmp_path, text, message):
    with pytest.raises(DataError, match=rf"family\.tsv.*{message}") as caught:
        read_family(family_file(tmp_path, text), ["0001"])
    assert not {"0001", "0002", "Smith", "Jones"} & set(str(caught.value).replace("'", " ").split())


def test_a_blank_after_a_name_tears_no_family(tmp_path):
    path = family_file(tmp_path, "subject \t family\n0001\tF1\n 0002\tF1 \n0003\u00a0\tF\u00a01\n")
    assert read_family(path, ["0001"], ["0002", "0003"]) == {"0001": "F1", "0002": "F1", "0003": "F 1"}


@pytest.mark.parametrize(("written", "meant"), [("1", "0001"), ("S01", "s01"), ("sub–01", "sub-01")])
def test_a_subject_written_otherwise_than_in_the_samples_is_refused_by_its_line(tmp_path, written, meant):
    path = family_file(tmp_path, f"subject\tfamily\nx\tSmith\n{written}\tSmith\n")
    with pytest.raises(DataError, match=r"family\.tsv, line 3: its subject is one of the dataset's but for") as caught:
        read_family(path, ["x", meant])
    assert not {written, meant, "Smith"} & set(str(caught.value).replace("'", " ").split())


def test_rows_of_strangers_are_counted_and_nobody_named(tmp_path, caplog):
    path = family_file(tmp_path, "subject\tfamily\nann\tSmith\nbob\tSmith\neve\tJones\n")
    read_family(path, ["ann"], ["bob"])
    assert "1 of its 3 subjects are none of this dataset's" in caplog.text
    caplog.clear()
    read_family(path, ["ann"], ["bob", "eve"])
    assert not caplog.records


def test_families_that_look_alike_are_warned_of_by_their_lines(tmp_path, caplog):
    path = family_file(tmp_path, "subject\tfamily\nann\tSmith\nbob\tJones\neve\tsmith\n")
    read_family(path, ["ann", "bob", "eve"])
    assert "families of lines [2, 4] differ by case" in caplog.text
    assert "mith" not in caplog.text.replace(str(path), "")


def test_a_missing_list_of_families_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"family\.tsv: cannot be read"):
        read_family(tmp_path / "family.tsv", ["0001"])


def test_the_first_training_subjects_are_given_with_their_images():
    samples = cohort(5, "train")
    samples.loc[samples["subject"] == "0000", "split"] = "test"
    first = first_of_train(samples, 2, images=3)
    assert first == [samples.loc[samples["subject"] == s, "image"].tolist()[:3] for s in ("0001", "0002")]
    alone = samples.assign(subject="", split="train")
    assert first_of_train(alone, 2, images=3) == [alone["image"].tolist()[:3], alone["image"].tolist()[3:6]]


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
