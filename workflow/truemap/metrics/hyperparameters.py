"""How far a map hangs on how it is computed (Bansal, Agarwal & Nguyen 2020; Nielsen et al. 2022, section 4.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import torch

from truemap.config.options import MethodOptions
from truemap.metrics._contract import Measure
from truemap.metrics._explained import Explained
from truemap.metrics._maps import change
from truemap.numerics import derive_seed

#: Options that say how many draws or points a map is the mean of.
COUNTS = ("n", "steps", "inner_n")
SOURCE = "Bansal, Agarwal & Nguyen 2020, as a relative change"
ZERO = "the map is zero"
measures = (
    Measure("change_by_draws", "lower", SOURCE, ZERO),
    Measure("change_by_steps", "lower", SOURCE, f"the way to explain has none of {', '.join(COUNTS)}, or {ZERO}"),
    Measure("change_by_baseline", "lower", SOURCE, f"the way to explain has no choice of a baseline, or {ZERO}"),
)


class Options(MethodOptions):
    """Relative change of the map by its own options, lower is better; no options.

    `change_by_draws`: another seed. `change_by_steps`: twice as many draws or steps. `change_by_baseline`: the mean
    over the other baselines.
    """


def measure(explained: Explained, options: Options) -> dict[str, torch.Tensor]:
    """Return :math:`\\lVert m' - m \\rVert / \\lVert m \\rVert` for maps m' of the same input and network.

    What draws nothing does not move with the seed: 0.
    """
    known = explained.context
    other = replace(known, seed=derive_seed(known.seed, "metrics hyperparameters"))
    # All classes at once, there and here: what draws nothing then has exactly 0.
    redrawn, own = explained.explain(saliency=explained.saliency, context=other), explained.of_targets(explained.maps)
    nothing = torch.full_like(own[:, 0], torch.nan)
    given = explained.saliency.options
    more = {name: 2 * getattr(given, name) for name in COUNTS if hasattr(given, name)}
    return {
        "change_by_draws": change(redrawn, own),
        "change_by_steps": change(_explained_with(explained, **more), own) if more else nothing,
        "change_by_baseline": torch.stack(
            [change(_explained_with(explained, baseline=word), own) for word in _other_baselines(given)] or [nothing]
        ).mean(dim=0),
    }


def _explained_with(explained: Explained, **values: Any) -> torch.Tensor:
    saliency = explained.saliency
    options = type(saliency.options)(**{**saliency.options.model_dump(), **values})
    return explained.explain(saliency=replace(saliency, options=options))


def _other_baselines(options: Any) -> list[str]:
    """Return the words that the option `baseline` takes, but for the one that it has."""
    field = type(options).model_fields.get("baseline")
    return [word for word in get_args(field.annotation) if word != options.baseline] if field else []
