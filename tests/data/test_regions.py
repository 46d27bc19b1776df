"""Every voxel of the mask is in exactly one region, whatever regions are made from."""

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from truemap.data.grid import Grid
from truemap.data.nifti import write_map
from truemap.data.regions import (
    REST,
    joined,
    of_atlas,
    of_blocks,
    of_fields,
    of_labels,
    read_regions,
    write_regions,
)
from truemap.datasets._simulation import build_template, read_tables
from truemap.datasets.synthetic import SHAPE, Options, squares, templates
from truemap.runtime.files import DataError

AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
masks = npst.arrays(bool, npst.array_shapes(min_dims=3, max_dims=3, min_side=3, max_side=7)).filter(
    lambda m: m.sum() > 9
)


def check(regions, mask):
    """The partition, as the issue has it."""
    assert (regions.labels > 0).tolist() == mask.reshape(-1).tolist()
    assert set(regions.labels[regions.labels > 0]) == set(range(1, len(regions) + 1))


def test_squares_are_those_of_the_templates_and_the_rest_is_all_else():
    regions = of_fields(squares(), np.ones(SHAPE, bool))
    check(regions, np.ones(SHAPE, bool))
    assert len(regions) == 10 and regions.names[-1] == REST
    any_class = np.stack([*templates(Options()).values()]).max(axis=0).reshape(-1) > 0
    assert (regions.labels[any_class] < 10).all() and (regions.labels[~any_class] == 10).all()
    for number, name in enumerate(regions.names[:-1], 1):
        inside = regions.labels == number
        assert inside.sum() == 9
        have = {label for label, values in templates(Options()).items() if values.reshape(-1)[inside].all()}
        assert have == set(name.split("-")[0])


def test_squares_are_found_again_where_maps_are_downsampled():
    mask = np.ones((11, 11, 1), bool)
    regions = of_fields(squares(), mask, downsample=3)
    check(regions, mask)
    assert len(regions) == 10


@given(masks, st.tuples(*[st.integers(1, 3)] * 3))
def test_blocks_are_the_mask_and_no_larger_than_they_should_be(mask, size):
    try:
        regions = of_blocks(mask, size)
    except DataError as error:
        assert "there must be 3 to 400" in str(error)
        return
    check(regions, mask)
    labels = regions.labels.reshape(mask.shape)
    for number in range(1, len(regions) + 1):
        extent = np.ptp(np.argwhere(labels == number), axis=0) + 1
        assert (extent <= size).all()


def test_fields_take_a_voxel_where_they_are_largest_and_at_least_half_their_peak():
    line = np.arange(12.0)
    fields = {
        "low": np.maximum(4 - line, 0),
        "high": 10 * np.maximum(4 - np.abs(line - 6), 0),
        "next": 1.0 * (line > 10),
    }
    fields = {name: values.reshape(12, 1, 1) for name, values in fields.items()}
    regions = of_fields(fields, np.ones((12, 1, 1), bool))
    # low: 4 3 2 1 ...; high, from 3 on: 10 20 30 40 30 20 10; half of the peaks are 2 and 20.
    assert regions.labels.tolist() == [1, 1, 1, 4, 2, 2, 2, 2, 2, 4, 4, 3]
    assert regions.names == ["low", "high", "next", REST]


def test_fields_that_overlap_most_are_joined():
    x = np.linspace(0, 10, 200)
    bumps = {f"at-{c}": np.exp(-((x - c) ** 2)) for c in (1.0, 1.3, 5.0, 9.0, 9.4)}
    found = joined(bumps, 3)
    assert list(found) == ["at-1.0+at-1.3", "at-5.0", "at-9.0+at-9.4"]
    np.testing.assert_array_equal(found["at-1.0+at-1.3"], np.maximum(bumps["at-1.0"], bumps["at-1.3"]))
    assert list(joined(bumps, 5)) == list(bumps)


def atlas(tmp_path, values, affine=AFFINE, dtype="int16"):
    path = tmp_path / "atlas.nii.gz"
    nib.save(nib.Nifti1Image(np.asarray(values).astype(dtype), affine), path)
    return path


@pytest.fixture
def grid():
    mask = np.zeros((4, 5, 6), bool)
    mask[1:, 1:, 1:] = True
    return Grid(mask, AFFINE)


def labels(shape=(4, 5, 6)):
    values = np.zeros(shape)
    values[2:, :, :] = 7
    values[1, 3:, :] = 40
    values[0] = 99
    return values


