"""Task contrast maps of the Human Connectome Project, S1200 release: 7 tasks, 25 conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from truemap.datasets.nifti import read_map
from truemap.files import DataError
from truemap.options import Count, MethodOptions, NonNegative, Positive

#: Table 1 of McClure et al. 2020, with the cope that holds each condition in HCP's level-2 analyses.
COPES = {
    "WM": {"2-BACK": 9, "0-BACK": 10, "BODY": 15, "FACE": 16, "PLACE": 17, "TOOL": 18},
    "GAMBLING": {"PUNISH": 1, "REWARD": 2},
    "MOTOR": {"LF": 2, "LH": 3, "RF": 4, "RH": 5, "T": 6},
    "LANGUAGE": {"MATH": 1, "STORY": 2},
    "SOCIAL": {"RANDOM": 1, "TOM": 2},
    "RELATIONAL": {"MATCH": 1, "REL": 2, "NEG_MATCH": 5, "NEG_REL": 6},
    "EMOTION": {"FACES": 1, "SHAPES": 2, "NEG_FACES": 4, "NEG_SHAPES": 5},
}
NEGATED = "NEG_"
LAYOUT = (
    "{root}/{subject}/MNINonLinear/Results/tfMRI_{task}/tfMRI_{task}_hp200_s4_level2vol.feat/"
    "cope{cope}.feat/stats/cope1.nii.gz"
)


class Simulate(MethodOptions):
    """Simulated maps in HCP's layout; sd are in units of the templates' sd in the brain."""

    subjects: Count = Field(110, description="simulated subjects")
    resolution: Literal[2, 4, 8] = Field(8, description="voxel size in mm on the HCP grid")
    peaks: str = Field("config/simulation/task_peaks.tsv", description="MNI peaks of each component, with sources")
    components: str = Field(
        "config/simulation/task_components.tsv", description="weight of each component in each condition"
    )
    blob_fwhm: Positive = Field(12.0, description="width of a peak's blob, mm")
    displacement_mm: NonNegative = Field(4.0, description="sd of a subject's smooth displacement, mm an axis")
    displacement_fwhm: Positive = Field(40.0, description="smoothness of the displacement, mm")
    gain_sd: NonNegative = Field(0.25, description="sd of the log gain of a subject's condition")
    modulation_sd: NonNegative = Field(0.3, description="sd of the smooth multiplicative field of a subject's task")
    subject_sd: NonNegative = Field(0.6, description="sd of the field added to all maps of a subject")
    task_sd: NonNegative = Field(0.5, description="sd of the field added to all maps of a subject's task")
    field_fwhm: Positive = Field(14.0, description="smoothness of the subject, task and modulation fields, mm")
    noise_sd: NonNegative = Field(1.5, description="sd of the noise of each map")
    noise_fwhm: Positive = Field(5.0, description="smoothness of the noise, mm")


class Options(MethodOptions):
    """An S1200 tree on disk, or one that is simulated first."""

    root: str | None = Field(
        None, description="folder that holds the subjects' folders; null where `simulate` is given"
    )
    simulate: Simulate | None = Field(None, description="simulate the tree instead of reading one")
    exclude: list[str] = Field([], description="subjects to leave out, e.g. those with missing runs")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.root is None) == (self.simulate is None):
            raise ValueError("give either 'root' (an HCP S1200 tree) or 'simulate', not both, not neither")
        return self


def simulated_subjects(count: int) -> list[str]:
    """Return the names of simulated subjects."""
    return [f"sim-{number:04d}" for number in range(count)]


def map_path(root: str | Path, subject: str, task: str, condition: str) -> Path:
    """Return where HCP's layout keeps a condition's map."""
    return Path(LAYOUT.format(root=root, subject=subject, task=task, cope=COPES[task][condition]))


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row a map: all 25 conditions of each subject, the task as label.

    Raises
    ------
    DataError
        If there are no subjects, or one of them lacks a map.
    """
    base = Path(options.root or root or "")
    if not base.is_dir():
        raise DataError(f"{base}: no such folder. Set `root` to the folder that holds the subjects' folders.")
    if options.simulate:
        subjects = simulated_subjects(options.simulate.subjects)
    else:
        subjects = sorted(p.name for p in base.iterdir() if (p / "MNINonLinear").is_dir())
    subjects = [subject for subject in subjects if subject not in options.exclude]
    if not subjects:
        raise DataError(f"{base}: no subject folder with MNINonLinear/ in it. Check `root`.")
    rows = [
        {
            "image": str(map_path(base, subject, task, condition)),
            "subject": subject,
            "label": task,
            "condition": condition,
            "negated": condition.startswith(NEGATED),
            "split": "",
        }
        for subject in subjects
        for task, conditions in COPES.items()
        for condition in conditions
    ]
    missing = [row for row in rows if not Path(row["image"]).is_file()]
    if missing:
        who = len({row["subject"] for row in missing})
        first = missing[0]
        raise DataError(
            f"{first['image']}: missing (task {first['label']}, condition {first['condition']}); {len(missing)} maps "
            f"of {who} subjects are. Fetch them, or list those subjects under `exclude`."
        )
    return pd.DataFrame(rows)


def read(image: str, options: Options, seed: int, root: str | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one map."""
    return read_map(image)


def kind(options: Options) -> str:
    """Return what these data are called wherever they show."""
    return "simulated data, not HCP" if options.simulate else "HCP S1200"
