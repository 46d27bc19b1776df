import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from truemap.config import document
from truemap.config.registry import names

ROOT = Path(__file__).parents[2]
PINS = dict(line.lower().split("==") for line in (ROOT / "requirements.txt").read_text().split())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_parameter_tables_are_those_of_the_models() -> None:
    assert document.README.read_text().split(document.MARK)[1] == "\n" + document.tables()


def test_the_page_of_methods_is_in_the_words_of_their_modules() -> None:
    page = document.METHODS.read_text()
    assert page == document.methods()
    assert page.count("\n### ") == sum(len(names(family)) for family in document.FAMILIES)


def test_the_schema_is_that_of_the_models() -> None:
    assert json.loads(document.SCHEMA.read_text()) == document.schema()


def test_every_option_is_described() -> None:
    rows = [line for line in document.tables().splitlines() if line.startswith("| `")]
    assert len(rows) > 50
    assert [row for row in rows if row.split(" | ")[3].strip(" |") == ""] == []


@pytest.mark.parametrize("line", PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"])
def test_pins_lie_in_the_ranges_of_the_project(line: str) -> None:
    requirement = Requirement(line)
    assert requirement.specifier.contains(PINS[requirement.name])


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_same_pins(path: Path) -> None:
    entries = yaml.safe_load(path.read_text())["dependencies"]
    pip = next((entry["pip"] for entry in entries if isinstance(entry, dict)), [])
    pins = dict(re.split("=+", e) for e in [*entries, *pip] if isinstance(e, str) and e not in ("pip", "python=3.11"))
    assert pins == {name: PINS[name] for name in pins}
    assert len(pins) > 5


def test_every_environment_that_a_rule_names_is_there() -> None:
    named = {n for f in (ROOT / "workflow/rules").glob("*.smk") for n in re.findall(r"envs/(\w+)\.yaml", f.read_text())}
    assert named == {path.stem for path in (ROOT / "envs").glob("*.yaml")}
