"""NsLoss (Moshe et al.): a penalty on how much random noise changes the activations of the units."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from truemap.files import DataError
from truemap.options import Count, Grid, Positive, TrainingOptions
from truemap.training.objective import loss, norms
from truemap.training.objective import radius as norm_bound
from truemap.training.sphere import unit_vectors


class Options(TrainingOptions):
    """Cross-entropy plus the mean change of activations under noise, in units of the noise's length."""

    strength: Grid[Positive] = Field(
        1.0,
        description="weight of the penalty (lambda; 100 and 9.5 in the paper, which starts its search at log2(classes) "
        "over the NsLoss of a standard network)",
    )
    epsilon: Positive = Field(
        0.05,
        description="length of the noise; the paper's 20 is 0.05 of the norm of a z-scored 224 x 224 x 3 image",
    )
    epsilon_unit: Literal["norm", "voxel", "absolute"] = Field(
        "norm",
        description="norm: the L2 length is epsilon times the norm of the map; voxel: epsilon times sqrt(voxels); "
        "absolute: it is epsilon",
    )
    draws: Count = Field(5, description="N: draws of noise a minibatch; 5 in the paper")
    layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="ReLU layers whose units count, 0 the one nearest to the map; an empty list is all of them"
    )
    logits: bool = Field(True, description="count the logits as one more layer (section 4.3 of the paper)")


def activations(
    network: nn.Module, x: torch.Tensor, layers: list[int], logits: bool
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return the logits, and the activations ``(n, ...)`` of each layer that counts.

    Raises
    ------
    DataError
        If the network has no such layer, or none at all counts.
    """
    relus = [module for module in network.modules() if isinstance(module, nn.ReLU)]
    if any(number >= len(relus) for number in layers) or not (relus or logits):
        raise DataError(
            f"nsloss: the network has {len(relus)} ReLU layers, counted from 0; `layers` asks for {layers or 'all'}"
        )
    found: list[torch.Tensor] = []
    chosen = [relus[number] for number in sorted(set(layers))] if layers else relus
    hooks = [module.register_forward_hook(lambda _module, _inputs, out: found.append(out)) for module in chosen]
    try:
        out = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return out, [*found, out] if logits else found


def lengths(x: torch.Tensor, epsilon: float, unit: str) -> torch.Tensor:
    """Return the length of each map's noise, shaped like `norms`."""
    return epsilon * norms(x) if unit == "norm" else torch.full_like(norms(x), norm_bound(epsilon, unit, x[0].numel()))


def sensitivity(clean: list[torch.Tensor], noisy: list[torch.Tensor], radii: torch.Tensor) -> torch.Tensor:
    """Return NsLoss for one draw of noise: the sum over layers of the mean of |a(x) - a(x + d)| / ||d||.

    A map without noise (a map of zeros) counts as 0.
    """
    rates = torch.where(radii > 0, 1 / radii, 0.0).flatten()
    return sum((rates * (a - b).abs().flatten(1).mean(1)).mean() for a, b in zip(clean, noisy, strict=True))


def update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: torch.Tensor,
    y: torch.Tensor,
    options: Options,
    random: torch.Generator,
) -> float:
    """Update the weights for one minibatch; return the loss, penalty included.

    L = CE + strength * NsLoss (eq. 3 of the paper) with, for layer i of |M_i| units j, maps m and draws k,
    NsLoss = sum_i 1/|M_i| sum_j mean_mk |a_ij(x_m) - a_ij(x_m + d_mk)| / ||d_mk||,  d uniform on the sphere.

    Equations 6 and 7 divide by a unit's mean activation and then multiply by it; here it is cancelled, so
    that a unit that is 0 on the whole minibatch adds 0 and not 0/0. Each draw is differentiated by itself:
    memory is that of two forward passes whatever the number of draws.
    """
    optimizer.zero_grad()
    logits, clean = activations(network, x, options.layers, options.logits)
    leaves = [a.detach().requires_grad_(True) for a in clean]
    radii, penalty = lengths(x, options.epsilon, options.epsilon_unit), 0.0
    for _ in range(options.draws):
        noise = radii * unit_vectors(x, random)
        _, noisy = activations(network, x + noise, options.layers, options.logits)
        term = options.strength / options.draws * sensitivity(leaves, noisy, radii)
        term.backward()
        penalty += term.item()
    value = loss(network, logits, y, options.l2)
    torch.autograd.backward([value, *clean], [None, *(leaf.grad for leaf in leaves)])
    optimizer.step()
    return value.item() + penalty
