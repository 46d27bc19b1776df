"""HTML pages with tables that can be sorted; a page needs nothing from outside."""

from __future__ import annotations

from html import escape
from typing import Any

import pandas as pd

STYLE = (
    "body{font:14px sans-serif;margin:2em;max-width:75em}table{border-collapse:collapse}"
    "td,th{border:1px solid #ccc;padding:2px 7px;text-align:right}th{cursor:pointer;background:#eee}"
)
#: A click on a column's head sorts by it, a second one the other way.
SCRIPT = """
for (const head of document.querySelectorAll("th")) head.onclick = () => {
  const table = head.closest("table"), place = head.cellIndex, down = head.dataset.down !== "1";
  head.dataset.down = down ? "1" : "0";
  const key = row => {
    const text = row.cells[place].textContent, number = Number(text);
    return text && !isNaN(number) ? number : text;
  };
  const order = (a, b) => (key(a) > key(b) ? 1 : key(a) < key(b) ? -1 : 0) * (down ? -1 : 1);
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(order));
};
"""


def sortable_page(title: str, body: str) -> str:
    """Return a page with this title and, below it, `body` (HTML), whose tables can be sorted."""
    title = escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        f"<h1>{title}</h1>{body}<script>{SCRIPT}</script></html>\n"
    )


def table_html(table: pd.DataFrame, **form: Any) -> str:
    """Return a table as HTML, its cells escaped and whole; `form` is passed on to `DataFrame.to_html`."""
    with pd.option_context("display.max_colwidth", None):
        return table.to_html(index=False, border=0, **form)
