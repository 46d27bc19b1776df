"""Time and memory by rule, from the files that Snakemake's ``benchmark:`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd


def resource_table(files: Sequence[Path]) -> pd.DataFrame:
    """Return jobs, time and memory of each dataset and rule.

    Parameters
    ----------
    files : sequence of path
        ``{dataset}/{rule}-….tsv`` with the columns ``s``, ``max_rss`` (MB) and ``cpu_time`` (s).

    Returns
    -------
    DataFrame
        ``dataset, rule, jobs, seconds, longest, cpu_seconds, peak_mb``: total and longest wall time, total
        processor time, the largest memory of a job; sorted by total time.
    """
    frames = [
        pd.read_csv(path, sep="\t", na_values="-").assign(dataset=path.parent.name, rule=path.stem.split("-")[0])
        for path in files
    ]
    table = pd.concat(frames).groupby(["dataset", "rule"], as_index=False)
    return table.agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        longest=("s", "max"),
        cpu_seconds=("cpu_time", "sum"),
        peak_mb=("max_rss", "max"),
    ).sort_values("seconds", ascending=False, ignore_index=True)
