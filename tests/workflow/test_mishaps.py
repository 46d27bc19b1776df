"""Files exchanged, records lost, schedulers killed, other clones' code: results follow from config, files and code."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from conftest import ROOT, Clone, clone, copied

SHAPE, AFFINE = (5, 6, 5), np.diag([4.0, 4.0, 4.0, 1.0])
MODEL = "results/k/models/linear/seed-0/model.json"


class Sheet:
    """A clone with a small sheet of eight subjects and its config."""

    def __init__(self, path: Path) -> None:
        self.copy = clone(path)
        self.maps = self.copy.path / "maps"
        self.maps.mkdir()
        rows = []
        for number, subject in enumerate("abcdefgh"):
            for label in ("left", "right"):
                self.map(f"{subject}-{label}.nii.gz", 2 * number + (label == "left"))
                rows.append([f"{subject}-{label}.nii.gz", subject, label])
        table = pd.DataFrame(rows, columns=["image", "subject", "label"])
        table.to_csv(self.maps / "samples.tsv", sep="\t", index=False)
        self.dataset = {
            "source": {"name": "sheet", "sheet": "maps/samples.tsv"},
            "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
            "robustness": {"attacks": {}},
            "models": {"linear": {"network": "linear", "training": {"name": "standard", "epochs": 2}}},
        }
        self.write()

    def map(self, name: str, seed: int) -> None:
        values = np.random.default_rng(seed).normal(size=SHAPE).astype(np.float32)
        nib.save(nib.Nifti1Image(values, AFFINE), self.maps / name)

    def write(self, epochs: int = 2, **changes) -> None:
        self.dataset["models"]["linear"]["training"]["epochs"] = epochs
        config = {"run": ["k"], "datasets": {"k": {**self.dataset, **changes}}}
        (self.copy.path / "k.yaml").write_text(yaml.safe_dump(config))

    def run(self, *arguments: str, fails: bool = False) -> str:
        result = self.copy.snakemake(*arguments, config="k.yaml")
        assert (result.returncode != 0) == fails, result.stdout
        return result.stdout

    def read(self, name: str) -> bytes:
        return (self.copy.path / name).read_bytes()

    def epochs(self) -> int:
        return json.loads(self.read(MODEL))["training"]["epochs"]


@pytest.fixture
def sheet(tmp_path: Path) -> Sheet:
    return Sheet(tmp_path / "clone")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the model of a sheet is made."""
    made = Sheet(tmp_path_factory.mktemp("made") / "clone")
    made.run(MODEL)
    return made.copy.path


@pytest.fixture
def again(made: Path, tmp_path: Path) -> Sheet:
    """A copy of it, to be spoilt."""
    sheet = Sheet.__new__(Sheet)
    sheet.copy, sheet.maps = copied(Clone(made), tmp_path / "again"), tmp_path / "again/maps"
    sheet.dataset = yaml.safe_load((made / "k.yaml").read_text())["datasets"]["k"]
    return sheet


def planned(output: str) -> set[str]:
    lines = output.partition("Job stats:")[2].partition("\n\n")[0].splitlines()
    return {words[0] for words in map(str.split, lines) if len(words) == 2 and words[1].isdecimal()} - {"total"}


ALL = {"samples", "grid", "volumes", "train", "model"}


def test_nothing_is_made_again_for_a_move_a_touch_or_a_lost_record_of_snakemakes(again: Sheet) -> None:
    shutil.rmtree(again.copy.path / ".snakemake")
    for path in again.copy.path.rglob("*"):
        if path.is_file() and not path.is_symlink() and ".snakemake" not in path.parts:
            path.touch()
    assert "Nothing to be done" in again.run(MODEL)


def test_an_exchanged_image_is_read_again_whatever_its_time(again: Sheet) -> None:
    # What comes out the same of it, the grid, is not made again for being older: Snakemake's own checksums are off.
    nothing_known = ("--max-checksum-file-size", "0")
    before, path = again.read("private/k/images.tsv"), again.maps / "c-left.nii.gz"
    stamp = path.stat()
    again.map(path.name, 77)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert planned(again.run("--dry-run", MODEL, *nothing_known)) == ALL
    again.run(MODEL, *nothing_known)
    assert again.read("private/k/images.tsv") != before
    assert "Nothing to be done" in again.run("--dry-run", MODEL, *nothing_known)
    again.map(path.name, 4 + 1)  # put back
    again.run(MODEL, *nothing_known)
    assert again.read("private/k/images.tsv") == before


