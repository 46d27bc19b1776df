import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from victims import (
    assert_breaks_saturated,
    assert_gives_no_noise_to_misclassified,
    assert_is_right_on_a_linear_decoder,
    assert_leaves_no_trace,
    attack,
    decoder,
    distances,
    lengths,
    maps,
    predicted,
)

from truemap.attacks import pgd
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.training import _objective as objective


@pytest.mark.parametrize(("classes", "reach"), [(2, 0.999), (3, 0.85), (7, 0.8)])
def test_is_right_on_a_linear_decoder(classes, reach):
    """Of two classes it is exact. Of more, -log p draws towards all others at once and may miss the nearest."""
    assert_is_right_on_a_linear_decoder(pgd, classes, reach)


def test_log_odds_is_the_logit_of_the_error_and_keeps_its_gradient():
    z = torch.tensor([[2.0, -1.0, 0.5], [300.0, -900.0, 10.0]], requires_grad=True)
    labels = torch.tensor([2, 0])
    p = z.double().softmax(1)[0, 2]
    value = objective.log_odds(z, labels)
    np.testing.assert_allclose(value[0].item(), torch.log((1 - p) / p).item(), rtol=1e-6)
    assert value[1].item() == -290
    (gradient,) = torch.autograd.grad(value.sum(), z)
    assert gradient[1].tolist() == [-1, 0, 1]


def by_hand(model, x, y, sample, bound, steps, restarts, step, seed=0):
    """One map, all steps of all starts, no early stop: was any point wrong?"""
    source = torch.Generator().manual_seed(derive_seed(seed, "pgd", sample))
    wrong = False
    for start in range(restarts):
        d = torch.zeros_like(x)
        if start:
            g = torch.randn(x.shape, generator=source)
            u = torch.rand(1, generator=source, dtype=torch.float64).item()
            d = bound * u ** (1 / x.numel()) * g / g.norm()
        for number in range(steps + 1):
            d = d.detach().requires_grad_(True)
            z = model.network((x + d)[None])[0].double()
            wrong |= z.argmax().item() != y
            if number < steps:
                (-torch.log_softmax(z, 0)[y]).backward()
                d = d.detach() + step * bound * d.grad / d.grad.norm()
                d = d * min(1.0, bound / d.norm().item())
    return wrong


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_decides_as_a_plain_loop_written_out(name):
    model, x = decoder(name), maps(16)
    labels = predicted(model, x)
    found, expected = [], []
    for bound in (0.25, 0.5):
        noise = attack(pgd, model, x, labels, bound, steps=20, restarts=3, step=0.125)
        found += (predicted(model, x + noise) != labels).tolist()
        expected += [by_hand(model, x[k], labels[k].item(), 100 + k, bound, 20, 3, 0.125) for k in range(len(x))]
    assert found == expected
    assert 5 < sum(expected) < 27


def test_each_restart_and_each_step_may_only_help():
    model, x = decoder("mlp"), maps(60)
    labels = predicted(model, x)
    wrong = {}
    for steps, restarts in [(1, 1), (20, 1), (20, 4)]:
        noise = attack(pgd, model, x, labels, 0.7, steps=steps, restarts=restarts, step=0.125)
        wrong[steps, restarts] = predicted(model, x + noise) != labels
    assert (wrong[20, 4] | ~wrong[20, 1]).all()
    assert wrong[1, 1].sum() < wrong[20, 1].sum()


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_depends_on_its_sample_not_on_its_batch_or_place(name):
    model, x = decoder(name), maps(12)
    model.network.double()
    x = x.double()
    labels, samples = predicted(model, x), [7 * k + 3 for k in range(12)]
    together = attack(pgd, model, x, labels, 0.5, samples, steps=15, restarts=3)
    backwards = attack(pgd, model, x.flip(0), labels.flip(0), 0.5, samples[::-1], steps=15, restarts=3)
    np.testing.assert_allclose(backwards.flip(0), together, rtol=1e-6, atol=1e-9)
    for k in range(12):
        alone = attack(pgd, model, x[k : k + 1], labels[k : k + 1], 0.5, samples[k : k + 1], steps=15, restarts=3)
        np.testing.assert_allclose(alone[0], together[k], rtol=1e-6, atol=1e-9)


