"""Write config/README.md's tables, docs/methods.md and the config's JSON schema; a test holds them in sync.

Run as ``python -m truemap.config.document`` (``make docs``).
"""

from __future__ import annotations

import ast
import json
import re
import types
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from truemap.config.angles import Angles
from truemap.config.data import Split, TruthOptions
from truemap.config.dataset import Dataset
from truemap.config.exemplars import Influential
from truemap.config.general import Card, Maps, Provenance, Style
from truemap.config.models import GivenMaps, Model
from truemap.config.options import MethodOptions
from truemap.config.probes import Fragility, Roar, Robustness
from truemap.config.registry import names, options_of
from truemap.config.schema import Config
from truemap.config.trained import Trained

ROOT = Path(__file__).parents[3]
README = ROOT / "config" / "README.md"
METHODS = ROOT / "docs" / "methods.md"
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.json"
MARK = "<!-- From here on written by `make docs`. -->\n"
#: Families of methods, and the key of the config that names one.
FAMILIES = {
    "datasets": "source",
    "networks": "network",
    "training": "training",
    "saliency": "saliency",
    "references": "references",
    "attacks": "robustness.attacks",
    "map_attacks": "fragility.attacks",
    "metrics": "metrics",
}
#: What is told of influences, which have no methods to choose from: module -> its functions.
EXEMPLARS = {"influence": ("of", "influence_of"), "attack": ("gradient_sign",)}
#: The function of a method that its family's contract is about.
WORK = {
    "datasets": (), "networks": ("build", "plant"), "training": ("update",), "saliency": ("explain",),
    "references": ("refer",), "attacks": ("perturb",), "map_attacks": ("perturb",), "metrics": ("measure",),
}  # fmt: skip


def tables() -> str:
    """Return the tables of all parameters, as Markdown."""
    parts = [_section("Top level", Config), _section("`datasets.<name>`", Dataset)]
    parts += [_section("`datasets.<name>.split`", Split), _section("`datasets.<name>.models.<name>`", Model)]
    parts += [_section("The JSON file beside `weights`", Trained)]
    parts += [_section("`datasets.<name>.models.<name>`, where `maps` is set", GivenMaps)]
    parts += [_section("`datasets.<name>.truth`", TruthOptions), _section("`datasets.<name>.robustness`", Robustness)]
    parts += [_section("`datasets.<name>.roar`", Roar), _section("`datasets.<name>.fragility`", Fragility)]
    parts += [_section("`datasets.<name>.influence`", Influential)]
    parts += [_section("`datasets.<name>.angles`", Angles)]
    parts += [
        _section("`card`", Card),
        _section("`maps`", Maps),
        _section("`style`", Style),
        _section("`provenance`", Provenance),
    ]
    for family, key in FAMILIES.items():
        parts.append(f"## Methods: `{key}`\n\nOne module in `workflow/truemap/{family}/` each.\n")
        for name in names(family):
            parts += [_section(f"`{name}`", options, 3) for options in _with_parts(options_of(family, name))]
    return "\n".join(parts)


def methods() -> str:
    """Return a section a method, in the words of its module: what it is, its equation and source."""
    parts = ["# Methods\n\n<!-- Written by `make docs` from the modules' docstrings. -->\n"]
    for family, key in FAMILIES.items():
        parts.append(f"## `{key}`\n\nOne module in `workflow/truemap/{family}/` each.\n")
        for name in names(family):
            tree = ast.parse((ROOT / "workflow" / "truemap" / family / f"{name}.py").read_text(encoding="utf-8"))
            # What a contract asks for, in words; a function that only restates it has its equation there, or none.
            told = [_words(node) for node in tree.body if getattr(node, "name", "") in WORK[family]]
            parts.append("\n\n".join([f"### `{name}`", *filter(None, [_words(tree), *told])]) + "\n")
    parts.append(f"## `influence`\n\n{_exemplars()}\n")
    return "\n".join(parts)


def _exemplars() -> str:
    """Return how influences of training maps are computed and attacked, in the words of their modules."""
    parts = []
    for name, functions in EXEMPLARS.items():
        tree = ast.parse((ROOT / "workflow/truemap/exemplars" / f"{name}.py").read_text(encoding="utf-8"))
        told = {getattr(node, "name", ""): node for node in ast.walk(tree)}
        parts += [_words(tree), *(_words(told[function]) for function in functions)]
    return "\n\n".join(parts)


def _words(node: ast.AST) -> str:
    """Return a docstring up to its first numpydoc section, equations as GitHub shows them."""
    text = re.split(r"\n[^\n]+\n-{3,}\n", ast.get_docstring(node) or "")[0].strip()  # type: ignore[arg-type]
    text = re.sub(r":math:`([^`]+)`", r"$\1$", text).replace("``", "`")
    return re.sub(r"\.\. math::\s*(.+(?:\n +.+)*)", lambda found: _equation(found[1]), text).strip()


def _equation(text: str) -> str:
    return "\n".join(["```math", *(line.strip() for line in text.splitlines() if line.strip()), "```"])


def schema() -> dict[str, Any]:
    """Return the JSON schema of the config; methods' options stand under ``$defs``."""
    result = Config.model_json_schema()
    for family in FAMILIES:
        for name in names(family):
            result["$defs"][f"{family}.{name}"] = options_of(family, name).model_json_schema()
    return result


def _with_parts(options: type[MethodOptions]) -> list[type[MethodOptions]]:
    parts = [a for f in options.model_fields.values() for a in (f.annotation, *get_args(f.annotation))]
    return [options, *(part for part in parts if isinstance(part, type) and issubclass(part, MethodOptions))]


def _section(title: str, model: type[BaseModel], level: int = 2) -> str:
    name = f" {model.__name__.lower()}" if level > 2 and model.__name__ != "Options" else ""
    head = f"{'#' * level} {title}{name}\n\n{(model.__doc__ or '').strip()}\n"
    if not model.model_fields:
        return head
    rows = [
        f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {_cell(field.description or '')} |"
        for key, field in model.model_fields.items()
    ]
    return "\n".join([head, "| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows]) + "\n"


def _type(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(_type(part) for part in arguments)
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return "mapping"
    if annotation is type(None):
        return "null"
    return {"str": "text", "bool": "true, false"}.get(annotation.__name__, annotation.__name__)


def _default(field: Any) -> str:
    if field.default is PydanticUndefined:
        return "required"
    value = field.default.model_dump() if isinstance(field.default, BaseModel) else field.default
    if isinstance(value, dict) and value:
        return "see below"
    return f"`{json.dumps(value)}`" if not isinstance(value, float) else f"`{value:.6g}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Write all three files."""
    head = README.read_text(encoding="utf-8").split(MARK)[0]
    README.write_text(head + MARK + "\n" + tables(), encoding="utf-8")
    METHODS.write_text(methods(), encoding="utf-8")
    SCHEMA.write_text(json.dumps(schema(), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
