import numpy as np
import pytest
import torch
from captum.attr import GradientShap
from small_decoders import (
    assert_leaves_no_trace,
    context,
    decoder,
    explain,
    maps,
    output,
    passes,
    relative_error,
    residual,
)

from truemap.numerics import derive_seed
from truemap.saliency._outputs import output_gradients

SAMPLES = [11, 3, 700, 12]


def written_out(model, x, sample, kind, n, sigma, seed=0):
    """The maps of one sample, one class at a time, by automatic differentiation."""
    source = torch.Generator().manual_seed(derive_seed(seed, "gradient_shap", sample))
    training = context(tuple(x.shape)).training
    starts = training.get(torch.randint(len(training), (n,), generator=source))[0]
    shares = torch.rand(n, generator=source)
    rows = []
    for start, share in zip(starts, shares, strict=True):
        noisy = x + sigma * torch.randn(x.shape, generator=source) if sigma else x
        at = (start + share * (noisy - start))[None].requires_grad_()
        values = output(model, kind)(at)[0]
        gradients = [torch.autograd.grad(value, at, retain_graph=True)[0][0] for value in values]
        rows.append(torch.stack([(noisy - start) * gradient for gradient in gradients]))
    return torch.stack(rows).double().mean(dim=0), starts


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_equals_the_rule_written_out_for_the_same_draws(name, kind, sigma):
    model, x = decoder(name), maps(name)
    found = explain("gradient_shap", model, x, SAMPLES, output=kind, n=5, sigma=sigma)
    assert found.shape == (4, 4, *x.shape[1:])
    assert found.dtype == torch.float64
    for k, sample in enumerate(SAMPLES):
        expected, _ = written_out(model, x[k], sample, kind, 5, sigma)
        for c in range(4):
            assert relative_error(found[k, c], expected[c]) < 1e-5


@pytest.mark.parametrize("sigma", [0.0, 0.5])
def test_tends_to_captum_as_the_draws_grow(sigma):
    model, x = decoder("mlp"), maps("mlp", 1)
    starts = context(tuple(x.shape[1:])).training.volumes.parts[0]
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (captum draws from it)
    method = GradientShap(output(model, "logit"))
    expected = method.attribute(x, torch.from_numpy(starts), n_samples=3000, stdevs=sigma, target=1)
    errors = [
        relative_error(explain("gradient_shap", model, x, output="logit", n=n, sigma=sigma)[:, 1], expected)
        for n in (5, 3000)
    ]
    assert errors[1] < 0.06
    assert errors[1] < 0.3 * errors[0]


def test_tends_to_integrated_gradients_averaged_over_all_training_maps():
    model, x = decoder("mlp"), maps("mlp", 1)
    starts, steps = torch.from_numpy(context(tuple(x.shape[1:])).training.volumes.parts[0]), 60
    expected = torch.zeros(4, *x.shape[1:], dtype=torch.float64)
    for start in starts:
        ways = [start + (k + 0.5) / steps * (x[0] - start) for k in range(steps)]
        gradients = output_gradients(model, torch.stack(ways), "probability").numbers().mean(dim=0)
        expected += (x[0] - start).double() * gradients / len(starts)
    errors = [relative_error(explain("gradient_shap", model, x, n=n)[0], expected) for n in (20, 2000)]
    assert errors[1] < 0.06
    assert errors[1] < 0.3 * errors[0]


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_residual_is_the_sum_less_the_difference_from_the_drawn_baselines_and_falls_with_them(name, kind):
    model, x = decoder(name), maps(name)
    found = explain("gradient_shap", model, x, SAMPLES, output=kind, n=5)
    missed = residual("gradient_shap", model, x, found, SAMPLES, output=kind, n=5)
    f = output(model, kind)
    for k, sample in enumerate(SAMPLES):
        _, starts = written_out(model, x[k], sample, kind, 5, 0.0)
        expected = found[k].flatten(1).sum(dim=1) - (f(x[k : k + 1])[0] - f(starts).mean(dim=0))
        torch.testing.assert_close(missed[k], expected, atol=1e-5, rtol=0)
    more = explain("gradient_shap", model, x, SAMPLES, output=kind, n=200)
    fallen = residual("gradient_shap", model, x, more, SAMPLES, output=kind, n=200)
    assert fallen.abs().mean() < 0.5 * missed.abs().mean()


def test_noisy_maps_promise_no_sum():
    model, x = decoder("mlp"), maps("mlp")
    found = explain("gradient_shap", model, x, SAMPLES, n=5, sigma=0.3)
    missed = residual("gradient_shap", model, x, found, SAMPLES, n=5, sigma=0.3)
    assert missed.shape == found.shape[:2] and missed.isnan().all()


def test_the_logits_of_a_linear_network_are_complete_with_one_draw():
    model, x = decoder("linear"), maps("linear")
    found = explain("gradient_shap", model, x, output="logit", n=1)
    assert residual("gradient_shap", model, x, found, output="logit", n=1).abs().max() < 1e-5


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("sigma", [0.0, 0.3])
def test_a_map_depends_on_its_sample_not_on_its_batch_or_place(name, sigma):
    model, x = decoder(name), maps(name)
    together = explain("gradient_shap", model, x, SAMPLES, n=3, sigma=sigma)
    backwards = explain("gradient_shap", model, x.flip(0), SAMPLES[::-1], n=3, sigma=sigma)
    assert relative_error(backwards.flip(0), together) < 1e-5
    for k, sample in enumerate(SAMPLES):
        alone = explain("gradient_shap", model, x[k : k + 1], [sample], n=3, sigma=sigma)
        assert relative_error(alone[0], together[k]) < 1e-5


def test_captums_map_depends_on_its_batch_mates_whatever_the_seed():
    """Why draws are a sample's own."""
    model, x = decoder("mlp"), maps("mlp")
    starts, found = torch.from_numpy(context(tuple(x.shape[1:])).training.volumes.parts[0]), []
    for batch in (x, x[1:2]):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002 (captum draws from it)
        found.append(GradientShap(model.network).attribute(batch, starts, n_samples=20, target=0))
    assert relative_error(found[0][1], found[1][0]) > 0.01


def test_samples_and_seeds_have_draws_of_their_own():
    model, x = decoder("mlp"), maps("mlp", 1).expand(2, 4, 3, 2)
    two = explain("gradient_shap", model, x, [1, 2])
    assert not torch.allclose(two[0], two[1], rtol=1e-2)
    assert not torch.allclose(explain("gradient_shap", model, x, [1, 2], seed=10), two, rtol=1e-2)


def test_passes():
    assert passes("gradient_shap", decoder("mlp"), maps("mlp"), n=5) == (5, 15)


def test_leaves_no_trace():
    assert_leaves_no_trace("gradient_shap", "cnn3d", n=3, sigma=0.2)


def test_global_random_state_is_neither_used_nor_moved():
    model, state = decoder("mlp"), torch.get_rng_state()
    explain("gradient_shap", model, maps("mlp"), sigma=0.2)
    assert torch.equal(torch.get_rng_state(), state)
