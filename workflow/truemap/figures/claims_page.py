"""Published claims and ours as a page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd

from truemap.evaluation.claims import NOT_RUN, SEPARATOR
from truemap.figures.page import page, table_html
from truemap.figures.wording import PLACES, criterion_words, kind_of, words

#: Columns of the table, what a reader asks for first.
COLUMNS = ["verdict", "statement", "ours", "test", "claimed", "dataset", "data", "criterion", "a", "b", "source"]


def claims_page(claims: pd.DataFrame, outdated: Sequence[str] = ()) -> str:
    """Return the claims as one HTML page that needs nothing from outside; it names the files that are left out.

    What did not come out stands first, what was not run last.
    """
    places = [(verdict == NOT_RUN, PLACES.index(kind_of(verdict))) for verdict in claims["verdict"]]
    claims = claims.iloc[sorted(range(len(claims)), key=places.__getitem__)]
    counts = claims["verdict"].str.split(r"[:(]", regex=True).str[0].str.strip().value_counts(sort=False)
    shown = claims.assign(
        a=_entry(claims, "a"), b=_entry(claims, "b"), claimed=claims["kind"] + " " + claims["value"],
        criterion=claims["criterion"].map(criterion_words),
    )[COLUMNS]  # fmt: skip
    numbers = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return page(
        "Published claims and what came out here",
        f"<p>{numbers}.</p>"
        "<p>A mean is reproduced if ours lies within the stated tolerance; an order if the difference has the same "
        "sign and the paired t-test, Bonferroni-corrected over all tests of its family, has p below the published "
        "level; else the verdict says whether the opposite came out as clearly, or neither, which says nothing "
        "against the order. "
        "That two differ by a tolerance at most (equivalent) holds where the interval of two one-sided tests "
        "lies within it, does not where all of that lies beyond, and is open else. A difference without variance is no "
        "test. A claim is tested on the data, the kinds of network and "
        "training and the methods that it is about (column about of config/published.tsv), whatever they are called; "
        "numbers of others, and of simulated data, are shown and never counted. On people and tasks other than the "
        "study's a claim is replicated, or not. Claims of other studies are about methods, whatever the "
        "data: they hold on these, simulated ones too, or do not; where no number here can decide, the verdict says "
        "why. Claims of datasets that another config runs are shown as that left them.</p>"
        "<p>A verdict rests on test subjects (images, where there are none) of the networks trained here, as "
        "the study's do: where the test names no trainings, of one or two each, and it says nothing about another "
        "one. Where a model has three seeds or more, the verdict is of their mean, and the test says beside it what "
        "subjects and trainings, both taken as samples, tell.</p>"
        f"{_left_out(outdated)}"
        "<p>These criteria alone do not tell a faithful explanation from a copy of the input or of the group average: "
        "each dataset's grid.html sets references that know nothing of a network beside the maps.</p>"
        "<p>a and b are what the claim sets against each other: a model, and how it is explained.</p>"
        f"{table_html(shown, classes='claims')}{_configurations(claims)}",
    )


def _left_out(outdated: Sequence[str]) -> str:
    names = ", ".join(map(escape, outdated))
    words = "Left out, as they are older than what they were judged by (run their configs again)"
    return f"<p><b>{words}: {names}.</b></p>" if names else ""


def _configurations(claims: pd.DataFrame) -> str:
    """Return what each dataset was: all settings that claims were tested with, each once."""
    tested = claims[claims["configuration"] != ""].groupby("dataset", sort=False)["configuration"]
    parts = []
    for name, configurations in tested:
        settings = dict.fromkeys(SEPARATOR.join(configurations).split(SEPARATOR))
        parts.append(f"<h3>{escape(str(name))}</h3><p>{'<br>'.join(map(escape, settings))}</p>")
    return f"<details><summary>The configurations that they were tested with</summary>{''.join(parts)}</details>"


def _entry(claims: pd.DataFrame, side: str) -> pd.Series:
    return (claims[f"model_{side}"] + " " + claims[f"method_{side}"].map(words)).str.strip()
