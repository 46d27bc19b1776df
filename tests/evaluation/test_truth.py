import numpy as np
import pandas as pd
import pytest
from held import most_held
from hypothesis import given, settings
from hypothesis import strategies as st

from truemap.data.conditions import condition_sets
from truemap.data.maps import MapWriter
from truemap.data.rows import subject_blocks
from truemap.data.volumes import Volumes
from truemap.evaluation.truth import FLIP, OwnMaps, SubjectTruths, Truth, class_means, write_class_means
from truemap.runtime.files import DataError

VOXELS = 24


def rows_of(*entries, subject="s1"):
    """(label, negated) of each map."""
    return pd.DataFrame(entries, columns=["label", "negated"]).assign(subject=subject)


def maps_of(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, VOXELS))


def means_of(rows, maps, chosen=()):
    """Class means where the subject is all of the dataset."""
    return class_means(rows, maps, condition_sets(rows["negated"], chosen), chosen)


def truths(rows, maps, average="classes"):
    """Condition set -> Truth of one subject."""
    table, means = means_of(rows, maps)
    return {name: Truth(part, means[part.index], average) for name, part in table.groupby("conditions")}


def hcp_like():
    """Two tasks that come with exact sign flips, as HCP's relational and emotion do, and one without."""
    a, b, c, w, v = maps_of(5)
    pairs = [("REL", False), ("REL", False), ("REL", True), ("REL", True),
             ("EMO", False), ("EMO", True), ("WM", False), ("WM", False)]  # fmt: skip
    return rows_of(*pairs), np.stack([a, b, -a, -b, c, -c, w, v]), {"REL": (a + b) / 2, "EMO": c, "WM": (w + v) / 2}


def test_class_means_are_means_of_a_classes_maps():
    maps = maps_of(5)
    table, means = means_of(rows_of(*[(label, False) for label in "babca"]), maps)
    assert list(table["label"]) == ["a", "b", "c"]
    assert list(table["n"]) == [2, 2, 1]
    assert set(table["conditions"]) == {"all"}
    np.testing.assert_allclose(means, [(maps[1] + maps[4]) / 2, (maps[0] + maps[2]) / 2, maps[3]], rtol=1e-12)
    np.testing.assert_allclose(table["scale"], np.sqrt(np.mean([np.std(row) ** 2 for row in maps])), rtol=1e-12)


def test_class_means_of_float16_maps_are_summed_in_float64():
    maps = np.full((4096, VOXELS), 20.0, dtype=np.float16)
    maps[0] = np.arange(VOXELS)
    _, means = means_of(rows_of(*[("a", False)] * 4096), maps)
    np.testing.assert_array_equal(means[0], (20.0 * 4095 + np.arange(VOXELS)) / 4096)


def test_both_condition_sets_are_made_only_where_maps_are_negated():
    assert condition_sets(pd.Series([False, True])) == ["all", "no_negated"]
    assert condition_sets(pd.Series([False, False])) == ["all"]
    rows, maps, _ = hcp_like()
    table, _ = means_of(rows, maps)
    assert dict(zip(zip(table["conditions"], table["label"], strict=True), table["n"], strict=True)) == {
        ("all", "EMO"): 2, ("all", "REL"): 4, ("all", "WM"): 2,
        ("no_negated", "EMO"): 1, ("no_negated", "REL"): 2, ("no_negated", "WM"): 2,
    }  # fmt: skip


def test_informative_is_the_class_minus_the_average_and_pairwise_target_minus_class():
    a, b, c = maps_of(3)
    truth = truths(rows_of(("a", False), ("b", False), ("c", False)), np.stack([a, b, c]))["all"]
    np.testing.assert_allclose(truth.informative("a"), a - (a + b + c) / 3, atol=1e-14)
    np.testing.assert_allclose(truth.pairwise("a", "b"), b - a, atol=1e-14)
    for pair, expected in ((("c", "c"), c - (a + b + c) / 3), (("c", "a"), a - c)):
        values, reason = truth.of(*pair)
        np.testing.assert_allclose(values, expected, atol=1e-14)
        assert reason == ""


