"""`python -m truemap.needs`: what a config will take, before there are any data."""

import argparse
import io
import json
import re

import pytest

from truemap.config.schema import parse
from truemap.counted import Counted, Maps
from truemap.needs import NotKnown, main, maps_of, remedy
from truemap.runtime.terminal import needed

RAW = {
    "run": ["mine"],
    "card": {"memory_gb": 16, "teraflops": 0.001},
    "datasets": {
        "mine": {
            "source": {"name": "synthetic", "images": [60, 30, 30]},
            "robustness": {"attacks": {"pgd": {"name": "pgd", "steps": 2, "restarts": 1}}, "maps": 6},
            "metrics": ["complexity"],
            "models": {
                "linear": {
                    "network": "linear",
                    "training": {"name": "standard", "epochs": 3, "batch_size": 8, "l2": [0.1, 1.0]},
                    "saliency": ["gradient"],
                    "seeds": [0, 1],
                }
            },
        }
    },
}


def given(**changes):
    return argparse.Namespace(**{"grid": None, "classes": None, "maps": None, **changes})


def dataset(**changes):
    return parse({**RAW, "datasets": {"mine": {**RAW["datasets"]["mine"], **changes}}}).datasets["mine"]


def cells(text, rule):
    return [
        [cell.strip() for cell in line.split("|")[2:-1]] for line in text.splitlines() if line.startswith(f"| {rule} ")
    ]


def test_a_config_is_counted_row_by_row(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(RAW)))
    assert main(["-"]) == 0
    said = capsys.readouterr().out
    assert "a card of 16 GB" in said and "hours: at 0.001 * 10^12 operations a second" in said
    assert "mine: 32 x 32 x 1 voxels (float16), 3 classes; about 60 maps to train on, 30 validated, 30 tested" in said
    # Forward and the weights' gradients of 60 maps, validation of 30, three times; 2 n m each.
    operations = 3 * (60 * 2 + 30) * 2 * 1024 * 3
    (train,) = cells(said, "train")
    assert train[:3] == ["4", "linear: standard, 3 epochs", "8"] and train[8] == "yes"
    assert float(train[5]) == pytest.approx(operations / 1e12, rel=6e-3)
    assert float(train[6]) == pytest.approx(operations / 1e9 / 3600, rel=6e-3)
    assert float(train[7]) == pytest.approx(4 * operations / 1e9 / 3600, rel=6e-3)
    assert [cells(said, rule)[0][:2] for rule in ("model", "explain", "robustness")] == [
        ["2", "linear"], ["2", "linear: gradient"], ["2", "linear: pgd"],
    ]  # fmt: skip
    assert "Not counted: measure (2 jobs), anchors" in said


def test_the_command_line_goes_before_the_configs_card(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(RAW)))
    assert main(["-", "--card-gb", "1e-5", "--teraflops", "7"]) == 0
    said = capsys.readouterr().out
    assert "hours: at 7 * 10^12" in said
    assert "no, needs 0.0 GB: micro_batch, or a smaller batch_size" in said


@pytest.mark.parametrize(
    ("options", "words"),
    [({}, "--grid X Y Z"), ({"grid": [9, 9, 9]}, "--classes N"), ({"grid": [9, 9, 9], "classes": 2}, "--maps N")],
)
def test_what_the_config_does_not_say_is_asked_for(options, words):
    sheet = dataset(source={"name": "sheet", "sheet": "maps.tsv"}, split={"train": 0.6, "validation": 0.2, "test": 0.2})
    with pytest.raises(
        NotKnown, match=re.escape(f"source sheet: what maps there will be is not in the config. Give {words}")
    ):
        maps_of(sheet, given(**options))
    known = maps_of(sheet, given(grid=[9, 9, 9], classes=2, maps=30))
    assert known == Maps((9, 9, 9), 2, 30, 10, 10, 10, 10)


def test_a_dataset_of_which_too_little_is_known_is_said_and_the_rest_counted(monkeypatch, capsys):
    sheet = {**RAW["datasets"]["mine"], "source": {"name": "sheet", "sheet": "maps.tsv"}}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({**RAW, "datasets": {"mine": sheet}})))
    assert main(["-"]) == 0
    assert "\nmine: not counted. source sheet: what maps there will be" in capsys.readouterr().out


def test_a_config_that_cannot_be_used_is_told(tmp_path, capsys):
    (tmp_path / "odd.yaml").write_text("datasetz: {}\n")
    assert main([str(tmp_path / "odd.yaml")]) == 1
    assert "datasetz" in capsys.readouterr().err
    (tmp_path / "odd.yaml").write_text("a list\n")
    assert main([str(tmp_path / "odd.yaml")]) == 1
    assert "holds no settings" in capsys.readouterr().err


def test_a_job_fits_with_the_maps_that_stay_on_the_card_or_is_told_what_helps():
    def said(rule, at_once, kept):
        return remedy(rule, Counted(int(2e9), 1.0, at_once), kept, 3e9)

    assert said("train", 8, 1e9) == "yes"
    assert said("train", 8, 2e9) == "no, needs 4.0 GB: micro_batch, or a smaller batch_size"
    assert said("explain", 8, 2e9) == "no, needs 4.0 GB: a smaller memory"
    assert said("explain", 1, 2e9).startswith("no, needs 4.0 GB: a smaller network")


def test_a_dry_run_has_it_counted_by_another_process():
    """Which says an error in words too."""
    said = needed({**RAW, "run": ["other"]})
    assert said.startswith("error: the config cannot be used:") and "unknown dataset 'other'" in said
