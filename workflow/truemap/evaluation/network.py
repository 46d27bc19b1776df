"""Agreement of saliency maps with what the network itself does: the second truth, beside that of the data.

A map may be right about what distinguishes the classes and wrong about the network, and the other way round. What the
network does is known at the resolution of regions: their Shapley values (`truemap.evaluation.shapley`) of the output
that the method explains, put back to the same baseline b. Two criteria compare a map m of a class with those of it:

``network``
    Pearson's r over regions of what the map says that each one contributes. An attribution says it itself, summed over
    the region's voxels v: sum m_v. A gradient says what a change would change, and the change is the way from the
    baseline: sum m_v (x_v - b_v). Signs and proportions count. For the logits of a linear network both are exactly 1.
``network_absolute``
    Spearman's rank correlation over regions of the mean of |m_v| with |phi_R| / |R|, the size of the Shapley value a
    voxel: whether a map is large where the network looks, which every map can be asked, signs or none. A voxel on both
    sides, as sums grow with a region's size whatever the map: those of noise had the order of the regions' sizes, and
    so agreed with any network that uses large regions. The mean of noise is the same in all regions, and its expected
    correlation about 0 whatever the network does. It is 1 for what a linear network's voxels contribute, where these
    have one sign within each region; where they cancel, sizes are more than the region's value. Of a gradient it asks
    more than `network`: it may be large where this map is at its baseline, and the output owes nothing to the region.

Neither says anything within regions, nor whether what the network does is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, GRADIENT, NETWORK
from truemap.data.background import read_background
from truemap.data.conditions import in_set
from truemap.data.regions import Regions, read_regions
from truemap.data.volumes import Volumes
from truemap.evaluation.agreement import COLUMNS
from truemap.numerics import pearson, ranks

#: Sizes below this share of the largest are of one rank: what float32 leaves of regions that a network does not read.
NOTHING = 1e-6


@dataclass(frozen=True)
class NetworkTruth:
    """What a network does with each test map, and how a method's maps are compared with it.

    Attributes
    ----------
    values : DataFrame
        Shapley values: rows (sample, target), a column a region.
    regions : Regions
    maps : str
        What the maps are: ``attribution``, ``gradient``, or empty, for those of which sizes alone are compared.
    baseline : ndarray, shape (voxels,)
    """

    values: pd.DataFrame
    regions: Regions
    maps: str
    baseline: np.ndarray

    @classmethod
    def read(cls, files: Any, compared: Mapping[str, str]) -> NetworkTruth:
        """Read it from inputs ``shapley, regions, names, background``; `compared` says ``maps, output, baseline``."""
        columns = ["sample", "target", "region", "value"]
        table = pd.read_parquet(files.shapley[0], columns=columns, filters=[("output", "==", compared["output"])])
        values = table.pivot(index=["sample", "target"], columns="region", values="value")
        baseline = read_background(files.background[0]).baseline(compared["baseline"]).astype(np.float64)
        return cls(values, read_regions(files.regions[0], files.names[0]), compared["maps"], baseline)

    def block(
        self, rows: pd.DataFrame, maps: np.ndarray, volumes: Volumes, sets: Sequence[str], chosen: Sequence[str] = ()
    ) -> pd.DataFrame:
        """Return the agreement of each map with the network, for each condition set that it belongs to.

        Parameters
        ----------
        rows : DataFrame
            ``sample, subject, label, condition, negated, target`` of each map.
        maps : ndarray, shape (rows, voxels)
            Saliency maps, of all voxels or of those of the mask.
        volumes : Volumes
            The maps that they explain.
        sets : sequence of str
            Condition sets.
        chosen : sequence of str
            See `truemap.data.conditions.in_set`.

        Returns
        -------
        DataFrame
            The columns of `truemap.evaluation.agreement.COLUMNS`; the truth is called ``network``.
        """
        found = self.values.loc[pd.MultiIndex.from_frame(rows[["sample", "target"]])].to_numpy()
        voxels = self.regions.voxels
        sizes = np.concatenate([self.regions.sums(np.abs(values)[None]) for values in maps]) / voxels
        of_sizes = pearson(*(ranks(part) for part in (_told(sizes), _told(np.abs(found)) / voxels)))
        compared = {f"{NETWORK}{ABSOLUTE}": of_sizes}
        if self.maps:
            compared = {NETWORK: pearson(self._contributions(rows, maps, volumes), found), **compared}
        blocks = []
        for conditions in sets:
            kept = in_set(rows, conditions, chosen)
            for criterion, r in compared.items():
                reasons = [self._reason(*pair) for pair in zip(r[kept], sizes[kept], found[kept], strict=True)]
                part = rows[kept].assign(criterion=criterion, conditions=conditions, truth=NETWORK, r=r[kept])
                blocks.append(part.assign(reason=np.array(reasons, dtype=object)))
        return pd.concat(blocks, ignore_index=True)[COLUMNS]

    def _contributions(self, rows: pd.DataFrame, maps: np.ndarray, volumes: Volumes) -> np.ndarray:
        """Return what maps say that each region contributes, shape (rows, regions)."""
        if self.maps != GRADIENT:
            return self.regions.sums(maps)
        inside = slice(None) if maps.shape[1] == len(self.baseline) else self.regions.labels > 0
        places = pd.Index(volumes.table["sample"]).get_indexer(rows["sample"])
        told = []
        # By map: a subject's of 2 mm would be gigabytes as float64, and their ways as many again.
        for place, values in zip(places, maps, strict=True):
            way = volumes.take([place]).reshape(-1).astype(np.float64) - self.baseline
            told.append(self.regions.sums((values.astype(np.float64) * way[inside])[None]))
        return np.concatenate(told)

    @staticmethod
    def _reason(r: float, sizes: np.ndarray, found: np.ndarray) -> str:
        if not np.isnan(r):
            return ""
        if not sizes.any():
            return "the saliency map is zero"
        if not found.any():
            return "no truth: what is put back changes nothing about the network's output"
        return "what the map says, or the network does, is the same in all regions"


def _told(sizes: np.ndarray) -> np.ndarray:
    """Return sizes with 0 for what is nothing beside the row's largest (`NOTHING`), so that it has one rank."""
    return np.where(sizes > NOTHING * sizes.max(axis=1, keepdims=True), sizes, 0.0)