def test_average_is_of_classes_or_of_maps():
    a, b, c, d = maps_of(4)
    rows, maps = rows_of(("a", False), ("a", False), ("a", False), ("b", False)), np.stack([a, b, c, d])
    first = (a + b + c) / 3
    by_class, by_map = (truths(rows, maps, average)["all"] for average in ("classes", "maps"))
    np.testing.assert_allclose(by_class.informative("a"), first - (first + d) / 2, atol=1e-14)
    np.testing.assert_allclose(by_map.informative("a"), first - (a + b + c + d) / 4, atol=1e-14)
    np.testing.assert_allclose(by_class.pairwise("a", "b"), by_map.pairwise("a", "b"), atol=1e-14)


def test_exact_sign_flips_leave_no_pairwise_truth_and_two_classes_that_coincide():
    rows, maps, _ = hcp_like()
    truth = truths(rows, maps)["all"]
    for pair in (("REL", "EMO"), ("EMO", "REL")):
        values, reason = truth.of(*pair)
        assert values is None
        assert reason.startswith("no truth")
    np.testing.assert_allclose(truth.of("REL", "REL")[0], truth.of("EMO", "EMO")[0], atol=1e-14)
    assert truth.of("REL", "WM")[1] == truth.of("WM", "WM")[1] == ""


def test_sign_flips_that_cancel_up_to_rounding_are_no_truth_either():
    rows, maps, _ = hcp_like()
    maps = maps + 1e-8 * maps_of(len(maps), seed=1)
    assert truths(rows, maps)["all"].of("REL", "EMO")[1].startswith("no truth")
    assert truths(rows, 1e9 * maps)["all"].of("REL", "EMO")[1].startswith("no truth")


def test_a_small_truth_is_a_truth():
    """The floor is a share of the maps' own spread: units do not matter."""
    base, change = maps_of(2)
    for unit in (1.0, 1e-12):
        maps = unit * np.stack([base, base + 1e-3 * change])
        values, _ = truths(rows_of(("a", False), ("b", False)), maps)["all"].of("a", "b")
        np.testing.assert_allclose(values, unit * 1e-3 * change, rtol=1e-6)


def test_without_negated_maps_the_same_classes_have_a_truth():
    rows, maps, expected = hcp_like()
    truth = truths(rows, maps)["no_negated"]
    np.testing.assert_allclose(truth.of("REL", "EMO")[0], expected["EMO"] - expected["REL"], atol=1e-14)
    mean = sum(expected.values()) / 3
    for label, values in expected.items():
        np.testing.assert_allclose(truth.of(label, label)[0], values - mean, atol=1e-14)


@pytest.mark.parametrize("pair", [("a", "z"), ("z", "a")])
def test_a_class_the_subject_has_no_map_of_is_named(pair):
    truth = truths(rows_of(("a", False), ("b", False)), maps_of(2))["all"]
    assert truth.of(*pair) == (None, "the subject has no map of class z")


def test_truth_is_each_subjects_own_and_comes_back_from_its_file(tmp_path):
    table = pd.concat([rows_of(("a", False), ("b", False)), rows_of(("b", False), ("a", False), subject="s2")],
                      ignore_index=True)  # fmt: skip
    maps = maps_of(4).astype(np.float32)
    write_class_means(tmp_path / "means.parquet", Volumes([maps.reshape(4, 2, 3, 4)], table), None)
    found = SubjectTruths(tmp_path / "means.parquet", "classes")
    assert set(found) == {("s1", "all"), ("s2", "all")}
    np.testing.assert_allclose(found["s1", "all"].of("a", "b")[0], maps[1] - maps[0], atol=1e-6)
    np.testing.assert_allclose(found["s2", "all"].of("a", "b")[0], maps[2] - maps[3], atol=1e-6)


def test_rows_of_a_subject_need_not_be_together(tmp_path):
    table = pd.DataFrame({"subject": ["s1", "s2"] * 2, "label": list("aabb"), "negated": False})
    maps = maps_of(4).astype(np.float32)
    write_class_means(tmp_path / "means.parquet", Volumes([maps[:3, None], maps[3:, None]], table), None)
    found = SubjectTruths(tmp_path / "means.parquet", "classes")
    np.testing.assert_allclose(found["s2", "all"].of("a", "b")[0], maps[3] - maps[1], atol=1e-6)


