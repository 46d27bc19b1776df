"""One sample's maps before and after attacks under which its prediction stays, with the measures under them.

As Figures 1 to 3 of Ghorbani, Abid & Zou 2019 have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE
from truemap.data.grid import Grid
from truemap.figures.backend import plt
from truemap.figures.slices import slices
from truemap.figures.style import MM, SMALL, WIDE, fitted, sheet, signed_bar
from truemap.figures.words import attack_words, in_words

BEFORE, AFTER = "before", "after"
#: Height of the words under a map, in inches; of a map at most; share of the width for the names of rows;
#: height of the colour bar, in inches.
WORDS, HIGHEST, NAMES, BAR = 0.42, 1.5, 0.14, 0.5
#: Measure -> what stands before its value, and after it.
MEASURES = {"spearman": ("ρ = ", ""), "top_k": ("top ", ""), "shift": ("", " mm")}
CRITERION = "informative"


def drawn_maps(
    measures: pd.DataFrame, examples: Iterable[pd.DataFrame], grid: Grid, truth: str, conditions: str
) -> pd.DataFrame:
    """Return what is drawn: a row a map, with the measures of what became of it.

    Parameters
    ----------
    measures : DataFrame
        Of `truemap.evaluation.attacked_maps.Fragile.tables`, with ``model, method, attack``.
    examples : iterable of DataFrame
        Of the same, one of each attack. One is held at a time: whole maps of many at 2 mm are gigabytes.
    truth, conditions : str
        Of the agreement.

    Returns
    -------
    DataFrame
        ``model, method, attack, role, label, predicted, epsilon, attacked, spearman, top_k, shift, r``, and
        ``picture``, the drawn slice of the map, whose sizes add up to 1, and ``place``, which slice that is, in words:
        the one in which the first map has most. `r` is the agreement of this map, before or after the attack. The first
        attack has the row of the map before.
    """
    examples = _pictured(examples, grid)
    first = examples["sample"].iloc[0]
    own = measures[(measures["sample"] == first) & (measures["epsilon"] == measures["epsilon"].max())]
    keys = ["model", "method", "attack"]
    told = own.drop_duplicates(keys)[[*keys, "label", "predicted", "epsilon", "attacked"]]
    for measure in MEASURES:
        told = told.merge(own.loc[own["measure"] == measure, [*keys, "value"]].rename(columns={"value": measure}))
    agreed = own[(own["truth"] == truth) & (own["conditions"] == conditions)]
    rows = examples.merge(told, on=keys, validate="many_to_one")
    rows = rows[(rows["role"] == AFTER) | ~rows.duplicated(["model", "method", "role"])]
    rows["r"] = [_agreement(agreed, row) for row in rows[[*keys, "role"]].itertuples(index=False)]
    return rows.drop(columns="sample").reset_index(drop=True)


def _pictured(examples: Iterable[pd.DataFrame], grid: Grid) -> pd.DataFrame:
    """Return examples with ``picture`` and ``place`` for ``map``."""
    leading, tables = None, []
    for table in examples:
        leading = table.loc[table["role"] == BEFORE, "map"].iloc[0] if leading is None else leading
        pictures, place = slices([_whole(values) for values in table["map"]], grid, leading)
        tables.append(table.drop(columns="map").assign(picture=[picture.copy() for picture in pictures], place=place))
    return pd.concat(tables)


def _agreement(agreed: pd.DataFrame, row: tuple[str, str, str, str]) -> float:
    model, method, attack, role = row
    own = agreed[(agreed["model"] == model) & (agreed["method"] == method) & (agreed["attack"] == attack)]
    values = own.loc[own["measure"].isin([f"{CRITERION}_{role}", f"{CRITERION}{ABSOLUTE}_{role}"]), "value"].dropna()
    return float(values.iloc[0]) if len(values) else np.nan


def before_after_figure(rows: pd.DataFrame, labels: Mapping[str, str], colormap: str) -> plt.Figure:
    """Return a row a network and way to explain: the map, then what each attack made of it.

    Sizes of each map add up to 1, as in the paper; maps of a row share their scale.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_maps`.
    labels : mapping
        Network -> its name.
    """
    cells = rows[["model", "method"]].drop_duplicates().itertuples(index=False, name=None)
    lines = {cell: rows[(rows["model"] == cell[0]) & (rows["method"] == cell[1])] for cell in cells}
    columns = 1 + int(max((line["role"] == AFTER).sum() for line in lines.values()))
    width = (1 - NAMES) * WIDE / MM / columns
    shape = rows["picture"].iloc[0].shape
    tall = min(width * shape[0] / shape[1], HIGHEST)
    figure = plt.figure(figsize=sheet(WIDE, len(lines) * (tall + WORDS) + BAR), layout="constrained")
    axes = figure.subplots(len(lines), columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, (line, (cell, own)) in enumerate(zip(axes, lines.items(), strict=True)):
        limit = max(np.abs(picture).max() for picture in own["picture"]) or 1.0
        own = own.sort_values("role", key=lambda roles: roles != BEFORE, kind="stable")
        for axis, (_, row) in zip(line, own.iterrows(), strict=False):
            axis.set_axis_on()
            axis.imshow(row["picture"], cmap=colormap, vmin=-limit, vmax=limit, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_gid(f"{cell[0]}-{cell[1]}-{row['attack'] if row['role'] == AFTER else BEFORE}")
            axis.set_xlabel(_words(row, width), fontsize=SMALL, labelpad=2)
            head = "before" if row["role"] == BEFORE else attack_words(row["attack"])
            if number == 0:
                axis.set_title(fitted(head, width), fontsize=SMALL)
        name = fitted(f"{labels[cell[0]]}, {in_words(cell[1])}", NAMES * WIDE / MM)
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=SMALL)
    signed_bar(figure, colormap, "row")
    return figure


def foot(rows: pd.DataFrame) -> str:
    """Return what is drawn, in words."""
    one = rows.iloc[0]
    words = one["place"]
    came = sorted({attack_words(name) for name in rows.loc[~rows["attacked"], "attack"]})
    back = f"; came back as it was in some row: {', '.join(came)}" if came else ""
    return (
        f"the first of the attacked test maps ({one['label']}), explained for the class that each network predicts, "
        f"before and after attacks of {one['epsilon']:g} sd under which the prediction stays{back}; sizes of each map "
        "add up to 1, maps of a row share their scale, rows do not; ρ: Spearman of sizes, top: share of the largest "
        "voxels that stay, mm: shift of the centre of mass, r: agreement with class-informative activation; "
        f"{words}{'; ' if words else ''}a changed map can be right: it is of another point"
    )


def _whole(values: np.ndarray) -> np.ndarray:
    """Return a map whose sizes add up to 1; one of zeros as it is."""
    values = np.asarray(values, dtype=np.float64)
    return values / (np.abs(values).sum() or 1.0)


def _words(row: pd.Series, width: float) -> str:
    r = "r –" if np.isnan(row["r"]) else f"r = {row['r']:.2f}"
    if row["role"] == BEFORE:
        return r
    if not row["attacked"]:
        return f"as it was\n{r}"
    told = [f"{a}{'–' if np.isnan(row[name]) else format(row[name], '.2g')}{b}" for name, (a, b) in MEASURES.items()]
    return f"{fitted(', '.join(told), width)}\n{r}"
