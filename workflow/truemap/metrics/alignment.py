"""Whether a map looks like its input, and how far the input is from another class (Etmann et al. 2019)."""

from __future__ import annotations

import torch

from truemap.config.options import MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import lengths, peaks
from truemap.saliency._outputs import logit_gradients

ZERO = "the map is zero"
measures = (
    Measure("alignment", "higher", "Etmann et al. 2019, alignment", ZERO),
    Measure("alignment_cosine", "higher", "Etmann et al. 2019, alignment at unit length", f"{ZERO}, or the input"),
    Measure(
        "boundary_distance", "higher", "Etmann et al. 2019, linearised robustness",
        "the gradients of the likeliest class and of all others are equal",
    ),
)  # fmt: skip


class Options(MethodOptions):
    """`alignment`, `alignment_cosine`, `boundary_distance`: higher is better; no options."""


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return how far input and map align, and how far the nearest other class is by the logits' gradients.

    .. math:: \\frac{|\\langle x, m \\rangle|}{\\lVert m \\rVert}, \\quad
              \\frac{|\\langle x, m \\rangle|}{\\lVert x \\rVert \\lVert m \\rVert}, \\quad
              \\min_{j \\ne i} \\frac{z_i(x) - z_j(x)}{\\lVert \\nabla z_i(x) - \\nabla z_j(x) \\rVert}

    where i is the class with the largest logit: the distance holds for the prediction, right or wrong, and is the same
    for every way to explain. The paper finds that alignment grows with it. All of it in the mask.
    """
    own = explained.own / peaks(explained.own)
    x = explained.x[:, explained.inside].double()
    aligned = (x * own).sum(dim=1).abs() / lengths(own)
    gradients = logit_gradients(explained.decoder.network, explained.x)[:, :, explained.inside]
    with torch.no_grad():
        logits = explained.decoder.network(explained.x).double()
    top = logits.argmax(dim=1, keepdim=True)
    slopes = (gradients - gradients.gather(1, top[:, :, None].expand(-1, 1, gradients.shape[2]))).norm(dim=2)
    away = (logits.gather(1, top) - logits) / slopes
    # Of the class itself 0 / 0; another one with the same gradient is never reached.
    away = torch.where(slopes > 0, away, torch.inf).scatter(1, top, torch.inf).amin(dim=1)
    return {
        "alignment": aligned,
        "alignment_cosine": aligned / lengths(x),
        "boundary_distance": torch.where(away.isfinite(), away, torch.nan),
    }
