"""The table of samples: one row a map, checked before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from truemap.files import DataError, whole
from truemap.numerics import derive_seed

SPLITS = ("train", "validation", "test")
COLUMNS = ("image", "subject", "label", "condition", "negated", "split")


def assign_splits(samples: pd.DataFrame, shares: dict[str, float], seed: int) -> pd.DataFrame:
    """Fill an empty column ``split``, all maps of a subject together.

    Subjects are sorted, shuffled with the seed and cut at the shares, rounded so that each split has at
    least one subject. A column that the source filled in is kept.

    Raises
    ------
    DataError
        If only some rows have a split, or there are fewer than three subjects.
    """
    given = samples["split"] != ""
    if given.all():
        return samples
    if given.any():
        row = samples[~given].iloc[0]
        raise DataError(f"{row['image']}: has no split while other maps have one. Give all maps a split, or none.")
    subjects = sorted(samples["subject"].unique())
    if len(subjects) < len(SPLITS):
        raise DataError(f"{len(subjects)} subject(s): too few to split by subject. Give at least 3, or a split column.")
    np.random.default_rng(derive_seed(seed, "split")).shuffle(subjects)
    validation = min(max(1, round(shares["validation"] * len(subjects))), len(subjects) - 2)
    test = min(max(1, round(shares["test"] * len(subjects))), len(subjects) - validation - 1)
    train = len(subjects) - validation - test
    where = dict(zip(subjects, np.repeat(SPLITS, [train, validation, test]), strict=True))
    return samples.assign(split=samples["subject"].map(where))


def check(samples: pd.DataFrame) -> None:
    """Refuse samples that would make every later number wrong.

    Raises
    ------
    DataError
        For a duplicate, a subject in two splits, an unknown or empty split, fewer than two classes, or
        a class that is missing from a split.
    """
    if samples.empty:
        raise DataError("no maps at all. Check the source in the config.")
    unknown = samples[~samples["split"].isin(SPLITS)]
    if len(unknown):
        row = unknown.iloc[0]
        raise DataError(f"{row['image']}: unknown split '{row['split']}'. Use {', '.join(SPLITS)}.")
    named = samples[samples["subject"] != ""]
    twice = named[named.duplicated(["subject", "label", "condition"], keep=False)]
    if len(twice):
        a, b = twice.sort_values(["subject", "label", "condition"]).iloc[:2].itertuples()
        raise DataError(
            f"{a.image} and {b.image}: same subject, label and condition ({a.condition}). Keep one of them."
        )
    again = samples[samples["image"].duplicated(keep=False)]
    if len(again):
        raise DataError(f"{again.iloc[0]['image']}: listed twice. Keep one of the lines.")
    splits = named.groupby("subject")["split"].unique()
    torn = splits[splits.map(len) > 1]
    if len(torn):
        image = named[named["subject"] == torn.index[0]].iloc[0]["image"]
        raise DataError(
            f"{image}: its subject is in the splits {', '.join(torn.iloc[0])}, so scores would be of subjects that "
            "were trained on. Put all maps of a subject into one split."
        )
    if samples["label"].nunique() < 2:
        raise DataError(
            f"all {len(samples)} maps have the label '{samples['label'].iloc[0]}'. Give at least two classes."
        )
    for split in SPLITS:
        lacking = set(samples["label"]) - set(samples.loc[samples["split"] == split, "label"])
        if lacking:
            raise DataError(
                f"no map of class {', '.join(sorted(lacking))} in the split '{split}'. Change the shares, or add "
                "subjects."
            )


def write(path: str | Path, samples: pd.DataFrame) -> None:
    """Write samples.tsv, sorted by split, subject, label and condition; the row number is the sample's id."""
    order = samples["split"].map(SPLITS.index)
    table = samples.assign(order=order).sort_values(["order", "subject", "label", "condition", "image"])
    with whole(path) as temporary:
        table[list(COLUMNS)].to_csv(temporary, sep="\t", index=False, lineterminator="\n")


def read(path: str | Path) -> pd.DataFrame:
    """Read samples.tsv; the index is the sample's id."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    return table.assign(negated=table["negated"] == "True")


def shard(samples: pd.DataFrame, split: str, number: int, count: int) -> pd.DataFrame:
    """Return the rows of one shard of a split: every `count`-th subject (or image, where there are no subjects)."""
    rows = samples[samples["split"] == split]
    key = rows["subject"].where(rows["subject"] != "", rows["image"])
    return rows[key.factorize()[0] % count == number]


def choose_explained(table: pd.DataFrame, count: int | None, seed: int) -> pd.DataFrame:
    """Return at most `count` rows of each subject and class (of each class, where there are no subjects).

    A seeded choice by sample id, whatever the order of rows; None is all of them. The index is kept.
    """
    if count is None:
        return table
    order = pd.Series([derive_seed(seed, "explained", int(sample)) for sample in table["sample"]], index=table.index)
    rank = order.groupby([table["subject"], table["label"]]).rank(method="first")
    return table[rank <= count]
