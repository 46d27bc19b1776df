"""Anchors: maps of known content, which are measured and compared with the truth as if they explained a network.

What a measure says of these maps shows what the measure is worth, whatever it says of ways to explain. Beside the
dataset's references (noise, the input, its edges, the group's truth) the anchors are:

``truth at r=…``
    The data's truth of the map, without the map where there are subjects, mixed with noise so that the correlation over
    the voxels that agreement is computed over is the one stated. A measure that cannot order them does not see the
    data's truth, even where nothing else differs.
``network at r=…``
    The same of what the network does: the Shapley value of each region, spread evenly over its voxels, and noise over
    regions, so that the criterion `network` is the one stated. A measure of faithfulness should order these.
``truth of another class``
    The informative truth of the next class by name.
``untrained network``
    The map of the network as it was before training, by the model's first way to explain.
``network of permuted labels``
    The same of the network's twin, where a metric asks for one (`truemap.metrics.label_permutation`); how much of the
    labels it has learnt stands in statistics/permutation.tsv.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.config.names import ATTRIBUTION, DEGRADED, GRADIENT, OF_DATA, OF_NETWORK
from truemap.config.options import MethodOptions
from truemap.data.background import Background, read_background
from truemap.data.conditions import in_set, set_shown
from truemap.data.volumes import read_volumes
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import OwnMaps
from truemap.metrics._contract import Senseless
from truemap.metrics._explained import Twin
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, load_decoder
from truemap.numerics import derive_seed
from truemap.references._contract import Reference
from truemap.runtime.files import read_json
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

UNTRAINED, PERMUTED, OTHER_CLASS = "untrained network", "network of permuted labels", "truth of another class"
FIXED = "the map is not made from the input: it cannot change with it"
FOREIGN = "the map is not made by this network: it cannot change with it, or with how a network is explained"
#: Rows, their inputs (n, *shape) -> maps (n, classes, *shape), float64.
Make = Callable[[pd.DataFrame, torch.Tensor], torch.Tensor]


class OfTruth(MethodOptions):
    """What a truth of the data says of a voxel: what its change would change."""

    def traits(self) -> set[str]:
        """As the weights of a template."""
        return {GRADIENT}


class OfRegions(MethodOptions):
    """What a voxel contributes to its region's share of the output."""

    def traits(self) -> set[str]:
        """As its Shapley value."""
        return {ATTRIBUTION}


def mixed(values: np.ndarray, noise: np.ndarray, r: float) -> np.ndarray:
    """Return rows whose correlation with those of `values` is r, exactly, with their mean and their variance.

    r v + sqrt(1 - r^2) n, with n the part of the noise that does not correlate with v. A constant row stays.

    Parameters
    ----------
    values, noise : ndarray, shape (rows, n)
        At least three columns.
    """
    mean = values.mean(axis=1, keepdims=True)
    v, n = values - mean, noise - noise.mean(axis=1, keepdims=True)
    square = (v * v).sum(axis=1, keepdims=True)
    some = square > 0
    n = n - v * np.divide((n * v).sum(axis=1, keepdims=True), square, out=np.zeros_like(square), where=some)
    n *= np.sqrt(square) / np.sqrt((n * n).sum(axis=1, keepdims=True))
    return np.where(some, mean + r * v + np.sqrt(1 - r**2) * n, values)


@dataclass(frozen=True)
class Anchor:
    """An anchor in the form of a way to explain, so that metrics can ask it for maps.

    Attributes
    ----------
    make : callable
        Makes the maps.
    known : Known
    """

    make: Make
    known: Known

    def explain(
        self, decoder: Decoder, x: torch.Tensor, samples: list[int], options: MethodOptions, context: Context
    ) -> torch.Tensor:
        """Return the maps, as `truemap.saliency._contract.Explain`.

        Raises
        ------
        Senseless
            If a metric asks how the map changes with something that it is not made from.
        """
        known = self.known
        if decoder.network is not known.decoder.network or context.seed != known.context.seed:
            raise Senseless(FOREIGN)
        places = known.places(samples)
        rows, own = known.batches.volumes.table.iloc[places], known.batches.get(torch.from_numpy(places))[0]
        found = self.make(rows, x)
        # A map that is made from the input is another one for the input turned round.
        if not torch.equal(x, own) and torch.equal(self.make(rows, own), self.make(rows, own.flip(1))):
            raise Senseless(FIXED)
        return found


