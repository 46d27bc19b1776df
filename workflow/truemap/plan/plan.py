"""The config as the Snakefile asks for it: files that rules read, their settings, and the code they stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from truemap.config.registry import module_of
from truemap.config.schema import parse
from truemap.plan.code import Code
from truemap.plan.inputs import Inputs
from truemap.plan.notes import PLACE
from truemap.plan.record import Params, Settings, line_params, named, settings_params, signed
from truemap.plan.settings.rules import JobSettings
from truemap.runtime.sourcecode import SCRIPTS
from truemap.runtime.versions import installed


class Plan(Inputs):
    """Input functions and params of rules.

    Parameters
    ----------
    raw : dict
        Snakemake's ``config``.
    root : path
        Folder of the Snakefile.
    gpu_present : bool
        Whether this machine has a GPU (asked only where ``device`` is ``auto``).

    Raises
    ------
    ConfigError
        If the config is not usable.
    """

    def __init__(self, raw: Settings, root: str | Path, gpu_present: bool) -> None:
        super().__init__(parse(raw), root)
        self.code = Code({Path(folder).name: Path(folder) for folder in self.config.methods}, PLACE)
        #: GPUs that a training or saliency job asks for.
        self.gpus = int(self.config.device == "cuda" or (self.config.device == "auto" and gpu_present))

    def settings(self, rule: str, wildcards: Any) -> Settings:
        """Return the settings of one job of a rule."""
        return JobSettings(self.config, self._jobs(wildcards), wildcards).of(rule)

    def kind(self, wildcards: Any) -> str:
        """Return what a dataset's data are called."""
        return self._dataset(wildcards).kind

    def params(self, rule: str, script: str = "", **settings: Callable[[Any], Any]) -> Params:
        """Params of a rule: its jobs' settings, and what stands for their code and for what they read.

        Parameters
        ----------
        rule : str
        script : str
            Name of its script, where it is not the rule's.
        settings
            In place of those that `JobSettings` knows: functions of wildcards.
        """
        kinds = self.jobs.kinds(rule)
        if settings:
            known = {"settings": signed(lambda wildcards: {key: of(wildcards) for key, of in settings.items()})}
        else:
            known = settings_params(lambda wildcards: self.settings(rule, wildcards), kinds)
        return {**self.record(rule), **self._code_params(script or rule, kinds), **known}

    def record(self, rule: str) -> Params:
        """Param that changes when a job has to be made again because its inputs are not those that it read."""
        return {"record": signed(lambda wildcards: self.start.value(rule, wildcards) if self.start else "")}

    def _code_params(self, script: str, kinds: list[SimpleNamespace]) -> dict[str, Any]:
        """Params that stand for a script's code and its methods', one a module, and for packages that count as code."""
        path = SCRIPTS / f"{script}.py"
        families = self.code.families(path)

        def methods(wildcards: Any) -> list[str]:
            found = [name for family in families for name in self.method_modules(family, wildcards)]
            return self.code.of_methods(path, found)

        packages = {f"package_{number}": name for number, name in enumerate(self.config.provenance.packages)}
        versions = {key: f"{name} {installed(name)}" for key, name in packages.items()}
        return {**self.code.of_script(path), **(line_params("method", methods, kinds) if families else {}), **versions}

    def method_modules(self, family: str, wildcards: Any) -> list[str]:
        """Return the names of the modules of a family's methods that a job uses."""
        return [module_of(family, method) for method in self._jobs(wildcards).methods(family, named(wildcards))]
