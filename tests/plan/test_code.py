import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from truemap.plan.code import closure, code, method_code, script_modules
from truemap.runtime.sourcecode import code_hash

WORKFLOW = Path(__file__).parents[2] / "workflow"
SCRIPTS = sorted((WORKFLOW / "scripts").glob("*.py"))
#: What `SOURCE` must give under every version of Python.
GOLDEN = "32c068a291"
SOURCE = '''"""A module."""

LIMIT = 3


class Network:
    """A network."""

    kind = "linear"


def forward(x, scale=1.0):
    """Return it."""
    return f"{x} {scale:.2f}"


def nothing():
    """Do nothing."""
'''


@pytest.fixture
def hash_of(tmp_path):
    """Hash of a source; each under its own name, because hashes are kept by path."""
    count = iter(range(10))

    def hashed(source):
        path = tmp_path / f"module_{next(count)}.py"
        path.write_text(source, encoding="utf-8")
        return code_hash(path)

    return hashed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "# why\nLIMIT = 3  # because"),
        ('"""A module."""', '"""Another docstring."""'),
        ('"""A module."""', ""),
        ('"""A network."""', '"""A better network."""'),
        ('"""Return it."""', '"""Return it.\n\n    At length.\n    """'),
        ('    """Return it."""\n', ""),
        ('"""Do nothing."""', "pass"),
        ("\n\n\n", "\n"),
        ("LIMIT = 3", "LIMIT   =   (\n    3\n)"),
        ('"linear"', "'linear'"),
        ("x, scale=1.0", "x, scale=1.0,"),
    ],
)
def test_what_does_not_run_does_not_count(hash_of, old, new):
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new)) == hash_of(SOURCE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "LIMIT = 4"),
        ("LIMIT = 3", "LIMIT = 3.0"),
        ("scale=1.0", "scale=2.0"),
        ("scale=1.0", "scale"),
        ("{scale:.2f}", "{scale:.3f}"),
        ('f"{x} ', 'f"{x}_'),
        ('f"{x} ', 'f"{x!r} '),
        ("return f", "return "),
        ('"linear"', '"Linear"'),
        ("class Network:", "class Network(object):"),
        ('    """Return it."""', '    """Return it."""\n    "a text that is no docstring"'),
    ],
)
def test_what_runs_counts(hash_of, old, new):
    assert old in SOURCE
    assert hash_of(SOURCE.replace(old, new)) != hash_of(SOURCE)


def test_a_training_method_reaches_what_it_imports_and_nothing_else():
    assert closure("truemap.training.free") == {
        "truemap.training.free",
        "truemap.training._objective",
        "truemap.geometry",
        "truemap.config.options",
    }


def test_a_module_that_is_imported_by_an_imported_one_is_reached():
    assert "truemap.numerics" not in (WORKFLOW / "truemap/evaluation/truth.py").read_text()
    assert "truemap.numerics" in closure("truemap.evaluation.truth")  # through truemap.data.volumes


@pytest.mark.parametrize("module", ["truemap.evaluation.agreement", "truemap.plan.plan"])
def test_the_closure_is_what_python_loads(module):
    program = f"import {module}, sys; print(*(m for m in sys.modules if m.startswith('truemap.')))"
    done = subprocess.run(
        [sys.executable, "-c", program], env={"PYTHONPATH": str(WORKFLOW)}, capture_output=True, text=True, check=True
    )
    loaded = {name for name in done.stdout.split() if not WORKFLOW.joinpath(*name.split(".")).is_dir()}
    assert closure(module) == loaded


@pytest.mark.parametrize(("package", "counts"), [("", True), ("training", True), ("saliency", False)])
def test_code_in_a_package_file_counts_for_what_is_in_the_package(tmp_path, package, counts):
    shutil.copytree(WORKFLOW, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "workflow/truemap" / package / "__init__.py"
    assert file.read_text() == ""
    file.write_text('"""Nothing but words."""\n')
    program = "from truemap.plan.code import closure; print(*closure('truemap.training.pgd'))"

    def reached():
        environment = {"PYTHONPATH": str(tmp_path / "workflow")}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()

    name = f"truemap.{package}".rstrip(".")
    assert name not in reached()
    file.write_text("from truemap.config import names\n")
    assert (name in reached()) == counts
    assert ("truemap.config.names" in reached()) == counts


def test_the_hash_is_of_the_tree_and_not_of_how_a_version_of_python_prints_it(hash_of, monkeypatch):
    # Computed with CPython 3.11 and PyPy 3.9 (apt-get install pypy3), whose ast modules differ.
    assert hash_of(SOURCE) == GOLDEN
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node._fields = (*node._fields, "type_params")  # as Python 3.12 has it
            node.type_params = []
    monkeypatch.setattr(ast, "parse", lambda source: tree)
    assert hash_of(SOURCE) == GOLDEN


def test_a_script_reaches_what_it_names_in_any_form_of_import(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import numpy\nimport truemap.runtime.files\nfrom truemap.data import maps\nfrom truemap.figures import style\n"
        "from truemap.numerics import pearson\n"
    )
    names = (
        *("runtime.files", "runtime.log", "data.maps", "numerics"),
        *("figures.style", "figures.backend", "config.names", "config.options"),
    )
    assert script_modules(script) == {f"truemap.{name}" for name in names}
    script.write_text("import json\n")
    assert script_modules(script) == set()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_params_are_names_and_hashes_without_a_path(script):
    params = code(script)
    assert re.fullmatch(rf"{script.name}@[0-9a-f]{{10}}", params.pop("code_script"))
    for name, value in params.items():
        assert re.fullmatch(r"(truemap[\w.]*)@[0-9a-f]{10}", value), value
        assert name == value.split("@")[0].replace(".", "_")


def test_params_are_the_same_for_another_checkout(tmp_path):
    for script in SCRIPTS:
        assert code(Path(shutil.copy(script, tmp_path))) == code(script)
    for module in (WORKFLOW / "truemap").rglob("*.py"):
        copied = tmp_path / "elsewhere" / module.relative_to(WORKFLOW)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(module, copied)
        assert code_hash(copied) == code_hash(module)


def test_a_methods_code_is_what_the_script_has_not_already():
    script = WORKFLOW / "scripts/explain.py"
    own = {value.split("@")[0] for name, value in code(script).items() if name != "code_script"}
    added = [value.split("@")[0] for value in method_code(script, "truemap.saliency.smoothgrad")]
    assert set(added) == closure("truemap.saliency.smoothgrad") - own
    assert {"truemap.saliency._jacobian", "truemap.saliency.smoothgrad"} <= set(added)
    assert own | set(added) >= closure("truemap.saliency.smoothgrad")
    assert "truemap.saliency.weights" not in own


def test_code_of_several_methods_is_sorted_and_named_once():
    found = method_code(SCRIPTS[0], "truemap.training.pgd", "truemap.training.free", "truemap.training.pgd")
    assert found == sorted(set(found))
    assert {"truemap.training.pgd", "truemap.training.free"} <= {value.split("@")[0] for value in found}
