"""Time and memory by rule, from the files that Snakemake's ``benchmark:`` writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import pandas as pd

from truemap.figures.page import page, table_html


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
    if not files:
        return pd.DataFrame(columns=["dataset", "rule", "jobs", "seconds", "longest", "cpu_seconds", "peak_mb"])
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


def left_over(figures: Iterable[str | Path]) -> list[Path]:
    """Return the files, sorted, that lie beside these figures and are none of them, nor what a job is writing."""
    made = set(map(Path, figures))
    beside = (path for folder in {path.parent for path in made} for path in folder.glob("[!.]*"))
    return sorted(path for path in beside if path not in made)


def resource_page(table: pd.DataFrame, leftovers: Sequence[Path], dataset: str) -> str:
    """Return the table of `resource_table` as an HTML page that names the files of `left_over`."""
    names = "".join(f"<li>{escape(str(path))}</li>" for path in leftovers)
    said = f"<p>Left from another config, and made by no job of this one:</p><ul>{names}</ul>" if leftovers else ""
    names = {"seconds": "seconds (wall time)", "longest": "longest job (s)", "peak_mb": "peak (MB)"}
    shown = table_html(table.rename(columns=names), "Of each rule, as measured when its jobs last ran")
    return page(f"{dataset}: time and memory by rule", shown + said, dataset, depth=1)
