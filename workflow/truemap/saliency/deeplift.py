"""DeepLIFT, rescale rule (Shrikumar, Greenside & Kundaje 2017, section 3.5.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.networks._structure import known, relu_layers, replaced
from truemap.saliency._context import Context
from truemap.saliency._differentiable import MapsOf
from truemap.saliency._outputs import incompleteness, logit_gradients


class Options(MethodOptions):
    """Baseline; explains logits."""

    baseline: Literal["zero", "mean"] = Field(
        "zero", description="what the map is compared with: a map of zeros, or the mean of the training maps"
    )

    def traits(self) -> set[str]:
        """Each voxel's share of the output, beside the baseline."""
        return {"attribution", self.baseline}

    def needs(self) -> set[str]:
        """ReLUs and nothing else that bends: pools of largest values and other activations have no rule here."""
        return {"affine but for relu"}


class RescaledReLU(torch.autograd.Function):
    """A ReLU that passes back times the slope between its input and the baseline's."""

    @staticmethod
    def forward(context: Any, a: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
        """Return max(a, 0)."""
        context.save_for_backward(a, start)
        return a.clamp(min=0)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """Return the gradient times the multiplier."""
        a, start = context.saved_tensors
        return gradient * _slope(a, start), None


def _slope(a: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Return a ReLU's slope between two inputs."""
    delta = a - start
    # Between 0 and 1 however small the difference: only 0 / 0 needs the derivative instead.
    apart = torch.where(delta == 0, 1, delta)
    return torch.where(delta == 0, (a > 0).to(a), (a.clamp(min=0) - start.clamp(min=0)) / apart)


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return how the difference of each logit from the baseline's divides among the voxels.

    .. math:: M_c(x) = (x - x_0) \\odot m_c, \\quad m_{i} = \\sum_k m_k w_{ik}
              \\text{ at linear layers}, \\quad
              m_{i} = m_k \\frac{\\max(a_i, 0) - \\max(a^0_i, 0)}{a_i - a^0_i} \\text{ at ReLUs}

    where a is a ReLU's input, :math:`a^0` the same for the baseline :math:`x_0`, and the multiplier m is 1
    at logit c. Average pools are linear layers. One forward pass of the maps and the baseline, one backward
    pass a class.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples
        Not used: nothing is drawn.
    context : Context
        Of it only the mean.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64

    Raises
    ------
    ValueError
        If nobody looked at the network, and it is not a sequence of layers for which the rule is defined.
    """
    known(decoder, "deeplift")
    return contributions(decoder.network, x, _baseline(x, options, context))


def contributions(network: nn.Module, x: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Return the maps of `explain`: maps and baselines go through the network as one batch.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    start : Tensor, shape (n, *shape) or (1, *shape)
        Baseline of each map, or of all.
    """
    size = len(x)

    def rescaled(a: torch.Tensor) -> torch.Tensor:
        below = a[size:]
        return torch.cat([RescaledReLU.apply(a[:size], below), below.clamp(min=0)])

    def forward(a: torch.Tensor) -> torch.Tensor:
        return network(torch.cat([a, start]))[:size]

    with replaced(relu_layers(network), rescaled):
        return (x - start).double()[:, None] * logit_gradients(forward, x)


def residual(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Options, context: Context
) -> torch.Tensor:
    """Return by how much each map misses summation to delta, its sum being z_c(x) - z_c(x_0).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same arguments.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the difference of the logits; 0 but for rounding.
    """
    return incompleteness(decoder, x, [_baseline(x, options, context)], maps, "logit")


def _baseline(x: torch.Tensor, options: Options, context: Context) -> torch.Tensor:
    """Return the baseline of all maps, shape (1, *shape)."""
    return context.mean.to(x)[None] if options.baseline == "mean" else torch.zeros_like(x[:1])


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated.

    The multipliers hang on the input through what ReLUs get, and that moves with the network's true derivative, not
    with the multipliers: to differentiate the backward pass of `RescaledReLU` again would mix the two. So one pass
    gives the slopes with their graph, and a second one, of a network that the slopes make linear, the multipliers of
    voxels. A slope between different sides of a kink bends with the input: ReLUs need nothing smooth in their place.
    """
    known(decoder, "deeplift")
    start = _baseline(x, options, context)

    def maps(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad() if inputs.requires_grad else torch.no_grad():
            slopes = _slopes(network, inputs, start.to(inputs))
        with torch.enable_grad():
            at = inputs.detach().requires_grad_(True)
            with replaced(relu_layers(network), lambda a: a * next(slopes)):
                own = network(at).gather(1, targets[:, None])
            (multipliers,) = torch.autograd.grad(own.sum(), at, create_graph=inputs.requires_grad)
        return (inputs - start.to(inputs)).double() * multipliers

    return maps


def _slopes(network: nn.Module, x: torch.Tensor, start: torch.Tensor) -> Iterator[torch.Tensor]:
    """Return the slope of each ReLU between what it gets for maps and for the baseline, in the order of calls."""
    found: list[torch.Tensor] = []

    def noted(a: torch.Tensor) -> torch.Tensor:
        found.append(_slope(a[: len(x)], a[len(x) :]))
        return a.clamp(min=0)

    with replaced(relu_layers(network), noted):
        network(torch.cat([x, start]))
    return iter(found)


#: Slopes bend with the input where a ReLU is on for the map and off for the baseline, or the other way round.
curved = True
