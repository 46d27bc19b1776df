"""What methods draw, from one generator a sample, so that neither batch size nor order changes a map."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from truemap.numerics import derive_seed
from truemap.saliency._context import Context


def generators(context: Context, method: str, samples: Sequence[int]) -> list[torch.Generator]:
    """Return each sample's generator, seeded with (seed, method, sample)."""
    return [torch.Generator().manual_seed(derive_seed(context.seed, method, sample)) for sample in samples]


def noise(sources: list[torch.Generator], x: torch.Tensor) -> torch.Tensor:
    """Return standard normal noise for each map, shape (n, *shape)."""
    return torch.stack([torch.randn(x.shape[1:], generator=source) for source in sources]).to(x.device)


def training_maps(
    context: Context, sources: list[torch.Generator], count: int, x: torch.Tensor
) -> Iterator[torch.Tensor]:
    """Return `count` draws of one training map for each map of `x`, each of shape (n, *shape).

    Which ones is drawn at once, with replacement; they are read one draw at a time.
    """
    rows = torch.stack([torch.randint(len(context.training), (count,), generator=source) for source in sources])
    return (context.training.get(draw)[0].to(x) for draw in rows.T)
