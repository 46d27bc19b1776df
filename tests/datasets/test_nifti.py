import gzip
import hashlib

import nibabel as nib
import numpy as np
import pytest

from truemap.datasets.nifti import read_map, same_grid, write_map
from truemap.files import DataError

AFFINE = np.array([[-8.0, 0, 0, 90], [0, 8, 0, -126], [0, 0, 8, -72], [0, 0, 0, 1]])
VALUES = np.random.default_rng(0).standard_normal((5, 6, 7)).astype("float32")
BYTES = nib.Nifti1Image(VALUES, AFFINE).to_bytes()
RGB = np.zeros((5, 6, 7), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])


@pytest.mark.parametrize(("name", "pack"), [("map.nii", bytes), ("map.nii.gz", gzip.compress)])
def test_a_map_is_read_with_its_place_and_the_checksum_of_its_file(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(BYTES))
    values, affine, checksum = read_map(path)
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(affine, AFFINE)
    with path.open("rb") as file:
        assert checksum == hashlib.file_digest(file, "sha256").hexdigest()


def test_scaled_integers_are_read_as_what_they_stand_for(tmp_path):
    image = nib.Nifti1Image(np.arange(8, dtype="int16").reshape(2, 2, 2), AFFINE)
    image.header.set_slope_inter(0.5, 10.0)
    nib.save(image, tmp_path / "map.nii")
    expected = 0.5 * np.asarray(image.dataobj) + 10.0
    np.testing.assert_allclose(read_map(tmp_path / "map.nii")[0], expected)


@pytest.mark.parametrize("shape", [(2, 3, 4, 1), (2, 3, 4, 1, 1)])
def test_one_volume_in_a_longer_shape_is_a_map(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.ones(shape, "float32"), AFFINE), tmp_path / "map.nii")
    assert read_map(tmp_path / "map.nii")[0].shape == (2, 3, 4)


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3)])
def test_more_or_less_than_a_volume_is_refused(tmp_path, shape):
    nib.save(nib.Nifti1Image(np.ones(shape, "float32"), AFFINE), tmp_path / "map.nii")
    with pytest.raises(DataError, match=r"map\.nii: has shape"):
        read_map(tmp_path / "map.nii")


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(BYTES)[:-200],
        gzip.compress(BYTES)[:-4],
        gzip.compress(BYTES)[:12],
        BYTES[:-10],
        BYTES[:348],
        BYTES[:100],
        b"",
        gzip.compress(b""),
    ],
    ids=["gz", "gz checksum", "gz head", "data", "all data", "head", "everything", "everything in gz"],
)
def test_a_file_that_ends_too_early_is_refused_by_name(tmp_path, content):
    (tmp_path / "map.nii.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"(?s)map\.nii\.gz: .*again"):
        read_map(tmp_path / "map.nii.gz")


def test_a_damaged_byte_in_a_compressed_file_is_noticed(tmp_path):
    content = bytearray(gzip.compress(BYTES))
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "map.nii.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"map\.nii\.gz"):
        read_map(tmp_path / "map.nii.gz")


@pytest.mark.parametrize(
    "content", [b"image\tsubject\tlabel\n" * 30, bytes(1000), gzip.compress(bytes(1000))], ids=["text", "zeros", "gz"]
)
def test_what_is_no_nifti_is_refused_by_name(tmp_path, content):
    (tmp_path / "map.nii").write_bytes(content)
    with pytest.raises(DataError, match=r"map\.nii: not a readable NIfTI"):
        read_map(tmp_path / "map.nii")


@pytest.mark.parametrize("values", [RGB, VALUES.astype("complex64")], ids=["colours", "complex"])
def test_what_is_no_real_number_is_refused(tmp_path, values):
    nib.save(nib.Nifti1Image(values, AFFINE), tmp_path / "map.nii")
    with pytest.raises(DataError, match=r"map\.nii"):
        read_map(tmp_path / "map.nii")


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(DataError, match=r"none\.nii: no such file"):
        read_map(tmp_path / "none.nii")
    with pytest.raises(DataError, match=str(tmp_path)):
        read_map(tmp_path)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (32, 32, 1)])
def test_written_maps_are_float32_in_place(tmp_path, shape):
    values = np.random.default_rng(0).standard_normal(shape)
    write_map(tmp_path / "new/map.nii.gz", values, AFFINE)
    image = nib.load(tmp_path / "new/map.nii.gz")
    assert image.get_data_dtype() == "float32"
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_array_equal(np.asarray(image.dataobj), values.astype("float32"))
    np.testing.assert_array_equal(image.affine, AFFINE)


def test_a_map_written_twice_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        write_map(tmp_path / name / "map.nii.gz", VALUES, AFFINE)
    assert (tmp_path / "a/map.nii.gz").read_bytes() == (tmp_path / "b/map.nii.gz").read_bytes()


def test_grids_agree_to_a_thousandth_of_a_millimetre():
    shift = np.zeros((4, 4))
    shift[0, 3] = 1.0
    assert same_grid((2, 3, 4), AFFINE, (2, 3, 4), AFFINE + 5e-4 * shift)
    assert not same_grid((2, 3, 4), AFFINE, (2, 3, 4), AFFINE + 5e-2 * shift)
    assert not same_grid((2, 3, 4), AFFINE, (2, 3, 5), AFFINE)
    assert not same_grid((2, 3, 4), AFFINE, (2, 3, 4), np.diag([-1, 1, 1, 1]) @ AFFINE)
