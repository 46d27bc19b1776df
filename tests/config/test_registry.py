import subprocess
import sys
from pathlib import Path

import pytest
from methods import contract

from truemap.config.options import MethodError
from truemap.config.registry import check_folders, method, names, options_of, resolve_method
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


def write(file: str, text: str = METHOD) -> None:
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text(text)


def config(**more) -> dict:
    model = {"network": "linear", "saliency": ["mine"]}
    return {"run": ["d"], "datasets": {"d": {"source": "synthetic", "models": {"m": model}}}, **more}


def test_methods_of_a_users_folder_are_known_beside_ours():
    write("my_methods/saliency/mine.py")
    write("my_methods/saliency/_helper.py")
    assert set(names("saliency", ["my_methods"])) == {*names("saliency"), "mine"}
    assert resolve_method("saliency", "mine", folders=["my_methods"]) == {"name": "mine", "folder": "my_methods"}
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
        (["torch/saliency/mine.py"], ["torch"], "torch: a package called 'torch' is installed. Rename the folder"),
        (["json/saliency/mine.py"], ["json"], "json: a package called 'json' is installed"),
        (["truemap/saliency/mine.py"], ["truemap"], "truemap: a package called 'truemap' is installed"),
        (["a/m/saliency/x.py", "b/m/saliency/y.py"], ["a/m", "b/m"], "a/m and b/m have one name. Rename one"),
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


def test_a_method_that_lacks_its_function_is_refused_with_file_and_remedy():
    write("my_methods/saliency/mine.py", METHOD.replace("def explain", "def explains"))
    with pytest.raises(
        MethodError, match=r"mine.py: has no function 'explain'. Write it as truemap.saliency._contract"
    ):
        method("saliency", {"name": "mine", "folder": "my_methods"}, contract("saliency"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("class Options(MethodOptions:\n", "line 1: no Python"),
        ("import torch\nfrom truemap.config.options import MethodOptions\nX = torch.ones(1)\n"
         "class Options(MethodOptions):\n    n: int = len(X)\n", "its options need 'torch' of torch"),
        ("from truemap.config.options import MethodOptions\nclass Options(MethodOptions):\n    n: int = NOWHERE\n",
         "'NOWHERE' is not defined where it can be seen"),
        ("from truemap.config.options import MethodOptions\nclass Options(MethodOptions):\n    n: int = 1 / 0\n",
         "cannot be read .ZeroDivisionError"),
        ("class Options(dict):\n    pass\n", "its Options are no MethodOptions"),
        ("from truemap.networks._layers import initialise\nfrom truemap.config.options import MethodOptions\n"
         "class Options(MethodOptions):\n    x = initialise\n", "options need 'nn' of torch"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_read_are_refused_with_file_and_remedy(text, words):
    write("my_methods/saliency/mine.py", text)
    with pytest.raises(MethodError, match=rf"(?s)\.py.*{words}"):
        options_of("saliency", "mine", ["my_methods"])
    with pytest.raises(ConfigError, match=words):
        parse(config(methods=["my_methods"]))


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


def test_nothing_heavy_is_imported_for_options():
    program = (
        "import sys; sys.path.insert(0, 'workflow')\nfrom truemap.config.registry import FAMILIES, names, options_of\n"
        "[options_of(family, name) for family in FAMILIES for name in names(family)]\n"
        "assert not {'torch', 'numpy', 'pandas', 'scipy', 'nibabel'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", program], check=True, cwd=root)
