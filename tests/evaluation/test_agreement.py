import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from truemap.config.names import NO_MAP, NO_SIGNS
from truemap.data.conditions import condition_sets
from truemap.data.maps import MapWriter, is_brain, read_blocks
from truemap.evaluation.agreement import ABSOLUTE, COLUMNS, score_block, without_maps
from truemap.evaluation.truth import OwnMaps, Truth, class_means

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
    table, class_maps = class_means(rows, np.stack([a, -a, b, -b]), ["all", "no_negated"])
    truths = {
        ("s1", name): Truth(part, class_maps[part.index], "classes") for name, part in table.groupby("conditions")
    }
    explained = pd.DataFrame({"sample": 0, "subject": "s1", "label": "a", "condition": "A", "negated": False,
                              "target": ["a", "b"]})  # fmt: skip
    found = score_block(explained, np.stack([a - b, b - a]), truths, None).set_index(["conditions", "target"])
    assert found.loc["all", "r"].isna().all()
    np.testing.assert_allclose(found.loc["no_negated", "r"], 1, atol=1e-12)


def subject_of(labels, seed=0, voxels=VOXELS):
    """A subject's own maps and the truth from them; lower case is a map, upper case a negated one."""
    rows = pd.DataFrame(
        {
            "sample": np.arange(len(labels)) + 5,
            "subject": "s1",
            "label": [letter.lower() for letter in labels],
            "condition": [f"condition-{k}" for k in range(len(labels))],
            "negated": [letter.isupper() for letter in labels],
        }
    )
    maps = np.random.default_rng(seed).standard_normal((len(rows), voxels))
    return rows, maps


def truths_from(rows, maps, average="classes"):
    table, found = class_means(rows, maps, condition_sets(rows["negated"]))
    return {("s1", name): Truth(part, found[part.index], average) for name, part in table.groupby("conditions")}


def explained(rows, seed=3, voxels=VOXELS):
    """Made-up saliency maps of every map, for each class."""
    every = rows.loc[rows.index.repeat(3)].reset_index(drop=True).assign(target=LABELS * len(rows))
    return every, np.random.default_rng(seed).standard_normal((len(every), voxels))


def copies(rows, maps):
    """The maps themselves as if they explained: turned round for classes that are not their own."""
    every, _ = explained(rows)
    sign = np.where(every["label"] == every["target"], 1.0, -1.0)
    return every, sign[:, None] * np.repeat(maps, 3, axis=0)


@pytest.mark.parametrize("average", ["classes", "maps"])
def test_leave_out_scores_are_scipys_with_the_truth_of_the_other_maps(average):
    rows, maps = subject_of("aabbbcABcc")
    every, saliency = explained(rows)
    found = score_block(every, saliency, truths_from(rows, maps, average), None, OwnMaps(rows, maps))
    of = {(sample, target): k for k, (sample, target) in enumerate(zip(every["sample"], every["target"], strict=True))}
    assert len(found) == 3 * 2 * (10 + 8)
    for row in found[found["truth"] == "leave_out"].itertuples():
        rest = np.flatnonzero(rows["sample"] != row.sample)
        truth = truths_from(rows.iloc[rest].reset_index(drop=True), maps[rest], average)["s1", row.conditions]
        values = truth.informative(row.label) if row.label == row.target else truth.pairwise(row.label, row.target)
        assert row.r == pytest.approx(pearsonr(saliency[of[row.sample, row.target]], values).statistic, abs=1e-12)
        assert row.reason == ""


def test_rows_of_the_full_truth_do_not_change_by_the_others():
    rows, maps = subject_of("aabbbcAB")
    every, saliency = explained(rows)
    inside = np.arange(VOXELS) % 3 > 0
    alone = score_block(every, saliency, truths_from(rows, maps), inside)
    found = score_block(every, saliency, truths_from(rows, maps), inside, OwnMaps(rows, maps), absolute=True)
    plain = found[(found["truth"] == "full") & ~found["criterion"].str.endswith(ABSOLUTE)]
    assert set(alone["truth"]) == {"full"}
    pd.testing.assert_frame_equal(plain.reset_index(drop=True), alone)


def test_leave_out_of_a_classes_only_map_gives_null_and_its_reason():
    rows, maps = subject_of("aabcc")
    every, saliency = explained(rows)
    found = score_block(every, saliency, truths_from(rows, maps), None, OwnMaps(rows, maps))
    null = found[found["r"].isna()]
    assert set(zip(null["sample"], null["truth"], strict=True)) == {(7, "leave_out")}
    assert len(null) == 3
    assert set(null["reason"]) == {"left out: without the map explained, and its sign flip, there is none of class b"}


