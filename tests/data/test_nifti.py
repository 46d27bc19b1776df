import bz2
import gzip
import hashlib
import logging
import tracemalloc
import warnings
import zlib

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from truemap.data import headers
from truemap.data.grid import grid_difference, same_grid
from truemap.data.headers import sized
from truemap.data.nifti import decode_map, files_of, read_map, write_map
from truemap.runtime.files import DataError

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


@pytest.mark.parametrize("names", [("m.hdr", "m.img"), ("m.hdr.gz", "m.img.gz"), ("m.hdr", "m.img.gz")])
@pytest.mark.parametrize("version", [nib.Nifti1Pair, nib.Nifti2Pair])
def test_a_pair_is_read_by_either_name_with_the_checksum_of_both_files(tmp_path, names, version):
    version(VALUES, AFFINE).to_filename(tmp_path / "pair.img")
    raw = [(tmp_path / f"pair.{ending}").read_bytes() for ending in ("hdr", "img")]
    raw = [gzip.compress(part) if name.endswith("gz") else part for part, name in zip(raw, names, strict=True)]
    for part, name in zip(raw, names, strict=True):
        (tmp_path / name).write_bytes(part)
    for name in names:
        values, affine, checksum = read_map(tmp_path / name)
        np.testing.assert_array_equal(values, VALUES)
        np.testing.assert_array_equal(affine, AFFINE)
        sums = "".join(hashlib.sha256(part).hexdigest() for part in raw)
        assert checksum == hashlib.sha256(sums.encode()).hexdigest()
        assert files_of(tmp_path / name) == tuple(tmp_path / part for part in names)


def test_one_file_of_a_pair_alone_is_told_what_it_lacks(tmp_path):
    nib.Nifti1Pair(VALUES, AFFINE).to_filename(tmp_path / "pair.img")
    (tmp_path / "pair.img").rename(tmp_path / "other.img")
    with pytest.raises(DataError, match=r"pair\.hdr: one file of a pair\. Put the other beside it"):
        read_map(tmp_path / "pair.hdr")
    with pytest.raises(DataError, match=r"other\.img: .*without a NIfTI header"):
        read_map(tmp_path / "other.img")
    (tmp_path / "single.img").write_bytes(BYTES)
    np.testing.assert_array_equal(read_map(tmp_path / "single.img")[0], VALUES)


@pytest.mark.parametrize("kind", [nib.Nifti2Image, nib.Nifti1Image])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_in_either_byte_order_are_read(kind, order):
    image = kind(VALUES, AFFINE)
    image = kind(VALUES, AFFINE, image.header.as_byteswapped(order))
    values, affine, _ = decode_map("m.nii", image.to_bytes())
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_array_equal(affine, AFFINE)


@pytest.mark.parametrize(
    "content",
    [
        gzip.compress(BYTES) + b"garbage",
        gzip.compress(BYTES) + bytes(512),
        BYTES + bytes(512),
        b"".join(gzip.compress(BYTES[start : start + 100]) for start in range(0, len(BYTES), 100)),
        gzip.compress(b"") * 3 + gzip.compress(BYTES),
    ],
    ids=["garbage after gzip", "zeros after gzip", "padding", "blocks, as bgzip writes", "empty members"],
)
def test_what_surrounds_a_whole_map_does_no_harm(content):
    np.testing.assert_array_equal(decode_map("m.nii.gz", content)[0], VALUES)


def test_an_extension_is_passed_over():
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"x" * 5000))
    np.testing.assert_array_equal(decode_map("m.nii", image.to_bytes())[0], VALUES)


