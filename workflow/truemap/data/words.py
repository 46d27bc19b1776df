"""Words of the config that only the data know: checked once there is a list of samples, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from truemap.config.names import FEW_UNITS, LEAST_UNITS
from truemap.config.options import suggest
from truemap.data.conditions import check_chosen, condition_sets, in_set, set_shown
from truemap.data.rows import has_subject
from truemap.runtime.files import DataError
from truemap.runtime.log import log


def check_words(
    samples: pd.DataFrame,
    shape: tuple[int, ...],
    show: Sequence[str] | None,
    figures: str,
    conditions: str,
    chosen: Sequence[str],
) -> None:
    """Refuse classes and conditions that the data do not have, and a way to draw that does not fit them.

    The log warns where the test split has few subjects.

    Parameters
    ----------
    samples : DataFrame
        ``subject, label, condition, negated, split`` of each map.
    shape : tuple of int
        Of a map.
    show : sequence of str, optional
        Classes that figures draw.
    figures : {"images", "glass_brain"}
    conditions : str
        Condition set that figures show first.
    chosen : sequence of str
        Conditions of the set ``chosen``.

    Raises
    ------
    DataError
        The message names the nearest word that the data have.
    """
    _warn_of_few(samples)
    if (figures == "images") != (1 in shape):
        other = "glass_brain" if figures == "images" else "images"
        kind = "no 2D images" if figures == "images" else "no brain volumes"
        raise DataError(f"figures: {figures}: maps of shape {shape} are {kind}. Set `figures: {other}`.")
    # What figures draw, and truth is of.
    tested = samples[samples["split"] == "test"]
    check_chosen(tested, chosen)
    drawn = set_shown(condition_sets(tested["negated"], chosen), conditions)
    rows = tested[in_set(tested, drawn, chosen)]
    labels = set(rows["label"])
    for label in show or []:
        if label not in labels:
            raise DataError(f"show: no class '{label}' in the test maps that figures show{suggest(label, labels)}")
    subjects = rows.groupby("subject")["label"].agg(set)
    if show and figures == "glass_brain" and not any(own >= set(show) for own in subjects):
        raise DataError(f"show: no test subject has maps of all of {', '.join(show)}. Name fewer classes.")


def _warn_of_few(samples: pd.DataFrame) -> None:
    tested = samples[samples["split"] == "test"]
    people = has_subject(tested)
    n, kind = (tested["subject"].nunique(), "subjects") if people.all() else (len(tested), "images")
    if n < FEW_UNITS:
        tests = "no test is made" if n < LEAST_UNITS else "tests tell little"
        log.warning("only %d test %s: %s, and means are of these few. Raise `split.test`, or add data.", n, kind, tests)
