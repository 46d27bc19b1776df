"""Maps that are not there: whose they are, and whether the others can be used without them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from truemap.runtime.files import DataError, IncompleteSubjects


def incomplete(missing: Sequence[Mapping[str, Any]], subjects: Collection[str], remedy: str) -> DataError:
    """Return the error of rows whose maps are missing; where all subjects lack some, none can be left out.

    Parameters
    ----------
    missing : sequence of mapping
        ``image, subject, label, condition``, at least one.
    subjects : collection of str
        All of them.
    remedy : str
        The message's end.
    """
    lacking: dict[str, list[Mapping[str, Any]]] = {}
    for row in missing:
        lacking.setdefault(row["subject"], []).append(row)
    first = missing[0]
    message = (
        f"{first['image']}: missing (task {first['label']}, condition {first['condition']}); {len(missing)} maps "
        f"of {len(lacking)} subjects are. {remedy}"
    )
    if len(lacking) == len(subjects):
        return DataError(message)
    reasons = {who: (own[0]["image"], f"{len(own)} of its maps are missing") for who, own in lacking.items()}
    return IncompleteSubjects(message, reasons)
