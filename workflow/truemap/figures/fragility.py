"""How far maps can be changed, against the size of the noise (as Figure 4 of Ghorbani, Abid & Zou 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from truemap.config.names import ABSOLUTE, AFTER, BEFORE
from truemap.evaluation.fragility_answers import sizes_alone
from truemap.figures.backend import plt
from truemap.figures.palette import SOFT
from truemap.figures.style import NARROW, SMALL, USUAL, WIDE, columns_of, fitted, sheet
from truemap.figures.words import attack_words, in_words

#: Panel -> what is on its axis. Of `truth` the measure is that of the criterion which a way to explain has.
PANELS = {
    "spearman": "Spearman's rho of sizes, before and after",
    "top_k": "share of the k largest voxels that stay so",
    "shift": "shift of the centre of mass (mm)",
    "truth": "r of the attacked map with the data's truth",
}
CRITERION = "informative"
#: Of attacks in turn; noise of random signs is grey.
COLORS = ("#4477aa", "#ee6677", "#228833", "#aa3377", "#ccbb44", "#66ccee")
MARKERS = "osD^vP"
RANDOM = "0.45"
#: By what factor of epsilon series of one epsilon stand apart.
APART = 1.03
#: Inches of a row of panels.
HIGH = 1.1
SHOWN = ["epsilon", "model", "method", "attack", "n", "maps", "unattacked", "mean", "ci_low", "ci_high", "reason"]


def drawn_fragility(summary: pd.DataFrame, truth: str, conditions: str) -> pd.DataFrame:
    """Return the rows that `fragility_figure` draws: ``panel, measure, …``, over seeds.

    Parameters
    ----------
    summary : DataFrame
        Of `truemap.evaluation.fragility.fragility_summary`.
    truth, conditions : str
        That figures show. Maps without signs have none to agree with: theirs is the agreement of sizes.
    """
    means = summary[summary["seed"] == "mean"]
    parts = [means[(means["measure"] == panel) & (means["truth"] == "")].assign(panel=panel) for panel in PANELS]
    agreed = means[(means["truth"] == truth) & (means["conditions"] == conditions)]
    sizes = sizes_alone(agreed, CRITERION)
    for method, rows in agreed.groupby("method", sort=False):
        criterion = CRITERION + ABSOLUTE if method in sizes else CRITERION
        parts.append(rows[rows["measure"].isin([criterion + AFTER, criterion + BEFORE])].assign(panel="truth"))
    return pd.concat(parts, ignore_index=True)[["panel", "measure", *SHOWN]]


def fragility_figure(
    rows: pd.DataFrame, panel: str, labels: Mapping[str, str], random: Sequence[str], unit: str
) -> plt.Figure:
    """Return one row a network and one column a way to explain: a measure against epsilon, a line an attack.

    Parameters
    ----------
    rows : DataFrame
        Of `drawn_fragility`.
    panel : str
        One of `PANELS`.
    labels : mapping
        Network -> its name.
    random : sequence of str
        Attacks that are noise of random signs.
    unit : str
        What epsilon is in.
    """
    rows = rows[rows["panel"] == panel]
    models, methods, attacks = (list(dict.fromkeys(rows[name])) for name in ("model", "method", "attack"))
    width, few = max(len(methods), 1), len(methods) < 3
    figure, axes = plt.subplots(
        max(len(models), 1), width, figsize=sheet(NARROW if few else WIDE, HIGH * max(len(models), 1) + 1.0),
        squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    looks = _looks(attacks, random)
    for line, model in zip(axes, models, strict=False):
        for axis, method in zip(line, methods, strict=False):
            own = rows[(rows["model"] == model) & (rows["method"] == method)]
            axis.set_gid(f"{model}/{method}")
            _panel(axis, own, looks)
        line[0].set_ylabel(fitted(labels[model], 1.0))
    for axis, method in zip(axes[0], methods, strict=False):
        sizes = rows.loc[rows["method"] == method, "measure"].str.contains(ABSOLUTE).any()
        name = f"{in_words(method)} (sizes)" if sizes else in_words(method)
        axis.set_title(fitted(name, 0.85 * figure.get_figwidth() / width, USUAL))
    _finish(figure, axes, rows, unit, PANELS[panel])
    return figure


def beside(epsilons: pd.Series, turn: int, count: int) -> pd.Series:
    """Return where the `turn`-th of so many series stands on a log axis: none hides the whiskers of another."""
    return epsilons * APART ** (turn - (count - 1) / 2)


def foot(rows: pd.DataFrame, panel: str) -> str:
    """Return of how many subjects values are, what whiskers are, and how many maps came back as they were."""
    rows = rows[(rows["panel"] == panel) & ~rows["measure"].str.endswith(BEFORE)]
    known = rows[rows["mean"].notna()]
    counts = sorted({*known["n"].astype(int)})
    n = "0" if not counts else f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    maps, back = int(rows["maps"].sum()), int(rows["unattacked"].sum())
    return (
        f"n = {n} subjects (or images); whiskers: 95 % interval of the mean over them (Student's t); {back} of {maps} "
        "attacks found no noise that leaves the prediction, and these maps count as they were"
    )


def _looks(attacks: Sequence[str], random: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return how each attack's line looks."""
    looks, turn = {}, 0
    for attack in attacks:
        if attack in random:
            looks[attack] = {"color": RANDOM, "marker": "x", "linestyle": ":"}
        else:
            color, marker = COLORS[turn % len(COLORS)], MARKERS[turn // len(COLORS) % len(MARKERS)]
            looks[attack], turn = {"color": color, "marker": marker, "linestyle": "-"}, turn + 1
    return looks


def _panel(axis: plt.Axes, own: pd.DataFrame, looks: Mapping[str, Mapping[str, Any]]) -> None:
    before = own[own["measure"].str.endswith(BEFORE)]["mean"].dropna()
    if len(before):
        axis.axhline(before.mean(), color="0.2", linewidth=0.8, linestyle="--", label="before the attack")
    after = own[~own["measure"].str.endswith(BEFORE)]
    for turn, (attack, look) in enumerate(looks.items()):
        points = after[after["attack"] == attack].sort_values("epsilon")
        ends = [(points["mean"] - points["ci_low"]).fillna(0), (points["ci_high"] - points["mean"]).fillna(0)]
        axis.errorbar(
            beside(points["epsilon"], turn, len(looks)), points["mean"], yerr=ends, markersize=3, linewidth=1,
            capsize=1.5, label=attack, **look,
        )  # fmt: skip
    if after["mean"].isna().all():
        axis.text(0.5, 0.5, "no value", ha="center", fontsize=SMALL, color=SOFT, transform=axis.transAxes)


def _finish(figure: plt.Figure, axes: Any, rows: pd.DataFrame, unit: str, words: str) -> None:
    bounds = sorted({*rows["epsilon"]})
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        if bounds:
            axis.set_xscale("log")
            axis.margins(x=0.15)
            axis.set_xticks(bounds, [f"{bound:g}" for bound in bounds])
            axis.set_xticks([], minor=True)
    # Once, in the middle: below each of nine columns it would be wider than the column.
    middle, odd = divmod(len(axes[-1]), 2)
    axes[-1][middle].set_xlabel(f"ε, {unit}", x=0.5 if odd else 0.0)
    figure.supylabel(fitted(words, HIGH * len(axes) + 0.2, USUAL), fontsize=USUAL)
    found = {
        label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    if found:
        names = [attack_words(name) for name in found]
        columns = columns_of(names, figure.get_figwidth())
        figure.legend(found.values(), names, frameon=False, loc="outside upper center", ncols=columns)
