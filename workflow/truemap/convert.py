"""Make the two files of a trained network that a model's `weights` name: safetensors, and what is known as JSON.

``python -m truemap.convert resnet.pt --classes face house --like map.nii.gz --standardize volume --input 1 91 109 91``
``python -m truemap.convert decoder.npz --mask mask.nii.gz --standardize volume``

Of a PyTorch state dict, or of the coefficients of a linear decoder of scikit-learn or nilearn:
``numpy.savez("decoder.npz", coef_=d.coef_, intercept_=d.intercept_, classes_=d.classes_.astype(str))``.
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


def state_dict(path: str | Path) -> tuple[dict[str, torch.Tensor], list[str]]:
    """Return the tensors of a PyTorch file by name, and what was done to get them, in words.

    Raises
    ------
    DataError
        If it holds anything but tensors, numbers and text: that would have to be unpickled, and can run code.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
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
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): value for name, value in found.items()}
            words.append(f"took '{prefix}' off all names")
    # Tensors that share memory (tied weights) cannot be stored as they are.
    return {name: value.detach().clone().contiguous() for name, value in found.items()}, words


def linear(path: str | Path, mask: np.ndarray) -> tuple[dict[str, torch.Tensor], list[str], list[str]]:
    """Return the state dict of network `linear`, the classes, if the file has them, and what was done, in words.

    Parameters
    ----------
    path : path
        .npz file with ``coef_``, shape (classes, voxels) or (1, voxels), and ``intercept_``; maybe ``classes_``; and
        ``mean_`` and ``scale_`` of a StandardScaler before the decoder, which become part of the weights.
    mask : ndarray of bool, shape ``shape``
        Its voxels, in C order, are those of the coefficients; all others get a weight of zero.

    Raises
    ------
    DataError
        If something is missing, pickled, not finite, or of another shape.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{path}: cannot be read as .npz without unpickling ({error}). Save plain arrays: "
            "numpy.savez('decoder.npz', coef_=d.coef_, intercept_=d.intercept_, classes_=d.classes_.astype(str))."
        ) from None
    for name in ("coef_", "intercept_"):
        if name not in found:
            raise DataError(f"{path}: has no '{name}' (but {', '.join(sorted(found)) or 'nothing'}). Save it too.")
    weight, bias = np.atleast_2d(found["coef_"]).astype(np.float64), found["intercept_"].astype(np.float64).reshape(-1)
    words, voxels = [], int(mask.sum())
    if weight.shape[1] != voxels:
        raise DataError(
            f"{path}: has {weight.shape[1]} coefficients a class, the mask has {voxels} voxels. Give the mask that the "
            "decoder's maps were taken from (of nilearn: decoder.mask_img_)."
        )
    if "mean_" in found or "scale_" in found:
        mean, scale = (found.get(name, default) for name, default in (("mean_", 0.0), ("scale_", 1.0)))
        weight = weight / scale
        bias = bias - weight @ np.broadcast_to(mean, voxels)
        words.append("made the scaler's mean_ and scale_ part of weights and intercepts")
    if len(bias) not in (1, len(weight)):
        raise DataError(f"{path}: has {len(weight)} rows of coefficients and {len(bias)} intercepts. One a row is due.")
    bias = np.broadcast_to(bias, len(weight))
    if len(weight) == 1:
        # The softmax of these two is the logistic function of the one.
        weight, bias = np.stack([-weight[0] / 2, weight[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
        words.append("made two logits of the one of a decoder of two classes: minus and plus its half")
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        raise DataError(f"{path}: holds NaN or infinite numbers.")
    full = np.zeros((len(weight), mask.size))
    full[:, mask.reshape(-1)] = weight
    state = {"1.weight": torch.from_numpy(full).float(), "1.bias": torch.from_numpy(bias.copy()).float()}
    words.append(f"put {voxels} of {mask.size} voxels' weights in their places, in rows of C order; the others are 0")
    return state, [str(name) for name in found.get("classes_", np.array([], dtype=str)).tolist()], words


def convert(path: str | Path, known: Mapping[str, Any], mask: np.ndarray | None, out: str | Path) -> list[str]:
    """Write ``out`` (.safetensors) and the JSON file beside it; return what was done, in words.

    Parameters
    ----------
    path : path
        .pt or .pth (a state dict), or .npz (see `linear`).
    known : mapping
        Keys of `truemap.config.trained.Trained`.
    mask : ndarray of bool, optional
        See `linear`.

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
        known["classes"] = known.get("classes") or classes
        network, count = "network: linear", len(state["1.bias"])
    else:
        state, words = state_dict(path)
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
        known |= {"shape": list(image.shape[:3]), "affine": image.affine.tolist()}
        if given.subjects:
            lines = Path(given.subjects).read_text(encoding="utf-8-sig").splitlines()
            known["subjects"] = [line.strip() for line in lines if line.strip()]
        for line in convert(given.file, known, mask, given.out or Path(given.file).with_suffix(".safetensors")):
            print(line)
    except (DataError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
