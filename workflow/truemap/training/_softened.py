"""A softened decoder, trained on from the weights of the decoder (Ghorbani et al. 2019, appendix A)."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import torch

from truemap.config.names import OF_RELUS
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError
from truemap.training._checkpoint import Checkpoint
from truemap.training._contract import Training
from truemap.training._loop import fit


def retrained(
    decoder: Decoder,
    beta: float,
    method: Training,
    training: Batches,
    validation: Batches,
    seed: int,
    epochs: int,
    checkpoint: Checkpoint | None = None,
) -> tuple[Decoder, pd.DataFrame]:
    """Return the decoder with softplus units, trained for some epochs, and the history of that.

    The temperature stays that of the decoder: no logit hangs on it.

    Parameters
    ----------
    beta : float
        See `truemap.networks._soft.softened`.
    method : Training
        As the decoder was trained; its number of epochs is replaced.
    epochs : int
        More passes over the training data.
    checkpoint : Checkpoint, optional
        See `truemap.training._loop.fit`.

    Raises
    ------
    DataError
        If the training counts ReLU layers (`OF_RELUS`): it would find none and be another one, unsaid.
    """
    if method.name in OF_RELUS:
        raise DataError(
            f"{method.name}: counts nn.ReLU layers, of which a softened network has none. Train it on with `standard`, "
            "and say so."
        )
    soft = softened(decoder, beta)
    for_a_while = replace(method, options=method.options.model_copy(update={"epochs": epochs}))
    # For units that draw, such as dropout.
    torch.manual_seed(derive_seed(seed, "softened"))
    soft.network.requires_grad_(True)
    history = fit(soft.network, for_a_while, training, validation, derive_seed(seed, "softened"), checkpoint)
    soft.network.requires_grad_(False)
    return soft, history
