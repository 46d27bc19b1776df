"""A decoder with softplus units in place of its ReLUs: smooth, so that its saliency maps have derivatives."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import nn

from truemap.networks._decoder import Decoder
from truemap.networks._structure import known, relu_layers, require

#: What errors call it.
NAME = "softplus in place of ReLU"


def softened(decoder: Decoder, beta: float) -> Decoder:
    """Return a copy of a decoder whose every nn.ReLU is softplus, log(1 + exp(beta x)) / beta.

    The larger beta, the nearer: softplus exceeds ReLU by log(2) / beta at 0, and by less elsewhere. Weights and
    temperature are those of the decoder. A network without ReLUs comes back as it is, a copy. Pools of largest values
    and normalisations stay: the first have kinks, between which the copy is smooth.

    Parameters
    ----------
    beta : float
        In units of 1 / the ReLUs' inputs; 10 for z-scores (of this project's trials; the paper names none).

    Raises
    ------
    DataError
        If something other than nn.ReLU layers bends: a function (``F.relu``) would stay as it is, unseen.
    ValueError
        If nobody looked at the network, and it is not a sequence of known layers.
    """
    require(decoder, {"relu only"}, NAME)
    known(decoder, NAME)
    network = softened_network(decoder.network, beta)
    if not relu_layers(decoder.network):
        return replace(decoder, network=network)
    # What remains of what methods may rely on.
    traits = None if decoder.traits is None else decoder.traits & {"convolution"}
    return replace(decoder, network=network, traits=traits, others=(*decoder.others, "softplus"))


def softened_network(network: nn.Module, beta: float) -> nn.Module:
    """Return a copy of a network with softplus for each nn.ReLU, log(1 + exp(beta a)) / beta."""
    found = copy.deepcopy(network)
    for parent in found.modules():
        # Not `named_children`, which tells once of a module that has two names in its parent.
        for name, child in parent._modules.items():
            if isinstance(child, nn.ReLU):
                parent._modules[name] = nn.Softplus(beta)
    return found
