"""Tests of every pair as letters: entries that share one do not differ (compact letter display, Piepho 2004).

Piepho, H.-P. (2004). An algorithm for a letter-based representation of all-pairwise comparisons. Journal of
Computational and Graphical Statistics 13:456-466: insert and absorb. Letters start with the first entry given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from string import ascii_lowercase

import pandas as pd

#: What is compared: (model, method).
Entry = tuple[str, str]


def compact_letters(entries: Sequence[Entry], differing: Iterable[tuple[Entry, Entry]]) -> dict[Entry, str]:
    """Return each entry's letters: two entries share one if and only if they do not differ.

    Parameters
    ----------
    entries : sequence
        In the order of letters, the best first say.
    differing : iterable of pairs
        Those that differ.
    """
    groups = [frozenset(entries)]
    for a, b in differing:
        # Insert: a group with both becomes two, without the one and without the other.
        found = [part for group in groups for part in ((group - {a}, group - {b}) if {a, b} <= group else (group,))]
        # Absorb: a group within another one says nothing more.
        unique = list(dict.fromkeys(found))
        groups = [group for group in unique if not any(group < other for other in unique)]
    places = {entry: number for number, entry in enumerate(entries)}
    order = sorted(groups, key=lambda group: sorted(places[entry] for entry in group))
    names = [letter_name(number) for number in range(len(order))]
    return {
        entry: "".join(name for name, group in zip(names, order, strict=True) if entry in group) for entry in entries
    }


def letter_name(number: int) -> str:
    """Return the name of a group: a to z, then A to Z; after those numbers in brackets."""
    letters = ascii_lowercase + ascii_lowercase.upper()
    return letters[number] if number < len(letters) else f"({number + 1})"


def differing(comparisons: pd.DataFrame) -> list[tuple[Entry, Entry]]:
    """Return the pairs of a family that differ: over units and trainings where that is tested, else over units.

    Parameters
    ----------
    comparisons : DataFrame
        Of `truemap.evaluation.statistics.compare` and `truemap.evaluation.trainings.compare_trainings`.
    """
    significant = comparisons["significant"].astype(bool)
    if "p_two_level" in comparisons:
        both = comparisons["p_two_level"].notna()
        significant = significant.where(~both, comparisons["significant_two_level"].astype(bool))
    rows = comparisons[significant][["model_a", "method_a", "model_b", "method_b"]]
    return [((row.model_a, row.method_a), (row.model_b, row.method_b)) for row in rows.itertuples(index=False)]
