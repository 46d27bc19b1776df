"""A smooth network in a decoder's place: maps of a network of ReLUs are constant between its kinks.

Ghorbani, Abid & Zou 2019, Algorithm 1, a footnote: attacks descend the maps of the same network with softplus in place
of each ReLU. What they come to is told by the decoder's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from truemap.networks._batches import Batches
from truemap.networks._chunks import Chunks, passing
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened
from truemap.networks._structure import relu_layers
from truemap.runtime.log import log

#: Beta is doubled so often at most: 4,096 times its start.
DOUBLINGS = 12


@dataclass(frozen=True)
class Surrogate:
    """What stands in a decoder's place.

    Attributes
    ----------
    network : nn.Module
        The decoder's own where nothing stands in its place.
    beta : float
        Of its softplus; NaN where it is the decoder's own.
    agreement : float
        Share of the maps whose predicted class is the decoder's; 1 where it is the decoder's own.
    """

    network: nn.Module
    beta: float
    agreement: float


@torch.no_grad()
def surrogate(decoder: Decoder, batches: Batches, rows: np.ndarray, beta: float, megabytes: float) -> Surrogate:
    """Return the softest copy, beta doubled from its start, that predicts the decoder's classes of all these maps.

    That is not the copy by which attacks go farthest: classes agree long before maps do, and a sharper one from a
    larger start may lead farther. Of a network without ReLUs the network itself. Where beta has been doubled
    `DOUBLINGS` times the last one is returned, and its agreement tells.

    Parameters
    ----------
    rows : ndarray of int
        Positions in ``batches.volumes``.
    beta : float
        The first one.
    megabytes : float
        See `truemap.networks._chunks.passing`.
    """
    if not relu_layers(decoder.network):
        return Surrogate(decoder.network, np.nan, 1.0)
    places = torch.as_tensor(np.asarray(rows, dtype=np.int64))
    size = passing(decoder.network, batches.get(places[:1])[0], megabytes)
    chunks = Chunks(min(size, batches.at_once()))

    def classes(network: nn.Module) -> torch.Tensor:
        return torch.cat(list(chunks.each(places, lambda part: network(batches.get(part)[0]).argmax(1))))

    known = classes(decoder.network)
    for number in range(DOUBLINGS + 1):
        value = beta * 2**number
        network = softened(decoder, value).network
        agreement = float((classes(network) == known).double().mean())
        if agreement == 1:
            break
    log.info(
        "softplus of beta %g predicts as the decoder does for %.1f %% of %d maps", value, 100 * agreement, len(rows)
    )
    return Surrogate(network, value, agreement)
