import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from truemap.evaluation.agreement import COLUMNS, score_block
from truemap.truth import Truth, class_means

VOXELS = 30
LABELS = ["a", "b", "c"]


def block(negated=(False, False, False), subject="s1"):
    """Three samples, one a class, and each explained for the three classes."""
    rows = pd.DataFrame(
        {
            "sample": np.repeat([5, 6, 7], 3),
            "subject": subject,
            "label": np.repeat(LABELS, 3),
            "condition": np.repeat(["A", "B", "C"], 3),
            "negated": np.repeat(negated, 3),
            "target": LABELS * 3,
        }
    )
    return rows, np.random.default_rng(1).standard_normal((9, VOXELS))


def truth_of(means):
    rows = pd.DataFrame({"label": LABELS, "n": 1, "scale": 1.0})
    return Truth(rows, np.asarray(means), "classes")


def means(seed=0):
    return np.random.default_rng(seed).standard_normal((3, VOXELS))


def expected_truth(values, label, target):
    a, b = values[LABELS.index(label)], values[LABELS.index(target)]
    return a - values.mean(axis=0) if label == target else b - a


def test_r_is_scipys_for_each_row():
    rows, maps = block()
    found = score_block(rows, maps, {("s1", "all"): truth_of(means())}, None)
    assert list(found.columns) == COLUMNS
    assert len(found) == 9
    for row, values in zip(found.itertuples(), maps, strict=True):
        expected = pearsonr(values, expected_truth(means(), row.label, row.target)).statistic
        assert row.r == pytest.approx(expected, abs=1e-12)
        assert row.reason == ""


def test_criterion_is_informative_for_the_maps_own_class_and_pairwise_for_others():
    rows, maps = block()
    found = score_block(rows, maps, {("s1", "all"): truth_of(means())}, None)
    assert list(found["criterion"]) == [
        "informative", "pairwise", "pairwise", "pairwise", "informative", "pairwise", "pairwise", "pairwise",
        "informative",
    ]  # fmt: skip


def test_r_of_the_truth_itself_is_one_at_any_scale():
    rows, _ = block()
    maps = np.stack([expected_truth(means(), a, b) for a, b in zip(rows["label"], rows["target"], strict=True)])
    truths = {("s1", "all"): truth_of(means())}
    np.testing.assert_allclose(score_block(rows, maps, truths, None)["r"], 1, atol=1e-12)
    np.testing.assert_allclose(score_block(rows, -1e-20 * maps + 3e-20, truths, None)["r"], -1, atol=1e-12)
    half = (maps / np.abs(maps).max(axis=1, keepdims=True)).astype(np.float16)
    np.testing.assert_allclose(score_block(rows, half, truths, None)["r"], 1, atol=1e-6)


def test_degenerate_truth_gives_null_and_its_reason_for_that_pair_only():
    values = means()
    values[2] = values[1] + 1e-9 * values[0]
    rows, maps = block()
    found = score_block(rows, maps, {("s1", "all"): truth_of(values)}, None)
    null = found[found["r"].isna()]
    assert set(zip(null["label"], null["target"], strict=True)) == {("b", "c"), ("c", "b")}
    assert null["reason"].str.startswith("no truth").all()
    assert (found.loc[found["r"].notna(), "reason"] == "").all()


def test_zero_map_gives_null_and_its_reason():
    rows, maps = block()
    maps[4] = 0
    found = score_block(rows, maps, {("s1", "all"): truth_of(means())}, None)
    assert list(found.index[found["r"].isna()]) == [4]
    assert found["reason"][4] == "the saliency map is zero"


def test_constant_map_gives_null_and_its_reason():
    rows, maps = block()
    maps = maps.astype(np.float16)
    maps[4] = 0.1
    found = score_block(rows, maps, {("s1", "all"): truth_of(means())}, None)
    assert list(found.index[found["r"].isna()]) == [4]
    assert found["reason"][4] == "a map is constant over the voxels scored"


