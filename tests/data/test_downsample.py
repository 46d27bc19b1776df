import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter

from truemap.data.grid import block_means
from truemap.data.nifti import read_map
from truemap.data.reading import BadMap, reading, usable
from truemap.data.shared_grid import find_grid
from truemap.runtime.files import DataError

AFFINE = np.array([[-3.0, 0, 0, 78], [0, 3, 0, -111], [0, 0, 3, -51], [0, 0, 0, 1]])
SHAPE = (5, 6, 3)


def maps(shape=SHAPE, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def save(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine), path)
    return str(path)


@given(st.tuples(*[st.integers(1, 7)] * 3), st.integers(1, 4))
def test_every_block_is_the_mean_of_its_voxels_and_no_voxel_is_lost(shape, blocks):
    values, sizes = maps(shape), [min(blocks, n) for n in shape]
    means, affine = block_means(values, AFFINE, blocks)
    assert means.shape == tuple(-(-n // size) for n, size in zip(shape, sizes, strict=True))
    assert means.dtype == values.dtype
    counts = np.zeros(means.shape)
    for place in np.ndindex(means.shape):
        own = values[tuple(slice(k * size, (k + 1) * size) for k, size in zip(place, sizes, strict=True))]
        counts[place] = own.size
        np.testing.assert_allclose(means[place], own.mean(dtype=np.float64), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose((means * counts).sum(), values.sum(dtype=np.float64), rtol=1e-4, atol=1e-4)
    # Where the first block lies: the mean of its voxels' places.
    centres = [AFFINE @ [*place, 1] for place in np.ndindex(*sizes)]
    np.testing.assert_allclose(affine @ [0, 0, 0, 1], np.mean(centres, axis=0))
    np.testing.assert_allclose(np.abs(np.diag(affine)[:3]), np.multiply(3, sizes))


def test_whole_blocks_are_scipys_uniform_filter_between_voxels():
    values = maps((6, 8, 4)).astype(np.float64)
    # An even filter is of the voxel and the one before it.
    np.testing.assert_allclose(block_means(values, AFFINE, 2)[0], uniform_filter(values, 2)[1::2, 1::2, 1::2])


def test_a_field_in_mm_has_the_same_values_at_the_same_places():
    """Linear in mm, it shows whether values and affine belong together."""

    def field(affine, shape):
        grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        return nib.affines.apply_affine(affine, grid) @ [0.3, -0.2, 0.7]

    means, affine = block_means(field(AFFINE, (6, 4, 8)), AFFINE, 2)
    np.testing.assert_allclose(means, field(affine, means.shape))


def test_whole_numbers_have_means_that_are_none():
    assert block_means(np.array([[[0, 1]]], dtype=np.int16), AFFINE, 2)[0].tolist() == [[[0.5]]]


def test_nan_is_taken_for_0_before_blocks_are_made_and_refused_in_any_voxel():
    values = maps()
    values[0, 0, 0] = np.nan

    def read(image):
        return values, AFFINE, "sum"

    found, affine, checksum = reading(read, "zero", 2)("a")
    np.testing.assert_array_equal(found, block_means(np.nan_to_num(values), AFFINE, 2)[0])
    np.testing.assert_array_equal(affine, block_means(values, AFFINE, 2)[1])
    assert checksum == "sum"
    with pytest.raises(BadMap, match="1 of 18 voxels are NaN"):
        usable("a", reading(read, "refuse", 2))


@pytest.mark.parametrize("blocks", [2, 3, 5])
def test_files_are_as_large_as_the_blocks_make_them(tmp_path, blocks):
    """What a map of a known grid may claim is counted in its blocks."""
    image = save(tmp_path / "a.nii", maps((9, 10, 11)))
    read = reading(read_map, "refuse", blocks)
    grid = find_grid([image], read, None)
    assert grid.shape == tuple(-(-n // blocks) for n in (9, 10, 11))
    assert usable(image, read, grid)[0].shape == grid.shape
    other = save(tmp_path / "b.nii", maps((30, 30, 30)))
    with pytest.raises(BadMap, match=r"differs from the dataset's|more than"):
        usable(other, read, grid)


def test_a_mask_is_downsampled_with_the_maps(tmp_path):
    image, inside = save(tmp_path / "a.nii", maps((4, 4, 4))), np.zeros((4, 4, 4))
    inside[:2, :2, :2] = 1
    inside[2, :2, :2] = 1  # half of a block
    inside[0, 2, :2] = 1  # a quarter of one
    grid = find_grid([image], reading(read_map, "refuse", 2), save(tmp_path / "mask.nii", inside), 2)
    assert np.argwhere(grid.mask).tolist() == [[0, 0, 0], [1, 0, 0]]
    with pytest.raises(DataError, match=r"few\.nii: is nowhere half of a block of 2³ voxels\. Lower `downsample`"):
        few = save(tmp_path / "few.nii", np.eye(4)[..., None] * np.eye(4)[0])
        find_grid([image], reading(read_map, "refuse", 2), few, 2)
    with pytest.raises(DataError, match="is not on the grid of the maps"):
        coarse = save(tmp_path / "coarse.nii", *block_means(inside, AFFINE, 2))
        find_grid([image], reading(read_map, "refuse", 2), coarse, 2)
