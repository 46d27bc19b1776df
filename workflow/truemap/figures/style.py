"""What all figures share: their widths and letters, how they are saved and labelled."""

from __future__ import annotations

import difflib
import re
import warnings
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, CHOSEN
from truemap.config.options import suggest
from truemap.data.conditions import set_shown
from truemap.data.rows import has_subject
from truemap.evaluation.results import write_table
from truemap.figures.backend import plt
from truemap.figures.palette import SOFT
from truemap.figures.words import CRITERIA
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log

#: Condition sets in words.
SETS = {"all": "all conditions", "no_negated": "without negated conditions", CHOSEN: "chosen conditions"}

#: Widths of one and of two columns of a journal, in mm; millimetres and points of an inch.
NARROW, WIDE, MM, POINTS = 89, 183, 25.4, 72
#: Sizes of letters in points: the smallest that a printed figure may have, and the usual one.
SMALL, USUAL = 6, 7
#: Height of a line of the foot, as a share of its letters; its distance from the edges, in inches.
LINE, MARGIN = 1.3, 0.03
#: Decimals of a place in a figure, as a share of it.
PLACES = 9
#: What a legend's mark and its distances take beside a name, in inches.
HANDLE = 0.5
#: How letters, lines and distances look (rcParams).
LOOK = {
    "font.size": USUAL, "axes.titlesize": USUAL, "axes.labelsize": USUAL, "figure.titlesize": USUAL,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "legend.fontsize": SMALL, "legend.title_fontsize": SMALL,
    "axes.linewidth": 0.5, "xtick.major.width": 0.5, "ytick.major.width": 0.5, "xtick.major.size": 2.5,
    "ytick.major.size": 2.5, "axes.titlepad": 3, "axes.labelpad": 2, "xtick.major.pad": 2, "ytick.major.pad": 2,
    "lines.linewidth": 1, "hatch.linewidth": 0.4, "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03, "legend.handlelength": 1.4, "legend.borderaxespad": 0.2,
    "legend.columnspacing": 1.2,
}  # fmt: skip
#: What XML, and so SVG, cannot hold.
NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def start() -> None:
    """Draw without a display, the same for every user; give text as text and ids that depend on nothing random."""
    plt.rcdefaults()
    plt.switch_backend("agg")
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "truemap", "figure.dpi": 100, **LOOK})
    # Names of classes and models are no formulas: a dollar sign is a dollar sign.
    plt.rcParams["text.parse_math"] = False
    # Said once a figure, in words, by `save`.
    warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font", UserWarning)


def sheet(width: float, height: float) -> tuple[float, float]:
    """Return the size of a figure in inches, as matplotlib takes it, of its width in mm and its height in inches."""
    return width / MM, height


def text_width(text: str, size: float = SMALL) -> float:
    """Return how wide a line of the figures' letters is, in inches."""
    of, font = plt.matplotlib.textpath.text_to_path, plt.matplotlib.font_manager.FontProperties(size=size)
    return of.get_text_width_height_descent(text, font, False)[0] / POINTS


def columns_of(names: Iterable[str], width: float) -> int:
    """Return in how many columns a legend of these names has room in so many inches."""
    return max(1, int(width / (max(map(text_width, names)) + HANDLE)))


def fitted(text: str, width: float, size: float = SMALL) -> str:
    """Return a text in lines of at most this width in inches; a longer word is broken after hyphens and underscores."""
    lines: list[str] = []
    for word in text.split():
        parts = [word] if text_width(word, size) <= width else re.findall(r"[-_]*[^-_]+[-_]*", word)
        for number, part in enumerate(parts):
            longer = f"{lines[-1]}{'' if number else ' '}{part}" if lines else part
            lines[-1:] = [longer] if text_width(longer, size) <= width else [*lines[-1:], part]
    return "\n".join(lines)


def letter(axis: plt.Axes, name: str, beside: bool = False) -> None:
    """Write a panel's letter above its left end; `beside` it where a title is as wide as the panel's first axes."""
    look: dict[str, Any] = {"fontsize": USUAL + 1, "fontweight": "bold"}
    if beside:
        place = {"xycoords": "axes fraction", "textcoords": "offset points"}
        axis.annotate(name, (0, 1), (-8, 4), ha="right", va="bottom", **place, **look)
    else:
        axis.set_title(name, loc="left", **look)


