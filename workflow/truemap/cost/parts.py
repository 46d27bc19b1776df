"""What each part of a model's jobs takes: a job's steps are timed on noise, and multiplied by how many there will be.

Each function returns seconds: of all the model's jobs of that part, one after the other.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch

from truemap.attacks._contract import Attack
from truemap.config.options import TwinOptions
from truemap.config.registry import method
from truemap.cost.noise import Unmoved
from truemap.cost.trial import TOGETHER, Trial
from truemap.data.regions import passes
from truemap.exemplars._layer_loss import layer_sums
from truemap.geometry import radius
from truemap.map_attacks._attacked import Attacked
from truemap.map_attacks._contract import MapAttack
from truemap.metrics._contract import Metric
from truemap.metrics._explained import Twin
from truemap.metrics._measure import measured_table
from truemap.metrics._roar import ranked
from truemap.networks._batches import MAPS
from truemap.networks._decoder import Decoder
from truemap.networks._last import last_layer
from truemap.networks._soft import softened
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import chunk_size


def training(trial: Trial) -> float:
    """All candidates, and what is asked of those that are chosen."""
    given, model = trial.given, trial.model
    chosen = given.start + (given.maps["validation"] + given.maps["test"]) * trial.forward()
    trained = model["trainings"] * trial.fitting() if model["training"] else 0.0
    return model["replicates"] * chosen + trained


def retraining(trial: Trial) -> float:
    """Twins on permuted labels, and networks without voxels, with the maps that say which."""
    given, model = trial.given, trial.model
    total, decoder = 0.0, replace(trial, network=copy.deepcopy(trial.network)).decoder()
    for part in model["retrained"]:
        maps = {split: given.of_split(split, part.get(split)) for split in ("train", "test")}
        # Twins are tried on what they learn.
        held_out = maps["test"] if "ranked" in part else maps["train"]
        total += part["jobs"] * trial.fitting(part["epochs"], maps["train"], held_out)
        for label in part.get("ranked", []):
            settings = model["saliency"][label]["method"]
            saliency = method("saliency", settings, Saliency)

            def rank(count: int, saliency: Saliency = saliency) -> None:
                rows, mask = np.arange(count), given.grid.mask
                ranked(decoder, trial.batches, saliency, trial.context(), mask, rows, trial.memory)

            seconds = trial.watch.each(rank, TOGETHER, "rank", model["network"], settings)
            total += given.start + sum(maps.values()) * seconds
    return total


def explaining(trial: Trial) -> float:
    """Saliency maps of all ways to explain."""
    decoder, context = trial.decoder(), trial.context()
    size = min(TOGETHER, chunk_size(decoder, trial.some(1)[0], trial.memory))
    total = 0.0
    for chosen in trial.model["saliency"].values():
        saliency = method("saliency", chosen["method"], Saliency)

        def explain(count: int, saliency: Saliency = saliency) -> None:
            x, _ = trial.some(count)
            maps = saliency.explain(decoder, x, range(count), saliency.options, context)
            saliency.residual(decoder, x, range(count), maps, saliency.options, context)

        seconds = trial.watch.each(explain, size, "explain", trial.model["network"], chosen["method"])
        total += chosen["jobs"] * (trial.given.start + trial.given.explained * seconds)
    return total


def measuring(trial: Trial) -> float:
    """Metrics of all maps, and of anchors: at most, as most of these take less to make than a map."""
    given, model = trial.given, trial.model
    decoder, context = trial.decoder(), trial.context()
    maps, total = given.of_explained(given.settings["measured"]), 0.0
    first = next(iter(model["saliency"]), None)
    for label, settings in given.settings["metrics"].items():
        metric = method("metrics", settings, Metric)
        for name, chosen in model["saliency"].items():
            if not chosen["measured"][label]:
                continue
            saliency = method("saliency", chosen["method"], Saliency)

            def measure(count: int, metric: Metric = metric, saliency: Saliency = saliency) -> None:
                rows, mask = np.arange(count), given.grid.mask
                measured_table(
                    decoder, trial.batches, saliency, context, metric, mask, rows, trial.memory,
                    lambda seed: trial.network, Twin(trial.network, 1.0),
                )  # fmt: skip

            what = "measure", model["network"], chosen["method"], settings
            seconds = trial.watch.each(measure, min(TOGETHER, maps), *what)
            total += chosen["measured"][label] * (given.start + maps * seconds)
            if name == first and not isinstance(metric.options, TwinOptions):
                total += model["anchors"] * maps * seconds
    return total + (given.start if model["anchors"] else 0.0)


def putting_back(trial: Trial) -> float:
    """Passes of maps whose regions are put back, for the Shapley values of the network's truth."""
    given, games = trial.given, trial.model["games"]
    if not games:
        return 0.0
    of_map = passes(len(given.regions), given.settings["permutations"]) * trial.forward()
    return games * (given.start + given.explained * of_map)


