"""Complexity, removal, fidelity and class agnosticism, against their formulas in NumPy and SciPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from measuring import explained, half, measured, of_output
from methods import made_up
from scipy.stats import entropy, spearmanr
from sklearn.metrics import auc
from small_decoders import decoder

from truemap.metrics._explained import Explained
from truemap.metrics._removal import StepOptions, to_baseline


def of_maps(maps):
    """Maps of one of two classes, for measures that make no pass."""
    maps = torch.as_tensor(maps, dtype=torch.float64)
    way = made_up("saliency", explain=lambda *_: maps[:, None].repeat(1, 2, 1))
    inside, targets = torch.ones(maps.shape[1], dtype=bool), torch.zeros(len(maps), dtype=int)
    return Explained(decoder("linear", classes=2), way, None, inside, maps, range(len(maps)), targets, None)


VALUES = arrays(np.float64, 9, elements=st.floats(-5, 5, allow_subnormal=False)).filter(
    lambda m: np.abs(m).max() > 1e-3
)


@given(VALUES, st.sampled_from([1e-261, 1.0, 1e200]))
def test_complexity_is_scipys_entropy_and_sparseness_half_the_relative_mean_difference(values, size):
    found = measured("complexity", of_maps((values * size)[None]))
    sizes = np.abs(values)
    assert found["complexity"].item() == pytest.approx(entropy(sizes), abs=1e-9)
    gini = np.abs(sizes[:, None] - sizes).sum() / (2 * len(sizes) * sizes.sum())
    assert found["sparseness"].item() == pytest.approx(gini, abs=1e-9)


def test_extremes_of_complexity():
    found = measured("complexity", of_maps([[0, 0, -3, 0], [2, -2, 2, 2], [0, 0, 0, 0]]))
    np.testing.assert_allclose(found["complexity"], [0, np.log(4), np.nan], atol=1e-12)
    np.testing.assert_allclose(found["sparseness"], [0.75, 0, np.nan], atol=1e-12)


@pytest.mark.parametrize("steps", [4, 1000])
@pytest.mark.parametrize("baseline", ["zero", "mean"])
def test_areas_are_those_of_the_curves_written_out(steps, baseline):
    of = explained("mlp", "gradient_x_input", inside=half())
    found = measured("removal", of, steps=steps, baseline=baseline)
    inside = of.inside.view(-1).nonzero()[:, 0].numpy()
    start = of.context.mean.view(-1) if baseline == "mean" else torch.zeros(of.inside.numel())
    for row, target in enumerate(of.targets.tolist()):
        f, own = of_output(of.decoder, "probability", target), of.own[row].numpy()
        for name, order in (("morf", np.argsort(-own, kind="stable")), ("lerf", np.argsort(own, kind="stable"))):
            x, shares, values = of.x[row].clone(), [0.0], [f(of.x[row][None]).item()]
            gone = 0
            for voxels in np.array_split(order, min(steps, len(order))):
                x.view(-1)[inside[voxels]] = start[inside[voxels]]
                gone += len(voxels)
                shares.append(gone / len(order))
                values.append(f(x[None]).item())
            assert found[name][row].item() == pytest.approx(auc(shares, values), abs=1e-6)


def test_a_random_baseline_is_a_training_map_and_another_draw_another_one():
    of = explained("linear", "gradient_x_input", output="logit")
    first, again, other = (measured("removal", of, baseline="random", draw=draw)["morf"] for draw in (0, 0, 1))
    assert torch.equal(first, again) and not torch.isclose(first, other).any()
    away = to_baseline(of, StepOptions(baseline="random"))
    ends = (of.x.flatten(1) + away).numpy()
    maps = of.context.training.volumes.parts[0].reshape(24, -1)
    assert all(np.isclose(maps, end, atol=1e-6).all(axis=1).sum() == 1 for end in ends)


def test_what_a_linear_class_uses_is_missed_soonest():
    found = measured("removal", explained("linear", "gradient_x_input", output="logit", count=4))
    assert (found["morf"] < found["lerf"]).all()


def test_fidelity_is_the_formula_written_out():
    of = explained("mlp", "gradient", inside=half())
    found = measured("fidelity", of, percentile=0.9)["fidelity"]
    inside = of.inside.numpy()
    for row, target in enumerate(of.targets.tolist()):
        sizes = np.abs(of.own[row].numpy())
        sizes = np.minimum(sizes, np.quantile(sizes, 0.9))
        weights = (sizes - sizes.min()) / (sizes.max() - sizes.min())
        f, logs = of_output(of.decoder, "probability", target), []
        for weight in (weights, weights.mean()):
            x = of.x[row].numpy().copy()
            x[inside] *= weight
            logs.append(np.log(f(torch.from_numpy(x)[None]).item()))
        assert found[row].item() == pytest.approx(logs[1] - logs[0], rel=1e-4, abs=1e-6)


def test_a_map_without_structure_has_no_fidelity():
    of = explained("linear", "weights")
    flat = replace(of.saliency, explain=lambda decoder, x, *_: torch.ones(len(x), 4, *x.shape[1:]).double())
    of = replace(of, saliency=flat)
    assert measured("fidelity", of)["fidelity"].isnan().all()


def test_class_agnosticism_is_the_mean_of_scipys_correlations():
    of = explained("mlp", "guided_backprop", count=4)
    found = measured("class_agnosticism", of)["class_agnosticism"]
    for row, target in enumerate(of.targets.tolist()):
        maps = of.maps[row].numpy()
        expected = np.mean([spearmanr(maps[target], other).statistic for k, other in enumerate(maps) if k != target])
        assert found[row].item() == pytest.approx(expected, abs=1e-9)


def test_two_classes_have_opposite_gradients():
    found = measured("class_agnosticism", explained("mlp", model=decoder("mlp", classes=2)))
    np.testing.assert_allclose(found["class_agnosticism"], -1)
