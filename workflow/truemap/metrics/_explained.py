"""Explained maps, and what metrics may ask of what explained them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import nn

from truemap.metrics._maps import lengths
from truemap.networks._decoder import Decoder, load_decoder
from truemap.runtime.files import read_json
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._draws import generators
from truemap.saliency._outputs import Output, output_values

#: By how much of its length a map may differ that was made without the other classes: rounding of float32.
SAME = 1e-5


class OtherRows(Exception):
    """A network that tells of one class a row was asked of other rows."""


class OwnClass(nn.Module):
    """A network that tells of one class alone: of each row of its input, its own.

    Parameters
    ----------
    network : nn.Module
    targets : Tensor of int, shape (n,) or (1,)
        Number of each row's class, or of that of all rows.
    temperature : float
    others : bool
        Whether there is a second logit, of all other classes together, T ln sum_j exp(z_j / T): the class's calibrated
        probability is then what it was.
    """

    def __init__(self, network: nn.Module, targets: torch.Tensor, temperature: float, others: bool) -> None:
        super().__init__()
        self.network, self.targets, self.temperature, self.others = network, targets, temperature, others

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, 1), or (n, 2), of maps (n, *shape).

        Raises
        ------
        OtherRows
            If there are more or fewer rows than classes.
        """
        if len(self.targets) not in (1, len(x)):
            raise OtherRows
        logits, places = self.network(x), self.targets.expand(len(x))[:, None]
        own = logits.gather(1, places)
        if not self.others:
            return own
        rest = logits.scatter(1, places, -torch.inf)
        together = self.temperature * torch.logsumexp(rest / self.temperature, dim=1, keepdim=True)
        return torch.cat([own, together], dim=1)


@dataclass(frozen=True)
class Twin:
    """The same network, trained on permuted labels.

    Attributes
    ----------
    network : nn.Module
    accuracy : float
        Share of these labels that it has learnt.
    """

    network: nn.Module
    accuracy: float

    @classmethod
    def read(cls, weights: str, description: str, device: torch.device) -> Twin:
        """Read what rule `permute` wrote."""
        known = read_json(description)
        return cls(load_decoder(weights, known, device).network, known["accuracy"]["permuted"])


