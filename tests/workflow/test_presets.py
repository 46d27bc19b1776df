"""One config after the other in one folder: a sheet of scikit-learn's digits after the tiny config."""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from conftest import Clone, copied
from sklearn.datasets import load_digits
from test_edits import planned

#: A name that published claims look at.
NAME = "synthetic-grid"
CONFIG = f"""
run: [{NAME}]
datasets:
  {NAME}:
    source: {{name: sheet, sheet: maps/samples.tsv}}
    split: {{train: 0.6, validation: 0.2, test: 0.2}}
    figures: images
    references: random
    metrics: complexity
    models:
      nn: {{network: cnn3d, training: {{name: standard, epochs: 10, batch_size: 8, learning_rate: 0.01}}}}
"""


def write_digits(folder: Path, digits: tuple[int, ...] = (0, 1, 4), subjects: int = 10, each: int = 3) -> None:
    """Write a sheet of images of 8 x 8 x 1 voxels, some of each digit for each pseudo-subject."""
    data, rows = load_digits(), []
    folder.mkdir()
    for digit in digits:
        for number, at in enumerate(np.flatnonzero(data.target == digit)[: subjects * each]):
            name = f"{digit}-{number}.nii"
            nib.save(nib.Nifti1Image(data.images[at].astype(np.float32)[:, :, None], np.eye(4)), folder / name)
            rows.append((name, f"writer-{number % subjects}", f"digit-{digit}"))
    table = pd.DataFrame(rows, columns=["image", "subject", "label"])
    # As a spreadsheet on Windows writes it.
    table.to_csv(folder / "samples.tsv", sep="\t", index=False, encoding="utf-8-sig", lineterminator="\r\n")


@pytest.fixture(scope="module")
def both(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Both configs have run, the sheet last."""
    copy = copied(finished, tmp_path_factory.mktemp("both") / "checkout")
    write_digits(copy.path / "maps")
    (copy.path / "sheet.yaml").write_text(CONFIG)
    result = copy.snakemake(config="sheet.yaml")
    assert result.returncode == 0, result.stdout
    for words in ("only 2 test subjects: no test is made", "cnn3d: filters [8, 8], by the shape", "nn: about "):
        assert words in result.stdout
    assert "robust accuracy not asked for" in result.stdout
    # Snakemake's log file has what the terminal leaves out.
    log = max((copy.path / ".snakemake/log").glob("*.log"), key=lambda path: path.stat().st_mtime_ns)
    assert "Job stats:" in log.read_text() and "Job stats:" not in result.stdout
    return copy


def test_a_sheet_of_images_gives_scores_and_no_attack(both: Clone) -> None:
    results = both.path / "results" / NAME
    summary = pd.read_parquet(results / "statistics/summary.parquet")
    assert summary.query("criterion == 'accuracy' and seed == 'mean'")["mean"].item() > 0.8
    assert "robust_accuracy" not in set(summary["criterion"]) and not (results / "robustness").exists()
    comparisons = pd.read_parquet(results / "statistics/comparisons.parquet")
    assert comparisons["p"].isna().all()
    assert set(comparisons["reason"]) == {"no test: fewer than three units have both values"}
    assert "not asked for" in (results / "figures/grid.html").read_text()
    assert "n = 2" in (results / "figures/figure-2a.svg").read_text()
    costs = pd.read_csv(results / "networks.tsv", sep="\t").iloc[0]
    assert costs["multiply_adds"] == 64 * 27 * 8 + 16 * 27 * 64 + 4 * 8 * 3
    assert costs["robustness_seconds"] == 0


def test_after_both_configs_neither_has_anything_to_do_and_the_page_shows_both(both: Clone) -> None:
    for config in ("sheet.yaml", "tests/workflow/tiny.yaml"):
        assert "Nothing to be done" in both.snakemake("--dry-run", config=config).stdout, config
    # Datasets that a config knows but does not run are the other's to make.
    known = both.snakemake("--dry-run", "--configfile", "tests/workflow/tiny.yaml", "sheet.yaml", config=None)
    assert "Nothing to be done" in known.stdout, known.stdout
    claims = pd.read_csv(both.path / "results/claims.tsv", sep="\t", dtype=str, keep_default_na=False)
    shown = claims[claims["ours"] != ""]
    assert set(shown["dataset"]) == {NAME}
    assert shown["verdict"].str.startswith("not about these data (source.name is sheet").all()
    assert claims["id"].is_unique and "models.nn.network.name=cnn3d" in shown["configuration"].iloc[0]


def test_the_page_is_made_again_when_a_dataset_goes(both: Clone) -> None:
    shutil.move(both.path / "results" / NAME, both.path / "away")
    assert set(planned(both.snakemake("--dry-run").stdout)) == {"claims", "held_out", "index"}
    shutil.move(both.path / "away", both.path / "results" / NAME)
