"""What part of the config each rule reads.

Settings are dicts of JSON types with every default filled in and keys in the order of the config model, so that a job
is re-run for a changed value only.
"""

from __future__ import annotations

from truemap.plan.record import Settings
from truemap.plan.settings.data import DataSettings
from truemap.plan.settings.explain import ExplainSettings
from truemap.plan.settings.probes import ProbeSettings
from truemap.plan.settings.report import ReportSettings
from truemap.plan.settings.train import TrainSettings


class JobSettings(DataSettings, TrainSettings, ExplainSettings, ProbeSettings, ReportSettings):
    """Settings of one job: a method a rule, of the rule's name."""

    def of(self, rule: str) -> Settings:
        """Return the settings of a rule's job."""
        return getattr(self, rule)()
