"""Maps without their most important voxels, to train on (ROAR, Hooker et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import in_chunks


def at_random(voxels: int, samples: Sequence[int], seed: int) -> torch.Tensor:
    """Return the voxels in an order drawn for each sample, shape (n, voxels), int32."""
    order = torch.empty((len(samples), voxels), dtype=torch.int32)
    for row, sample in zip(order, samples, strict=True):
        source = torch.Generator().manual_seed(derive_seed(seed, "roar", sample))
        torch.randperm(voxels, generator=source, out=row)
    return order


def ranked(
    decoder: Decoder,
    batches: Batches,
    saliency: Saliency,
    context: Context,
    inside: np.ndarray,
    rows: np.ndarray,
    megabytes: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the voxels of the mask, the most important first.

    Explained is the class that the network predicts: that of the sample would tell a network that is trained again what
    it is tested by. Important is what has a large size: a voxel that speaks against the class tells as much of
    classes as one that speaks for it, and the sign of a gradient says something else. Voxels of equal size go in an
    order drawn for each sample.

    Parameters
    ----------
    inside : ndarray of bool, shape ``shape``
        The mask.
    rows : ndarray of int
        Positions in ``batches.volumes``.
    megabytes : float
        See `truemap.saliency._writer.chunk_size`.

    Returns
    -------
    order : Tensor of int32, shape (n, voxels)
        Numbers of the mask's voxels.
    constant : Tensor of bool, shape (n,)
        Where all voxels have one size: the order is a drawn one.

    Raises
    ------
    DataError
        If a map is not finite; or if maps differ between classes and within none: which voxels are gone would then
        tell the class.
    """
    mask = torch.from_numpy(inside).to(batches.device)

    def rank(x: torch.Tensor, _: torch.Tensor, table: pd.DataFrame) -> tuple[torch.Tensor, ...]:
        samples = table["sample"].tolist()
        with torch.no_grad():
            predicted = decoder.network(x).argmax(dim=1)
        maps = saliency.explain(decoder, x, samples, saliency.options, context)
        sizes = maps[torch.arange(len(x), device=x.device), predicted][:, mask].abs().cpu()
        if not sizes.isfinite().all():
            raise DataError("roar: a saliency map is NaN or infinite: look at the training's log.")
        drawn = at_random(sizes.shape[1], samples, context.seed).long()
        places = sizes.gather(1, drawn).argsort(dim=1, descending=True, stable=True)
        return drawn.gather(1, places).int(), sizes.amin(dim=1) == sizes.amax(dim=1), predicted.cpu()

    # The orders of a thousand maps at 2 mm are a gigabyte: no second copy is made.
    order, done = torch.empty((len(rows), int(inside.sum())), dtype=torch.int32), 0
    others: list[tuple[torch.Tensor, torch.Tensor]] = []
    for found, same, predicted in in_chunks(decoder, batches, rows, megabytes, rank):
        order[done : done + len(found)] = found
        done += len(found)
        others.append((same, predicted))
    constant, classes = (torch.cat(part) for part in zip(*others, strict=True))
    _refuse_told(order, classes, saliency.name)
    return order, constant


def _refuse_told(order: torch.Tensor, classes: torch.Tensor, name: str) -> None:
    first: dict[int, int] = {}
    like = [first.setdefault(number, row) for row, number in enumerate(classes.tolist())]
    repeated = [(row, other) for row, other in enumerate(like) if row != other]
    within = bool(repeated) and all(torch.equal(order[row], order[other]) for row, other in repeated)
    if within and not all(torch.equal(order[row], order[0]) for row in first.values()):
        raise DataError(
            f"roar: maps of '{name}' do not hang on the input but on its class alone, so that the voxels that are gone "
            "would tell the class. Leave it out of `roar.methods`."
        )


def removed(
    volumes: Volumes, rows: np.ndarray, order: torch.Tensor, fraction: float, mean: np.ndarray, inside: np.ndarray
) -> Volumes:
    """Return maps, in memory, whose first voxels of an order are the training maps' mean there.

    Parameters
    ----------
    rows : ndarray of int
        Positions of the maps that are taken.
    order : Tensor of int, shape (n, voxels of the mask)
    fraction : float
        Share of the mask's voxels that is removed.
    mean : ndarray, shape (voxels of the grid,)
    inside : ndarray of bool, shape ``shape``
    """
    voxels = np.flatnonzero(inside)
    count = removed_voxels(fraction, len(voxels))
    maps = volumes.take(rows)
    for values, first in zip(maps.reshape(len(maps), -1), order[:, :count].numpy(), strict=True):
        values[voxels[first]] = mean[voxels[first]]
    return Volumes([maps], volumes.table.iloc[rows].reset_index(drop=True))


def removed_voxels(fraction: float, voxels: int) -> int:
    """Return how many voxels a fraction is.

    Raises
    ------
    DataError
        If it is none or all, unless none is asked for.
    """
    count = round(fraction * voxels)
    if fraction and not 0 < count < voxels:
        raise DataError(f"roar: a fraction of {fraction:g} is {count} of the mask's {voxels} voxels. Choose another.")
    return count
