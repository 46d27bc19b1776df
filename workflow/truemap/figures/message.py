"""Maps that know nothing of a network beside every network's map, against both truths: the message in one figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from truemap.config.names import REFERENCE
from truemap.figures.page import Html, html, joined
from truemap.figures.wording import TRUTHS, entry_words, number

#: Entries of networks that are drawn, the best ones; the grid has all.
DRAWN = 40
#: Of a panel, in pixels: its width, that of names, the height of a row, and margins above and below.
WIDTH, NAMES, ROW, ABOVE, BELOW = 390, 160, 30, 30, 44
#: Letters of a line of a name that fit, and those that are shown of a longer one, set closer.
FIT, LETTERS = 22, 26


def message_figure(blocks: Sequence[Mapping[str, Any]], entries: Sequence[Mapping[str, str]], criterion: str) -> Html:
    """Return one panel a truth, each with the same rows and axis; nothing where the criterion has no values.

    Parameters
    ----------
    blocks : sequence of mapping
        Of `truemap.figures.digest.grid_numbers`.
    entries : sequence of mapping
        Of `truemap.figures.digest.all_entries`.
    criterion : str
    """
    panels = [block for block in blocks if block["criterion"] == criterion and block["truth"] in ("full", "leave_out")]
    if not panels:
        return Html("")
    rows = _rows(panels[-1], entries)
    ends = [
        value for block in panels for key in ("mean", "ci_low", "ci_high") for value in block[key] if value is not None
    ]
    low, high = min(0.0, *ends), max(*ends, 0.1)
    left_out = sum(entry["model"] != REFERENCE for entry in entries) - sum(
        entries[at]["model"] != REFERENCE for at in rows
    )
    more = f" The best {DRAWN} of the networks' maps are drawn; the grid below has {left_out} more." if left_out else ""
    return html(
        '<figure>\n<div class="pair">\n{}</div>\n<figcaption>Mean r and its 95% interval over subjects (over images, '
        "where "
        "there are no subjects). Open diamonds: maps that know nothing of any network. Filled dots: maps of "
        "networks. Same axis in all panels.{}</figcaption>\n</figure>\n",
        joined(_panel(block, entries, rows, low, high) for block in panels),
        more,
    )


def _rows(block: Mapping[str, Any], entries: Sequence[Mapping[str, str]]) -> list[int]:
    """Return places of what is drawn, the largest mean first."""
    found = [at for at, mean in enumerate(block["mean"]) if mean is not None]
    found.sort(key=lambda at: -block["mean"][at])
    ours = [at for at in found if entries[at]["model"] != REFERENCE][:DRAWN]
    return [at for at in found if entries[at]["model"] == REFERENCE or at in ours]


def _panel(
    block: Mapping[str, Any], entries: Sequence[Mapping[str, str]], rows: Sequence[int], low: float, high: float
) -> Html:
    title = TRUTHS[block["truth"]]
    height = ABOVE + ROW * len(rows) + BELOW

    def across(value: float) -> str:
        return f"{NAMES + (value - low) / (high - low) * (WIDTH - NAMES - 16):.1f}"

    marks, said = [], []
    for line, at in enumerate(rows):
        mean = block["mean"][at]
        if mean is None:
            continue
        name, y = entry_words(entries[at]), ABOVE + ROW * line + ROW / 2
        said.append(f"{name} {mean:.2f}")
        marks.append(_mark(name, block, at, across, y, entries[at]["model"] == REFERENCE))
    bottom = height - BELOW
    ticks = [
        tick / 10 for tick in range(-10, 11) if low <= tick / 10 <= high and tick % (2 if high - low > 0.5 else 1) == 0
    ]
    rules = [_rule(across(tick), tick, bottom) for tick in ticks]
    return html(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="{}">\n<text x="0" y="18">against the {}</text>\n{}{}'
        '<text class="soft" x="{}" y="{}" text-anchor="middle">mean r</text>\n</svg>\n',
        WIDTH, height, f"Mean r against the {title}: {'; '.join(said)}", title, joined(rules),
        joined(marks), (NAMES + WIDTH) // 2, bottom + 36,
    )  # fmt: skip


def _mark(name: str, block: Mapping[str, Any], at: int, across: Any, y: float, reference: bool) -> Html:
    """Return a row: name, interval, and a dot (a network's map) or a diamond (a reference)."""
    mean, low, high = (block[key][at] for key in ("mean", "ci_low", "ci_high"))
    kind, x = ("theirs" if reference else "ours"), float(across(mean))
    interval = ""
    if low is not None and high is not None:
        interval = html('<line x1="{}" x2="{}" y1="{y}" y2="{y}" stroke-width="2"/>', across(low), across(high), y=y)
    shape = html('<circle cx="{}" cy="{}" r="4.5"/>', x, y)
    if reference:
        corners = f"{x},{y - 6} {x + 6},{y} {x},{y + 6} {x - 6},{y}"
        shape = html('<polygon points="{}" stroke-width="2"/>', corners)
    return html(
        '{}<g class="{}">{}{}<title>{}: {} [{}, {}]</title></g>\n',
        _name(name, y, kind), kind, interval, shape, name, number(mean), number(low), number(high),
    )  # fmt: skip


def _name(name: str, y: float, kind: str) -> Html:
    """Return a row's name, a model above its way to explain, so that both fit beside the marks."""
    lines = name.rsplit(": " if kind == "theirs" else ", ", 1)
    places = [y + 4] if len(lines) == 1 else [y - 2, y + 11]
    return joined(_line(text, place, kind) for text, place in zip(lines, places, strict=True))


def _line(text: str, y: float, kind: str) -> Html:
    shown = text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…"
    close = html(' textLength="{}" lengthAdjust="spacingAndGlyphs"', NAMES - 12) if len(text) > FIT else ""
    form = '<text class="name {}" x="{}" y="{}" text-anchor="end"{}>{}</text>'
    return html(form, kind, NAMES - 10, y, close, shown)


def _rule(x: str, tick: float, bottom: float) -> Html:
    """Return a line of the axis and its number."""
    return html(
        '<line class="rule" x1="{x}" x2="{x}" y1="{}" y2="{}"/><text class="soft" x="{x}" y="{}" '
        'text-anchor="middle">{}'
        "</text>\n",
        ABOVE, bottom, bottom + 16, f"{tick:.1f}", x=x,
    )  # fmt: skip
