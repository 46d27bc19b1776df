"""What a NIfTI header says, checked before memory is spent on it: format, size and place of a map."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from truemap.data.formats import foreign
from truemap.runtime.files import DataError
from truemap.runtime.log import log

#: Voxels that a map may claim where no grid is known yet: a whole head at 0.5 mm.
VOXELS = 512**3
#: How many times the voxels of a known grid a map may claim; it is then refused by its grid, in better words.
TIMES = 8
#: Bytes that may stand between header and values.
EXTENSIONS = 1 << 26
#: Bytes of the longest header, NIfTI-2's.
HEAD = 540
#: Length of a header -> where its magic stands, and its classes by magic.
HEADERS: dict[int, tuple[int, dict[bytes, Any]]] = {
    348: (344, {b"n+1\0": nib.Nifti1Header, b"ni1\0": nib.Nifti1Pair.header_class}),
    540: (4, {b"n+2\0": nib.Nifti2Header, b"ni2\0": nib.Nifti2Pair.header_class}),
}
#: NIfTI's codes for data on surfaces (CIFTI).
CIFTI = range(3000, 3100)
AGAIN = "Fetch or write the file again."
PLACE = "Set one that is right (e.g. fslorient -copyqform2sform, or SPM's Check Reg), or convert the map again."

_most: ContextVar[tuple[int, str]] = ContextVar("most", default=(VOXELS, "512 x 512 x 512"))


@contextmanager
def sized(shape: tuple[int, ...] | None) -> Iterator[None]:
    """Read no map of far more voxels than `shape` in this block; None: than `VOXELS`."""
    token = _most.set((TIMES * math.prod(shape), f"{TIMES} times the dataset's {shape}") if shape else _most.get())
    try:
        yield
    finally:
        _most.reset(token)


@contextmanager
def finer(blocks: int) -> Iterator[None]:
    """Read maps in this block that have `blocks` voxels along each axis for one of the dataset's grid."""
    most, of = _most.get()
    token = _most.set((most * blocks**3, of if blocks == 1 else f"{of}, {blocks}³ voxels each"))
    try:
        yield
    finally:
        _most.reset(token)


def most_bytes() -> int:
    """Return the bytes that a file may have: voxels of the longest type, and extensions."""
    return 16 * _most.get()[0] + EXTENSIONS


def read_header(path: str | Path, start: bytes) -> nib.Nifti1Header:
    """Return the header; what is no NIfTI is called by its name."""
    lengths = {int.from_bytes(start[:4], order) for order in ("little", "big")}
    length = next((length for length in HEADERS if length in lengths and length <= len(start)), None)
    if length is None:
        what = foreign(start)
        if what is None and ".img" in Path(path).suffixes:
            what = "values of a pair, without a NIfTI header (.hdr) beside them. Put it there."
        what = f"but {what}" if what else f"or a truncated one (its first {len(start)} bytes are no header). {AGAIN}"
        raise DataError(f"{path}: not a readable NIfTI file {what}")
    place, classes = HEADERS[length]
    found = classes.get(start[place : place + 4])
    if found is None:
        raise DataError(
            f"{path}: not a readable NIfTI file but Analyze's or a damaged one: the header is as long, but without "
            f"NIfTI's magic, and says not where the map lies. Convert it (e.g. SPM, fslchfiletype). {AGAIN}"
        )
    header = found(start[:length])
    _check(path, header)
    return header


def _check(path: str | Path, header: nib.Nifti1Header) -> None:
    """Refuse what the header alone shows to be no map."""
    offset, dtype, shape = int(header.get_data_offset()), header.get_data_dtype(), header.get_data_shape()
    if int(header["intent_code"]) in CIFTI:
        raise DataError(
            f"{path}: CIFTI, data on a surface; maps are volumes. Give the volume (wb_command -cifti-separate)."
        )
    if dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {dtype}, not one real number a voxel. Convert the map (e.g. to float32).")
    if len(shape) < 3 or min(shape) < 1 or any(size != 1 for size in shape[3:]):
        raise DataError(f"{path}: has shape {shape}. One map a file is needed; split it (e.g. fslsplit).")
    most, of = _most.get()
    if math.prod(shape) > most:
        raise DataError(f"{path}: its header says {shape} voxels, more than {of}. Resample it, or fetch it again.")
    if not 0 <= offset <= EXTENSIONS:
        raise DataError(f"{path}: its header says that values begin at byte {offset}. {AGAIN}")


def read_affine(path: str | Path, header: nib.Nifti1Header) -> np.ndarray:
    """Return the affine that the header gives; refused where it is none."""
    codes = int(header["sform_code"]), int(header["qform_code"])
    of = "sform" if codes[0] else "qform" if codes[1] else "voxel sizes"
    try:
        affine = header.get_best_affine()
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError) as error:
        raise DataError(f"{path}: no usable sform or qform ({of}: {error}). {PLACE}") from None
    sizes = np.linalg.norm(affine[:3, :3], axis=0)
    # Columns that point almost the same way make no volume either.
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) <= 1e-6 * sizes.prod():
        raise DataError(f"{path}: no usable sform or qform (the {of} give {affine[:3].tolist()}). {PLACE}")
    shape = header.get_data_shape()[:3]
    if not any(codes):
        _unplaced(shape)
    elif np.array_equal(affine, np.eye(4)) and 1 not in shape:
        _identical(shape)
    if all(codes):
        _check_ends(shape, affine, header)
    return affine


def _check_ends(shape: tuple[int, ...], affine: np.ndarray, header: nib.Nifti1Header) -> None:
    """Warn where the qform, which is not used, says otherwise where the axes point."""
    try:
        other = nib.aff2axcodes(header.get_qform())
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, nib.spatialimages.HeaderDataError):
        return
    if other != (axes := nib.aff2axcodes(affine)):
        _disagreeing(shape, "".join(map(str, axes)), "".join(map(str, other)))


@cache
def _identical(shape: tuple[int, ...]) -> None:
    """Warn once, as `_unplaced` does."""
    log.warning(
        "maps of shape %s have the identity for an affine, as where a program lost theirs: where they lie, and what is "
        "left and right, is a guess (voxels of 1 mm from the origin, x to the right). If that is wrong, set the affine "
        "(nibabel.Nifti1Image(values, affine))",
        shape,
    )


@cache
def _disagreeing(shape: tuple[int, ...], axes: str, other: str) -> None:
    """Warn once, as `_unplaced` does."""
    log.warning(
        "maps of shape %s have an sform whose axes are %s and a qform whose axes are %s: the sform is taken, and "
        "programs that take the qform have seen them turned. %s",
        shape, axes, other, PLACE,
    )  # fmt: skip


@cache
def _unplaced(shape: tuple[int, ...]) -> None:
    """Warn once: a data set's maps are all alike in this."""
    log.warning(
        "maps of shape %s have neither sform nor qform: where they lie, and what is left and right, is a guess (the "
        "origin in the middle, x to the left). If that is wrong: fslorient -setsform, -setsformcode",
        shape,
    )