def test_an_atlas_is_cut_to_the_mask_and_the_rest_of_it_is_a_region(tmp_path, grid, caplog):
    regions = of_atlas(atlas(tmp_path, labels()), grid)
    check(regions, grid.mask)
    assert regions.names == ["label-7", "label-40", REST]
    assert (regions.labels.reshape(grid.shape)[2:, 1:, 1:] == 1).all()
    assert "label-99" in caplog.text


def test_an_atlas_with_its_axes_turned_gives_the_same_regions(tmp_path, grid):
    image = nib.Nifti1Image(labels().astype("int16"), AFFINE)
    turned = nib.as_closest_canonical(image)
    assert not np.allclose(turned.affine, AFFINE)
    nib.save(turned, tmp_path / "turned.nii.gz")
    expected = of_atlas(atlas(tmp_path, labels()), grid)
    np.testing.assert_array_equal(of_atlas(tmp_path / "turned.nii.gz", grid).labels, expected.labels)


def test_an_atlas_on_another_grid_is_refused_with_both_grids(tmp_path, grid):
    with pytest.raises(DataError, match=r"atlas\.nii\.gz: grid \(4, 5, 7\) voxels.*\(4, 5, 6\) voxels.*Resample"):
        of_atlas(atlas(tmp_path, labels((4, 5, 7))), grid)
    moved = AFFINE.copy()
    moved[0, 3] += 4
    with pytest.raises(DataError, match=r"origin \[94.*differs.*origin \[90"):
        of_atlas(atlas(tmp_path, labels(), moved), grid)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (labels() / 3, "that are no labels"),
        (-labels(), "that are no labels"),
        (np.where(labels() == 7, np.inf, 0), "that are no labels"),
        (np.zeros((4, 5, 6)), "1 regions"),
        (np.arange(4 * 5 * 6 * 8).reshape(4, 5, 6, 8)[..., 0], "regions, the rest of the mask among them"),
    ],
)
def test_values_that_are_no_labels_or_too_few_are_refused(tmp_path, grid, values, words):
    wide = Grid(np.ones((4, 5, 6), bool), AFFINE)
    if words.startswith("regions"):  # more labels than there may be
        wide, values = Grid(np.ones((9, 9, 9), bool), AFFINE), np.arange(729).reshape(9, 9, 9)
    with pytest.raises(DataError, match=words):
        of_atlas(atlas(tmp_path, values, dtype="float32"), wide)


def test_regions_are_read_as_written_and_damage_is_said(tmp_path, grid):
    regions = of_labels(labels(), {7: "a", 40: "b"}, grid.mask, "x")
    image, table = tmp_path / "regions.nii.gz", tmp_path / "regions.tsv"
    write_regions(image, table, regions, grid)
    found = read_regions(image, table)
    assert found.names == regions.names
    np.testing.assert_array_equal(found.labels, regions.labels)
    assert table.read_text().splitlines()[1] == f"1\ta\t{(regions.labels == 1).sum()}"
    write_map(image, np.ones(grid.shape), AFFINE)
    with pytest.raises(DataError, match="damaged"):
        read_regions(image, table)


@given(st.integers(0, 2**32 - 1))
def test_sums_over_regions_add_up_to_the_sum_over_the_mask(seed):
    random = np.random.default_rng(seed)
    mask = random.random((3, 4, 5)) < 0.7
    mask[0, 0] = True
    regions = of_labels(random.integers(0, 4, mask.shape), {1: "a", 2: "b", 3: "c"}, mask, "x")
    maps = random.standard_normal((2, mask.size))
    sums = regions.sums(maps)
    np.testing.assert_allclose(sums.sum(axis=1), maps[:, mask.reshape(-1)].sum(axis=1), atol=1e-12)
    np.testing.assert_array_equal(regions.sums(maps[:, mask.reshape(-1)]), sums)


def test_components_of_simulated_subjects_are_at_most_13_regions_and_the_rest():
    tables = (f"config/simulation/task_{name}.tsv" for name in ("peaks", "components"))
    template = build_template(*read_tables(*tables), 8, 12.0)
    named = template.named()
    assert len(named) == 21
    fields = joined(named)
    regions = of_fields(fields, template.mask)
    check(regions, template.mask)
    assert len(regions) <= 14 and regions.names[-1] == REST
    assert sorted(name for group in fields for name in group.split("+")) == sorted(named)
    assert "left_hand" in regions.names and "left_foot+right_foot" in regions.names
