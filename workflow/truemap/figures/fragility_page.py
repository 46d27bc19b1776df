"""What attacks on maps came to, in words: the page beside the figures of `truemap.figures.fragility`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from truemap.evaluation.dimension import QUESTION
from truemap.evaluation.fragility_answers import DECOYS, LOSES, PROTECTS, RIGHT, TRAP, TRUE
from truemap.figures.fragility import PANELS
from truemap.figures.page import page, table_html
from truemap.figures.words import attack_words, in_words

#: Question -> what a reader needs to know of its answers, and what is said where there are none.
QUESTIONS = {
    PROTECTS: (
        "Paired tests over subjects, or images. A network that hardly bends has maps that hardly move, and may be a "
        "poorer decoder: its accuracy stands in statistics/summary.tsv.",
        "There is no network of standard training beside another one of the same kind.",
    ),
    DECOYS: (
        "S_s as printed falls where maps are in smaller units, and a decoy's map is a range of values: the answer goes "
        "by maps whose sizes add up to 1.",
        "No decoys were attacked beside the way to explain that they are made of.",
    ),
    TRUE: (
        "With the data's truth, of the class that the network predicts. A map may stay what it was and be false, or "
        "change and be no less true.",
        "Nothing was compared with the data's truth.",
    ),
    RIGHT: (TRAP, ""),
    LOSES: ("", "One number of iterations was tried."),
    QUESTION: (
        "The same subjects, the same kind of network and noise of the same size a voxel, in two numbers of voxels.",
        "No dataset with the same subjects in fewer voxels is named (fragility.coarser).",
    ),
}


def fragility_page(answers: pd.DataFrame, rows: pd.DataFrame, done: Mapping[str, Any], dataset: str, data: str) -> str:
    """Return the answers of a dataset as one HTML page.

    Parameters
    ----------
    answers : DataFrame
        Of `truemap.evaluation.fragility_answers.fragility_answers`.
    rows : DataFrame
        Of `truemap.figures.fragility.drawn_fragility`.
    done : mapping
        What of the config says how much was done: ``attacks, epsilon, maps, ways, seeds``.
    dataset, data : str
        The dataset's name, and what its data are called.
    """
    body = "".join(_question(answers, *entry) for entry in QUESTIONS.items())
    named = {"method": rows["method"].map(in_words), "attack": rows["attack"].map(attack_words)}
    numbers = rows.drop(columns=["reason"]).assign(**named)
    drawn = {**PANELS, "maps": "one map before and after each attack"}
    links = ", ".join(f'<a href="fragility-{name}.png">{escape(words)}</a>' for name, words in drawn.items())
    body += (
        f"<h2>Figures</h2><p>{links}.</p>"
        "<h2>Numbers</h2><p>Means over subjects with 95 % intervals; every test stands in "
        "statistics/fragility_pairs.tsv.</p>"
        f"{table_html(numbers, na_rep='', float_format='{:.3g}'.format)}"
        f"<h2>How much was done</h2><p>What was reduced for the time stands here.</p>{_list(_done(done))}"
    )
    return page(f"{dataset}: attacked maps ({data})", body, dataset, depth=2)


def _question(answers: pd.DataFrame, question: str, words: tuple[str, str]) -> str:
    own = answers[answers["question"] == question]
    said = [
        f"{answer}: {text}" if answer else text for answer, text in zip(own["answer"], own["sentence"], strict=True)
    ]
    head = f"<h2>{escape(question[0].upper() + question[1:])}</h2>"
    return f"{head}{f'<p>{escape(words[0])}</p>' if words[0] else ''}{_list(said or [words[1]])}"


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in sentences)}</ul>"


def _done(done: Mapping[str, Any]) -> list[str]:
    return [
        f"maps: {'all that were explained' if done['maps'] is None else done['maps']} of each network, way to explain "
        "and attack",
        f"epsilon: {', '.join(f'{epsilon:g}' for epsilon in done['epsilon'])} ({done['unit']})",
        *(f"attack {label}: {_options(options)}" for label, options in done["attacks"].items()),
        *(f"explained by {label}: {_options(options)}" for label, options in done["ways"].items()),
        *(f"{model}: {seeds} {'training' if seeds == 1 else 'trainings'}" for model, seeds in done["seeds"].items()),
    ]


def _options(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in options.items() if value is not None)
