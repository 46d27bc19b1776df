"""HCP's tasks and conditions, and where its pipelines put their maps."""

from __future__ import annotations

from pathlib import Path

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
#: Where HCP's pipelines put a map below the root: those of the S1200 release, and the newer ones.
LEVEL2 = "{subject}/MNINonLinear/Results/tfMRI_{task}/tfMRI_{task}_hp200_s4_level2"
LAYOUTS = {
    "volume": LEVEL2 + "vol.feat/cope{cope}.feat/stats/{statistic}1.nii.gz",
    "standard_volume": LEVEL2 + ".feat/StandardVolumeStats/cope{cope}.feat/{statistic}1.nii.gz",
}


def map_path(root: str | Path, subject: str, task: str, condition: str) -> Path:
    """Return where HCP's layout keeps a condition's map."""
    return Path(locate(str(root), "volume", "cope", subject, task, condition))


def locate(base: str, layout: str, statistic: str, subject: str, task: str, condition: str) -> str:
    """Return where a condition's map is, by a layout's name or its own path."""
    cope = COPES[task][condition]
    return f"{base}/{_pattern(layout).format(subject=subject, task=task, cope=cope, statistic=statistic)}"


def folder(base: str, layout: str, statistic: str, subject: str, task: str) -> str | None:
    """Return the folder with a task's copes, the .feat folder where there is one; None where tasks share it."""
    head = _pattern(layout).partition("{cope}")[0].rpartition("/")[0]
    if "{task}" not in head or "{subject}" not in head:
        return None
    above = head.rpartition("/")[0]
    head = above if above.endswith(".feat") and not head.endswith(".feat") else head
    return f"{base}/{head.format(subject=subject, task=task, statistic=statistic)}"


def _pattern(layout: str) -> str:
    return LAYOUTS.get(layout, layout).removeprefix("{root}/").lstrip("/")
