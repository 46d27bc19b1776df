"""Coefficients of a linear decoder of scikit-learn or nilearn as weights of the network `linear`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from truemap.runtime.files import DataError

#: Arrays of a linear decoder that are read; a scaler's are one of the groups, and say what it does to x.
LINEAR = ("coef_", "intercept_", "classes_")
SCALERS = {
    "(x - mean_) / scale_": ("mean_", "scale_"),
    "(x - center_) / scale_": ("center_", "scale_"),
    "x * scale_ + min_": ("min_", "scale_"),
}


def linear(path: str | Path, mask: np.ndarray) -> tuple[dict[str, torch.Tensor], list[str], list[str]]:
    """Return the state dict of network `linear`, the classes, if the file has them, and what was done, in words.

    Parameters
    ----------
    path : path
        .npz file with ``coef_``, shape (classes, voxels) or (1, voxels), and ``intercept_``; maybe ``classes_``; and
        what a scaler before the decoder has learnt (`SCALERS`), which becomes part of the weights.
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
    _check_arrays(path, found)
    weight, bias = np.atleast_2d(found["coef_"]).astype(np.float64), found["intercept_"].astype(np.float64).reshape(-1)
    voxels = int(mask.sum())
    if weight.shape[1] != voxels:
        raise DataError(
            f"{path}: has {weight.shape[1]} coefficients a class, the mask has {voxels} voxels. Give the mask that the "
            "decoder's maps were taken from (of nilearn: decoder.mask_img_)."
        )
    weight, bias, words = _unscaled(path, found, weight, bias)
    if len(bias) not in (1, len(weight)):
        raise DataError(f"{path}: has {len(weight)} rows of coefficients and {len(bias)} intercepts. One a row is due.")
    bias = np.broadcast_to(bias, len(weight))
    if len(weight) == 1:
        # The softmax of these two is the logistic function of the one.
        weight, bias = np.stack([-weight[0] / 2, weight[0] / 2]), np.array([-bias[0] / 2, bias[0] / 2])
        words.append("made two logits of the one of a decoder of two classes: minus and plus its half")
    elif len(weight) == 3:
        words.append(
            "took the three rows for one a class; of SVC(kernel='linear') they are one a pair of classes, and then the "
            "files are wrong (LinearSVC has one a class)"
        )
    if not np.isfinite(np.float32([np.abs(weight).max(), np.abs(bias).max()])).all():
        raise DataError(f"{path}: holds numbers that are NaN, infinite or too large for float32.")
    full = np.zeros((len(weight), mask.size))
    full[:, mask.reshape(-1)] = weight
    state = {"1.weight": torch.from_numpy(full).float(), "1.bias": torch.from_numpy(bias.copy()).float()}
    words.append(f"put {voxels} of {mask.size} voxels' weights in their places, in rows of C order; the others are 0")
    return state, found.get("classes_", np.array([])).astype(str).reshape(-1).tolist(), words


def _check_arrays(path: str | Path, found: Mapping[str, np.ndarray]) -> None:
    for name in ("coef_", "intercept_"):
        if name not in found:
            raise DataError(f"{path}: has no '{name}' (but {', '.join(sorted(found)) or 'nothing'}). Save it too.")
    scaler = set(found) - set(LINEAR)
    if not any(scaler <= set(group) for group in SCALERS.values()):
        raise DataError(
            f"{path}: holds {', '.join(sorted(scaler))}, which is no scaler that is known here: {'; '.join(SCALERS)}. "
            "What a step before the decoder does to maps is part of it: save what it has learnt under these names, or "
            "leave out what the decoder does not need."
        )
    for name, array in found.items():
        if name != "classes_" and array.dtype.kind not in "iuf":
            raise DataError(f"{path}: '{name}' holds {array.dtype}, no real numbers. Save it as float64.")


def _unscaled(
    path: str | Path, found: Mapping[str, np.ndarray], weight: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return weights and intercepts for maps that no scaler has changed, and what was done, in words."""
    of = next(does for does, group in SCALERS.items() if set(found) - set(LINEAR) <= set(group))
    parts = {name: found[name].astype(np.float64).reshape(-1) for name in SCALERS[of] if name in found}
    for name, values in parts.items():
        if len(values) not in (1, weight.shape[1]):
            raise DataError(
                f"{path}: '{name}' has {len(values)} numbers for {weight.shape[1]} voxels. One each is due."
            )
    if not parts:
        return weight, bias, []
    centre, scale = SCALERS[of]
    factor, shift = parts.get(scale, np.ones(1)), np.broadcast_to(parts.get(centre, np.zeros(1)), weight.shape[1])
    with np.errstate(all="ignore"):
        if centre == "min_":
            weight, bias = weight * factor, bias + weight @ shift
        else:
            weight = weight / factor
            bias = bias - weight @ shift
    return weight, bias, [f"made the scaler's {of} part of weights and intercepts"]
