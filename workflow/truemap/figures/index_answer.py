"""What was run on what, and its answer in a sentence, of one dataset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from truemap.config.names import REFERENCE, SPLITS
from truemap.evaluation.answers import ALPHA
from truemap.evaluation.claims import SIMULATED
from truemap.figures.page import Html, html, joined
from truemap.figures.wording import CRITERIA, TRUTHS, entry_words, listed, number, p_words, plural, words


def in_short(told: Mapping[str, Any]) -> Html:
    """Return in a sentence what was run on what."""
    ours = [one for one in told["entries"] if one["model"] != REFERENCE]
    units = _units(told, told["about"]["subjects"]["test"] or told["about"]["maps"]["test"])
    models = plural(len({one["model"] for one in ours}), "model")
    return html(
        "<b>{}</b> ({}): {}, {}, explained in {} in all.",
        told["dataset"], told["data"], units, models, plural(len(ours), "way"),
    )  # fmt: skip


def answer_words(told: Mapping[str, Any]) -> Html:
    """Return the answer of a dataset: the best way, by how much, what references reach, and the study's order."""
    found = {name: one for name, one in told["answers"].items() if one}
    if not found:
        return html(
            '<p class="answer"><b>{}</b> ({}): no map has an r with signs.</p>\n', told["dataset"], told["data"]
        )
    criterion, first = next(iter(found.items()))
    return html(
        '<div class="answer"><p><b><a href="#{name}">{name}</a></b> ({data}): maps of <b>{best}</b> agree best with '
        "the "
        "{truth} ({criterion}): mean r {mean} over {n}{margin}. "
        '<a href="{name}/statistics/comparisons.tsv">All tests</a>.</p>\n<p>{references}</p>\n{order}</div>\n',
        name=told["dataset"],
        data=told["data"],
        best=_named(told, first["best"]),
        truth=TRUTHS[told["truth"]],
        criterion=CRITERIA[criterion],
        mean=number(first["mean"]),
        n=_units(told, first["n"]),
        margin=_margin(told, first),
        references=_references(first),
        order=_order(told),
    )


def _units(told: Mapping[str, Any], n: int) -> str:
    return plural(n, "test subject" if told["about"]["subjects"]["test"] else "test image")


def _named(told: Mapping[str, Any], entry: list[str]) -> str:
    return next(entry_words(one) for one in told["entries"] if [one["model"], one["method"]] == entry)


def _margin(told: Mapping[str, Any], found: Mapping[str, Any]) -> Html:
    """Return by how much the best is above the next, and the test; of other trainings too, where there are enough."""
    if not found["next"]:
        return Html(", the only way that was run")
    test, other = found["test"], _named(told, found["next"])
    if test is None:
        return html("; the next is {}", other)
    said = html(", {} above the next ({}", number(test["difference"]), other)
    if test["p_bonferroni"] is None:
        return html("{}; {})", said, test["reason"])
    said = html("{}; paired t({:}) = {}, Bonferroni p {}", said, f"{test['df']:.0f}", number(test["t"], 1),
                p_words(test["p_bonferroni"]))  # fmt: skip
    if test.get("p_two_level_bonferroni") is not None:
        said = html("{}; over trainings too p {}", said, p_words(test["p_two_level_bonferroni"]))
    told_apart = test["p_bonferroni"] < ALPHA
    return html("{}{})", said, "" if told_apart else ": these two are not told apart")


def _references(found: Mapping[str, Any]) -> Html:
    """Return what maps reach that know nothing of a network, and how many of the networks' maps are above them."""
    ranked = sorted(found["references"].items(), key=lambda item: -item[1])
    if not ranked:
        return Html("No reference was scored.")
    said = listed([html("{} {}", words(name), number(mean, 2)) for name, mean in ranked])
    above, count = found["above"][ranked[0][0]], found["entries"]
    much = f"{above or 'none'} of {plural(count, 'way')} {'is' if above < 2 else 'are'} above the best of them"
    so = "" if above == count else ", so agreement alone does not make a map faithful"
    return html("Maps that know nothing of any network reach {}: {}{}.", said, much, so)


def _order(told: Mapping[str, Any]) -> Html:
    """Return how many of the study's orders come out here, of those with a test, and each of them."""
    tested = [order for order in told["orders"] if order["holds"] is not None]
    if not tested:
        return Html("<p>The paper's order was not tested here: its models or methods are not among these.</p>\n")
    held = sum(order["holds"] for order in tested)
    how = "came out" if held == len(tested) else "did not come out" if not held else "came out in part"
    beside = " (on data that are not the paper's)" if SIMULATED in told["data"] else ""
    return html(
        "<details><summary>The paper's order {}: {} of its {} comparisons{}</summary>\n<ul>\n{}</ul>\n</details>\n",
        how, held, len(tested), beside, joined(map(_compared, tested)),
    )  # fmt: skip


def _compared(order: Mapping[str, Any]) -> Html:
    failed = "the opposite did" if order["opposite"] else "did not, nor the opposite"
    kind, said = ("holds", "came out") if order["holds"] else ("fails", failed)
    return html('<li><span class="chip {}">{}</span> {}: {}; {}, {}</li>\n', kind, said, CRITERIA[order["criterion"]],
                order["statement"], order["ours"], order["test"])  # fmt: skip


def what_was_run(told: Mapping[str, Any]) -> Html:
    """Return a dataset's data and models as a short list."""
    about = told["about"]
    unit = "subjects" if about["subjects"]["test"] else "maps"
    counts = ", ".join(f"{split} {about[unit][split]:,}" for split in SPLITS)
    size = " × ".join(map(str, about["shape"]))
    mm = f", voxels of {' × '.join(f'{side:g}' for side in about['voxel_mm'])} mm" if about["voxel_mm"] else ""
    models = joined(_model(name, model, told) for name, model in told["models"].items())
    return html(
        "<h3>{} <span class=\"soft\">({})</span></h3>\n<ul>\n<li>{}: {} ({} maps in all), {}: {}</li>\n<li>Maps of "
        "{}{}; {} "
        "voxels are explained and compared in the mask</li>\n{}</ul>\n",
        told["dataset"], told["data"], unit.capitalize(), counts, f"{sum(about['maps'].values()):,}",
        plural(len(about["classes"]), "class", "classes"), ", ".join(about["classes"]), size, mm,
        f"{about['inside']:,}", models,
    )  # fmt: skip


def _model(name: str, model: Mapping[str, Any], told: Mapping[str, Any]) -> Html:
    label = next((one["label"] for one in told["entries"] if one["model"] == name), name)
    made = f"network {words(model['network'])}" if model["network"] else "maps from elsewhere"
    trained = f", training {words(model['training'])}" if model["training"] else ""
    seeds = f" ({plural(len(model['seeds']), 'training')})" if trained else ""
    methods = ", ".join(map(words, model["saliency"]))
    return html("<li><b>{}</b>: {}{}{}; explained by {}</li>\n", label, made, trained, seeds, methods)
