"""From a method's maps to what is stored: unit-peak maps by sample and class."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.data.maps import unit_peak
from truemap.data.rows import by_target, choose_explained, subject_blocks
from truemap.networks._batches import Batches
from truemap.networks._chunks import MEGABYTE, Chunks
from truemap.networks._decoder import Decoder
from truemap.runtime.files import DataError
from truemap.runtime.log import progress
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

T = TypeVar("T")


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


def in_chunks(
    decoder: Decoder,
    batches: Batches,
    rows: np.ndarray,
    megabytes: float,
    work: Callable[[torch.Tensor, torch.Tensor, pd.DataFrame], T],
    at_most: int | None = None,
) -> Iterator[T]:
    """Yield what comes of as many maps as may be explained at a time.

    Parameters
    ----------
    rows : ndarray of int
        Positions in ``batches.volumes``.
    megabytes : float
        See `chunk_size`.
    work : callable
        Of maps, their classes' numbers, and their rows of the table; see `truemap.networks._chunks.Chunks.each`.
    at_most : int, optional
        Maps at a time, though there were memory for more.
    """
    fitting = chunk_size(decoder, batches.get(torch.tensor([0]))[0], megabytes)
    chunks = Chunks(min(fitting, at_most or fitting))

    def of(chunk: torch.Tensor) -> T:
        return work(*batches.get(chunk), batches.volumes.table.iloc[chunk.tolist()])

    yield from chunks.each(torch.from_numpy(np.asarray(rows, dtype=np.int64)), of, "map")


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
    chunks = Chunks(chunk_size(decoder, batches.get(torch.tensor([0]))[0], megabytes))

    def explain(rows: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        x, _ = batches.get(rows)
        ids = batches.volumes.table["sample"].iloc[rows.tolist()].tolist()
        found = method.explain(decoder, x, ids, method.options, context)
        missed = method.residual(decoder, x, ids, found, method.options, context)
        return found.flatten(2).cpu().numpy(), missed.cpu().numpy().reshape(-1)

    chosen, voxels = choose_explained(batches.volumes.table, explained, context.seed), math.prod(batches.volumes.shape)
    for block in progress(list(subject_blocks(chosen)), "subject"):
        maps, residuals, first = np.empty((len(block), len(decoder.classes), voxels)), [], 0
        for part, missed in chunks.each(torch.from_numpy(block.index.to_numpy().copy()), explain):
            maps[first : first + len(part)] = part
            residuals.append(missed)
            first += len(part)
        maps = maps.reshape(-1, voxels)
        scale = unit_peak(maps, out=maps)[1]
        table = by_target(block, decoder.classes).assign(scale=scale, residual=np.concatenate(residuals))
        if not np.isfinite(scale).all():
            first = table[~np.isfinite(scale)].iloc[0]
            raise DataError(
                f"{(~np.isfinite(scale)).sum()} of {len(table)} maps are NaN or infinite, the first that of sample "
                f"{first['sample']} for class {first['target']}. The network's outputs or the method overflow: look at "
                "the training's log and the method's options."
            )
        yield table, maps
        # Else they stay while the next subject's are made.
        del maps
