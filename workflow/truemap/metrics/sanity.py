"""Whether maps change as the network loses what it learnt (Adebayo et al. 2018, cascading randomisation)."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from pydantic import Field

from truemap.config.names import PLANTED
from truemap.config.options import Count, MethodOptions
from truemap.metrics._contract import Measure, Senseless
from truemap.metrics._explained import Explained
from truemap.metrics._layers import layers
from truemap.metrics._maps import rank_correlation
from truemap.numerics import derive_seed

CONSTANT = "the map is constant, or that of a randomised network is"
SOURCE = "Adebayo et al. 2018, section 4"
measures = (
    Measure("cascade", "lower", f"{SOURCE}; mean over its steps", CONSTANT),
    Measure("cascade_absolute", "lower", f"{SOURCE}; mean over its steps, sizes alone", CONSTANT),
    Measure("randomised", "lower", f"{SOURCE}; its end", CONSTANT),
    Measure("randomised_absolute", "lower", f"{SOURCE}; its end, sizes alone", CONSTANT),
)


class Options(MethodOptions):
    """Networks that are put in place of the trained one; similarity of maps, lower is better.

    `cascade`, `randomised`, and both of sizes alone, `cascade_absolute`, `randomised_absolute`.
    """

    draws: Count = Field(1, description="untrained networks, each with a seed of its own, whose results are averaged")


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return Spearman's correlation of each map with that of the network whose layers are untrained from the top on.

    A step gives one more layer the weights that it has in an untrained network of the same kind: first the layer of the
    logits, at last the one that meets the map. `cascade` is the mean over all steps, `randomised` the last, where
    nothing that was learnt is left; a map that stays as it was (1) does not show what the network learnt. The
    temperature of the trained network stays. One map explained a step and draw.

    Raises
    ------
    Senseless
        If the untrained network has other layers; or if the weights are planted: they were not learnt, and an untrained
        network, which reads all voxels, is no start that they could go back to.
    """
    if PLANTED in (explained.decoder.traits or ()):
        raise Senseless("the network's weights are planted: it learnt nothing that it could lose")
    own, steps = explained.own, []
    for draw in range(options.draws):
        network = copy.deepcopy(explained.decoder.network)
        untrained = explained.untrained(derive_seed(explained.context.seed, "metrics sanity", draw)).state_dict()
        state = network.state_dict()
        if {key: value.shape for key, value in untrained.items()} != {k: value.shape for k, value in state.items()}:
            raise Senseless("an untrained network of this kind has other layers")
        found = []
        for keys in reversed(layers(network, explained.x[:1]).values()):
            network.load_state_dict({key: untrained[key] for key in keys}, strict=False)
            maps = explained.explain(decoder=replace(explained.decoder, network=network))
            pairs = ((own, maps), (own.abs(), maps.abs()))
            found.append(torch.stack([rank_correlation(*pair) for pair in pairs]))
        steps.append(found)
    every = torch.stack([torch.stack(found) for found in steps]).mean(dim=0)
    signed, absolute = every.unbind(dim=1)
    return {
        "cascade": signed.mean(dim=0),
        "cascade_absolute": absolute.mean(dim=0),
        "randomised": signed[-1],
        "randomised_absolute": absolute[-1],
    }
