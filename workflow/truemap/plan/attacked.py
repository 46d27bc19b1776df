"""What of a dataset's attacked maps is compared with what, and how much was done, by the config alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from truemap.config.dataset import Dataset
from truemap.config.models import Model
from truemap.config.probes import Fragility

ITERATIONS = "iterations"
NORMS = {"linf": "in any voxel", "l2": "root mean square over voxels"}


def asked_of(dataset: Dataset, fragility: Fragility) -> dict[str, Any]:
    """Return what answers are asked of: see `truemap.evaluation.fragility_answers.fragility_answers`."""
    models = _attacked(dataset)
    return {
        "random": at_random(fragility),
        "standard": _beside_standard(models),
        "decoys": _decoys(models, dataset.fragile),
        "iterations": _longer(fragility.attacks),
        "labels": {name: model.label or name for name, model in sorted(models.items())},
    }


def done_of(dataset: Dataset, fragility: Fragility) -> dict[str, Any]:
    """Return what of the config says how much was done."""
    models = _attacked(dataset)
    ways = {f"{label} of {name}": m.saliency[label] for name, m in models.items() for label in dataset.fragile[name]}
    return {
        **fragility.model_dump(mode="json", include={"attacks", "epsilon", "maps"}),
        "unit": f"sd of the data, {NORMS[fragility.norm]}",
        "ways": dict(sorted(ways.items())),
        "seeds": {name: len(model.seeds) for name, model in sorted(models.items())},
    }


def influences_asked(dataset: Dataset) -> dict[str, Any]:
    """Return what is asked of influences: see `truemap.evaluation.influence.influence_answers`."""
    models = {name: dataset.networks[name] for name in dataset.influenced}
    return {
        "top": dataset.influence.top if dataset.influence else 0,
        "standard": _beside_standard(models),
        "labels": {name: model.label or name for name, model in sorted(models.items())},
    }


def at_random(fragility: Fragility) -> list[str]:
    """Return the labels of attacks that are noise of random signs."""
    return [label for label, attack in fragility.attacks.items() if attack["name"] == "random_sign"]


def _attacked(dataset: Dataset) -> dict[str, Model]:
    return {name: dataset.networks[name] for name, labels in dataset.fragile.items() if labels}


def _beside_standard(models: Mapping[str, Model]) -> list[list[str]]:
    """Return each network that is trained otherwise, and the first of the same kind that has standard training."""
    trained = {name: model.training["name"] for name, model in sorted(models.items()) if model.training}
    found = []
    for name, training in trained.items():
        alike = [other for other in trained if models[other].network == models[name].network]
        plain = [other for other in alike if trained[other] == "standard"]
        if plain and training != "standard":
            found.append([name, plain[0]])
    return found


def _decoys(models: Mapping[str, Model], fragile: Mapping[str, list[str]]) -> list[list[str]]:
    """Return the label of decoys, and that of the same way to explain without, wherever a network has both."""
    found = {
        (label, other)
        for name, model in models.items()
        for label in fragile[name]
        for other in fragile[name]
        if model.saliency[label]["name"] == "decoy" and model.saliency[other]["name"] == model.saliency[label]["inner"]
    }
    return [list(pair) for pair in sorted(found)]


def _longer(attacks: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return every two attacks that differ in their iterations alone, the longer one first."""
    rest = {
        label: {key: value for key, value in attack.items() if key != ITERATIONS}
        for label, attack in attacks.items()
        if ITERATIONS in attack
    }
    return [
        [longer, shorter]
        for longer in rest
        for shorter in rest
        if rest[longer] == rest[shorter] and attacks[longer][ITERATIONS] > attacks[shorter][ITERATIONS]
    ]
