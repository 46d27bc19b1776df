"""The table of edits: what is changed, and exactly which rules re-run. Too many is a fault, too few is a worse one."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, Clone, clone, compiled, copied

#: Rules from a stage on to the end. What lies downstream of a job that re-runs, re-runs too.
#: The first page reads all that is read.
FIRST_PAGE = {"digest", "index"}
TABLES = {"statistics", "figure_2", "figure_grid", "figure_strength", "judge", "claims", "resources"}
TABLES |= FIRST_PAGE
PAGES = {"figure_1", "figure_3", *TABLES}
AFTER_MAPS = {"score", "subject_maps", *PAGES}
PREDICTED = {"predict", "held_out", "figure_prediction", *FIRST_PAGE}
OF_ONE_METRIC = {"measure", "anchors", "metrics", "judge", "claims", "figure_grid", *PREDICTED}
MEASURED = {"permutation", *OF_ONE_METRIC}
RETRAINED = {"rank", "retrain", "roar"}
#: What is attacked is judged and drawn too.
DRAWN_FRAGILE = {"fragility", "figure_fragility"}
FRAGILE = {"attack_maps", *DRAWN_FRAGILE}
DRAWN_INFLUENCE = {"influences", "figure_influence"}
INFLUENCE = {"influence", *DRAWN_INFLUENCE}
#: Of networks with ReLUs alone, which a linear one has not.
ANGLES = {"angles", "angle_summary", "figure_angles"}
PROBED = {*FRAGILE, *INFLUENCE, *ANGLES}
AFTER_MODEL = {"permute", *RETRAINED, *PROBED, "explain", "robustness", *MEASURED, *AFTER_MAPS}
AFTER_TRAINING = {"train", "model", *AFTER_MODEL}
#: Of a dataset with one kind of figure only; the synthetic one has no sweep, and alone is measured.
OF_SYNTHETIC = {"figure_1", "permute", *RETRAINED, *PROBED, *MEASURED}
OF_SYNTHETIC -= {"figure_grid", "judge", "claims", *FIRST_PAGE}
AFTER_HCP_MAPS = AFTER_MAPS - {"figure_1"}
SYNTHETIC_ONLY = {"subject_maps", "figure_3", "figure_strength"}
#: Of one network and seed alone.
OF_ONE = {"permute", "permutation", *RETRAINED, *FRAGILE}
#: Figures that show one truth and one set of conditions first.
HEADLINES = {"figure_2", "figure_3", "figure_grid", "figure_strength", *FIRST_PAGE}
NOTHING: set[str] = set()
AFTER_VOLUMES = {"quality", "truth", "background", "refer", *AFTER_TRAINING}
AFTER_SAMPLES = {"grid", "words", "networks", "volumes", *AFTER_VOLUMES}

Edit = Callable[[Path], None]


def source(name: str, old: str, new: str) -> Edit:
    """Edit a module of the package."""

    def edit(root: Path) -> None:
        path = root / "workflow/truemap" / name
        text = path.read_text()
        assert old in text, f"{name} no longer has {old!r}"
        path.write_text(text.replace(old, new, 1))

    return edit


def config(change: Callable[[dict], None]) -> Edit:
    """Edit the tiny config."""

    def edit(root: Path) -> None:
        path = root / "tests/workflow/tiny.yaml"
        raw = yaml.safe_load(path.read_text())
        change(raw)
        path.write_text(yaml.safe_dump(raw, sort_keys=False))

    return edit


def hcp_models(raw: dict) -> dict:
    return raw["datasets"]["tiny-hcp"]["models"]


def change_epsilon(raw: dict) -> None:
    hcp_models(raw)["cnn"]["training"]["epsilon"] = [0.05, 0.2]


def swap_blob_and_field(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["source"]["simulate"].update(blob_fwhm=14.0, field_fwhm=12.0)


def reverse_keys(raw: dict) -> None:
    for dataset in raw["datasets"].values():
        for model in dataset["models"].values():
            for key in list(reversed(model)):
                model[key] = model.pop(key)
            if isinstance(model["training"], dict):
                model["training"] = dict(reversed(model["training"].items()))


def add_seed(raw: dict) -> None:
    raw["datasets"]["tiny-synthetic"]["models"]["linear"]["seeds"] = [0, 1, 2]


def add_method(raw: dict) -> None:
    hcp_models(raw)["linear"]["saliency"] = ["gradient", "weights"]


def add_model(raw: dict) -> None:
    raw["datasets"]["tiny-synthetic"]["models"]["second"] = {
        "network": "linear",
        "training": {"epochs": 1, "name": "standard"},
    }


def half(raw: dict) -> None:
    hcp_models(raw)["cnn"]["training"]["precision"] = "bf16"


def add_strength(raw: dict) -> None:
    hcp_models(raw)["cnn"]["training"]["epsilon"] = [0.05, 0.1, 0.2]


def add_reference(raw: dict) -> None:
    raw["datasets"]["tiny-synthetic"]["references"] = {"centred": {"name": "input", "centre": True}}


def leave_out(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["truth"] = {"leave_out": True}


def no_negated(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["conditions"] = "no_negated"


def choose(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["conditions"] = ["LF", "RH", "MATH"]


def write_default(raw: dict) -> None:
    hcp_models(raw)["linear"]["tolerance"] = 0.01
    hcp_models(raw)["linear"]["training"]["batch_size"] = 32


def store_brain(raw: dict) -> None:
    raw["run"], raw["maps"] = ["tiny-hcp"], {"voxels": "brain"}


def forget_maps(raw: dict) -> None:
    raw["maps"] = {"keep": False}


def show(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["show"] = ["WM", "MOTOR"]


def colour(raw: dict) -> None:
    raw["style"] = {"bars": "#aa3377"}


def average(raw: dict) -> None:
    raw["datasets"]["tiny-hcp"]["average"] = "maps"


def touch_everything(root: Path) -> None:
    for part in ("workflow", "config", "envs", "profiles", "Snakefile"):
        for path in (root / part, *(root / part).rglob("*")):
            path.touch()


def fresh_clone_beside_old_results(root: Path) -> None:
    for part in ("workflow", "config", "envs", "profiles"):
        shutil.rmtree(root / part)
        shutil.copytree(
            ROOT / part, root / part, copy_function=shutil.copy, ignore=shutil.ignore_patterns("__pycache__")
        )


def published(root: Path) -> None:
    path = root / "config/published.tsv"
    path.write_text(path.read_text().replace("0.413", "0.414", 1))


def page_style(root: Path) -> None:
    path = root / "workflow/truemap/figures/assets/page.css"
    path.write_text(path.read_text() + "\nb { color: inherit; }\n")


def peaks(root: Path) -> None:
    path = root / "config/simulation/task_peaks.tsv"
    path.write_text(path.read_text().replace("-12.08", "-12.09", 1))


SIMULATED = {
    *("simulate", "samples", "grid", "words", "networks", "volumes", "quality", "truth", "background", "refer"),
    *(AFTER_TRAINING - OF_SYNTHETIC),
}
TABLE: list[tuple[str, Edit, set[str]]] = [
    ("a comment", source("training/free.py", "    bound = radius", "    # a remark\n    bound = radius"), NOTHING),
    ("a docstring", source("training/free.py", "Make m updates", "Make several updates"), NOTHING),
    ("white space", source("numerics.py", "def zscore", "\n\n\ndef zscore"), NOTHING),
    ("one word in a message of privacy", source("runtime/privacy.py", "others may read", "all may read"),
     {"samples", *AFTER_SAMPLES}),
    ("one in the formatter of logs", source("runtime/privacy.py", "return self.scrub(", "return str("), NOTHING),
    ("one of reading NIfTI", source("data/nifti.py", "one file of a pair", "one of a pair"),
     {"samples", *AFTER_SAMPLES}),
    ("writing NIfTI", source("data/nifti.py", "dtype=np.float32), affine", "dtype=np.float32), affine + 0"),
     {"simulate", "samples", *AFTER_SAMPLES}),
    ("one of the truth", source("evaluation/truth.py", "without the map explained", "without that map"),
     {"score", "refer", "anchors", "subject_maps", *FRAGILE, *PREDICTED, *PAGES}),
    ("one of samples", source("data/samples.py", "too few to split by family", "too few families"),
     {"samples", *AFTER_SAMPLES}),
    ("which maps are explained", source("data/rows.py", '"explained", int(sample)', '"explained ", int(sample)'),
     {"explain", "refer", *PROBED, *MEASURED, *AFTER_MAPS}),
    ("a helper that one of two callers uses", source("numerics.py", '{precision} does not', '{precision} cannot'),
     {"volumes", *AFTER_VOLUMES}),
    ("logs and progress", source("runtime/log.py", "INTERVAL = 30.0", "INTERVAL = 20.0"), NOTHING),
    ("the record of what was made", source("runtime/made.py", "TICK = 10_000_000", "TICK = 20_000_000"), NOTHING),
    ("what jobs do around their work", source("runtime/work.py", "GRACE = 20.0", "GRACE = 10.0"), NOTHING),
    ("a definition that nobody reaches", source("numerics.py", "def zscore", "LIMIT = 1\n\n\ndef zscore"), NOTHING),
    ("a statement at import", source("numerics.py", "def zscore", "print()\n\n\ndef zscore"),
     {"simulate", "samples", *AFTER_SAMPLES}),
    ("a method of a class", source("data/volumes.py", "return self.parts[0]", "return (*self.parts, None)[0]"),
     {"networks", *AFTER_VOLUMES}),
    ("the config's words", source("config/options.py", "must be text: write it", "must be text. Write it"), NOTHING),
    ("a helper that only training imports", source("training/_objective.py", "0.5 * l2", "0.25 * l2"),
     {"networks", *AFTER_TRAINING}),
    ("a training method", source("training/free.py", "total / options.steps", "total"),
     {"networks", *AFTER_TRAINING} - OF_SYNTHETIC),
    ("one saliency method", source("saliency/smoothgrad.py", "/= options.n", "/= options.n + 0"),
     {"networks", "explain", *AFTER_HCP_MAPS}),
    ("a reference", source("references/input.py", "0.0)", "0)"),
     {"refer", "anchors", *PREDICTED, *TABLES}),
    ("an attack", source("attacks/pgd.py", "bound: float", "bound: float | int"),
     {"networks", "robustness", *TABLES}),
    ("a metric", source("metrics/complexity.py", "- count - 1", "- count - 1.0"),
     {"networks", *OF_ONE_METRIC, "resources"}),
    ("a metric that compares with a twin",
     source("metrics/label_permutation.py", "has not learnt these", "never learnt these"),
     {"networks", *MEASURED, "resources"} - {"anchors"}),
    ("the background of methods", source("data/background.py", "BLOCK = 64", "BLOCK = 65"),
     {"background", "refer", "explain", *RETRAINED, *FRAGILE, *MEASURED, *AFTER_MAPS}),
    ("the table of quality", source("data/quality.py", "BLOCK = 16", "BLOCK = 17"),
     {"quality", "resources", *FIRST_PAGE}),
    ("the agreement", source("evaluation/agreement.py", '"informative", "pairwise").as', '"informative", "p").as'),
     {"refer", "anchors", *FRAGILE, *PREDICTED, *AFTER_MAPS} - {"subject_maps", "figure_3"}),
    ("the statistics", source("evaluation/statistics.py", "alpha: float = 0.05", "alpha: float = 0.01"),
     {*DRAWN_FRAGILE, *DRAWN_INFLUENCE, "angle_summary", *TABLES}),
    ("the attack on influences",
     source("exemplars/attack.py", "epsilon * self.sd * signs", "self.sd * epsilon * signs"),
     {*INFLUENCE, "judge", "claims", "resources", *FIRST_PAGE}),
    ("an attack on maps", source("map_attacks/top_k.py", "-parts.gather", "0 - parts.gather"),
     {"networks", *FRAGILE, "judge", "claims", "resources", *FIRST_PAGE}),
    ("what predicts what", source("evaluation/ranks.py", "WORST = 0.25", "WORST = 0.2"),
     {*PREDICTED, "resources"}),
    ("one model's epsilon", config(change_epsilon), AFTER_TRAINING - OF_SYNTHETIC),
    ("two equal-typed options swapped", config(swap_blob_and_field), SIMULATED),
    ("the order of keys", config(reverse_keys), NOTHING),
    ("a default written out", config(write_default), NOTHING),
    ("one more seed", config(add_seed),
     {"networks", *AFTER_TRAINING} - {"figure_1", "anchors", *SYNTHETIC_ONLY, *OF_ONE, *ANGLES}),
    ("one more saliency method", config(add_method), {"networks", "explain", *AFTER_HCP_MAPS}),
    ("one more model", config(add_model), {"networks", *AFTER_TRAINING} - {*SYNTHETIC_ONLY, *OF_ONE, *ANGLES}),
    ("the precision of a training", config(half), {"networks", *AFTER_TRAINING} - OF_SYNTHETIC),
    ("one more strength", config(add_strength), {"networks", *AFTER_TRAINING} - OF_SYNTHETIC),
    ("one more reference", config(add_reference),
     {"networks", "refer", "anchors", *PREDICTED, *TABLES} - {"figure_strength"}),
    ("which truth figures show", config(leave_out), HEADLINES),
    ("which conditions figures show", config(no_negated), {"words", "subject_maps", *HEADLINES}),
    ("a list of conditions", config(choose), {"words", "truth", "background_chosen", "refer", *AFTER_HCP_MAPS}),
    ("which classes figures show", config(show), {"words", "subject_maps", "figure_3", *FIRST_PAGE}),
    ("fewer voxels stored", config(store_brain), {"explain", *AFTER_HCP_MAPS}),
    ("maps that are not kept", config(forget_maps), NOTHING),
    ("the average of truth", config(average), {"refer", *AFTER_MAPS} - {"figure_1"}),
    ("a figure's colour", config(colour), {"words", "figure_2", *FIRST_PAGE}),
    ("published.tsv", published, {"figure_2", "judge", "claims", *FIRST_PAGE}),
    ("the style of pages", page_style,
     {"quality", "figure_grid", "figure_prediction", "figure_fragility", "claims", "resources", *FIRST_PAGE}),
    ("the simulation's peaks", peaks, SIMULATED),
    ("what the terminal says", source("runtime/terminal.py", "of {total}", "/ {total}"), NOTHING),
    ("what jobs say", source("runtime/job.py", ".setLevel(NOTICE)", ".setLevel(NOTICE - 1)"), NOTHING),
    ("touch of everything", touch_everything, NOTHING),
    ("a fresh clone beside old results", fresh_clone_beside_old_results, NOTHING),
    ("the folder moved", lambda root: None, NOTHING),
]  # fmt: skip


def planned(output: str) -> dict[str, int]:
    """Return rule -> number of jobs of a dry run."""
    if "Nothing to be done" in output:
        return {}
    rows = re.search(r"Job stats:\njob +count\n[- ]+\n(.*?)\n\n", output, re.S)
    assert rows, output
    counts = {name: int(count) for name, count in (line.split() for line in rows[1].splitlines())}
    return {name: count for name, count in counts.items() if name not in ("all", "total")}


@pytest.fixture(scope="session")
def moved(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The finished run, moved elsewhere: all edits are made there, so each shows that the move costs nothing."""
    return copied(finished, tmp_path_factory.mktemp("moved") / "checkout")


