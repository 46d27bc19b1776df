"""Block maps of one person who saw objects of eight categories in twelve runs (Haxby et al. 2001).

``nilearn.datasets.fetch_haxby`` downloads one person's functional series, 300 MB, from PyMVPA's server.  The runs are
taken for subjects, pseudo-subjects, so that training and test have runs of their own: what is found holds for this
person, and the data are called so wherever they show.

A run has a block of 24 s of each category.  Its map is, voxel by voxel::

    (mean of the block's volumes - mean of the run's volumes at rest) / standard deviation of the run's volumes at rest

after a straight line was taken out of the run (least squares over all its volumes), and 0 outside the brain, which is
nilearn's EPI mask (`compute_epi_mask`) of the mean of all volumes.  Volumes are a block's by the labels that come with
the data, without a shift for the haemodynamic delay (some 5 s), as in nilearn's examples.  The recipe is of this
project; maps lie in the person's own space, so that glass brains show places only roughly.  Written by reading nilearn
0.12 to 0.14 and tried with a made-up server of the same shape, not with the real one.
"""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.options import Count, SourceOptions, Subject
from truemap.datasets._missing import incomplete
from truemap.datasets._nilearn import CACHE, fetched
from truemap.datasets._trees import check_excluded
from truemap.runtime.files import DataError, checksum, joined, signature

#: What the labels call volumes between blocks.
REST = "rest"
CATEGORIES = ("bottle", "cat", "chair", "face", "house", "scissors", "scrambledpix", "shoe")
STUDY = "Haxby et al. 2001"
REMEDY = "Their labels do not name them. Name those runs under `exclude`, or set `on_bad_subject: skip`."


class Options(SourceOptions):
    """Block maps of one person of Haxby et al. 2001 by run, downloaded by nilearn once.

    A map is the mean of a block's volumes minus the mean of the run's rest, over the standard deviation at rest, after
    a straight line was taken out of the run.
    """

    subject: Count = Field(2, le=6, description="the person, 1 to 6; nilearn's examples take 2")
    exclude: list[Subject] = Field(
        [], description="runs to leave out (run-00 to run-11), e.g. run-08 of person 5, which has no labels"
    )
    cache: str = Field("resources/nilearn", description=CACHE)

    def kind(self) -> str:
        """What these data are called."""
        return f"{STUDY}, runs of one person ({self.subject}) as pseudo-subjects"


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row a map: each category's block in each run, the run as subject; fetch what is not there.

    Raises
    ------
    DataError
        If the series cannot be fetched, its labels cannot be used, a name to be excluded is no run's, or runs lack
        categories (`IncompleteSubjects`, unless all do).
    """
    runs = _runs(_series(options)[1])
    check_excluded(f"{STUDY}, person {options.subject}", runs, options.exclude)
    kept = {run: labels for run, labels in runs.items() if run not in options.exclude}
    rows = [
        {
            "image": f"haxby/{run}/{category}",
            "subject": run,
            "label": category,
            "condition": category,
            "negated": False,
            "split": "",
        }
        for run in kept
        for category in CATEGORIES
    ]
    missing = [row for row in rows if row["label"] not in set(kept[row["subject"]])]
    if missing:
        raise incomplete(missing, kept, REMEDY)
    return pd.DataFrame(rows)


def subjects_of(options: Options, root: str | None = None) -> list[str]:
    """Return the names of all runs, excluded ones too."""
    return list(_runs(_series(options)[1]))


def prepare(images: Sequence[str], options: Options, seed: int) -> None:
    """Fetch the series where it is not there."""
    _series(options)


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one block map, float32; the checksum is of the series and its labels.

    Raises
    ------
    DataError
        If the series is damaged, or is not as long as its labels.
    """
    series, labels = _series(options)
    maps, affine, found = _block_maps(series, labels, str([signature(series), signature(labels)]))
    return maps[image], affine, found


def files(image: str, options: Options) -> list[str]:
    """Return the files that a map is made from: of every map the same ones."""
    return list(_series(options))


