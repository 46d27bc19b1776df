"""The quality of a dataset's maps as a page."""

from __future__ import annotations

import numpy as np
import pandas as pd

from truemap.data.quality import RULES
from truemap.data.rows import has_subject
from truemap.figures.page import Html, html, page, table_html

#: Bars of the histogram.
BINS = 20


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
    return page(
        title,
        f"<p>{_counts(table, skipped)}</p>"
        "<p>Flags say what to look at; no map is left out for them. <em>r</em> is the correlation of a map, in the "
        "brain mask, with the mean of all other maps of its condition (of its class, where there are no subjects), in "
        "all splits; <em>r_flipped</em> the same of the map mirrored left-right, by its voxel axis along x. "
        f"<em>voxels</em> are those in the mask that are not empty, <em>outside</em> those out of it.</p><ul>{rules}"
        f"</ul>{_histogram(table['r'])}<h2>Flagged maps</h2>{_html(flagged, 'No map is flagged.')}"
        f"<h2>Skipped subjects</h2>{_html(skipped, 'No subject was skipped.')}"
        f"<h2>All maps</h2>{_html(table, 'No maps.')}",
        dataset,
        depth=1,
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
    return table_html(table, na_rep="", float_format=lambda value: f"{value:.3f}")


def _histogram(r: pd.Series) -> Html:
    """Return how many maps have which r with the others of their condition, as bars; nothing where none has one."""
    values = r.dropna().to_numpy()
    if not len(values):
        return Html("")
    counts, edges = np.histogram(values, BINS, (min(0.0, values.min()), max(1.0, values.max())))
    wide, high = 20, 120
    bars = [
        html(
            '<rect class="ours" x="{}" y="{}" width="{}" height="{}"><title>r {:} to {}: {}</title></rect>',
            30 + wide * at, f"{20 + high * (1 - count / counts.max()):.1f}", wide - 2,
            f"{high * count / counts.max():.1f}", f"{edges[at]:.2f}", f"{edges[at + 1]:.2f}", count,
        )
        for at, count in enumerate(counts)
    ]  # fmt: skip
    ticks = [
        html('<text class="soft" x="{}" y="158" text-anchor="middle">{}</text>', 29 + wide * at, f"{edges[at]:.1f}")
        for at in range(0, BINS + 1, 4)
    ]
    said = (
        f"{len(values)} maps have an r: median {np.median(values):.2f}, from {values.min():.2f} to {values.max():.2f}"
    )
    return html(
        '<h2>How much maps are like the others of their condition</h2><figure><svg viewBox="0 0 460 180" role="img" '
        'aria-label="Histogram of r. {said}">{}{}<text class="soft" x="230" y="176" text-anchor="middle">r</text></svg>'
        "<figcaption>Number of maps by r. {said}; the highest bar is {} maps.</figcaption></figure>",
        Html("".join(bars)), Html("".join(ticks)), counts.max(), said=said,
    )  # fmt: skip
