"""The table of samples: one row a map, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.config.names import SPLITS
from truemap.data.designs import check_files
from truemap.data.rows import has_subject, owners
from truemap.data.tables import alike, plain, read_tsv, require_cells
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log

COLUMNS = ("image", "subject", "label", "condition", "negated", "split")


def assign_splits(
    samples: pd.DataFrame, shares: dict[str, float], seed: int, family: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Fill an empty column ``split``, all maps of a subject, and of a family, together.

    Families are sorted (by their first subject), shuffled with the seed and cut where the numbers of subjects come
    closest to the shares, each split with at least one family. A column that the source filled in is kept.

    Parameters
    ----------
    samples : DataFrame
    shares : dict
        Split -> share of the subjects.
    seed : int
    family : dict, optional
        Subject -> family (`read_family`); a subject that is not in it is a family by itself.

    Raises
    ------
    DataError
        If only some rows have a split, there are fewer than three families, or a split that the source filled in
        tears one apart.
    """
    family = family or {}
    given = samples["split"] != ""
    if given.all():
        _check_families(samples, family)
        return samples
    if given.any():
        row = samples[~given].iloc[0]
        raise DataError(f"{row['image']}: has no split while other maps have one. Give all maps a split, or none.")
    subjects = sorted(samples["subject"].unique())
    if len(subjects) < len(SPLITS):
        raise DataError(f"{len(subjects)} subject(s): too few to split by subject. Give at least 3, or a split column.")
    members: dict[tuple[bool, str], list[str]] = {}
    for subject in subjects:
        members.setdefault((subject in family, family.get(subject, subject)), []).append(subject)
    families = list(members.values())
    if len(families) < len(SPLITS):
        raise DataError(
            f"{len(subjects)} subjects of {len(families)} families: too few to split by family. Give at least 3."
        )
    np.random.default_rng(derive_seed(seed, "split")).shuffle(families)
    validation = min(max(1, round(shares["validation"] * len(subjects))), len(subjects) - 2)
    test = min(max(1, round(shares["test"] * len(subjects))), len(subjects) - validation - 1)
    train = len(subjects) - validation - test
    first, second = _cut([len(each) for each in families], train, validation, test)
    parts = zip(SPLITS, (families[:first], families[first:second], families[second:]), strict=True)
    where = {subject: split for split, part in parts for each in part for subject in each}
    return samples.assign(split=samples["subject"].map(where))


def _cut(sizes: Sequence[int], train: int, validation: int, test: int) -> tuple[int, int]:
    """Return where the second and third part begin, so that the parts' sums are closest to these numbers."""
    ends = np.cumsum(sizes)
    best, cuts = np.inf, (1, 2)
    for first in range(1, len(sizes) - 1):
        second = np.arange(first + 1, len(sizes))
        sums = ends[first - 1], ends[second - 1] - ends[first - 1], ends[-1] - ends[second - 1]
        error = np.sum([np.abs(sums[0] - train) + np.abs(sums[1] - validation), np.abs(sums[2] - test)], axis=0)
        if error.min() < best:
            best, cuts = error.min(), (first, int(second[error.argmin()]))
        if best == 0:
            break
    return cuts


def _check_families(samples: pd.DataFrame, family: Mapping[str, str]) -> None:
    known = samples[samples["subject"].isin(list(family))]
    splits = known.groupby(known["subject"].map(family))["split"].unique()
    torn = splits[splits.map(len) > 1]
    if len(torn):
        image = known[known["subject"].map(family) == torn.index[0]].iloc[0]["image"]
        # Who is related to whom is not to be told: no family and no second subject is named.
        raise DataError(
            f"{image}: its subject's family is in the splits {', '.join(torn.iloc[0])}. Put all maps of a family into "
            "one split, or drop the column `split`."
        )


def read_family(path: str | Path, subjects: Sequence[str], left_out: Collection[str] = ()) -> dict[str, str]:
    """Return subject -> family, of a TSV with these two columns; no message says who is in a family.

    Rows of people that the dataset does not have are counted in a warning: a list of a whole study is right for a part
    of it.

    Parameters
    ----------
    path : path
    subjects : sequence of str
        The dataset's.
    left_out : collection of str
        More that the source has: rows of these are no fault.

    Raises
    ------
    DataError
        If the file cannot be read, lacks a column, has an empty cell or two families of one subject, lists none of the
        subjects, or writes one otherwise than the source does.
    """
    table = read_tsv(path, "table", "Check `family`.", private=True)
    for column in ("subject", "family"):
        # Without a header the first line is taken for one: its cells are not to be shown.
        if column not in table:
            raise DataError(f"{path}: has no column '{column}'. Name the columns subject and family, tab between them.")
    require_cells(path, table, ("subject", "family"))
    table = table[["subject", "family"]].drop_duplicates()
    again = np.flatnonzero(table["subject"].duplicated())
    if len(again):
        line = table.index[again[0]] + 2
        raise DataError(f"{path}, line {line}: its subject is in another family above. Keep one of the lines.")
    listed = set(table["subject"])
    if not listed & set(subjects):
        raise DataError(f"{path}: lists none of the {len(subjects)} subjects. Write subjects as the source does.")
    unknown = table[~table["subject"].isin([*subjects, *left_out])]
    meant = unknown[unknown["subject"].map(plain).isin([plain(who) for who in set(subjects) - listed])]
    if len(meant):
        raise DataError(
            f"{path}, line {meant.index[0] + 2}: its subject is one of the dataset's but for case, dashes or leading "
            "zeros. Write subjects as the source does."
        )
    if len(unknown):
        log.warning("%s: %d of its %d subjects are none of this dataset's", path, len(unknown), len(listed))
    for names in alike(table["family"].unique()):
        lines = sorted(int(table.index[table["family"] == name][0]) + 2 for name in names)
        log.warning("%s: families of lines %s differ by case, dashes or leading zeros only", path, lines)
    return dict(zip(table["subject"], table["family"], strict=True))


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
    named = samples[has_subject(samples)]
    twice = named[named.duplicated(["subject", "label", "condition"], keep=False)]
    if len(twice):
        a, b = twice.sort_values(["subject", "label", "condition"]).iloc[:2].itertuples()
        raise DataError(
            f"{a.image} and {b.image}: same subject, label and condition ({a.condition}). Keep one of them."
        )
    check_files(samples)
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
    key = owners(rows, rows["image"])
    return rows[key.factorize()[0] % count == number]


def first_of_train(samples: pd.DataFrame, subjects: int, images: int = 25) -> list[list[str]]:
    """Return up to `images` images of each of the first training subjects (as many apart, without subjects)."""
    rows = samples[samples["split"] == "train"]
    chunk = pd.Series([str(number // images) for number in range(len(rows))], index=rows.index, dtype=str)
    groups = rows.groupby(owners(rows, chunk), sort=False)["image"]
    return [group.tolist()[:images] for _, group in islice(groups, subjects)]
