"""Make the two files of a trained network that a model's `weights` name: safetensors, and what is known as JSON.

``python -m truemap.convert resnet.pt --classes face house --like map.nii.gz --standardize volume --input 1 91 109 91``
``python -m truemap.convert decoder.npz --mask mask.nii.gz --standardize volume``

Of a PyTorch state dict, or of the coefficients of a linear decoder of scikit-learn or nilearn:
``numpy.savez("decoder.npz", coef_=d.coef_, intercept_=d.intercept_, classes_=d.classes_.astype(str))``, with the
``mean_`` and ``scale_`` of a scaler before it, if there is one.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from pydantic import ValidationError

from truemap.config.options import faults
from truemap.config.trained import Trained, beside
from truemap.networks._coefficients import linear
from truemap.networks._decoder import save_tensors
from truemap.runtime.files import DataError, write_json

#: Where training programs keep the state dict in what they save.
NESTED = ("state_dict", "model_state_dict", "model", "net")
#: What wrappers of a network put before the names of its layers.
PREFIXES = ("module.", "_orig_mod.")
#: Files that are not taken, and why.
REFUSED = {
    ".pt2": "an exported program has no nn.ReLU layers, so that guided backpropagation would silently be the gradient",
    ".onnx": "an ONNX graph has no nn.ReLU layers, so that guided backpropagation would silently be the gradient",
    ".pkl": "unpickling runs code",
    ".joblib": "unpickling runs code",
    ".h5": "it is no PyTorch network",
    ".keras": "it is no PyTorch network",
}


def state_dict(path: str | Path, prefix: str = "") -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the tensors of a PyTorch file by name, and what was done to get them, in words.

    Parameters
    ----------
    path : path
    prefix : str
        Tensors whose names begin with it are taken, and it off their names; those of wrappers are known.

    Raises
    ------
    DataError
        If it holds anything but tensors, numbers and text: that would have to be unpickled, and can run code; or
        tensors that are no weights.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path}: cannot be read without running code ({type(error).__name__}). Where the network is, save its "
            "numbers only: torch.save(network.state_dict(), 'network.pt')."
        ) from None
    words = []
    for key in NESTED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found, words = found[key], [f"took its entry '{key}'"]
            break
    if (
        not isinstance(found, Mapping)
        or not found
        or not all(isinstance(value, torch.Tensor) for value in found.values())
    ):
        raise DataError(
            f"{path}: is no state dict (names, tensors). Save one: torch.save(network.state_dict(), 'network.pt')."
        )
    found, taken = _unwrapped(path, found, prefix)
    for name, value in found.items():
        if value.layout != torch.strided or value.is_quantized or value.is_complex():
            raise DataError(
                f"{path}: '{name}' is quantized, sparse or complex, and weights are plain real numbers. Save those of "
                "the network before it was packed."
            )
    # Tensors that share memory (tied weights) cannot be stored as they are.
    return {name: value.detach().clone().contiguous() for name, value in found.items()}, [*words, *taken]


def _unwrapped(
    path: str | Path, found: Mapping[str, torch.Tensor], prefix: str
) -> tuple[Mapping[str, torch.Tensor], list[str]]:
    """Return the tensors by the network's own names, and what was taken off, in words."""
    words = []
    if prefix:
        left = [name for name in found if not name.startswith(prefix)]
        found = {name.removeprefix(prefix): value for name, value in found.items() if name.startswith(prefix)}
        if not found:
            raise DataError(f"{path}: no name begins with '{prefix}'; the first is '{left[0]}'. Mend --prefix.")
        words.append(f"took '{prefix}' off {len(found)} names, and left out: {', '.join(left) or 'none'}")
    # One wrapper may stand around another.
    for wrapper in PREFIXES * 2:
        if all(name.startswith(wrapper) for name in found):
            found = {name.removeprefix(wrapper): value for name, value in found.items()}
            words.append(f"took '{wrapper}' off all names")
    return found, words


