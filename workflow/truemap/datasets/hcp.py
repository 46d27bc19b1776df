"""Task contrast maps of the Human Connectome Project, S1200 release: 7 tasks, 25 conditions (Barch et al. 2013)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from truemap.config.options import Count, MethodOptions, NonNegative, Positive, SourceOptions, Subject
from truemap.data.nifti import decode_map, files_of, read_map
from truemap.data.tables import read_tsv
from truemap.datasets import _contrasts as contrasts
from truemap.datasets._layouts import COPES, LAYOUTS, NEGATED, folder, locate
from truemap.datasets._missing import incomplete
from truemap.datasets._s3 import WORKERS, each, is_s3
from truemap.datasets._s3_cache import read_tagged, store_all
from truemap.datasets._trees import Bucket, Disk, kept
from truemap.runtime.files import DataError, joined
from truemap.runtime.log import log

#: What maps are called that no person made.
SIMULATED = "simulated data, not HCP"


class Simulate(MethodOptions):
    """Simulated maps in HCP's layout; sd are in units of the templates' sd in the brain."""

    subjects: Count = Field(110, description="simulated subjects")
    resolution: Literal[2, 4, 8] = Field(8, description="voxel size in mm on the HCP grid")
    peaks: str | None = Field(
        None,
        description="TSV with MNI peaks of each component and their sources; null: config/simulation/task_peaks.tsv",
    )
    components: str | None = Field(
        None,
        description="TSV with the weight of each component in each condition; null: "
        "config/simulation/task_components.tsv",
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


class Options(SourceOptions):
    """An S1200 tree on disk or in an S3 bucket, or one that is simulated first."""

    root: str | None = Field(
        None,
        description="folder that holds the subjects' folders, e.g. of a DataLad checkout, or s3://bucket/folder (keys "
        "from the environment or ~/.aws, never here); null where `simulate` is given",
    )
    simulate: Simulate | None = Field(None, description="simulate the tree instead of reading one")
    exclude: list[Subject] = Field(
        [],
        description="subjects to leave out, e.g. those with missing runs; a name that is no subject's folder is "
        "refused, because mistyped it would keep somebody in",
    )
    layout: str = Field(
        "volume",
        description="where maps are below `root`. volume: tfMRI_{task}_hp200_s4_level2vol.feat/cope{cope}.feat/stats/ "
        "(S1200 release); standard_volume: tfMRI_{task}_hp200_s4_level2.feat/StandardVolumeStats/cope{cope}.feat/ "
        "(newer pipelines); or an own path with {subject}, {task}, {cope} and {statistic} (cope, zstat or tstat)",
    )
    statistic: Literal["cope", "zstat", "tstat"] = Field(
        "cope", description="which map of a contrast: its estimate (as in the paper), z or t"
    )
    cache: str | None = Field(
        None, description="folder that keeps what is fetched from S3; null streams each map when it is z-scored"
    )
    endpoint_url: str | None = Field(None, description="S3 server of a mirror; null is Amazon's")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.root is None) == (self.simulate is None):
            raise ValueError("give either 'root' (an HCP S1200 tree) or 'simulate', not both, not neither")
        if self.simulate and (self.layout, self.statistic) != ("volume", "cope"):
            raise ValueError("'layout' and 'statistic' are for a 'root'; a simulated tree has volume and cope")
        if not str(self.root).startswith("s3://") and (self.cache or self.endpoint_url):
            raise ValueError("'cache' and 'endpoint_url' are for a 'root' in a bucket (s3://...)")
        if self.endpoint_url and not self.endpoint_url.startswith(("http://", "https://")):
            raise ValueError(f"'endpoint_url' is an address like http://localhost:9000, not '{self.endpoint_url}'")
        if "@" in (self.endpoint_url or "") or (str(self.root).startswith("s3://") and "@" in str(self.root)):
            raise ValueError("keys do not belong into 'root' or 'endpoint_url': set them in the environment")
        return self

    @model_validator(mode="after")
    def _known_layout(self) -> Self:
        if self.layout in ("volume", "standard_volume"):
            return self
        pieces = self.layout.removeprefix("{root}/").split("{")
        names = {piece.partition("}")[0] for piece in pieces[1:]}
        known = ["subject", "task", "cope", "statistic"]
        for name in sorted(names.difference(known)):
            raise ValueError(f"layout: unknown placeholder '{{{name}}}'. Known here: {', '.join(known)}.")
        for name in known[:3]:
            if name not in names:
                raise ValueError(f"layout: give volume, standard_volume or a path with {{{name}}} in it")
        if any(piece.count("}") != (number > 0) for number, piece in enumerate(pieces)):
            raise ValueError("layout: braces do not pair")
        if "statistic" not in names and self.statistic != "cope":
            raise ValueError(f"layout: has no {{statistic}}, so 'statistic: {self.statistic}' would change nothing")
        return self

    def kind(self) -> str:
        """What these data are called."""
        return SIMULATED if self.simulate else "HCP S1200"


def simulated_subjects(count: int) -> list[str]:
    """Return the names of simulated subjects."""
    return [f"sim-{number:04d}" for number in range(count)]


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row a map: all 25 conditions of each subject, the task as label.

    Raises
    ------
    DataError
        If there are no subjects, one that is to be excluded is not there, a folder is a copy of another subject's
        (`truemap.datasets._trees.kept`), one lacks a map (`IncompleteSubjects`, unless all do), or a file beside the
        maps says that a cope is another contrast.
    """
    base, store = _tree(options, root)
    subjects = kept(base, _subjects(store, base, options), options.exclude)
    if not subjects:
        raise DataError(f"{base}: no subject folder with MNINonLinear/ in it. Check `root`.")
    store.look(
        folder(base, options.layout, options.statistic, subject, task) or f"{base}/{subject}"
        for subject in subjects
        for task in COPES
    )
    rows = [
        {
            "image": locate(base, options.layout, options.statistic, subject, task, condition),
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
    missing = [row for row in rows if not store.has(row["image"])]
    if missing and options.simulate:
        raise DataError(f"{missing[0]['image']}: missing, though it was simulated. Delete {base}, run again.")
    if missing:
        raise incomplete(missing, subjects, _remedy(store, base, options, missing[0]))
    samples = pd.DataFrame(rows)
    # What else the list hangs on: `truemap.data.seen`.
    named = [] if options.simulate else _check_names(store, base, options, subjects)
    tags = store.tags if isinstance(store, Bucket) else {}
    samples.attrs = {"beside": [] if is_s3(base) else named, "etags": tags}
    if not (options.simulate or is_s3(base)):
        samples.attrs["beside"].append(f"{base}/")
    return samples


def subjects_of(options: Options, root: str | None = None) -> list[str]:
    """Return the names of all subjects there are, excluded ones too."""
    base, store = _tree(options, root)
    return list(_subjects(store, base, options))


def prepare(images: list[str], options: Options, seed: int) -> None:
    """Fetch maps that are to be read into the cache, where the config wants one."""
    if options.cache:
        store_all(images, options.cache, options.endpoint_url)


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one map."""
    if not is_s3(image):
        return read_map(image)
    content, tag = read_tagged(image, options.cache, options.endpoint_url)
    values, affine, _ = decode_map(image, content)
    return values, affine, tag


def files(image: str, options: Options) -> list[str]:
    """Return the files that a map is read from."""
    return [image] if is_s3(image) else [str(path) for path in files_of(image)]


def verify(checksums: Mapping[str, str], options: Options, root: str | None) -> None:
    """Refuse a simulated tree whose maps are not those that were simulated.

    Parameters
    ----------
    checksums : mapping
        Image -> sha256 of its file.
    root : str
        Of the tree, with the lists that `simulate` wrote.

    Raises
    ------
    DataError
        If a subject's maps are others.
    """
    if not options.simulate:
        return
    lists = [read_tsv(path, "list", "Delete it.") for path in sorted(Path(root or "").glob("shard-*.tsv"))]
    wanted = {subject: was for table in lists for subject, was in zip(table["subject"], table["sha256"], strict=True)}
    for subject in simulated_subjects(options.simulate.subjects):
        own = [
            checksums[locate(str(root), "volume", "cope", subject, task, condition)]
            for task, conditions in COPES.items()
            for condition in conditions
        ]
        if wanted.get(subject) != joined(own):
            raise DataError(f"{root}/{subject}: its maps are not those that were simulated. Delete {root}, run again.")


def _tree(options: Options, root: str | None) -> tuple[str, Bucket | Disk]:
    base = options.root or root or ""
    base = base.rstrip("/") if is_s3(base) else str(Path(base))
    return base, Bucket(options.endpoint_url) if is_s3(base) else Disk()


def _subjects(store: Bucket | Disk, base: str, options: Options) -> dict[str, str]:
    listed = store.subjects(base)
    if options.simulate:
        # Not those of an earlier run with more of them.
        return {name: f"{os.path.realpath(base)}/{name}" for name in simulated_subjects(options.simulate.subjects)}
    return listed


def _remedy(store: Bucket | Disk, base: str, options: Options, row: dict[str, Any]) -> str:
    for name in LAYOUTS:
        other = locate(base, name, options.statistic, row["subject"], row["label"], row["condition"])
        if name != options.layout and other != row["image"] and store.exists(other):
            return f"It is there as {other.removeprefix(base + '/')}: set `layout: {name}`."
    if not is_s3(base) and Path(row["image"]).is_symlink():
        return "It is a DataLad link without its content: run `datalad get` on it."
    return "Fetch them, or list those subjects under `exclude`."


def _check_names(store: Bucket | Disk, base: str, options: Options, subjects: list[str]) -> list[str]:
    """Compare the cope numbers of every subject and task with the names beside their maps; return the files with names.

    Level-1 designs, farther off, are asked where there are none; in a bucket, where each look costs a
    request, those of the first subject only.
    """

    def check(design: tuple[str, str]) -> str | None:
        subject, task = design
        place = folder(base, options.layout, options.statistic, subject, task)
        groups = contrasts.places(place, task) if place else []
        if is_s3(base):
            groups = [list(filter(store.has, group)) for group in groups[:1]] + groups[1:] * (subject == subjects[0])
        return contrasts.check(store.text, groups, task, COPES[task])

    designs = [(subject, task) for subject in subjects for task in COPES]
    named = [file for file in each(check, designs, WORKERS) if file is not None]
    lacking = len(designs) - len(named)
    log.info("cope numbers agree with the contrasts' names in %d designs, %d have none", len(named), lacking)
    return named
