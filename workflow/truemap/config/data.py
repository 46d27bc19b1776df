"""What can be set of a dataset's maps: where they are from, how they are prepared, and which truth they have."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from truemap.config.names import HEADLINES, PEOPLE, REGIONS
from truemap.config.options import Count, Name, Positive, SourceOptions, Strict, suggest
from truemap.config.registry import folders_of, resolve_method, resolved_options


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


class Data(Strict):
    """Maps with labels, how they are prepared, and what truth is taken from them."""

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
