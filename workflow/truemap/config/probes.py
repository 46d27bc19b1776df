"""What can be set of tests of networks: attacks on their predictions and on their maps, and training without voxels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from truemap.config.models import Model
from truemap.config.names import AT_RANDOM
from truemap.config.options import EPSILON_UNIT, Count, EpsilonUnit, Number, Positive, Strict, once, suggest
from truemap.config.registry import check_fit, folders_of, resolve_methods, resolved_defines, resolved_options


def require_trained(key: str, model: str | None, trained: Mapping[str, Model]) -> None:
    """Refuse what trains a network again that nothing here has trained.

    Parameters
    ----------
    key : str
        Of the config, that asks for it.
    model : str or None
        The network's name; None is the first that is trained here.
    trained : mapping
        Name -> network that is trained here.
    """
    if not trained:
        raise ValueError(f"{key}: it trains a network again, and none is trained here. Drop it.")
    if model is not None and model not in trained:
        raise ValueError(f"{key}: no network '{model}' is trained here{suggest(model, trained)}")


class Robustness(Strict):
    """How robust accuracy is measured: test maps with the worst noise that attacks find in an L2 ball."""

    attacks: dict[str, dict[str, Any]] = Field(
        default="pgd",
        description="modules in truemap/attacks: a name, a list of names, or a mapping from a label to options; "
        "autoattack needs the package pyautoattack; {}: none, which is the default for the source sheet: attacks take "
        "longer than all else",
    )
    epsilon: Positive = Field(0.1, description="radius of the ball; 0.1 a voxel is the paper's 95 at 2 mm")
    epsilon_unit: EpsilonUnit = Field("voxel", description=EPSILON_UNIT)
    maps: Count | None = Field(
        100, description="test maps that are attacked, a seeded choice balanced over classes; null: all"
    )

    @field_validator("attacks", mode="before")
    @classmethod
    def _attacks(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("attacks", value, folders=folders_of(info))


class Roar(Strict):
    """Remove and retrain (Hooker et al. 2019): the network is trained again without its most important voxels."""

    model: str | None = Field(
        None, description="network whose first seed is trained again; default: the first that is trained here"
    )
    methods: list[str] | None = Field(
        None,
        min_length=1,
        description="labels among its `saliency`, by whose maps (of the predicted class, by size) voxels are removed, "
        "beside a random order; default: all",
    )
    fractions: list[Annotated[Number, Field(gt=0, lt=1)]] = Field(
        [0.1, 0.3, 0.5, 0.7, 0.9],
        min_length=1,
        description="shares of the mask's voxels that are put to the mean of the training maps, in training and test "
        "maps alike; one training each and method. Hooker et al.'s",
    )
    train: Count | None = Field(
        1000,
        description="training maps that are explained and trained on, a seeded choice balanced over classes; null: all",
    )
    test: Count | None = Field(200, description="test maps that are explained and tested on, likewise; null: all")

    _differ = field_validator("fractions", "methods")(once)

    def check(self, trained: Mapping[str, Model]) -> None:
        """Refuse a network that is not trained here, and orders of voxels that its maps do not give."""
        require_trained("roar", self.model, trained)
        known = trained[self.model or next(iter(trained))].saliency
        for label in self.methods or known:
            if label not in known:
                raise ValueError(f"roar.methods: no saliency '{label}'{suggest(label, known)}")
            if label == AT_RANDOM:
                raise ValueError(f"roar.methods: '{label}' is the order that no map gives; give the saliency a label")


class Fragility(Strict):
    """How far maps can be changed by noise that leaves the prediction (Ghorbani et al. 2019; Lu et al. 2020)."""

    attacks: dict[str, dict[str, Any]] = Field(
        default=["top_k", "mass_center", "random_sign"],
        min_length=1,
        description="modules in truemap/map_attacks: a name, a list of names, or a mapping from a label to options. "
        "With random_sign each of the others is tested against it",
    )
    coarser: str | None = Field(
        None,
        description="dataset with the same subjects in fewer voxels, attacked alike and run with this one: "
        "statistics/dimension.tsv tells by paired tests whether maps of more voxels are more fragile",
    )
    epsilon: list[Positive] = Field(
        [0.035, 0.14],
        min_length=1,
        description="bounds of the noise, each tried by itself, in units of the data's sd, which is 1 where maps are "
        "z-scored (else that of 50 training maps, over all voxels). Ghorbani et al. go to 8 of 255 grey levels; pixels "
        "of ImageNet have an sd of 0.226 of that range, so that their 2 and 8 are 0.035 and 0.14",
    )
    norm: Literal["linf", "l2"] = Field(
        "linf",
        description="of the noise: linf as in the papers, epsilon in any voxel of the mask; l2, epsilon times "
        "sqrt(voxels of the mask) in all",
    )
    maps: Count | None = Field(
        20,
        description="explained test maps that are attacked, a seeded choice balanced over classes, the same for every "
        "network, way to explain and attack; null: all. Attacked is the map of the class that the network predicts",
    )
    methods: list[str] | None = Field(
        None,
        min_length=1,
        description="labels among the models' `saliency` whose maps are attacked; default: all that can "
        "be differentiated: gradient, absolute_gradient, gradient_x_input, smoothgrad, integrated_gradients, deeplift "
        "and decoy",
    )
    models: list[str] | None = Field(None, min_length=1, description="networks whose maps are attacked; default: all")
    moved: bool = Field(
        False,
        description="where the dataset has `regions`, attacked maps are compared with what the network does with the "
        "map as it was (truth network). true: with what it does with the attacked map too (truth network_moved), which "
        "is what they explain; at the passes that `regions` take, for each attacked map and bound",
    )
    top: Number = Field(
        0.1,
        gt=0,
        lt=1,
        description="k of the measure top_k, as a share of the mask's voxels: of so many largest ones, how many stay "
        "so; a tenth, as the default of the attack top_k",
    )

    @field_validator("attacks", mode="before")
    @classmethod
    def _attacks(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("map_attacks", value, folders=folders_of(info))

    _differ = field_validator("epsilon", "methods", "models")(once)

    def attacked(self, networks: Mapping[str, Model]) -> dict[str, list[str]]:
        """Return network -> labels of its ways to explain whose maps are attacked.

        Raises
        ------
        ValueError
            If one is asked for that cannot be differentiated.
        """
        found: dict[str, list[str]] = {}
        for name in self.models or networks:
            found[name] = []
            for label, saliency in networks[name].saliency.items():
                if self.methods is not None and label not in self.methods:
                    continue
                if resolved_defines("saliency", saliency, "differentiable"):
                    found[name].append(label)
                elif self.methods is not None:
                    raise ValueError(
                        f"fragility.methods: '{label}' cannot be attacked: {saliency['name']} has no `differentiable`. "
                        "Take it out."
                    )
        return found

    def check(self, networks: Mapping[str, Model], regions: bool) -> None:
        """Refuse attacks on what is not there, and attacks that need what the networks or the dataset do not have.

        Parameters
        ----------
        networks : mapping
            Name -> network of the dataset.
        regions : bool
            Whether the dataset has any.
        """
        if not networks:
            raise ValueError("fragility: it attacks networks, and all models here are maps from elsewhere. Drop it.")
        for name in self.models or []:
            if name not in networks:
                raise ValueError(f"fragility.models: no network '{name}'{suggest(name, networks)}")
        attacked = self.attacked(networks)
        known = {label for name in attacked for label in networks[name].saliency}
        for label in self.methods or []:
            if label not in known:
                raise ValueError(f"fragility.methods: no saliency '{label}'{suggest(label, known)}")
        if not any(attacked.values()):
            raise ValueError("fragility: no way to explain here can be differentiated. Name one that can, or drop it.")
        if self.moved and not regions:
            raise ValueError(
                "fragility.moved: what the network does is asked of `regions`, and there are none. Set some."
            )
        for label, attack in self.attacks.items():
            options = resolved_options("map_attacks", attack)
            if getattr(options, "region", None) is not None and not regions:
                raise ValueError(
                    f"fragility.attacks.{label}: region: the dataset has no `regions`. Set some, or a `box`."
                )
            for network in (networks[name].network for name, labels in attacked.items() if labels):
                traits = resolved_options("networks", network).traits()
                check_fit("map attack", label, options.needs(), "network", network["name"], traits)