def test_a_table_that_is_exchanged_for_an_older_one_is_read_again(again: Sheet) -> None:
    path = again.maps / "samples.tsv"
    path.write_text(path.read_text().replace("h-left.nii.gz\th\tleft\n", ""))
    os.utime(path, (1e9, 1e9))
    assert planned(again.run("--dry-run", MODEL)) == ALL


@pytest.mark.faults
def test_an_image_that_comes_later_is_no_longer_left_out(tmp_path: Path) -> None:
    sheet = Sheet(tmp_path / "clone")
    sheet.write(on_bad_subject="skip")
    kept = (sheet.maps / "d-left.nii.gz").rename(tmp_path / "kept")
    tables = [f"results/k/volumes/{split}/0.skipped.tsv" for split in ("train", "validation", "test")]
    sheet.run(*tables)
    assert sum(sheet.read(table).count(b"d-left") for table in tables) > 0
    kept.rename(sheet.maps / "d-left.nii.gz")
    sheet.run(*tables)
    assert sum(sheet.read(table).count(b"d-left") for table in tables) == 0


@pytest.mark.parametrize("key", ["sheet", "family", "mask"])
def test_a_file_that_is_not_there_is_an_error_though_old_results_are(again: Sheet, key: str) -> None:
    if key == "sheet":
        again.write(source={"name": "sheet", "sheet": "maps/sampels.tsv"})
    else:
        again.write(**{key: "none.tsv"})
    output = again.run(MODEL, fails=True)
    assert "the config names files that cannot be used" in output
    assert ("sampels.tsv" if key == "sheet" else f"datasets.k.{key}: none.tsv") in output
    assert "Traceback" not in output


@pytest.mark.faults
def test_results_that_were_copied_without_snakemakes_folder_are_judged_by_their_record(again: Sheet) -> None:
    shutil.rmtree(again.copy.path / ".snakemake")
    again.write(epochs=5)
    assert planned(again.run("--dry-run", MODEL)) == {"train", "model"}
    again.run(MODEL)
    assert again.epochs() == 5


@pytest.mark.faults
def test_results_without_any_record_are_refused_by_name(again: Sheet) -> None:
    shutil.rmtree(again.copy.path / "results/.snakemake")
    output = again.run(MODEL, fails=True)
    assert "have no record of what they were made from" in output
    assert "results/k/" in output
    shutil.rmtree(again.copy.path / "results")
    again.run(MODEL)


@pytest.mark.faults
def test_results_that_two_clones_share_follow_the_config_of_the_one_that_runs(again: Sheet, tmp_path: Path) -> None:
    other = Sheet(tmp_path / "other")
    shutil.rmtree(other.maps)
    for name in ("maps", "private", "results"):
        (other.copy.path / name).symlink_to(again.copy.path / name)
    other.write(epochs=3)
    other.run(MODEL)
    assert again.epochs() == 3
    again.run(MODEL)
    assert again.epochs() == 2


def test_weights_that_were_put_in_by_hand_are_refused_by_name(again: Sheet) -> None:
    weights = again.copy.path / "results/k/candidates/linear/seed-0/single/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    output = again.run(MODEL, fails=True)
    assert "single/weights.safetensors: are not what their job wrote" in output


def test_after_a_failed_run_the_results_of_the_one_before_are_not_called_up_to_date(again: Sheet) -> None:
    again.dataset["models"]["linear"]["training"]["learning_rate"] = 3e37
    again.write()
    for _ in range(2):
        assert "the loss is not finite" in again.run(MODEL, fails=True)
    del again.dataset["models"]["linear"]["training"]["learning_rate"]
    again.write()
    again.run(MODEL)
    assert "Nothing to be done" in again.run("--dry-run", MODEL)


