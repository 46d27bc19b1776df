"""Whether maps change where the network learnt labels that mean nothing (Adebayo et al. 2018, data randomisation)."""

from __future__ import annotations

from dataclasses import replace

import torch
from pydantic import Field

from truemap.config.options import Fraction, TwinOptions
from truemap.metrics._contract import Measure, Senseless
from truemap.metrics._explained import Explained
from truemap.metrics._maps import rank_correlation

CONSTANT = "the map is constant, or that of the network trained on permuted labels is"
SOURCE = "Adebayo et al. 2018, section 5"
measures = (
    Measure("permuted_labels", "lower", SOURCE, CONSTANT),
    Measure("permuted_labels_absolute", "lower", f"{SOURCE}; sizes alone", CONSTANT),
)


class Options(TwinOptions):
    """A network trained on permuted labels; similarity of maps, lower is better.

    `permuted_labels`, and of sizes alone `permuted_labels_absolute`. How well the network learnt its labels stands in
    statistics/permutation.tsv.
    """

    fitted: Fraction = Field(
        0.95,
        description="share of the permuted labels that it must have learnt (Adebayo et al.: more than 95 %); below, "
        "nothing is said",
    )


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return Spearman's correlation of each map with that of the network's twin.

    The twin is the same network from another start, trained in the same way on the training maps, whose labels were
    exchanged at random among all of them. What is true of the maps is no help to it: it learns by heart, or not at all,
    and if it did not, its maps are those of a network that learnt little. A map that stays as it was (1) does not show
    what was learnt of the labels. The temperature is the network's own. One map explained.

    Raises
    ------
    Senseless
        If the twin has not learnt its labels.
    """
    twin = explained.twin
    if twin is None:
        raise Senseless("there is no network trained on permuted labels")
    if twin.accuracy < options.fitted:
        learnt = f"{twin.accuracy:.3f} of them, less than {options.fitted:g}"
        raise Senseless(f"the network trained on permuted labels has not learnt these ({learnt})")
    maps = explained.explain(decoder=replace(explained.decoder, network=twin.network))
    return {
        "permuted_labels": rank_correlation(explained.own, maps),
        "permuted_labels_absolute": rank_correlation(explained.own.abs(), maps.abs()),
    }