def test_templates_are_the_truth_of_all_images(tmp_path):
    """The maps on disk, here noise, are not asked where the source knows the templates."""
    a, b, c = maps_of(3).astype(np.float32)
    templates = {label: values.reshape(2, 3, 4) for label, values in zip("abc", (a, b, c), strict=True)}
    volumes = Volumes([maps_of(5, seed=9).reshape(5, 2, 3, 4)], rows_of(*[("a", False)] * 5, subject=""))
    write_class_means(tmp_path / "means.parquet", volumes, templates)
    found = SubjectTruths(tmp_path / "means.parquet", "classes")
    assert list(found) == [("", "all")]
    np.testing.assert_allclose(found["", "all"].of("b", "b")[0], b - (a + b + c) / 3, atol=1e-6)
    np.testing.assert_allclose(found["", "all"].of("a", "c")[0], c - a, atol=1e-6)


def test_blocks_are_subjects_or_so_many_rows_where_there_are_none():
    table = pd.DataFrame({"subject": ["s2", "s1", "s2", "", "", ""]})
    assert [list(block.index) for block in subject_blocks(table, limit=2)] == [[0, 2], [1], [3, 4], [5]]


def test_truth_keeps_subjects_of_one_row_group_apart(tmp_path):
    """A row group may hold both condition sets, in any order."""
    rows, maps, expected = hcp_like()
    table, means = means_of(rows, maps)
    order = np.random.default_rng(0).permutation(len(table))
    with MapWriter(tmp_path / "means.parquet", VOXELS, "float32") as writer:
        writer.write(table.iloc[order].reset_index(drop=True), means[order])
    found = SubjectTruths(tmp_path / "means.parquet", "maps")["s1", "no_negated"]
    mean = (2 * expected["REL"] + expected["EMO"] + 2 * expected["WM"]) / 5
    np.testing.assert_allclose(found.of("WM", "WM")[0], expected["WM"] - mean, atol=1e-6)


def test_of_a_file_the_truth_of_one_subject_is_held(tmp_path):
    """Classes are known without reading a map, and what is held does not grow with subjects."""
    voxels, held, classes = 50_000, [], {"all": {"a", "b"}, "no_negated": {"a"}}
    for count in (3, 12):
        rows = pd.concat([rows_of(("a", False), ("b", True), subject=f"s{k}") for k in range(count)], ignore_index=True)
        path, maps = tmp_path / f"{count}.parquet", np.random.default_rng(0).random((len(rows), voxels, 1, 1), "f4")
        write_class_means(path, Volumes([maps], rows), None)
        found = SubjectTruths(path, "classes")
        assert most_held(lambda path=path: SubjectTruths(path, "classes")) < 8 * voxels
        assert found.classes == {(f"s{k}", name): some for k in range(count) for name, some in classes.items()}
        held.append(most_held(lambda found=found: [truth.absent for truth in found.values()]))
        for (_, conditions), truth in found.items():
            assert truth.absent.keys() == {"a", "b"} - classes[conditions]
    assert held[1] < 1.2 * held[0]


def own_of(rows, maps):
    return OwnMaps(rows.assign(sample=np.arange(len(rows)) + 70), maps)


def left_out(rows, maps, number, conditions="all", average="classes"):
    """Truth without one map."""
    return own_of(rows, maps).leave_out(truths(rows, maps, average)[conditions], conditions, 70 + number)


def assert_same_truth(found, expected, label):
    """For maps of a class, whatever is explained."""
    for target in "abc":
        a, b = found.of(label, target), expected.of(label, target)
        # That the map explained was the last of its class is known only where it is left out.
        assert a[1] == b[1] or (a[1].startswith("left out: ") and b[1].startswith("the subject has no map"))
        if b[0] is not None:
            np.testing.assert_allclose(a[0], b[0], atol=1e-13)


@pytest.mark.parametrize("average", ["classes", "maps"])
@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=12), st.integers(0, 9))
def test_truth_without_a_map_is_the_truth_of_a_table_without_it(average, entries, seed):
    """Negated maps are here no flips of others."""
    entries = [("a", True), ("b", True), ("a", False), ("b", False), *entries]
    rows, maps = rows_of(*entries), maps_of(len(entries), seed)
    for number, (label, negated) in enumerate(entries):
        rest = np.delete(np.arange(len(entries)), number)
        expected = truths(rows.iloc[rest].reset_index(drop=True), maps[rest], average)
        for conditions in ("all", "no_negated")[: 1 if negated else 2]:
            assert_same_truth(left_out(rows, maps, number, conditions, average), expected[conditions], label)


