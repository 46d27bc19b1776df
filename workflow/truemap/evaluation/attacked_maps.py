"""Attacked maps: how far each is from what it was, and whether it still tells the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch

from truemap.attacks._measure import TOLERANCE, choose_maps
from truemap.config.names import LEFT_OUT
from truemap.data.grid import Grid
from truemap.data.regions import Regions
from truemap.data.rows import KEYS, by_target
from truemap.evaluation.agreement import score_block
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import OwnMaps
from truemap.geometry import lengths, radius
from truemap.map_attacks._attacked import Attacked, Found
from truemap.map_attacks._contract import MapAttack
from truemap.map_attacks._descend import DescentOptions
from truemap.map_attacks._maps import centres, largest, shares
from truemap.map_attacks._surrogate import Surrogate, surrogate
from truemap.metrics._maps import lengths as row_lengths
from truemap.metrics._maps import rank_correlation
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import chunks

#: How many times the memory of explaining an attack takes: the graph of a gradient, and that of its own gradient.
GRAPH = 4
#: Training maps of which the sd is taken.
MAPS = 50
#: Why measures have no value.
UNMOVED = "the noise that came back is zero: there is no way to divide by"
AIMLESS = "no noise was found that leaves the prediction, or noise of random signs, which wants nothing"
FLAT = "a map is zero, or the same everywhere"
WRONG = f"{LEFT_OUT}the decoder is wrong about the sample, and the map attacked is that of the class it predicts"
#: What agreement is given of, by the endings of its measures.
BEFORE, AFTER, LOSS = "_before", "_after", "_loss"
OF_TRUTH = ["sample", "criterion", "conditions", "truth"]


@dataclass(frozen=True)
class Fragile:
    """A network, a way to explain it, and an attack on its maps.

    Attributes
    ----------
    decoder, batches, saliency, context
        Of the test maps, as `truemap.saliency._writer` has them.
    attack : MapAttack
    given : ScoreInputs
        The data's truth.
    grid : Grid
    regions : Regions, optional
        Of the dataset, for attacks that name one.
    settings : mapping
        ``epsilon`` (list), ``norm``, ``top``, ``seed``, ``memory``, ``standardize``.
    """

    decoder: Decoder
    batches: Batches
    saliency: Saliency
    context: Context
    attack: MapAttack
    given: ScoreInputs
    grid: Grid
    regions: Regions | None
    settings: Mapping[str, Any]

    def table(self, rows: np.ndarray) -> pd.DataFrame:
        """Attack the maps that explain what the decoder predicts of some samples, and measure what comes back.

        Parameters
        ----------
        rows : ndarray of int
            Positions in ``batches.volumes``.

        Returns
        -------
        DataFrame
            ``sample, subject, label, condition, negated, predicted, epsilon, bound, attacked, linf, l2, beta,
            surrogate_agreement, measure, conditions, truth, value, reason``: a row a sample, epsilon and measure, for
            agreement also a condition set and truth. `bound` is epsilon in the maps' own units, for L2 of the whole
            map. `attacked` is false where no noise was found that leaves the prediction: the map is then as it was.
            Measures are those of `changes`; ``gain``, by how much what the attack wants of the map has risen (part of
            the map that the k voxels lose, or the target gets; mm); and of each criterion of
            `truemap.evaluation.agreement`, a sample's pairwise values averaged, its ``_before``, ``_after`` and
            ``_loss``, which is their difference.

        Raises
        ------
        RuntimeError
            If noise is longer than its bound, or makes the decoder predict another class: faults of the attack.
        """
        smooth, sd, parts = self._surrogate(rows), self.sd, []
        for x, _, samples in chunks(self.decoder, self.batches, rows, self.settings["memory"] / GRAPH):
            attacked = self._attacked(x, samples, smooth)
            before = self._explained(attacked, x)
            unsigned = bool((before >= 0).all())
            agreed = self._agreement(before, samples, unsigned)
            for epsilon in self.settings["epsilon"]:
                bound = sd * radius(epsilon, "voxel", int(self.grid.mask.sum()), attacked.norm)
                found = self.attack.perturb(attacked, bound, self.attack.options)
                entry = self._facts(attacked, found, bound, samples).assign(epsilon=epsilon, bound=bound)
                after = self._explained(attacked, x + found.noise)
                was, now = (_of_predicted(maps, attacked) for maps in (before, after))
                told = changes(was, now, found.noise[:, attacked.inside], attacked.places, self.settings["top"])
                told["gain"] = found.gain
                measured = [_measured(told, entry), _kept(agreed, self._agreement(after, samples, unsigned), entry)]
                entry = entry.assign(beta=smooth.beta, surrogate_agreement=smooth.agreement)
                parts.append(entry.merge(pd.concat(measured), on="sample"))
        return pd.concat(parts, ignore_index=True)

    @cached_property
    def sd(self) -> float:
        """The maps' sd, in which epsilon is given: 1 where they are z-scored, else that of training maps.

        Root mean square of sds over all voxels, zeros outside the mask too, as z-scores have it.
        """
        if self.settings["standardize"] == "volume":
            return 1.0
        training = self.context.training.volumes
        rows = choose_maps(training.table.reset_index(drop=True), MAPS, self.settings["seed"])
        squares = [training.take([row]).astype(np.float64).var() for row in rows]
        return float(np.sqrt(np.mean(squares)))

    def _surrogate(self, rows: np.ndarray) -> Surrogate:
        options = self.attack.options
        if self.saliency.curved or not isinstance(options, DescentOptions):
            return Surrogate(self.decoder.network, np.nan, np.nan)
        return surrogate(self.decoder, self.batches, rows, options.beta)

    def _attacked(self, x: torch.Tensor, samples: pd.DataFrame, smooth: Surrogate) -> Attacked:
        ids, way = samples["sample"].tolist(), self.saliency
        with torch.no_grad():
            predicted = self.decoder.network(x).argmax(1)
        maps = way.differentiable(self.decoder, x, predicted, ids, way.options, self.context)
        norm, seed = self.settings["norm"], self.settings["seed"]
        return Attacked(self.decoder, smooth.network, maps, x, predicted, ids, self.grid, self.regions, norm, seed)

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

    def _agreement(self, maps: torch.Tensor, samples: pd.DataFrame, unsigned: bool) -> pd.DataFrame:
        """Return each sample's agreement with the truth: ``sample, criterion, conditions, truth, r, reason``."""
        table = by_target(samples, self.decoder.classes)
        values = maps.flatten(2).cpu().numpy().reshape(len(table), -1)
        given, blocks = self.given, []
        for subject, rows in table.groupby("subject", sort=False):
            block = rows.reset_index(drop=True), values[rows.index]
            own = self._own(subject)
            blocks.append(score_block(*block, given.truths, given.inside, own, unsigned, given.chosen))
        found = pd.concat(blocks).groupby(OF_TRUTH, sort=False)
        return found.agg(r=("r", "mean"), reason=("reason", "first")).reset_index()

    def _own(self, subject: str) -> OwnMaps | None:
        """Return `ScoreInputs.own`; the last subject's are kept, as its samples follow each other."""
        if subject not in self._held:
            self._held.clear()
            self._held[subject] = self.given.own(subject)
        return self._held[subject]

    @cached_property
    def _held(self) -> dict[str, OwnMaps | None]:
        return {}