def test_samples_and_seeds_have_starts_of_their_own():
    """With a step too short to matter the noise is the start of the largest loss."""
    model, x = decoder("mlp"), maps(1).expand(2, -1, -1, -1)
    labels = predicted(model, x)
    noise = attack(pgd, model, x, labels, 1e-3, [1, 2], steps=1, restarts=4, step=1e-6)
    assert not torch.allclose(noise[0], noise[1], rtol=1e-2)
    other = attack(pgd, model, x, labels, 1e-3, [1, 2], seed=1, steps=1, restarts=4, step=1e-6)
    assert not torch.allclose(other, noise, rtol=1e-2)


def test_a_robust_map_keeps_the_noise_of_the_largest_loss():
    """A linear decoder of two classes: the loss is largest at bound times the unit vector w_other - w_true."""
    model, x = decoder("linear", 2), maps(6)
    labels = predicted(model, x)
    bound = 0.5 * distances(model, x, labels).min().item()
    noise = attack(pgd, model, x, labels, bound, steps=50, restarts=2, step=0.05)
    weight = model.network[-1].weight
    along = (weight[1 - labels] - weight[labels]).view(x.shape)
    expected = bound * along / along.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    np.testing.assert_allclose(noise, expected, rtol=1e-3, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(
    name=st.sampled_from(["linear", "mlp", "cnn3d"]),
    bound=st.floats(1e-6, 1e6),
    step=st.floats(1e-3, 10),
    steps=st.integers(1, 5),
    restarts=st.integers(1, 3),
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_noise_is_never_longer_than_the_bound(name, bound, step, steps, restarts, scale):
    model, x = decoder(name, scale=scale), maps(5)
    labels = torch.tensor([0, 1, 2, 3, 0])
    noise = attack(pgd, model, x, labels, bound, steps=steps, restarts=restarts, step=step)
    assert torch.isfinite(noise).all()
    assert (lengths(noise) <= bound * (1 + 1e-6)).all()


def test_holds_the_bound_on_maps_of_900_000_voxels():
    """There a float32 norm is 9e-6 too small."""
    shape = (91, 109, 91)
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(902629, 2)).requires_grad_(False)
    model = Decoder(network, 1.0, ["a", "b"], "linear")
    x = torch.randn(1, *shape)
    labels = predicted(model, x)
    for options in ({"restarts": 1}, {"restarts": 3, "step": 1e-9}):
        noise = attack(pgd, model, x, labels, 1e-3, steps=2, **options)
        assert lengths(noise).item() <= 1e-3 * (1 + 1e-6)


@pytest.mark.parametrize("classes", [2, 4])
def test_breaks_saturated_decoders(classes):
    assert_breaks_saturated(pgd, classes)


def test_gives_no_noise_to_misclassified_maps():
    assert_gives_no_noise_to_misclassified(pgd)


def test_leaves_no_trace(capfd):
    assert_leaves_no_trace(pgd)
    assert capfd.readouterr() == ("", "")


def test_broken_maps_cost_no_more_passes():
    """All maps wrong at once: one pass. A map that none can break: every step of every start."""
    model, x = decoder("mlp"), maps(8)
    labels, sizes = predicted(model, x), []
    handle = model.network.register_forward_hook(lambda _layer, inputs, _output: sizes.append(len(inputs[0])))
    attack(pgd, model, x, (labels + 1) % 4, 1.0)
    assert sizes == [8]
    sizes.clear()
    attack(pgd, model, x, labels, 1e-6, steps=3, restarts=2)
    assert sizes == [8] * 8
    sizes.clear()
    attack(pgd, model, x, labels, 1.0)
    handle.remove()
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) < 0.5 * 8 * 101 * 5