@pytest.mark.parametrize("average", ["classes", "maps"])
def test_truth_without_a_map_is_without_its_exact_sign_flip_too(average):
    a, b, c, d, w = maps_of(5)
    entries = [("a", False), ("a", True), ("a", False), ("a", True), ("b", False), ("b", False)]
    rows, maps = rows_of(*entries), np.stack([a, -a, b, c, d, w])
    rest = [2, 3, 4, 5]
    expected = truths(rows.iloc[rest].reset_index(drop=True), maps[rest], average)
    for number in (0, 1):
        assert_same_truth(left_out(rows, maps, number, "all", average), expected["all"], "a")
    assert_same_truth(left_out(rows, maps, 0, "no_negated", average), expected["no_negated"], "a")


def test_a_flip_that_stayed_would_be_the_map_turned_round():
    """All maps of both classes come with flips: what is left of the class is then zero, and says nothing."""
    x, y, w = maps_of(3)
    rows = rows_of(*[("a", False), ("a", True)] * 2, ("b", False), ("b", True))
    maps = np.stack([x, -x, y, -y, w, -w])
    kept = truths(rows.iloc[1:].reset_index(drop=True), maps[1:])["all"].informative("a")
    assert np.corrcoef(x, kept)[0, 1] == pytest.approx(-1)
    values, reason = left_out(rows, maps, 0).of("a", "a")
    assert values is None
    assert reason.startswith("no truth")


def test_a_class_of_a_map_and_its_flip_has_nothing_left_without_the_map():
    """As HCP's emotion with all conditions; without negated ones it is a class of one map."""
    rows, maps, _ = hcp_like()
    for number, conditions in ((4, "all"), (5, "all"), (4, "no_negated")):
        truth = left_out(rows, maps, number, conditions)
        for target in ("EMO", "REL", "WM"):
            reason = "left out: without the map explained, and its sign flip, there is none of class EMO"
            assert truth.of("EMO", target) == (None, reason)
    assert left_out(rows, maps, 0).of("REL", "WM")[1] == ""


@pytest.mark.parametrize(("share", "out"), [(0.0, True), (0.5, True), (2.0, False), (500.0, False)])
def test_a_flip_is_one_up_to_rounding(share, out):
    """Of a map's peak; stored as float16, and at any scale."""
    a, b, w = maps_of(3)
    for unit, dtype in ((1.0, np.float16), (1e-6, np.float32)):
        flipped = -a
        flipped[3] += share * FLIP * np.abs(a).max()
        rows, maps = rows_of(("a", False), ("a", True), ("a", False), ("b", False)), np.stack([a, flipped, b, w]) * unit
        maps = maps.astype(dtype)
        mean = maps[2].astype(float) if out else maps[[1, 2]].astype(float).mean(axis=0)
        found = left_out(rows, maps, 0).means["a"]
        np.testing.assert_allclose(found, mean, rtol=1e-6, atol=1e-9 * unit)


def test_a_map_of_the_same_sign_that_happens_to_be_a_flip_stays():
    a, w = maps_of(2)
    rows = rows_of(("a", False), ("a", False), ("b", False))
    np.testing.assert_allclose(left_out(rows, np.stack([a, -a, w]), 0).means["a"], -a)


def test_leaving_a_map_out_leaves_the_truth_as_it_was():
    rows, maps = rows_of(("a", False), ("a", False), ("b", False)), maps_of(3)
    truth, own = truths(rows, maps)["all"], own_of(rows, maps)
    before = [truth.of(*pair)[0].copy() for pair in ("aa", "ab", "ba", "bb")]
    for sample in (70, 71, 72, 70):
        own.leave_out(truth, "all", sample)
    for pair, values in zip(("aa", "ab", "ba", "bb"), before, strict=True):
        np.testing.assert_array_equal(truth.of(*pair)[0], values)


