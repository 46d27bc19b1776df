"""What all figures share: how they are saved, labelled, and where their maps come from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd

from truemap.files import whole
from truemap.names import CHOSEN

#: Condition sets in words.
SETS = {"all": "all conditions", "no_negated": "without negated conditions", CHOSEN: "chosen conditions"}
#: Truth and maps of the two criteria, in words.
CRITERIA = {"informative": "class-informative activation", "pairwise": "pairwise class differences"}


def start() -> None:
    """Draw without a display; give text as text and ids that depend on nothing random."""
    matplotlib.use("Agg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "truemap", "font.size": 9, "figure.dpi": 100})


def save(figure: plt.Figure, paths: Sequence[str | Path], note: str, dpi: int) -> None:
    """Write the figure in each format, with `note` (what the data are) at its foot."""
    figure.text(0.995, -0.005, note, ha="right", va="top", fontsize=7, color="0.35", style="italic")
    for path in paths:
        metadata = {"Date": None} if str(path).endswith(".svg") else None
        with whole(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata=metadata, bbox_inches="tight", pad_inches=0.15)
    plt.close(figure)


def entry_label(entry: dict[str, Any]) -> str:
    """Return the name of a (model, method) in figures: the gradient is the model itself, as in the paper."""
    return entry["label"] if entry["method"] == "gradient" else f"{entry['label']}, {entry['method']}"


def choose_classes(labels: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the classes to draw: `wanted`, or the first three by name.

    Raises
    ------
    ValueError
        If one of `wanted` is not a class.
    """
    if wanted is None:
        return sorted(labels)[:3]
    unknown = [label for label in wanted if label not in labels]
    if unknown:
        raise ValueError(f"show: no class '{unknown[0]}'; classes are {', '.join(sorted(labels))}")
    return list(wanted)


def together(heights: dict[str, float], gap: float) -> list[tuple[str, float]]:
    """Return labels and heights from below, names closer than `gap` to the one below them joined: none overlap."""
    groups: list[list[tuple[str, float]]] = []
    for name, height in sorted(heights.items(), key=lambda item: item[1]):
        if groups and height - groups[-1][-1][1] < gap:
            groups[-1].append((name, height))
        else:
            groups.append([(name, height)])
    return [(", ".join(name for name, _ in group), sum(h for _, h in group) / len(group)) for group in groups]


def truth_shown(table: pd.DataFrame, wanted: str) -> str:
    """Return which truth a dataset's figures show: `wanted`, or the full one where there is no other."""
    return wanted if wanted in set(table["truth"]) else "full"


def set_shown(sets: Iterable[str], wanted: str) -> str:
    """Return which of the condition sets figures show: `wanted`, or all conditions where it was not made."""
    return wanted if wanted in set(sets) else "all"


def one_truth(table: pd.DataFrame, wanted: str, conditions: str = "all") -> pd.DataFrame:
    """Return the rows of the condition set shown that are of the truth shown, and of none (accuracies)."""
    shown = table["conditions"] == set_shown(table["conditions"], conditions)
    return table[table["truth"].isin([truth_shown(table, wanted), ""]) & shown]


def note(kind: str, conditions: str) -> str:
    """Return the foot of a figure: what the data are, and of which conditions where not of all."""
    return kind if conditions == "all" else f"{kind}; {SETS[conditions]}"


def mean_r(scores: pd.DataFrame, label: str, target: str, conditions: str = "all") -> float:
    """Return the mean agreement of a set's test maps of `label` explained for `target`, signs and all."""
    rows = scores[(scores["label"] == label) & (scores["target"] == target) & (scores["conditions"] == conditions)]
    return rows.loc[rows["criterion"].isin(list(CRITERIA)), "r"].mean()
