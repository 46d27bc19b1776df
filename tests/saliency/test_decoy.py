import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import uniform_filter
from small_decoders import (
    CLASSES,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    context,
    decoder,
    explain,
    maps,
    output,
    passes,
)

from truemap.config.registry import options_of
from truemap.saliency import _decoys as decoys
from truemap.saliency._decoys import Search, blurred, deal_patches, optimised, together
from truemap.saliency.decoy import Options, population

NAMES = ["mlp", "cnn3d", "cnn3d-thin"]
SEARCH = Search(layer=1, steps=60, learning_rate=0.01, multiplier=10.0, low=-4.0, high=5.0)


def box_mean(x, kernel):
    """The mean over the cube around each voxel, cut at the map's end; no library."""
    out, r = np.zeros_like(x), kernel // 2
    for at in np.ndindex(x.shape):
        out[at] = x[tuple(slice(max(0, i - r), i + r + 1) for i in at)].mean()
    return out


def autograd(model, x, kind="probability"):
    """Gradients of one map's outputs, shape (classes, *shape)."""
    x = x.clone().requires_grad_(True)
    out = output(model, kind)(x[None])[0]
    return torch.stack([torch.autograd.grad(out[c], x, retain_graph=True)[0] for c in range(len(out))]).detach()


def features(model, x, layer=1):
    """What a ReLU gives for maps, shape (n, features)."""
    at = [number for number, one in enumerate(model.network) if isinstance(one, torch.nn.ReLU)][layer - 1]
    with torch.no_grad():
        return model.network[: at + 1](x).flatten(1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_equals_a_loop_over_patches_written_out(name, kind):
    """One patch a mask: blurred by hand, gradients by autograd, range over all of them and the map."""
    model, x = decoder(name), maps(name, 2)
    found = explain("decoy", model, x, patch=2, masks=None, blur=3, output=kind)
    assert found.shape == (2, CLASSES, *x.shape[1:])
    assert found.dtype == torch.float64
    for row in range(2):
        blur, gradients = torch.from_numpy(box_mean(x[row].numpy(), 3)), [autograd(model, x[row], kind)]
        for corner in itertools.product(*(range(0, size, 2) for size in x.shape[1:])):
            decoy, patch = x[row].clone(), tuple(slice(i, i + 2) for i in corner)
            decoy[patch] = blur[patch]
            gradients.append(autograd(model, decoy, kind))
        expected = torch.stack(gradients).amax(dim=0) - torch.stack(gradients).amin(dim=0)
        assert expected.max() > 0
        np.testing.assert_allclose(found[row], expected, atol=1e-5 * autograd(model, x[row], kind).abs().max())


@pytest.mark.parametrize("inner", ["gradient", "smoothgrad", "integrated_gradients"])
@pytest.mark.parametrize("kind", ["blurred", "inpainted", "optimised"])
def test_is_the_range_of_the_inner_method_over_the_population(inner, kind):
    """Each decoy is explained as the method itself explains a map of that sample."""
    model, x, ids = decoder("cnn3d"), maps("cnn3d", 2), [7, 31]
    options = Options(decoys=kind, inner=inner, output="logit", inner_n=3, sigma=0.5, masks=4, steps=15)
    own = {"gradient": {}, "smoothgrad": {"n": 3, "sigma": 0.5}, "integrated_gradients": {"steps": 3}}[inner]
    everyone = [x, *population(model, x, options, context(tuple(x.shape[1:])))]
    assert len(everyone) == (9 if kind == "optimised" else 5)
    singles = torch.stack([explain(inner, model, one, ids, output="logit", **own) for one in everyone])
    found = explain("decoy", model, x, ids, **options.model_dump())
    torch.testing.assert_close(found, singles.amax(dim=0) - singles.amin(dim=0))
    assert found.min() >= 0
    assert found.amax(dim=(2, 3, 4)).min() > 0


def test_noise_alone_has_no_range():
    """A constant map's blurred decoys are the map: with noise of its own for each, Z would not be zero."""
    model, x = decoder("cnn3d"), torch.full((2, 9, 8, 6), 0.7)
    assert explain("decoy", model, x, inner="smoothgrad", sigma=2.0, inner_n=2).abs().max() < 1e-6


def test_a_linear_network():
    """Logits have one gradient everywhere, so no range; probabilities have K(p) W, of which p alone varies."""
    model, x = decoder("linear"), maps("linear", 1)
    assert (explain("decoy", model, x, output="logit") == 0).all()
    weights = model.network[-1].weight.double()
    gradients = []
    options = Options(patch=2, masks=5, blur=3)
    for decoy in [x, *population(model, x, options, context((4, 3, 2)))]:
        p = torch.softmax(model.network(decoy)[0].double() / model.temperature, dim=0)
        gradients.append((torch.diag(p) - p[:, None] * p) @ weights / model.temperature)
    expected = torch.stack(gradients).amax(dim=0) - torch.stack(gradients).amin(dim=0)
    found = explain("decoy", model, x, patch=2, masks=5, blur=3)[0].flatten(1)
    np.testing.assert_allclose(found, expected, atol=1e-6 * gradients[0].abs().max())


@pytest.mark.parametrize("kernel", [3, 5, 7])
def test_blur_is_scipys_in_the_interior(kernel):
    x = torch.randn(2, 11, 9, 8, generator=torch.Generator().manual_seed(0))
    inside = (slice(kernel // 2, -(kernel // 2)),) * 3
    for one, blur in zip(x, blurred(x, kernel), strict=True):
        np.testing.assert_allclose(blur[inside], uniform_filter(one.numpy(), kernel)[inside], atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 5, 1), (4, 1, 3), (2, 2, 2), (7, 6, 5)])
def test_blur_counts_voxels_of_the_map_alone(shape):
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(blurred(x, 5)[0], box_mean(x[0].numpy(), 5), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    patch=st.integers(1, 5),
    masks=st.none() | st.integers(1, 40),
)
def test_each_voxel_is_in_one_mask(shape, patch, masks):
    """Numbers are 0 to n - 1, all used, at most as many as allowed, and one to a patch."""
    numbers = deal_patches(shape, patch, masks)
    assert numbers.shape == shape
    used = numbers.unique().tolist()
    patches = int(np.prod([-(-size // patch) for size in shape]))
    assert used == list(range(len(used)))
    assert len(used) <= (masks or patches)
    for corner in itertools.product(*(range(0, size, patch) for size in shape)):
        assert len(numbers[tuple(slice(i, i + patch) for i in corner)].unique()) == 1
    if masks is None or masks >= patches:
        assert len(used) == patches
    assert torch.equal(deal_patches(shape, patch, masks), numbers)


@pytest.mark.parametrize(
    ("shape", "masks", "count"),
    [((23, 28, 23), 12, 12), ((20, 20, 1), 12, 12), ((23, 28, 23), 8, 8), ((6, 6, 6), 12, 8)],
)
def test_patches_of_a_mask_are_apart(shape, masks, count):
    """Between two patches of a mask are at least one patch's voxels, on the axis on which they differ most."""
    numbers = deal_patches(shape, 3, masks)
    assert len(numbers.unique()) == count
    grid = np.argwhere(numbers.numpy()[::3, ::3, ::3] == 0)
    distance = np.abs(grid[:, None] - grid[None]).max(axis=2)
    assert distance[distance > 0].min(initial=99) >= 2


def test_number_of_masks_on_the_grid_of_the_hcp_maps():
    assert deal_patches((23, 28, 23), 3, None).max() + 1 == 640
    assert deal_patches((23, 28, 23), 4, None).max() + 1 == 252


@pytest.mark.parametrize(("name", "layer"), [("mlp", 1), ("cnn3d", 1), ("cnn3d", 2), ("cnn3d-thin", 1)])
@pytest.mark.parametrize("sign", [1, -1])
def test_optimised_decoys_keep_what_they_must(name, sign, layer):
    """Outside the mask not a bit, inside the box, features within the bound that is reported."""
    model, x = decoder(name), maps(name, 1)
    numbers = deal_patches(tuple(x.shape[1:]), 2, 6)
    masks = numbers == torch.arange(int(numbers.max()) + 1).view(-1, 1, 1, 1)
    found, bound = optimised(model.network, x[0], masks, sign, Search(layer, 100, 0.01, 10.0, -4.0, 5.0))
    assert (found[~masks] == x.expand_as(found)[~masks]).all()
    assert found.min() >= -4 - 1e-5
    assert found.max() <= 5 + 1e-5
    kept = features(model, x, layer)
    change = (features(model, found, layer) - kept).abs().amax(dim=1) / kept.max()
    assert (change <= bound + 1e-6).all()
    assert bound.max() < 0.1
    moved = (sign * (found - x)).clamp(min=0).flatten(1).sum(dim=1)
    assert moved.min() > 0
    assert moved.sum() > 0.5 * (found - x).abs().sum()


def test_optimised_decoys_keep_features_that_blurred_ones_do_not():
    model, x = decoder("cnn3d"), maps("cnn3d", 1)
    kept, changes = features(model, x), {}
    for kind in ("blurred", "optimised"):
        decoys_of_x = population(model, x, Options(decoys=kind), context((9, 8, 6)))
        changes[kind] = torch.stack([(features(model, one) - kept).abs().max() / kept.max() for one in decoys_of_x])
    assert changes["optimised"].max() < 0.03
    assert changes["blurred"].min() > 0.1


def test_more_steps_bind_closer():
    model, x = decoder("cnn3d"), maps("cnn3d", 1)
    mask = deal_patches((9, 8, 6), 3, 8)[None] == 0
    bounds = [
        optimised(model.network, x[0], mask, 1, Search(1, steps, 0.01, 10.0, -4.0, 5.0))[1].item()
        for steps in (1, 10, 50, 200)
    ]
    assert bounds[0] == 1
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[-1] < 0.02


def test_a_dead_layer_lets_a_patch_go_to_the_end_of_the_box():
    """No feature changes: only the box holds the decoy, upwards and downwards."""
    model, x = decoder("mlp"), maps("mlp", 1)
    model.network[1].bias[:] = -1e4
    mask = deal_patches((4, 3, 2), 2, None)[None] == 0
    for sign, end in ((1, 5.0), (-1, -4.0)):
        search = Search(1, 400, 0.05, 10.0, -4.0, 5.0)
        found, bound = optimised(model.network, x[0], mask, sign, search)
        torch.testing.assert_close(found[mask], torch.full((8,), end), atol=0.01, rtol=0)
        assert bound.item() == pytest.approx(0.95**399)


def test_a_unit_that_went_off_comes_back():
    """One ReLU sees voxel 0 alone, which one step brings near zero and the next one below."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(2, 1, bias=False), torch.nn.ReLU())
    network.requires_grad_(False)
    network[1].weight[:] = torch.tensor([[1.0, 0.0]])
    x, mask = torch.tensor([0.5, 0.0]), torch.tensor([[True, False]])
    found, bound = optimised(network, x, mask, -1, Search(1, 200, 0.1, 10.0, -4.0, 5.0))
    assert 0 < bound.item() < 0.05
    assert 0 < (x - found[0])[0].abs() <= bound.item() * 0.5 + 1e-6
    assert found[0, 1] == 0


def test_a_map_beyond_the_training_maps_widens_the_box():
    model, x = decoder("mlp"), maps("mlp", 1)
    x[0, 0, 0, 0], x[0, 1, 0, 0] = 9.0, -9.0
    mask = deal_patches((4, 3, 2), 2, None)[None] == 0
    found, bound = optimised(model.network, x[0], mask, 1, SEARCH)
    assert torch.isfinite(found).all()
    assert -9 - 1e-4 <= found.min() < -4
    assert found.max() <= 9 + 1e-4
    assert 0 < bound.item() < 1
    assert (found[0].flatten()[1:] <= 5 + 1e-5).all()


@pytest.mark.parametrize("size", [1, 3, 8])
def test_number_of_decoys_searched_at_a_time_does_not_matter(monkeypatch, size):
    model, x = decoder("cnn3d"), maps("cnn3d", 2)
    options = Options(decoys="optimised", masks=4, steps=30)
    given_context = context((9, 8, 6))
    expected = torch.stack(list(population(model, x, options, given_context)))
    monkeypatch.setattr(decoys, "VALUES", size * 3 * 9 * 8 * 6)
    assert together(model.network, x[:1], 1) == size
    found = torch.stack(list(population(model, x, options, given_context)))
    distance = torch.cdist(found.flatten(1), expected.flatten(1))
    assert distance.amin(dim=1).max() < 1e-3
    assert sorted(distance.argmin(dim=1).tolist()) == list(range(8))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["blurred", "inpainted", "optimised"])
def test_a_map_does_not_depend_on_its_batch_mates(name, kind):
    assert_independent_of_batch_mates("decoy", name, decoys=kind, masks=4, steps=20)


@pytest.mark.parametrize("kind", ["blurred", "inpainted", "optimised"])
@pytest.mark.parametrize("inner", ["gradient", "smoothgrad"])
def test_leaves_no_trace(kind, inner):
    assert_leaves_no_trace("decoy", "cnn3d", decoys=kind, inner=inner, masks=4, steps=10, inner_n=2)
    model, before = decoder("cnn3d"), torch.get_rng_state()
    explain("decoy", model, maps("cnn3d", 1), decoys=kind, inner=inner, masks=4, steps=10, inner_n=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert not any(layer._forward_pre_hooks for layer in model.network.modules())


def test_passes():
    """9 patches of a flat map, each a mask: each, and the map, costs one gradient."""
    assert passes("decoy", decoder("cnn3d-thin"), maps("cnn3d-thin")) == (10, 10 * (CLASSES - 1))


def test_refuses_optimised_decoys_without_that_relu():
    with pytest.raises(ValueError, match=r"decoys: blurred, needs a network with nn\.ReLU layers; this one has none"):
        explain("decoy", decoder("linear"), maps("linear"), decoys="optimised")
    with pytest.raises(ValueError, match="decoy: layer is 3, but this network has 2 ReLU layers"):
        explain("decoy", decoder("cnn3d"), maps("cnn3d"), decoys="optimised", layer=3)
    assert torch.isfinite(explain("decoy", decoder("linear"), maps("linear"))).all()


def test_options():
    assert options_of("saliency", "decoy")().model_dump() == Options().model_dump()
    for wrong in ({"blur": 4}, {"patch": 0}, {"masks": 0}, {"inner": "decoy"}, {"steps": 0}):
        with pytest.raises(ValidationError):
            Options(**wrong)