@dataclass(frozen=True)
class Explained:
    """Samples that are measured together.

    Voxels are those of the mask, in one row; what a metric changes of an input it changes there.

    Attributes
    ----------
    decoder : Decoder
    saliency : Saliency
        The way to explain, with its options.
    context : Context
        Of the way to explain; metrics take the seed from it.
    inside : Tensor of bool, shape ``shape``
        The mask.
    x : Tensor, shape (n, *shape), float32
    samples : sequence of int
        Sample ids, for what is drawn.
    targets : Tensor of int, shape (n,)
        Number of the class whose map is measured: the sample's own.
    untrained : callable
        Seed -> the decoder's network as it was before training, with that seed.
    twin : Twin, optional
        Of metrics whose options are `truemap.config.options.TwinOptions`.
    """

    decoder: Decoder
    saliency: Saliency
    context: Context
    inside: torch.Tensor
    x: torch.Tensor
    samples: Sequence[int]
    targets: torch.Tensor
    untrained: Callable[[int], nn.Module]
    twin: Twin | None = None

    @cached_property
    def own(self) -> torch.Tensor:
        """The maps that are measured, those of the samples' own classes, shape (n, voxels), float64.

        As the way to explain gives them, not at unit peak.
        """
        return self.explain()

    @cached_property
    def maps(self) -> torch.Tensor:
        """The maps of all classes, shape (n, classes, voxels), float64."""
        found = self.saliency.explain(self.decoder, self.x, self.samples, self.saliency.options, self.context)
        return found[:, :, self.inside]

    def of_targets(self, values: torch.Tensor) -> torch.Tensor:
        """Return what is of the samples' own classes, shape (n, ...), of values of all, (n, classes, ...)."""
        return values[torch.arange(len(values), device=values.device), self.targets]

    def explain(
        self,
        x: torch.Tensor | None = None,
        decoder: Decoder | None = None,
        saliency: Saliency | None = None,
        context: Context | None = None,
    ) -> torch.Tensor:
        """Return the map of each sample's own class, shape (n, voxels), with something else in place of what was.

        Draws of the way to explain are the same again: they hang on seed and sample. Unless `saliency` is given, one
        class is explained where one is enough, which rounds otherwise.
        """
        x, decoder, context = self.x if x is None else x, decoder or self.decoder, context or self.context
        if saliency is None and self._alone:
            with suppress(OtherRows):
                return self._alone(self, x, decoder, context)
        saliency = saliency or self.saliency
        maps = saliency.explain(decoder, x, self.samples, saliency.options, context)
        return self.of_targets(maps)[:, self.inside]

    @cached_property
    def _alone(self) -> Callable[[Explained, torch.Tensor, Decoder, Context], torch.Tensor] | None:
        """How a class is explained without the others, if that gives its map: tried, as ways to explain do not say.

        On two samples, of two classes if there are two.
        """
        if len(self.decoder.classes) == 2:
            return None
        others = (self.targets != self.targets[0]).nonzero()[:, 0].tolist()
        two = [0, others[0] if others else len(self.x) - 1]
        ids = [self.samples[row] for row in two]
        some = replace(self, x=self.x[two], samples=ids, targets=self.targets[two])
        own = some.of_targets(some.maps)
        # Maps of zeros would tell nothing.
        if not lengths(own).any():
            return None
        for way in (Explained._at_once, Explained._class_by_class):
            # Of anybody's way to explain, and of some that look at the network's layers.
            with suppress(Exception):
                missed = way(some, some.x, some.decoder, some.context) - own
                if (lengths(missed) <= SAME * lengths(own)).all():
                    return way
        return None

    def _at_once(self, x: torch.Tensor, decoder: Decoder, context: Context) -> torch.Tensor:
        """Return what `explain` does with one backward pass, where all classes take one each."""
        return self._told(self.targets, x, self.samples, decoder, context)

    def _class_by_class(self, x: torch.Tensor, decoder: Decoder, context: Context) -> torch.Tensor:
        """Return the same, samples of one class together, for ways to explain that put rows of their own between."""
        found = torch.empty((len(x), int(self.inside.sum())), dtype=torch.float64, device=x.device)
        for number in self.targets.unique():
            rows = (self.targets == number).nonzero()[:, 0]
            samples = [self.samples[row] for row in rows.tolist()]
            found[rows] = self._told(number[None], x[rows], samples, decoder, context)
        return found

    def _told(
        self, targets: torch.Tensor, x: torch.Tensor, samples: Sequence[int], decoder: Decoder, context: Context
    ) -> torch.Tensor:
        """Return the maps that a network has which tells of these classes alone."""
        calibrated = self._output == "probability"
        alone = OwnClass(decoder.network, targets, decoder.temperature, calibrated)
        told = replace(decoder, network=alone, classes=["own", "others"] if calibrated else ["own"])
        maps = self.saliency.explain(told, x, samples, self.saliency.options, context)
        return maps[:, 0][:, self.inside]

    @property
    def _output(self) -> Output:
        return getattr(self.saliency.options, "output", "logit")

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output that is explained, of the samples' own classes, shape (n,), float64.

        The calibrated probability or the logit, as the way to explain has it in its options; without such an option
        it explains logits.
        """
        return self.of_targets(output_values(self.decoder, x, self._output))

    @torch.no_grad()
    def log_probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the calibrated probability of the samples' own classes, shape (n,), float64."""
        return self.of_targets(torch.log_softmax(self.decoder.network(x).double() / self.decoder.temperature, dim=1))

    def moved(self, by: torch.Tensor) -> torch.Tensor:
        """Return the inputs with `by`, shape (n, voxels), added to the voxels of the mask."""
        return self.x.flatten(1).index_add(1, self._voxels, by.to(self.x)).view_as(self.x)

    @cached_property
    def _voxels(self) -> torch.Tensor:
        """Where the voxels of the mask are in a map that is one row: indexed by the mask they are sought each time."""
        return self.inside.flatten().nonzero()[:, 0]

    def draws(self, metric: str) -> list[torch.Generator]:
        """Return each sample's generator: the same for every way to explain, so that all meet the same draws."""
        return generators(self.context, f"metrics {metric}", self.samples)