def bomb(start=BYTES, megabytes=256):
    """A map and zeros after it, a thousandth of their size when packed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(start), *(packer.compress(bytes(1 << 20)) for _ in range(megabytes)), packer.flush()]
    return b"".join(parts)


def claiming(field, value, kind=nib.Nifti1Image):
    """A small file whose header says otherwise."""
    image = kind(VALUES, AFFINE)
    header = image.header.structarr.copy()
    header[field] = value
    return header.tobytes() + image.to_bytes()[header.nbytes :]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bomb(), "holds more than the 1192 bytes"),
        (gzip.compress(claiming("dim", [3, 1290, 1290, 1290, 1, 1, 1, 1])), "more than 512 x 512 x 512"),
        (claiming("dim", [3, 2**40, 2**40, 2, 1, 1, 1, 1], nib.Nifti2Image), "more than 512 x 512 x 512"),
        (bomb(claiming("vox_offset", 2**30)), "values begin at byte 1073741824"),
        (claiming("dim", [3, -5, 6, 7, 1, 1, 1, 1]), "has shape"),
        (claiming("dim", [4, 5, 6, 7, 30000, 1, 1, 1]), "has shape"),
        (claiming("vox_offset", np.inf), "not a readable NIfTI"),
        (gzip.compress(bomb()), "compressed twice"),
    ],
    ids=["stream", "header", "NIfTI-2", "extensions", "negative", "volumes", "infinite offset", "nested"],
)
def test_no_memory_is_spent_on_a_claim(content, reason):
    tracemalloc.start()
    with warnings.catch_warnings(), pytest.raises(DataError, match=rf"m\.nii\.gz: .*{reason}"):
        warnings.simplefilter("ignore")
        decode_map("m.nii.gz", content)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_a_map_far_larger_than_the_datasets_grid_is_refused_before_it_is_unpacked(tmp_path):
    large = nib.Nifti1Image(np.zeros((40, 40, 40), "float32"), AFFINE).to_bytes()
    with (
        sized((5, 6, 7)),
        pytest.raises(DataError, match=r"says \(40, 40, 40\) voxels, more than 8 times .*\(5, 6, 7\)"),
    ):
        decode_map("m.nii.gz", gzip.compress(large))
    assert decode_map("m.nii.gz", gzip.compress(large))[0].shape == (40, 40, 40)
    with (tmp_path / "m.nii").open("wb") as file:
        file.write(BYTES)
        file.truncate(1 << 27)
    with sized((5, 6, 7)), pytest.raises(DataError, match=r"m\.nii: 134217728 bytes"):
        read_map(tmp_path / "m.nii")


@given(st.integers(0, 347), st.binary(min_size=1, max_size=8), st.booleans(), st.sampled_from([0, 1]))
def test_a_damaged_header_is_a_data_error_or_harmless(place, damage, packed, version):
    content = bytearray([nib.Nifti1Image, nib.Nifti2Image][version](VALUES, AFFINE).to_bytes())
    content[place : place + len(damage)] = damage
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            values, affine, _ = decode_map("m.nii", gzip.compress(content) if packed else bytes(content))
        except DataError as error:
            assert str(error).startswith("m.nii: ")
        else:
            assert values.ndim == 3 and np.isfinite(affine).all() and abs(np.linalg.det(affine)) > 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", r"git-lfs .*git lfs pull"),
        (b"/annex/objects/MD5E-s100--0123.nii.gz\n", r"git-annex .*datalad get"),
        (b"\n<!DOCTYPE html><html>" + bytes(600), r"web page.*Fetch"),
        (bytes(128) + b"DICM" + bytes(600), r"DICOM.*dcm2niix"),
        (b"\0\0\0\1" + bytes(600), r"MGH.*mri_convert"),
        (b'<?xml version="1.0"?><GIFTI>' + bytes(600), r"GIFTI"),
        (b"\ntype  = string-attribute\nname = HISTORY" + bytes(600), r"AFNI.*3dAFNItoNIFTI"),
        (bz2.compress(BYTES), r"bzip2.*bunzip2"),
        (b"\x93NUMPY" + bytes(600), r"NumPy.*affine"),
        (nib.AnalyzeImage(VALUES, None).header.structarr.tobytes() + bytes(500), r"Analyze"),
        (claiming("intent_code", 3006, nib.Nifti2Image), r"CIFTI.*wb_command"),
    ],
    ids=["lfs", "annex", "html", "dicom", "mgh", "gifti", "afni", "bz2", "npy", "analyze", "cifti"],
)
def test_another_format_is_called_by_its_name_with_its_own_remedy(content, words):
    with pytest.raises(DataError, match=rf"(?s)m\.nii\.gz: .*{words}"):
        decode_map("m.nii.gz", content)
    with pytest.raises(DataError, match=rf"(?s)m\.nii\.gz: .*{words}"):
        decode_map("m.nii.gz", gzip.compress(content))


def test_a_link_without_its_file_asks_for_datalad(tmp_path):
    (tmp_path / "m.nii.gz").symlink_to(tmp_path / ".git/annex/objects/none")
    with pytest.raises(DataError, match=r"m\.nii\.gz: a link to a file that is not there.*datalad get"):
        read_map(tmp_path / "m.nii.gz")


def placed(sform=None, qform=None, **fields):
    """A map with these rows of the sform, or these parts of the qform."""
    image = nib.Nifti1Image(VALUES, AFFINE)
    header = image.header.structarr.copy()
    header["sform_code"], header["qform_code"] = int(sform is not None), int(qform is not None)
    for name, row in zip(("srow_x", "srow_y", "srow_z"), [] if sform is None else sform, strict=False):
        header[name] = row
    for name, value in {**(qform or {}), **fields}.items():
        header[name] = value
    return header.tobytes() + image.to_bytes()[header.nbytes :]


@pytest.mark.parametrize(
    "content",
    [
        placed(np.zeros((3, 4))),
        placed([[np.nan] * 4, *AFFINE[1:3]]),
        placed([[np.inf, 0, 0, 0], *AFFINE[1:3]]),
        placed([AFFINE[0], AFFINE[0], AFFINE[2]]),
        placed([[1, 1, 0, 0], [1, 1 + 1e-7, 0, 0], [0, 0, 1, 0]]),
        placed(qform={"quatern_b": np.nan}),
        placed(qform={"quatern_b": 1, "quatern_c": 1}),
        placed(qform={"qoffset_x": np.inf}),
        placed(pixdim=[1, np.nan, 2, 2, 0, 0, 0, 0]),
    ],
    ids=["zeros", "NaN", "inf", "two rows alike", "a plane", "qform NaN", "no rotation", "no origin", "voxel size NaN"],
)
def test_a_place_that_is_none_is_refused_with_the_remedy(content):
    with pytest.raises(DataError, match=r"m\.nii: no usable sform or qform .*fslorient -copyqform2sform"):
        decode_map("m.nii", content)


def test_a_map_without_any_place_is_read_with_one_warning(caplog):
    headers._unplaced.cache_clear()
    with caplog.at_level(logging.WARNING, "truemap"):
        for _ in range(3):
            decode_map("m.nii", placed())
    assert caplog.text.count("neither sform nor qform") == 1
    caplog.clear()
    decode_map("m.nii", BYTES)
    assert caplog.text == ""


def test_a_place_that_may_be_none_is_said_once(caplog):
    headers._identical.cache_clear()
    headers._disagreeing.cache_clear()

    def read(values, sform, qform=None):
        image = nib.Nifti1Image(values, sform)
        if qform is not None:
            image.set_qform(qform, 1)
        caplog.clear()
        decode_map("m.nii", image.to_bytes())
        return caplog.text

    mirrored = AFFINE @ np.diag([-1.0, 1, 1, 1])
    assert "the identity for an affine" in read(VALUES, np.eye(4))
    assert read(VALUES, np.eye(4)) == ""
    # Pictures have no place.
    assert read(VALUES[:, :, :1], np.eye(4)) == ""
    assert read(VALUES, AFFINE, AFFINE + 1e-3 * np.eye(4)) == ""
    axes, others = ("".join(nib.aff2axcodes(matrix)) for matrix in (AFFINE, mirrored))
    assert f"an sform whose axes are {axes} and a qform whose axes are {others}" in read(VALUES, AFFINE, mirrored)
    assert read(VALUES, AFFINE, mirrored) == ""


TURNED = AFFINE.copy()
TURNED[:2, :2] = np.array([[np.cos(0.02), -np.sin(0.02)], [np.sin(0.02), np.cos(0.02)]]) @ AFFINE[:2, :2]


@pytest.mark.parametrize(
    ("other", "words", "datasets"),
    [
        (AFFINE + 0.25 * np.eye(4)[:, :1] @ np.eye(4)[3:], "origin [90.25, -126.0, -72.0]", "origin [90.0, -126.0"),
        (np.diag([-1, 1, 1, 1]) @ AFFINE, "axes RAS", "axes LAS"),
        (AFFINE @ np.diag([1, 1, 1.5, 1]), "[8.0, 8.0, 12.0] mm", "[8.0, 8.0, 8.0] mm"),
        (AFFINE[:, [1, 0, 2, 3]], "axes ALS", "axes LAS"),
        (TURNED, "-7.998", "-8.0"),
        (AFFINE + 0.0011 * np.eye(4)[:, 2:3] @ np.eye(4)[:1], "0.0011", "0.0"),
    ],
    ids=["origin", "left and right", "size", "axes exchanged", "turned", "sheared a little"],
)
def test_the_difference_of_two_grids_shows(other, words, datasets):
    assert not same_grid((5, 6, 7), other, (5, 6, 7), AFFINE)
    own, dataset = grid_difference((5, 6, 7), other, (5, 6, 7), AFFINE).split(" differs from the dataset's ")
    assert own.removeprefix("grid ") != dataset
    assert words in own and datasets in dataset and words not in dataset


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
    with pytest.raises(DataError, match="'~' is not read as your home folder"):
        read_map(tmp_path / "~/none.nii")
    with pytest.raises(DataError, match="Write / between folders"):
        read_map(tmp_path / "a\\none.nii")
    with pytest.raises(DataError, match="What is on a server is not fetched"):
        read_map(tmp_path / "https://a.org/none.nii")
    with pytest.raises(DataError, match=f"{tmp_path}: a folder. Name the file in it"):
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
