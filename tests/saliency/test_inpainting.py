import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.ndimage import convolve
from scipy.optimize import minimize
from small_decoders import context, decoder, explain, maps

from truemap.runtime.files import DataError
from truemap.saliency._decoys import deal_patches
from truemap.saliency._inpainting import inpainted
from truemap.saliency.decoy import Options, population

SHAPES = [(9, 8, 7), (9, 8, 1), (1, 12, 1), (7, 2, 3)]


def noise(shape, n=2, seed=0):
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def polynomial(shape, degree, seed=0):
    """A random polynomial of the voxels' places, all terms up to this total degree."""
    random = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, max(size, 2))[:size] for size in shape), indexing="ij")
    powers = [p for p in itertools.product(range(degree + 1), repeat=len(shape)) if sum(p) <= degree]
    terms = (random.standard_normal() * np.prod([a**k for a, k in zip(axes, p, strict=True)], axis=0) for p in powers)
    return torch.from_numpy(sum(terms))[None]


def patches(shape, patch=3, masks=12):
    numbers = deal_patches(shape, patch, masks)
    return [numbers == number for number in range(int(numbers.max()) + 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_maps_are_continued_exactly_at_the_ends_too(shape):
    x = polynomial(shape, 1)
    for mask in patches(shape):
        spoilt = torch.where(mask, 1e3, x)
        torch.testing.assert_close(inpainted(spoilt, mask), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(inpainted(torch.full((1, *shape), 0.7), patches(shape)[0]), torch.full((1, *shape), 0.7))


@pytest.mark.parametrize("shape", [(12, 11, 10), (12, 11, 1), (14, 1, 1)])
def test_cubic_maps_are_continued_exactly_inside(shape):
    x, mask = polynomial(shape, 3), torch.zeros(shape, dtype=torch.bool)
    mask[tuple(slice(3, 6) if size > 1 else slice(None) for size in shape)] = True
    torch.testing.assert_close(inpainted(torch.where(mask, -50.0, x), mask), x, rtol=0, atol=1e-5)
    quartic = polynomial(shape, 4)
    assert (inpainted(quartic, mask) - quartic).abs().max() > 1e-4


def test_a_gap_of_a_line_is_the_cubic_through_two_voxels_on_either_side():
    x = noise((1, 14, 1), 1)
    mask = torch.zeros(1, 14, 1, dtype=torch.bool)
    mask[0, 5:9] = True
    places, values = [3, 4, 9, 10], x[0, 0, [3, 4, 9, 10], 0].numpy()
    expected = np.polyval(np.polyfit(places, values, 3), np.arange(5, 9))
    np.testing.assert_allclose(inpainted(x, mask)[0, 0, 5:9, 0], expected, atol=1e-6)


def test_the_biharmonic_equation_holds_inside():
    """The 13-point stencil of textbooks, in two dimensions, is 0 at each voxel of the mask."""
    stencil = np.array([[0, 0, 1, 0, 0], [0, 2, -8, 2, 0], [1, -8, 20, -8, 1], [0, 2, -8, 2, 0], [0, 0, 1, 0, 0]])
    x, mask = noise((16, 15, 1), 1), torch.zeros(16, 15, 1, dtype=torch.bool)
    mask[3:8, 4:7], mask[10:13, 9:12] = True, True
    found = inpainted(x, mask)[0, :, :, 0].numpy()
    curved = convolve(found, stencil)
    assert np.abs(curved[mask[..., 0].numpy()]).max() < 1e-6
    assert np.abs(convolve(x[0, :, :, 0].numpy(), stencil)[mask[..., 0].numpy()]).max() > 1


def energy(u):
    """The bending energy written out with slices."""
    total = 0.0
    for axis in range(u.ndim):
        if u.shape[axis] > 2:
            total += (np.diff(u, 2, axis) ** 2).sum()
        for other in range(axis + 1, u.ndim):
            total += 2 * (np.diff(np.diff(u, 1, axis), 1, other) ** 2).sum()
    return total


@settings(deadline=None, max_examples=15)
@given(st.tuples(*[st.integers(1, 5)] * 3), st.integers(0, 10**6))
def test_no_other_values_in_the_mask_bend_less(shape, seed):
    """Against a general minimiser; where a slope is free the energy is still the least."""
    random = np.random.default_rng(seed)
    mask = random.random(shape) < 0.4
    mask.flat[random.integers(mask.size)] = False
    x = random.standard_normal(shape)
    found = inpainted(torch.from_numpy(x)[None], torch.from_numpy(mask))[0].numpy()
    np.testing.assert_array_equal(found[~mask], x[~mask])
    assert np.isfinite(found).all()

    def bent(values):
        u = x.copy()
        u[mask] = values
        return energy(u)

    if mask.any():
        least = minimize(bent, np.zeros(mask.sum()), method="BFGS", options={"gtol": 1e-9}).fun
        assert energy(found) <= least + 1e-5 * (1 + least)


def test_a_free_slope_is_the_flattest():
    """One straight row of voxels is known: nothing tells how the map goes on beside it, so it stays."""
    x, mask = polynomial((1, 5, 1), 1).expand(-1, 4, -1, -1), torch.ones(4, 5, 1, dtype=torch.bool)
    mask[0] = False
    torch.testing.assert_close(inpainted(torch.where(mask, 9.0, x), mask), x, rtol=0, atol=1e-4)


def test_what_the_mask_hides_is_not_read_and_the_rest_stays():
    x, mask = noise((9, 8, 7)).float(), patches((9, 8, 7))[3]
    found = inpainted(x, mask)
    assert found.dtype == torch.float32
    assert torch.equal(found[:, ~mask], x[:, ~mask])
    assert torch.equal(inpainted(torch.where(mask, torch.nan, x), mask), found)
    assert torch.equal(inpainted(x[1:], mask)[0], found[1])
    assert torch.equal(inpainted(x, torch.zeros_like(mask)), x)


def test_a_mask_of_everything_is_refused():
    with pytest.raises(DataError, match=r"a mask covers the whole map.*Raise `masks`"):
        inpainted(noise((4, 3, 2)), torch.ones(4, 3, 2, dtype=torch.bool))
    with pytest.raises(DataError, match="a mask covers the whole map"):
        explain("decoy", decoder("mlp"), maps("mlp", 1), decoys="inpainted", patch=4)
    with pytest.raises(ValidationError, match="one mask leaves nothing to continue the map from; raise `masks`"):
        Options(decoys="inpainted", masks=1)
    assert Options(decoys="blurred", masks=1).masks == 1


@pytest.mark.parametrize("masks", [5, None])
def test_decoys_are_the_map_inpainted_mask_by_mask(masks):
    model, x = decoder("cnn3d"), maps("cnn3d", 2)
    options = Options(decoys="inpainted", masks=masks)
    found = list(population(model, x, options, context((9, 8, 6))))
    chosen = patches((9, 8, 6), 3, masks)
    assert len(found) == len(chosen) == (4 if masks else 18)
    for one, mask in zip(found, chosen, strict=True):
        assert torch.equal(one, inpainted(x, mask))
        assert not torch.equal(one, x)
