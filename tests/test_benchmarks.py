"""The benchmark that waits for a GPU: what it says without one, and that its code runs."""

import runpy
from pathlib import Path

import pytest
import torch

GPU = str(Path(__file__).parents[1] / "benchmarks/gpu.py")


def test_without_a_gpu_nothing_is_measured(monkeypatch, capsys):
    monkeypatch.delenv("TRUEMAP_GPU", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    runpy.run_path(GPU, run_name="__main__")
    assert capsys.readouterr().out == "no GPU here: nothing was measured\n"


def test_each_way_runs_on_a_cpu_where_asked(monkeypatch, capsys):
    pytest.importorskip("captum")
    monkeypatch.setenv("TRUEMAP_GPU", "cpu")
    runpy.run_path(GPU, run_name="__main__")
    said = capsys.readouterr().out
    assert "these numbers mean nothing" in said
    assert "not measured" not in said
    for way in ("a plain step, bf16", "PGD, 3 steps, float32", "smoothgrad, captum", "integrated gradients "):
        assert said.count(f"\n  {way}") == 2, way  # pools of stride 2 and 1
    for goal in ("at most 1.25", "at least 0.4", "at least 3"):
        assert f"(goal: {goal})" in said
