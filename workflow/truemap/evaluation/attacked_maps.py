"""Attacked maps: how far each is from what it was, and whether it still tells the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from truemap.attacks._measure import TOLERANCE, sd_of
from truemap.data.grid import Grid
from truemap.data.rows import KEYS
from truemap.evaluation.attacked_truth import Truths, lost
from truemap.evaluation.map_changes import as_rows, changes
from truemap.geometry import lengths, radius
from truemap.map_attacks._attacked import Attacked, Found
from truemap.map_attacks._contract import MapAttack
from truemap.map_attacks._descend import DescentOptions
from truemap.map_attacks._surrogate import Surrogate, surrogate
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import in_chunks

#: How many times the memory of explaining an attack takes: the graph of a gradient, and that of its own gradient.
GRAPH = 4


@dataclass(frozen=True)
class Fragile:
    """A network, a way to explain it, and an attack on its maps.

    Attributes
    ----------
    decoder, batches, saliency, context
        Of the test maps, as `truemap.saliency._writer` has them.
    attack : MapAttack
    truths : Truths
        What maps are compared with.
    grid : Grid
    settings : mapping
        ``epsilon`` (list), ``norm``, ``top``, ``seed``, ``memory``, ``standardize``.
    """

    decoder: Decoder
    batches: Batches
    saliency: Saliency
    context: Context
    attack: MapAttack
    truths: Truths
    grid: Grid
    settings: Mapping[str, Any]

    def tables(self, rows: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Attack the maps that explain what the decoder predicts of some samples, and measure what comes back.

        Parameters
        ----------
        rows : ndarray of int
            Positions in ``batches.volumes``.

        Returns
        -------
        table : DataFrame
            ``sample, subject, label, condition, negated, predicted, epsilon, bound, attacked, linf, l2, beta,
            surrogate_agreement, measure, conditions, truth, value, reason``: a row a sample, epsilon and measure, for
            agreement also a condition set and truth. `bound` is epsilon in the maps' own units, for L2 of the whole
            map. `attacked` is false where no noise was found that leaves the prediction: the map is then as it was.
            Measures are those of `truemap.evaluation.map_changes.changes`; ``gain``, by how much what the attack wants
            of the map has risen (part of the map that the k voxels lose, or the target gets; mm); and of each criterion
            of `truemap.evaluation.agreement`, a sample's pairwise values averaged, its ``_before``, ``_after`` and
            ``_loss``, which is their difference. So of those of `truemap.evaluation.network`, for the map attacked: by
            what the network does with the sample as it was (truth ``network``), and if asked for, after the attack by
            what it does with the attacked sample (truth ``network_moved``), which that map explains.
        example : DataFrame
            The map of the first of the samples before the attack and after that of the largest epsilon: ``sample,
            role`` (``before``, ``after``) and ``map``, all voxels as a list (float32).

        Raises
        ------
        RuntimeError
            If noise is longer than its bound, or makes the decoder predict another class: faults of the attack.
        """
        smooth, sd, strongest = self._surrogate(rows), self.sd, max(self.settings["epsilon"])

        def attack(x: torch.Tensor, _: torch.Tensor, samples: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
            parts, first, attacked = [], {}, self._attacked(x, samples, smooth)
            before = self._explained(attacked, x)
            unsigned = bool((before >= 0).all())
            agreed = self.truths.of(before, attacked, samples, unsigned)
            for epsilon in self.settings["epsilon"]:
                bound = sd * radius(epsilon, "voxel", int(self.grid.mask.sum()), attacked.norm)
                found = self.attack.perturb(attacked, bound, self.attack.options)
                entry = self._facts(attacked, found, bound, samples).assign(epsilon=epsilon, bound=bound)
                after = self._explained(attacked, x + found.noise)
                agrees = self.truths.of(after, attacked, samples, unsigned, found.noise)
                was, now = (_of_predicted(maps, attacked) for maps in (before, after))
                told = changes(was, now, found.noise[:, attacked.inside], attacked.places, self.settings["top"])
                told["gain"] = found.gain
                measured = pd.concat([as_rows(told, entry), lost(agreed, agrees, entry)])
                entry = entry.assign(beta=smooth.beta, surrogate_agreement=smooth.agreement)
                parts.append(entry.merge(measured, on="sample"))
                if epsilon == strongest:
                    first = {"before": _first(before, attacked), "after": _first(after, attacked)}
            example = pd.DataFrame({"sample": attacked.samples[0], "role": first.keys(), "map": first.values()})
            return pd.concat(parts, ignore_index=True), example

        memory = self.settings["memory"] / GRAPH
        tables, examples = [], list[pd.DataFrame]()
        for table, example in in_chunks(self.decoder, self.batches, rows, memory, attack):
            tables.append(table)
            # Of the first maps alone: two whole maps a chunk would grow with the maps attacked.
            examples = examples or [example]
        return pd.concat(tables, ignore_index=True), examples[0]

    @cached_property
    def sd(self) -> float:
        """The maps' sd, in which epsilon is given (`truemap.attacks._measure.sd_of`)."""
        return sd_of(self.context.training.volumes, self.settings["standardize"], self.settings["seed"])

    def _surrogate(self, rows: np.ndarray) -> Surrogate:
        options = self.attack.options
        if self.saliency.curved or not isinstance(options, DescentOptions):
            return Surrogate(self.decoder.network, np.nan, np.nan)
        return surrogate(self.decoder, self.batches, rows, options.beta, self.settings["memory"])

    def _attacked(self, x: torch.Tensor, samples: pd.DataFrame, smooth: Surrogate) -> Attacked:
        ids, way = samples["sample"].tolist(), self.saliency
        with torch.no_grad():
            predicted = self.decoder.network(x).argmax(1)
        maps = way.differentiable(self.decoder, x, predicted, ids, way.options, self.context)
        regions = self.truths.network.regions if self.truths.network else None
        norm, seed = self.settings["norm"], self.settings["seed"]
        return Attacked(self.decoder, smooth.network, maps, x, predicted, ids, self.grid, regions, norm, seed)

    def _explained(self, attacked: Attacked, x: torch.Tensor) -> torch.Tensor:
        """Return what the way to explain itself gives, shape (n, classes, *shape)."""
        return self.saliency.explain(self.decoder, x, attacked.samples, self.saliency.options, self.context)

    def _facts(self, attacked: Attacked, found: Found, bound: float, samples: pd.DataFrame) -> pd.DataFrame:
        """Return what noise came back of each sample; refuse what breaks the attack's promises."""
        l2, linf = lengths(found.noise), found.noise.flatten(1).abs().amax(dim=1)
        longest = float((l2 if attacked.norm == "l2" else linf).max())
        if not longest <= bound * (1 + TOLERANCE):
            raise RuntimeError(f"{self.attack.name}: noise of {longest:.9g} for a bound of {bound:.9g}")
        if not attacked.kept(attacked.x + found.noise).all():
            raise RuntimeError(f"{self.attack.name}: noise that it says leaves the prediction does not")
        if found.noise[:, ~attacked.inside].any():
            raise RuntimeError(f"{self.attack.name}: noise outside the mask")
        predicted = [self.decoder.classes[number] for number in attacked.predicted.tolist()]
        columns = {"attacked": found.found, "linf": linf.double(), "l2": l2}
        entry = samples[KEYS].reset_index(drop=True).assign(predicted=predicted)
        return entry.assign(**{name: values.cpu().numpy() for name, values in columns.items()})


def _of_predicted(maps: torch.Tensor, attacked: Attacked) -> torch.Tensor:
    """Return the mask's voxels of the maps of the predicted classes, shape (n, voxels)."""
    return maps[torch.arange(len(maps), device=maps.device), attacked.predicted][:, attacked.inside]


def _first(maps: torch.Tensor, attacked: Attacked) -> np.ndarray:
    """Return the first sample's map of the predicted class, shape (all voxels,)."""
    return maps[0, attacked.predicted[0]].flatten().float().cpu().numpy()
