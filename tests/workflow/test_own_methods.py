"""Methods of users' own, in a folder beside the project: a network and a way to explain, with a helper of both."""

from pathlib import Path

import pytest
import yaml
from conftest import Clone, clone
from test_edits import planned

HELPER = "SLOPE = 0.1\n\n\ndef turned(maps):\n    return maps.flip(0)\n"
NETWORK = '''"""A network with a bend (Nobody 2020)."""

import math

from pydantic import Field
from torch import nn

from my_methods._helper import SLOPE
from truemap.config.options import Count, NetworkOptions
from truemap.networks._layers import initialise


class Options(NetworkOptions):
    """Units, and how much the bend lets through."""

    hidden: Count = Field(4, description="hidden units")
    slope: float = Field(SLOPE, description="of the negative side")


def build(shape, classes, options):
    bend = nn.LeakyReLU(options.slope)
    layers = nn.Linear(math.prod(shape), options.hidden), bend, nn.Linear(options.hidden, classes)
    return initialise(nn.Sequential(nn.Flatten(), *layers), options)
'''
METHOD = '''"""The gradient, squared (Nobody 2020)."""

from .._helper import turned
from truemap.saliency import gradient
from truemap.saliency._outputs import OutputOptions


class Options(OutputOptions):
    """Nothing more."""


def explain(decoder, x, samples, options, context):
    return turned(turned(gradient.explain(decoder, x, samples, options, context).square()))
'''
CONFIG = {
    "run": ["own"],
    "methods": ["my_methods"],
    "datasets": {
        "own": {
            "source": {"name": "synthetic", "images": [60, 30, 30]},
            "figures": "images",
            "robustness": {"attacks": {"pgd": {"steps": 2, "restarts": 1}}, "maps": 6},
            "references": ["random"],
            "models": {
                "bent": {"network": "bent", "training": {"name": "standard", "epochs": 2}, "saliency": ["squared"]},
                "ours": {"network": "mlp", "training": {"name": "standard", "epochs": 2}, "saliency": ["gradient"]},
            },
        }
    },
}
TARGET = "results/own/statistics/summary.tsv"


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    copy = clone(tmp_path_factory.mktemp("own") / "copy")
    for name, text in (("_helper", HELPER), ("networks/bent", NETWORK), ("saliency/squared", METHOD)):
        file = copy.path / "my_methods" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (copy.path / "own.yaml").write_text(yaml.safe_dump(CONFIG))
    done = copy.snakemake(TARGET, config="own.yaml")
    assert done.returncode == 0, done.stdout
    return copy


def dry_run(own: Clone, file: str, old: str, new: str):
    """Plan with one of the methods' files edited; it is put back."""
    path = own.path / "my_methods" / f"{file}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    try:
        return own.snakemake("--dry-run", TARGET, config="own.yaml")
    finally:
        path.write_text(text)


@pytest.mark.parametrize(
    ("file", "old", "new", "jobs"),
    [
        ("networks/bent", "nn.LeakyReLU(", "nn.LeakyReLU(0 + ", {"train": 1, "model": 1, "robustness": 1}),
        ("networks/bent", "A network with", "Another with", {}),
        ("saliency/squared", ".square()", ".abs()", {"explain": 1, "score": 1}),
        ("_helper", "maps.flip(0)", "maps.flip(-1)", {"explain": 1, "score": 1}),
        ("_helper", "SLOPE = 0.1", "SLOPE = 0.2", {"train": 1, "model": 1, "robustness": 1}),
    ],
)
def test_an_edit_makes_again_what_uses_it_and_nothing_else(
    own: Clone, file: str, old: str, new: str, jobs: dict
) -> None:
    found = planned(dry_run(own, file, old, new).stdout)
    expected = {
        **jobs,
        **({"explain": 1, "score": 1} if "model" in jobs else {}),
        **({"statistics": 1} if jobs else {}),
    }
    assert found == expected


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        ("_helper", "def turned(maps)", "def turned(maps", "my_methods/_helper.py, line 4: no Python"),
        ("networks/bent", "hidden: Count", "hidden: Counts", "bent.py: 'Counts' is not defined where it can be seen"),
        ("saliency/squared", "def explain(", "def explains(", "squared.py: has no 'explain'. Write it as"),
    ],
)
def test_what_is_wrong_with_a_method_is_said_before_anything_runs(
    own: Clone, file: str, old: str, new: str, words: str
) -> None:
    done = dry_run(own, file, old, new)
    assert done.returncode != 0
    assert words in done.stdout
    assert "Traceback" not in done.stdout


def test_nothing_is_to_be_done_and_the_record_names_the_files(own: Clone) -> None:
    assert "Nothing to be done" in own.snakemake(TARGET, config="own.yaml").stdout
    notes = [file.read_text() for file in (own.path / "results/.snakemake/metadata").iterdir() if file.is_file()]
    assert any("my_methods/saliency/squared.py@" in note for note in notes)
    assert any("my_methods/_helper.py@" in note for note in notes)
    assert str(Path(own.path)) not in "".join(notes)


@pytest.mark.faults
def test_an_edit_while_it_runs_is_noticed(own: Clone) -> None:
    """As for the project's own code; here between the plan and the job, by a job before it."""
    raw = yaml.safe_load((own.path / "own.yaml").read_text())
    raw["datasets"]["own"]["models"]["bent"]["seeds"] = [0, 7]
    raw["methods"] = ["my_methods", "more_methods"]
    more = own.path / "more_methods/training"
    more.mkdir(parents=True)
    (more / "spoiling.py").write_text(
        '"""Made up (Nobody 2020)."""\n\nfrom pathlib import Path\n\n'
        "from truemap.config.options import TrainingOptions\n"
        "from truemap.training.standard import update\n\n\nclass Options(TrainingOptions):\n"
        '    """None."""\n\n\ndef prepare(network, options, training, seed):\n'
        "    file = Path('my_methods/saliency/squared.py')\n"
        "    file.write_text(file.read_text() + 'WRITTEN = 1\\n')\n    return options\n"
    )
    raw["datasets"]["own"]["models"]["bent"]["training"] = {"name": "spoiling", "epochs": 1}
    (own.path / "spoiled.yaml").write_text(yaml.safe_dump(raw))
    file = own.path / "my_methods/saliency/squared.py"
    text = file.read_text()
    done = own.snakemake(TARGET, config="spoiled.yaml")
    file.write_text(text)
    assert done.returncode != 0
    assert "squared.py: was edited" in done.stdout
