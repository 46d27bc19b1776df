"""From a method's maps to what is stored: unit-peak maps by sample and class, and their means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.data.nifti import write_map
from truemap.data.rows import by_target, choose_explained, made_by, subject_blocks
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import progress
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

MEGABYTE = 1 << 20


def unit_peak(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maps divided by their largest absolute value, and that value; maps of zero, or not finite, stay.

    Float16 has 11 bits but a narrow range: at unit peak a map keeps its shape however small it is.
    """
    peak = np.abs(maps).max(axis=1)
    return maps / np.where((peak > 0) & np.isfinite(peak), peak, 1.0)[:, None], peak


def chunk_size(decoder: Decoder, x: torch.Tensor, megabytes: float) -> int:
    """Return how many maps may be explained at a time.

    Parameters
    ----------
    x : Tensor, shape (1, *shape)
    megabytes : float
        What may be used for one chunk. Counted are the outputs of all layers and their gradients (float32), and
        each class's map three times (float32 once, float64 twice). A map that alone is larger is explained alone.
    """
    counted = 0

    def count(_layer: nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        counted += 2 * output.numel() * output.element_size()

    layers = [layer for layer in decoder.network.modules() if not list(layer.children())]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    with torch.no_grad():
        decoder.network(x)
    for hook in hooks:
        hook.remove()
    return max(1, int(megabytes * MEGABYTE / (counted + 20 * len(decoder.classes) * x.numel())))


def explain_blocks(
    decoder: Decoder,
    batches: Batches,
    method: Saliency,
    context: Context,
    megabytes: float,
    explained: int | None = None,
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield (rows, maps) of each subject: one row a sample and target class, maps of unit peak.

    Parameters
    ----------
    megabytes : float
        See `chunk_size`.
    explained : int, optional
        See `truemap.data.rows.choose_explained`.

    Yields
    ------
    rows : DataFrame
        ``sample, subject, label, condition, negated, target, scale, residual``; map times scale is the method's map
        (see `truemap.saliency._scaled` for scales below 1e-261). `residual` is by how much the map misses the sum
        that the method promises (completeness, summation to delta, conservation), as its ``residual`` says;
        NaN where it promises none.
    maps : ndarray, shape (rows, voxels), float64

    Raises
    ------
    DataError
        If a map is not finite.
    """
    size = chunk_size(decoder, batches.get(torch.tensor([0]))[0], megabytes)
    chosen = choose_explained(batches.volumes.table, explained, context.seed)
    for block in progress(list(subject_blocks(chosen)), "subject"):
        parts, residuals = [], []
        for rows in torch.from_numpy(block.index.to_numpy().copy()).split(size):
            x, _ = batches.get(rows)
            ids = batches.volumes.table["sample"].iloc[rows.tolist()].tolist()
            found = method.explain(decoder, x, ids, method.options, context)
            parts.append(found.flatten(2).cpu().numpy())
            missed = method.residual(decoder, x, ids, found, method.options, context)
            residuals.append(missed.cpu().numpy().reshape(-1))
        maps, scale = unit_peak(np.concatenate(parts).reshape(len(block) * len(decoder.classes), -1))
        table = by_target(block, decoder.classes).assign(scale=scale, residual=np.concatenate(residuals))
        if not np.isfinite(scale).all():
            first = table[~np.isfinite(scale)].iloc[0]
            raise DataError(
                f"{(~np.isfinite(scale)).sum()} of {len(table)} maps are NaN or infinite, the first that of sample "
                f"{first['sample']} for class {first['target']}. The network's outputs or the method overflow: look at "
                "the training's log and the method's options."
            )
        yield table, maps


class MeanMaps:
    """Mean saliency map of each (class of the map, explained class).

    Parameters
    ----------
    classes : list of str
    shape : tuple of int
        Of one map.
    """

    def __init__(self, classes: list[str], shape: tuple[int, ...]) -> None:
        self.classes = classes
        self.total = np.zeros((len(classes), len(classes), *shape))
        self.count = np.zeros(len(classes), dtype=int)

    def add(self, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Add maps at their own scale (not unit peak), as averaging the method's output would."""
        scaled = maps * rows["scale"].to_numpy()[:, None]
        for (label, target), part in rows.groupby(["label", "target"]):
            a, b = self.classes.index(label), self.classes.index(target)
            self.total[a, b] += scaled[part.index].sum(axis=0).reshape(self.total.shape[2:])
            self.count[a] += len(part) if a == b else 0

    def write(self, image: str | Path, table: str | Path, affine: np.ndarray, **entry: str | int) -> None:
        """Write the means as one 4D NIfTI, unit peak each, and which volume is what as TSV.

        Parameters
        ----------
        entry
            What they are of (`truemap.data.rows.made_by`).
        """
        size = len(self.classes)
        means = self.total / np.maximum(self.count, 1)[:, None, None, None, None]
        flat, scale = unit_peak(means.reshape(size * size, -1))
        write_map(image, np.moveaxis(flat.reshape(size * size, *means.shape[2:]), 0, -1), affine)
        pairs = [(a, b) for a in range(size) for b in range(size)]
        rows = pd.DataFrame(
            {
                "volume": range(size * size),
                "label": [self.classes[a] for a, _ in pairs],
                "target": [self.classes[b] for _, b in pairs],
                "maps": [self.count[a] for a, _ in pairs],
                "scale": scale,
            }
        )
        with whole(table) as temporary:
            made_by(rows, **entry).to_csv(temporary, sep="\t", index=False, lineterminator="\n")
