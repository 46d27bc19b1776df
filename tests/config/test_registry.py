import dataclasses
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest
from methods import contract

from truemap.config.folders import FAMILIES, check_folders, required
from truemap.config.options import MethodError
from truemap.config.registry import method, names, options_of, resolve_method
from truemap.config.schema import ConfigError, parse
from truemap.config.slices import evaluated

METHOD = """
from truemap.config.options import MethodOptions


class Options(MethodOptions):
    "None."


def explain(decoder, x, samples, options, context): ...
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch, tmp_path):
    """An empty working directory; what is imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if not name.startswith(("truemap", "torch", "numpy", "pandas")):
            del sys.modules[name]


def write(file: str, text: str | bytes = METHOD) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_bytes(text.encode() if isinstance(text, str) else text)


def config(**more) -> dict:
    model = {"network": "linear", "saliency": ["mine"]}
    return {"run": ["d"], "datasets": {"d": {"source": "synthetic", "models": {"m": model}}}, **more}


def test_methods_of_a_users_folder_are_known_beside_ours():
    write("my_methods/saliency/mine.py")
    write("my_methods/saliency/_helper.py")
    assert set(names("saliency", ["my_methods"])) == {*names("saliency"), "mine"}
    assert resolve_method("saliency", "mine", folders=["my_methods"]) == {"name": "mine", "folder": "my_methods"}
    assert resolve_method("saliency", "mine", folders=["./my_methods/"])["folder"] == "my_methods"
    assert "folder" not in resolve_method("saliency", "gradient", folders=["my_methods"])
    parsed = parse(config(methods=["my_methods"]))
    assert parsed.datasets["d"].models["m"].saliency == {"mine": {"name": "mine", "folder": "my_methods"}}
    with pytest.raises(ConfigError, match=r"unknown saliency method 'mine'"):
        parse(config())
    with pytest.raises(ConfigError, match=r"unknown saliency method 'mien'; did you mean 'mine'.*Known here:.*mine"):
        raw = config(methods=["my_methods"])
        raw["datasets"]["d"]["models"]["m"]["saliency"] = "mien"
        parse(raw)


