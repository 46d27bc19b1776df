from functools import partial

import numpy as np
import pytest
import torch
from captum.metrics import sensitivity_max
from measuring import explained, half, measured, part
from small_decoders import decoder

DRAWS, RADIUS = 6, 0.3


def inputs(of):
    """The inputs nearby of each sample, drawn again: (draws, n, *shape)."""
    found = []
    sources = of.draws("sensitivity")
    for _ in range(DRAWS):
        x = of.x.clone()
        for row, source in enumerate(sources):
            x[row, of.inside] += RADIUS * (2 * torch.rand(int(of.inside.sum()), generator=source) - 1)
        found.append(x)
    return torch.stack(found)


@pytest.mark.parametrize(("network", "saliency"), [("mlp", "gradient"), ("cnn3d", "smoothgrad"), ("linear", "weights")])
def test_the_three_measures_are_the_formulas_written_out(network, saliency):
    of = explained(network, saliency, inside=half(network))
    found = measured("sensitivity", of, draws=DRAWS, radius=RADIUS)
    nearby, inside = inputs(of), of.inside.numpy()
    for row in range(len(of.x)):
        alone = part(of, row)

        def own(x, alone=alone):
            way = alone.saliency
            maps = way.explain(alone.decoder, x[None], alone.samples, way.options, alone.context)
            return maps[0, alone.targets[0]].numpy()[inside]

        before = own(of.x[row])
        changes = [np.linalg.norm(own(x) - before) / np.linalg.norm(before) for x in nearby[:, row]]
        rates = [c / np.linalg.norm((x - of.x[row]).double()) for c, x in zip(changes, nearby[:, row], strict=True)]
        for name, value in (("max", max(changes)), ("avg", np.mean(changes))):
            assert found[f"{name}_sensitivity"][row].item() == pytest.approx(value, rel=1e-5, abs=1e-9)
        assert found["local_lipschitz"][row].item() == pytest.approx(max(rates), rel=1e-5, abs=1e-9)


def test_the_largest_is_captums_for_the_same_inputs():
    of = explained("mlp")
    nearby = inputs(of)
    found = measured("sensitivity", of, draws=DRAWS, radius=RADIUS)["max_sensitivity"]

    @torch.enable_grad()
    def maps(target, x):
        x = x[0] if isinstance(x, tuple) else x
        found = of.saliency.explain(of.decoder, x, [0] * len(x), of.saliency.options, of.context)
        return (found[:, target],)

    for row, target in enumerate(of.targets):
        expected = sensitivity_max(
            partial(maps, target),
            of.x[row : row + 1],
            perturb_func=lambda x, radius, row=row: nearby[:, row],
            n_perturb_samples=DRAWS,
        )
        assert found[row].item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_map_that_knows_no_input_does_not_move_and_a_zero_map_is_no_measure():
    assert measured("sensitivity", explained("linear", "weights"))["max_sensitivity"].tolist() == [0, 0, 0]
    model = decoder("linear")
    for weight in model.network.parameters():
        weight.zero_()
    assert measured("sensitivity", explained("linear", "weights", model=model))["avg_sensitivity"].isnan().all()


def test_maps_of_the_smallest_scale_are_measured_as_others():
    """A saturated network: gradients of probabilities are raised to 1e-261, and their squares are no numbers."""
    model = decoder("mlp")
    model.network[-1].weight.mul_(1e6)
    of = explained("mlp", model=model)
    assert 0 < of.own.abs().amax() < 1e-200
    assert of.own.square().sum() == 0
    found = measured("sensitivity", of, draws=4, radius=0.5)
    assert all(values.isfinite().all() and values.max() > 0 for values in found.values())


def test_a_wider_reach_moves_maps_further():
    of = explained("mlp", output="logit", count=4)
    near, far = (measured("sensitivity", of, radius=radius)["avg_sensitivity"].mean() for radius in (0.1, 1.0))
    assert near < far