def test_leave_out_of_a_map_and_its_flip_gives_null_where_nothing_else_is_left():
    """Two classes as HCP's: one whose only map has a flip, and one with two maps and their flips."""
    rows, maps = subject_of("aAbBbBcc")
    maps[[1, 3, 5]] = -maps[[0, 2, 4]]
    found = score_block(*copies(rows, maps), truths_from(rows, maps), None, OwnMaps(rows, maps))
    out = found[(found["truth"] == "leave_out") & (found["conditions"] == "all")].set_index(["label", "target"])
    assert out.loc["a", "r"].isna().all()
    assert set(out.loc["a", "reason"]) == {
        "left out: without the map explained, and its sign flip, there is none of class a"
    }
    assert (out.loc[("b", "a"), "reason"].str.startswith("no truth")).all()
    average = (maps[6] + maps[7]) / 2 / 3
    expected = [pearsonr(maps[k], -average).statistic for k in (2, 3, 4, 5)]
    np.testing.assert_allclose(out.loc[("b", "b"), "r"], expected, atol=1e-12)


def test_a_copy_of_the_input_agrees_with_the_full_truth_of_noise_and_not_with_one_that_leaves_it_out():
    """k classes of n maps of independent noise: r = sqrt((1 - 1/k) / n), and 1 / sqrt(2 n) for a pair of classes.

    Each r spreads by about 1 / sqrt(voxels) = 0.05, and 450 of them are averaged: 0.015 is more than five
    standard errors.
    """
    n, subjects, voxels = 5, 30, 400
    parts = []
    for seed in range(subjects):
        rows, maps = subject_of("abc" * n, seed, voxels)
        parts.append(score_block(*copies(rows, maps), truths_from(rows, maps), None, OwnMaps(rows, maps)))
    mean = pd.concat(parts).groupby(["criterion", "truth"])["r"].mean()
    assert mean["informative", "full"] == pytest.approx(np.sqrt((1 - 1 / 3) / n), abs=0.015)
    assert mean["pairwise", "full"] == pytest.approx(1 / np.sqrt(2 * n), abs=0.015)
    assert abs(mean["informative", "leave_out"]) < 0.015
    assert abs(mean["pairwise", "leave_out"]) < 0.015


def test_absolute_rows_compare_sizes_on_both_sides():
    rows, maps = subject_of("aabbcc")
    every, saliency = explained(rows)
    inside = np.arange(VOXELS) % 3 > 0
    found = score_block(every, saliency, truths_from(rows, maps), inside, OwnMaps(rows, maps), absolute=True)
    of = {(sample, target): k for k, (sample, target) in enumerate(zip(every["sample"], every["target"], strict=True))}
    assert len(found) == 18 * 2 * 2
    sizes = found[found["criterion"].str.endswith(ABSOLUTE)]
    assert len(sizes) == 18 * 2
    for row in sizes.itertuples():
        rest = np.flatnonzero((rows["sample"] != row.sample) | (row.truth == "full"))
        truth = truths_from(rows.iloc[rest].reset_index(drop=True), maps[rest])["s1", "all"]
        values, _ = truth.of(row.label, row.target)
        x, y = np.abs(saliency[of[row.sample, row.target]][inside]), np.abs(values[inside])
        assert row.r == pytest.approx(pearsonr(x, y).statistic, abs=1e-12)
        assert row.criterion == ("informative" if row.label == row.target else "pairwise") + ABSOLUTE
    flipped = score_block(every, -saliency, truths_from(rows, maps), inside, OwnMaps(rows, maps), absolute=True)
    pd.testing.assert_frame_equal(flipped[flipped["criterion"].str.endswith(ABSOLUTE)], sizes)


def test_absolute_rows_are_made_on_demand_only_and_null_where_the_others_are():
    rows, maps = subject_of("aab")
    every, saliency = explained(rows)
    saliency[0] = 0
    found = score_block(every, saliency, truths_from(rows, maps), None, absolute=True)
    absolute = found["criterion"].str.endswith(ABSOLUTE)
    for column in ("reason", "sample", "target"):
        assert list(found.loc[absolute, column]) == list(found.loc[~absolute, column])
    assert set(found["reason"]) == {"", "the saliency map is zero", "the subject has no map of class c"}
    plain = score_block(every, saliency, truths_from(rows, maps), None)
    assert set(plain["criterion"]) == {"informative", "pairwise"}