@pytest.mark.parametrize(
    ("files", "folders", "words"),
    [
        ([], ["nowhere"], "nowhere: no such folder. Paths are relative to"),
        (["file"], ["file"], "file: no such folder"),
        (["empty/other/x.py"], ["empty"], "empty: holds no folder of a family. Put methods into datasets, networks"),
        (["my-methods/saliency/mine.py"], ["my-methods"], "my-methods: is imported by its name"),
        (["class/saliency/mine.py"], ["class"], "class: is imported by its name"),
        (["torch/saliency/mine.py"], ["torch"], "torch: a package called 'torch' is installed, or lies beside"),
        (["json/saliency/mine.py"], ["json"], "json: a package called 'json' is installed"),
        (["truemap/saliency/mine.py"], ["truemap"], "truemap: a package called 'truemap' is installed"),
        (["a/m/saliency/x.py", "b/m/saliency/y.py"], ["a/m", "b/m"], "a/m and b/m have one name. Rename one"),
        (["m/saliency/my-mine.py"], ["m"], "m/saliency/my-mine.py: is imported by its name"),
        (["m/saliency/a.b.py"], ["m"], "m/saliency/a.b.py: is imported by its name"),
        (["m/saliency/class.py"], ["m"], "m/saliency/class.py: is imported by its name"),
        (["m/saliency/x.py"], ["m", "./m"], "m and ./m have one name. Rename one, or name it only once"),
        (["m/saliency/gradient.py"], ["m"], "'gradient' is in .*truemap/saliency too. Rename it"),
        (["m/saliency/x.py", "n/saliency/x.py"], ["m", "n"], "n/saliency: 'x' is in .*m/saliency too"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(files, folders, words):
    for file in files:
        write(file)
    with pytest.raises(MethodError, match=words):
        check_folders(folders)
    with pytest.raises(ConfigError, match=words):
        parse(config(methods=folders))


def test_a_folder_with_an_init_at_its_top_only_is_seen_whole():
    write("my_methods/__init__.py", "ANSWER = 42\n")
    write(
        "my_methods/saliency/mine.py", METHOD.replace("from truemap", "from my_methods import ANSWER\nfrom truemap", 1)
    )
    check_folders(["my_methods"])
    found = method("saliency", {"name": "mine", "folder": "my_methods"}, contract("saliency"))
    assert found.name == "mine"
    assert sys.modules["my_methods"].ANSWER == 42


@pytest.mark.parametrize(
    ("family", "old", "new", "words"),
    [
        ("saliency", "def explain", "def explains", "has no 'explain'. Write it as truemap.saliency._contract"),
        ("saliency", "class Options", "class Choices", "has no 'Options'. Write it as truemap.saliency._contract"),
        ("references", "", "", "has no 'refer'. Write it as truemap.references._contract"),
        ("networks", "", "", "has no 'build'. Write it as truemap.networks._contract"),
        ("metrics", "", "", "has no 'measures'. Write it as truemap.metrics._contract"),
        ("attacks", "", "", "has no 'perturb'. Write it as truemap.attacks._contract"),
        ("training", "explain", "update", "its Options are no TrainingOptions. Derive"),
        ("datasets", "explain", "index", "has no 'read'. Write it as truemap.datasets._contract"),
        ("datasets", "def explain(", "index = None\ndef read(", "its Options are no SourceOptions. Derive"),
        ("saliency", '"None."', "folder: str = ''", "an option cannot be called 'folder'"),
        ("saliency", '"None."', "name: str = ''", "an option cannot be called 'name'"),
        (
            "saliency",
            "def explain",
            "from ._lost import x\n\n\ndef explain",
            "imports m.saliency._lost, and",
        ),
    ],
)
def test_a_method_that_lacks_something_is_refused_before_anything_runs(family, old, new, words):
    write(f"m/{family}/mine.py", METHOD.replace(old, new))
    with pytest.raises(MethodError, match=rf"mine.py: {words}"):
        options_of(family, "mine", ["m"])


@pytest.mark.parametrize("line", ["import beside.nets", "from beside import *", "def f():\n    from beside import x"])
def test_a_module_of_the_users_own_outside_the_folder_is_refused_as_its_edits_would_not_count(monkeypatch, line):
    write("beside/__init__.py", "x = 1")
    monkeypatch.syspath_prepend(Path.cwd())
    write("m/saliency/mine.py", f"{line}\n\n\n{METHOD}")
    with pytest.raises(
        MethodError, match=r"mine.py: imports 'beside' \(.*/beside/__init__.py\), which is not installed"
    ):
        options_of("saliency", "mine", ["m"])
    write("n/saliency/mine.py", f"import numpy, torch.nn, os.path, not_there\n\n\n{METHOD}")
    options_of("saliency", "mine", ["n"])


def test_data_that_are_called_nothing_are_refused():
    text = METHOD.replace("MethodOptions", "SourceOptions").replace("explain", "read") + "\n\nindex = read\n"
    write("m/datasets/mine.py", text)
    with pytest.raises(MethodError, match=r"say not of what kind the data are. Write `kind`"):
        options_of("datasets", "mine", ["m"])
    write("n/datasets/mine.py", text.replace('"None."', "def kind(self):\n        return 'made up'"))
    assert options_of("datasets", "mine", ["n"])().kind() == "made up"


def test_a_module_that_changed_since_is_refused_by_the_job_too():
    write("my_methods/saliency/mine.py", METHOD.replace("def explain", "def explains"))
    with pytest.raises(MethodError, match=r"mine.py: has no 'explain'. Write it as truemap.saliency._contract"):
        method("saliency", {"name": "mine", "folder": "my_methods"}, contract("saliency"))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_a_method_must_have_is_what_the_contract_has_no_default_for(family):
    fields = dataclasses.fields(contract(family))
    assert [*required(family)] == [f.name for f in fields if f.default is dataclasses.MISSING][2:]


def test_a_metric_that_a_network_of_the_dataset_does_not_fit_is_refused():
    needs = METHOD.replace('"None."', '"Linear."\n\n    def needs(self):\n        return {"linear"}')
    write("mine/metrics/mine.py", f"measures = ()\n{needs.replace('explain', 'measure')}")
    raw = config(methods=["mine"])
    dataset = raw["datasets"]["d"]
    dataset["metrics"], dataset["models"]["m"]["saliency"] = {"exact": {"name": "mine"}}, "gradient"
    assert parse(raw).datasets["d"].metrics == {"exact": {"name": "mine", "folder": "mine"}}
    dataset["models"]["other"] = {"network": "mlp"}
    with pytest.raises(ConfigError, match=r"metrics 'exact' needs a network with: linear; 'mlp' has"):
        parse(raw)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_module_but_helpers_is_a_method(family):
    package = importlib.import_module(f"truemap.{family}")
    found = [entry.name for entry in pkgutil.iter_modules(package.__path__) if not entry.name.startswith("_")]
    assert names(family) == sorted(found)


HEAD = "from truemap.config.options import MethodOptions\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Options(MethodOptions:\n", "line 1: no Python"),
        (b"x = 1\0\n", "no Python .*null bytes"),
        (HEAD + "import torch\nX = torch.ones(1)\nclass Options(MethodOptions):\n    n: int = len(X)\n",
         "its options need 'torch' of torch"),
        (HEAD + "class Options(MethodOptions):\n    n: int = NOWHERE\n", "'NOWHERE' is not defined where"),
        (HEAD + "class Options(MethodOptions):\n    n: int = 1 / 0\n", "cannot be read .ZeroDivisionError"),
        (HEAD + "import sys\nclass Options(MethodOptions):\n    n: int = sys.exit(3)\n", "be read .SystemExit: 3"),
        (HEAD + "class Options(MethodOptions):\n    n = 1\n", r"read .PydanticUserError: [^\n]*truemap.config"),
        ("class Options(dict):\n    pass\n", "its Options are no MethodOptions"),
        ("from truemap.networks._layers import initialise\n" + HEAD
         + "class Options(MethodOptions):\n    x = initialise\n", "options need 'nn' of torch"),
        (HEAD + "K = [1]\nK.append(2)\nclass Options(MethodOptions):\n    n: int = len(K)\n", "line 3: 'K' is made or"),
        (HEAD + "K = 1\nK += 1\nclass Options(MethodOptions):\n    n: int = K\n", "line 3: 'K' is made or changed"),
        (HEAD + "K = {}\nK['a'] = 1\nclass Options(MethodOptions):\n    n: int = len(K)\n", "line 3: 'K' is made or"),
        (HEAD + "if MethodOptions:\n    K = 1\nclass Options(MethodOptions):\n    n: int = K\n", "line 2: 'K' is made"),
        (HEAD + "from my_methods._a import A\nclass Options(MethodOptions):\n    n: int = A\n", "RecursionError"),
        (HEAD + "from my_methods import _a\nclass Options(MethodOptions):\n    n: int = _a.LOST\n",
         "'LOST' is not defined where"),
        (HEAD + "from other import x\nclass Options(MethodOptions): ...\n", "imports from 'other', another folder"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_read_are_refused_with_file_and_remedy(text, words):
    write("other/networks/_x.py", "")
    write("my_methods/_a.py", "from my_methods._b import B as A\n")
    write("my_methods/_b.py", "from my_methods._a import A as B\n")
    write("my_methods/saliency/mine.py", text if isinstance(text, bytes) else f"{text}def explain(decoder): ...\n")
    folders = ["my_methods", "other"]
    with pytest.raises(MethodError, match=rf"(?s)\.py.*{words}"):
        options_of("saliency", "mine", folders)
    with pytest.raises(ConfigError, match=words):
        parse(config(methods=folders))


@pytest.mark.parametrize("file", ["_helper.py", "saliency/__init__.py", "__init__.py"])
def test_a_file_that_a_method_imports_and_is_no_python_is_refused_by_its_line(file):
    write("my_methods/saliency/mine.py", METHOD + "\n\ndef run():\n    from my_methods._helper import f\n")
    write("my_methods/_helper.py", "def f(): ...\n")
    write(f"my_methods/{file}", "\n\ndef (:\n")
    with pytest.raises(ConfigError, match=rf"my_methods/{file}, line 3: no Python \(.*\). Mend it."):
        parse(config(methods=["my_methods"]))


def test_a_file_in_an_encoding_of_its_own_is_read_and_a_folder_is_no_method():
    write("my_methods/saliency/mine.py", b"# -*- coding: latin-1 -*-\n# \xe9\n" + METHOD.encode())
    Path("my_methods/saliency/other.py").mkdir()
    assert options_of("saliency", "mine", ["my_methods"])
    with pytest.raises(MethodError, match=r"other.py: cannot be read"):
        options_of("saliency", "other", ["my_methods"])


def test_a_file_that_no_model_uses_may_be_unfinished():
    write("my_methods/saliency/mine.py")
    write("my_methods/saliency/unfinished.py", "def (:\n")
    assert parse(config(methods=["my_methods"]))


def test_names_that_a_module_has_by_imports_are_followed():
    write("my_methods/__init__.py", "A = 1\n")
    write("my_methods/_c.py", "from truemap.training.pgd import EpsilonUnit\nB = 2\n")
    write(
        "my_methods/saliency/mine.py",
        "import my_methods._c\nimport my_methods._c as c\nfrom my_methods import A, _c as d\n"
        "from truemap.config import options\nfrom truemap.saliency import _outputs\n\n\n"
        "class Options(_outputs.OutputOptions):\n    a: options.Count = A\n    b: int = my_methods._c.B + c.B + d.B\n"
        "    unit: d.EpsilonUnit = 'voxel'\n\n\ndef explain(decoder): ...\n",
    )
    found = options_of("saliency", "mine", ["my_methods"])
    assert found().model_dump() == {"output": "probability", "a": 1, "b": 6, "unit": "voxel"}
    module = method("saliency", {"name": "mine", "folder": "my_methods"}, contract("saliency"))
    assert module.options.model_dump() == found().model_dump()


def test_options_may_use_constants_aliases_mixins_and_functions_of_their_own():
    write(
        "my_methods/_shared.py",
        "import torch\nfrom truemap.config.options import MethodOptions\nLIMIT = 3\n"
        "class Mixin(MethodOptions):\n    'A.'\n    a: int = LIMIT\n\ndef other(x):\n    return torch.ones(x)\n",
    )
    write(
        "my_methods/saliency/mine.py",
        "from __future__ import annotations\nimport math\nimport torch\nfrom typing import Literal\n"
        "from pydantic import Field, model_validator\nfrom my_methods._shared import LIMIT as MOST\n"
        "from .._shared import Mixin\n\nKind = Literal['x', 'y']\nDEFAULT: Kind = 'y'\n\n\n"
        "def half(number: float) -> float:\n    return math.floor(number / 2)\n\n\n"
        "class Options(Mixin):\n    'All.'\n    kind: Kind = DEFAULT\n"
        "    b: int = Field(half(MOST * 4), description='b')\n\n"
        "    @model_validator(mode='after')\n    def _check(self) -> Options:\n"
        "        if self.b > MOST * 4:\n            raise ValueError('too much')\n        return self\n\n\n"
        "def explain(decoder: torch.Tensor): ...\n",
    )
    found = options_of("saliency", "mine", ["my_methods"])
    assert found().model_dump() == {"a": 3, "kind": "y", "b": 6}
    with pytest.raises(ValueError, match="too much"):
        found(b=13)
    assert evaluated(Path("my_methods"), "saliency.mine", "DEFAULT") == "y"


def test_a_fault_of_a_kind_of_the_users_own_is_said_with_its_place():
    write(
        "my_methods/saliency/mine.py",
        "from pydantic import field_validator\nfrom pydantic_core import PydanticCustomError\n"
        "from truemap.config.options import MethodOptions\n\n\n"
        "class Options(MethodOptions):\n    'None.'\n    a: int = 1\n\n"
        "    @field_validator('a')\n    @classmethod\n    def _check(cls, value: int) -> int:\n"
        "        if value > 2:\n            raise PydanticCustomError('too_much', 'at most {most}', {'most': 2})\n"
        "        return value\n\n\n"
        "def explain(decoder, x, samples, options, context): ...\n",
    )
    raw = config(methods=["my_methods"])
    raw["datasets"]["d"]["models"]["m"]["saliency"] = {"mine": {"a": 3}}
    with pytest.raises(ConfigError, match=r"datasets\.d\.models\.m\.saliency\.mine\.a: at most 2"):
        parse(raw)


def test_nothing_heavy_is_imported_for_options():
    program = (
        "import sys; sys.path.insert(0, 'workflow')\nfrom truemap.config.folders import FAMILIES\n"
        "from truemap.config.registry import names, options_of\n"
        "[options_of(family, name) for family in FAMILIES for name in names(family)]\n"
        "assert not {'torch', 'numpy', 'pandas', 'scipy', 'nibabel'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