def chosen_rows():
    """Conditions A1, A2 and NEG_A1 of class a, B1 and B2 of b, C1 of c."""
    conditions = ["A1", "B1", "NEG_A1", "C1", "A2", "B2"]
    labels = [name.removeprefix("NEG_")[0].lower() for name in conditions]
    negated = [name.startswith("NEG_") for name in conditions]
    return pd.DataFrame({"label": labels, "condition": conditions, "negated": negated, "subject": "s1"})


@pytest.mark.parametrize("average", ["classes", "maps"])
def test_truth_of_chosen_conditions_is_of_their_maps_alone(average):
    rows, maps = chosen_rows(), maps_of(6)
    table, means = means_of(rows, maps, ["A1", "B2", "NEG_A1"])
    assert list(dict.fromkeys(table["conditions"])) == ["all", "no_negated", "chosen"]
    part = table[table["conditions"] == "chosen"]
    assert dict(zip(part["label"], part["n"], strict=True)) == {"a": 2, "b": 1}
    truth = Truth(part, means[part.index], average)
    a, b = (maps[0] + maps[2]) / 2, maps[5]
    mean = (a + b) / 2 if average == "classes" else (2 * a + b) / 3
    np.testing.assert_allclose(truth.of("a", "a")[0], a - mean, atol=1e-14)
    np.testing.assert_allclose(truth.of("a", "b")[0], b - a, atol=1e-14)
    assert truth.of("a", "c") == (None, "the subject has no map of class c")


def test_a_list_of_conditions_leaves_the_other_sets_as_they_are():
    rows, maps = chosen_rows(), maps_of(6)
    table, means = means_of(rows, maps, ["A1", "B2"])
    plain, plain_means = means_of(rows, maps)
    others = table[table["conditions"] != "chosen"]
    pd.testing.assert_frame_equal(others, plain)
    np.testing.assert_array_equal(means[others.index], plain_means)


def test_truth_of_chosen_conditions_leaves_a_map_out():
    rows, maps = chosen_rows(), maps_of(6)
    chosen = ["A1", "A2", "B1", "B2"]
    table, means = means_of(rows, maps, chosen)
    part = table[table["conditions"] == "chosen"]
    own = OwnMaps(rows.assign(sample=np.arange(6) + 70), maps, chosen)
    found = own.leave_out(Truth(part, means[part.index], "classes"), "chosen", 70)
    b = (maps[1] + maps[5]) / 2
    np.testing.assert_allclose(found.pairwise("a", "b"), b - maps[4], atol=1e-14)
    np.testing.assert_allclose(found.informative("a"), maps[4] - (maps[4] + b) / 2, atol=1e-14)


def test_templates_of_classes_that_have_a_chosen_condition_are_their_truth(tmp_path):
    a, b, c = maps_of(3).astype(np.float32)
    templates = {label: values.reshape(2, 3, 4) for label, values in zip("abc", (a, b, c), strict=True)}
    volumes = Volumes([maps_of(6, seed=9).reshape(6, 2, 3, 4)], chosen_rows().assign(subject="", negated=False))
    write_class_means(tmp_path / "means.parquet", volumes, templates, ["A2", "C1"])
    found = SubjectTruths(tmp_path / "means.parquet", "classes")
    assert list(found) == [("", "all"), ("", "chosen")]
    np.testing.assert_allclose(found["", "chosen"].of("c", "c")[0], c - (a + c) / 2, atol=1e-6)
    np.testing.assert_allclose(found["", "all"].of("c", "c")[0], c - (a + b + c) / 3, atol=1e-6)
    assert found["", "chosen"].of("a", "b")[0] is None


@pytest.mark.parametrize("templates", [None, {"a": np.zeros((2, 3, 4))}])
@pytest.mark.parametrize(("chosen", "words"), [(["A1", "B3"], "did you mean 'B2'"), (["A1", "A2"], "of class 'a'")])
def test_conditions_that_cannot_be_used_stop_before_truth_is_written(tmp_path, templates, chosen, words):
    volumes = Volumes([maps_of(6).reshape(6, 2, 3, 4)], chosen_rows())
    with pytest.raises(DataError, match=words):
        write_class_means(tmp_path / "means.parquet", volumes, templates, chosen)
    assert not (tmp_path / "means.parquet").exists()


