"""Maps against what a network does: exact where maps are exact, and as scipy has it elsewhere."""

import numpy as np
import pandas as pd
import pytest
import torch
from held import most_held
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr

from truemap.data.regions import Regions
from truemap.data.rows import by_target
from truemap.data.volumes import Volumes
from truemap.evaluation.agreement import COLUMNS
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.shapley import shapley_blocks
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network

SHAPE, CLASSES, K = (6, 5, 2), ["a", "b", "c"], 5
RANDOM = np.random.default_rng(0)
LABELS = RANDOM.integers(0, K + 1, 60)
REGIONS = Regions(LABELS, [f"r{k}" for k in range(1, K + 1)])
X = RANDOM.standard_normal((4, *SHAPE)).astype(np.float32)
TABLE = pd.DataFrame({"sample": [8, 3, 5, 9], "subject": "s", "label": ["a", "b", "c", "a"]}).assign(
    condition=["A", "B", "C", "A"], negated=[False, False, False, True]
)
VOLUMES = Volumes([X], TABLE)
START = RANDOM.standard_normal(SHAPE).astype(np.float32)
ROWS = by_target(TABLE, CLASSES)


def values_of(network, output, volumes=VOLUMES):
    decoder = Decoder(network.eval(), 1.3, CLASSES, "x")
    batches = Batches(volumes, CLASSES, torch.device("cpu"))
    blocks = shapley_blocks(decoder, batches, REGIONS, torch.from_numpy(START), 1.0, 10, 0)
    table = pd.concat(blocks).query("output == @output")
    return table.pivot(index=["sample", "target"], columns="region", values="value")


def truth(values, maps, start=START):
    return NetworkTruth(values, REGIONS, maps, start.reshape(-1).astype(np.float64))


@pytest.fixture(scope="module")
def linear():
    torch.manual_seed(1)
    return build_network({"name": "linear"}, SHAPE, 3)


@pytest.fixture(scope="module")
def logits(linear):
    return values_of(linear, "logit")


def scores(found, criterion="network"):
    return found[found["criterion"] == criterion]


@pytest.mark.parametrize("brain", [False, True])
def test_a_linear_networks_gradient_and_its_step_are_exact(linear, logits, brain):
    weight = np.tile(linear[1].weight.detach().numpy(), (len(TABLE), 1))
    steps = weight * np.repeat((X - START).reshape(len(X), -1), 3, axis=0)
    inside = LABELS > 0 if brain else slice(None)
    for maps, kind in ((weight, "gradient"), (steps, "attribution")):
        found = truth(logits, kind).block(ROWS, maps[:, inside], VOLUMES, ["all"])
        assert list(found.columns) == COLUMNS and set(found["truth"]) == {"network"}
        np.testing.assert_allclose(scores(found)["r"], 1, atol=1e-5)
        # The other way round is another thing.
        other = {"gradient": "attribution", "attribution": "gradient"}[kind]
        assert scores(truth(logits, other).block(ROWS, maps[:, inside], VOLUMES, ["all"]))["r"].max() < 0.999


def test_more_maps_of_a_subject_hold_no_more_memory():
    voxels, held = 60_000, []
    values = pd.DataFrame(RANDOM.random((3, K)), pd.MultiIndex.from_product([[0], CLASSES]), range(1, K + 1))
    known = NetworkTruth(
        values, Regions(RANDOM.integers(0, K + 1, voxels), REGIONS.names), "gradient", np.zeros(voxels)
    )
    table = pd.DataFrame({"sample": [0], "subject": "s", "label": "a", "condition": "A", "negated": False})
    volumes = Volumes([RANDOM.random((1, voxels, 1, 1), np.float32)], table)
    for count in (1, 8):
        rows = pd.concat([by_target(table, CLASSES)] * count, ignore_index=True)
        maps = np.ones((len(rows), voxels), np.float32)
        held.append(most_held(lambda rows=rows, maps=maps: known.block(rows, maps, volumes, ["all"])))
    assert held[1] < 1.2 * held[0]


def test_r_is_scipys_by_row(logits):
    maps = RANDOM.standard_normal((len(ROWS), 60)).astype(np.float16)
    found = truth(logits, "attribution").block(ROWS, maps, VOLUMES, ["all"])
    assert len(found) == 2 * len(ROWS)
    for row, values in zip(ROWS.itertuples(), maps.astype(float), strict=True):
        phi = logits.loc[row.sample, row.target].to_numpy()
        inside = [k == LABELS for k in range(1, K + 1)]
        signed, sizes = [values[of].sum() for of in inside], [np.abs(values[of]).mean() for of in inside]
        each = np.abs(phi) / [of.sum() for of in inside]
        mine = found[(found["sample"] == row.sample) & (found["target"] == row.target)].set_index("criterion")["r"]
        assert mine["network"] == pytest.approx(pearsonr(signed, phi).statistic, abs=1e-12)
        assert mine["network_absolute"] == pytest.approx(spearmanr(sizes, each).statistic, abs=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([-0.5, 0.0, 0.5, 2.0]))
