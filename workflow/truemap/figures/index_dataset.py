"""A dataset's sections of the first page: each appears where what it shows stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from truemap.evaluation import influence, random_directions
from truemap.figures.message import message_figure
from truemap.figures.page import Html, html, joined, table_html
from truemap.figures.wording import CRITERIA, number, plural, words

#: Widest picture that stands beside another one, in points as printed.
BESIDE = 300
#: Pixels of a page to a printed point, at which the smallest letters (6 pt) can be read; where a screen has fewer, a
#: picture is moved below it.
READ = 1.75


def dataset_sections(told: Mapping[str, Any], times: pd.DataFrame | None = None) -> Html:
    """Return all sections of a dataset; `times` is of `truemap.figures.resources.resource_table`."""
    name = told["dataset"]
    sections = (_message, _figures, _grid, _maps, _measures, _fragility, _influence, _angles, _shares, _quality)
    return html(
        '<section id="{name}" aria-label="{name}">\n<h2>{name} <span '
        'class="soft">({data})</span></h2>\n{}{}</section>\n',
        joined(section(told) for section in sections),
        _times(times),
        name=name,
        data=told["data"],
    )


def _message(told: Mapping[str, Any]) -> Html:
    parts = [
        (CRITERIA[name], message_figure(told["grid"], told["entries"], name)) for name in ("informative", "pairwise")
    ]
    drawn = [html("<h4>{}</h4>\n{}", title.capitalize(), figure) for title, figure in parts if figure]
    if not drawn:
        return Html("")
    return html(
        "<h3>What agreement can tell, and what not</h3>\n<p>A map that knows nothing of the network (the input "
        "itself, the "
        "mean truth of the training subjects) agrees with the truth too. Where it agrees better than a network's map, "
        "agreement does not show that the map explains the network. Against the truth that is made without the map "
        "explained, a copy of the input has nothing to gain from being part of it.</p>\n{}",
        joined(drawn),
    )


def _figures(told: Mapping[str, Any]) -> Html:
    rest = [
        one
        for one in told["pictures"]
        if not one["name"].startswith(("grid", "prediction", "strength", "fragility", "influence", "angles"))
    ]
    return html("<h3>Figures of the paper</h3>\n{}", _pictures(rest)) if rest else Html("")


def _pictures(found: Sequence[Mapping[str, Any]]) -> Html:
    """Return pictures, those that are not wide side by side."""
    narrow = joined(_picture(one) for one in found if one["points"] <= BESIDE)
    rest = joined(_picture(one) for one in found if one["points"] > BESIDE)
    return html('<div class="pair">\n{}</div>\n{}', narrow, rest) if narrow else rest


def _picture(one: Mapping[str, Any]) -> Html:
    """Return a figure that leads to its file."""
    links = joined((html('<a href="{}">{}</a>', path, path.rsplit(".", 1)[-1].upper()) for path in one["files"]), ", ")
    shown = {key: one[key] for key in ("source", "alt", "width", "height")}
    return html(
        '<figure><div class="moved"><a href="{}"><img src="{source}" alt="{alt}" width="{width}" height="{height}" '
        'style="min-width: {least}px"></a></div>\n<figcaption>{alt} {}</figcaption></figure>\n',
        next((path for path in one["files"] if path.endswith(".png")), "#"), links,
        least=min(round(READ * one["points"]), one["width"]), **shown,
    )  # fmt: skip


def _grid(told: Mapping[str, Any]) -> Html:
    if not told["grid"]:
        return Html("")
    name = told["dataset"]
    return html(
        "<h3>Every way to train, every way to explain</h3>\n<p>Point at a cell, or move with the arrow keys, for its "
        "mean, "
        "interval, n and tests. Enter or a click picks it: others then say how they differ from it, and its subjects, "
        'tests and maps are shown below. <a href="{name}/figures/grid.html">As a table</a>, '
        '<a href="{name}/statistics/comparisons.tsv">all tests</a>.</p>\n<div class="picked" '
        'data-dataset="{name}"></div>\n'
        "<noscript><p>The grid needs a script; the table does not.</p></noscript>\n",
        name=name,
    )


def _maps(told: Mapping[str, Any]) -> Html:
    seen = told["viewer"]
    if not seen or not seen["maps"]:
        return Html("")
    said = [
        "Each map is scaled to its own largest size, as a saliency map has no unit; voxels outside the mask are not "
        "shown."
    ]
    said.append("Warm colours are positive, cold ones negative.")
    if not seen["image"]:
        side = " × ".join(f"{side:g}" for side in seen["voxel_mm"])
        fine = (
            f" (means of {seen['averaged']}³ voxels of the data)" if seen["averaged"] > 1 else ", as the data have them"
        )
        said.append(
            f"Voxels of {side} mm{fine}, on the MNI 2009 template; the left of a slice is the left of the brain."
        )
    if seen["left_out"]:
        more = plural(seen["left_out"], "way")
        said.append(f"{more} more, those that agree least, did not fit into this page: their maps are files.")
    title = "Images to look at" if seen["image"] else "A brain to turn"
    return html(
        '<h3 id="{name}-maps">{}</h3>\n<p>{}</p>\n<div class="viewer" data-dataset="{name}"></div>\n',
        title,
        " ".join(said),
        name=told["dataset"],
    )


def _measures(told: Mapping[str, Any]) -> Html:
    pictures = [one for one in told["pictures"] if one["name"].startswith(("prediction", "strength"))]
    if not told["measures"] and not pictures:
        return Html("")
    said = joined(html("<li>{}</li>\n", sentence) for sentence in told["measures"])
    more = html('<p><a href="{}/figures/prediction.html">In words and tables</a></p>\n', told["dataset"])
    return html(
        "<h3>Measures against truth, and strength of training</h3>\n{}{}{}",
        _pictures(pictures),
        html("<details><summary>What each measure predicts</summary><ul>\n{}</ul></details>\n", said)
        if told["measures"]
        else "",
        more if told["measures"] else "",
    )


def _fragility(told: Mapping[str, Any]) -> Html:
    pictures = [one for one in told["pictures"] if one["name"].startswith("fragility")]
    if not told["fragility"]:
        return Html("")
    more = html('<p><a href="{}/figures/fragility.html">In words and tables</a></p>\n', told["dataset"])
    return html("{}{}", _section("Attacked maps", pictures, "What protects maps", told["fragility"]), more)


def _influence(told: Mapping[str, Any]) -> Html:
    pictures = [one for one in told["pictures"] if one["name"].startswith("influence")]
    # What was written by other code has none.
    if not (sentences := told.get("influence")):
        return Html("")
    head, summary = "Training maps that predictions hang on", "What attacks leave of influences"
    return _section(head, pictures, summary, [*sentences, influence.TRAP])


def _angles(told: Mapping[str, Any]) -> Html:
    # What was written by other code has none.
    if not (sentences := told.get("angles")):
        return Html("")
    pictures = [one for one in told["pictures"] if one["name"] == "angles"]
    head, summary = "What changes a map, and what changes its score", "How far apart they are"
    return _section(head, pictures, summary, [*sentences, random_directions.TRAP])


def _section(head: str, pictures: Sequence[Mapping[str, Any]], summary: str, sentences: Iterable[str]) -> Html:
    """Return pictures under a head, and sentences that a click shows."""
    said = joined(html("<li>{}</li>\n", sentence) for sentence in sentences)
    return html(
        "<h3>{}</h3>\n{}<details><summary>{}</summary><ul>\n{}</ul></details>\n",
        head,
        _pictures(pictures),
        summary,
        said,
    )


def _shares(told: Mapping[str, Any]) -> Html:
    rows = told["shares"]
    if not rows:
        return Html("")
    table = pd.DataFrame(
        {
            "model": [row["model"] for row in rows],
            "share of test maps": [_share(row) for row in rows],
            "mean": [number(row["mean"]) for row in rows],
            "95% interval": [
                f"{number(row['ci_low'])} to {number(row['ci_high'])}" if row["ci_low"] is not None else row["reason"]
                for row in rows
            ],
            "n": [row["n"] for row in rows],
        }
    )
    caption = "Mean over subjects (images, where there are none) of the share of test maps that are classified rightly"
    return html("<h3>Accuracy, and accuracy under attack</h3>\n{}", table_html(table, caption))


def _share(row: Mapping[str, Any]) -> str:
    return (
        "classified rightly" if row["criterion"] == "accuracy" else f"rightly under every {words(row['attack'])} attack"
    )


def _quality(told: Mapping[str, Any]) -> Html:
    found = told["quality"]
    flags = ", ".join(f"{flag} {count}" for flag, count in found["flags"].items())
    return html(
        '<h3>Quality of the maps</h3>\n<p>{}, {} flagged{}; {} skipped. <a href="{}/quality.html">Each map</a>.</p>\n',
        plural(found["maps"], "map"), found["flagged"], f" ({flags})" if flags else "",
        plural(found["skipped"], "subject"), told["dataset"],
    )  # fmt: skip


def _times(times: pd.DataFrame | None) -> Html:
    if times is None or times.empty:
        return Html("")
    names = {
        "rule": "rule",
        "jobs": "jobs",
        "seconds": "wall time, s",
        "longest": "longest job, s",
        "peak_mb": "peak, MB",
    }
    table = table_html(
        times[list(names)].rename(columns=names), "Of each rule, as measured when its jobs last ran", na_rep=""
    )
    return html(
        "<h3>Time and memory</h3>\n<details><summary>{} minutes of jobs, {} MB at most</summary>\n{}</details>\n",
        f"{times['seconds'].sum() / 60:.1f}", f"{times['peak_mb'].max():.0f}", table,
    )  # fmt: skip
