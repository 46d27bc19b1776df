"""Reading and writing single NIfTI maps; no memory is spent on what a file claims before the claim is checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.wrapstruct import WrapStructError
from zlib_ng import zlib_ng

from truemap.data.headers import AGAIN, HEAD, most_bytes, read_affine, read_header
from truemap.runtime.files import DataError, SourceError, joined, spelling, whole

#: Bytes that may stand after the values (padding).
PADDING = 1 << 12
#: Bytes of a compressed file that are unpacked at a time.
PIECE = 1 << 20
#: Bytes of a header's description.
DESCRIP = 79
#: Endings of the two files of a pair.
PAIR = {".hdr": ".img", ".img": ".hdr"}


def files_of(path: str | Path) -> tuple[Path, ...]:
    """Return the files that an image is in: itself, or header and values where it is one of a pair (.hdr, .img)."""
    path = Path(path)
    name, packed = (path.with_suffix(""), ".gz") if path.suffix.lower() == ".gz" else (path, "")
    if name.suffix.lower() not in PAIR:
        return (path,)
    other = PAIR[name.suffix.lower()]
    others = [name.with_suffix(ending) for ending in (other + packed, other + (".gz", "")[bool(packed)])]
    found = next((file for file in others if file.is_file()), None)
    if found is None:
        return (path,)
    return (path, found) if name.suffix.lower() == ".hdr" else (found, path)


def read_map(path: str | Path) -> tuple[np.ndarray, np.ndarray, str]:
    """Read one map; its file is read once, for values and checksum.

    Returns
    -------
    values : ndarray, shape (x, y, z)
    affine : ndarray, shape (4, 4)
        Finite, and not singular.
    sha256 : str
        Of the file's bytes; of a pair, `truemap.runtime.files.joined` of the header's and the values'.

    Raises
    ------
    DataError
        If the file is missing, truncated, no NIfTI, larger than `sized` or its own header says, holds more than one
        volume, or says not where it lies; a `SourceError` if the disk does not give it.
    """
    return _decode(path, [_content(file) for file in files_of(path)])


def decode_map(path: str | Path, raw: bytes) -> tuple[np.ndarray, np.ndarray, str]:
    """Decode the bytes of one map, wherever they came from; `path` is only what errors call it.

    Returns and raises what `read_map` does.
    """
    return _decode(path, [raw])


def _content(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > most_bytes():
            raise DataError(f"{path}: {size} bytes; a map of this dataset has at most {most_bytes()}. {AGAIN}")
        return path.read_bytes()
    except FileNotFoundError:
        if path.is_symlink():
            message = "a link to a file that is not there. If it is DataLad's, run `datalad get` on it"
        else:
            message = "no such file. Check the path, or take its line out of the samples"
        raise DataError(f"{path}: {message}.{spelling(path)}") from None
    except IsADirectoryError:
        raise DataError(f"{path}: a folder. Name the file in it, or take its line out of the samples.") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error}). Mend the disk or its permissions, run again.") from None


class _Bytes:
    """The bytes of a file, unpacked as far as they are asked for."""

    def __init__(self, raw: bytes) -> None:
        self._rest, self._packed = memoryview(raw), raw[:2] == b"\x1f\x8b"
        # Of the maintained ways the fastest: benchmarks/ingest.py.
        self._member = zlib_ng.decompressobj(31)

    def read(self, size: int) -> bytes:
        """Return the next bytes, no more than `size`; all members of a gzip file are one, what follows is not read."""
        if not self._packed:
            found, self._rest = self._rest[:size], self._rest[size:]
            return bytes(found)
        parts = []
        while size > 0 and self._rest:
            if self._member.eof:
                if bytes(self._rest[:2]) != b"\x1f\x8b":
                    break
                self._member = zlib_ng.decompressobj(31)
            piece = self._rest[:PIECE]
            parts.append(self._member.decompress(piece, size))
            left = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            self._rest = self._rest[len(piece) - len(left) :]
            size -= len(parts[-1])
        return b"".join(parts)

    def finish(self) -> int:
        """Return how many bytes are left (no more than `PADDING` + 1 are counted); compare gzip's checksum."""
        left = len(self.read(PADDING + 1))
        if self._packed and left <= PADDING and not self._member.eof:
            raise EOFError("the compressed file ends too early")
        return left


def _decode(path: str | Path, raw: list[bytes]) -> tuple[np.ndarray, np.ndarray, str]:
    try:
        header, values = _parse(path, raw)
        affine = read_affine(path, header)
    except DataError:
        raise
    except (OSError, EOFError, zlib_ng.error) as error:
        raise DataError(f"{path}: truncated or unreadable ({error}). {AGAIN}") from None
    except (
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
        WrapStructError,
        OverflowError,
        ValueError,
    ) as error:
        raise DataError(f"{path}: not a readable NIfTI file ({error}). {AGAIN}") from None
    return values.reshape(values.shape[:3]), affine, joined([hashlib.sha256(part).hexdigest() for part in raw])


def _parse(path: str | Path, raw: list[bytes]) -> tuple[nib.Nifti1Header, np.ndarray]:
    header = read_header(path, _Bytes(raw[0]).read(HEAD))
    if not header.is_single and len(raw) == 1:
        raise DataError(f"{path}: one file of a pair. Put the other beside it (.hdr and .img), or convert both.")
    source = _Bytes(raw[not header.is_single])
    shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), int(header.get_data_offset())
    size = offset + math.prod(shape) * dtype.itemsize
    content = source.read(size)
    if len(content) == size and header.get_slope_inter() in ((None, None), (1.0, 0.0)):
        values = np.frombuffer(content, dtype, offset=offset).reshape(shape, order="F")
    else:
        # Scales, and says where there are fewer bytes than the header says.
        values = np.asanyarray(ArrayProxy(BytesIO(content), header, mmap=False))
    if source.finish() + len(content) - size > PADDING:
        raise DataError(f"{path}: holds more than the {size} bytes that its header says (shape {shape}). {AGAIN}")
    return header, values


def write_map(
    path: str | Path, values: np.ndarray, affine: np.ndarray, descrip: str = "", volumes: Sequence[str] = ()
) -> None:
    """Write a map (3D, or 4D with one volume an entry of the last axis) as float32, whole.

    Parameters
    ----------
    descrip : str
        What is in it, for the header, which holds 79 bytes of it.
    volumes : sequence of str
        Names of the volumes: a comment in the header's extension, a line each.
    """
    image = nib.Nifti1Image(np.asarray(values, dtype=np.float32), affine)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = descrip.encode("ascii", "replace")[:DESCRIP]
    if volumes:
        words = "\n".join(f"volume {number}: {name}" for number, name in enumerate(volumes))
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", words.encode()))
    with whole(path) as temporary:
        nib.save(image, temporary)
