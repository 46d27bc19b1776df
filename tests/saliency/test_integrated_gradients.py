import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.ndimage import gaussian_filter
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    context,
    decoder,
    explain,
    maps,
    output,
    passes,
    residual,
)

from truemap.saliency.integrated_gradients import Options, baseline


def blurred(x, sigma):
    return torch.stack([torch.from_numpy(gaussian_filter(one.numpy(), sigma, mode="nearest")) for one in x])


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("start", ["zero", "blurred", "mean"])
def test_equals_captum(name, kind, start):
    model, x = decoder(name), maps(name)
    method = IntegratedGradients(output(model, kind))
    mean = context(tuple(x.shape[1:])).mean.expand_as(x)
    origin = {"zero": torch.zeros_like(x), "blurred": blurred(x, 1.5), "mean": mean}[start]
    found = explain("integrated_gradients", model, x, output=kind, baseline=start, sigma=1.5, steps=7)
    assert_equals_by_class(
        found, lambda c: method.attribute(x, origin, target=c, n_steps=7, method="riemann_middle"), x
    )


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
@pytest.mark.parametrize("start", ["zero", "blurred", "mean"])
def test_completeness_up_to_an_error_that_falls_with_the_steps(name, kind, start):
    model, x = decoder(name), maps(name)
    errors = {}
    for steps in (2, 200):
        options = Options(output=kind, baseline=start, steps=steps)
        found = explain("integrated_gradients", model, x, **options.model_dump())
        errors[steps] = residual("integrated_gradients", model, x, found, **options.model_dump()).abs()
        assert errors[steps].shape == (4, 4)
    size = found.flatten(2).sum(dim=2).abs().mean()
    assert errors[200].max() < 0.01 * size
    assert errors[200].mean() < 0.1 * errors[2].mean()


def test_completeness_error_is_the_sum_of_the_map_less_the_difference_of_outputs():
    model, x = decoder("mlp", temperature=0.6), maps("mlp")
    found = explain("integrated_gradients", model, x, steps=1)
    p = [torch.softmax(model.network(at) / 0.6, dim=1) for at in (x, torch.zeros_like(x))]
    expected = found.sum(dim=(2, 3, 4)) - (p[0] - p[1])
    error = residual("integrated_gradients", model, x, found, steps=1)
    torch.testing.assert_close(error, expected, atol=1e-6, rtol=0)
    assert error.abs().max() > 1e-3


def test_one_step_is_exact_for_the_logits_of_a_linear_network():
    model, x = decoder("linear"), maps("linear")
    found = explain("integrated_gradients", model, x, output="logit", steps=1)
    assert residual("integrated_gradients", model, x, found, output="logit").abs().max() < 1e-5


def test_blur_mixes_neither_maps_nor_an_axis_one_voxel_thick():
    x = maps("cnn3d-thin")
    options = Options(baseline="blurred", sigma=2)
    given = context(tuple(x.shape[1:]))
    found = baseline(x, options, given)
    torch.testing.assert_close(found[1:2], baseline(x[1:2], options, given))
    torch.testing.assert_close(found[:, :, :, 0], torch.stack([blurred(one[None, :, :, 0], 2)[0] for one in x]))


def test_passes():
    model, x = decoder("mlp"), maps("mlp")
    assert passes("integrated_gradients", model, x, steps=5) == (5, 15)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("integrated_gradients", name, steps=3)
    assert_independent_of_batch_mates("integrated_gradients", name, steps=3, baseline="blurred")
    assert_independent_of_batch_mates("integrated_gradients", name, steps=3, baseline="mean")


def test_leaves_no_trace():
    assert_leaves_no_trace("integrated_gradients", "cnn3d", steps=3)
