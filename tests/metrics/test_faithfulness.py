from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.metrics import infidelity
from hypothesis import given
from hypothesis import strategies as st
from measuring import explained, half, measured, of_output
from small_decoders import context, decoder

from truemap.metrics.faithfulness import _unexplained
from truemap.saliency import gradient_x_input

SUBSETS, STEPS = 12, 5


def without(of, row, voxels, baseline):
    """An input with some voxels of the mask at the baseline."""
    x = of.x[row].clone()
    flat, inside = x.view(-1), of.inside.view(-1).nonzero()[:, 0]
    start = context(tuple(x.shape)).mean.view(-1) if baseline == "mean" else torch.zeros(x.numel())
    flat[inside[voxels]] = start[inside[voxels]]
    return x


@pytest.mark.parametrize("baseline", ["zero", "mean"])
@pytest.mark.parametrize(
    ("network", "saliency", "kind", "options"),
    [
        ("mlp", "gradient", "probability", {}),
        ("cnn3d", "gradient_x_input", "logit", {"output": "logit"}),
        ("mlp", "lrp_epsilon", "logit", {}),
    ],
)
def test_all_measures_are_the_formulas_written_out(network, saliency, kind, options, baseline):
    of = explained(network, saliency, inside=half(network), **options)
    found = measured("faithfulness", of, subsets=SUBSETS, share=0.25, steps=STEPS, baseline=baseline)
    count = of.own.shape[1]
    size = max(1, round(0.25 * count))
    sources = of.draws("faithfulness")
    for row, target in enumerate(of.targets.tolist()):
        f = of_output(of.decoder, kind, target)
        own = of.own[row].numpy()

        def loss(voxels, f=f, row=row):
            return (f(of.x[row][None]) - f(without(of, row, voxels, baseline)[None])).item()

        drawn = [torch.randperm(count, generator=sources[row])[:size] for _ in range(SUBSETS)]
        losses = [loss(voxels) for voxels in drawn]
        sums = [own[voxels.numpy()].sum() for voxels in drawn]
        assert found["faithfulness_correlation"][row].item() == pytest.approx(np.corrcoef(sums, losses)[0, 1], abs=1e-5)
        order = np.argsort(-own, kind="stable")
        steps = np.array_split(order, STEPS)
        expected = np.corrcoef([own[s].sum() for s in steps], [loss(torch.tensor(s)) for s in steps])[0, 1]
        assert found["faithfulness_estimate"][row].item() == pytest.approx(expected, abs=1e-5)
        ways = [(of.x[row] - without(of, row, voxels, baseline))[of.inside].double().numpy() for voxels in drawn]
        if "attribution" in (of.saliency.options.traits() or ()):
            differences = np.subtract(sums, losses)
        else:
            differences = [own @ way - lost for way, lost in zip(ways, losses, strict=True)]
        assert found["infidelity"][row].item() == pytest.approx(np.mean(np.square(differences)), rel=1e-5)


def test_infidelity_is_captums_for_the_same_subsets_raw_and_at_the_best_scale():
    of = explained("mlp", output="logit")
    found = measured("faithfulness", of, subsets=SUBSETS, share=0.25)
    sources, count = of.draws("faithfulness"), of.own.shape[1]
    for row, target in enumerate(of.targets.tolist()):
        drawn = [torch.randperm(count, generator=sources[row])[: count // 4] for _ in range(SUBSETS)]
        kept = torch.stack([without(of, row, voxels, "zero") for voxels in drawn])
        x = of.x[row : row + 1]

        def perturb(_x, kept=kept, x=x):
            return (x - kept).double(), kept.double()

        network = decoder("mlp").network.double()
        map_ = of.own[row].view(1, *of.inside.shape)
        for normalize in (False, True):
            expected = infidelity(
                network, perturb, x.double(), map_, target=target, n_perturb_samples=SUBSETS, normalize=normalize
            ).item()
            if not normalize:
                assert found["infidelity"][row].item() == pytest.approx(expected, rel=1e-5)
            else:
                changes = (network(x.double()) - network(kept.double()))[:, target].square().mean().item()
                assert found["infidelity_scaled"][row].item() == pytest.approx(expected / changes, rel=1e-4)


def test_a_linear_logit_is_told_by_its_contributions_and_by_its_gradient():
    """By hand: f loses the sum of w x over what is removed, which is what gradient x input adds up to."""
    times = measured("faithfulness", explained("linear", "gradient_x_input", output="logit"))
    assert times["faithfulness_correlation"].min() > 1 - 1e-6
    assert times["faithfulness_estimate"].min() > 1 - 1e-6
    plain = measured("faithfulness", explained("linear", "gradient", output="logit"))
    assert plain["infidelity"].max() < 1e-10
    assert plain["infidelity_scaled"].max() < 1e-6


def test_an_attribution_is_not_multiplied_by_the_input_again():
    class Options(gradient_x_input.Options):
        def traits(self):
            return {"attribution"}

    of = explained("linear", "gradient_x_input")
    of = replace(of, saliency=replace(of.saliency, options=Options(output="logit")))
    found = measured("faithfulness", of)
    assert found["infidelity"].max() < 1e-10
    assert found["infidelity_scaled"].max() < 1e-6


def test_a_network_that_ignores_its_input_has_no_faithful_map():
    model = decoder("mlp")
    model.network[-1].weight.zero_()
    found = measured("faithfulness", explained("mlp", "gradient_x_input", model=model, output="logit"))
    assert found["faithfulness_correlation"].isnan().all()
    assert found["infidelity_scaled"].isnan().all()
    assert found["infidelity"].tolist() == [0, 0, 0]


@given(st.integers(0, 1000), st.sampled_from([1e-200, 1.0, 1e100]))
def test_the_best_scale_leaves_no_more_than_any_other(seed, size):
    a, b = np.random.default_rng(seed).standard_normal((2, 7))
    found = _unexplained(torch.tensor(a * size)[None], torch.tensor(b)[None]).item()
    scales = np.append(np.linspace(-3, 3, 61), a @ b / (a @ a))
    tried = [np.square(s * a - b).sum() / np.square(b).sum() for s in scales]
    assert found == pytest.approx(min(tried), abs=1e-9)
    assert 0 <= found <= 1 + 1e-12
