"""The one HTML shell of all pages: style, links between pages, tables that sort, filter and turn pages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

ASSETS = Path(__file__).parent / "assets"
#: Nothing is loaded from anywhere, and a page that tried could not.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
#: Pages of every dataset: name -> path below the dataset's folder.
OF_DATASET = {
    "every way to train and to explain": "figures/grid.html",
    "quality of the maps": "quality.html",
    "time and memory": "resources.html",
}


class Html(str):
    """Text that is HTML already, and is not escaped again."""


def html(form: str, *values: Any, **named: Any) -> Html:
    """Return `form` filled with values as `str.format` does, each escaped unless it is `Html`."""
    return Html(form.format(*map(safe, values), **{name: safe(value) for name, value in named.items()}))


def safe(value: Any) -> Html:
    """Return a value as HTML: escaped, unless it is `Html`."""
    return value if isinstance(value, Html) else Html(escape(str(value)))


def joined(parts: Iterable[Any], between: str = "") -> Html:
    """Return parts, each escaped unless it is `Html`, one after the other."""
    return Html(between.join(map(safe, parts)))


def page(
    title: str,
    body: str,
    dataset: str = "",
    depth: int = 0,
    data: Mapping[str, Any] | None = None,
    scripts: Iterable[str] = (),
    links: Iterable[tuple[str, str]] = (),
) -> str:
    """Return a page that needs nothing from outside.

    Parameters
    ----------
    title : str
    body : str
        HTML below the title; what comes from data is escaped already. Its tables can be sorted and filtered.
    dataset : str
        Whose pages it links to; empty: none's.
    depth : int
        How many folders below `results/` it lies.
    data : mapping, optional
        Name -> what the page's script reads, as JSON.
    scripts : iterable of str
        Names of scripts of its own in `ASSETS`.
    links : iterable of (str, str)
        Target and words of links within the page.
    """
    code = [(ASSETS / name).read_text(encoding="utf-8") for name in ("page.js", *scripts)]
    stored = [
        html('<script type="application/json" id="{}">{}</script>\n', name, Html(in_script(content)))
        for name, content in (data or {}).items()
    ]
    shell = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<link rel="icon" href="data:,">\n<title>{title}</title>\n<style>\n{style}</style>\n</head>\n<body>\n'
        '<a class="skip" href="#content">Skip to content</a>\n{nav}<main '
        'id="content">\n<h1>{title}</h1>\n{body}\n</main>\n'
        "{stored}<script>\n{code}</script>\n</body>\n</html>\n"
    )
    return html(
        shell,
        policy=Html(POLICY),
        title=title,
        style=Html((ASSETS / "page.css").read_text(encoding="utf-8")),
        nav=_nav(dataset, depth, links),
        body=Html(body),
        stored=joined(stored),
        code=Html("\n".join(code)),
    )


def in_script(content: Any) -> str:
    """Return JSON that stands in a page's script element: nothing in it can end the element."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _nav(dataset: str, depth: int, links: Iterable[tuple[str, str]]) -> Html:
    up = "../" * depth
    pages = [(f"{up}index.html", "First page"), (f"{up}claims.html", "Claims")]
    pages += [(f"{up}{dataset}/{path}", f"{dataset}: {name}") for name, path in OF_DATASET.items() if dataset]
    found = joined(html('<a href="{}">{}</a>\n', target, words) for target, words in [*links] or pages)
    return html('<nav aria-label="Pages">\n{}</nav>\n', found)


def table_html(table: pd.DataFrame, caption: str = "", **form: Any) -> Html:
    """Return a table as HTML, its cells escaped and whole; `form` is passed on to `DataFrame.to_html`."""
    with pd.option_context("display.max_colwidth", None):
        text = table.to_html(index=False, border=0, **form)
    text = text.replace("<th>", '<th scope="col">')
    said = html("<caption>{}</caption>", caption) if caption else Html("")
    head, rest = text.split(">", 1)
    return html('<div class="scroll">{}</div>\n', Html(f"{head}>{said}{rest}"))
