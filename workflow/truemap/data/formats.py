"""What a file is that is no NIfTI, by its first bytes, and what to do about it."""

from __future__ import annotations

CONVERT = "Convert it to NIfTI"
#: Where the bytes stand, the bytes, what the file is, and the remedy.
KNOWN = (
    (0, b"version https://git-lfs.github.com/", "a git-lfs pointer without its content", "Run `git lfs pull`"),
    (0, b"/annex/objects/", "a git-annex pointer without its content", "Run `datalad get` (or `git annex get`) on it"),
    (0, b"\x1f\x8b", "compressed twice", "Unpack it once (gunzip)"),
    (0, b"BZh", "compressed with bzip2", "Unpack it (bunzip2)"),
    (0, b"\xfd7zXZ", "compressed with xz", "Unpack it (unxz)"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it (unzstd)"),
    (0, b"PK\x03\x04", "a ZIP archive", "Unpack it (unzip)"),
    (128, b"DICM", "a DICOM file", f"{CONVERT} (dcm2niix)"),
    (0, b"\x00\x00\x00\x01", "an MGH file of FreeSurfer", f"{CONVERT} (mri_convert)"),
    (0, b"<?xml", "XML, perhaps GIFTI: a surface, and maps are volumes", "Give the volume"),
    (0, b"\x89HDF", "an HDF5 file, perhaps MINC", f"{CONVERT} (e.g. mnc2nii)"),
    (0, b"CDF", "a MINC file", f"{CONVERT} (mnc2nii)"),
    (0, b"NRRD", "an NRRD file", CONVERT),
    (0, b"\x93NUMPY", "an array of NumPy, without a place", "Write it as NIfTI, with its affine"),
    (0, b"<!doctype html", "a web page, perhaps of a failed download", "Fetch the file again"),
    (0, b"<html", "a web page, perhaps of a failed download", "Fetch the file again"),
    (0, b"type  =", "the header of an AFNI dataset", f"{CONVERT} (3dAFNItoNIFTI)"),
)


def foreign(content: bytes) -> str | None:
    """Return what a file is and what to do, in words, by its first bytes; None if they are not known."""
    start = content[:512]
    for place, mark, what, remedy in KNOWN:
        if start[place:].lstrip(b"\n " if place == 0 else b"").lower().startswith(mark.lower()):
            return f"{what}. {remedy}."
    return None
