"""Epochs, minibatches and validation, the same for every training method."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.nn import functional

from truemap.config.registry import method
from truemap.networks._batches import Batches
from truemap.networks._decoder import build_network
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.runtime.log import NOTICE, log, progress
from truemap.training._checkpoint import Checkpoint
from truemap.training._contract import Training
from truemap.training._passes import at_once, computed_in


def fit(
    network: nn.Module,
    method: Training,
    training: Batches,
    validation: Batches,
    seed: int,
    checkpoint: Checkpoint | None = None,
) -> pd.DataFrame:
    """Train `network` in place with Adam; return the history.

    Parameters
    ----------
    method : Training
        Its `update` is called for each minibatch; before the first epoch `prepare` gives the options to train with.
    seed : int
        Of the order of minibatches and of all noise.
    checkpoint : Checkpoint, optional
        Where the state is kept after each epoch, and taken up from if a run was broken off.

    Returns
    -------
    DataFrame
        One row an epoch: ``epoch, loss, validation_nll, validation_accuracy``.

    Raises
    ------
    DataError
        If the loss or the validation likelihood is not finite.
    """
    # Before a checkpoint is restored: a resumed run then finds what the broken one found.
    passing = computed_in(method.options.precision, network, method.options.micro_batch)
    options = method.prepare(passing, method.options, training, seed)
    random = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=options.learning_rate)
    size, at_most = options.batch_size or len(training), at_once(options.model_dump())
    history = checkpoint.restore(network, optimizer, random) if checkpoint else []
    if history:
        log.log(NOTICE, "resumed after epoch %d", len(history))
    for epoch in progress(range(1, options.epochs + 1), "epoch", done=len(history)):
        network.train()
        losses = []
        for x, y in training.each(torch.randperm(len(training), generator=random).split(size)):
            losses.append(len(y) * method.update(passing, optimizer, x, y, options, random))
        network.eval()
        row = {"epoch": epoch, "loss": sum(losses) / len(training), **_validate(network, validation, at_most)}
        if not all(math.isfinite(value) for value in row.values()):
            raise DataError(
                f"training: the loss is not finite in epoch {epoch}. Lower `learning_rate`, `epsilon` or `strength`, "
                "or look for extreme values in the maps."
            )
        history.append(row)
        if checkpoint and epoch < options.epochs:
            checkpoint.save(network, optimizer, random, history)
    return pd.DataFrame(history)


def trained(
    settings: Mapping[str, Any],
    classes: int,
    training: Batches,
    validation: Batches,
    checkpoint: Checkpoint | None = None,
) -> tuple[nn.Module, pd.DataFrame]:
    """Build a network and train it; return it with its history.

    Parameters
    ----------
    settings : mapping
        ``network`` and ``training``, a method of the config each, and ``seed``: of the start, the order and all noise.
    others
        See `fit`.
    """
    torch.manual_seed(derive_seed(settings["seed"], "initialisation"))
    network = build_network(settings["network"], training.volumes.shape, classes).to(training.device)
    found, seed = method("training", settings["training"], Training), derive_seed(settings["seed"], "training")
    return network, fit(network, found, training, validation, seed, checkpoint)


def accuracy(network: nn.Module, maps: Batches, at_most: int | None) -> float:
    """Return the share of maps whose label a network gives; so many maps at a time at most."""
    return (maps.logits(network, at_most=at_most).argmax(1) == maps.labels).double().mean().item()


def _validate(network: nn.Module, validation: Batches, at_most: int | None) -> dict[str, Any]:
    # As many maps as in a step take less than it does. By `memory`, another one would train all again.
    logits = validation.logits(network, at_most=at_most)
    return {
        "validation_nll": functional.cross_entropy(logits, validation.labels).item(),
        "validation_accuracy": (logits.argmax(1) == validation.labels).double().mean().item(),
    }
