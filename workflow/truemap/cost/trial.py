"""One model on noise, and the few steps that all its jobs are made of, timed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

from truemap.config.registry import method
from truemap.cost.stopwatch import Stopwatch
from truemap.data.background import Background
from truemap.data.grid import Grid
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.training._contract import Training
from truemap.training._objective import log_odds
from truemap.training._passes import computed_in

#: Maps that are explained, or meet a network, at a time, at most.
TOGETHER = 8
Settings = Mapping[str, Any]


@dataclass(frozen=True)
class Given:
    """What is known of a dataset before its networks are trained.

    Attributes
    ----------
    settings : mapping
        Of `truemap.plan.settings.train.TrainSettings.networks`.
    grid : Grid
    classes : list of str
    subjects : mapping
        Split -> its subjects.
    maps : mapping
        Split -> how many maps it has.
    explained : int
        Test maps that are explained.
    regions : sequence of str
        Names of the regions of which the network's truth is asked.
    start : float
        Seconds that each job takes before it does anything.
    """

    settings: Settings
    grid: Grid
    classes: list[str]
    subjects: Mapping[str, set[str]]
    maps: Mapping[str, int]
    explained: int
    regions: Sequence[str]
    start: float

    @classmethod
    def of(
        cls, samples: pd.DataFrame, grid: Grid, settings: Settings, start: float, regions: Sequence[str] = ()
    ) -> Given:
        """Return what `samples` (``subject, label, split`` of each map) tell, with the rest."""
        classes = sorted(samples.loc[samples["split"] == "train", "label"].unique())
        each = samples[samples["split"] == "test"].groupby(["subject", "label"]).size()
        explained = int(each.clip(upper=settings["explained"]).sum())
        subjects, maps = samples.groupby("split")["subject"].agg(set), samples["split"].value_counts()
        return cls(settings, grid, classes, dict(subjects), maps.to_dict(), explained, regions, start)

    def of_split(self, split: str, wanted: int | None) -> int:
        """Return how many maps of a split are taken where so many are wanted; None is all."""
        return min(wanted or self.maps[split], self.maps[split])

    def of_explained(self, wanted: int | None) -> int:
        """Return the same of the maps that are explained."""
        return min(wanted or self.explained, self.explained)

    def minibatch(self, model: Settings) -> int:
        """Return the maps of a minibatch; of what is trained already, one."""
        size = model["training"]["batch_size"] if model["training"] else 1
        return self.of_split("train", size)


@dataclass(frozen=True)
class Trial:
    """One model's network, on noise.

    Attributes
    ----------
    given : Given
    model : mapping
        The model's part of the settings.
    network : nn.Module
    batches : Batches
        Maps of noise.
    watch : Stopwatch
        One for all models.
    """

    given: Given
    model: Settings
    network: nn.Module
    batches: Batches
    watch: Stopwatch

    @property
    def memory(self) -> float:
        """MB that maps explained at a time may take."""
        return self.given.settings["memory"]

    def some(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return so many maps of noise and their classes."""
        return self.batches.get(torch.arange(count))

    def decoder(self) -> Decoder:
        """Return the network as ways to explain get it."""
        network = self.network.eval().requires_grad_(False)
        return Decoder(network, 1.0, self.given.classes, self.model["network"]["name"])

    def context(self) -> Context:
        """Return what ways to explain may know beside the network."""
        maps = self.batches.volumes
        flat = maps.parts[0].reshape(len(maps), -1)
        background = Background({}, {}, flat.mean(0), float(flat.min()), float(flat.max()))
        return Context.of(self.given.settings["seed"], maps, self.given.classes, background, self.batches.device)

    def forward(self) -> float:
        """Return the seconds in which the network answers one map."""
        self.network.eval()

        def forward(count: int) -> None:
            with torch.no_grad():
                self.network(self.some(count)[0])

        return self.watch.each(forward, TOGETHER, "forward", self.model["network"])

    def there_and_back(self) -> float:
        """Return the seconds that it takes with the gradient with respect to the map."""
        network = self.decoder().network

        def both(count: int) -> None:
            x, labels = self.some(count)
            x.requires_grad_(True)
            torch.autograd.grad(log_odds(network(x), labels).sum(), x)

        return self.watch.each(both, TOGETHER, "both", self.model["network"])

    def fitting(self, epochs: int | None = None, maps: int | None = None, held_out: int | None = None) -> float:
        """Return the seconds of one training; of other epochs and maps than the model's own if they are given."""
        one_pass = self.forward()
        maps, held_out = maps or self.given.maps["train"], held_out or self.given.maps["validation"]
        training = method("training", self.model["training"], Training)
        size, random = self.given.minibatch(self.model), torch.Generator().manual_seed(0)
        tried = min(size, len(self.batches))
        passing, prepared = computed_in(training.options.precision, self.network, training.options.micro_batch), []
        prepare = self.watch.once(lambda: prepared.append(training.prepare(passing, training.options, self.batches, 0)))
        optimizer = torch.optim.Adam(self.network.parameters(), lr=training.options.learning_rate)
        self.network.train()

        def update() -> None:
            training.update(passing, optimizer, *self.some(tried), prepared[0], random)

        # A minibatch that is too large to try is tried in part.
        epoch = math.ceil(maps / size) * self.watch.least(update) * size / tried + held_out * one_pass
        whole = prepare * maps / len(self.batches) + (epochs or training.options.epochs) * epoch
        return self.given.start + whole
