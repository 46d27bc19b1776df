"""What measures say and what is true, in words: the page beside the figures of `truemap.figures.prediction`."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from truemap.evaluation.ranks import DRAWS
from truemap.figures.page import page, table_html

NO_REGIONS = "What the networks do was not asked for: <code>regions</code> of the dataset does."


def prediction_page(
    answers: pd.DataFrame, truths: pd.DataFrame, anchors: pd.DataFrame, done: Mapping[str, Any], dataset: str, data: str
) -> str:
    """Return the answers of a dataset as one HTML page.

    Parameters
    ----------
    answers, anchors : DataFrame
        Of `truemap.evaluation.prediction`.
    truths : DataFrame
        Of `truemap.evaluation.two_truths`.
    done : mapping
        What of the config says how much was done.
    dataset, data : str
        The dataset's name, and what its data are called.
    """
    of_networks, of_maps = truths[truths["method"] == ""], truths[truths["method"] != ""]
    wrong = of_maps[of_maps["agrees"] == "no"]
    numbers = of_maps.drop(columns=["dataset", "data", "sentence"], errors="ignore")
    shares = anchors.pivot_table(index="anchor", columns="measure", values="better_than", sort=False)
    body = (
        "<h2>Does a network use what is true of the data?</h2><p>The data's truth, taken as weights, beside the "
        "Shapley values of the network's regions: a network that used nothing else would have r = 1.</p>"
        f"{_list(of_networks['sentence'], NO_REGIONS)}"
        "<h2>Which maps are wrong about their network?</h2><p>Those whose mean agreement with what the network does is "
        "not above 0 by its interval, however well they agree with the data. r is over regions: within these nothing "
        f"is known.</p>{_list(wrong['sentence'], 'None.' if len(of_maps) else NO_REGIONS)}"
        f"{table_html(numbers, na_rep='', float_format='{:.3f}'.format) if len(of_maps) else ''}"
        "<h2>Which measure predicts which truth?</h2><p>A measure fails that does not order a truth that is degraded "
        f"in known steps.</p>{_list(answers['sentence'], 'No measure has values.')}"
        "<h2>Which known maps are called better than ways to explain?</h2><p>The share of a model's ways to explain "
        "that the measure calls worse than the anchor, mean over models and subjects (1: all are worse). A measure "
        "that prefers noise, edges or an untrained network's map to explanations rewards something else than truth. "
        "Empty where a measure asks for what the map is not made from.</p>"
        f"{table_html(shares.reset_index(), na_rep='', float_format='{:.2f}'.format)}"
        "<h2>How much was done</h2><p>What was reduced for the time stands here, and what was not; intervals and p "
        f"have {DRAWS} draws.</p>{_done(done)}"
    )
    return page(f"{dataset}: what measures say, and what is true ({data})", body, dataset, depth=2)


def _list(sentences: pd.Series, none: str) -> str:
    return (
        f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in sentences)}</ul>" if len(sentences) else f"<p>{none}</p>"
    )


def _done(done: Mapping[str, Any]) -> str:
    every = {
        "explained": "test maps of each subject and class (of each class without subjects) that are explained",
        "measured": "of these, maps that each metric measures",
    }
    lines = [f"{key}: {'all' if done[key] is None else done[key]} ({words})" for key, words in every.items()]
    for label, options in done["metrics"].items():
        chosen = ", ".join(f"{key} {value}" for key, value in options.items() if key != "name")
        lines.append(f"{label}: {chosen or 'no options'}")
    for model, seeds in done["trainings"].items():
        lines.append(
            f"{model}: {seeds} {'training' if seeds == 1 else 'trainings'}; its anchors are measured by the first"
        )
    return _list(pd.Series(lines), "")