def signed_bar(figure: plt.Figure, colormap: str, of: str = "map") -> None:
    """Draw the colour bar of maps, or rows of them, that are each at their own scale, below the figure."""
    scale = plt.matplotlib.cm.ScalarMappable(plt.matplotlib.colors.Normalize(-1, 1), colormap)
    bar = figure.colorbar(
        scale, ax=figure.axes, location="bottom", fraction=0.02, aspect=40, shrink=0.5, panchor=False, ticks=[-1, 0, 1]
    )
    bar.set_label(f"share of a {of}'s own largest size (scales differ between {of}s)", fontsize=SMALL)


def _stand(figure: plt.Figure, note: str) -> None:
    """Put `note` at a figure's foot, which becomes as much higher: its width stays what it was drawn for."""
    width, height = figure.get_size_inches()
    # Letters of a coarse picture are wider than those of a fine one.
    lines = fitted(note, 0.96 * width - 2 * MARGIN)
    foot = (lines.count("\n") + 1) * LINE * SMALL / POINTS + 2 * MARGIN
    figure.set_size_inches(width, height + foot)
    share = foot / (height + foot)
    figure.set_layout_engine("constrained", rect=(0, share, 1, 1 - share))
    # Words beside the whole figure keep to its middle, which is higher now.
    for text in figure.texts:
        text.set_y(share + text.get_position()[1] * (1 - share))
    place = (MARGIN / width, MARGIN / (height + foot))
    figure.text(*place, lines, va="bottom", fontsize=SMALL, color=SOFT, linespacing=LINE)


def _settle(figure: plt.Figure, dpi: int) -> None:
    """Give everything its place for all formats: where shapes are kept, one round of layout does not find it."""
    figure.set_dpi(dpi)
    for _ in range(3):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    # The solver's last digits differ from run to run, and an SVG's names of clipped places are made of all digits.
    for axis in figure.axes:
        corners = np.round(axis.get_position(original=True).get_points(), PLACES)
        axis.set_position(plt.matplotlib.transforms.Bbox(corners), which="original")


def files_of(outputs: Iterable[str], name: str) -> list[str]:
    """Return those of a job's outputs that are of one figure: its pictures and its table."""
    return [path for path in outputs if Path(path).stem == name]


def save(
    figure: plt.Figure, paths: Sequence[str | Path], note: str, dpi: int, table: pd.DataFrame | None = None
) -> None:
    """Write the figure in each format, as wide as it was drawn, with `note` (what the data are) at its foot.

    What its letters cannot write is said in the log.

    Parameters
    ----------
    paths : sequence of path
        PNG and SVG files; TSV files get the table.
    table : DataFrame, optional
        What the figure draws.
    """
    _stand(figure, note)
    _settle(figure, dpi)
    for path in paths:
        if str(path).endswith(".tsv"):
            write_table(table, path)
            continue
        svg = str(path).endswith(".svg")
        with whole(path) as temporary:
            figure.savefig(temporary, dpi=dpi, metadata={"Date": None} if svg else None)
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
    if style["bars"] is not None and not plt.matplotlib.colors.is_color_like(style["bars"]):
        raise DataError(f"style: bars '{style['bars']}' is no colour. Give a name, or '#rrggbb'.")


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


def count_range(counts: pd.Series) -> str:
    """Return how many there are, in words: ``20``, or ``3 to 23``; what has none is left out."""
    known = counts[counts > 0] if (counts > 0).any() else pd.Series([0])
    low, high = int(known.min()), int(known.max())
    return f"{low}" if low == high else f"{low} to {high}"


def unit_of(samples: pd.DataFrame) -> str:
    """Return what means and tests are over, in words: subjects, or images where there are none.

    Parameters
    ----------
    samples : DataFrame
        ``subject`` of each map (`truemap.data.samples.read`).
    """
    return "subjects" if has_subject(samples).any() else "images"


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
