from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from attacking import MASK, attack, attacked, sizes, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr, ttest_rel

from truemap.data.grid import Grid
from truemap.map_attacks._descend import DescentOptions, descend
from truemap.networks._decoder import Decoder

DESCENDING = ["top_k", "mass_center", "target"]
WAYS = {"gradient": {}, "smoothgrad": {"n": 3, "sigma": 0.5}, "integrated_gradients": {"steps": 5}, "deeplift": {}}


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("name", [*DESCENDING, "random_sign"])
def test_noise_is_in_the_ball_and_in_the_mask_and_the_decoder_predicts_what_it_did(name, norm):
    of = attacked(12, norm=norm)
    bound = 0.3 if norm == "linf" else 4.0
    found = attack(name, of, bound, **({} if name == "random_sign" else {"iterations": 6}))
    assert (sizes(found.noise, norm) <= bound * (1 + 1e-6)).all()
    assert (found.noise[:, ~torch.from_numpy(MASK)] == 0).all()
    after = of.decoder.network(of.x + found.noise).argmax(1)
    assert torch.equal(after, of.predicted)
    assert found.found.any() and (found.noise[~found.found] == 0).all()
    assert (found.noise[found.found].flatten(1).abs().amax(1) > 0).all()


@settings(max_examples=15, deadline=None)
@given(bound=st.floats(1e-4, 50), norm=st.sampled_from(["linf", "l2"]), step=st.floats(0.01, 3))
def test_no_bound_and_no_step_leads_out_of_the_ball(bound, norm, step):
    of = attacked(3, norm=norm)
    found = attack("top_k", of, bound, iterations=3, step=step)
    assert (sizes(found.noise, norm) <= bound * (1 + 1e-5)).all()
    assert torch.equal(of.decoder.network(of.x + found.noise).argmax(1), of.predicted)


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("name", DESCENDING)
def test_with_more_steps_the_decoders_own_map_is_brought_farther(name, way):
    """Each sample's: the iterates of fewer steps are among those of more. And it is the decoder's map that is told."""
    of = attacked(8, way=way, **WAYS[way])
    found = [attack(name, of, iterations=steps) for steps in (1, 4, 12)]
    for fewer, more in pairwise(found):
        both = fewer.found & more.found
        assert (more.found | ~fewer.found).all()
        assert (more.gain[both] >= fewer.gain[both]).all()
    assert found[2].gain.nanmean() > found[0].gain.nanmean()


@pytest.mark.parametrize("name", ["top_k", "mass_center"])
def test_an_attack_changes_maps_more_than_random_signs_do(name):
    """Paired over samples, on an ordinary network: by what the attack wants, and by Spearman's rank correlation."""
    of = attacked(24)
    before = of.own.numpy()
    rho = {}
    for each, options in ((name, {"iterations": 20}), ("random_sign", {})):
        found = attack(each, of, 0.3, **options)
        after = of.parts(of.decoder.network, of.x + found.noise).numpy()
        rho[each] = [spearmanr(a, b).statistic for a, b in zip(before, after, strict=True)]
    test = ttest_rel(rho[name], rho["random_sign"], alternative="less")
    assert test.pvalue < 1e-3 and np.mean(rho[name]) < np.mean(rho["random_sign"]) - 0.02


@pytest.mark.parametrize("name", [*DESCENDING, "random_sign"])
def test_a_sample_has_the_same_noise_in_any_batch(name):
    options = {} if name == "random_sign" else {"iterations": 3}
    together = attack(name, attacked(5), **options)
    turned = attack(name, attacked(rows=[4, 3, 2, 1, 0]), **options)
    torch.testing.assert_close(turned.noise.flip(0), together.noise, rtol=0, atol=1e-6)
    for row in range(5):
        alone = attack(name, attacked(rows=[row]), **options)
        # A sign may turn where a gradient is all but zero.
        share = ((alone.noise[0] - together.noise[row]).abs() > 1e-5).double().mean()
        assert share < 0.01 and alone.found[0] == together.found[row]


def test_where_no_iterate_keeps_the_prediction_the_sample_comes_back_as_it_was():
    """A network that predicts another class of whatever is not the sample itself."""
    of = attacked(4)

    class Touchy(torch.nn.Module):
        def forward(self, x):
            logits = of.decoder.network(x)
            moved = (x - of.x).flatten(1).abs().amax(1) > 0
            return torch.where(moved[:, None], logits.roll(1, dims=1) - logits, logits)

    touchy = Decoder(Touchy(), 1.0, of.decoder.classes, "touchy")
    found = attack("top_k", replace(of, decoder=touchy), iterations=3)
    assert not found.found.any() and not found.noise.any() and found.gain.isnan().all()


def test_the_best_iterate_is_told_by_the_decoders_map_not_the_smooth_ones():
    """Of a surrogate that has nothing to do with the decoder the gain is still the decoder's."""
    of = attacked(6)
    strange = replace(of, network=attacked(6, trained("mlp"), beta=5.0).network)
    first = of.own.argsort(dim=1, descending=True, stable=True)[:, :40]

    def objective(parts):
        return -parts.gather(1, first).sum(dim=1)

    found = descend(strange, objective, 0.3, DescentOptions(iterations=5))
    after = of.parts(of.decoder.network, of.x + found.noise)
    expected = objective(after) - objective(of.own)
    torch.testing.assert_close(found.gain[found.found], expected[found.found], rtol=1e-5, atol=1e-7)


def test_one_descent_by_hand():
    """Two steps of signs in a ball that the second one would leave, by the gradient of the surrogate's map."""
    of = attacked(2)
    first = of.own.argsort(dim=1, descending=True, stable=True)[:, : round(0.1 * MASK.sum())]
    noise, inside = torch.zeros_like(of.x), torch.from_numpy(MASK)
    for _ in range(2):
        x = (of.x + noise).requires_grad_(True)
        lost = -of.parts(of.network, x).gather(1, first).sum()
        (gradient,) = torch.autograd.grad(lost, x)
        noise = (noise + 0.06 * gradient.sign() * inside).clamp(-0.1, 0.1)
    found = attack("top_k", of, 0.1, iterations=2, step=0.6)
    one = attack("top_k", of, 0.1, iterations=1, step=0.6)
    for row in range(2):
        last = torch.equal(found.noise[row], noise[row])
        assert last or torch.equal(found.noise[row], one.noise[row])


def test_random_state_and_inputs_are_as_before():
    of = attacked(3)
    state, x = torch.get_rng_state(), of.x.clone()
    for name in (*DESCENDING, "random_sign"):
        attack(name, of, **({} if name == "random_sign" else {"iterations": 2}))
    assert torch.equal(torch.get_rng_state(), state) and torch.equal(of.x, x)
    assert not of.x.requires_grad


def test_a_linear_network_needs_no_smooth_one():
    """Its gradient changes with the input where probabilities are explained, and stays where logits are."""
    model = trained("linear")
    moving, still = attacked(6, model), attacked(6, model, output="logit")
    assert attack("top_k", moving, iterations=4).gain.nanmean() > 0
    found = attack("top_k", still, iterations=4)
    assert not found.noise.any() and (found.gain[found.found] == 0).all()


def test_a_grid_of_one_slice_is_attacked():
    mask = MASK.copy()
    mask[:, :, 1:] = False
    of = replace(attacked(4), grid=Grid(mask, np.eye(4)))
    for name in DESCENDING:
        found = attack(name, of, iterations=2)
        assert found.noise[:, :, :, 1:].abs().max() == 0
