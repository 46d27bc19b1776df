"""How the first page says numbers, tests and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from truemap.config.names import REFERENCE
from truemap.figures.page import Html, html, joined
from truemap.figures.words import CRITERIA as OF_FIGURES
from truemap.figures.words import in_words, measure_words

#: How a claim's verdict begins -> its kind; in the order of `PLACES`, what failed comes first.
VERDICTS = {"not reproduced": "fails", "not replicated": "fails", "does not hold": "fails"}
VERDICTS |= {"reproduced": "holds", "replicated": "holds", "holds": "holds"}
PLACES = ("fails", "holds", "open")
#: Criteria and truths in words.
CRITERIA = {
    **OF_FIGURES,
    "informative_absolute": "class-informative activation, sizes without signs",
    "pairwise_absolute": "pairwise class differences, sizes without signs",
    "network": "the network's own Shapley values",
    "network_absolute": "the network's own Shapley values, sizes without signs",
}
TRUTHS = {
    "full": "truth of all maps",
    "leave_out": "truth without the map explained",
    "network": "what the network does",
}


def criterion_words(name: str) -> str:
    """Return what a number is of, agreement or a measure, as words."""
    return CRITERIA.get(name) or measure_words(name)


def words(name: str) -> str:
    """Return a name as words."""
    return in_words(name).replace("_", " ")


def entry_words(entry: Mapping[str, Any]) -> str:
    """Return what a way to train and to explain, or a reference, is called."""
    if entry["model"] == REFERENCE:
        return f"reference: {words(entry['method'])}"
    return f"{entry['label']}, {words(entry['method'])}"


def kind_of(verdict: str) -> str:
    """Return whether a verdict says that a claim holds, fails, or could not be tested."""
    return next((kind for start, kind in VERDICTS.items() if verdict.startswith(start)), "open")


def number(value: float | None, digits: int = 3) -> str:
    """Return a number to so many digits behind the point; a dash where there is none."""
    # What rounds to 0 has no sign.
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def p_words(p: float | None) -> str:
    """Return a p as ``= 0.02`` or, where a computer's numbers end, ``< 1e-300``."""
    return "unknown" if p is None else "< 1e-300" if p == 0 else f"= {p:.2g}"


def listed(parts: Sequence[Any], last: str = "and") -> Html:
    """Return parts as a list in a sentence."""
    if len(parts) < 2:
        return joined(parts)
    return html("{} {} {}", joined(parts[:-1], ", "), last, parts[-1])


def plural(count: int, one: str, many: str = "") -> str:
    """Return a count and what is counted."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