def attacking(trial: Trial) -> float:
    """Attacks on maps: at most, as a map that is broken may end one."""
    given, total = trial.given, 0.0
    asked = [chosen for chosen in trial.model["saliency"].values() if chosen["attacked"]]
    fragility = given.settings["fragility"] if asked else {"attacks": {}}
    for settings, chosen in product(fragility["attacks"].values(), asked):
        # Which region it is does not matter.
        attack = method("map_attacks", {**settings, **({"region": None} if "region" in settings else {})}, MapAttack)
        # Of a descent two steps, as each costs the same.
        steps = getattr(attack.options, "iterations", 1)
        options = attack.options.model_copy(update={"iterations": min(2, steps)}) if steps > 1 else attack.options
        saliency = method("saliency", chosen["method"], Saliency)

        def perturb(
            count: int, saliency: Saliency = saliency, attack: MapAttack = attack, options: Any = options
        ) -> None:
            attack.perturb(_attacked(trial, saliency, count), 0.1, options)

        what = "map attack", trial.model["network"], chosen["method"], settings
        seconds = trial.watch.each(perturb, TOGETHER, *what) * steps / min(2, steps)
        maps = given.of_explained(fragility["maps"])
        total += chosen["attacked"] * (given.start + maps * len(fragility["epsilon"]) * seconds)
    return total


def _attacked(trial: Trial, saliency: Saliency, count: int) -> Attacked:
    """Return some noise as attacks on maps get it."""
    decoder, ids = trial.decoder(), list(range(count))
    x, _ = trial.some(count)
    with torch.no_grad():
        predicted = decoder.network(x).argmax(1)
    function = saliency.differentiable
    if function is None:
        raise TypeError(f"{saliency.name} cannot be differentiated")
    maps = function(decoder, x, predicted, ids, saliency.options, trial.context())
    smooth = decoder.network
    if not saliency.curved:
        smooth = softened(replace(decoder, traits=frozenset({"relu only"})), 10.0).network
    return Attacked(decoder, smooth, maps, x, predicted, ids, trial.given.grid, None, "linf", 0)


def influencing(trial: Trial) -> float:
    """Influences of training maps, and attacks on them."""
    given, influenced = trial.given, trial.model["influenced"]
    if not influenced:
        return 0.0
    asked, both = given.settings["influence"], trial.there_and_back()
    last = last_layer(trial.network.eval(), trial.some(1)[0], "influence")
    train, maps = given.of_split("train", asked["train"]), given.of_explained(asked["maps"])
    passing = train * trial.forward() + 2 * maps * (2 + len(asked["epsilon"])) * both
    sums = layer_sums(train, last.weights.shape[1], len(given.classes))
    return influenced * (given.start + passing + sums / trial.watch.known(lambda: _sums_a_second(trial), "sums"))


def _sums_a_second(trial: Trial) -> float:
    """Return how many products of float64 are added up in a second."""
    square = torch.ones(512, 512, dtype=torch.float64, device=trial.batches.device)

    def multiply() -> None:
        square @ square

    return len(square) ** 3 / trial.watch.least(multiply)


def angling(trial: Trial) -> float:
    """Angles of directions: at most, as a search ends when it has converged."""
    given, model = trial.given, trial.model
    if not model["angled"]:
        return 0.0
    asked, both = given.settings["angles"], trial.there_and_back()
    maps = given.of_explained(asked["maps"])
    softer = softened(replace(trial.decoder(), traits=frozenset({"relu only"})), asked["beta"]).network

    def curve() -> float:
        x, labels = trial.some(TOGETHER)
        x.requires_grad_(True)
        values = softer(x).gather(1, labels[:, None]).sum()
        (graph,) = torch.autograd.grad(values, x, create_graph=True)

        def product_with_hessian() -> None:
            torch.autograd.grad(graph, x, torch.ones_like(x), retain_graph=True)

        return trial.watch.least(product_with_hessian) / TOGETHER

    searched = 2 * asked["iterations"] * trial.watch.known(curve, "curve", model["network"], asked["beta"])
    passing = given.of_split("train", asked["train"]) + 2 * given.maps["test"] + 4 * maps
    trained = replace(trial, network=softer.requires_grad_(True)).fitting(asked["epochs"])
    return model["angled"] * (trained + maps * searched + passing * both)


def robustness(trial: Trial) -> float:
    """Attacks on test maps: at most, as one that the network is wrong about is not attacked further."""
    given, asked = trial.given, trial.given.settings["robustness"]
    shape = given.grid.shape
    bound = radius(asked["epsilon"], asked["epsilon_unit"], math.prod(shape))
    maps, total = given.of_split("test", asked["maps"]), 0.0
    x, labels = trial.some(1)
    for settings in asked["attacks"].values():
        attack = method("attacks", settings, Attack)

        def attacked(attack: Attack = attack) -> tuple[float, int]:
            unmoved = Unmoved(shape, len(given.classes))
            target = Decoder(unmoved.to(x.device).eval().requires_grad_(False), 1.0, given.classes, "")
            first = torch.zeros_like(labels)
            own = trial.watch.once(lambda: attack.perturb(target, x, first, [0], bound, attack.options, 0))
            return own, unmoved.maps

        own, met = trial.watch.known(attacked, "attack", settings)
        total += given.start + math.ceil(maps / MAPS) * own + maps * met * trial.there_and_back()
    return trial.model["replicates"] * total


#: What a model's jobs do -> the seconds of it, and what is said of them.
PARTS: dict[str, tuple[Callable[[Trial], float], str]] = {
    "training": (training, "{} training"),
    "retraining": (retraining, "{} training again"),
    "explaining": (explaining, "{} explaining"),
    "measuring": (measuring, "{} measuring maps"),
    "regions": (putting_back, "{} putting regions back"),
    "attacking": (attacking, "at most {} attacking maps"),
    "influence": (influencing, "{} on influences of training maps"),
    "angles": (angling, "at most {} on angles of directions"),
    "robustness": (robustness, "at most {} robust accuracy"),
}