def changes(
    before: torch.Tensor, after: torch.Tensor, noise: torch.Tensor, places: torch.Tensor, top: float
) -> dict[str, torch.Tensor]:
    """Return how far maps are from what they were, by the names of measures.

    ``spearman``, ``top_k`` and ``shift`` are of sizes, as Ghorbani, Abid & Zou 2019 (sections 2.1, 2.3, Appendix D)
    have them; ``spearman_signed`` is of the maps with their signs. ``sensitivity`` is eq. 11 of Lu et al. 2020,

    .. math:: S_s = \\frac{\\lVert E(x) - E(\\hat x) \\rVert_2}{\\lVert x - \\hat x \\rVert_2}

    as printed, which falls where maps are given in larger units; ``sensitivity_equal`` is that of maps whose sizes add
    up to 1.

    Parameters
    ----------
    before, after : Tensor, shape (n, voxels), float64
        Maps, with their signs.
    noise : Tensor, shape (n, voxels)
    places : Tensor, shape (voxels, axes), float64
        Where voxels are, in mm.
    top : float
        k as a share of the voxels.

    Returns
    -------
    mapping from str to Tensor, shape (n,), float64
        NaN where there is none: of a map that is zero or constant, or a way of length 0.
    """
    parts = [shares(maps) for maps in (before, after)]
    zero = ~torch.stack([part.any(dim=1) for part in parts]).all(dim=0)
    chosen = [torch.zeros_like(part, dtype=torch.bool).scatter(1, largest(part, top), True) for part in parts]
    signed = [part * maps.sign() for part, maps in zip(parts, (before, after), strict=True)]
    way = lengths(noise)
    way = torch.where(way > 0, way, torch.nan)
    kept = (chosen[0] & chosen[1]).sum(dim=1).double() / chosen[0].sum(dim=1)
    shift = (centres(parts[0], places) - centres(parts[1], places)).norm(dim=1)
    return {
        "spearman": rank_correlation(*parts),
        "spearman_signed": rank_correlation(*signed),
        "top_k": torch.where(zero, torch.nan, kept),
        "shift": torch.where(zero, torch.nan, shift),
        "sensitivity": row_lengths(before - after) / way,
        "sensitivity_equal": torch.where(zero, torch.nan, (signed[0] - signed[1]).norm(dim=1) / way),
    }


