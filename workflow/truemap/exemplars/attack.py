"""The gradient-sign attack on influences, beside random signs (Ghorbani et al. 2019, eq. 4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from truemap.config.exemplars import GRADIENT, RANDOM, SignAttack
from truemap.data.rows import KEYS
from truemap.exemplars.influence import Influence
from truemap.geometry import direction
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed, pearson, ranks
from truemap.saliency._writer import in_chunks

#: Why a rank correlation is null.
CONSTANT = "all influences are the same, before the attack or after it"


def most(influences: torch.Tensor, influential: str, count: int) -> torch.Tensor:
    """Return places of the most influential training maps, the first the most, shape (n, at most count).

    Of equal ones, as are maps of a class on which all ReLUs are off, the first in the training data.

    Parameters
    ----------
    influences : Tensor, shape (n, training maps)
    """
    size = {"helpful": -influences, "harmful": influences, "largest": influences.abs()}[influential]
    return size.argsort(dim=1, descending=True, stable=True)[:, :count]


def gradient_sign(
    influence: Influence, x: torch.Tensor, labels: torch.Tensor, influences: torch.Tensor, options: SignAttack
) -> torch.Tensor:
    """Return the signs of the step that makes the most influential training maps less so, shape (n, *shape).

    .. math:: \\delta / \\epsilon = -\\mathrm{sign} \\Big( \\nabla_{x_t} \\sum_{i=1}^3 s_i I(z_{(i)}, z_t) \\Big)

    with s_i = -1 for helpful maps, 1 for harmful ones and the sign of I for the largest: eq. 4 for three maps at once.
    Where nothing reaches the last layer the sign is 0.

    Parameters
    ----------
    influences : Tensor, shape (n, training maps)
        Of the maps x.
    """
    places = most(influences, options.influential, options.attacked)
    of_these = influences.gather(1, places)
    ones = torch.ones_like(of_these)
    signs = {"helpful": -ones, "harmful": ones, "largest": of_these.sign()}[options.influential]
    weights = torch.zeros_like(influences).scatter(1, places, signs)
    return -direction(influence.towards(x, labels, weights)[1], "linf")


def random_sign(x: torch.Tensor, samples: Sequence[int], seed: int) -> torch.Tensor:
    """Return random signs for each map, from seed and sample alone, shape (n, *shape)."""
    sources = (torch.Generator().manual_seed(derive_seed(seed, "exemplars", sample)) for sample in samples)
    drawn = torch.stack([torch.randint(0, 2, x.shape[1:], generator=source) for source in sources])
    return (2 * drawn - 1).to(x)


@dataclass(frozen=True)
class Exemplars:
    """Influences of training maps on test maps, and what attacks them.

    Influences are of the loss of a map's own class. Nothing is clipped but at the ball: z-scores have no range.

    Attributes
    ----------
    influence : Influence
    decoder : Decoder
        As it was trained, before its last layer was refitted.
    tested : Batches
        Test maps.
    training : DataFrame
        ``label`` of each training map, in the order of the influences; the index is where it lies in the split.
    inside : Tensor of bool, shape ``shape``
        The mask; voxels outside it stay.
    sd : float
        Of the data, in whose units epsilon is.
    options : SignAttack
    seed : int
    """

    influence: Influence
    decoder: Decoder
    tested: Batches
    training: pd.DataFrame
    inside: torch.Tensor
    sd: float
    options: SignAttack
    seed: int

    def table(self, rows: Sequence[int], megabytes: float) -> pd.DataFrame:
        """Attack the influences on test maps and return what is left of them, a row a map, epsilon and attack.

        A map whose prediction does not stay comes back as it was. The same random signs serve all epsilons.

        Parameters
        ----------
        rows : sequence of int
            Positions in ``tested.volumes``.
        megabytes : float
            See `truemap.saliency._writer.chunk_size`.

        Returns
        -------
        DataFrame
            ``sample, subject, label, condition, negated``; ``epsilon`` (in sd), ``attack`` (``gradient_sign`` or
            ``random_sign``); ``attacked``, false where the prediction would not have stayed, so that the map is as it
            was; ``spearman`` of all training maps' influences before and after, null with a ``reason`` where these are
            constant; ``overlap``, how many of the most influential are among them after; lists of those ``before`` and
            ``after``, the most influential first: where they lie among the training maps, their classes
            (``before_label``) and their influences (``before_influence``); ``attacked_before`` and ``attacked_after``,
            mean of I over the training maps that the step acts on. No training map's subject or number is in it.
        """

        def compare(x: torch.Tensor, labels: torch.Tensor, samples: pd.DataFrame) -> pd.DataFrame:
            known, parts = samples[KEYS].reset_index(drop=True), []
            before = self.influence.of(x, labels)
            ways = {attack: self.signs(attack, x, labels, before, known["sample"]) for attack in (GRADIENT, RANDOM)}
            for epsilon, (attack, signs) in itertools.product(self.options.epsilon, ways.items()):
                moved, kept = self.moved(x, signs, epsilon)
                measured = self._compared(before, self.influence.of(moved, labels))
                facts = {"epsilon": epsilon, "attack": attack, "attacked": kept.cpu().numpy()}
                parts.append(known.assign(**facts, **measured))
            return pd.concat(parts, ignore_index=True)

        positions = np.asarray(rows, dtype=np.int64)
        return pd.concat(list(in_chunks(self.decoder, self.tested, positions, megabytes, compare)), ignore_index=True)

    def signs(
        self, attack: str, x: torch.Tensor, labels: torch.Tensor, before: torch.Tensor, samples: Sequence[int]
    ) -> torch.Tensor:
        """Return the signs of an attack's step on maps, whose influences are `before`, shape (n, *shape)."""
        if attack == GRADIENT:
            return gradient_sign(self.influence, x, labels, before, self.options)
        return random_sign(x, samples, self.seed)

    def moved(self, x: torch.Tensor, signs: torch.Tensor, epsilon: float) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps after a step, as they were where the prediction would not stay, and whether it does, shape (n,).

        Asked are the decoder as it was trained, and with the last layer that influences are of.
        """
        step = epsilon * self.sd * signs * self.inside
        networks = [self.decoder.network, self.influence.decoder.network]
        with torch.no_grad():
            kept = torch.stack([net(x + step).argmax(dim=1) == net(x).argmax(dim=1) for net in networks]).all(dim=0)
        return x + step * kept.view(-1, *[1] * (x.ndim - 1)), kept

    def example(self, table: pd.DataFrame, training: Batches) -> pd.DataFrame:
        """Return a typical test map, and its most influential training maps before and after the attack.

        It is the one with the median rank correlation among those of the largest epsilon whose prediction stays; where
        none does, of the next smaller one; at last, one that came back as it was.

        Parameters
        ----------
        table : DataFrame
            Of `table`.
        training : Batches
            Of the split that `training` tells the places in.

        Returns
        -------
        DataFrame
            ``role`` (``test``, ``attacked``, ``before``, ``after``), ``rank`` (from 1), ``label``, ``influence``,
            ``stays`` (whether it is among the most influential before and after), ``epsilon, spearman, overlap,
            attacked`` and ``map``, all voxels as a list (float32).
        """
        row = typical(table)
        at = int(np.flatnonzero(self.tested.volumes.table["sample"] == row["sample"])[0])
        x, labels = self.tested.get(torch.tensor([at]))
        signs = self.signs(GRADIENT, x, labels, self.influence.of(x, labels), [row["sample"]])
        maps = {"test": x, "attacked": self.moved(x, signs, row["epsilon"])[0]}
        rows = [(role, 0, row["label"], np.nan, False, volume[0]) for role, volume in maps.items()]
        for role, other in (("before", "after"), ("after", "before")):
            stays, volumes = np.isin(row[role], row[other]), training.get(torch.tensor(row[role]))[0]
            entries = zip(row[f"{role}_label"], row[f"{role}_influence"], stays.tolist(), volumes, strict=True)
            rows += [(role, rank, *entry) for rank, entry in enumerate(entries, 1)]
        found = pd.DataFrame(rows, columns=["role", "rank", "label", "influence", "stays", "map"])
        told = {name: row[name] for name in ("epsilon", "spearman", "overlap", "attacked")}
        return found.assign(**told, map=[volume.flatten().cpu().numpy() for volume in found["map"]])

    def _compared(self, before: torch.Tensor, after: torch.Tensor) -> dict[str, Any]:
        """Return the columns that compare influences, each shape (n, training maps)."""
        places, classes = self.training.index.to_numpy(), self.training["label"].to_numpy()
        acted = most(before, self.options.influential, self.options.attacked)
        spearman = pearson(*(ranks(values.cpu().numpy()) for values in (before, after)))
        found: dict[str, Any] = {"spearman": spearman, "reason": np.where(np.isnan(spearman), CONSTANT, "")}
        tops = {}
        for name, values in (("before", before), ("after", after)):
            top = most(values, self.options.influential, self.options.top)
            tops[name] = top.cpu().numpy()
            found[name] = [places[top].tolist() for top in tops[name]]
            found[f"{name}_label"] = [classes[top].tolist() for top in tops[name]]
            found[f"{name}_influence"] = values.gather(1, top).cpu().numpy().tolist()
            found[f"attacked_{name}"] = values.gather(1, acted).mean(dim=1).cpu().numpy()
        found["overlap"] = [len(set(a) & set(b)) for a, b in zip(*tops.values(), strict=True)]
        return found


def typical(table: pd.DataFrame) -> pd.Series:
    """Return the row of the gradient-sign attack that stands for the others (`Exemplars.example`)."""
    own = table[table["attack"] == GRADIENT]
    strongest = own["epsilon"] == own.loc[own["attacked"], "epsilon"].max()
    kept = own[own["attacked"] & strongest].sort_values(["spearman", "sample"], na_position="last")
    return kept.iloc[(len(kept) - 1) // 2] if len(kept) else own.sort_values(["epsilon", "sample"]).iloc[-1]