def test_maps_without_signs_have_no_r_with_signs_and_that_of_sizes_stays():
    rows, maps = subject_of("aab")
    every, saliency = explained(rows)
    truths = truths_from(rows, maps)
    signed = score_block(every, saliency, truths, None, OwnMaps(rows, maps), absolute=True)
    found = score_block(every, saliency, truths, None, OwnMaps(rows, maps), absolute=True, signed=False)
    absolute = found["criterion"].str.endswith(ABSOLUTE)
    pd.testing.assert_frame_equal(found[absolute], signed[absolute])
    assert found.loc[~absolute, "r"].isna().all()
    # What has no truth in any case says so.
    reasons = signed.loc[~absolute, "reason"].where(signed.loc[~absolute, "reason"] != "", NO_SIGNS)
    assert list(found.loc[~absolute, "reason"]) == list(reasons)
    assert NO_SIGNS in set(reasons) and len(set(reasons)) > 1


def test_pairs_without_maps_are_null_rows_in_place_of_those_there_would_be():
    rows, maps = subject_of("aabbcc")
    every, saliency = explained(rows)
    truths = truths_from(rows, maps)
    whole = score_block(every, saliency, truths, None, OwnMaps(rows, maps), absolute=True)
    own = (every["label"] == every["target"]).to_numpy()
    part = score_block(
        every[own].reset_index(drop=True), saliency[own], truths, None, OwnMaps(rows, maps), absolute=True
    )
    null = without_maps(part, LABELS)
    keys = ["sample", "target", "criterion", "conditions", "truth"]
    both = pd.concat([part, null]).sort_values(keys)[[*COLUMNS[:9]]].reset_index(drop=True)
    pd.testing.assert_frame_equal(both, whole.sort_values(keys)[[*COLUMNS[:9]]].reset_index(drop=True))
    assert set(null["reason"]) == {NO_MAP}
    assert null["r"].isna().all()
    assert without_maps(whole, LABELS).empty


def test_without_subjects_nothing_is_left_out():
    """Truth is of templates: no map is part of it."""
    rows, maps = block(subject="")
    found = score_block(rows, maps, {("", "all"): truth_of(means())}, None, absolute=True)
    assert set(found["truth"]) == {"full"}


def test_scores_of_chosen_conditions_are_scipys_with_their_truth():
    rows, maps = subject_of("aabbbcABcc")
    every, saliency = explained(rows)
    kept = np.array([0, 1, 2, 4, 6])
    chosen = [f"condition-{k}" for k in kept]
    table, class_maps = class_means(rows, maps, ["all", "no_negated", "chosen"], chosen)
    truths = {
        ("s1", name): Truth(part, class_maps[part.index], "classes") for name, part in table.groupby("conditions")
    }
    found = score_block(every, saliency, truths, None, OwnMaps(rows, maps, chosen), chosen=chosen)
    some = found[found["conditions"] == "chosen"]
    assert set(some["sample"]) == set(rows["sample"].iloc[kept])
    assert len(some) == 5 * 3 * 2
    of = {(sample, target): k for k, (sample, target) in enumerate(zip(every["sample"], every["target"], strict=True))}
    for row in some.itertuples():
        if row.target == "c":
            assert row.reason == "the subject has no map of class c"
            continue
        rest = [k for k in kept if rows["sample"][k] != row.sample or row.truth == "full"]
        mean = {label: maps[[k for k in rest if rows["label"][k] == label]].mean(axis=0) for label in "ab"}
        a, b = mean[row.label], mean[row.target]
        truth = a - (mean["a"] + mean["b"]) / 2 if row.label == row.target else b - a
        assert row.r == pytest.approx(pearsonr(saliency[of[row.sample, row.target]], truth).statistic, abs=1e-12)
    plain = score_block(every, saliency, truths_from(rows, maps), None, OwnMaps(rows, maps))
    pd.testing.assert_frame_equal(found[found["conditions"] != "chosen"].reset_index(drop=True), plain)


@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("voxels", [VOXELS, 3000])
def test_maps_stored_inside_the_brain_have_exactly_the_scores_of_whole_ones(tmp_path, absolute, voxels):
    """Through the file, as the score rule reads it; a map that is zero in the brain and one that is constant too."""
    rows, maps = subject_of("aabbcABc", voxels=voxels)
    inside = np.random.default_rng(4).random(voxels) < 0.4
    every, saliency = explained(rows, voxels=voxels)
    saliency[3, inside], saliency[5, inside] = 0, 0.25
    found = {}
    for name, mask in (("all", None), ("brain", inside)):
        path = tmp_path / f"{name}.parquet"
        with MapWriter(path, voxels, "float16", mask) as writer:
            writer.write(every, saliency)
        ((read, stored),) = read_blocks(path)
        truths, own = truths_from(rows, maps), OwnMaps(rows, maps)
        found[name] = score_block(read, stored, truths, inside, own, absolute, brain=is_brain(path))
    assert {"the saliency map is zero", "a map is constant over the voxels scored"} <= set(found["all"]["reason"])
    pd.testing.assert_frame_equal(found["brain"], found["all"], check_exact=True)
