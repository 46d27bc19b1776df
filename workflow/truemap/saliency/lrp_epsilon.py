"""Layer-wise relevance propagation, epsilon rule (Bach et al. 2015, eq. 58)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import MethodOptions, Positive
from truemap.networks._decoder import Decoder
from truemap.networks._structure import LINEAR, RESHAPING, sequence
from truemap.saliency._context import Context
from truemap.saliency._outputs import output_values


class Options(MethodOptions):
    """The rule's denominator; explains logits."""

    epsilon: Positive = Field(
        1e-6, description="added to each unit's sum of contributions; a large one keeps the strong explanations only"
    )
    bias: bool = Field(
        True,
        description="true: a unit's sum holds its bias, which absorbs relevance, as captum and zennit do; "
        "false: relevance is conserved",
    )
    signed_epsilon: bool = Field(
        True,
        description="true: epsilon has the sign of the sum it is added to and never cancels it, as in Bach et al. "
        "2015; false: it is always positive",
    )

    def traits(self) -> set[str]:
        """Each voxel's share of the output, beside a map of zeros."""
        return {"attribution", "zero"}

    def needs(self) -> set[str]:
        """Layers for which the method has a rule."""
        return {"sequence"}


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return how each logit divides among the voxels.

    .. math:: R_i = \\sum_k \\frac{a_i w_{ik}}{z_k + \\epsilon \\, \\mathrm{sign}(z_k)} R_k,
              \\quad z_k = \\sum_i a_i w_{ik} + b_k

    from the last layer, where :math:`R_c` is the logit of class c and the others are zero, to the input.
    ReLUs pass relevance on; average pools are linear layers. sign(0) is 1. One forward and one
    backward pass a class, in float64: a unit's sum may be near zero, and what float32 leaves of it is then mostly
    rounding (a map of a trained cnn3d was off by up to 2 %).

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples, context
        Not used: nothing is drawn.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64

    Raises
    ------
    ValueError
        If the network is not a sequence of layers for which the rule is defined.
    """
    with torch.enable_grad():
        logits, steps = _forward(sequence(decoder.network, "lrp_epsilon"), x.double())
        relevance = torch.diag_embed(logits)
        while steps:
            layer, a, z = steps.pop()
            if isinstance(layer, LINEAR):
                relevance = _epsilon_rule(layer, a, z, relevance, options)
            elif isinstance(layer, RESHAPING):
                relevance = _passed_back(z, a, relevance)
    return relevance


def residual(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], maps: torch.Tensor, options: Options, context: Context
) -> torch.Tensor:
    """Return by how much each map misses conservation, its sum being the logit.

    With ``bias=True`` it is, with the sign changed, what the biases absorb: no error, and not small. Without, it is
    what epsilon absorbs.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    maps : Tensor, shape (n, classes, *shape)
        From `explain` with the same arguments.

    Returns
    -------
    Tensor, shape (n, classes), float64
        Sum of the map less the logit.
    """
    return maps.flatten(2).sum(dim=2) - output_values(decoder, x, "logit")


def _forward(
    layers: list[nn.Module], x: torch.Tensor
) -> tuple[torch.Tensor, list[tuple[nn.Module, torch.Tensor, torch.Tensor]]]:
    """Return the logits, and each layer in float64 with its input and output; every layer is a graph of its own."""
    steps = []
    for layer in (copy.deepcopy(layer).double() for layer in layers):
        a = x.detach().requires_grad_(True)
        # An inplace ReLU must not overwrite the output of the layer before it, of which the rule needs the sum.
        x = a.clamp(min=0) if isinstance(layer, nn.ReLU) else layer(a)
        steps.append((layer, a, x))
    return x.detach(), steps


def _epsilon_rule(
    layer: nn.Module, a: torch.Tensor, z: torch.Tensor, relevance: torch.Tensor, options: Options
) -> torch.Tensor:
    """Return the relevance of a linear layer's inputs, shape (n, classes, *inputs).

    Parameters
    ----------
    a, z : Tensor, shape (n, *inputs) and (n, *outputs)
    relevance : Tensor, shape (n, classes, *outputs)
    """
    total = z.detach()
    bias = getattr(layer, "bias", None)
    if bias is not None and not options.bias:
        total = total - bias.detach().view(1, -1, *[1] * (z.ndim - 2))
    sign = torch.where(total < 0, -1.0, 1.0) if options.signed_epsilon else 1.0
    return a.detach()[:, None] * _passed_back(z, a, relevance / (total + sign * options.epsilon)[:, None])


def _passed_back(z: torch.Tensor, a: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return the product of each class's shares, (n, classes, *outputs), with the derivative of a layer's outputs."""
    count = shares.shape[1]
    parts = [torch.autograd.grad(z, a, shares[:, c], retain_graph=c < count - 1)[0] for c in range(count)]
    return torch.stack(parts, dim=1)