@pytest.fixture
def edited(moved: Clone, tmp_path: Path):
    """Put everything that an edit may change back after the test, time stamps too."""
    parts = ("workflow", "config", "envs", "profiles", "tests")
    for part in parts:
        shutil.copytree(moved.path / part, tmp_path / part)
    yield moved
    for part in parts:
        shutil.rmtree(moved.path / part)
        shutil.copytree(tmp_path / part, moved.path / part)
    compiled(moved.path / "workflow")


@pytest.mark.parametrize(("edit", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_an_edit_reruns_exactly(edited: Clone, edit: Edit, expected: set[str], request: pytest.FixtureRequest) -> None:
    edit(edited.path)
    result = edited.snakemake("--dry-run")
    assert result.returncode == 0, result.stdout
    found = planned(result.stdout)
    print(f"{request.node.callspec.id}: {', '.join(f'{n} {c}' for n, c in sorted(found.items())) or 'nothing'}")
    assert set(found) == expected


def test_only_the_new_seed_trains(edited: Clone) -> None:
    config(add_seed)(edited.path)
    counts = planned(edited.snakemake("--dry-run").stdout)
    assert {name: counts[name] for name in ("train", "model", "explain", "score")} == dict.fromkeys(
        ("train", "model", "explain", "score"), 1
    )


def test_an_edited_metric_is_measured_again_by_itself_and_no_map_is_made(edited: Clone) -> None:
    source("metrics/complexity.py", "- count - 1", "- count - 1.0")(edited.path)
    output = edited.snakemake("--dry-run", "--printshellcmds").stdout
    measured = set(re.findall(r"output: \S+/metrics/(\S+)\.parquet", output))
    assert {Path(path).name for path in measured} == {"complexity"}
    # Two seeds of one network, and another one.
    assert planned(output)["measure"] == len(measured) == 3


def test_the_dry_run_names_the_module_that_changed(edited: Clone) -> None:
    source("training/_objective.py", "0.5 * l2", "0.25 * l2")(edited.path)
    output = edited.snakemake("--dry-run").stdout
    assert re.search(r"^  changed: code of truemap\.training\._objective:\n    .*\btrain \(\d+\)", output, re.M)
    # One by one where that is asked for.
    output = edited.snakemake("--dry-run", "-p").stdout
    before, now = re.search(r"before: .*?'(truemap\.\S+?)'.*?now: .*?'(truemap\.\S+?)'", output).groups()
    assert before.split("@")[0] == now.split("@")[0] == "truemap.training._objective"
    assert before != now


def test_the_dry_run_names_the_setting_that_changed(edited: Clone) -> None:
    config(change_epsilon)(edited.path)
    config(lambda raw: raw["datasets"]["tiny-hcp"].update(voxels="all"))(edited.path)
    output = edited.snakemake("--dry-run").stdout
    assert "before: 'voxels = \"brain\"' now: 'voxels = \"all\"'" in output


@pytest.mark.faults
def test_a_simulation_that_was_broken_off_leaves_no_old_volumes(tmp_path: Path) -> None:
    """What is simulated anew in one run is z-scored anew in the next, though the list of samples is the same."""
    copy = clone(tmp_path / "copy")
    definition = {
        "source": {"name": "hcp", "simulate": {"subjects": 4, "resolution": 8}},
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        "models": {"linear": {"network": "linear"}},
    }
    file = copy.path / "again.yaml"
    file.write_text(yaml.safe_dump({"run": ["again"], "datasets": {"again": definition}}))
    volumes = "results/again/volumes/train/0.npy"
    assert copy.snakemake(volumes, config=str(file)).returncode == 0
    peaks(copy.path)
    assert copy.snakemake("results/again/samples.tsv", config=str(file)).returncode == 0
    assert planned(copy.snakemake("--dry-run", volumes, config=str(file)).stdout) == {
        "grid": 1,
        "volumes": 1,
    }
