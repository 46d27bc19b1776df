"""Reading and writing single NIfTI maps."""

from __future__ import annotations

import hashlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.wrapstruct import WrapStructError
from zlib_ng import gzip_ng, zlib_ng

from truemap.files import DataError, SourceError, whole


def read_map(path: str | Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Read one map; the file is read once, for its values and its checksum.

    Returns
    -------
    values : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
    sha256 : str
        Of the file's bytes.

    Raises
    ------
    DataError
        If the file is missing, truncated, no NIfTI, or holds more than one volume; a `SourceError` if the disk does
        not give it.
    """
    path = Path(path)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Check the path, or take its line out of the samples.") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error}). Mend the disk or its permissions, run again.") from None
    return decode_map(path, raw)


def decode_map(path: str | Path, raw: bytes) -> tuple[np.ndarray, np.ndarray, str]:
    """Decode the bytes of one map, wherever they came from; `path` is only what errors call it.

    Returns and raises what `read_map` does.
    """
    try:
        # Of the maintained ways the fastest: benchmarks/ingest.py.
        content = gzip_ng.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        image = nib.Nifti1Image.from_bytes(content)
        values = np.asanyarray(image.dataobj)
    except (OSError, EOFError, zlib_ng.error) as error:
        raise DataError(f"{path}: truncated or unreadable ({error}). Fetch or write the file again.") from None
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        WrapStructError,
        OverflowError,
        ValueError,
    ) as error:
        raise DataError(f"{path}: not a readable NIfTI-1 file ({error}). Fetch or write the file again.") from None
    if values.dtype.kind not in "iufb":
        raise DataError(
            f"{path}: holds {values.dtype}, not one real number a voxel. Convert the map (e.g. to float32)."
        )
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise DataError(f"{path}: has shape {values.shape}. One map a file is needed; split it (e.g. fslsplit).")
    return values, image.affine, hashlib.sha256(raw).hexdigest()


def write_map(path: str | Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a map (3D, or 4D with one volume an entry of the last axis) as float32, whole."""
    image = nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
    image.header.set_xyzt_units("mm")
    with whole(path) as temporary:
        nib.save(image, temporary)


def same_grid(shape: tuple[int, ...], affine: np.ndarray, other: tuple[int, ...], other_affine: np.ndarray) -> bool:
    """Return whether two grids agree (affines to a thousandth of a millimetre)."""
    return tuple(shape) == tuple(other) and np.allclose(affine, other_affine, atol=1e-3)
