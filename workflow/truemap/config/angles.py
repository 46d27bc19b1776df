"""What can be set of angles: between what changes a score and what changes its map, and the same of influences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, field_validator

from truemap.config.models import GivenMaps, Model
from truemap.config.names import OF_RELUS
from truemap.config.options import Count, Positive, Strict, once, suggest
from truemap.config.registry import resolved_options


class Angles(Strict):
    """Is what changes a map at right angles to what changes its score? (Ghorbani et al. 2019, section 5 and Fig. 7)."""

    maps: Count | None = Field(
        100,
        description="explained test maps of which angles are told, a seeded choice balanced over classes, the same for "
        "every network, and the same as of `fragility`; null: all. 1000 and 200 in the paper; a hundred make a "
        "histogram, and a map costs up to twice `iterations` products with its Hessian",
    )
    models: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="networks of which angles are told; default: all that are trained here and have nn.ReLU layers, "
        "but for those whose training counts these (nsloss)",
    )
    beta: Positive = Field(
        1.0,
        description="of the softplus log(1 + exp(beta x)) / beta in place of each ReLU: without curvature a score has "
        "no direction in which its gradient changes most. 1 is softplus as Keras has it, which the paper took; the "
        "network is trained on with it, and need not be near the ReLU network, as that of attacks on maps (beta 10): "
        "its accuracy and agreement stand beside each angle. Where beta is large some maps lie where nothing bends, "
        "and have none",
    )
    epochs: Count | None = Field(
        None,
        description="passes over the training data by which the softplus network is trained on from the weights of the "
        "ReLU network, by its own training and options; default: as many as the ReLU network had. The paper retrains, "
        "and does not say how long",
    )
    iterations: Count = Field(
        500,
        description="of the power iteration for the top singular vector of the Hessian, at most, two products with it "
        "each; a map ends when it has converged, and one that has not is said not to have",
    )
    tolerance: Positive = Field(
        0.001,
        description="a vector v of unit norm has converged where ||H H v - s^2 v|| is at most this share of s^2, s = "
        "||H v||. A thousandth is less than a fifth of a degree where the next singular value is at most four fifths "
        "of the largest, and a smaller one is soon float32's own rounding",
    )
    train: Count | None = Field(
        1000,
        description="training maps among which the most influential one is looked for, a seeded choice balanced over "
        "classes; null: all. 1000 in the paper. The last layer is brought to its optimum on these alone",
    )
    damping: Positive = Field(
        0.01,
        description="lambda, added to the diagonal of the last layer's Hessian, and L2 penalty of the optimum that the "
        "layer is brought to first: without it the Hessian has no inverse. At 0.01 influences of more maps than "
        "features correlate by .95 and more with exact refits without a map (tests/exemplars)",
    )

    _once = field_validator("models")(once)

    def check(self, models: Mapping[str, Model | GivenMaps]) -> None:
        """Refuse models that can have no angles."""
        for name in self.models or []:
            if name not in models:
                raise ValueError(f"angles.models: no network '{name}'{suggest(name, models)}")
            if why := _without_angles(name, models[name]):
                raise ValueError(f"angles.models: {why}. Take it out.")
        if not self.asked(models):
            raise ValueError("angles: no network here is trained with nn.ReLU layers. Add one, or drop it.")

    def asked(self, models: Mapping[str, Model | GivenMaps]) -> list[str]:
        """Return the networks of which angles are told: those that are named, or all that may have some."""
        return self.models or [name for name, model in models.items() if not _without_angles(name, model)]


def _without_angles(name: str, model: Model | GivenMaps) -> str:
    """Return why a model of the config has no angles, in words; nothing where it may have some."""
    if isinstance(model, GivenMaps):
        return f"'{name}' are maps from elsewhere, without a network"
    if not model.training:
        kind = "has `weights`" if model.weights else "is planted"
        return f"'{name}' {kind}: nothing here trained it, and by what it could be trained on is not known"
    # Of some networks nothing is known before they are looked at.
    traits = resolved_options("networks", model.network).traits()
    if traits is not None and "relu" not in traits:
        return f"'{name}' has no nn.ReLU layers: its scores have no curvature that softplus could give them"
    training, needs = model.training["name"], resolved_options("training", model.training).needs()
    if training in OF_RELUS or any(need.startswith("relu") for need in needs):
        return f"'{name}' is trained by {training}, which counts nn.ReLU layers, and a softplus network has none"
    return ""
