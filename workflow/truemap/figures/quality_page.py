"""The quality of a dataset's maps as a page."""

from __future__ import annotations

import pandas as pd

from truemap.data.quality import RULES
from truemap.data.rows import has_subject
from truemap.figures.page import sortable_page


def quality_page(table: pd.DataFrame, skipped: pd.DataFrame, dataset: str, data: str) -> str:
    """Return the quality of a dataset's maps as one HTML page.

    Parameters
    ----------
    table : DataFrame
        Of `quality_table`.
    skipped : DataFrame
        Of `read_skipped`.
    dataset : str
    data : str
        What the data are called.
    """
    title = f"{dataset}: quality of the maps ({data})"
    flagged = table[table["flags"] != ""]
    rules = "".join(f"<li><em>{flag}</em>: {rule}</li>" for flag, rule in RULES.items())
    shown = "Click a column's head to sort."
    return sortable_page(
        title,
        f"<p>{_counts(table, skipped)}</p>"
        "<p>Flags say what to look at; no map is left out for them. <em>r</em> is the correlation of a map, in the "
        "brain mask, with the mean of all other maps of its condition (of its class, where there are no subjects), in "
        "all splits; <em>r_flipped</em> the same of the map mirrored left-right, by its voxel axis along x. "
        f"<em>voxels</em> are those in the mask that are not empty, <em>outside</em> those out of it.</p><ul>{rules}"
        f"</ul><h2>Flagged maps</h2>{_html(flagged, 'No map is flagged.')}"
        f"<h2>Skipped subjects</h2>{_html(skipped, 'No subject was skipped.')}"
        f"<h2>All maps</h2><p>{shown}</p>{_html(table, 'No maps.')}",
    )


def _counts(table: pd.DataFrame, skipped: pd.DataFrame) -> str:
    named = table[has_subject(table)]
    counts = [f"{len(table)} maps of {named['subject'].nunique()} subjects" if len(named) else f"{len(table)} maps"]
    for flag in RULES:
        found = table[table["flags"].str.split(",").map(lambda words, flag=flag: flag in words)]
        who = found["subject"].nunique() if len(named) else 0
        counts.append(f"{flag}: {len(found)}" + (f" (subjects: {who})" if who else ""))
    return f"{'; '.join(counts)}; skipped subjects: {skipped['subject'].nunique()}."


def _html(table: pd.DataFrame, none: str) -> str:
    if table.empty:
        return f"<p>{none}</p>"
    return table.to_html(index=False, border=0, na_rep="", float_format=lambda value: f"{value:.3f}")
