"""The whole config: what can be set, what it means, and the checks that need no data."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from truemap.config.dataset import Dataset
from truemap.config.folders import check_folders
from truemap.config.general import Card, Maps, Provenance, Style
from truemap.config.names import LONGEST_FOLDER, RESERVED, path_word, path_words
from truemap.config.options import Count, MethodError, Seed, Strict, faults, suggest


class ConfigError(ValueError):
    """The config is not usable; the message says where and what to do."""


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
