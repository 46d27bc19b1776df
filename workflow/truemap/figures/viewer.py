"""Maps for the viewer of the first page: truth and saliency of the classes shown, small enough to be in a file."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.data.grid import Grid
from truemap.data.maps import on_grid, read_blocks
from truemap.evaluation.truth import Truth
from truemap.numerics import pearson

#: A map holds this many steps either side of 0, its peak: what a screen shows, in one byte a voxel.
STEPS = 127
#: Bytes of a dataset's maps in the page, as text.
BUDGET = 2_500_000
#: Voxels finer than this are averaged first where all do not fit in.
FINE_MM = 4.0
#: Columns of text of a table of mean maps: a class may be called by a number.
NAMES = ("model", "method", "label", "target")
#: Of base64.
BYTES = 4 / 3
#: Resolution of the template beneath, in mm.
TEMPLATE_MM = 2
#: (label, target) -> map, of the brain's voxels alone: of many entries at 2 mm whole ones would be gigabytes.
Maps = Mapping[tuple[str, str], np.ndarray]


@dataclass(frozen=True)
class Shown:
    """Whose maps are shown: truth, and maps of each way to train and to explain.

    Attributes
    ----------
    who : str
        A subject, or the mean over test maps.
    truth : mapping
    maps : mapping
        (model, method) -> its maps.
    """

    who: str
    truth: Maps
    maps: Mapping[tuple[str, str], Maps]


def pairs(classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return (label, target) of what is shown: each class for itself, and for the first one in place of its own."""
    return [(label, label) for label in classes] + [(label, classes[0]) for label in classes[1:]]