def block_maps(run: np.ndarray, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """Return category -> its map of one run (the formula is the module's).

    Parameters
    ----------
    run : ndarray, shape (..., volumes)
    labels : sequence of str
        Category of each volume, or `REST`.

    Raises
    ------
    DataError
        If fewer than two volumes are at rest.
    """
    labels = np.asarray(labels)
    if (labels == REST).sum() < 2:
        raise DataError(f"{STUDY}: a run has {(labels == REST).sum()} volumes at rest. Leave it out (`exclude`).")
    time = np.arange(len(labels)) - (len(labels) - 1) / 2
    signal = run - run.mean(axis=-1, keepdims=True)
    # Its mean is gone already, and of a straight line the slope is left.
    signal -= ((signal @ time) / (time @ time))[..., None] * time
    rest = signal[..., labels == REST]
    sd = rest.std(axis=-1, ddof=1)
    # Of a voxel that never varies rounding is left.
    varies = sd > 1e-9 * np.maximum(run.max(axis=-1), -run.min(axis=-1))
    found = {}
    for category in dict.fromkeys(labels[labels != REST]):
        change = signal[..., labels == category].mean(axis=-1) - rest.mean(axis=-1)
        found[str(category)] = np.divide(change, sd, out=np.zeros_like(change), where=varies).astype(np.float32)
    return found


def _series(options: Options) -> tuple[str, str]:
    """Return where the person's functional series and its labels are; what is not there is fetched."""
    return _at(options.subject, options.cache)


@lru_cache
def _at(subject: int, cache: str) -> tuple[str, str]:
    from nilearn.datasets import fetch_haxby

    data = fetched(fetch_haxby, STUDY, cache, subjects=[subject])
    return data["func"][0], data["session_target"][0]


def _runs(path: str) -> dict[str, list[str]]:
    """Return run -> the label of each of its volumes.

    Raises
    ------
    DataError
        If the file is no table of labels.
    """
    table = pd.read_csv(path, sep=" ", dtype=str, keep_default_na=False)
    if list(table) != ["labels", "chunks"] or not table["chunks"].str.fullmatch(r"\d+").all():
        raise DataError(f"{path}: no table of labels and chunks. Delete its folder, and the next run fetches it again.")
    if not (table["chunks"].astype(int).diff().dropna() >= 0).all():
        raise DataError(f"{path}: the volumes of a run are not together. Delete its folder, it is then fetched again.")
    return {f"run-{int(run):02d}": part["labels"].tolist() for run, part in table.groupby("chunks", sort=False)}


@lru_cache(maxsize=1)
def _block_maps(series: str, labels: str, state: str) -> tuple[dict[str, np.ndarray], np.ndarray, str]:
    """Return image -> its map, the affine, and the files' checksum; read once a job, for the state that they are in."""
    import nibabel as nib
    from nilearn.masking import compute_epi_mask

    runs = _runs(labels)
    volumes = sum(map(len, runs.values()))
    try:
        image: Any = nib.load(series, keep_file_open=True)
        if image.ndim != 4 or image.shape[3] != volumes:
            raise DataError(f"{series}: has shape {image.shape}, and there are {volumes} labels.")
        maps: dict[str, np.ndarray] = {}
        total, start = np.zeros(image.shape[:3]), 0
        for run, names in runs.items():
            # Run by run: the whole would be 2 GB in memory.
            values = np.asarray(image.dataobj[..., start : start + len(names)], dtype=np.float64)
            start += len(names)
            total += values.sum(axis=-1)
            if set(names) != {REST}:
                maps |= {f"haxby/{run}/{name}": values for name, values in block_maps(values, names).items()}
        with warnings.catch_warnings(action="ignore"):
            brain = compute_epi_mask(nib.Nifti1Image(total / volumes, image.affine)).get_fdata() > 0
    except DataError as error:
        raise DataError(f"{error} Delete the person's folder, and the next run fetches it again.") from None
    except (OSError, EOFError, zlib.error, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise DataError(
            f"{series}: truncated or unreadable ({error}). Delete the person's folder, and the next run "
            "fetches it again."
        ) from None
    found = joined([checksum(series), checksum(labels)])
    return {name: np.where(brain, values, np.float32(0)) for name, values in maps.items()}, image.affine, found
