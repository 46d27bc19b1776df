"""Code by reach, checked against what really runs: every function that a job calls is in its record."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tracing
import yaml
from conftest import ROOT, Clone, clone, results

from truemap.plan.plan import Plan
from truemap.runtime.sourcecode import SCRIPTS

#: Stand-ins for what is said to be no code, as plain as can be.
PLAIN = (
    tracing.HEAD
    + """
if rule:
    from contextlib import contextmanager
    from pathlib import Path
    from truemap.runtime import files, job, log, made, privacy, work

    @contextmanager
    def plain_job(snakemake, scrub=None):
        settings = snakemake.params.settings
        yield settings if isinstance(settings, dict) else vars(settings)

    @contextmanager
    def plain_whole(path):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        yield Path(path)

    def nothing(*arguments, **named):
        pass

    job.job, files.whole = plain_job, plain_whole
    log.log = type("Log", (), dict.fromkeys(("log", "info", "warning", "error", "exception"), nothing))()
    log.progress = lambda items, unit, done=0: iter(list(items)[done:])
    made.contents = lambda paths: {str(path): "" for path in paths}
    for module, names in ((work, ("Work", "end_with_scheduler")), (made, ("read_entry", "verified", "place"))):
        for name in names:
            setattr(module, name, None)
    privacy.ScrubbingFormatter = None
"""
)


def recorded(plan: Plan, rule: str) -> set[tuple[str, str]]:
    """(file below workflow/, name) of all definitions in the record of any job of a rule; "*" for a whole module."""
    path = SCRIPTS / f"{'background' if rule == 'background_chosen' else rule}.py"
    found: set[tuple[str, str]] = set()
    for job in plan.jobs.kinds(rule) or [SimpleNamespace()]:
        methods = [name for family in plan.code.families(path) for name in plan.method_modules(family, job)]
        for module, names in plan.code.reach(path, *sorted(set(methods))).found.items():
            found |= {(str(plan.code.packages.file_of(module).relative_to(ROOT / "workflow")), name) for name in names}
    return found


def unrecorded(plan: Plan, script: str, found: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those functions of `found`, (file, name), that are not in the record of a script's jobs."""
    known = recorded(plan, script)
    whole = {file for file, name in known if name == "*"}
    return {(file, name) for file, name in found if (file, name) not in known and file not in whole}


def test_every_function_that_a_job_calls_is_in_its_record(finished: Clone) -> None:
    plan = Plan(yaml.safe_load((finished.path / "tests/workflow/tiny.yaml").read_text()), finished.path, False)
    calls = tracing.calls(finished.path)
    # One more is run, and looked at, by test_given_maps.py, and some by the next tests.
    assert {*calls, "adopt", "dimension", *OF_REGIONS} == {path.stem for path in SCRIPTS.glob("*.py")}
    for script, found in sorted(calls.items()):
        assert not unrecorded(plan, script, found), script
        assert found, script


#: Rules of datasets that have regions, and of networks whose voxels are known.
OF_REGIONS = ("regions", "shapley", "planted")
PLANTED = """
run: [planted]
datasets:
  planted:
    source: {name: synthetic, images: [20, 10, 10]}
    standardize: none
    figures: images
    regions: squares
    explained: 4
    models:
      linear: {network: {name: planted, kind: linear}, calibrate: false, saliency: {gradient: {output: logit}}}
"""


def test_every_function_that_jobs_of_regions_call_is_in_their_record(fresh: Clone, tmp_path: Path) -> None:
    (fresh.path / "planted.yaml").write_text(PLANTED)
    targets = [
        f"results/planted/{name}" for name in ("statistics/planted.tsv", "scores/linear/seed-0/gradient.parquet")
    ]
    done = fresh.snakemake(*targets, config="planted.yaml", PYTHONPATH=tracing.start(tmp_path))
    assert done.returncode == 0, done.stdout
    plan, calls = Plan(yaml.safe_load(PLANTED), fresh.path, False), tracing.calls(tmp_path)
    assert {*OF_REGIONS, "score", "model"} <= set(calls)
    for script, found in sorted(calls.items()):
        assert not unrecorded(plan, script, found), script
    known = json.loads((fresh.path / "results/planted/models/linear/seed-0/model.json").read_text())
    assert {"planted", "linear", "sequence"} <= set(known["traits"])
    scores = pd.read_parquet(fresh.path / targets[1])
    np.testing.assert_allclose(scores.query("criterion == 'network'")["r"], 1, atol=1e-6)


VOXELS = """
run: [fine, rough]
datasets:
  fine: &fine
    source: {name: hcp, simulate: {subjects: 12, resolution: 8}}
    split: {train: 0.5, validation: 0.25, test: 0.25}
    robustness: {attacks: {}}
    explained: 1
    fragility: &attacked {attacks: {top_k: {iterations: 1}}, epsilon: [0.14], maps: 20, coarser: rough}
    models: {linear: {network: linear, training: {name: standard, epochs: 2}, saliency: gradient}}
  rough:
    <<: *fine
    downsample: 2
    fragility: {<<: *attacked, coarser: null}
"""


def test_the_same_subjects_in_more_voxels_stand_beside_those_in_fewer(fresh: Clone, tmp_path: Path) -> None:
    (fresh.path / "voxels.yaml").write_text(VOXELS)
    targets = [f"results/fine/{name}" for name in ("statistics/dimension.tsv", "figures/fragility.html", "claims.tsv")]
    done = fresh.snakemake(*targets, config="voxels.yaml", PYTHONPATH=tracing.start(tmp_path))
    assert done.returncode == 0, done.stdout
    plan, calls = Plan(yaml.safe_load(VOXELS), fresh.path, False), tracing.calls(tmp_path)
    assert {"dimension", "attack_maps", "figure_fragility", "judge"} <= set(calls)
    for script, found in sorted(calls.items()):
        assert not unrecorded(plan, script, found), script
    table = pd.read_csv(fresh.path / targets[0], sep="\t")
    assert set(table["n"]) == {3} and set(table["data"]) == {"simulated data, not HCP"}
    assert set(table["coarser_dataset"]) == {"rough"} and set(table["measure"]) >= {"spearman", "top_k", "shift"}
    page = (fresh.path / targets[1]).read_text()
    assert "say that maps of more voxels change more" in page


#: One of each rule, as far as one dataset has them.
TARGETS = (
    *("results/tiny-synthetic/statistics/summary.tsv", "results/tiny-synthetic/figures/figure-1a.png"),
    *("results/tiny-synthetic/figures/figure-2a.png", "results/tiny-synthetic/quality.tsv"),
    *("results/tiny-synthetic/figures/grid.html", "results/tiny-synthetic/words.txt"),
    "results/tiny-hcp/volumes/test/0.npy",
)


@pytest.mark.full
def test_what_is_said_to_be_no_code_changes_no_byte(finished: Clone, tmp_path: Path, monkeypatch) -> None:
    copy = clone(tmp_path / "copy")
    (tmp_path / "sitecustomize.py").write_text(PLAIN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    done = copy.snakemake(*TARGETS)
    assert done.returncode == 0, done.stdout
    found, expected = results(copy), results(finished)
    assert len(found) > 100
    assert [name for name in found if found[name] != expected[name]] == []
    assert not list(copy.path.glob("results/.snakemake/made/*"))
