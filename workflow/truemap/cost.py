"""Whether networks and methods fit, and what they will cost, before one trains: each is tried on noise, and timed."""

from __future__ import annotations

import copy
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from truemap.attacks._contract import Attack
from truemap.config.options import TwinOptions, suggest
from truemap.config.registry import method
from truemap.data.background import Background
from truemap.data.grid import Grid
from truemap.data.regions import passes
from truemap.data.volumes import Volumes
from truemap.exemplars._layer_loss import layer_sums
from truemap.exemplars.influence import check_held
from truemap.geometry import radius
from truemap.map_attacks._attacked import Attacked
from truemap.map_attacks._contract import MapAttack
from truemap.metrics._contract import Metric
from truemap.metrics._explained import Twin
from truemap.metrics._measure import measured_table
from truemap.metrics._roar import ranked, removed_voxels
from truemap.networks._batches import MAPS, Batches
from truemap.networks._decoder import Decoder, build_network, read_decoder
from truemap.networks._last import last_layer
from truemap.networks._look import look
from truemap.networks._soft import softened
from truemap.networks._structure import require
from truemap.networks._trained import STATE_DICT, handed_over
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import chunk_size
from truemap.training._contract import Training
from truemap.training._objective import log_odds
from truemap.training._precision import computed_in

#: Seconds after which what was timed is not timed again.
ENOUGH = 0.5
#: Maps that are explained, or meet a network, at a time, at most.
TOGETHER = 8
#: Voxels of all maps of noise, at most: 1 GB.
LARGEST = 1 << 28
#: By how much `Unmoved` prefers the first class, and how much of the map it sees.
PREFERENCE, SEEN = 50.0, 1e-4
#: What a model's jobs do -> what is said of their time.
PARTS = {
    "training": "{} training",
    "retraining": "{} training again",
    "explaining": "{} explaining",
    "measuring": "{} measuring maps",
    "regions": "{} putting regions back",
    "attacking": "at most {} attacking maps",
    "influence": "{} on influences of training maps",
    "angles": "at most {} on angles of directions",
    "robustness": "at most {} robust accuracy",
}
Settings = Mapping[str, Any]