def convert(
    path: str | Path, known: Mapping[str, Any], mask: np.ndarray | None, out: str | Path, prefix: str = ""
) -> list[str]:
    """Write ``out`` (.safetensors) and the JSON file beside it; return what was done, in words.

    Parameters
    ----------
    path : path
        .pt or .pth (a state dict), or .npz (see `truemap.networks._coefficients.linear`).
    known : mapping
        Keys of `truemap.config.trained.Trained`.
    mask : ndarray of bool, optional
        See `truemap.networks._coefficients.linear`.
    prefix : str
        See `state_dict`.

    Raises
    ------
    DataError
        If something cannot be read, is missing, or is there already.
    """
    path, out, known = Path(path), Path(out), dict(known)
    if path.suffix in REFUSED:
        raise DataError(f"{path}: {path.suffix} files are not taken: {REFUSED[path.suffix]}. Save a state dict (.pt).")
    for file in (out, beside(out)):
        if file.exists():
            raise DataError(f"{file}: is there already. Move it away, or give another name (--out).")
    if path.suffix == ".npz":
        if mask is None:
            raise DataError(f"{path}: which voxels its coefficients are of is not said. Give the mask (--mask).")
        state, classes, words = linear(path, mask)
        words += _called(path, known, classes)
        network, count = "network: linear", len(state["1.bias"])
    else:
        state, words = state_dict(path, prefix)
        network, count = "the network's own module", 0
    try:
        trained = Trained.model_validate(known)
    except ValidationError as error:
        lines = "; ".join(f"{place}: {words}" for place, words in faults(error))
        raise DataError(f"what is said of {path.name} cannot be used: {lines}") from None
    if count and count != len(trained.classes):
        raise DataError(f"{path}: has {count} logits for {len(trained.classes)} classes. Name as many (--classes).")
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(out, state)
    write_json(beside(out), trained.model_dump(mode="json", exclude_none=True))
    return [*words, f"wrote {out} ({len(state)} tensors, for {network}) and {beside(out)}"]


def _called(path: Path, known: dict[str, Any], classes: list[str]) -> list[str]:
    """Have the classes in `known` be those of the file, where none are named; return what was done, in words."""
    given = known.setdefault("classes", classes)
    if not classes or given == classes:
        return []
    if sorted(given) == sorted(classes):
        raise DataError(
            f"{path}: its classes_ are {', '.join(classes)}, in the order of its rows, and --classes are "
            f"{', '.join(given)}. Leave --classes out."
        )
    return [f"called the classes {', '.join(classes)} as --classes say: {', '.join(given)}"]


def _subjects(path: str) -> list[str]:
    """Return subjects of a text file, one a line."""
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise DataError(f"{path}: is no UTF-8 text. Save it as that.") from None
    for number, line in enumerate(lines, 1):
        if set(line) & set(",;\t#"):
            raise DataError(f"{path}, line {number}: more than a subject's name. Write one a line and nothing else.")
    return [line for line in lines if line]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m truemap.convert", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("file", help=".pt or .pth: a state dict; .npz: coef_ and intercept_ of a linear decoder")
    parser.add_argument("--classes", nargs="+", help="in the order of the logits; of .npz default: its classes_")
    parser.add_argument("--like", help="NIfTI map of the grid that the network was trained on")
    parser.add_argument("--mask", help="NIfTI mask of the voxels that .npz has coefficients of; in place of --like")
    parser.add_argument(
        "--standardize", choices=["volume", "none"], required=True, help="of the maps it was trained on"
    )
    parser.add_argument("--input", nargs="+", type=int, help="shape of one input, channels first, if not a map's")
    parser.add_argument("--subjects", help="text file: whom it was trained on, one a line")
    parser.add_argument("--accuracy", type=float, help="on data that it was not trained on")
    parser.add_argument("--temperature", type=float, help="where the model's `calibrate` is false; default 1")
    parser.add_argument(
        "--prefix", default="", help="of a state dict: take the names that begin with it, as Lightning's model."
    )
    parser.add_argument("--out", help="default: the file's name, ending with .safetensors")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert what the command line names; return 0, or 1 after an error in words."""
    given = _parser().parse_args(arguments)
    try:
        known: dict[str, Any] = {
            key: getattr(given, key)
            for key in ("classes", "standardize", "input", "accuracy", "temperature")
            if getattr(given, key) is not None
        }
        place = given.mask or given.like
        if place is None:
            raise DataError("the grid is not known. Give a map (--like) or, for .npz, the mask (--mask).")
        try:
            image: Any = nib.load(place)
            mask = np.asarray(image.dataobj) > 0 if given.mask else None
        except (OSError, EOFError, ValueError, nib.filebasedimages.ImageFileError) as error:
            raise DataError(f"{place}: cannot be read as NIfTI ({error}).") from None
        if mask is not None:
            if mask.size != np.prod(image.shape[:3]):
                raise DataError(f"{place}: has shape {image.shape}. A mask is one volume.")
            mask = mask.reshape(image.shape[:3])
        known |= {"shape": list(image.shape[:3]), "affine": image.affine.tolist()}
        if given.subjects:
            known["subjects"] = _subjects(given.subjects)
        out = given.out or Path(given.file).with_suffix(".safetensors")
        for line in convert(given.file, known, mask, out, given.prefix):
            print(line)
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