def two_subjects(labels, conditions):
    """Test maps of subjects s1 and s2, of these classes and conditions each."""
    rows = [
        (who, label, condition) for who in ("s1", "s2") for label, condition in zip(labels, conditions, strict=True)
    ]
    table = pd.DataFrame(rows, columns=["subject", "label", "condition"]).assign(negated=False)
    return Volumes([maps_of(len(table)).reshape(-1, VOXELS, 1, 1)], table)


def test_maps_that_no_truth_can_be_made_of_are_refused_after_bad_ones_were_left_out(tmp_path):
    volumes = two_subjects("aab", "xyz")
    write_class_means(tmp_path / "means.parquet", volumes, None)
    kept = volumes.table[(volumes.table["subject"] == "s1") == (volumes.table["label"] == "a")].reset_index(drop=True)
    with pytest.raises(DataError, match="none of the 2 test subjects has maps of two classes"):
        write_class_means(tmp_path / "other.parquet", Volumes(volumes.parts, kept), None)


def test_conditions_that_leave_every_subject_one_class_are_refused(tmp_path):
    volumes = two_subjects("ab", "xz")
    volumes.table["condition"] = ["x", "y", "y", "x"]
    with pytest.raises(DataError, match="has maps of the chosen `conditions` of two classes"):
        write_class_means(tmp_path / "means.parquet", volumes, None, ["x"])


def shards_of(tmp_path, entries, chosen=()):
    """The truth of subjects from (subject, label, condition); NEG_ is negated."""
    rows = pd.DataFrame(entries, columns=["subject", "label", "condition"])
    rows["negated"] = rows["condition"].str.startswith("NEG_")
    maps = maps_of(len(rows)).astype(np.float32)
    write_class_means(tmp_path / "means.parquet", Volumes([maps.reshape(-1, 2, 3, 4)], rows), None, chosen)
    return rows, maps, SubjectTruths(tmp_path / "means.parquet", "classes")


def test_a_subject_without_negated_maps_is_in_the_set_without_them(tmp_path):
    """Its truth is the same in both sets; sets are of the dataset, not of a subject."""
    some = [("s1", "a", "A"), ("s1", "a", "NEG_A"), ("s1", "b", "B")]
    _, maps, found = shards_of(tmp_path, [*some, ("s2", "a", "A"), ("s2", "b", "B"), ("s3", "b", "B")])
    assert {key for key in found if key[1] == "no_negated"} == {(s, "no_negated") for s in ("s1", "s2", "s3")}
    for pair in ("aa", "ab", "ba", "bb"):
        both = [found["s2", name].of(*pair)[0] for name in ("all", "no_negated")]
        np.testing.assert_array_equal(*both)
    np.testing.assert_allclose(found["s2", "no_negated"].of("a", "b")[0], maps[4] - maps[3], atol=1e-6)


def test_maps_without_subjects_and_templates_have_one_truth_however_many_they_are(tmp_path):
    """Not the truth of the last block."""
    _, maps, found = shards_of(tmp_path, [("", "ab"[k % 2], "A") for k in range(450)])
    expected = maps[1::2].mean(axis=0, dtype=float) - maps[::2].mean(axis=0, dtype=float)
    np.testing.assert_allclose(found["", "all"].of("a", "b")[0], expected, atol=1e-6)


def test_why_a_class_has_no_truth_is_told_apart(tmp_path):
    """No map at all; none in the set where others have one; no map of anybody in the set."""
    entries = [("s1", "a", "A"), ("s1", "a", "NEG_A"), ("s1", "b", "B"), ("s1", "c", "C"), ("s1", "d", "NEG_D"),
               ("s2", "a", "NEG_A"), ("s2", "b", "B")]  # fmt: skip
    _, _, found = shards_of(tmp_path, entries, ["A", "B"])
    assert found["s2", "all"].of("b", "c")[1] == "the subject has no map of class c"
    assert found["s2", "no_negated"].of("b", "a")[1] == "the subject has no map of class a in this set of conditions"
    assert found["s2", "chosen"].of("b", "a")[1] == "the subject has no map of class a in this set of conditions"
    assert found["s1", "no_negated"].of("a", "d")[1] == "not in this set of conditions: class d"
    for subject in ("s1", "s2"):
        assert found[subject, "chosen"].of("b", "c")[1] == "not in this set of conditions: class c"
    assert found["s1", "all"].without("b", maps_of(0)).of("b", "a")[1].startswith("left out: ")
