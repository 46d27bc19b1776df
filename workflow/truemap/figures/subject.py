"""The test subject of Figure 3, and its mean saliency maps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from truemap.data.conditions import in_set, set_shown
from truemap.data.maps import is_brain, on_grid, read_blocks, read_rows
from truemap.evaluation.truth import SubjectTruths, Truth
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError


def choose_subject(
    truths: SubjectTruths, conditions: str, seed: int, show: Sequence[str] | None = None
) -> tuple[str, Truth, str]:
    """Return the subject that is drawn, its truth, and the condition set that this is of.

    Parameters
    ----------
    truths : SubjectTruths
    conditions : str
        The set wanted; all conditions where it was not made.
    show : sequence of str, optional
        Classes that the subject must have maps of.

    Raises
    ------
    DataError
        If no subject has maps of all of them.
    """
    shown = set_shown((name for _, name in truths), conditions)
    wanted = set(show or ())
    subjects = sorted(who for (who, name), classes in truths.classes.items() if name == shown and wanted <= classes)
    if not subjects:
        raise DataError(f"show: no test subject has maps of all of {', '.join(show or ())}. Name other classes.")
    subject = subjects[derive_seed(seed, "figure-3") % len(subjects)]
    return subject, truths[subject, shown], shown


def subject_maps(
    path: str | Path, subject: str, target: str, inside: np.ndarray, conditions: str = "all", chosen: Sequence[str] = ()
) -> dict[str, np.ndarray]:
    """Return class -> a subject's mean saliency map for `target`, shape (voxels,), at the maps' own scale.

    Parameters
    ----------
    path : path
        Saliency maps of a method.
    inside : ndarray of bool, shape (voxels,)
        The brain; a map is zero outside where the file holds the brain only.
    conditions, chosen
        Maps that are averaged (`truemap.data.conditions.in_set`); a class without any has no mean.

    Raises
    ------
    DataError
        If the file has no maps of the subject.
    """
    own = [number for number, rows in enumerate(read_rows(path)) if rows["subject"].iloc[0] == subject]
    if not own:
        raise DataError(f"{path}: has no maps of the test subject drawn. Run the saliency stage again.")
    ((rows, maps),) = read_blocks(path, own[:1])
    maps = on_grid(maps, inside) if is_brain(path) else maps
    of_target = rows[(rows["target"] == target) & in_set(rows, conditions, chosen)]
    means = {
        label: (maps[part.index].astype(np.float64) * part["scale"].to_numpy()[:, None]).mean(axis=0)
        for label, part in of_target.groupby("label")
    }
    if not means:
        raise DataError(
            f"{path}: no map of the test subject drawn is of class {target} in these conditions. Set "
            "`explained: null`, or `drawn` without this method."
        )
    return means
