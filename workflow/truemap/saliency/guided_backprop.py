"""Guided backpropagation (Springenberg et al. 2015, section 3.4)."""

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


class GuidedReLU(torch.autograd.Function):
    """A ReLU that passes back what is positive, and only where its input was."""

    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        """Return max(x, 0)."""
        y = x.clamp(min=0)
        context.save_for_backward(y)
        return y

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Return max(gradient, 0) where x > 0, else 0."""
        (y,) = context.saved_tensors
        return gradient.clamp(min=0) * (y > 0)


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each logit's gradient with a changed rule at the ReLUs.

    .. math:: R^{l}_i = \\mathbf{1}[a^{l}_i > 0] \\; \\mathbf{1}[R^{l+1}_i > 0] \\; R^{l+1}_i

    where a is the input of a ReLU and R what is passed back (the paper's figure 1).

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
    known(decoder, "guided_backprop")  # refuses F.relu, which no hook would reach
    with replaced(relus(decoder.network, "guided_backprop"), GuidedReLU.apply):
        return logit_gradients(decoder.network, x)