@pytest.mark.faults
def test_a_partial_run_under_a_clock_that_was_set_back_leaves_nothing_stale(again: Sheet) -> None:
    again.write(standardize="none")
    volumes = [f"results/k/volumes/{split}/0.npy" for split in ("train", "validation", "test")]
    again.run(*volumes)
    for path in (again.copy.path / "results/k/volumes").rglob("*"):
        os.utime(path, (1e9, 1e9))
    assert planned(again.run("--dry-run", MODEL)) == {"train", "model"}


@pytest.mark.faults
def test_pythonpath_of_another_clone_changes_nothing(again: Sheet, tmp_path: Path, monkeypatch) -> None:
    shutil.copytree(ROOT / "workflow", tmp_path / "workflow")
    module = tmp_path / "workflow/truemap/data/samples.py"
    module.write_text(module.read_text().replace("import pandas as pd", "import pandas as pd\n\nprint('OTHER')", 1))
    (again.copy.path / "results/k/samples.tsv").unlink()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "workflow"))
    assert "OTHER" not in again.run("results/k/samples.tsv")


def test_an_edit_that_keeps_size_and_time_is_run_though_python_has_compiled_the_old_code(again: Sheet) -> None:
    package, volumes = again.copy.path / "workflow/truemap", "results/k/volumes/train/0.npy"
    subprocess.run([sys.executable, "-m", "compileall", "-q", package], check=True)
    before, path = again.read(volumes), package / "numerics.py"
    stamp, text = path.stat(), path.read_text()
    path.write_text(text.replace("centred /= deviation", "centred *= deviation"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    again.run(volumes)
    assert again.read(volumes) != before


@pytest.mark.faults
@pytest.mark.parametrize("edited", ["workflow/truemap/training/standard.py", "workflow/scripts/train.py"])
def test_code_that_is_edited_during_a_run_ends_its_jobs_and_no_others(sheet: Sheet, edited: str) -> None:
    """The sample list waits for us, so that the edit falls between plan and training."""
    path = sheet.copy.path / edited
    process = start(sheet, MODEL)
    wait_for(sheet.copy.path / "results/k/samples.tsv")
    text = path.read_text()
    path.write_text(f"{text}\nEDITED = True\n")
    output, _ = process.communicate()
    path.write_text(text)
    assert process.returncode != 0
    assert f"{path.name}: was edited after this run was planned" in output
    assert not (sheet.copy.path / MODEL).exists()
    assert (sheet.copy.path / "results/k/volumes/mask.nii.gz").exists()
    sheet.run(MODEL)


@pytest.mark.faults
def test_a_job_does_not_outlive_its_scheduler_and_cannot_spoil_what_another_makes(sheet: Sheet) -> None:
    sheet.write(epochs=100_000)
    process = start(sheet, MODEL)
    token = sheet.copy.path / "results/.snakemake/made/k/candidates/linear/seed-0/single/weights.safetensors.json"
    wait_for(token)
    jobs = [p for p in psutil.Process(process.pid).children(recursive=True) if "python" in p.name()]
    assert jobs
    process.send_signal(signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(jobs, timeout=30)
    assert alive == []
    sheet.write(epochs=2)
    sheet.run(MODEL, "--nolock", "--rerun-incomplete")
    assert sheet.epochs() == 2


@pytest.mark.parametrize("door", ["Snakefile", "workflow/Snakefile"])
def test_as_a_module(again: Sheet, tmp_path: Path, door: str) -> None:
    outer = tmp_path / "outer"
    outer.mkdir()
    shutil.copytree(again.maps, outer / "maps")
    module = (
        f"import yaml\nmodule truemap:\n    snakefile: {str(again.copy.path / door)!r}\n"
        f"    config: yaml.safe_load(open({str(again.copy.path / 'k.yaml')!r}))\n"
        "use rule * from truemap as tm_*\n"
    )
    (outer / "Snakefile").write_text(module)
    assert "tm_claims" in snakemake(outer, "--dry-run")
    # The default target is the outer workflow's, where it has one.
    (outer / "Snakefile").write_text(f"rule mine:\n    input: 'results/k/samples.tsv'\n{module}")
    assert planned(snakemake(outer)) == {"mine", "tm_samples"}
    assert (outer / "results/k/samples.tsv").read_bytes() == again.read("results/k/samples.tsv")


@pytest.mark.faults
def test_as_a_module_of_a_workflow_in_its_own_folder(again: Sheet) -> None:
    """Rules have other names there, so that what this workflow makes sure of itself does not hold."""
    config = f"yaml.safe_load(open({str(again.copy.path / 'k.yaml')!r}))"
    again.copy.path.joinpath("outer.smk").write_text(
        f"import yaml\nmodule truemap:\n    snakefile: 'Snakefile'\n    config: {config}\n"
        "use rule * from truemap as tm_*\n"
    )
    shutil.rmtree(again.copy.path / "results/.snakemake")
    assert "no record" not in snakemake(
        again.copy.path, "--snakefile", "outer.smk", "--dry-run", "results/k/samples.tsv"
    )


@pytest.mark.faults
@pytest.mark.parametrize("door", ["Snakefile", "workflow/Snakefile"])
def test_in_another_directory_by_each_door(again: Sheet, tmp_path: Path, door: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.copytree(again.maps, elsewhere / "maps")
    again.run("--snakefile", door, "--directory", str(elsewhere), "results/k/samples.tsv")
    assert (elsewhere / "results/k/samples.tsv").read_bytes() == again.read("results/k/samples.tsv")
    # From there, the workflow's profile is found by the door.
    shutil.copy2(again.copy.path / "k.yaml", elsewhere)
    arguments = ("results/k/samples.tsv", "--snakefile", str(again.copy.path / door), "--configfile", "k.yaml")
    output = snakemake(elsewhere, *arguments)
    assert "profiles/default" in output
    assert "Nothing to be done" in output
    (elsewhere / "results/k/samples.tsv").write_text("of somebody else")
    assert "are not what their job wrote" in snakemake(elsewhere, *arguments, fails=True)


def test_rules_that_are_read_from_elsewhere_than_a_folder_are_refused(again: Sheet, tmp_path: Path) -> None:
    root = again.copy.path
    git = ["git", "-C", str(root), "-c", "user.name=n", "-c", "user.email=e"]
    for command in (["init", "-q", "-b", "main"], ["add", "Snakefile", "workflow", "config"], ["commit", "-qm", "m"]):
        subprocess.run([*git, *command], check=True)
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer/Snakefile").write_text(
        f"module truemap:\n    snakefile: 'git+file://{root}/workflow/Snakefile@main'\n    config: {{}}\n"
        "use rule * from truemap\n"
    )
    assert "clone it, and name a file in the clone" in snakemake(tmp_path / "outer", "--dry-run", fails=True)


@pytest.mark.faults
def test_simulated_subjects_of_other_shards_are_not_taken_for_these(fresh: Clone) -> None:
    def tables(shards: int, noise: float) -> list[bytes]:
        simulate = {"subjects": 4, "resolution": 8, "noise_sd": noise}
        dataset = {
            "source": {"name": "hcp", "simulate": simulate},
            "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
            "shards": shards,
            "models": {"linear": {"network": "linear"}},
        }
        (fresh.path / "shards.yaml").write_text(yaml.safe_dump({"run": ["shards"], "datasets": {"shards": dataset}}))
        result = fresh.snakemake("private/shards/images.tsv", config="shards.yaml")
        assert result.returncode == 0, result.stdout
        table = pd.read_csv(fresh.path / "private/shards/images.tsv", sep="\t")
        return table["checksum"].tolist()

    first = tables(1, 1.5)
    assert not set(tables(2, 9.0)) & set(first)
    assert tables(1, 1.5) == first


def snakemake(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run snakemake in a folder that need not be a clone; return its output."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    run = subprocess.run(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert (run.returncode != 0) == fails, run.stdout
    return run.stdout


def start(sheet: Sheet, target: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", target, "--configfile", "k.yaml"]
    return subprocess.Popen(command, cwd=sheet.copy.path, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not come"
        time.sleep(0.05)
