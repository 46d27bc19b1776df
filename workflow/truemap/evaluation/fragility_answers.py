"""What attacks on maps came to, in sentences: what protects a map, and whether a protected map stays true."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ABSOLUTE, AFTER, BEFORE, LOSS, MOVED, NETWORK
from truemap.evaluation.fragility_pairs import oriented

COLUMNS = ["question", "model", "about", "answer", "sentence"]
PROTECTS = "does robust training protect the map?"
DECOYS = "do decoys protect it?"
TRUE = "does an attacked map stay true?"
RIGHT = "is an attacked map right about the network, at the attacked sample?"
LOSES = "what do fewer iterations lose?"
#: What every reader of these sentences has to know.
TRAP = (
    "An attacked map can be right: it is the network's sensitivity at another point, and where the network does "
    "something else there, the map should say so. That a map changed tells that it cannot be read as a property of the "
    "sample; whether it is wrong is told only by its agreement with what the network does with the attacked sample."
)
NOT_ASKED = (
    "What networks do with attacked maps was not asked for (fragility.moved): whether a changed map is right is open."
)
#: Measure -> its words and the sign of what protects, of decoys.
OF_DECOYS = {
    "sensitivity": ("S_s as printed is lower", -1),
    "sensitivity_equal": ("S_s of maps of equal sum is lower", -1),
    "spearman": ("Spearman's rho of the map before and after is higher", 1),
}
#: By which of these the answer about decoys goes: S_s as printed is lower of any map in smaller units.
FAIR = "sensitivity_equal"
#: What maps are of, of one network and truth: a case.
CELLS = ["method", "attack"]
YES, PARTLY, NO, OPEN = "yes", "in part", "no", "open"
Entry = tuple[str, str, str, str, str]


def fragility_answers(summary: pd.DataFrame, pairs: pd.DataFrame, asked: Mapping[str, Any]) -> pd.DataFrame:
    """Return one sentence a question and network, of the largest epsilon and all attacks that want something.

    Where a count of tests answers: ``yes`` is where at least half of them are significant (Bonferroni, as in `pairs`)
    and none the other way, ``no`` where none is, ``open`` where there is no test, ``in part`` all else. Agreement is
    lost where the 95 % interval of its loss is above 0, among the cases where it was above 0 by its own interval before
    the attack (what was not true cannot stay so): ``yes``, it stays true, where none is lost, ``no`` where at least
    half are, ``open`` where there is no such case.

    Parameters
    ----------
    summary, pairs : DataFrame
        Of `truemap.evaluation.fragility.fragility_summary` and `truemap.evaluation.fragility_pairs.fragility_pairs`.
    asked : mapping
        ``random`` (labels of attacks that are noise of random signs), ``standard`` (network and the one of standard
        training that it is compared with), ``decoys`` (label and that of the same way to explain without decoys),
        ``iterations`` (two attacks that differ in these, the longer first), ``truth`` and ``conditions`` that figures
        show, ``labels`` of networks.

    Returns
    -------
    DataFrame
        ``question, model, about, answer, sentence``; about is a criterion, the label of decoys, or an attack.
    """
    strongest = summary["epsilon"] == summary["epsilon"].max()
    aimed = summary[strongest & (summary["seed"] == "mean") & ~summary["attack"].isin(asked["random"])]
    chosen = (pairs["epsilon"] == pairs["epsilon"].max()) & ~pairs["attack_a"].isin(asked["random"])
    tests = pairs[chosen & ~pairs["attack_b"].isin(asked["random"])]
    rows = [
        *_protection(tests, asked),
        *_decoys(tests, asked),
        *_truth(aimed, tests, asked),
        *_right(aimed, asked),
        *_iterations(aimed, tests, asked),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def counted(tests: pd.DataFrame, sign: int = 1) -> tuple[int, int, int, str]:
    """Return how many differences are significant with this sign, against it, how many tests, and the answer."""
    tested = tests[tests["p"].notna()]
    way = np.sign(tested["difference"]) * sign * tested["significant"].astype(int)
    more, less = int((way > 0).sum()), int((way < 0).sum())
    if tested.empty:
        return 0, 0, 0, OPEN
    if not more:
        return more, less, len(tested), NO
    return more, less, len(tested), YES if 2 * more >= len(tested) and not less else PARTLY


def _protection(tests: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    of_maps, labels = tests[tests["measure"] == "spearman"], asked["labels"]
    for model, standard in asked["standard"]:
        found = oriented(of_maps, "model", model, standard)
        more, less, total, answer = counted(found)
        sentence = (
            f"{labels[model]}: attacked maps stay more like what they were than those of {labels[standard]} in {more} "
            f"of {total} tests (ways to explain × attacks), less in {less}; Spearman's rho differs by "
            f"{_mean(found['difference'], '+')} on average."
        )
        yield PROTECTS, model, "spearman", answer, sentence


def _decoys(tests: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    for decoy, inner in asked["decoys"]:
        of_both = oriented(tests, "method", decoy, inner)
        for model, found in of_both.groupby("model_a", sort=False):
            counts = {name: counted(found[found["measure"] == name], sign) for name, (_, sign) in OF_DECOYS.items()}
            said = [
                f"{words} than without in {counts[name][0]} of {counts[name][2]} attacks, "
                f"{'higher' if sign < 0 else 'lower'} in {counts[name][1]}"
                for name, (words, sign) in OF_DECOYS.items()
            ]
            yield DECOYS, str(model), decoy, counts[FAIR][3], f"{asked['labels'][model]}: {'; '.join(said)}."


def _truth(aimed: pd.DataFrame, tests: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    standard, labels = dict(asked["standard"]), asked["labels"]
    shown, tests = (
        table[(table["truth"] == asked["truth"]) & (table["conditions"] == asked["conditions"])]
        for table in (aimed, tests)
    )
    for criterion in ("informative", "pairwise"):
        sizes = sizes_alone(shown, criterion)
        after = _own(tests, criterion, sizes)
        after = after[after["measure"] == criterion + AFTER]
        for model, rows in _own(shown, criterion, sizes).groupby("model", sort=False):
            lost, total, answer = _lost(rows, criterion)
            sentence = (
                f"{labels[model]}: {criterion} agreement goes from {_of(rows, criterion + BEFORE)} to "
                f"{_of(rows, criterion + AFTER)} under attack; of {total} cases (ways to explain × attacks) "
                f"in which it was above 0 before, it falls in {lost}."
            )
            if model in standard:
                more, less, compared, _ = counted(oriented(after, "model", str(model), standard[model]))
                sentence += (
                    f" Attacked maps agree better than those of {labels[standard[model]]}, attacked alike, in {more} "
                    f"of {compared} tests, worse in {less}."
                )
            yield TRUE, str(model), criterion, answer, sentence


def _right(aimed: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    aimed = aimed[aimed["conditions"] == asked["conditions"]]
    aimed = _own(aimed, NETWORK, sizes_alone(aimed, NETWORK))
    moved, still = (aimed[aimed["truth"] == truth] for truth in (MOVED, NETWORK))
    if moved.empty:
        yield RIGHT, "", NETWORK, OPEN, NOT_ASKED
    for model, rows in moved.groupby("model", sort=False):
        lost, total, answer = _lost(rows, NETWORK)
        as_it_was = _of(still[still["model"] == model], NETWORK + AFTER)
        sentence = (
            f"{asked['labels'][model]}: maps agree with what the network does by r = {_of(rows, NETWORK + BEFORE)}; "
            f"attacked, by {as_it_was} with what it does with the sample as it was, and "
            f"by {_of(rows, NETWORK + AFTER)} with what it does with the attacked sample, which they explain: "
            f"less than before in {lost} of {total} cases in which it was above 0."
        )
        yield RIGHT, str(model), NETWORK, answer, sentence


def _iterations(aimed: pd.DataFrame, tests: pd.DataFrame, asked: Mapping[str, Any]) -> Iterator[Entry]:
    of_maps = tests[tests["measure"] == "spearman"]
    for longer, shorter in asked["iterations"]:
        more, _, total, _ = counted(oriented(of_maps, "attack", longer, shorter), -1)
        rho, gain = (
            [_of(aimed[aimed["attack"] == attack], measure) for attack in (longer, shorter)]
            for measure in ("spearman", "gain")
        )
        sentence = (
            f"{longer} beside {shorter}: Spearman's rho {rho[0]} and {rho[1]} (lower by more iterations in {more} of "
            f"{total} tests), what the attack wants has risen by {gain[0]} and {gain[1]}."
        )
        yield LOSES, "", shorter, "", sentence


def sizes_alone(summary: pd.DataFrame, criterion: str) -> set[str]:
    """Return the ways to explain that a criterion has to compare by sizes: their maps have no signs to agree.

    With the data's truth by sizes are compared those alone. With the network all are, and these by nothing else.
    """
    after = summary[summary["mean"].notna()].groupby("measure")["method"].agg(set)
    signed, sizes = (after.get(name + AFTER, set()) for name in (criterion, criterion + ABSOLUTE))
    return sizes - signed if criterion == NETWORK else sizes


def _own(table: pd.DataFrame, criterion: str, sizes: Collection[str]) -> pd.DataFrame:
    """Return a criterion's rows, of `sizes` by sizes, under the names of the criterion itself."""
    methods = table["method" if "method" in table else "method_a"]
    by_sizes = table["measure"].str.startswith(criterion + ABSOLUTE)
    rows = table[table["measure"].str.startswith(criterion + "_") & (by_sizes == methods.isin(sizes))]
    return rows.assign(measure=rows["measure"].str.replace(criterion + ABSOLUTE, criterion))


def _lost(rows: pd.DataFrame, criterion: str) -> tuple[int, int, str]:
    """Return in how many cells agreement is lost, of how many where it was there, and whether maps stay true."""
    ends = {m: rows[rows["measure"] == criterion + m].set_index(CELLS)["ci_low"] for m in (BEFORE, LOSS)}
    there = ends[BEFORE].index[ends[BEFORE] > 0]
    loss = ends[LOSS].reindex(there).dropna()
    lost, total = int((loss > 0).sum()), len(loss)
    return lost, total, OPEN if not total else YES if not lost else NO if 2 * lost >= total else PARTLY


def _of(rows: pd.DataFrame, measure: str) -> str:
    return _mean(rows.loc[rows["measure"] == measure, "mean"])


def _mean(values: pd.Series, sign: str = "") -> str:
    found = values.dropna()
    return f"{found.mean():{sign}.3g}" if len(found) else "no value"
