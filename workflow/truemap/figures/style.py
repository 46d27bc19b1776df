"""What all figures share: how they are saved, labelled, and where their maps come from."""

from __future__ import annotations

import difflib
import re
import textwrap
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from truemap.config.names import ABSOLUTE, CHOSEN
from truemap.config.options import suggest
from truemap.data.conditions import set_shown
from truemap.figures.backend import plt
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log

#: Condition sets in words.
SETS = {"all": "all conditions", "no_negated": "without negated conditions", CHOSEN: "chosen conditions"}
#: Truth and maps of the two criteria, in words.
CRITERIA = {"informative": "class-informative activation", "pairwise": "pairwise class differences"}

#: Width of a letter of the foot, in inches: one that is longer than the figure would widen it.
LETTER = 0.054
#: What XML, and so SVG, cannot hold.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def start() -> None:
    """Draw without a display, the same for every user; give text as text and ids that depend on nothing random."""
    plt.rcdefaults()
    plt.switch_backend("agg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "truemap", "font.size": 9, "figure.dpi": 100})
    # Names of classes and models are no formulas: a dollar sign is a dollar sign.
    plt.rcParams["text.parse_math"] = False
    # Said once a figure, in words, by `save`.
    warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)


def save(figure: plt.Figure, paths: Sequence[str | Path], note: str, dpi: int) -> None:
    """Write the figure in each format, with `note` (what the data are) at its foot; say what it cannot draw."""
    note = textwrap.fill(note, max(40, int(figure.get_figwidth() / LETTER)))
    figure.text(0.995, -0.005, note, ha="right", va="top", fontsize=7, color="0.35", style="italic")
    for path in paths:
        svg = str(path).endswith(".svg")
        with whole(path) as temporary:
            metadata = {"Date": None} if svg else None
            figure.savefig(temporary, dpi=dpi, metadata=metadata, bbox_inches="tight", pad_inches=0.15)
            if svg and NO_XML.search(text := temporary.read_text(encoding="utf-8")):
                temporary.write_text(NO_XML.sub("\N{REPLACEMENT CHARACTER}", text), encoding="utf-8")
    words = "".join(text.get_text() for text in figure.findobj(plt.Text))
    lacking = sorted(set(words) - _glyphs() - {"\n"})
    if lacking:
        log.warning(
            "%s: the figures' font has no glyph for %s: boxes in a PNG, and text all the same in an SVG. For a model, "
            "set `label`.",
            Path(paths[0]).stem,
            ", ".join(f"{glyph} (U+{ord(glyph):04X})" for glyph in lacking),
        )
    plt.close(figure)


@cache
def _glyphs() -> set[str]:
    """Return the characters that the figures' font can draw."""
    font = plt.matplotlib.ft2font.FT2Font(plt.matplotlib.font_manager.findfont("DejaVu Sans"))
    return set(map(chr, font.get_charmap()))


def check_style(style: dict[str, Any]) -> None:
    """Refuse colours and colour maps that matplotlib does not have.

    Raises
    ------
    DataError
        The message names the nearest one.
    """
    for key in ("colormap", "sequential"):
        if style[key] not in plt.colormaps():
            (nearest,) = difflib.get_close_matches(style[key], plt.colormaps(), n=1, cutoff=0)
            raise DataError(f"style: matplotlib has no {key} '{style[key]}'; did you mean '{nearest}'?")
    if not plt.matplotlib.colors.is_color_like(style["bars"]):
        raise DataError(f"style: bars '{style['bars']}' is no colour. Give a name, or '#rrggbb'.")


def entry_label(entry: dict[str, Any]) -> str:
    """Return the name of a (model, method) in figures: the gradient is the model itself, as in the paper."""
    return entry["label"] if entry["method"] == "gradient" else f"{entry['label']}, {entry['method']}"


def choose_classes(labels: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    """Return the classes to draw: `wanted`, or the first three by name.

    Raises
    ------
    DataError
        If one of `wanted` is not a class.
    """
    for label in wanted or []:
        if label not in labels:
            raise DataError(f"show: no class '{label}'{suggest(label, labels)}")
    return sorted(labels)[:3] if wanted is None else list(wanted)


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


def one_truth(table: pd.DataFrame, wanted: str, conditions: str = "all") -> pd.DataFrame:
    """Return the rows of the condition set shown that are of the truth shown, and of none (accuracies)."""
    shown = table["conditions"] == set_shown(table["conditions"], conditions)
    return table[table["truth"].isin([truth_shown(table, wanted), ""]) & shown]


def note(kind: str, conditions: str) -> str:
    """Return the foot of a figure: what the data are, and of which conditions where not of all."""
    return kind if conditions == "all" else f"{kind}; {SETS[conditions]}"


def r_words(scores: pd.DataFrame, label: str, target: str, conditions: str = "all") -> str:
    """Return the mean r of a set's test maps of `label` explained for `target`: with signs, or else of sizes."""
    rows = scores[(scores["label"] == label) & (scores["target"] == target) & (scores["conditions"] == conditions)]
    for ending, words in (("", "r = {:.2f}"), (ABSOLUTE, "|r| = {:.2f}")):
        mean = rows.loc[rows["criterion"].isin([criterion + ending for criterion in CRITERIA]), "r"].mean()
        if pd.notna(mean):
            return words.format(mean)
    return "no r"
