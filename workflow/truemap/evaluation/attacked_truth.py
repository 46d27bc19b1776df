"""Whether attacked maps still tell the truth: that of the data, and what the network itself does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from truemap.config.names import AFTER, BEFORE, LEFT_OUT, LOSS, MOVED
from truemap.data.conditions import condition_sets
from truemap.data.rows import by_target
from truemap.data.volumes import Volumes
from truemap.evaluation.agreement import score_block
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.shapley import shapley_blocks
from truemap.evaluation.truth import OwnMaps
from truemap.map_attacks._attacked import Attacked
from truemap.networks._batches import Batches

#: Why there is no value.
WRONG = f"{LEFT_OUT}the decoder is wrong about the sample, and the map attacked is that of the class it predicts"
KEYS = ["sample", "criterion", "conditions", "truth"]


@dataclass(frozen=True)
class Truths:
    """What attacked maps are compared with.

    Attributes
    ----------
    given : ScoreInputs
        The data's truth.
    network : NetworkTruth, optional
        What the network does with the samples as they are, where the dataset has regions.
    settings : mapping
        ``moved, seed, memory, permutations``.
    """

    given: ScoreInputs
    network: NetworkTruth | None
    settings: Mapping[str, Any]
    _held: dict[str, OwnMaps | None] = field(default_factory=dict)

    def of(
        self,
        maps: torch.Tensor,
        attacked: Attacked,
        samples: pd.DataFrame,
        unsigned: bool,
        noise: torch.Tensor | None = None,
    ) -> pd.DataFrame:
        """Return each sample's agreement with each truth: ``sample, criterion, conditions, truth, r, reason``.

        Parameters
        ----------
        maps : Tensor, shape (n, classes, *shape)
            What the way to explain gives.
        samples : DataFrame
            Rows of the test maps' table.
        unsigned : bool
            Whether maps have sizes only.
        noise : Tensor, shape (n, *shape), optional
            By which samples were attacked; None is before.
        """
        table = by_target(samples, attacked.decoder.classes)
        values = maps.flatten(2).cpu().numpy().reshape(len(table), -1)
        found = [self._data(table, values, unsigned)]
        if self.network:
            predicted = np.array(attacked.decoder.classes)[attacked.predicted.cpu().numpy()]
            mine = (table["target"] == np.repeat(predicted, len(attacked.decoder.classes))).to_numpy()
            rows = table[mine].reset_index(drop=True)
            found.append(self._network(self.network, rows, values[mine], attacked, samples, noise))
        return pd.concat(found, ignore_index=True)

    def _data(self, table: pd.DataFrame, values: np.ndarray, unsigned: bool) -> pd.DataFrame:
        given, blocks = self.given, []
        for subject, rows in table.groupby("subject", sort=False):
            block, own = (rows.reset_index(drop=True), values[rows.index]), self._own(subject)
            blocks.append(score_block(*block, given.truths, given.inside, own, unsigned, given.chosen))
        found = pd.concat(blocks).groupby(KEYS, sort=False)
        return found.agg(r=("r", "mean"), reason=("reason", "first")).reset_index()

    def _network(
        self,
        network: NetworkTruth,
        rows: pd.DataFrame,
        values: np.ndarray,
        attacked: Attacked,
        samples: pd.DataFrame,
        noise: torch.Tensor | None,
    ) -> pd.DataFrame:
        """Return the agreement of the maps attacked with the network, by what it does with samples, and attacked ones.

        A gradient's sizes are those of the way from the baseline to what was explained: an attacked map's, of the
        attacked sample.
        """
        chosen = self.given.chosen
        sets, inputs = condition_sets(rows["negated"], chosen), self.given.volumes
        if noise is not None:
            inputs = Volumes([(attacked.x + noise).cpu().numpy()], samples.reset_index(drop=True))
        found = [network.block(rows, values, inputs, sets, chosen)]
        if self.settings["moved"]:
            moved = network if noise is None else replace(network, values=self._does(network, inputs, attacked))
            found.append(moved.block(rows, values, inputs, sets, chosen).assign(truth=MOVED))
        return pd.concat(found)[[*KEYS, "r", "reason"]]

    def _does(self, network: NetworkTruth, inputs: Volumes, attacked: Attacked) -> pd.DataFrame:
        """Return what the network does with inputs, as ``NetworkTruth.values`` has it."""
        device, settings = attacked.x.device, self.settings
        start = torch.from_numpy(network.baseline).float().view(inputs.shape).to(device)
        batches = Batches(inputs, attacked.decoder.classes, device)
        counts = settings["memory"], settings["permutations"], settings["seed"]
        values = pd.concat(shapley_blocks(attacked.decoder, batches, network.regions, start, *counts))
        values = values[values["output"] == settings["network"]["output"]]
        return values.pivot(index=["sample", "target"], columns="region", values="value")

    def _own(self, subject: str) -> OwnMaps | None:
        """Return `ScoreInputs.own`; the last subject's are held, as its samples follow each other."""
        if subject not in self._held:
            self._held.clear()
            self._held[subject] = self.given.own(subject)
        return self._held[subject]


def lost(before: pd.DataFrame, after: pd.DataFrame, entry: pd.DataFrame) -> pd.DataFrame:
    """Return agreement before and after as rows, and what was lost.

    Parameters
    ----------
    before, after : DataFrame
        Of `Truths.of`.
    entry : DataFrame
        ``sample, label, predicted`` of each.

    Returns
    -------
    DataFrame
        ``sample, measure, conditions, truth, value, reason``; the informative map of a sample that the decoder gets
        wrong is not the one that was attacked: null.
    """
    both = before.merge(after, on=KEYS, suffixes=(BEFORE, AFTER))
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