def _of_predicted(maps: torch.Tensor, attacked: Attacked) -> torch.Tensor:
    """Return the mask's voxels of the maps of the predicted classes, shape (n, voxels)."""
    return maps[torch.arange(len(maps), device=maps.device), attacked.predicted][:, attacked.inside]


def _measured(told: Mapping[str, torch.Tensor], entry: pd.DataFrame) -> pd.DataFrame:
    """Return `changes` as rows."""
    tables = []
    for name, of_maps in told.items():
        values = of_maps.cpu().numpy()
        unmoved = name.startswith("sensitivity") & (entry["l2"] == 0)
        none = np.where(unmoved, UNMOVED, AIMLESS if name == "gain" else FLAT)
        rows = {"sample": entry["sample"], "measure": name, "conditions": "", "truth": "", "value": values}
        tables.append(pd.DataFrame({**rows, "reason": np.where(np.isnan(values), none, "")}))
    return pd.concat(tables)


def _kept(before: pd.DataFrame, after: pd.DataFrame, entry: pd.DataFrame) -> pd.DataFrame:
    """Return agreement with the truth before and after as rows, and what was lost."""
    both = before.merge(after, on=OF_TRUTH, suffixes=(BEFORE, AFTER))
    both["r_loss"] = both["r_before"] - both["r_after"]
    both["reason_loss"] = both["reason_before"].where(both["reason_before"] != "", both["reason_after"])
    wrong = both["sample"].isin(entry.loc[entry["predicted"] != entry["label"], "sample"])
    wrong &= both["criterion"].str.startswith("informative")
    tables = []
    for ending in (BEFORE, AFTER, LOSS):
        measure = both["criterion"] + ending
        rows = both[["sample", "conditions", "truth"]].assign(measure=measure)
        reason = both[f"reason{ending}"].mask(wrong, WRONG)
        tables.append(rows.assign(value=both[f"r{ending}"].mask(wrong), reason=reason))
    return pd.concat(tables)
