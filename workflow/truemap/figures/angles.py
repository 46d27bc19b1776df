"""Histograms of angles between directions, beside random ones (as Figure 7 of Ghorbani, Abid & Zou 2019)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from truemap.evaluation.angle_summary import LARGEST
from truemap.evaluation.random_directions import KINDS, random_share
from truemap.figures.backend import plt
from truemap.figures.fragility import COLORS
from truemap.figures.palette import SOFT
from truemap.figures.style import MM, SMALL, WIDE, fitted, letter, sheet

#: Width of a bar, in degrees.
WIDTH = 5.0
#: What is on the axis of each panel.
WORDS = {
    KINDS[0]: "between the score's gradient and the direction that changes it most (degrees)",
    KINDS[1]: "between the gradients of loss and influence (degrees)",
}
#: Of angles of random directions; how several networks' lines are told apart beside their colours.
RANDOM, STYLES = "0.45", ("-", "--", "-.", ":")


def drawn_angles(table: pd.DataFrame) -> pd.DataFrame:
    """Return the histograms that `angles_figure` draws.

    Parameters
    ----------
    table : DataFrame
        ``model, kind, angle, dimension`` of each map (`truemap.evaluation.angles.angle_table`), of all seeds.

    Returns
    -------
    DataFrame
        ``kind, model, low, high, maps, count, share, random``: of `maps` with an angle the `count` that lie between
        `low` and `high` degrees, as a share, and the share of random directions of that dimension that lie there.
    """
    rows = []
    for kind, largest in LARGEST.items():
        edges = np.arange(0, largest + WIDTH, WIDTH)
        for model, own in table[table["kind"] == kind].groupby("model", sort=False):
            angles = own["angle"].dropna()
            counts = np.histogram(angles, edges)[0]
            random = np.diff(random_share(edges, int(own["dimension"].iloc[0]), largest > 90))
            for low, high, count, share in zip(edges[:-1], edges[1:], counts, random, strict=True):
                rows.append((kind, model, low, high, len(angles), count, count / max(len(angles), 1), share))
    return pd.DataFrame(rows, columns=["kind", "model", "low", "high", "maps", "count", "share", "random"])


def angles_figure(drawn: pd.DataFrame, labels: Mapping[str, str]) -> plt.Figure:
    """Return a panel a kind: the share of maps by angle, a line a network, and random directions in grey.

    Parameters
    ----------
    drawn : DataFrame
        Of `drawn_angles`.
    labels : mapping
        Network -> its name.
    """
    figure, axes = plt.subplots(1, len(KINDS), figsize=sheet(WIDE, 2.4), layout="constrained", squeeze=False)
    handles: dict[str, plt.Artist] = {}
    for axis, name, (kind, largest) in zip(axes[0], "ab", LARGEST.items(), strict=True):
        axis.set_gid(kind)
        own = drawn[drawn["kind"] == kind]
        for number, (model, bars) in enumerate(own.groupby("model", sort=False)):
            edges = [*bars["low"], bars["high"].iloc[-1]]
            if number == 0:
                look = {"color": RANDOM, "linewidth": 1.5, "linestyle": (0, (1, 1))}
                handles.setdefault("random directions", axis.stairs(bars["random"], edges, **look))
            if bars["maps"].iloc[0]:
                look = {"color": COLORS[number % len(COLORS)], "linestyle": STYLES[number // len(COLORS) % len(STYLES)]}
                handles[labels[model]] = axis.stairs(bars["share"], edges, linewidth=1, **look)
        if not own["maps"].any():
            axis.text(
                0.5, 0.5, "no map has an angle", ha="center", fontsize=SMALL, color=SOFT, transform=axis.transAxes
            )
        axis.set(xlim=(0, largest), ylim=(0, None), xticks=np.arange(0, largest + 1, largest / 6))
        axis.set_xlabel(fitted(WORDS[kind], 0.45 * WIDE / MM))
        axis.spines[["top", "right"]].set_visible(False)
        letter(axis, name)
    axes[0, 0].set_ylabel("share of maps")
    last = handles.pop("random directions", None)
    found = {**handles, **({} if last is None else {"random directions": last})}
    figure.legend(found.values(), found.keys(), frameon=False, loc="outside upper center", ncols=5)
    return figure


def foot(table: pd.DataFrame, drawn: pd.DataFrame) -> str:
    """Return what is drawn, in words: of how many maps, which have no angle, and how many searches converged."""
    saliency = table[(table["kind"] == KINDS[0]) & table["angle"].notna()]
    said = []
    for name, kind in zip("ab", KINDS, strict=True):
        own = drawn[drawn["kind"] == kind].drop_duplicates("model")
        counts = sorted({*own["maps"]})
        total, lacking = (table["kind"] == kind).sum(), (table["kind"] == kind).sum() - own["maps"].sum()
        maps = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        said.append(f"{name}: {maps} maps of each network{f'; {lacking} of {total} have no angle' if lacking else ''}")
    converged = f"the search of a converged for {int(saliency['converged'].sum())} of {len(saliency)}"
    sizes = sorted({*table["dimension"]})
    return (
        f"{'; '.join(said)}; {converged}; a: networks with softplus units, trained on; grey: all directions of "
        f"{' or '.join(f'{size}' for size in sizes)} voxels, of which any two are nearly at right angles"
    )
