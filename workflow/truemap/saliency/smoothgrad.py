"""SmoothGrad: the gradient averaged over noisy copies of the map (Smilkov et al. 2017)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pydantic import Field

from truemap.networks.decoder import Decoder
from truemap.numerics import derive_seed
from truemap.options import Count, MethodOptions, Positive
from truemap.saliency.jacobian import probability_gradients


class Options(MethodOptions):
    """Gaussian noise on the input."""

    n: Count = Field(20, description="noisy copies a map; the paper's later version uses 20, the notebook 10")
    sigma: Positive = Field(
        2.0, description="sd of the noise, in units of the maps (z-scores); 2 for HCP, 0.3 synthetic"
    )


def explain(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, seed: int) -> torch.Tensor:
    """Return the mean over n draws of d p_c(x + noise) / d x, shape (n, classes, *shape), float64.

    A sample's noise comes from (seed, sample) alone, so that no batch size or order changes a map.
    """
    sources = [torch.Generator().manual_seed(derive_seed(seed, "smoothgrad", sample)) for sample in samples]
    total = torch.zeros(len(x), len(decoder.classes), *x.shape[1:], dtype=torch.float64, device=x.device)
    for _ in range(options.n):
        noise = torch.stack([torch.randn(x.shape[1:], generator=source) for source in sources]).to(x.device)
        total += probability_gradients(decoder.network, x + options.sigma * noise, decoder.temperature)
    return total / options.n
