"""Planted networks: logits as the formulas say, and used voxels that everybody can look up."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from truemap.data.regions import REST, Regions
from truemap.evaluation.planted import hits
from truemap.evaluation.shapley import Game, exact
from truemap.networks._decoder import Decoder, planted_network
from truemap.networks.planted import GAIN, UNITS, used
from truemap.runtime.files import DataError

SHAPE = (6, 5, 2)
LABELS = np.arange(60) % 7  # 0 is outside the mask, 6 the rest
REGIONS = Regions(LABELS, ["a", "b", "c", "d", "e", REST])
CLASSES = ["x", "y", "z"]
#: Class means of the regions a to e: b is the most informative, then d; the rest differs most, and may not be read.
OF_CLASSES = np.array([[1, 6, 0, 0, 2, 0], [1, 0, 2, 4, 2, 9], [1.2, 0, 4, 0, 2, -9]], float)
MEANS = {label: np.concatenate([[5.0], row])[LABELS] for label, row in zip(CLASSES, OF_CLASSES, strict=True)}
KINDS = ("linear", "regions", "suppressor", "xor", "shortcut")
READ = {"linear": "bdc", "regions": "bdc", "suppressor": "be", "xor": "bd", "shortcut": "b"}


def planted(kind, regions=REGIONS, means=MEANS):
    settings = {"name": "planted", "kind": kind}
    return planted_network(settings, SHAPE, regions, means).eval().requires_grad_(False)


def expected(kind, s):
    """The formulas, from means s of regions, shape (n, regions)."""
    average = OF_CLASSES.mean(0)
    contrasts = OF_CLASSES - average
    effect = np.abs(contrasts).max(0)
    at = {name: k for k, name in enumerate("abcde")}
    b, d, e = at["b"], at["d"], at["e"]
    z = np.zeros((len(s), 3))
    for c in range(3):
        weight = {r: GAIN * contrasts[c, at[r]] / effect[b] ** 2 for r in "abcde"}
        if kind == "linear":
            z[:, c] = sum(weight[r] * (s[:, at[r]] - average[at[r]]) for r in "bdc")
        elif kind == "shortcut":
            z[:, c] = weight["b"] * (s[:, b] - average[b])
        elif kind == "suppressor":
            z[:, c] = weight["b"] * (s[:, b] - average[b] - s[:, e] + average[e])
        elif kind == "regions":
            middle = (OF_CLASSES.max(0) + OF_CLASSES.min(0)) / 2
            z[:, c] = sum(weight[r] * np.maximum(s[:, at[r]] - middle[at[r]], 0) for r in "bdc")
        else:
            u, v = (s[:, b] - average[b]) / effect[b], (s[:, d] - average[d]) / effect[d]
            z[:, c] = (-1) ** c * GAIN * np.sign(u * v) * np.minimum(abs(u), abs(v))
    return z


def maps(n=8, seed=0):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed)) * 4


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_those_of_the_formulas_and_hang_on_the_used_voxels_alone(kind):
    network, x = planted(kind), maps()
    s = REGIONS.sums(x.flatten(1).numpy()) / np.bincount(LABELS)[1:]
    np.testing.assert_allclose(network(x).numpy(), expected(kind, s), atol=1e-4)
    found = used(network)
    assert found.tolist() == [label > 0 and "abcde "[label - 1] in READ[kind] for label in LABELS]
    mask = torch.from_numpy(found).view(SHAPE)
    assert torch.equal(network(torch.where(mask, x, maps(seed=9))), network(x))
    assert not torch.allclose(network(torch.where(mask, maps(seed=9), x)), network(x))


@pytest.mark.parametrize("kind", KINDS)
def test_shapley_values_are_zero_outside_the_used_regions_and_not_within(kind):
    decoder = Decoder(planted(kind), 1.0, CLASSES, "planted")
    game = Game(decoder, REGIONS, torch.zeros(SHAPE), 1000)
    sizes = np.mean([np.abs(exact(game, x)[0]) for x in 4 * maps()], axis=0)
    read = np.array([name in READ[kind] for name in REGIONS.names])
    assert sizes[:, ~read].max() < 1e-6 and sizes[:, read].max(axis=0).min() > 1e-3


def test_xor_has_no_linear_part():
    """Each region alone says nothing: over all signs of the two the logit's mean slope is zero."""
    network = planted("xor")
    average = np.concatenate([[0.0], OF_CLASSES.mean(0)])[LABELS]
    step = np.concatenate([[0.0], np.abs(OF_CLASSES - OF_CLASSES.mean(0)).max(0)])[LABELS]
    signs = [(p, q) for p in (-1, 1) for q in (-1, 1)]
    at = [np.where(LABELS == 2, p, 0) + np.where(LABELS == 4, q, 0) for p, q in signs]
    x = torch.from_numpy(np.stack([average + step * part for part in at])).float().view(-1, *SHAPE)
    z = network(x)[:, 0].numpy()
    np.testing.assert_allclose(z, [GAIN * p * q for p, q in signs], atol=1e-4)


def test_more_informative_regions_than_units_are_cut_to_the_most_informative():
    labels = np.arange(60) % 20 + 1
    regions = Regions(labels, [f"r{k}" for k in range(20)])
    rows = np.zeros((2, 21))
    rows[0, 1:] = np.linspace(1, 2, 20)
    means = dict(zip("xy", rows[:, labels], strict=True))
    assert set(labels[used(planted("regions", regions, means))]) == set(range(20 - UNITS["regions"] + 1, 21))
    assert used(planted("linear", regions, means)).all()


def test_hits_and_false_alarms_are_those_of_scikit_learn_and_of_sorting():
    random = np.random.default_rng(0)
    truth = random.random(200) < 0.2
    values = np.round(random.standard_normal((5, 200)) + 0.7 * truth, 1)  # with ties
    values[4] = 0
    found = hits(values.astype(np.float16), truth)
    for row, sizes in zip(found.iloc[:4].itertuples(), np.abs(values), strict=False):
        assert row.auc == pytest.approx(roc_auc_score(truth, sizes.astype(np.float16)))
        assert row.outside == pytest.approx(sizes[~truth].sum() / sizes.sum(), abs=1e-3)
        # As many are taken as are used, whatever is tied.
        assert row.hit_rate * truth.sum() + row.false_alarm_rate * (~truth).sum() == pytest.approx(truth.sum())
    assert found.iloc[4].isna().all()
    distinct = rankdata(random.random(200))[None]
    top = distinct[0] > 200 - truth.sum()
    row = hits(distinct, truth).iloc[0]
    assert row.hit_rate == pytest.approx(top[truth].mean()) and row.false_alarm_rate == pytest.approx(
        top[~truth].mean()
    )
    assert hits(truth[None] * 1.0, truth).iloc[0].tolist() == [1.0, 1.0, 0.0, 0.0]


def test_where_all_voxels_are_used_nothing_but_hits_can_be_told():
    row = hits(np.ones((1, 4)), np.ones(4, bool)).iloc[0]
    assert row["hit_rate"] == 1 and row.drop("hit_rate").isna().all()


def test_regions_that_no_class_differs_in_are_refused():
    same = dict.fromkeys(CLASSES, MEANS["x"])
    with pytest.raises(DataError, match="regions: a planted network needs two"):
        planted("linear", means=same)
