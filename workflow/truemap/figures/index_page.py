"""The first page: what came out on which data, of all datasets, with what leads on from each number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from truemap.evaluation.claims import NOT_RUN, SIMULATED
from truemap.figures.index_answer import answer_words, in_short, what_was_run
from truemap.figures.index_dataset import dataset_sections
from truemap.figures.page import Html, html, joined, page
from truemap.figures.viewer import template
from truemap.figures.wording import PLACES, criterion_words, kind_of, listed, plural
from truemap.figures.words import WORDS

#: Claims that are shown at once; more are unfolded.
SHOWN = 12
TITLES = {"fails": "Did not come out", "holds": "Came out", "open": "Could not be tested on these data"}


def index_page(
    told: Sequence[Mapping[str, Any]],
    claims: pd.DataFrame,
    times: Mapping[str, pd.DataFrame],
    outdated: Sequence[str],
    citation: str,
) -> str:
    """Return the first page.

    Parameters
    ----------
    told : sequence of mapping
        What scripts/digest.py wrote of each dataset.
    claims : DataFrame
        Of `truemap.evaluation.claims.gathered`.
    times : mapping
        Dataset -> table of `truemap.figures.resources.resource_table`, where there is one.
    outdated : sequence of str
        Files that are left out, as they are older than what they were made from.
    citation : str
        CITATION.cff.
    """
    body = joined(
        [
            _banner(told),
            _left_out(outdated),
            html("<p>{}</p>\n", joined(map(in_short, told), " ")),
            html('<h2 id="answer">The answer</h2>\n{}', joined(map(answer_words, told))),
            html('<h2 id="run">What was run, on what</h2>\n{}', joined(map(what_was_run, told))),
            _claims(claims),
            *(dataset_sections(one, times.get(one["dataset"])) for one in told),
            _again(told, citation),
        ]
    )
    links = [("#answer", "Answer"), ("#run", "What was run"), ("#claims", "Claims")]
    links += [(f"#{one['dataset']}", one["dataset"]) for one in told]
    links += [("#again", "Run it again"), ("claims.html", "All claims")]
    brains = any(one["viewer"] and not one["viewer"]["image"] for one in told)
    data = (
        {"names": WORDS}
        | {f"data-{one['dataset']}": _data(one) for one in told}
        | ({"template": template()} if brains else {})
    )
    return page(
        "truemap: how true are the saliency maps?", body, data=data, scripts=("index.js", "viewer.js"), links=links
    )


def _data(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page's script reads of a dataset."""
    return {key: told[key] for key in ("dataset", "entries", "grid", "viewer", "truth", "group", "classes", "seeds")}


def _banner(told: Sequence[Mapping[str, Any]]) -> Html:
    kinds = [(one["dataset"], one["data"]) for one in told]
    simulated = [html("{} ({})", name, data) for name, data in kinds if SIMULATED in data]
    if not simulated:
        return Html("")
    return html('<p class="banner" role="note">Not measured on people: {}.</p>\n', listed(simulated))


def _left_out(outdated: Sequence[str]) -> Html:
    if not outdated:
        return Html("")
    words = "Left out, as they are older than what they were made from (run their configs again)"
    return html('<p class="banner">{}: {}.</p>\n', words, ", ".join(outdated))


# Claims


def _claims(claims: pd.DataFrame) -> Html:
    run = claims[claims["verdict"] != NOT_RUN]
    kinds = run["verdict"].map(kind_of)
    chips = [_count(kind, (kinds == kind).sum()) for kind in PLACES]
    parts = [_folded(kind, run[kinds == kind].to_dict("records")) for kind in PLACES]
    others = claims[claims["verdict"] == NOT_RUN].to_dict("records")
    told = Counter((_datasets(row), row["statement"], row["source"]) for row in others)
    form = '<li>{}: {} <span class="soft">({})</span>{}</li>\n'
    names = joined(html(form, *said, f" × {count}" if count > 1 else "") for said, count in told.items())
    unrun = html("<details><summary>Not run here: {}</summary>\n<ul>\n{}</ul>\n</details>\n", len(others), names)
    return html(
        '<h2 id="claims">Published claims, and what came out</h2>\n<p>Each with the published value, ours and its '
        'test; '
        '<a href="claims.html">all of them as one table</a>, with how a verdict is reached.</p>\n'
        '<ul class="chips counts" aria-label="Counts">\n{}</ul>\n{}{}',
        joined(chips), joined(parts), unrun if others else "",
    )  # fmt: skip


def _count(kind: str, count: int) -> Html:
    form = '<li class="{kind}"><span class="chip {kind}">{}: {}</span></li>\n'
    return html(form, TITLES[kind], count, kind=kind)


def _folded(kind: str, rows: Sequence[Mapping[str, str]]) -> Html:
    """Return claims that can be unfolded; those that failed are."""
    if not rows:
        return Html("")
    listing = _listing(rows[:SHOWN], kind)
    if len(rows) > SHOWN:
        form = "{}<details><summary>{} more</summary>\n{}</details>\n"
        listing = html(form, listing, len(rows) - SHOWN, _listing(rows[SHOWN:], kind))
    form = "<details{}><summary>{}: {}</summary>\n{}</details>\n"
    return html(form, Html(" open" if kind == "fails" else ""), TITLES[kind], len(rows), listing)


def _listing(rows: Sequence[Mapping[str, str]], kind: str) -> Html:
    return html('<ul class="chips">\n{}</ul>\n', joined(_claim(row, kind) for row in rows))


def _claim(row: Mapping[str, str], kind: str) -> Html:
    published = {
        "value": f"published {row['value']}",
        "below": f"published: below {row['value']}",
        "greater": "published: the first is greater",
        "untestable": "",
    }
    claimed = published.get(row["kind"], f"published: {row['kind'].replace('_', ' ')}")
    found = [claimed, f"ours {row['ours']}" if row["ours"] else "", row["test"]]
    numbers = "; ".join(part for part in found if part)
    return html(
        '<li class="{kind}"><span class="chip">{}</span> <b>{}</b>, {}: {} <span class="soft">({})</span>{}{}</li>\n',
        row["verdict"], _datasets(row), criterion_words(row["criterion"]), row["statement"], row["source"],
        Html("<br>" if numbers else ""), numbers, kind=kind,
    )  # fmt: skip


def _datasets(row: Mapping[str, str]) -> Html:
    """Return the datasets that a claim can be tested on, in words."""
    return listed(row["dataset"].split(), "or")


# The end


def _again(told: Sequence[Mapping[str, Any]], citation: str) -> Html:
    versions: dict[str, set[str]] = {}
    for one in told:
        for name, version in one["versions"].items():
            versions.setdefault(name, set()).add(version)
    said = [f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items())]
    return html(
        '<h2 id="again">Run it again</h2>\n<p>In the folder of the clone; a second call makes again only what a '
        'change has '
        "made stale, this page too:</p>\n<pre><code>make run\n.venv/bin/snakemake --cores 8 --resources gpu=1 "
        "--configfile "
        "config/grid.yaml\n.venv/bin/snakemake --dry-run</code></pre>\n<p>{} stand in this folder with the record of "
        "what "
        "they were made from. Trained with {}.</p>\n<h3>Cite</h3>\n<details><summary>CITATION.cff</summary>\n"
        "<pre>{}</pre></details>\n",
        plural(len(told), "dataset"), listed(said) if said else "no network of its own", citation,
    )  # fmt: skip