@dataclass(frozen=True)
class Known:
    """A network, the maps that it is asked about, and what is known of them: all that anchors are made from.

    Attributes
    ----------
    given : ScoreInputs
    background : Background
    conditions : str
        The condition set whose truth it is.
    decoder, batches, context
        As ways to explain get them; `batches` are of the volumes of `given`.
    network : NetworkTruth or None
    memory : float
        See `truemap.saliency._writer.chunk_size`.
    """

    given: ScoreInputs
    background: Background
    conditions: str
    decoder: Decoder
    batches: Batches
    context: Context
    network: NetworkTruth | None
    memory: float

    @classmethod
    def read(cls, files: Any, settings: Mapping[str, Any], device: torch.device) -> Known:
        """Read all of it from the inputs of rule ``anchors``, as its settings say."""
        given, description = ScoreInputs.read(files, settings), read_json(files.description)
        decoder = load_decoder(files.weights, description, device)
        background = read_background(files.background[0], *files.chosen, average=settings["average"])
        background = replace(background, shape=given.volumes.shape)
        training = read_volumes(files.train_maps, files.train_tables)
        context = Context.of(settings["seed"], training, decoder.classes, background, device)
        network = NetworkTruth.read(files, settings["network"]) if "network" in settings else None
        conditions = set_shown((name for _, name in given.truths), settings["conditions"])
        batches = Batches(given.volumes, decoder.classes, device)
        return cls(given, background, conditions, decoder, batches, context, network, settings["memory"])

    def places(self, samples: list[int]) -> np.ndarray:
        """Return the positions of samples among the test maps."""
        return pd.Index(self.given.volumes.table["sample"]).get_indexer(samples)

    def kept(self, places: np.ndarray) -> np.ndarray:
        """Return those of the test maps that have a truth in the set of conditions."""
        rows = self.given.volumes.table.iloc[places]
        known = [(subject, self.conditions) in self.given.truths for subject in rows["subject"]]
        return places[in_set(rows, self.conditions, self.given.chosen) & np.array(known)]

    def own(self, subject: str) -> OwnMaps | None:
        """Return a subject's own maps (None without subjects), which are kept until those of another are asked for."""
        if subject not in self._last:
            self._last.clear()
            self._last[subject] = self.given.own(subject)
        return self._last[subject]

    def anchors(
        self,
        references: Mapping[str, Reference],
        saliency: Saliency,
        untrained: Callable[[int], nn.Module],
        twin: Twin | None = None,
    ) -> list[Saliency]:
        """Return all anchors, in the order of tables.

        Parameters
        ----------
        references : mapping
            Label -> reference of the dataset.
        saliency : Saliency
            The way to explain the untrained network and the twin.
        untrained : callable
            Seed -> the network as it was before training.
        twin : Twin, optional
            The network that was trained on permuted labels, however much of them it has learnt.
        """
        others = {UNTRAINED: untrained(derive_seed(self.context.seed, "anchors", "untrained"))}
        if twin:
            others[PERMUTED] = twin.network
            log.info("the twin has learnt %.4f of its permuted labels", twin.accuracy)
        of_data, of_regions = OfTruth(), OfRegions()
        found: list[tuple[str, MethodOptions, Make]] = [
            *(
                (label, reference.options, partial(self._referred, reference))
                for label, reference in references.items()
            ),
            *((name, saliency.options, partial(self._of_network, other, saliency)) for name, other in others.items()),
            (OTHER_CLASS, of_data, self._other_class),
            *((f"{OF_DATA}{r:g}", of_data, partial(self._degraded, r)) for r in DEGRADED),
        ]
        if self.network:
            found += [(f"{OF_NETWORK}{r:g}", of_regions, partial(self._degraded_network, r)) for r in DEGRADED]
        return [Saliency(name, options, Anchor(make, self).explain) for name, options, make in found]

    # What maps are made of

    def _of_network(self, network: nn.Module, saliency: Saliency, rows: pd.DataFrame, x: torch.Tensor) -> torch.Tensor:
        """Return another network's maps of the same inputs."""
        decoder = replace(self.decoder, network=network)
        return saliency.explain(decoder, x, rows["sample"].tolist(), saliency.options, self.context)

    def _referred(self, reference: Reference, rows: pd.DataFrame, x: torch.Tensor) -> torch.Tensor:
        values = x.flatten(1).cpu().numpy()
        maps = reference.refer(rows, values, self.background, self.conditions, reference.options, self.context.seed)
        return self._tensor(maps, x)

    def _other_class(self, rows: pd.DataFrame, x: torch.Tensor) -> torch.Tensor:
        maps = np.zeros((len(rows), len(self._classes), x[0].numel()))
        for place, subject in enumerate(rows["subject"]):
            truth = self.given.truths[subject, self.conditions]
            for number in range(len(self._classes)):
                other = self._classes[(number + 1) % len(self._classes)]
                values, _ = truth.of(other, other)
                maps[place, number] = 0.0 if values is None else values
        return self._tensor(maps, x)

    def _degraded(self, r: float, rows: pd.DataFrame, x: torch.Tensor) -> torch.Tensor:
        maps = np.zeros((len(rows), len(self._classes), x[0].numel()))
        inside = slice(None) if self.given.inside is None else self.given.inside
        for place, row in enumerate(rows.itertuples()):
            truth, own = self.given.truths[row.subject, self.conditions], self.own(row.subject)
            truth = truth if own is None else own.leave_out(truth, self.conditions, row.sample)
            found = [truth.of(row.label, target)[0] for target in self._classes]
            values = np.stack([np.zeros(x[0].numel()) if one is None else one for one in found])[:, inside]
            maps[place][:, inside] = mixed(values, self._noise(row.sample).standard_normal(values.shape), r)
        return self._tensor(maps, x)

    def _degraded_network(self, r: float, rows: pd.DataFrame, x: torch.Tensor) -> torch.Tensor:
        of, maps = self.network, np.zeros((len(rows), len(self._classes), x[0].numel()))
        inside = of.regions.labels > 0
        for place, sample in enumerate(rows["sample"]):
            values = of.values.loc[[(sample, target) for target in self._classes]].to_numpy()
            shares = mixed(values, self._noise(sample).standard_normal(values.shape), r) / of.regions.voxels
            maps[place][:, inside] = shares[:, of.regions.labels[inside] - 1]
        return self._tensor(maps, x)

    def _noise(self, sample: int) -> np.random.Generator:
        """Return the generator of a sample's noise: the same for all steps, so that nothing but r differs."""
        return np.random.default_rng(derive_seed(self.context.seed, "anchors", int(sample)))

    def _tensor(self, maps: np.ndarray, x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(maps).to(x.device, torch.float64).view(len(x), -1, *x.shape[1:])

    @property
    def _classes(self) -> list[str]:
        return self.decoder.classes

    @cached_property
    def _last(self) -> dict[str, OwnMaps | None]:
        """The maps of one subject, that which was asked for last."""
        return {}
