"""Bad input ends at the first stage that sees it: with the file, the reason and what to do, and no output."""

import re
import shutil

import nibabel as nib
import numpy as np
import pytest
import yaml
from conftest import Clone

SHAPE = (4, 5, 6)


class Case:
    """A small, sound sample sheet in a folder of its own, to be spoilt."""

    def __init__(self, copy: Clone, name: str) -> None:
        self.copy, self.name = copy, name
        self.folder = copy.path / "data" / name
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        random = np.random.default_rng(0)
        self.rows = []
        for subject in "abcdef":
            for label in ("left", "right"):
                self.write(f"{subject}-{label}.nii.gz", random.normal(size=SHAPE))
                self.rows.append([f"{subject}-{label}.nii.gz", f"sub-{subject}", label])

    def write(self, name: str, values: np.ndarray, step: float = 3.0) -> None:
        nib.save(nib.Nifti1Image(values.astype(np.float32), np.diag([step, step, step, 1])), self.folder / name)

    def run(self, target: str = "volumes/train/0.npy", header: str = "image\tsubject\tlabel", **training) -> str:
        lines = [header, *("\t".join(row) for row in self.rows)]
        (self.folder / "samples.tsv").write_text("\n".join(lines) + "\n")
        model = {"network": "linear", "training": {"name": "standard", "epochs": 2, **training}}
        dataset = {
            "source": {"name": "sheet", "sheet": f"data/{self.name}/samples.tsv"},
            "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
            "models": {"linear": model},
        }
        return self.fail({"run": [self.name], "datasets": {self.name: dataset}}, target)

    def fail(self, config: dict, target: str) -> str:
        file = self.folder / "config.yaml"
        file.write_text(yaml.safe_dump(config))
        final = self.copy.path / "results" / self.name / target
        result = self.copy.snakemake(str(final.relative_to(self.copy.path)), config=str(file))
        assert result.returncode != 0, result.stdout
        assert not final.exists()
        assert not list(final.parent.glob(".partial*")) if final.parent.exists() else True
        return result.stdout


@pytest.fixture
def case(fresh: Clone, request: pytest.FixtureRequest) -> Case:
    return Case(fresh, request.node.name.replace("[", "-").replace("]", ""))


def truncate(case: Case) -> None:
    path = case.folder / "a-left.nii.gz"
    path.write_bytes(path.read_bytes()[:-40])


def spoil_values(value: float):
    def spoil(case: Case) -> None:
        for number, subject in enumerate("abcdef", 1):
            values = np.full(SHAPE, float(number))
            values[0, 0, 0] *= value
            case.write(f"{subject}-left.nii.gz", values)

    return spoil


def drop_file(case: Case) -> None:
    (case.folder / "a-left.nii.gz").unlink()


def no_image(case: Case) -> None:
    for subject in "abcdef":
        (case.folder / f"{subject}-left.nii.gz").write_bytes(b"not an image at all " + subject.encode())


def other_shape(case: Case) -> None:
    random = np.random.default_rng(1)
    for subject in "abcdef":
        case.write(f"{subject}-right.nii.gz", random.normal(size=(4, 5, 7)))


def other_affine(case: Case) -> None:
    random = np.random.default_rng(1)
    for subject in "abcdef":
        case.write(f"{subject}-right.nii.gz", random.normal(size=SHAPE), step=2.0)


@pytest.mark.parametrize(
    ("spoil", "reason", "remedy"),
    [
        pytest.param(no_image, "not a readable NIfTI", "Fetch or write the file again", id="no-nifti"),
        pytest.param(spoil_values(np.nan), "NaN or infinite", "leave it out", id="nan"),
        pytest.param(spoil_values(1.0), "constant", "leave it out", id="constant"),
        pytest.param(other_shape, "(4, 5, 7)", "Resample", id="shape"),
        pytest.param(other_affine, "[2.0, 2.0, 2.0] mm", "Resample", id="affine"),
    ],
)
def test_bad_maps(case: Case, spoil, reason: str, remedy: str) -> None:
    spoil(case)
    output = case.run()
    assert ".nii.gz: " in output
    assert reason in output
    assert remedy in output


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [pytest.param(truncate, "truncated or unreadable", id="gzip"), pytest.param(drop_file, "no such file", id="gone")],
)
def test_one_bad_file_among_good_ones(case: Case, spoil, reason: str) -> None:
    spoil(case)
    # The splits are drawn: ask for a file that needs all three of them.
    output = case.run("models/linear/seed-0/model.json")
    assert "a-left.nii.gz: " in output
    assert reason in output


