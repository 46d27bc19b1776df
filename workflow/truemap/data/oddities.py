"""What is odd about maps that another tool made though each can be used: equal ones, and ones of few values."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

from truemap.numerics import SAMPLE
from truemap.runtime.log import log

#: Different sizes of a map's values, zero left out, below which it was rounded or is a mask; and how many voxels with
#: values tell.
FEW, ENOUGH = 16, 64


class Oddities:
    """Counts odd maps, block by block.

    Parameters
    ----------
    halves : bool
        Whether maps of two classes may be equal: sizes of what is against one are those of what is for the other.
    """

    def __init__(self, halves: bool) -> None:
        self._halves = halves
        self._first: dict[bytes, int] = {}
        self.classes, self.samples, self.rounded = 0, 0, 0

    def add(self, rows: pd.DataFrame, maps: np.ndarray) -> None:
        """Note maps, shape (rows, voxels), of rows with a column ``sample``; maps of zero are no oddity here."""
        step = max(1, maps.shape[1] // SAMPLE)
        for sample, values in zip(rows["sample"], maps, strict=True):
            if not values.any():
                continue
            digest = hashlib.sha256(values.tobytes()).digest()
            if digest not in self._first:
                self._first[digest] = sample
            elif self._first[digest] == sample:
                self.classes += 1
            else:
                self.samples += 1
            sizes = np.abs(values[::step])
            sizes = sizes[sizes > 0]
            self.rounded += int(len(sizes) >= ENOUGH and len(np.unique(sizes)) < FEW)

    def warn(self, path: str) -> None:
        """Say what was found in the maps of a sheet."""
        if self.classes and not self._halves:
            log.warning(
                "%s: %d maps equal one of the same sample for another class; if the tool explains one class, list each "
                "sample's own class only; else lines name a wrong row or file",
                path,
                self.classes,
            )
        if self.samples:
            log.warning(
                "%s: %d maps equal one of another sample: right for maps that do not depend on the sample, as weights "
                "of a linear decoder; else lines name a wrong row or file",
                path,
                self.samples,
            )
        if self.rounded:
            log.warning(
                "%s: %d maps have fewer than %d different sizes: right for masks; else they were rounded when they "
                "were saved (whole numbers, float16 of small values), and their agreement is that of rounded maps",
                path,
                self.rounded,
                FEW,
            )
