"""Rows of the table of samples, as stages take them: by subject, and a choice of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from truemap.numerics import derive_seed

#: What of a sample stands beside its maps and scores.
KEYS = ["sample", "subject", "label", "condition", "negated"]


def has_subject(rows: pd.DataFrame) -> pd.Series:
    """Return whether each map is of a subject; images without subjects have an empty one."""
    return rows["subject"] != ""


def owners(rows: pd.DataFrame, otherwise: pd.Series) -> pd.Series:
    """Return whose each map is: its subject's, or what `otherwise` says where there are no subjects."""
    return rows["subject"].where(has_subject(rows), otherwise)


def made_by(table: pd.DataFrame, **entry: str | int) -> pd.DataFrame:
    """Return a table whose rows say what they are of: ``model``, ``seed`` and ``method``, as far as it has them.

    Tables of many jobs are put together, and what a row is of must not hang on the order of files.
    """
    return pd.concat([pd.DataFrame(entry, index=table.index), table], axis=1)


def of_job(wildcards: Any) -> dict[str, str | int]:
    """Return what a job's table is of (`made_by`), by its wildcards."""
    return {name: int(value) if name == "seed" else value for name, value in wildcards.items() if name != "dataset"}


def permuted_labels(table: pd.DataFrame, seed: int) -> pd.Series:
    """Return the labels of maps, exchanged at random: a class has as many as before, whatever the order of rows."""
    known = table.set_index("sample")["label"].sort_index()
    drawn = np.random.default_rng(derive_seed(seed, "labels")).permutation(known.to_numpy())
    return table["sample"].map(pd.Series(drawn, index=known.index))


def by_target(rows: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """Return a row for each map and class that is explained: the columns `KEYS`, and ``target``."""
    table = rows.loc[rows.index.repeat(len(classes)), KEYS].reset_index(drop=True)
    return table.assign(target=[*classes] * len(rows))


def subject_blocks(table: pd.DataFrame, limit: int = 200) -> Iterator[pd.DataFrame]:
    """Yield the rows of each subject; where there are no subjects, blocks of `limit` rows."""
    for subject, rows in table.groupby("subject", sort=False):
        if subject:
            yield rows
        else:
            yield from (rows.iloc[start : start + limit] for start in range(0, len(rows), limit))


def choose_explained(table: pd.DataFrame, count: int | None, seed: int) -> pd.DataFrame:
    """Return at most `count` rows of each subject and class (of each class, where there are no subjects).

    A seeded choice by sample id, whatever the order of rows; None is all of them. The index is kept.
    """
    if count is None:
        return table
    order = pd.Series([derive_seed(seed, "explained", int(sample)) for sample in table["sample"]], index=table.index)
    rank = order.groupby([table["subject"], table["label"]]).rank(method="first")
    return table[rank <= count]
