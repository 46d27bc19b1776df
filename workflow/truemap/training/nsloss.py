"""NsLoss (Moshe et al. 2022): a penalty on how much random noise changes the activations of the units."""

from __future__ import annotations

import copy
import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import nn

from truemap.config.options import EPSILON_UNIT, Count, EpsilonUnit, Grid, Positive, TrainingOptions
from truemap.geometry import norms, unit_vectors
from truemap.geometry import radius as norm_bound
from truemap.networks._batches import Batches
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.runtime.log import log, progress
from truemap.training import standard
from truemap.training._objective import loss

#: Minibatches over which NsLoss_0 is averaged (section 4.4).
BATCHES = 10
#: Noise that bf16 can tell from its rounding: a share of a map's norm. It keeps 8 bits, .002 of a map of noise.
SHORTEST = 0.01


class Options(TrainingOptions):
    """Cross-entropy plus the mean change of activations under noise, in units of the noise's length."""

    strength: Grid[Positive] = Field(
        1.0,
        description="weight of the penalty (lambda; 100 and 9.5 in the paper, which starts its search at log2(classes) "
        "over the NsLoss of a standard network)",
    )
    strength_unit: Literal["absolute", "protocol"] = Field(
        "absolute",
        description="absolute: strength is lambda; protocol: it is a multiple of lambda_0 = log2(classes) / NsLoss_0 "
        "(section 4.4 of the paper). NsLoss_0 is the NsLoss of a standard model, the mean over 10 random minibatches: "
        "a copy of the network, first trained without penalty for as many epochs, which adds about 1 / (draws + 1) to "
        "the time (after one epoch it may still be several times too small). The paper's search in the decade of "
        "lambda_0 is a list such as [0.1, 0.316, 1.0, 3.16], and its stop (training cross-entropy at log2(classes)) "
        "the choice of the largest strength that costs no validation accuracy. The paper starts from a trained "
        "network; one that starts anew may learn nothing at lambda_0 itself",
    )
    epsilon: Positive = Field(
        0.05,
        description="length of the noise; the paper's 20 is 0.05 of the norm of a z-scored 224 x 224 x 3 image",
    )
    epsilon_unit: Literal["norm"] | EpsilonUnit = Field(
        "norm", description=f"norm: the L2 bound is epsilon times the norm of the map; {EPSILON_UNIT}"
    )
    draws: Count = Field(5, description="N: draws of noise a minibatch; 5 in the paper")
    layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="ReLU layers whose units count, 0 the one nearest to the map; an empty list is all of them"
    )
    logits: bool = Field(True, description="count the logits as one more layer (section 4.3 of the paper)")
    micro_batch: None = Field(None, description="none: the penalty is of the activations of a whole minibatch")

    def needs(self) -> set[str]:
        """The ReLUs that count; some, where logits do not."""
        return {f"relu {number + 1}" for number in self.layers} | (set() if self.logits else {"relu"})


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
    layers = zip(clean, noisy, strict=True)
    return sum(((rates * (a - b).abs().flatten(1).mean(1)).mean() for a, b in layers), start=torch.zeros(()).to(rates))


def standard_nsloss(network: nn.Module, options: Options, training: Batches, random: torch.Generator) -> float:
    """Return NsLoss_0: the mean over up to 10 minibatches of the NsLoss of a standard model (section 4.4).

    The paper draws them from training and validation data; here they are training maps only, so that validation data
    choose the strength and nothing else. The model is a copy of `network`, trained by `truemap.training.standard` for
    ``options.epochs``; `network` itself stays as it is.
    """
    network = copy.deepcopy(network).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    size = options.batch_size or len(training)
    for _ in progress(range(options.epochs), "epoch of the standard model"):
        for x, y in training.each(torch.randperm(len(training), generator=random).split(size)):
            standard.update(network, optimizer, x, y, options, random)
    network.eval()
    values = []
    with torch.no_grad():
        for x, _ in training.each(torch.randperm(len(training), generator=random).split(size)[:BATCHES]):
            radii = lengths(x, options.epsilon, options.epsilon_unit)
            _, clean = activations(network, x, options.layers, options.logits)
            for _ in range(options.draws):
                _, noisy = activations(network, x + radii * unit_vectors(x, random), options.layers, options.logits)
                values.append(sensitivity(clean, noisy, radii).item())
    return sum(values) / len(values)


def prepare(network: nn.Module, options: Options, training: Batches, seed: int) -> Options:
    """Return options whose strength is lambda, by the protocol of section 4.4 where that is its unit.

    lambda = strength * log2(classes) / NsLoss_0.

    Raises
    ------
    DataError
        If NsLoss_0 is not a positive number; or if bf16 would round by about as much as the noise is long.
    """
    if options.precision == "bf16":
        _check_longer_than_rounding(options, training)
    if options.strength_unit == "absolute":
        return options
    found = standard_nsloss(network, options, training, torch.Generator().manual_seed(derive_seed(seed, "nsloss")))
    if not (math.isfinite(found) and found > 0):
        raise DataError(
            f"nsloss: the NsLoss of a standard model is {found:g}, which gives no strength. Look for extreme values or "
            "maps of zeros, lower `learning_rate`, or set `strength_unit: absolute`."
        )
    unit = math.log2(len(training.labels.unique())) / found
    log.info("NsLoss_0 %.6g, lambda_0 %.6g, strength %.6g", found, unit, options.strength * unit)
    return options.model_copy(update={"strength": options.strength * unit, "strength_unit": "absolute"})


def _check_longer_than_rounding(options: Options, training: Batches) -> None:
    x, _ = training.get(torch.arange(1))
    share = (lengths(x, options.epsilon, options.epsilon_unit) / norms(x)).item()
    if share < SHORTEST:
        raise DataError(
            f"nsloss: the noise is {share:.2g} times as long as the first training map, and bf16 rounds a map by .002 "
            f"of its length. Set `precision: float32`, or an `epsilon` that makes it {SHORTEST:g} at least."
        )


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
