"""Random points of the unit sphere, for methods whose noise is random."""

from __future__ import annotations

import torch

from truemap.training.objective import direction


def unit_vectors(like: torch.Tensor, random: torch.Generator) -> torch.Tensor:
    """Return one vector of L2 norm 1 for each row of `like`, uniform on the sphere, shaped like it.

    g / ||g|| with g ~ N(0, I) (Muller 1959), drawn on the CPU so that each device sees the same noise.
    """
    return direction(torch.randn(like.shape, generator=random).to(like))
