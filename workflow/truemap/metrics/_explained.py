"""Explained maps, and what metrics may ask of what explained them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from truemap.networks._decoder import Decoder
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._draws import generators
from truemap.saliency._outputs import output_values


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
    maps : Tensor, shape (n, classes, voxels), float64
        As the way to explain gives them, not at unit peak.
    untrained : callable
        Seed -> the decoder's network as it was before training, with that seed.
    """

    decoder: Decoder
    saliency: Saliency
    context: Context
    inside: torch.Tensor
    x: torch.Tensor
    samples: Sequence[int]
    targets: torch.Tensor
    maps: torch.Tensor
    untrained: Callable[[int], nn.Module]

    @property
    def own(self) -> torch.Tensor:
        """The maps that are measured, those of the samples' own classes, shape (n, voxels)."""
        return self.of_targets(self.maps)

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

        Draws of the way to explain are the same again: they hang on seed and sample.
        """
        saliency, x = saliency or self.saliency, self.x if x is None else x
        given = saliency.options, context or self.context
        maps = saliency.explain(decoder or self.decoder, x, self.samples, *given)
        return self.of_targets(maps)[:, self.inside]

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return the output that is explained, of the samples' own classes, shape (n,), float64.

        The calibrated probability or the logit, as the way to explain has it in its options; without such an option
        it explains logits.
        """
        return self.of_targets(output_values(self.decoder, x, getattr(self.saliency.options, "output", "logit")))

    @torch.no_grad()
    def log_probabilities(self, x: torch.Tensor) -> torch.Tensor:
        """Return the logarithm of the calibrated probability of the samples' own classes, shape (n,), float64."""
        return self.of_targets(torch.log_softmax(self.decoder.network(x).double() / self.decoder.temperature, dim=1))

    def moved(self, by: torch.Tensor) -> torch.Tensor:
        """Return the inputs with `by`, shape (n, voxels), added to the voxels of the mask."""
        x = self.x.clone()
        x[:, self.inside] += by.to(x)
        return x

    def draws(self, metric: str) -> list[torch.Generator]:
        """Return each sample's generator: the same for every way to explain, so that all meet the same draws."""
        return generators(self.context, f"metrics {metric}", self.samples)
