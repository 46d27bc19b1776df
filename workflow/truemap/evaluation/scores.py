"""What scores are made from, and how they are stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from truemap.data.grid import read_grid
from truemap.data.rows import made_by
from truemap.data.volumes import Volumes, read_volumes
from truemap.evaluation.truth import OwnMaps, SubjectTruths, Truth
from truemap.runtime.files import whole
from truemap.runtime.log import log
from truemap.runtime.versions import versions


@dataclass(frozen=True)
class ScoreInputs:
    """Truth, voxels and test maps of a dataset.

    Attributes
    ----------
    truths : mapping
        (subject, condition set) -> Truth.
    inside : ndarray of bool, shape (voxels,), or None
        Voxels to correlate over; None is all.
    volumes : Volumes
        The test maps.
    chosen : sequence of str
        See `truemap.data.conditions.in_set`.
    """

    truths: Mapping[tuple[str, str], Truth]
    inside: np.ndarray | None
    volumes: Volumes
    chosen: Sequence[str] = ()

    @classmethod
    def read(cls, files: Any, settings: Mapping[str, Any]) -> ScoreInputs:
        """Read them from inputs ``truth, grid, own_maps, own_tables`` and settings ``average, voxels, chosen``."""
        inside = read_grid(files.grid).mask.reshape(-1) if settings["voxels"] == "brain" else None
        volumes = read_volumes(files.own_maps, files.own_tables)
        return cls(SubjectTruths(files.truth, settings["average"]), inside, volumes, settings["chosen"])

    def own(self, subject: str) -> OwnMaps | None:
        """Return a subject's own maps; None where there are no subjects: no map is then part of the truth."""
        if not subject:
            return None
        rows = self.volumes.table[self.volumes.table["subject"] == subject]
        return OwnMaps(rows, self.volumes.take(rows.index).reshape(len(rows), -1), self.chosen)


def write_scores(path: str | Path, blocks: Sequence[pd.DataFrame], **entry: str | int) -> None:
    """Write the blocks' scores as one Parquet file, with the versions of the packages that made them.

    Parameters
    ----------
    entry
        What they are of (`truemap.data.rows.made_by`).
    """
    scores = made_by(pd.concat(blocks, ignore_index=True), **entry)
    log.info("%d scores, %d null", len(scores), scores["r"].isna().sum())
    table = pa.Table.from_pandas(scores, preserve_index=False)
    with whole(path) as temporary:
        metadata = {**table.schema.metadata, "versions": json.dumps(versions())}
        pq.write_table(table.replace_schema_metadata(metadata), temporary)