def truths(truth: Truth, classes: Sequence[str], inside: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
    """Return the truth of each of `pairs` that there is; `inside` is the brain, shape (voxels,)."""
    found = {(label, target): truth.of(label, target)[0] for label, target in pairs(classes) if label in truth.means}
    return {pair: values[inside] for pair, values in found.items() if values is not None}


def mean_truths(
    found: Iterable[Truth], classes: Sequence[str], inside: np.ndarray
) -> dict[tuple[str, str], np.ndarray]:
    """Return the mean of `truths` over subjects, with one subject's in memory at a time."""
    total: dict[tuple[str, str], np.ndarray] = {}
    count: Counter[tuple[str, str]] = Counter()
    for truth in found:
        for pair, values in truths(truth, classes, inside).items():
            total[pair] = total[pair] + values if pair in total else values
            count[pair] += 1
    return {pair: values / count[pair] for pair, values in total.items()}


def viewed(
    shown: Sequence[Shown],
    entries: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    grid: Grid,
    budget: int = BUDGET,
) -> dict[str, Any]:
    """Return grid, mask and maps, each a byte a voxel of the brain in base64, as the page's viewer reads them.

    Each map is scaled to its own peak: a saliency map has no unit. Where not all fit into `budget`, voxels are averaged
    to `FINE_MM` first, then the last of `entries` are left out; both is said.

    Parameters
    ----------
    shown : sequence of Shown
    entries : sequence of mapping
        ``model, method``, the most wanted first.
    classes : sequence of str
    grid : Grid
    budget : int
        Bytes.

    Returns
    -------
    dict
        ``shape, inverse`` (mm to voxels, three rows of four), ``mask`` (bits), ``image`` (one voxel thick),
        ``voxel_mm, averaged`` (how many voxels of the data along an edge make one), ``left_out`` (entries), ``maps``.
    """
    factor = _factor(shown, entries, grid, budget)
    small = reduced_grid(grid, factor)
    kept: list[Mapping[str, Any]] = []
    maps, spent = list(_encoded(shown, None, classes, grid, factor)), 0
    for entry in entries:
        more = list(_encoded(shown, (entry["model"], entry["method"]), classes, grid, factor))
        spent += sum(len(one["data"]) for one in more)
        if kept and spent > budget:
            break
        kept.append(entry)
        maps += more
    inverse = np.linalg.inv(small.affine)[:3]
    sides = np.sqrt((small.affine[:3, :3] ** 2).sum(axis=0))
    return {
        "shape": list(map(int, small.shape)),
        "inverse": np.round(inverse, 6).tolist(),
        "mask": base64.b64encode(np.packbits(small.mask.reshape(-1)).tobytes()).decode(),
        "image": 1 in small.shape,
        "voxel_mm": [round(float(side), 2) for side in sides],
        "averaged": factor,
        "left_out": len(entries) - len(kept),
        "maps": maps,
    }


def _factor(shown: Sequence[Shown], entries: Sequence[Any], grid: Grid, budget: int) -> int:
    """Return how many voxels along an edge are averaged: 1 where all maps fit, else what makes `FINE_MM` at least."""
    count = sum(len(maps) for one in shown for maps in one.maps.values())
    if 1 in grid.shape or count * grid.mask.sum() * BYTES <= budget:
        return 1
    side = float(np.sqrt((grid.affine[:3, :3] ** 2).sum(axis=0)).min())
    return max(1, int(np.ceil(FINE_MM / side - 1e-6)))


def _encoded(
    shown: Sequence[Shown], entry: tuple[str, str] | None, classes: Sequence[str], grid: Grid, factor: int
) -> Iterator[dict[str, Any]]:
    """Yield the maps of an entry, or the truth (None), with r between both over the brain's voxels."""
    inside = grid.mask.reshape(-1)
    for one in shown:
        maps = one.truth if entry is None else one.maps.get(entry, {})
        for label, target in pairs(classes):
            if (values := maps.get((label, target))) is None:
                continue
            truth = one.truth.get((label, target))
            values = values.astype(np.float64)
            r = None if entry is None or truth is None else float(pearson(values[None], truth[None])[0])
            (whole,) = on_grid(values[None], inside)
            yield {
                "who": one.who,
                "label": label,
                "target": target,
                "entry": list(entry) if entry else None,
                "peak": float(f"{np.abs(values).max():.4g}"),
                "at": _peak(whole, grid),
                "r": None if r is None or np.isnan(r) else round(r, 3),
                "data": in_bytes(whole, grid, factor),
            }


def _peak(values: np.ndarray, grid: Grid) -> list[float]:
    """Return where a map is largest in size: in mm, or in voxels of an image."""
    voxel = np.unravel_index(np.abs(values).argmax(), grid.shape)
    place = voxel if 1 in grid.shape else (grid.affine @ [*voxel, 1])[:3]
    return [round(float(value), 2) for value in place]


def in_bytes(values: np.ndarray, grid: Grid, factor: int = 1) -> str:
    """Return a map's voxels in the brain as signed bytes in base64, `STEPS` at its largest size."""
    small = reduced(values.reshape(grid.shape) * grid.mask, grid, factor)
    inside = small[reduced_grid(grid, factor).mask]
    peak = np.abs(inside).max(initial=0.0) or 1.0
    return base64.b64encode(np.round(inside / peak * STEPS).astype(np.int8).tobytes()).decode()


def reduced_grid(grid: Grid, factor: int) -> Grid:
    """Return the grid of blocks of voxels, in the brain where any of theirs is."""
    if factor == 1:
        return grid
    counts = _blocks(grid.mask.astype(float), factor)
    affine = grid.affine.copy()
    affine[:3, :3] *= factor
    affine[:3, 3] += grid.affine[:3, :3] @ np.full(3, (factor - 1) / 2)
    return Grid(counts > 0, affine)


def reduced(volume: np.ndarray, grid: Grid, factor: int) -> np.ndarray:
    """Return the mean of each block's voxels that are in the brain; `volume` is 0 outside."""
    if factor == 1:
        return volume
    counts = _blocks(grid.mask.astype(float), factor)
    return _blocks(volume, factor) / np.maximum(counts, 1)


def _blocks(volume: np.ndarray, factor: int) -> np.ndarray:
    """Return the sum over blocks of voxels; those that stand over at the end are filled up with 0."""
    padded = np.pad(volume, [(0, -size % factor) for size in volume.shape])
    a, b, c = (size // factor for size in padded.shape)
    return padded.reshape(a, factor, b, factor, c, factor).sum(axis=(1, 3, 5))


def template() -> dict[str, Any]:
    """Return the MNI template beneath the maps: bytes in base64, cut to the brain, with shape and inverse affine."""
    from nilearn.datasets import load_mni152_template

    image = load_mni152_template(resolution=TEMPLATE_MM)
    values = np.clip(image.get_fdata(), 0, 1)
    places = np.argwhere(values > 0.01)
    low, high = places.min(axis=0), places.max(axis=0) + 1
    cut = values[tuple(slice(a, b) for a, b in zip(low, high, strict=True))]
    affine = image.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    corner = affine[:3, 3] + affine[:3, :3] @ (np.array(cut.shape) - 1)
    return {
        "shape": list(map(int, cut.shape)),
        "inverse": np.round(np.linalg.inv(affine)[:3], 6).tolist(),
        "from": np.minimum(affine[:3, 3], corner).tolist(),
        "to": np.maximum(affine[:3, 3], corner).tolist(),
        "data": base64.b64encode(np.round(cut * 255).astype(np.uint8).tobytes()).decode(),
    }


def read_mean_maps(
    image: str, table: str, classes: Sequence[str], inside: np.ndarray
) -> tuple[tuple[str, str], dict[tuple[str, str], np.ndarray]]:
    """Return (model, method), and those of `pairs` -> mean map in the brain, of what `MeanMaps` wrote."""
    rows = pd.read_csv(table, sep="\t", dtype=dict.fromkeys(NAMES, str), keep_default_na=False)
    stored, wanted = nib.load(image).dataobj, pairs(classes)
    maps = {
        (row.label, row.target): np.asarray(stored[..., row.volume], dtype=np.float32).reshape(-1)[inside]
        for row in rows.itertuples()
        if row.maps and (row.label, row.target) in wanted
    }
    return (rows["model"].iloc[0], rows["method"].iloc[0]), maps


def read_subject(path: str, inside: np.ndarray) -> tuple[str, tuple[str, str], dict[tuple[str, str], np.ndarray]]:
    """Return the subject, (model, method), and (label, target) -> mean map in the brain, as `subject_maps` wrote."""
    ((rows, maps),) = read_blocks(path)
    keys = zip(rows["label"], rows["target"], strict=True)
    found = dict(zip(keys, maps[:, inside], strict=True))
    return rows["subject"].iloc[0], (rows["model"].iloc[0], rows["method"].iloc[0]), found
