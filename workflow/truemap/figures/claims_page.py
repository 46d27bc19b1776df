"""Published claims and ours as a page."""

from __future__ import annotations

import pandas as pd

from truemap.figures.page import table_html


def claims_page(claims: pd.DataFrame) -> str:
    """Return the claims as one HTML page that needs nothing from outside."""
    counts = claims["verdict"].str.split(r"[:(]", regex=True).str[0].str.strip().value_counts()
    shown = claims.assign(a=_entry(claims, "a"), b=_entry(claims, "b"), claimed=claims["kind"] + " " + claims["value"])[
        ["dataset", "data", "criterion", "statement", "a", "b", "claimed", "ours", "test", "verdict", "source"]
    ]
    style = (
        "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
        "td,th{border:1px solid #ccc;padding:3px 7px;text-align:left;vertical-align:top}"
    )
    numbers = ", ".join(f"{name}: {count}" for name, count in counts.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>truemap: claims</title><style>{style}</style>'
        f"<h1>Published claims and what came out here</h1><p>{numbers}.</p>"
        "<p>A mean is reproduced if ours lies within the stated tolerance; an order if the difference has the same "
        "sign and the paired t-test, Bonferroni-corrected over all tests of its family, has p below the published "
        "level. A difference without variance is no test. A claim is tested on the data, the kinds of network and "
        "training and the methods that it is about (column about of config/published.tsv), whatever they are called; "
        "numbers of others, and of simulated data, are shown and never counted. On people and tasks other than the "
        "study's a claim is replicated, or not.</p>"
        "<p>These criteria alone do not tell a faithful explanation from a copy of the input or of the group average: "
        "each dataset's grid.html sets references that know nothing of a network beside the maps.</p>"
        f"{table_html(shown)}</html>\n"
    )


def _entry(claims: pd.DataFrame, side: str) -> pd.Series:
    return (claims[f"model_{side}"] + " " + claims[f"method_{side}"]).str.strip()
