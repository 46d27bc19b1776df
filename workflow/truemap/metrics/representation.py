"""How far decoys leave a network's representation of a map (Lu et al. 2020, Figure 5)."""

from __future__ import annotations

import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.networks._structure import relu_layers
from truemap.saliency import decoy
from truemap.saliency._decoys import features, relative_difference

SOURCE = "Lu et al. 2020, Figure 5"
NO_DECOYS = "the way to explain has no decoys"
measures = (
    Measure("representation", "lower", SOURCE, f"{NO_DECOYS}, or the network no such ReLU layer"),
    Measure("representation_logits", "lower", SOURCE, NO_DECOYS),
)


class Options(MethodOptions):
    """Relative difference between a map's representation and its decoys', the mean over decoys, lower is better.

    `representation`: of a ReLU's features; `representation_logits`: of the logits, the last linear layer's. For
    `saliency: decoy` alone, whose options say which decoys; other ways to explain have null, with that reason.
    """

    layer: Count = Field(1, description="which ReLU's features are compared, counted from 1 at the input")


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return the mean over a map's decoys of the largest change of its representation, in units of its largest value.

    The map itself, which is among those that `saliency: decoy` explains, is not counted.
    """
    way, network = explained.saliency.options, explained.decoder.network
    found = {name: explained.x.new_full((len(explained.x),), torch.nan).double() for name in _NAMES}
    if not isinstance(way, decoy.Options):
        return found
    layers = {"representation_logits": lambda x: network(x)}
    if len(relu_layers(network)) >= options.layer:
        layers["representation"] = lambda x: features(network, x, options.layer)
    with torch.no_grad():
        own = {name: layer(explained.x) for name, layer in layers.items()}
        sums, count = {name: torch.zeros_like(found[name]) for name in layers}, 0
        for changed in decoy.population(explained.decoder, explained.x, way, explained.context):
            count += 1
            for name, layer in layers.items():
                sums[name] += relative_difference(own[name], layer(changed))
    return {**found, **{name: total / count for name, total in sums.items()}}


_NAMES = [measure.name for measure in measures]
