import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

from truemap.plan.code import NOT_CODE, WHOLE, Code
from truemap.runtime import syntax
from truemap.runtime.sourcecode import SCRIPTS, WORKFLOW, _read
from truemap.runtime.syntax import Module

SHIPPED = sorted(SCRIPTS.glob("*.py"))
#: What `SOURCE` must give under every version of Python.
GOLDEN = "e853fb699da84c7f"
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
    """Hash of a source; each under its own name, because modules are kept by path."""
    count = iter(range(10))

    def hashed(source):
        path = tmp_path / f"module_{next(count)}.py"
        path.write_text(source, encoding="utf-8")
        return Module(path).digest

    return hashed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("LIMIT = 3", "# why\nLIMIT = 3  # because"),
        ('"""A module."""', '"""Another docstring."""'),
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


def test_the_hash_is_of_the_tree_and_not_of_how_a_version_of_python_prints_it(hash_of, monkeypatch):
    # Computed with CPython 3.11; later versions have more fields.
    assert hash_of(SOURCE) == GOLDEN
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node._fields = (*node._fields, "type_params")  # as Python 3.12 has it
            node.type_params = []
    monkeypatch.setattr(syntax.ast, "parse", lambda *source: tree)
    assert hash_of(SOURCE) == GOLDEN


class World:
    """A made-up package `pack`, and a script; each edit is seen as a new start sees it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def record(self) -> dict[str, str]:
        _read.clear()
        return Code({"pack": self.folder / "pack"}).of_script(self.folder / "script.py")

    def counts(self, file: str, old: str, new: str) -> bool:
        """Return whether an edit changes the record; the file is put back."""
        before, path = self.record(), self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))
        after = self.record()
        path.write_text(text)
        assert self.record() == before
        return after != before


@pytest.fixture
def world(tmp_path):
    yield World(tmp_path)
    _read.clear()


REACHED = yaml.safe_load(Path(__file__).with_name("reached.yaml").read_text())


@pytest.mark.parametrize("case", REACHED, ids=[case["name"] for case in REACHED])
def test_what_can_be_reached_counts_and_nothing_else(world, case):
    named = {f"pack/{name}.py": case[name].rstrip() + "\n" for name in ("__init__", "a", "b") if name in case}
    world.write({**named, "script.py": case["script"] + "\n"})
    (edited,) = [name for name, text in named.items() if case["edit"][0] in text]
    assert world.counts(edited, *case["edit"]) == case["counts"]


def test_the_order_of_definitions_and_a_file_that_comes_into_use_are_seen(world):
    world.write({"pack/a.py": "def f(): return 1\nX = 2\n", "script.py": "from pack.a import f, X\nf()\nX\n"})
    before = world.record()
    world.write({"pack/a.py": "X = 2\ndef f(): return 1\n"})
    assert world.record() == before
    world.write({"pack/b.py": "def g(): return 1\n", "pack/a.py": "from pack.b import g\nX = 2\ndef f(): return g()\n"})
    assert set(world.record()) == {"code_script", "pack_a", "pack_b"}


def test_where_any_module_may_be_asked_for_one_that_is_no_python_is_left_out(world):
    world.write(
        {"pack/a.py": "import importlib\ndef f(n): return importlib.import_module(n)\n",
         "pack/b.py": "def (:\n", "script.py": "from pack.a import f\nf('x')\n"}
    )  # fmt: skip
    assert "pack_b" not in world.record()
    world.write({"pack/b.py": "def g(): return 1\n"})
    assert "pack_b" in world.record()


def test_params_are_names_and_hashes_and_a_users_module_is_named_by_its_file(world):
    world.write({"pack/a.py": "def f(): return 1\n", "script.py": "from pack.a import f\nf()\n"})
    record = world.record()
    assert re.fullmatch(r"script.py@[0-9a-f]{10}", record["code_script"])
    assert re.fullmatch(rf"{re.escape(str(world.folder))}/pack/a.py@[0-9a-f]{{10}}", record["pack_a"])


LOADS = "from truemap.config.registry import method\n"


@pytest.mark.parametrize(
    ("body", "families"),
    [
        ("method('saliency', {}, None)", ("saliency",)),
        ("def f(): return method('saliency', {}, None), method('networks', {}, None)", ("networks", "saliency")),
        ("from pack.a import load\nload()", ("training",)),
        ("from truemap.config import registry\nregistry.method('attacks', {}, None)", ("attacks",)),
        ("from truemap.config.registry import method as load\nload('attacks', {}, None)", ("attacks",)),
        ("pass", ()),
    ],
)
def test_families_are_those_of_the_calls_that_can_be_reached(world, body, families):
    world.write({"pack/a.py": f"{LOADS}def load(): return method('training', {{}}, None)\n", "script.py": LOADS + body})
    _read.clear()
    assert Code({"pack": world.folder / "pack"}).families(world.folder / "script.py") == families


@pytest.mark.parametrize("body", ["for f in 'a': method(f, {}, None)", "load = method", "print(method)", "method(*[])"])
def test_a_call_that_does_not_say_its_family_is_refused(world, body):
    world.write({"script.py": LOADS + body + "\n"})
    with pytest.raises(RuntimeError, match="say by a word of which family"):
        Code().families(world.folder / "script.py")


@pytest.mark.parametrize("script", SHIPPED, ids=lambda path: path.stem)
def test_shipped_params_are_names_and_hashes_without_a_path(script):
    params = Code().of_script(script)
    assert re.fullmatch(rf"{script.name}@[0-9a-f]{{10}}", params.pop("code_script"))
    for name, value in params.items():
        assert re.fullmatch(r"(truemap[\w.]*)@[0-9a-f]{10}", value), value
        assert name == value.split("@")[0].replace(".", "_")


def test_params_are_the_same_for_another_checkout(tmp_path):
    shutil.copytree(WORKFLOW, tmp_path / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
    other = Code()
    other.packages._roots["truemap"] = tmp_path / "workflow/truemap"
    for script in SHIPPED:
        assert other.of_script(tmp_path / "workflow/scripts" / script.name) == Code().of_script(script)


def test_a_methods_code_is_the_whole_module_and_what_it_reaches():
    code, script = Code(), SCRIPTS / "explain.py"
    added = {value.split("@")[0] for value in code.of_methods(script, ["truemap.saliency.smoothgrad"])}
    assert {"truemap.saliency.smoothgrad", "truemap.saliency._jacobian", "truemap.saliency._draws"} <= added
    assert WHOLE in code.reach(script, "truemap.saliency.smoothgrad").found["truemap.saliency.smoothgrad"]
    assert "truemap.saliency.smoothgrad" not in code.reach(script).found
    both = code.of_methods(script, ["truemap.saliency.smoothgrad", "truemap.networks.mlp", "truemap.networks.mlp"])
    assert both == sorted(set(both))
    assert added < {value.split("@")[0] for value in both}


def test_what_is_no_code_is_there():
    code = Code()
    for name in NOT_CODE:
        module, _, definition = name.rpartition(".")
        assert (
            code.packages.file_of(name).is_file() or definition in Module(code.packages.file_of(module)).definitions
        ), name
