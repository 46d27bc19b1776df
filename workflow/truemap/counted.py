"""Memory and operations of a job before it runs, counted on tensors without numbers: nothing is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.attacks._contract import Attack
from truemap.config.registry import method
from truemap.data.volumes import Volumes
from truemap.networks._batches import DEVICE_SHARE, Batches
from truemap.networks._chunks import climbing, passing
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._shapes import Shapes, pretended
from truemap.runtime.files import DataError
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import chunk_size
from truemap.training._contract import Training
from truemap.training._passes import computed_in

Settings = Mapping[str, Any]
#: Options that say how often a way to explain, or an attack, does the same again, and how often it is counted.
REPEATED = {
    "smoothgrad": "n", "integrated_gradients": "steps", "gradient_shap": "n", "deeplift_shap": "n", "pgd": "steps",
}  # fmt: skip
TWICE = 2
#: Training maps that exist for methods that read some: how many there are does not change what one takes.
READ = 8


@dataclass(frozen=True)
class Maps:
    """What is known of maps before there are any.

    Attributes
    ----------
    shape : tuple of int
    classes : int
    train, validation, test : int
        Maps of each split.
    explained : int
        Of the test maps.
    together : int
        Maps of a subject that are explained: no more are explained at a time.
    """

    shape: tuple[int, ...]
    classes: int
    train: int
    validation: int
    test: int
    explained: int
    together: int


@dataclass(frozen=True)
class Counted:
    """What a job takes.

    Attributes
    ----------
    peak : int
        Bytes of all tensors that are alive at a time: weights, their gradients and moments, the maps at hand.
    operations : float
        Multiplications and additions of convolutions and products of matrices, each counts one.
    at_once : int
        Maps that meet the network at a time.
    """

    peak: int
    operations: float
    at_once: int


@dataclass
class Counter:
    """Counts jobs of networks on maps of one kind.

    Parameters
    ----------
    maps : Maps
    device : {"cpu", "cuda"}
        See `truemap.networks._shapes.pretended`.
    seconds : float
        That counting a job may take; beyond them `truemap.networks._shapes.Uncounted` is raised.
    """

    maps: Maps
    device: str = "cuda"
    seconds: float = 120.0
    _place: torch.device = field(init=False)

    def __post_init__(self) -> None:
        self._place = torch.device("cpu" if self.device == "cpu" else "meta")

    def training(self, network: Settings, training: Settings) -> Counted:
        """Return what the training of one candidate takes: all epochs, each with its validation.

        Two updates are counted: Adam's moments are there from the second on.
        """
        found, maps = method("training", training, Training), self.maps
        size = min(found.options.batch_size or maps.train, maps.train)
        with self._network(network) as (shapes, layers):
            passing = computed_in(found.options.precision, layers.train(), found.options.micro_batch)
            at_once = min(found.options.micro_batch or size, size)
            options, before = self._prepared(shapes, found, passing)
            optimizer, random = torch.optim.Adam(layers.parameters(), lr=1e-3), torch.Generator("cpu").manual_seed(0)
            x, y = self._some(size), torch.arange(size) % maps.classes
            for _ in range(TWICE):
                step = _operations(shapes, lambda: found.update(passing, optimizer, x, y, options, random))
            forward = _operations(shapes, lambda: self._forward(layers.eval(), x[:at_once]))
            held_out = forward / at_once * maps.validation
        epoch = step * maps.train / size + held_out
        return Counted(shapes.peak, before + found.options.epochs * epoch, at_once)

    def predicting(self, network: Settings, memory: float) -> Counted:
        """Return what it takes to predict validation and test maps (rule `model`).

        Parameters
        ----------
        memory : float
            MB, of the config.
        """
        with self._network(network) as (shapes, layers):
            layers.eval()
            at_once = min(self._batches().at_once(), passing(layers, self._some(1), memory))
            shapes.peak, x = shapes.now, self._some(at_once)
            a_map = _operations(shapes, lambda: self._forward(layers, x)) / at_once
        return Counted(shapes.peak, a_map * (self.maps.validation + self.maps.test), at_once)

    def explaining(self, network: Settings, saliency: Settings, memory: float) -> Counted:
        """Return what the saliency maps of one method take, with their residuals; as many maps at a time as the job."""
        found = method("saliency", saliency, Saliency)

        def of(options: Any) -> Counted:
            with self._network(network) as (shapes, layers):
                decoder, context = self._decoder(layers, network), self._context()
                fitting = chunk_size(decoder, self._some(1), memory)
                at_once = min(fitting, self.maps.together)
                shapes.peak, x, ids = shapes.now, self._some(at_once), range(at_once)

                def explain() -> None:
                    given = found.explain(decoder, x, ids, options, context)
                    found.residual(decoder, x, ids, given, options, context)

                a_map = _operations(shapes, explain) / at_once
            return Counted(shapes.peak, a_map * self.maps.explained, at_once)

        return repeated(found.name, found.options, of)

    def attacking(self, network: Settings, attack: Settings, attacked: int, memory: float) -> Counted:
        """Return what an attack on predictions takes at most: no map goes wrong before the last step.

        Parameters
        ----------
        attacked : int
            Test maps.
        """
        found = method("attacks", attack, Attack)

        def of(options: Any) -> Counted:
            with self._network(network) as (shapes, layers):
                decoder = self._decoder(layers, network)
                fitting = climbing(layers, self._some(1), memory)
                at_once = min(self._batches().at_once(), fitting, attacked)
                shapes.peak, x, labels = shapes.now, self._some(at_once), torch.zeros(at_once, dtype=torch.long)

                def perturb() -> None:
                    found.perturb(decoder, x, labels, list(range(at_once)), 1.0, options, 0)

                a_map = _operations(shapes, perturb) / at_once
            return Counted(shapes.peak, a_map * attacked, at_once)

        return repeated(found.name, found.options, of)

    @contextmanager
    def _network(self, network: Settings) -> Iterator[tuple[Shapes, nn.Module]]:
        """Give a network without numbers, and what counts from it on."""
        with pretended(self.device, self.seconds) as shapes:
            layers = build_network(dict(network), self.maps.shape, self.maps.classes)
            shapes.peak = shapes.now
            yield shapes, layers

    def _prepared(self, shapes: Shapes, found: Training, layers: nn.Module) -> tuple[Any, float]:
        """Return the options to train with, and the operations of looking at all training maps for them."""
        options: list[Any] = []
        batches = self._batches()
        looked = _operations(shapes, lambda: options.append(found.prepare(layers, found.options, batches, 0)))
        return options[0], looked * self.maps.train / len(batches)

    def _decoder(self, layers: nn.Module, network: Settings) -> Decoder:
        layers.eval().requires_grad_(False)
        return Decoder(layers, 1.0, [str(c) for c in range(self.maps.classes)], network["name"])

    def _forward(self, layers: nn.Module, x: torch.Tensor) -> None:
        with torch.no_grad():
            layers(x)

    def _some(self, count: int) -> torch.Tensor:
        return torch.zeros(count, *self.maps.shape)

    def _batches(self) -> Batches:
        """Return training maps that take the memory of one number."""
        labels = [str(number % self.maps.classes) for number in range(READ)]
        table = pd.DataFrame({"sample": range(READ), "subject": "", "label": labels, "condition": labels})
        blank = np.broadcast_to(np.float32(0), (READ, *self.maps.shape))
        return Batches(Volumes([blank], table), sorted(set(labels), key=int), self._place, resident=False)

    def _context(self) -> Context:
        return Context(0, self._batches(), torch.zeros(self.maps.shape), -3.0, 3.0)


def repeated(name: str, options: Any, of: Callable[[Any], Counted]) -> Counted:
    """Return what is counted with the options; of what repeats itself two and three times, and the rest by these.

    Each time takes the same operations, and from the second on the same memory.

    Parameters
    ----------
    name : str
        Of the method.
    of : callable
        Options -> what is counted with them.
    """
    key = REPEATED.get(name)
    times = getattr(options, key) if key else 0
    if not key or times <= TWICE + 1:
        return of(options)
    two, three = (of(options.model_copy(update={key: count})) for count in (TWICE, TWICE + 1))
    more = (times - TWICE) * (three.operations - two.operations)
    return Counted(max(two.peak, three.peak), two.operations + more, three.at_once)


def _operations(shapes: Shapes, work: Callable[[], object]) -> float:
    """Return the operations of something."""
    before = shapes.operations
    work()
    return shapes.operations - before


def held(maps: Maps, splits: Sequence[str], size: int, card: float) -> int:
    """Return the bytes of the maps that a card holds beside a job's peak (see `truemap.networks._batches.Batches`).

    Parameters
    ----------
    splits : sequence of str
        In the order in which a job asks for them.
    size : int
        Bytes of a stored number.
    card : float
        Bytes.
    """
    total = 0
    for split in splits:
        own = getattr(maps, split) * math.prod(maps.shape) * size
        total += own if own < DEVICE_SHARE * (card - total) else 0
    return total


def maps_of(samples: pd.DataFrame, shape: Sequence[int], explained: int | None) -> Maps:
    """Return what is known of maps once there are samples and a grid.

    Parameters
    ----------
    samples : DataFrame
        ``subject, label, split`` of each map.
    explained : int or None
        Maps that are explained of each subject and class, at most; None: all.
    """
    count, tested = samples["split"].value_counts(), samples[samples["split"] == "test"]
    classes = samples.loc[samples["split"] == "train", "label"].nunique()
    each = tested.groupby(["subject", "label"]).size().clip(upper=explained)
    train, validation, test = (int(count.get(split, 0)) for split in ("train", "validation", "test"))
    together = each.groupby("subject").sum().max() if len(each) else 0
    return Maps(tuple(shape), classes, train, validation, test, int(each.sum()), int(together))


def check_fits(settings: Settings, counter: Counter, card: float) -> None:
    """Refuse models of which a job cannot fit on a card, whatever is done for it.

    Counted is the least: a training's own minibatch; of what goes in parts, which are halved where memory is too small,
    one map. Maps that the card may hold beside are not in it, nor what kernels take for themselves.

    Parameters
    ----------
    settings : mapping
        Of `truemap.plan.settings.train.TrainSettings.networks`.
    card : float
        Bytes.

    Raises
    ------
    DataError
        With the model, what it needs, and what can be done.
    """
    for name, model in settings["models"].items():
        for what, count, help_ in _least(model, settings["robustness"]["attacks"], counter):
            if (counted := tried(count)) is None or counted.peak <= card:
                continue
            raise DataError(
                f"model {name}: {what} takes at least {counted.peak / 1e9:.1f} GB (maps at a time: {counted.at_once}), "
                f"the card has {card / 1e9:.1f}. {help_}, or `downsample`; or take a larger card."
            )


def _least(model: Settings, attacks: Settings, counter: Counter) -> Iterator[tuple[str, Callable[[], Counted], str]]:
    """Yield the jobs of a model in words, how each is counted at its least, and what helps."""
    network, alone, smaller = model["network"], 0.0, "Take a smaller network (filters, pool_stride)"
    if training := model["training"]:
        batch = "Set its `micro_batch` (1 takes least), a smaller `batch_size` or network (filters, pool_stride)"
        yield f"training ({training['name']})", partial(counter.training, network, training), batch
    yield "predicting", partial(counter.predicting, network, alone), smaller
    for label, chosen in model["saliency"].items():
        yield f"explaining ({label})", partial(counter.explaining, network, chosen["method"], alone), smaller
    for label, attack in attacks.items():
        yield f"the attack {label}", partial(counter.attacking, network, attack, 1, alone), smaller


def tried(count: Callable[[], Counted]) -> Counted | None:
    """Return what is counted; None, with a line in the log, where that cannot be done without numbers."""
    try:
        return count()
    # What asks for numbers fails in a way of its own; that a job is not counted is no reason to refuse it.
    except Exception as error:
        log.info("not counted without numbers: %s: %s", type(error).__name__, " ".join(str(error).split())[:160])
        return None
