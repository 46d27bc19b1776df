"""What a network itself does, at the resolution of regions: Shapley values of putting them back to a baseline.

The players are the regions of the mask, and a coalition's worth is the network's output for a map whose regions outside
the coalition are put back to a baseline (Shapley 1953; Lundberg & Lee 2017, eq. 8):

    phi_R = sum over S without R of |S|! (k - |S| - 1)! / k! * (f(x_{S + R}) - f(x_S))

Enumerated it is the network's own answer: no sampling, no gradient, no linearisation, whatever the network. Voxels
outside the mask stay as they are in the map: the values add up to f(x) - f(x with the mask at the baseline).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from truemap.data.regions import EXACT, Regions
from truemap.data.rows import by_target, choose_explained, subject_blocks
from truemap.networks._batches import Batches
from truemap.networks._chunks import Chunks
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.runtime.log import progress
from truemap.saliency._writer import chunk_size

#: Outputs that methods explain; both are of the same passes.
OUTPUTS = ("logit", "probability")
#: An output that differs by less than this share of its size, over all coalitions, differs by rounding: logits are
#: float32, and probabilities float64 of them.
ROUNDING = {"logit": 1e-6, "probability": 1e-12}


class Game:
    """A decoder's outputs for maps whose regions are put back to a baseline.

    Parameters
    ----------
    decoder : Decoder
    regions : Regions
    start : Tensor, shape ``shape``
        The baseline.
    size : int
        Maps that meet the network at a time.
    """

    def __init__(self, decoder: Decoder, regions: Regions, start: torch.Tensor, size: int) -> None:
        self.decoder, self.players, self.start, self.chunks = decoder, len(regions), start, Chunks(size)
        self._labels = torch.from_numpy(regions.labels).to(start.device)

    def outputs(self, x: torch.Tensor, coalitions: np.ndarray) -> np.ndarray:
        """Return the outputs for each coalition, shape (outputs, n, classes), float64, in the order of `OUTPUTS`.

        Parameters
        ----------
        x : Tensor, shape ``shape``
            One map.
        coalitions : ndarray of bool, shape (n, regions)
            Whether a region is as in the map.
        """
        # In front those of label 0, outside the mask, which are always as in the map.
        members = np.concatenate([np.ones((len(coalitions), 1), bool), coalitions], axis=1)

        def logits(part: torch.Tensor) -> torch.Tensor:
            kept = part[:, self._labels].view(len(part), *x.shape)
            with torch.no_grad():
                return self.decoder.network(torch.where(kept, x, self.start)).double()

        found = torch.cat(list(self.chunks.each(torch.from_numpy(members).to(x.device), logits)))
        both = torch.stack([found, torch.softmax(found / self.decoder.temperature, dim=1)]).cpu().numpy()
        for output, values in zip(OUTPUTS, both, strict=True):
            same = np.ptp(values, axis=0) <= ROUNDING[output] * np.abs(values).max(axis=0)
            values[:, same] = values[0, same]
        return both


def coalitions(players: int) -> np.ndarray:
    """Return all coalitions, shape (2^players, players), bool: player i is in the s-th if bit i of s is set."""
    return (np.arange(1 << players)[:, None] >> np.arange(players)) & 1 > 0


def weights(players: int) -> np.ndarray:
    """Return the weight of each coalition's worth in each player's Shapley value, shape (players, 2^players).

    With the player in it (|S| - 1)! (k - |S|)! / k!, else -|S|! (k - |S| - 1)! / k!.
    """
    inside = coalitions(players)
    size = inside.sum(axis=1)
    # Of coalitions of s players that the player is added to.
    each = np.array([1 / (players * math.comb(players - 1, s)) for s in range(players)])
    return np.where(inside, each[np.maximum(size - 1, 0)][:, None], -each[np.minimum(size, players - 1)][:, None]).T


def exact(game: Game, x: torch.Tensor) -> np.ndarray:
    """Return the Shapley values of a map's regions, of all 2^k coalitions.

    Parameters
    ----------
    x : Tensor, shape ``shape``

    Returns
    -------
    ndarray, shape (outputs, classes, regions), float64
    """
    found = game.outputs(x, coalitions(game.players))
    return np.einsum("rs,osc->ocr", weights(game.players), found)


def sampled(game: Game, x: torch.Tensor, permutations: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an estimate of the Shapley values by drawn orders of the regions, and its standard error.

    The mean over permutations of what a region changes when it joins those before it (Castro, Gomez & Tejada 2009). Of
    each permutation, and so of the estimate, the values add up as the exact ones do.

    Parameters
    ----------
    x : Tensor, shape ``shape``
    permutations : int
        At least 2; regions + 1 passes each.
    seed : int

    Returns
    -------
    values, errors : ndarray, shape (outputs, classes, regions), float64
        The error is the permutations' sd / sqrt(permutations).
    """
    random = np.random.default_rng(seed)
    orders = random.permuted(np.tile(np.arange(game.players), (permutations, 1)), axis=1)
    # A region's place in each order: it is in the first n if its place is below n.
    places = np.argsort(orders, axis=1)
    chains = places[:, None] < np.arange(game.players + 1)[None, :, None]
    found = game.outputs(x, chains.reshape(-1, game.players))
    steps = np.diff(found.reshape(len(OUTPUTS), *chains.shape[:2], -1), axis=2)
    changes = np.take_along_axis(steps, places[None, :, :, None], axis=2)
    values, spread = changes.mean(axis=1), changes.std(axis=1, ddof=1)
    return values.swapaxes(1, 2), spread.swapaxes(1, 2) / math.sqrt(permutations)


def shapley_blocks(
    decoder: Decoder,
    batches: Batches,
    regions: Regions,
    start: torch.Tensor,
    megabytes: float,
    permutations: int,
    seed: int,
    explained: int | None = None,
) -> Iterator[pd.DataFrame]:
    """Yield the Shapley values of the test maps that are explained, in blocks.

    Parameters
    ----------
    start : Tensor, shape ``shape``
        The baseline.
    megabytes : float
        See `truemap.saliency._writer.chunk_size`.
    permutations : int
        Drawn a map, where there are more than `truemap.data.regions.EXACT` regions.
    explained : int, optional
        See `truemap.data.rows.choose_explained`.

    Yields
    ------
    DataFrame
        ``sample, subject, label, condition, negated, target, output, region, value, se``: one row a sample, class,
        output and region. `se` is 0 where the value is exact.
    """
    game = Game(decoder, regions, start, chunk_size(decoder, batches.get(torch.tensor([0]))[0], megabytes))
    for block in progress(list(subject_blocks(choose_explained(batches.volumes.table, explained, seed))), "subject"):
        found = []
        for row, sample in zip(block.index, block["sample"], strict=True):
            x = batches.get(torch.tensor([row]))[0][0]
            if len(regions) <= EXACT:
                values = exact(game, x)
                found.append((values, np.zeros_like(values)))
            else:
                found.append(sampled(game, x, permutations, derive_seed(seed, "shapley", int(sample))))
        # (samples, values and errors, outputs, classes, regions) -> samples, classes, outputs, regions
        values, errors = np.array(found).transpose(1, 0, 3, 2, 4).reshape(2, -1)
        rows = by_target(block, decoder.classes)
        each = len(OUTPUTS) * len(regions)
        table = rows.loc[rows.index.repeat(each)].reset_index(drop=True)
        outputs = np.tile(np.repeat(OUTPUTS, len(regions)), len(rows))
        numbers = np.tile(np.arange(1, len(regions) + 1), len(rows) * len(OUTPUTS))
        yield table.assign(output=outputs, region=numbers, value=values, se=errors)