class Unmoved(nn.Module):
    """A linear network that always answers the first class, and counts the maps that it meets.

    An attack on it does all that it can: what it takes at most. Attacks know nothing of a network but its answers.

    Attributes
    ----------
    maps : int
    """

    def __init__(self, shape: Sequence[int], classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(math.prod(shape), classes)
        nn.init.normal_(self.layer.weight, std=SEEN / math.sqrt(math.prod(shape)))
        nn.init.zeros_(self.layer.bias)
        self.maps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes) of maps (n, *shape)."""
        self.maps += len(x)
        first = torch.zeros(self.layer.out_features, device=x.device)
        first[0] = PREFERENCE
        return self.layer(x.flatten(1)) + first


class Costs:
    """What models cost on maps of one shape.

    Parameters
    ----------
    samples : DataFrame
        ``subject, label, split`` of each map.
    grid : Grid
        Of the maps.
    settings : mapping
        Of `truemap.plan.settings.train.TrainSettings.networks`.
    device : torch.device
    start : float
        Seconds that each job takes before it does anything.
    regions : int
        What the network does is asked of so many.
    named : sequence of str
        Their names.
    """

    def __init__(
        self,
        samples: pd.DataFrame,
        grid: Grid,
        settings: Settings,
        device: torch.device,
        start: float,
        regions: int = 0,
        named: Sequence[str] = (),
    ) -> None:
        self._regions, self._named = regions, named
        self._grid, self._subjects = grid, samples.groupby("split")["subject"].agg(set)
        self._settings, self._device, self._start = settings, device, start
        self._known: dict[str, Any] = {}
        self._count = samples["split"].value_counts()
        self._classes = sorted(samples.loc[samples["split"] == "train", "label"].unique())
        tested = samples[samples["split"] == "test"]
        each = tested.groupby(["subject", "label"]).size()
        self._explained = int(each.clip(upper=settings["explained"]).sum())
        sizes = [self._batch(model) for model in settings["models"].values()]
        most = max(LARGEST // math.prod(grid.shape), len(self._classes), TOGETHER)
        count = min(max(*sizes, len(self._classes), TOGETHER), most)
        self._noise = _noise(grid.shape, self._classes, count, settings["seed"])

    def of(self, name: str) -> dict[str, Any]:
        """Return what a model costs.

        Returns
        -------
        dict
            ``model, parameters, multiply_adds`` (of one pass of one map), and of all its jobs ``training_seconds,
            retraining_seconds`` (on permuted labels, without voxels), ``explaining_seconds, measuring_seconds`` (of
            anchors too: at most), ``regions_seconds`` (to put them back), ``attacking_seconds`` (of maps: at most),
            ``influence_seconds`` (of training maps), ``angles_seconds`` (of directions: at most),
            ``robustness_seconds`` (at most); NaN where a method could not work on noise.

        Raises
        ------
        DataError
            If the network cannot have maps of this shape, or a method cannot work with the network; or if weights that
            are given are of other classes, layers or maps, or know test subjects.
        """
        model = self._settings["models"][name]
        try:
            network = self._network(model)
            self._fits(model, network)
        except DataError as error:
            raise DataError(f"model {name}: {error}") from None
        batches = Batches(self._noise, self._classes, self._device)
        x, _ = batches.get(torch.arange(TOGETHER))
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(x[:1])
        parts = {
            "training": self._training,
            "retraining": self._retraining,
            "explaining": self._explaining,
            "measuring": self._measuring,
            "regions": self._games,
            "attacking": self._attacking,
            "influence": self._influencing,
            "angles": self._angling,
            "robustness": self._robustness,
        }
        found = {
            f"{what}_seconds": self._tried(f"{name}, {what}", part, model, network, batches)
            for what, part in parts.items()
        }
        size = sum(parameter.numel() for parameter in network.parameters())
        return {"model": name, "parameters": size, "multiply_adds": counter.get_total_flops() // 2, **found}

    def _network(self, model: Settings) -> nn.Module:
        """Return the network, new or with the weights that are given."""
        try:
            # All files are looked at; what one costs, each does.
            for weights in model["weights"]:
                data = self._grid, self._classes, self._subjects, model["pseudonyms"]
                _, known = handed_over(weights, model["network"], *data)
                network = read_decoder(weights, known, self._device, STATE_DICT).network
            if not model["weights"]:
                network = build_network(model["network"], self._noise.shape, len(self._classes)).to(self._device)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{error}. Choose another network, or other maps.") from None
        return network

    def _fits(self, model: Settings, network: nn.Module) -> None:
        """Look at the network, and refuse methods that would be wrong for it."""
        x = torch.from_numpy(self._noise.parts[0][:2]).to(self._device)
        looked = look(network.eval(), x, len(self._classes), model["network"]["name"])
        decoder = Decoder(
            network, 1.0, self._classes, model["network"]["name"], frozenset(looked.traits), looked.others
        )
        for label, chosen in model["saliency"].items():
            require(decoder, method("saliency", chosen["method"], Saliency).options.needs(), label)
        for part in model["retrained"]:
            if "ranked" in part:
                self._removable(part)
        for label, settings in self._settings["metrics"].items():
            require(decoder, method("metrics", settings, Metric).options.needs(), label)
        if model["influenced"]:
            width = last_layer(network, x[:1], "influence").weights.shape[1]
            check_held(self._part("train", self._settings["influence"]["train"]), width, len(self._classes))
        if model["angled"]:
            require(decoder, {"relu", "relu only"}, "angles")
            width = last_layer(network, x[:1], "angles").weights.shape[1]
            check_held(self._part("train", self._settings["angles"]["train"]), width, len(self._classes))
        if any(chosen["attacked"] for chosen in model["saliency"].values()):
            for label, settings in self._settings["fragility"]["attacks"].items():
                require(decoder, method("map_attacks", settings, MapAttack).options.needs(), label)
                self._in_region(label, settings.get("region"))

    def _in_region(self, label: str, region: str | None) -> None:
        """Refuse an attack on a region that the dataset has not."""
        if region is not None and region not in self._named:
            raise DataError(f"fragility.attacks.{label}: no region '{region}'{suggest(region, self._named)}")

    def _removable(self, part: Settings) -> None:
        """Refuse to remove and retrain on too few maps or voxels."""
        for split in ("train", "test"):
            if self._part(split, part[split]) < len(self._classes):
                raise DataError(
                    f"roar: {part[split]} maps ({split}) are fewer than the {len(self._classes)} classes. Take more."
                )
        for fraction in part["fractions"]:
            removed_voxels(fraction, int(self._grid.mask.sum()))

    def _tried(self, what: str, part: Callable[..., float], *arguments: Any) -> float:
        level = log.level
        log.setLevel(logging.WARNING)  # what methods tell of noise is of no use
        try:
            return part(*arguments)
        except DataError:
            raise
        # A user's method may need more of the data than noise has.
        except Exception as error:
            log.warning("%s: not known, as it does not work on noise (%s: %s)", what, type(error).__name__, error)
            return math.nan
        finally:
            log.setLevel(level)

    def _batch(self, model: Settings) -> int:
        """Return the maps of a minibatch; of what is trained already, one."""
        size = model["training"]["batch_size"] if model["training"] else 1
        return min(size or self._count["train"], self._count["train"])

    def _training(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        one_pass = self._forward(model, network.eval(), batches)
        chosen = (self._count["validation"] + self._count["test"]) * one_pass
        chosen = model["replicates"] * (self._start + chosen)
        return chosen + (model["trainings"] * self._fitting(model, network, batches) if model["training"] else 0.0)

    def _retraining(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        total, decoder = 0.0, self._decoder(model, copy.deepcopy(network))
        for part in model["retrained"]:
            maps = {split: self._part(split, part.get(split)) for split in ("train", "test")}
            # Twins are tried on what they learn.
            held_out = maps["test"] if "ranked" in part else maps["train"]
            total += part["jobs"] * self._fitting(model, network, batches, part["epochs"], maps["train"], held_out)
            for label in part.get("ranked", []):
                saliency = method("saliency", model["saliency"][label]["method"], Saliency)

                def rank(count: int, saliency: Saliency = saliency) -> None:
                    rows, mask = np.arange(count), self._grid.mask
                    ranked(decoder, batches, saliency, self._context(), mask, rows, self._settings["memory"])

                what = "rank", model["network"], model["saliency"][label]["method"]
                total += self._start + sum(maps.values()) * self._each(rank, TOGETHER, *what)
        return total

    def _part(self, split: str, count: int | None) -> int:
        """Return how many maps of a split are taken."""
        return min(count or self._count[split], self._count[split])

    def _fitting(
        self,
        model: Settings,
        network: nn.Module,
        batches: Batches,
        epochs: int | None = None,
        maps: int | None = None,
        held_out: int | None = None,
    ) -> float:
        """Return the seconds of one training; of other epochs and maps than the model's own if they are given."""
        one_pass = self._forward(model, network.eval(), batches)
        maps, held_out = maps or self._count["train"], held_out or self._count["validation"]
        training = method("training", model["training"], Training)
        size, random = self._batch(model), torch.Generator().manual_seed(0)
        tried = min(size, len(batches))
        minibatches, options = math.ceil(maps / size), []
        passing = computed_in(training.options.precision, network)
        prepare = self._once(lambda: options.append(training.prepare(passing, training.options, batches, 0)))
        optimizer = torch.optim.Adam(network.parameters(), lr=training.options.learning_rate)
        network.train()

        def update() -> None:
            training.update(passing, optimizer, *batches.get(torch.arange(tried)), options[0], random)

        epoch = minibatches * self._seconds(update) * size / tried + held_out * one_pass
        whole = prepare * maps / len(batches) + (epochs or training.options.epochs) * epoch
        return self._start + whole

    def _explaining(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        decoder, context = self._decoder(model, network), self._context()
        size = min(TOGETHER, chunk_size(decoder, batches.get(torch.tensor([0]))[0], self._settings["memory"]))
        total = 0.0
        for chosen in model["saliency"].values():
            saliency = method("saliency", chosen["method"], Saliency)

            def explain(count: int, saliency: Saliency = saliency) -> None:
                x, _ = batches.get(torch.arange(count))
                maps = saliency.explain(decoder, x, range(count), saliency.options, context)
                saliency.residual(decoder, x, range(count), maps, saliency.options, context)

            seconds = self._each(explain, size, "explain", model["network"], chosen["method"])
            total += chosen["jobs"] * (self._start + self._explained * seconds)
        return total

    def _measuring(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        decoder, context, memory = self._decoder(model, network), self._context(), self._settings["memory"]
        maps, total = min(self._settings["measured"] or self._explained, self._explained), 0.0
        first = next(iter(model["saliency"]), None)
        for label, settings in self._settings["metrics"].items():
            metric = method("metrics", settings, Metric)
            for name, chosen in model["saliency"].items():
                if not chosen["measured"][label]:
                    continue
                saliency = method("saliency", chosen["method"], Saliency)

                def measure(count: int, metric: Metric = metric, saliency: Saliency = saliency) -> None:
                    rows, mask = np.arange(count), self._grid.mask
                    measured_table(
                        decoder, batches, saliency, context, metric, mask, rows, memory, lambda seed: network,
                        Twin(network, 1.0),
                    )  # fmt: skip

                what = "measure", model["network"], chosen["method"], settings
                seconds = self._each(measure, min(TOGETHER, maps), *what)
                total += chosen["measured"][label] * (self._start + maps * seconds)
                # Most anchors take less to make than a map.
                if name == first and not isinstance(metric.options, TwinOptions):
                    total += model["anchors"] * maps * seconds
        return total + (self._start if model["anchors"] else 0.0)

    def _games(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        if not model["games"]:
            return 0.0
        of_map = passes(self._regions, self._settings["permutations"]) * self._forward(model, network.eval(), batches)
        return model["games"] * (self._start + self._explained * of_map)

    def _attacking(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        fragility: Settings = self._settings.get("fragility") or {"attacks": {}}
        asked = [chosen for chosen in model["saliency"].values() if chosen["attacked"]]
        total = 0.0
        for settings, chosen in product(fragility["attacks"].values(), asked):
            # Which region it is does not matter.
            attack = method(
                "map_attacks", {**settings, **({"region": None} if "region" in settings else {})}, MapAttack
            )
            # Of a descent two steps, as each costs the same.
            steps = getattr(attack.options, "iterations", 1)
            options = attack.options.model_copy(update={"iterations": min(2, steps)}) if steps > 1 else attack.options
            saliency = method("saliency", chosen["method"], Saliency)

            def perturb(
                count: int, saliency: Saliency = saliency, attack: MapAttack = attack, options: Any = options
            ) -> None:
                attack.perturb(self._on_noise(model, network, batches, saliency, count), 0.1, options)

            what = "map attack", model["network"], chosen["method"], settings
            seconds = self._each(perturb, TOGETHER, *what) * steps / min(2, steps)
            maps = min(fragility["maps"] or self._explained, self._explained)
            total += chosen["attacked"] * (self._start + maps * len(fragility["epsilon"]) * seconds)
        return total

    def _influencing(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        if not model["influenced"]:
            return 0.0
        asked, both = self._settings["influence"], self._there_and_back(model, network, batches)
        last = last_layer(network.eval(), batches.get(torch.arange(1))[0], "influence")
        train = self._part("train", asked["train"])
        maps = min(asked["maps"] or self._explained, self._explained)
        passes = train * self._forward(model, network, batches) + 2 * maps * (2 + len(asked["epsilon"])) * both
        layer = layer_sums(train, last.weights.shape[1], len(self._classes)) / self._known_of(self._sums, "sums")
        return model["influenced"] * (self._start + passes + layer)

    def _sums(self) -> float:
        """Return how many products of float64 are added up in a second."""
        square = torch.ones(512, 512, dtype=torch.float64, device=self._device)

        def multiply() -> None:
            square @ square

        return len(square) ** 3 / self._seconds(multiply)

    def _angling(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        if not model["angled"]:
            return 0.0
        asked, both = self._settings["angles"], self._there_and_back(model, network, batches)
        maps = min(asked["maps"] or self._explained, self._explained)
        softer = softened(replace(self._decoder(model, network), traits=frozenset({"relu only"})), asked["beta"])

        def curve() -> float:
            x, labels = batches.get(torch.arange(TOGETHER))
            x.requires_grad_(True)
            values = softer.network(x).gather(1, labels[:, None]).sum()
            (graph,) = torch.autograd.grad(values, x, create_graph=True)

            def product() -> None:
                torch.autograd.grad(graph, x, torch.ones_like(x), retain_graph=True)

            return self._seconds(product) / TOGETHER

        # At most: a search ends when it has converged.
        searched = 2 * asked["iterations"] * self._known_of(curve, "curve", model["network"], asked["beta"])
        passes = self._part("train", asked["train"]) + 2 * self._count["test"] + 4 * maps
        trained = self._fitting(model, softer.network.requires_grad_(True), batches, asked["epochs"])
        return model["angled"] * (trained + maps * searched + passes * both)

    def _on_noise(
        self, model: Settings, network: nn.Module, batches: Batches, saliency: Saliency, count: int
    ) -> Attacked:
        """Return some noise as attacks on maps get it."""
        decoder, ids = self._decoder(model, network), list(range(count))
        x, _ = batches.get(torch.arange(count))
        with torch.no_grad():
            predicted = decoder.network(x).argmax(1)
        function = saliency.differentiable
        if function is None:
            raise TypeError(f"{saliency.name} cannot be differentiated")
        maps = function(decoder, x, predicted, ids, saliency.options, self._context())
        smooth = decoder.network
        if not saliency.curved:
            smooth = softened(replace(decoder, traits=frozenset({"relu only"})), 10.0).network
        return Attacked(decoder, smooth, maps, x, predicted, ids, self._grid, None, "linf", 0)

    def _context(self) -> Context:
        flat = self._noise.parts[0].reshape(len(self._noise), -1)
        background = Background({}, {}, flat.mean(0), float(flat.min()), float(flat.max()))
        return Context.of(self._settings["seed"], self._noise, self._classes, background, self._device)

    def _robustness(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        robustness = self._settings["robustness"]
        bound = radius(robustness["epsilon"], robustness["epsilon_unit"], math.prod(self._noise.shape))
        maps = min(robustness["maps"] or self._count["test"], self._count["test"])
        decoder, total = self._decoder(model, network), 0.0
        x, labels = batches.get(torch.arange(1))
        for settings in robustness["attacks"].values():
            attack = method("attacks", settings, Attack)

            def attacked(attack: Attack = attack) -> tuple[float, int]:
                unmoved = Unmoved(self._noise.shape, len(self._classes))
                target = Decoder(unmoved.to(self._device).eval().requires_grad_(False), 1.0, self._classes, "")
                labelled = torch.zeros_like(labels)
                own = self._once(lambda: attack.perturb(target, x, labelled, [0], bound, attack.options, 0))
                return own, unmoved.maps

            own, met = self._known_of(attacked, "attack", settings)
            passes = maps * met * self._there_and_back(model, decoder.network, batches)
            total += self._start + math.ceil(maps / MAPS) * own + passes
        return model["replicates"] * total

    def _decoder(self, model: Settings, network: nn.Module) -> Decoder:
        return Decoder(network.eval().requires_grad_(False), 1.0, self._classes, model["network"]["name"])

    def _forward(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        def forward(count: int) -> None:
            with torch.no_grad():
                network(batches.get(torch.arange(count))[0])

        return self._each(forward, TOGETHER, "forward", model["network"])

    def _there_and_back(self, model: Settings, network: nn.Module, batches: Batches) -> float:
        def both(count: int) -> None:
            x, labels = batches.get(torch.arange(count))
            x.requires_grad_(True)
            torch.autograd.grad(log_odds(network(x), labels).sum(), x)

        return self._each(both, TOGETHER, "both", model["network"])

    def _each(self, work: Callable[[int], None], count: int, *what: Any) -> float:
        """Return the seconds a map of what works on many: on one, where that takes long."""

        def seconds() -> float:
            alone = self._once(lambda: work(1))
            return alone if alone > ENOUGH else self._seconds(lambda: work(count)) / count

        return self._known_of(seconds, count, *what)

    def _known_of(self, work: Callable[[], Any], *what: Any) -> Any:
        """Return what was found of the same: models may share networks, methods and attacks."""
        key = json.dumps(what, sort_keys=True)
        if key not in self._known:
            self._known[key] = work()
        return self._known[key]

    def _seconds(self, work: Callable[[], None]) -> float:
        """Return the seconds that something takes, the least of several where they are short: others may run too."""
        times = [self._once(work)]
        while sum(times) < ENOUGH and len(times) < 5:
            times.append(self._once(work))
        return min(times)

    def _once(self, work: Callable[[], object]) -> float:
        began, busy = time.perf_counter(), time.process_time()
        work()
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            return time.perf_counter() - began
        # With one thread what others take of the processor is not counted.
        return min(time.perf_counter() - began, time.process_time() - busy)


def sentence(cost: Mapping[str, Any], asked: bool) -> str:
    """Return the cost of a model in words.

    Parameters
    ----------
    cost : mapping
        As `Costs.of` gives it.
    asked : bool
        Whether robust accuracy was asked for.
    """
    known = {part: cost[f"{part}_seconds"] for part in PARTS}
    told = {part for part in PARTS if known[part] and part != "robustness"} | {"training", "explaining"}
    told |= {"robustness"} if asked else set()
    said = [words.format(_words(known[part])) for part, words in PARTS.items() if part in told]
    said += [] if asked else ["robust accuracy not asked for"]
    return (
        f"{cost['model']}: about {_words(sum(known.values()))} on this machine, one job at a time: {', '.join(said)} "
        f"({cost['parameters']:,} parameters, {cost['multiply_adds']:,} multiply-adds a map)"
    )


def _words(seconds: float) -> str:
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 100 * 60 else f"{seconds / 3600:.1f} hours"


def _noise(shape: tuple[int, ...], classes: Sequence[str], count: int, seed: int) -> Volumes:
    """Return maps of standard normal noise, one of each class in turn."""
    maps = np.random.default_rng(derive_seed(seed, "cost")).standard_normal((count, *shape), dtype=np.float32)
    labels = [classes[number % len(classes)] for number in range(count)]
    table = pd.DataFrame({"sample": range(count), "subject": "noise", "label": labels, "condition": labels})
    return Volumes([maps], table.assign(negated=False))
