"""What stands in which cell of the grid of training and saliency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from truemap.figures.words import entry_label, in_words

#: Share of a model's ways to explain below which a grid would be mostly empty: a list takes its place.
FULL = 0.6
#: How many cells wide a list is.
LIST = 1.5


@dataclass(frozen=True)
class Cells:
    """What is in which cell: rows of (name, model), titles of columns, and methods by row and column (or None)."""

    rows: list[tuple[str, str]]
    columns: list[str]
    methods: list[list[str | None]]

    def values(self, found: pd.Series, criterion: str) -> np.ndarray:
        """Return numbers by row and column, NaN where there are none."""
        return np.array(
            [
                [np.nan if way is None else found.get((criterion, model, way), np.nan) for way in ways]
                for (_, model), ways in zip(self.rows, self.methods, strict=True)
            ],
            dtype=float,
        )

    def words(self, found: pd.Series, criterion: str) -> list[list[str]]:
        """Return words by row and column."""
        rows = zip(self.rows, self.methods, strict=True)
        return [["" if w is None else found.get((criterion, m, w), "") for w in ways] for (_, m), ways in rows]


def cells_of(entries: Sequence[dict[str, Any]]) -> Cells:
    """Return one row a model and one column a method; a list of the entries where most cells would be empty."""
    labels = {entry["model"]: entry["label"] for entry in entries}
    methods = list(dict.fromkeys(entry["method"] for entry in entries))
    pairs = {(entry["model"], entry["method"]) for entry in entries}
    if len(pairs) < FULL * len(labels) * len(methods):
        rows = [(entry_label(entry), entry["model"]) for entry in entries]
        return Cells(rows, ["mean r"], [[entry["method"]] for entry in entries])
    ways = [[method if (model, method) in pairs else None for method in methods] for model in labels]
    return Cells([(label, model) for model, label in labels.items()], [in_words(name) for name in methods], ways)
