"""The config: what can be set, what it means, and the checks that need no data."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import (
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from truemap.config.angles import Angles, without_angles
from truemap.config.exemplars import Influential
from truemap.config.folders import check_folders
from truemap.config.general import Card, Maps, Provenance, Style
from truemap.config.models import AnyModel, GivenMaps, Model
from truemap.config.names import (
    AT_RANDOM,
    HEADLINES,
    LONGEST_FOLDER,
    NOT_ATTACKED,
    PEOPLE,
    REFERENCE,
    REGIONS,
    RESERVED,
    path_word,
    path_words,
)
from truemap.config.options import (
    Count,
    MethodError,
    Name,
    Positive,
    Seed,
    SourceOptions,
    Strict,
    TwinOptions,
    faults,
    suggest,
)
from truemap.config.probes import Fragility, Roar, Robustness
from truemap.config.registry import (
    check_fit,
    folders_of,
    resolve_method,
    resolve_methods,
    resolved_defines,
    resolved_options,
)


class ConfigError(ValueError):
    """The config is not usable; the message says where and what to do."""


class Split(Strict):
    """Shares of the subjects; 790, 87 and 88 of HCP's 965 as in the paper."""

    train: Positive = Field(790 / 965, description="share of subjects that models are trained on")
    validation: Positive = Field(87 / 965, description="share for choosing hyperparameters and temperature")
    test: Positive = Field(88 / 965, description="share that maps and scores are made for")

    @model_validator(mode="after")
    def _sum(self) -> Split:
        if not math.isclose(self.train + self.validation + self.test, 1.0, abs_tol=1e-6):
            raise ValueError("train, validation and test must add up to 1")
        return self


class TruthOptions(Strict):
    """Which truth figures show; scores and tables always hold both."""

    leave_out: bool = Field(
        False,
        description="false: a subject's class means are over all its maps, as in the paper; true: without the map that "
        "is explained (and its sign flip), so that a copy of the map does not agree with the truth for being part of "
        "it. Where the source knows the templates both are the same",
    )


