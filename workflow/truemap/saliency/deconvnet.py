"""Deconvolutional network (Zeiler & Fergus 2014, section 2.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from truemap.config.options import MethodOptions
from truemap.networks._decoder import Decoder
from truemap.networks._structure import known, relus, replaced
from truemap.saliency._context import Context
from truemap.saliency._outputs import logit_gradients


class Options(MethodOptions):
    """No options; explains logits, of networks with ReLUs only."""

    def traits(self) -> set[str]:
        """What a voxel's change would change."""
        return {"gradient"}

    def needs(self) -> set[str]:
        """No activation that the method has no rule for."""
        return {"relu", "relu only"}


class DeconvolutionReLU(torch.autograd.Function):
    """A ReLU that passes back what is positive, whatever its input was."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        """Return max(x, 0)."""
        return x.clamp(min=0)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Return max(gradient, 0)."""
        return gradient.clamp(min=0)


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each logit's gradient with a changed rule at the ReLUs.

    .. math:: R^{l}_i = \\mathbf{1}[R^{l+1}_i > 0] \\; R^{l+1}_i

    where R is what is passed back (figure 1 of Springenberg et al. 2015). Average pools pass back their
    gradient. After one hidden layer the map is the same for every input.

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
        If the network has no nn.ReLU; or nobody looked at it, and it is not a sequence of known layers.
    """
    known(decoder, "deconvnet")  # refuses F.relu, which no hook would reach
    with replaced(relus(decoder.network, "deconvnet"), DeconvolutionReLU.apply):
        return logit_gradients(decoder.network, x)
