"""Guided Grad-CAM: guided backpropagation times Grad-CAM (Selvaraju et al. 2017, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from truemap.config.options import Count
from truemap.networks._decoder import Decoder
from truemap.saliency import grad_cam, guided_backprop
from truemap.saliency._context import Context
from truemap.saliency._outputs import OutputOptions


class Options(OutputOptions):
    """Output (logit in the paper) and layer of Grad-CAM, for 3D convolutions; the other part explains logits."""

    layer: Count | None = Field(
        None,
        description="which ReLU's feature maps, counted from 1 at the input; null is the last one with more than "
        "one voxel on every axis on which the input has more than one",
    )

    def traits(self) -> set[str]:
        """What a voxel's change would change."""
        return {"gradient"}

    def needs(self) -> set[str]:
        """Those of both methods."""
        return {"convolution", "relu", "relu only"} | ({f"relu {self.layer}"} if self.layer else set())


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return each class's guided backpropagation map times its Grad-CAM map.

    .. math:: M_c = G_c \\odot \\mathrm{upsample}\\Big(\\mathrm{ReLU}\\Big(\\sum_k \\alpha^c_k A^k\\Big)\\Big)

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
        If the network has no convolution, or no such layer.
    """
    where = grad_cam.explain(
        decoder, x, samples, grad_cam.Options(output=options.output, layer=options.layer, relu=True), context
    )
    return where * guided_backprop.explain(decoder, x, samples, guided_backprop.Options(), context)