def test_all_null_is_no_error():
    rows, maps = block()
    found = score_block(rows, 0 * maps, {("s1", "all"): truth_of(means())}, None)
    assert found["r"].isna().all()
    assert (found["reason"] == "the saliency map is zero").all()


def test_a_class_the_subject_lacks_gives_null_and_its_reason():
    rows, maps = block()
    truth = Truth(pd.DataFrame({"label": ["a", "b"], "n": 1, "scale": 1.0}), means()[:2], "classes")
    found = score_block(rows, maps, {("s1", "all"): truth}, None).set_index(["label", "target"])
    assert found["r"].isna().sum() == 5
    assert found.loc[("a", "c"), "reason"] == "the subject has no map of class c"
    assert found.loc[("a", "a"), "r"] == pytest.approx(pearsonr(maps[0], (means()[0] - means()[1]) / 2).statistic)


def test_brain_mask_restricts_the_voxels():
    inside = np.arange(VOXELS) % 3 > 0
    rows, maps = block()
    truths = {("s1", "all"): truth_of(means())}
    found = score_block(rows, maps, truths, inside)
    for row, values in zip(found.itertuples(), maps, strict=True):
        truth = expected_truth(means(), row.label, row.target)
        assert row.r == pytest.approx(pearsonr(values[inside], truth[inside]).statistic, abs=1e-12)
    loud = np.where(inside, maps, 1e3)
    pd.testing.assert_frame_equal(score_block(rows, loud, truths, inside), found)


def test_a_map_that_is_zero_in_the_brain_is_zero():
    inside = np.arange(VOXELS) < 20
    rows, maps = block()
    maps[0, inside] = 0
    found = score_block(rows, maps, {("s1", "all"): truth_of(means())}, inside)
    assert found["reason"][0] == "the saliency map is zero"


def test_negated_samples_belong_to_all_conditions_only():
    rows, maps = block(negated=(False, True, False))
    truths = {("s1", "all"): truth_of(means()), ("s1", "no_negated"): truth_of(means(2))}
    found = score_block(rows, maps, truths, None)
    every, some = (found[found["conditions"] == name] for name in ("all", "no_negated"))
    assert list(every["sample"]) == [5] * 3 + [6] * 3 + [7] * 3
    assert list(some["sample"]) == [5] * 3 + [7] * 3
    for row, values in zip(some.itertuples(), maps[[0, 1, 2, 6, 7, 8]], strict=True):
        expected = pearsonr(values, expected_truth(means(2), row.label, row.target)).statistic
        assert row.r == pytest.approx(expected, abs=1e-12)


def test_each_subject_meets_its_own_truth():
    truths = {("s1", "all"): truth_of(means()), ("s2", "all"): truth_of(means(2))}
    rows, maps = block(subject="s2")
    found = score_block(rows, maps, truths, None)
    assert found["r"][1] == pytest.approx(pearsonr(maps[1], means(2)[1] - means(2)[0]).statistic)


def test_scores_from_class_means_of_flipped_maps_are_null_with_and_values_without_them():
    """The whole way, as in HCP: means with the NEG_* maps cancel, without them they do not."""
    a, b = means()[:2]
    rows = pd.DataFrame({"subject": "s1", "label": list("aabb"), "negated": [False, True] * 2})
    table, class_maps = class_means(rows, np.stack([a, -a, b, -b]))
    truths = {
        ("s1", name): Truth(part, class_maps[part.index], "classes") for name, part in table.groupby("conditions")
    }
    explained = pd.DataFrame({"sample": 0, "subject": "s1", "label": "a", "condition": "A", "negated": False,
                              "target": ["a", "b"]})  # fmt: skip
    found = score_block(explained, np.stack([a - b, b - a]), truths, None).set_index(["conditions", "target"])
    assert found.loc["all", "r"].isna().all()
    np.testing.assert_allclose(found.loc["no_negated", "r"], 1, atol=1e-12)
