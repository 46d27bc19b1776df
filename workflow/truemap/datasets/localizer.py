"""Contrast maps of the Brainomics/Localizer study, 94 subjects at 3 mm (Pinel et al. 2007; Papadopoulos Orfanos 2017).

A localizer of five minutes, its first-level contrasts made by SPM: open data, for research that is not commercial, that
``nilearn.datasets.fetch_localizer_contrasts`` downloads from OSF (https://osf.io/vhtf6/).  Classes are tasks, and each
has two or four of the study's conditions, as in Table 1 of McClure et al. 2020; each map is the contrast of a condition
with the baseline.

nilearn is asked for one subject at a time.  It leaves out, without a word, the maps that its index does not list, so
that what there is is read from the paths that it returns; and it keeps what it has begun in a folder that hangs on the
whole list that it is asked for.  Written by reading nilearn 0.12 to 0.14 and tried with a made-up server of the same
shape, not with the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.options import Count, SourceOptions, Subject
from truemap.data.nifti import read_map
from truemap.datasets._missing import incomplete
from truemap.datasets._nilearn import CACHE, fetched
from truemap.datasets._trees import check_excluded
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError, SourceError
from truemap.runtime.log import progress

#: Classes, and the contrast of each condition by nilearn's name and by the study's own, which names its file.
CONTRASTS = {
    "visual": {
        "horizontal checkerboard": "horizontal checkerboard",
        "vertical checkerboard": "vertical checkerboard",
    },
    "language": {"sentence listening": "auditory sentences", "sentence reading": "visual sentences"},
    "calculation": {
        "calculation (auditory cue)": "auditory calculation",
        "calculation (visual cue)": "visual calculation",
    },
    "motor": {
        "left button press (auditory cue)": "left auditory click",
        "left button press (visual cue)": "left visual click",
        "right button press (auditory cue)": "right auditory click",
        "right button press (visual cue)": "right visual click",
    },
}
#: Everybody in the study.
SUBJECTS = tuple(f"S{number:02d}" for number in range(1, 95))
STUDY = "Brainomics/Localizer"
REMEDY = "nilearn's index does not list them. Name those subjects under `exclude`, or set `on_bad_subject: skip`."


class Options(SourceOptions):
    """Subject-level contrast maps of the Brainomics/Localizer study, downloaded by nilearn once."""

    subjects: Count = Field(
        len(SUBJECTS),
        le=len(SUBJECTS),
        description="subjects to take, a seeded choice of the 94; those under `exclude` are then left out of it",
    )
    exclude: list[Subject] = Field(
        [], description="subjects to leave out (S01 to S94), e.g. those with missing maps; other names are refused"
    )
    cache: str = Field("resources/nilearn", description=CACHE)

    def kind(self) -> str:
        """What these data are called."""
        return f"{STUDY}, replication on other data"


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row a map: all ten conditions of each chosen subject, the task as label; fetch what is not there.

    Raises
    ------
    DataError
        If the maps cannot be fetched; a name to be excluded is nobody's; or maps are missing (`IncompleteSubjects`,
        unless all subjects lack some).
    """
    check_excluded(STUDY, SUBJECTS, options.exclude)
    order = sorted(SUBJECTS, key=lambda subject: (derive_seed(seed, "localizer", subject), subject))
    chosen = [subject for subject in order[: options.subjects] if subject not in options.exclude]
    if not chosen:
        raise DataError("exclude: nobody is left of the chosen subjects. Raise `subjects`, or leave out fewer.")
    # In the order of the choice: how far the download is must not name the subject.
    found = {subject: _maps(subject, options) for subject in progress(chosen, "subject")}
    rows = [
        {
            "image": found[subject][condition],
            "subject": subject,
            "label": task,
            "condition": condition,
            "negated": False,
            "split": "",
        }
        for subject in sorted(chosen)
        for task, conditions in CONTRASTS.items()
        for condition in conditions
    ]
    missing = [row for row in rows if not Path(row["image"]).is_file()]
    if missing:
        raise incomplete(missing, chosen, REMEDY)
    return pd.DataFrame(rows)


def subjects_of(options: Options, root: str | None = None) -> list[str]:
    """Return the names of everybody in the study, excluded ones too."""
    return list(SUBJECTS)


def prepare(images: Sequence[str], options: Options, seed: int) -> None:
    """Fetch those of these maps that are not there.

    Raises
    ------
    SourceError
        If that fails.
    """
    for subject in sorted({Path(image).parent.name for image in images if not Path(image).is_file()}):
        _maps(subject, options)


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one map."""
    try:
        return read_map(image)
    except SourceError:
        raise
    except DataError as error:
        raise DataError(f"{error} Delete the file, and the next run fetches it again.") from None


def files(image: str, options: Options) -> list[str]:
    """Return the file that a map is read from."""
    return [image]


def _maps(subject: str, options: Options) -> dict[str, str]:
    """Return condition -> path of a subject's map, whether nilearn has it or not; what is not there is fetched."""
    from nilearn.datasets import fetch_localizer_contrasts

    contrasts = {name: contrast for names in CONTRASTS.values() for name, contrast in names.items()}
    data = fetched(
        fetch_localizer_contrasts,
        STUDY,
        options.cache,
        contrasts=list(contrasts.values()),
        n_subjects=[int(subject.removeprefix("S"))],
    )
    paths = {Path(path).name: path for path in data.get("cmaps", [])}
    folder = Path(next(iter(paths.values()))).parent if paths else Path(options.cache, subject)
    names = {name: f"cmaps_{contrast.title().replace(' ', '')}.nii.gz" for name, contrast in contrasts.items()}
    return {condition: paths.get(name, str(folder / name)) for condition, name in names.items()}