def test_a_duplicate(case: Case) -> None:
    case.rows = [[*row, "c1"] for row in case.rows]
    case.rows.append(["b-left.nii.gz", "sub-a", "left", "c1"])
    output = case.run("samples.tsv", header="image\tsubject\tlabel\tcondition")
    assert "same subject, label and condition" in output
    assert "Keep one" in output


def test_a_subject_in_two_splits(case: Case) -> None:
    splits = ["train", "test", "validation"]
    case.rows = [[*row, splits[number % 3]] for number, row in enumerate(case.rows)]
    output = case.run("samples.tsv", header="image\tsubject\tlabel\tsplit")
    assert "in the splits" in output
    assert "into one split" in output


def test_one_class_only(case: Case) -> None:
    case.rows = [[image, subject, "left"] for image, subject, label in case.rows if label == "left"]
    assert "Give at least two classes" in case.run("samples.tsv")


def test_a_missing_cope(case: Case, finished: Clone) -> None:
    tree = case.folder / "tree"
    shutil.copytree(finished.path / "results/tiny-hcp/tree/of-2", tree)
    stem = "MNINonLinear/Results/tfMRI_WM/tfMRI_WM_hp200_s4_level2vol.feat/cope9.feat/stats/cope1.nii.gz"
    (tree / "sim-0002" / stem).unlink()
    dataset = {"source": {"name": "hcp", "root": str(tree)}, "models": {"linear": {"network": "linear"}}}
    output = case.fail({"run": [case.name], "datasets": {case.name: dataset}}, "samples.tsv")
    assert re.search(rf"/sub-[0-9a-f]{{8}}/{re.escape(stem)}: missing", output)
    assert "sim-0002" not in output
    assert "condition 2-BACK" in output
    assert "`exclude`" in output


def test_words_that_the_data_do_not_have_are_refused_before_anything_is_trained(case: Case) -> None:
    definition = {
        "source": {"name": "sheet", "sheet": f"data/{case.name}/samples.tsv"},
        "split": {"train": 0.5, "validation": 0.25, "test": 0.25},
        "models": {"linear": {"network": "linear", "training": {"name": "standard", "epochs": 2}}},
    }
    lines = ["image\tsubject\tlabel", *("\t".join(row) for row in case.rows)]
    (case.folder / "samples.tsv").write_text("\n".join(lines) + "\n")
    file = case.folder / "config.yaml"
    for words, reason in (
        ({"show": ["left", "up"]}, "show: no class 'up'"),
        ({"conditions": ["c1"]}, "conditions: no map of condition 'c1'"),
        ({"figures": "images"}, "Set `figures: glass_brain`"),
        ({"style": {"colormap": "RdBuu_r"}}, "did you mean 'RdBu_r'"),
    ):
        style = words.pop("style", {})
        dataset = {**definition, **words}
        file.write_text(yaml.safe_dump({"run": [case.name], "datasets": {case.name: dataset}, "style": style}))
        # The first of a whole run, the others of the rule that looks.
        target = [] if "show" in words else [f"results/{case.name}/words.txt"]
        result = case.copy.snakemake(*target, config=str(file), cores=1)
        assert result.returncode != 0
        assert reason in result.stdout and "Traceback" not in result.stdout
        assert not (case.copy.path / "results" / case.name / "candidates").exists()


def test_an_unknown_key_names_the_nearest(case: Case) -> None:
    assert "unknown key 'epoches'; did you mean 'epochs'?" in case.run(epoches=3)


def test_a_loss_that_is_not_finite(case: Case) -> None:
    output = case.run("candidates/linear/seed-0/single/weights.safetensors", learning_rate=3e37)
    assert "the loss is not finite in epoch" in output
    assert "Lower `learning_rate`" in output
