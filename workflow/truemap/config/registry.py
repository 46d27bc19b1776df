"""Methods that the config names: which they are, their options, and whether they fit each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from truemap.config.options import MethodOptions, load, methods

#: Bytes of a word in a file's name: the longest one, explain-{model}--{candidate}-{seed}-{method}.log, may have 255.
LONGEST = 50
#: Bytes of a folder's name that encrypted file systems allow too.
LONGEST_FOLDER = 140


def resolve_method(family: str, value: Any, name: str | None = None) -> dict[str, Any]:
    """Return ``{"name": ..., every option}`` for a method named in the config.

    Parameters
    ----------
    family : str
        Subpackage that holds the method: datasets, networks, training, saliency, references, attacks.
    value : str or dict or None
        A name, or options with the key ``name``.
    name : str, optional
        The name where `value` has none.
    """
    if not isinstance(value, str | dict | None):
        raise ValueError(f"a {family} method is a name, or options with a 'name', not {value!r}")
    options = {"name": value} if isinstance(value, str) else dict(value or {})
    for key in options:
        if not isinstance(key, str):
            raise ValueError(f"unknown key '{key}'")
    chosen = options.pop("name", name)
    if not isinstance(chosen, str):
        raise ValueError(f"a {family} method needs a 'name'")
    model: type[MethodOptions] = load(family, chosen)
    return {"name": chosen, **model(**options).model_dump(mode="json")}


def path_word(word: str, longest: int = LONGEST) -> str:
    """Return the word, or raise ValueError where it cannot be part of a path."""
    if not isinstance(word, str) or not word or not all(c.isalnum() or c in "-_" for c in word):
        raise ValueError(f"'{word}' becomes a file name: use letters, digits, '-' and '_' only")
    if re.search(r"(.+)\1{19}$", word):
        raise ValueError(f"'{word}' becomes a file name, and Snakemake takes 20 repetitions at its end for a fault")
    if len(word.encode()) > longest:
        raise ValueError(f"'{word}' becomes part of a file name: use at most {longest} bytes (a letter has 1 to 4)")
    return word


def path_words(words: Iterable[str], longest: int = LONGEST) -> None:
    """Raise ValueError where a word cannot be part of a path, or two are one file on a disk that knows no case."""
    seen: dict[str, str] = {}
    for word in words:
        path_word(word, longest)
        if word.casefold() in seen:
            raise ValueError(
                f"'{seen[word.casefold()]}' and '{word}' are one file on disks that know no case: rename one"
            )
        seen[word.casefold()] = word


def resolve_methods(family: str, value: Any) -> dict[str, dict[str, Any]]:
    """Return label -> method for a name, a list of names, or a mapping from a label to options."""
    if isinstance(value, str):
        value = [value]
    if isinstance(value, list):
        value = {entry if isinstance(entry, str) else repr(entry): None for entry in value}
    if not isinstance(value, dict):
        raise ValueError(f"{family}: give a name, a list of names, or a mapping from a label to options")
    path_words(value)
    found = {label: resolve_method(family, options, label) for label, options in value.items()}
    for label, method in found.items():
        if label != method["name"] and label in methods(family):
            raise ValueError(f"'{label}' is another {family} method than '{method['name']}': choose another label")
    return found


def method_options(family: str, method: dict[str, Any]) -> MethodOptions:
    """Return the options of what `resolve_method` gave."""
    return load(family, method["name"])(**{key: value for key, value in method.items() if key != "name"})


def check_fit(kind: str, name: str, needs: set[str], of: str, other: str, traits: set[str]) -> None:
    """Raise ValueError where a method needs more than another has.

    Parameters
    ----------
    kind, name : str
        Family and name of the method that needs something.
    of, other : str
        Family and name of the method that should have it.
    """
    if needs - traits:
        has = ", ".join(sorted(traits)) or "nothing of the kind"
        raise ValueError(f"{kind} '{name}' needs a {of} with: {', '.join(sorted(needs))}; '{other}' has: {has}")
