"""What tests ask of every page."""

import re


def asked_for(page: str) -> list[str]:
    """Return what a browser would load for the page from elsewhere: links that somebody follows are none."""
    loaded = re.findall(r"""(?:\ssrc|<link[^>]*\shref)=["']?([^"'>\s]*)|url\(([^)]*)\)|@import\s+(\S+)""", page)
    found = ["".join(groups) for groups in loaded]
    return [address for address in found if not address.startswith("data:")]


def read_text(page: str) -> str:
    """Return the page without its scripts and style: what is read."""
    return re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