def test_noise_agrees_with_no_network_whatever_the_sizes_of_regions(seed, power):
    """Shapley values that grow with the regions' sizes, or fall: sums of sizes would have +-.9 with these."""
    random, sizes, n = np.random.default_rng(seed), np.array([4, 12, 40, 150, 600, 2000]), 200
    regions = Regions(np.repeat(np.arange(1, 7), sizes), list("abcdef"))
    rows = ROWS.loc[[0] * n].assign(sample=range(n))
    phi = sizes**power * random.choice([-1, 1], (n, 6))
    values = pd.DataFrame(phi, pd.MultiIndex.from_frame(rows[["sample", "target"]]), range(1, 7))
    noise = random.standard_normal((n, sizes.sum()))
    found = NetworkTruth(values, regions, "", np.zeros(sizes.sum())).block(rows, noise, VOLUMES, ["all"])["r"]
    # What is left: |noise| is skew, so that the mean of four is more often below the mean than above.
    assert abs(found.mean()) < 0.06 + 4 * found.std() / n**0.5


def test_what_a_linear_networks_voxels_contribute_is_exact_where_nothing_cancels():
    network, signs = build_network({"name": "linear"}, SHAPE, 3), RANDOM.choice([-1, 1], (3, K + 1))
    weight = np.abs(RANDOM.standard_normal((3, 60))) * signs[:, LABELS]
    network[1].weight.data = torch.from_numpy(weight).float()
    x = (START + np.abs(RANDOM.standard_normal((4, *SHAPE)))).astype(np.float32)
    volumes = Volumes([x], TABLE)
    maps = np.tile(weight, (4, 1)) * np.repeat((x - START).reshape(4, -1), 3, axis=0)
    found = truth(values_of(network, "logit", volumes), "attribution").block(ROWS, maps, volumes, ["all"])
    np.testing.assert_allclose(found["r"], 1, atol=1e-5)


def test_maps_of_which_sizes_alone_mean_something_have_the_second_criterion_only(logits):
    maps = np.abs(RANDOM.standard_normal((len(ROWS), 60)))
    assert set(truth(logits, "").block(ROWS, maps, VOLUMES, ["all"])["criterion"]) == {"network_absolute"}


def test_rows_are_of_the_sets_that_maps_belong_to(logits):
    maps = RANDOM.standard_normal((len(ROWS), 60))
    found = truth(logits, "attribution").block(ROWS, maps, VOLUMES, ["all", "no_negated", "chosen"], ["A"])
    counts = scores(found).groupby("conditions")["sample"].agg(set).to_dict()
    assert counts == {"all": {8, 3, 5, 9}, "no_negated": {8, 3, 5}, "chosen": {8, 9}}


def test_without_a_map_or_a_truth_r_is_null_and_says_why(logits):
    maps = RANDOM.standard_normal((len(ROWS), 60))
    maps[0] = 0
    maps[1] = 0
    maps[1, [int(np.flatnonzero(k == LABELS)[0]) for k in range(1, K + 1)]] = 1  # the same in each region
    values = logits.copy()
    values.loc[(8, "c")] = 0.0
    found = scores(truth(values, "attribution").block(ROWS, maps, VOLUMES, ["all"]))
    assert found["r"].isna().tolist() == [True] * 3 + [False] * 9
    assert found["reason"].iloc[0] == "the saliency map is zero"
    assert found["reason"].iloc[1] == "what the map says, or the network does, is the same in all regions"
    assert found["reason"].iloc[2].startswith("no truth")
    assert set(found["reason"].iloc[3:]) == {""}


def test_regions_that_are_not_read_are_ties_whatever_rounding_leaves_of_them(logits):
    # So much a voxel; regions have nearly equally many.
    values = logits * 0 + [3.0, 1.0, 1e-9, 2e-9, -3e-9] * REGIONS.voxels
    one, other = (np.array([3.0, 1.0, *tiny])[np.maximum(LABELS - 1, 0)] for tiny in ([0, 0, 0], [3e-9, 1e-9, 2e-9]))
    for sizes in (one, other):
        found = truth(values, "").block(ROWS, np.tile(sizes, (len(ROWS), 1)), VOLUMES, ["all"])
        assert found["r"].min() == pytest.approx(1.0)