class Dataset(Strict):
    """Maps with labels, and the models that are compared on them."""

    source: dict[str, Any] = Field(description="name of a module in truemap/datasets, with its options")
    split: Split = Field(Split(), description="by subject, where the source does not state the split itself")
    family: str | None = Field(
        None,
        description="TSV file with columns subject and family (HCP's restricted data tell them): families are kept "
        "together in the splits, subjects that are not listed are families of their own. It shows in no result or log",
    )
    pseudonyms: bool | None = Field(
        None,
        description="true: results and logs show pseudonyms for subjects' IDs; `private/`, which is not to be shared, "
        "holds the salt they hang on and the list of who is who; null: for the sources hcp (but not simulated), "
        "localizer and neurovault",
    )
    on_bad_subject: Literal["stop", "skip"] = Field(
        "stop",
        description="skip: a subject with a map that cannot be used (missing, truncated, NaN, constant, on another "
        "grid, with values that drown all others) is left out as a whole, and listed; stop: the run ends there",
    )
    nan: Literal["refuse", "zero"] = Field(
        "refuse",
        description="voxels that are NaN: SPM writes NaN outside the brain. zero: they are taken for 0, as voxels "
        "without data are; refuse: such a map cannot be used, as NaN within the brain is a fault. Infinite values "
        "always are",
    )
    downsample: Count = Field(
        1,
        description="voxels along each axis whose mean is one voxel of the maps that are used, NaN dealt with first: 2 "
        "makes 6 mm of 3 mm, and an eighth of the voxels. A `mask` is downsampled alike",
    )
    standardize: Literal["volume", "none"] = Field(
        "volume",
        description="volume: z-score each map over all its voxels, zeros outside the brain included (as the paper's "
        "epsilon of 95 implies); none: take maps as they are",
    )
    precision: Literal["float16", "float32"] = Field(
        "float16", description="type in which z-scored maps are stored; sums and correlations are float64 always"
    )
    shards: Count = Field(1, description="files (and jobs) each split's volumes are spread over, by subject")
    mask: str | None = Field(
        None,
        description="NIfTI file, above 0 in the brain (so in any label of an atlas, and at any probability; NaN is "
        "outside, negative values are refused); default: voxels that have data in a training map of the first subject, "
        "that is, another value than the map's most frequent one (if 1 % of its voxels or more have that, else 0)",
    )
    voxels: Literal["all", "brain"] = Field(
        "all", description="voxels that agreement is computed over; all in the paper"
    )
    regions: (
        Literal["squares", "components"] | Annotated[list[Count], Field(min_length=3, max_length=3)] | str | None
    ) = Field(
        None,
        description="disjoint parts of the mask at whose resolution maps are compared with what the network itself "
        "does (criteria `network` and `network_absolute`); what is left of the mask is one of them, the rest. squares: "
        "the nine of the source synthetic; components: those that subjects are simulated from (hcp with `simulate`), "
        "overlapping ones joined to 13 at most; a NIfTI label image on the dataset's grid (.nii or .nii.gz); or "
        "`[a, b, c]`: blocks of so many voxels. Up to 14 regions are dealt with exactly (2 to the power of regions "
        "passes a map), up to 400 by drawn permutations. null: none",
    )
    baseline: Literal["mean", "zero"] = Field(
        "mean",
        description="what `regions` are put back to: the mean of the training maps, or zeros. Maps that have a "
        "baseline of their own are compared with that one (integrated_gradients, deeplift: as their option says; "
        "gradient_x_input, lrp_epsilon: zero; gradient_shap, deeplift_shap: mean)",
    )
    permutations: Annotated[int, Field(ge=2)] = Field(
        100,
        description="orders in which regions are put back, drawn for each map, where there are more than 14: the "
        "standard error stands beside each value",
    )
    average: Literal["classes", "maps"] = Field(
        "classes",
        description="the mean that a class is compared with: of the class means (each class counts the same) or of all "
        "maps. The paper says 'average example across classes'",
    )
    conditions: Literal["table1", "no_negated"] | Annotated[list[Name], Field(min_length=1)] = Field(
        "table1",
        description="which conditions figures show first. Scores, tests and tables hold them all, and without negated "
        "ones (HCP's NEG_*). table1: all, as in the paper; no_negated: without negated ones; a list of conditions: "
        "these, as a third set, `chosen`, beside the two. Networks and maps are the same in any case; published claims "
        "are judged by all conditions",
    )
    truth: TruthOptions = Field(TruthOptions(), description="which truth figures show")
    explained: Count | None = Field(
        None,
        description="test maps of each subject and class (of each class, where there are no subjects) that are "
        "explained and scored, a seeded choice; null: all. Truth and accuracy are of all test maps in any case",
    )
    references: dict[str, dict[str, Any]] = Field(
        default={
            "random": None,
            "input": None,
            "input-centred": {"name": "input", "centre": True},
            "group_truth": None,
        },
        description="modules in truemap/references, scored like saliency maps though they know nothing of a network: "
        "a name, a list of names, or a mapping from a label to options. Where there are `metrics` these "
        "measure them too, as anchors",
    )
    robustness: Robustness = Field(Robustness(), description="how robust accuracy is measured")
    metrics: dict[str, dict[str, Any]] = Field(
        default={},
        description="modules in truemap/metrics, which measure networks' maps without any truth: a name, a list of "
        "names, or a mapping from a label to options. What is measured is explained again, at full precision, for a "
        "sample's own class; beside it, for the first seed of each model, anchors: `references`, the truth degraded in "
        "steps, another class's truth, and by the model's first `saliency` the map of the untrained network, and of "
        "the twin that `label_permutation` trains",
    )
    measured: Count | None = Field(
        50,
        description="explained test maps that each of `metrics` measures, a seeded choice balanced over classes, the "
        "same for every model and method; null: all",
    )
    roar: Roar | None = Field(
        None, description="remove and retrain: accuracy against the share of voxels removed (statistics/roar.tsv)"
    )
    fragility: Fragility | None = Field(
        None,
        description="attacks on maps, under which the prediction stays: how far each map can be changed, and whether "
        "it still tells the truth (statistics/fragility.tsv)",
    )
    influence: Influential | None = Field(
        None,
        description="which training maps predictions hang on, and attacks on that, under which the prediction stays "
        "(statistics/influence.tsv)",
    )
    angles: Angles | None = Field(
        None,
        description="angles between the directions that change a score and its map, or a loss and an influence, the "
        "most (statistics/angles.tsv)",
    )
    figures: Literal["images", "glass_brain"] = Field(
        "glass_brain",
        description="how maps are drawn: as 2D images (Figure 1) or as glass brains in MNI space (Figure 3)",
    )
    show: list[Name] | None = Field(
        None,
        min_length=1,
        description="classes drawn in Figures 1 and 3, at least two in Figure 1; default: the first three by name",
    )
    drawn: list[str] | None = Field(
        None,
        min_length=1,
        description="rows of Figures 1, 2 and 3, each 'model/method'; default: every method of every model",
    )
    models: dict[str, AnyModel] = Field(
        min_length=1, description="the decoders, by name: networks, or maps that another tool made (key `maps`)"
    )

    @model_validator(mode="before")
    @classmethod
    def _unasked(cls, values: Any) -> Any:
        """People's own maps are attacked where they ask for it."""
        if isinstance(values, dict):
            source, robustness = values.get("source"), values.get("robustness", {})
            name = source.get("name") if isinstance(source, dict) else source
            if name in NOT_ATTACKED and isinstance(robustness, dict):
                return {**values, "robustness": {"attacks": {}, **robustness}}
        return values

    @field_validator("source", mode="before")
    @classmethod
    def _source(cls, value: Any, info: ValidationInfo) -> dict[str, Any]:
        return resolve_method("datasets", value, folders=folders_of(info))

    @field_validator("regions")
    @classmethod
    def _atlas(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in REGIONS and not value.endswith((".nii", ".nii.gz")):
            raise ValueError(
                f"no regions '{value}'{suggest(value, REGIONS)} Or name a NIfTI file, or blocks [a, b, c]."
            )
        return value

    @field_validator("conditions", mode="before")
    @classmethod
    def _conditions(cls, value: Any) -> Any:
        if isinstance(value, str) and value not in HEADLINES:
            raise ValueError(f"no set '{value}'{suggest(value, HEADLINES)} Or give a list of conditions.")
        return value

    @field_validator("references", mode="before")
    @classmethod
    def _references(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("references", value, folders=folders_of(info))

    @field_validator("metrics", mode="before")
    @classmethod
    def _metrics(cls, value: Any, info: ValidationInfo) -> dict[str, dict[str, Any]]:
        return resolve_methods("metrics", value, folders=folders_of(info))

    @field_validator("models")
    @classmethod
    def _names(cls, value: dict[str, AnyModel]) -> dict[str, AnyModel]:
        path_words(value)
        for name in value:
            if "--" in name:
                raise ValueError(f"a model cannot be called '{name}': '--' stands between a model and its candidate")
            if name == REFERENCE:
                raise ValueError(f"a model cannot be called '{name}': that is what references are called in tables")
        return value

    @model_validator(mode="after")
    def _regions_known(self) -> Dataset:
        if self.regions == "squares" and self.source["name"] != "synthetic":
            raise ValueError("regions: squares are those of the source synthetic. Name an atlas, or blocks [a, b, c].")
        for name, model in self.networks.items():
            if model.planted and not self.regions:
                raise ValueError(f"models.{name}: network '{model.network['name']}' needs a dataset with `regions`.")
        if self.regions == "components" and not self.source.get("simulate"):
            raise ValueError(
                "regions: components are those that subjects are simulated from (source hcp with `simulate`). Name an "
                "atlas, or blocks [a, b, c]."
            )
        return self

    @model_validator(mode="after")
    def _shown(self) -> Dataset:
        show = self.show or []
        if len(set(show)) < len(show):
            raise ValueError("show: names a class twice")
        if len(show) == 1 and self.figures == "images":
            raise ValueError("show: Figure 1 draws changes from one class to another; name at least two")
        return self

    @model_validator(mode="after")
    def _drawn(self) -> Dataset:
        known = [f"{name}/{method}" for name, model in self.models.items() for method in model.saliency]
        for entry in self.drawn or []:
            if entry not in known:
                raise ValueError(f"drawn: no '{entry}'{suggest(entry, known)}")
        return self

    @model_validator(mode="after")
    def _measurable(self) -> Dataset:
        if self.metrics and not self.networks:
            raise ValueError("metrics: they ask a network, and all models here are maps from elsewhere. Drop them.")
        for label, metric in self.metrics.items():
            options = resolved_options("metrics", metric)
            for model in self.networks.values():
                traits = resolved_options("networks", model.network).traits()
                check_fit("metrics", label, options.needs(), "network", model.network["name"], traits)
            if isinstance(options, TwinOptions):
                self._trained_here(f"metrics.{label}", options.model)
        return self

    def _trained_here(self, key: str, model: str | None) -> None:
        """Refuse what trains a network again that nothing here has trained."""
        if not self.trained:
            raise ValueError(f"{key}: it trains a network again, and none is trained here. Drop it.")
        if model is not None and model not in self.trained:
            raise ValueError(f"{key}: no network '{model}' is trained here{suggest(model, self.trained)}")

    @model_validator(mode="after")
    def _retrainable(self) -> Dataset:
        if self.roar is None:
            return self
        self._trained_here("roar", self.roar.model)
        known = self.trained[self.trained_again(self.roar.model)].saliency
        for label in self.roar.methods or known:
            if label not in known:
                raise ValueError(f"roar.methods: no saliency '{label}'{suggest(label, known)}")
            if label == AT_RANDOM:
                raise ValueError(f"roar.methods: '{label}' is the order that no map gives; give the saliency a label")
        return self

    @model_validator(mode="after")
    def _attackable(self) -> Dataset:
        if self.fragility is None:
            return self
        if not self.networks:
            raise ValueError("fragility: it attacks networks, and all models here are maps from elsewhere. Drop it.")
        for name in self.fragility.models or []:
            if name not in self.networks:
                raise ValueError(f"fragility.models: no network '{name}'{suggest(name, self.networks)}")
        known = {label for name in self.fragile for label in self.networks[name].saliency}
        for label in self.fragility.methods or []:
            if label not in known:
                raise ValueError(f"fragility.methods: no saliency '{label}'{suggest(label, known)}")
        if not any(self.fragile.values()):
            raise ValueError("fragility: no way to explain here can be differentiated. Name one that can, or drop it.")
        if self.fragility.moved and not self.regions:
            raise ValueError(
                "fragility.moved: what the network does is asked of `regions`, and there are none. Set some."
            )
        for label, attack in self.fragility.attacks.items():
            options = resolved_options("map_attacks", attack)
            if getattr(options, "region", None) is not None and not self.regions:
                raise ValueError(
                    f"fragility.attacks.{label}: region: the dataset has no `regions`. Set some, or a `box`."
                )
            for name in (name for name, labels in self.fragile.items() if labels):
                network = self.networks[name].network
                traits = resolved_options("networks", network).traits()
                check_fit("map attack", label, options.needs(), "network", network["name"], traits)
        return self

    @model_validator(mode="after")
    def _influenceable(self) -> Dataset:
        if self.influence is None:
            return self
        if not self.trained:
            raise ValueError("influence: it asks training maps, and no network is trained here. Drop it.")
        for name in self.influence.models or []:
            if name not in self.models:
                raise ValueError(f"influence.models: no network '{name}' is trained here{suggest(name, self.trained)}")
            if name in self.given:
                raise ValueError(f"influence.models: '{name}' are maps from elsewhere, without a network. Take it out.")
            if name not in self.trained:
                planted = self.networks[name].planted
                why = "is planted, of no training map" if planted else "has `weights`: on which maps is not known here"
                raise ValueError(f"influence.models: '{name}' {why}. Take it out.")
        return self

    @property
    def influenced(self) -> list[str]:
        """Networks of which it is told which training maps their predictions hang on."""
        return list(self.influence.models or self.trained) if self.influence else []

    @property
    def fragile(self) -> dict[str, list[str]]:
        """Network -> labels of its ways to explain whose maps are attacked.

        Raises
        ------
        ValueError
            If one is asked for that cannot be differentiated.
        """
        fragility = self.fragility
        if fragility is None:
            return {}
        found: dict[str, list[str]] = {}
        for name in fragility.models or self.networks:
            found[name] = []
            for label, method in self.networks[name].saliency.items():
                if fragility.methods is not None and label not in fragility.methods:
                    continue
                if resolved_defines("saliency", method, "differentiable"):
                    found[name].append(label)
                elif fragility.methods is not None:
                    raise ValueError(
                        f"fragility.methods: '{label}' cannot be attacked: {method['name']} has no `differentiable`. "
                        "Take it out."
                    )
        return found

    @model_validator(mode="after")
    def _bent(self) -> Dataset:
        if self.angles is None:
            return self
        for name in self.angles.models or []:
            if name not in self.models:
                raise ValueError(f"angles.models: no network '{name}'{suggest(name, self.models)}")
            if why := self._without_angles(name):
                raise ValueError(f"angles.models: {why}. Take it out.")
        if not self.angled:
            raise ValueError("angles: no network here is trained with nn.ReLU layers. Add one, or drop it.")
        return self

    def _without_angles(self, name: str) -> str:
        model, traits, needs = self.models[name], None, set()
        if isinstance(model, Model) and model.training:
            traits = resolved_options("networks", model.network).traits()
            needs = resolved_options("training", model.training).needs()
        return without_angles(name, model, traits, needs)

    @property
    def angled(self) -> list[str]:
        """Networks of which angles of directions are told."""
        if self.angles is None:
            return []
        return list(self.angles.models or (name for name in self.trained if not self._without_angles(name)))

    @property
    def kind(self) -> str:
        """What the data are called wherever they lie."""
        options = resolved_options("datasets", self.source)
        return options.kind() if isinstance(options, SourceOptions) else ""

    @property
    def simulated(self) -> bool:
        """Whether the subjects are simulated ones."""
        return bool(self.source.get("simulate"))

    @property
    def pseudonymous(self) -> bool:
        """Whether subjects get pseudonyms: as the config says, or else where they are people."""
        people = self.source["name"] in PEOPLE and not self.simulated
        return people if self.pseudonyms is None else self.pseudonyms

    @property
    def listed(self) -> list[str]:
        """The conditions that the config lists (the set `chosen`), in an order of their own."""
        return sorted(set(self.conditions)) if isinstance(self.conditions, list) else []

    @property
    def atlas(self) -> str | None:
        """The file that regions are read from, if they are of one."""
        return self.regions if isinstance(self.regions, str) and self.regions not in REGIONS else None

    @property
    def networks(self) -> dict[str, Model]:
        """Those of the models that are networks."""
        return {name: model for name, model in self.models.items() if isinstance(model, Model)}

    @property
    def trained(self) -> dict[str, Model]:
        """Those of the networks that are trained here, and so can be trained again."""
        return {name: model for name, model in self.networks.items() if model.training}

    def trained_again(self, model: str | None) -> str:
        """Return the network that is trained again: the one that is named, or the first that is trained here."""
        return model or next(iter(self.trained))

    @property
    def given(self) -> dict[str, GivenMaps]:
        """Those of the models that are maps from elsewhere."""
        return {name: model for name, model in self.models.items() if isinstance(model, GivenMaps)}


class Config(Strict):
    """The whole config."""

    run: list[str] = Field(min_length=1, description="datasets to run, of those defined under `datasets`")
    seed: Seed = Field(0, description="of everything random but training: noise, splits, simulated subjects")
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU where torch sees one, else the CPU; bits are the same only on the same device"
    )
    threads: Count = Field(
        1, description="CPU threads of one training or saliency job; part of the settings, because sums depend on it"
    )
    memory: Count = Field(
        100,
        description="MB that the maps explained, attacked or predicted at a time, and the network's activations for "
        "them, may take (counted, not measured); a training takes what its minibatch needs",
    )
    card: Card | None = Field(
        None,
        description="the GPU that jobs will run on: a dry run then says what they take, and what cannot fit is "
        "refused before any trains (where a GPU is at hand, by its own memory). null: a dry run says nothing, `make "
        "needs` does",
    )
    methods: list[str] = Field(
        [],
        description="folders with methods of your own, relative to the working directory: in each a folder for a "
        "family (datasets, networks, training, saliency, references, attacks, map_attacks, metrics) with a module for "
        "a method, which is named like those of the project",
    )
    datasets: dict[str, Dataset] = Field(description="definitions, by name")
    maps: Maps = Field(Maps(), description="what stays of the saliency maps on disk")
    style: Style = Field(Style(), description="how figures look")
    provenance: Provenance = Field(Provenance(), description="what counts as code")

    @model_validator(mode="after")
    def _run(self) -> Config:
        for name in self.datasets:
            if path_word(name, LONGEST_FOLDER).casefold() in RESERVED:
                raise ValueError(f"a dataset cannot be called '{name}': that is a file or folder of the workflow's own")
        path_words(self.run, LONGEST_FOLDER)
        for name in self.run:
            if name not in self.datasets:
                raise ValueError(f"run: unknown dataset '{name}'{suggest(name, self.datasets)}")
            if self.maps.voxels == "brain" and self.datasets[name].voxels == "all":
                raise ValueError(
                    f"maps: `voxels: brain` stores too little for dataset '{name}', whose agreement is over all "
                    "voxels. Set `voxels: brain` there, or `voxels: all` here."
                )
            self._has_coarser(name)
        return self

    def _has_coarser(self, name: str) -> None:
        """Refuse attacked maps that are to be compared with those of no dataset, or of one attacked otherwise."""
        own = self.datasets[name].fragility
        if own is None or own.coarser is None:
            return
        key = f"datasets.{name}.fragility.coarser"
        if own.coarser not in self.run or own.coarser == name:
            raise ValueError(
                f"{key}: '{own.coarser}' is no other dataset of `run`{suggest(own.coarser, self.run)}. Run both, or "
                "drop it."
            )
        other = self.datasets[own.coarser].fragility
        if other is None or (own.epsilon, own.norm) != (other.epsilon, other.norm):
            raise ValueError(f"{key}: maps of '{own.coarser}' are not attacked by the same `epsilon` and `norm`.")


def parse(raw: dict[str, Any]) -> Config:
    """Return the checked config.

    Raises
    ------
    ConfigError
        With one line for each fault: where it stands and what is wrong with it.
    """
    try:
        # Stripped, two keys could be one, and one of them lost.
        lines = [f"  config: key '{key}' becomes a file name or a word: take the blanks off it" for key in _padded(raw)]
        if not lines:
            folders = raw.get("methods", [])
            if isinstance(folders, list) and all(isinstance(folder, str) for folder in folders):
                check_folders(folders)
                return Config.model_validate(raw, context={"methods": folders})
            return Config.model_validate(raw)
    except MethodError as error:
        lines = [f"  {error}"]
    except ValidationError as error:
        lines = [f"  {place or 'config'}: {words}" for place, words in faults(error)]
    raise ConfigError("the config cannot be used:\n" + "\n".join(lines))


def _padded(raw: Any) -> list[str]:
    """Return the keys in a config that begin or end with white space."""
    parts = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else []
    own = [key for key in raw if isinstance(key, str) and key != key.strip()] if isinstance(raw, dict) else []
    return own + [key for part in parts for key in _padded(part)]
