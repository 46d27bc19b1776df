"""From a method's maps to what is stored: unit-peak maps by sample and class, and their means."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import torch

from truemap.datasets.nifti import write_map
from truemap.files import whole
from truemap.job import progress
from truemap.networks.data import Batches
from truemap.networks.decoder import Decoder
from truemap.options import MethodOptions
from truemap.truth import subject_blocks

KEYS = ["sample", "subject", "label", "condition", "negated"]
#: Maps explained at a time.
CHUNK = 16


def unit_peak(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return maps divided by their largest absolute value, and that value; a zero map stays zero.

    Float16 has 11 bits but a narrow range: at unit peak a map keeps its shape however small it is.
    """
    peak = np.abs(maps).max(axis=1)
    return maps / np.where(peak > 0, peak, 1.0)[:, None], peak


def explain_blocks(
    decoder: Decoder, batches: Batches, module: ModuleType, options: MethodOptions, seed: int
) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
    """Yield (rows, maps) of each subject: one row a sample and target class, maps of unit peak.

    Yields
    ------
    rows : DataFrame
        ``sample, subject, label, condition, negated, target, scale``; map times scale is the method's map.
    maps : ndarray, shape (rows, voxels), float64
    """
    for block in progress(list(subject_blocks(batches.volumes.table)), "subject"):
        parts = []
        for rows in torch.from_numpy(block.index.to_numpy().copy()).split(CHUNK):
            x, _ = batches.get(rows)
            ids = batches.volumes.table["sample"].iloc[rows.tolist()].tolist()
            parts.append(module.explain(decoder, x, ids, options, seed).flatten(2).cpu().numpy())
        maps, scale = unit_peak(np.concatenate(parts).reshape(len(block) * len(decoder.classes), -1))
        table = block.loc[block.index.repeat(len(decoder.classes)), KEYS].reset_index(drop=True)
        yield table.assign(target=decoder.classes * len(block), scale=scale), maps


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

    def write(self, image: str | Path, table: str | Path, affine: np.ndarray) -> None:
        """Write the means as one 4D NIfTI, unit peak each, and which volume is what as TSV."""
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
            rows.to_csv(temporary, sep="\t", index=False, lineterminator="\n")
