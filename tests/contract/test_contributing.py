"""The methods in CONTRIBUTING.md are methods: each keeps its family's contract, in no more lines than it says."""

import re
from pathlib import Path

import checks
import pytest

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
METHODS = re.findall(r"`(\w+)/(\w+)\.py`[^\n]*:\n\n```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(("family", "name", "text"), METHODS, ids=[f"{family}-{name}" for family, name, _ in METHODS])
def test_a_method_that_is_shown_works(family: str, name: str, text: str, tmp_path: Path) -> None:
    assert len([line for line in text.splitlines() if line.strip()]) <= 15
    folder = tmp_path / f"shown_{name}"
    (folder / family).mkdir(parents=True)
    (folder / family / f"{name}.py").write_text(text, encoding="utf-8")
    for check in [*checks.BY_NAME, *checks.OF_FAMILY[family]]:
        checks.run(check, family, name, str(folder))


def test_there_are_some() -> None:
    assert {family for family, *_ in METHODS} == {"saliency", "networks", "references"}
