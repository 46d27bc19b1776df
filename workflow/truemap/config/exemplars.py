"""What can be set of influences: which training maps a prediction hangs on, and attacks on that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from truemap.config.options import Count, MethodOptions, Positive, once, suggest

#: The attack, and what it is compared with: noise of random signs of the same size.
GRADIENT, RANDOM = "gradient_sign", "random_sign"


class SignAttack(MethodOptions):
    """How far a test map is moved, and away from which training maps."""

    epsilon: Annotated[list[Positive], Field(min_length=1)] = Field(
        [0.035, 0.07, 0.14],
        description="radius of the Linf ball in units of the data's sd, as of `fragility`; each is tried by itself, in "
        "one step from the map as it is (eq. 4 of Ghorbani et al. 2019 is exact for the linearised influence, so that "
        "there are no iterations to set). The default is 2, 4 and 8 grey levels of 255 for ImageNet's pixels, whose sd "
        "is 0.226 of their range; the paper goes to 8",
    )
    attacked: Count = Field(3, description="most influential training maps that the step acts on; 3 in the paper")
    top: Count = Field(5, description="most influential training maps that are compared and listed; 5 in the paper")
    influential: Literal["helpful", "harmful", "largest"] = Field(
        "helpful",
        description="which training maps are the most influential. helpful: those that lower the loss of the test map "
        "most (eq. 3's influence is negative), which explain a prediction; so the paper's figures, and its footnote 1, "
        "which leaves eq. 3's minus out. harmful: those that raise it most, eq. 3's largest as it is printed; largest: "
        "in size. The step makes those attacked less so",
    )

    _differ = field_validator("epsilon")(once)


class Influential(SignAttack):
    """Which training maps predictions hang on (Koh and Liang 2017), and an attack on that (Ghorbani et al. 2019)."""

    maps: Count | None = Field(
        20,
        description="explained test maps whose influences are told and attacked, a seeded choice balanced over "
        "classes, the same for every network, and the same as of `fragility`; null: all",
    )
    train: Count | None = Field(
        1000,
        description="training maps whose influences are told, a seeded choice balanced over classes; null: all. 1000 "
        "in the paper. The last layer is brought to its optimum on these alone, so that an influence is about leaving "
        "one of them out. Their features are held as float64, and of a linear network these are its voxels",
    )
    damping: Positive = Field(
        0.01,
        description="lambda, added to the diagonal of the Hessian, and L2 penalty (lambda/2 times the sum of squared "
        "weights and biases) of the optimum that the last layer is brought to first. Without it the Hessian has no "
        "inverse (logits that all rise alike change no loss), and every influence hangs on it. At 0.01, and of more "
        "maps than features, influences correlate by .95 and more with exact refits without a map (tests/exemplars); "
        "the smaller it is, the more a single map matters, and the worse is the first order",
    )
    models: Annotated[list[str], Field(min_length=1)] | None = Field(
        None,
        description="networks whose influences are told; default: all that are trained here. Refused are those whose "
        "training maps are not known here (`weights`), that have none (planted), and that do not end with one linear "
        "layer",
    )

    _once = field_validator("models")(once)

    def check(self, models: Collection[str], networks: Mapping[str, Any]) -> None:
        """Refuse models that nothing here has trained: on which training maps they hang cannot be told.

        Parameters
        ----------
        models : collection of str
            The dataset's, networks or not.
        networks : mapping
            Name -> `truemap.config.models.Model`, which jobs that read this module have no use for.
        """
        trained = [name for name, network in networks.items() if network.training]
        if not trained:
            raise ValueError("influence: it asks training maps, and no network is trained here. Drop it.")
        for name in self.models or []:
            if name not in models:
                raise ValueError(f"influence.models: no network '{name}' is trained here{suggest(name, trained)}")
            if name not in networks:
                raise ValueError(f"influence.models: '{name}' are maps from elsewhere, without a network. Take it out.")
            if name not in trained:
                planted = networks[name].planted
                why = "is planted, of no training map" if planted else "has `weights`: on which maps is not known here"
                raise ValueError(f"influence.models: '{name}' {why}. Take it out.")
