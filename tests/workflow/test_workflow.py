"""The whole DAG on the tiny config: what comes out, that it comes out once, and that it is always the same."""

import html
import json
from collections import Counter
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, Clone, clone, copied

SIMULATED = "simulated data, not HCP"


def test_every_dataset_gets_its_figures(finished: Clone) -> None:
    predicted = ["prediction-tau", "prediction-regret", "influence", "angles"]
    for dataset, numbers, others in (("tiny-synthetic", "12", predicted), ("tiny-hcp", "23", ["strength"])):
        names = {f"figure-{n}{panel}" for n in numbers for panel in ("a", "b", "")} | {
            "grid-informative",
            "grid-pairwise",
            *others,
        }
        names |= {"fragility-maps"} if predicted == others else set()
        names = {f"{name}.{ending}" for name in names for ending in ("svg", "png", "tsv")} | {"grid.html"}
        names |= {"prediction.html", "fragility.tsv", "fragility.html"} if predicted == others else set()
        attacked = ("spearman", "top_k", "shift", "truth") if predicted == others else ()
        names |= {f"fragility-{panel}.{ending}" for panel in attacked for ending in ("svg", "png")}
        assert {path.name for path in (finished.path / f"results/{dataset}/figures").iterdir()} == names


def test_a_second_call_does_nothing(finished: Clone) -> None:
    result = finished.snakemake()
    assert result.returncode == 0
    assert "Nothing to be done" in result.stdout


def test_every_profile_has_the_same_reasons_to_run_a_job_again() -> None:
    profiles = [yaml.safe_load(path.read_text()) for path in (ROOT / "profiles").glob("*/config.yaml")]
    assert len(profiles) > 1
    for key in ("rerun-triggers", "max-checksum-file-size"):
        assert len({str(profile.get(key)) for profile in profiles}) == 1, key


def test_the_scheduler_looks_only_when_a_job_has_ended_unless_a_user_limits_jobs_a_second(fresh: Clone) -> None:
    """Timers of Snakemake's own limit would make it look again each second, and more often with each job."""
    config = fresh.path / "looks.yaml"
    tiny = yaml.safe_load((fresh.path / "tests/workflow/tiny.yaml").read_text())
    config.write_text(yaml.safe_dump({"run": ["looks"], "datasets": {"looks": tiny["datasets"]["tiny-hcp"]}}))
    looks, jobs = [], ("--until", "networks", "volumes", "--forceall", "--verbose")
    for limit in ([], ["--max-jobs-per-timespan", "50/1s"]):
        result = fresh.snakemake(*jobs, *limit, config="looks.yaml")
        assert result.returncode == 0, result.stdout
        ended = result.stdout.count("Finished jobid")
        looks.append(result.stdout.count("Resources before job selection"))
    assert looks[0] <= ended + 1 < looks[1]


def test_by_the_other_door_there_is_as_little_to_do(finished: Clone) -> None:
    assert "Nothing to be done" in finished.snakemake("--snakefile", "workflow/Snakefile").stdout


def test_touching_every_input_and_script_changes_nothing(finished: Clone) -> None:
    for folder in ("workflow", "config"):
        for path in (finished.path / folder).rglob("*.*"):
            path.touch()
    assert "Nothing to be done" in finished.snakemake("--dry-run").stdout


@pytest.mark.full
def test_bytes_do_not_depend_on_cores_or_folder(finished: Clone, tmp_path: Path) -> None:
    other = clone(tmp_path / "elsewhere")
    result = other.snakemake("results/tiny-hcp/scores/cnn/seed-0/smooth.parquet", cores=1)
    assert result.returncode == 0, result.stdout
    made = [path for ending in ("parquet", "safetensors", "npy") for path in other.path.glob(f"results/**/*.{ending}")]
    assert {path.suffix for path in made} == {".parquet", ".safetensors", ".npy"}
    for path in made:
        name = path.relative_to(other.path)
        assert path.read_bytes() == (finished.path / name).read_bytes(), name


def test_simulated_data_are_called_so_wherever_they_show(finished: Clone) -> None:
    results = finished.path / "results"
    for figure in (results / "tiny-hcp/figures").glob("*.svg"):
        assert SIMULATED in figure.read_text()
    for table in (results / "tiny-hcp/statistics").glob("*.tsv"):
        assert set(pd.read_csv(table, sep="\t")["data"]) == {SIMULATED}


def test_the_simulated_tree_has_the_s1200_layout_and_exact_sign_flips(finished: Clone) -> None:
    results = finished.path / "results/tiny-hcp/tree/of-2/sim-0003/MNINonLinear/Results"
    stem = "{0}/tfMRI_{1}/tfMRI_{1}_hp200_s4_level2vol.feat/cope{2}.feat/stats/cope1.nii.gz"
    rel, negated = (nib.load(stem.format(results, "RELATIONAL", n)).get_fdata() for n in (2, 6))
    np.testing.assert_array_equal(rel, -negated)
    assert rel.shape == (23, 28, 23)


def test_samples_follow_the_contract(finished: Clone) -> None:
    samples = pd.read_csv(finished.path / "results/tiny-hcp/samples.tsv", sep="\t")
    assert list(samples.columns) == ["image", "subject", "label", "condition", "negated", "split"]
    assert len(samples) == 8 * 25
    assert samples.groupby("subject")["split"].nunique().max() == 1
    assert samples.groupby("subject")["negated"].sum().eq(4).all()


def test_negated_conditions_leave_no_truth_for_two_tasks(finished: Clone) -> None:
    scores = pd.read_parquet(finished.path / "results/tiny-hcp/scores/cnn/seed-0/gradient.parquet")
    null = scores[scores["r"].isna()]
    assert set(null["conditions"]) == {"all"}
    assert set(zip(null["label"], null["target"], strict=True)) == {
        ("EMOTION", "RELATIONAL"),
        ("RELATIONAL", "EMOTION"),
    }
    assert null["reason"].str.startswith("no truth").all()
    assert not scores[scores["r"].notna()]["reason"].any()


def test_scores_equal_correlations_computed_from_the_files(finished: Clone) -> None:
    results = finished.path / "results/tiny-hcp"
    scores = pd.read_parquet(results / "scores/cnn/seed-0/smooth.parquet")
    maps = pd.read_parquet(results / "saliency/cnn/seed-0/smooth.parquet")
    means = pd.read_parquet(results / "truth/class_means.parquet")
    brain = nib.load(results / "volumes/mask.nii.gz").get_fdata().reshape(-1) > 0
    row = scores.query("criterion == 'pairwise' and conditions == 'no_negated' and truth == 'full'").iloc[7]
    own = means.query("subject == @row.subject and conditions == 'no_negated'").set_index("label")["map"]
    truth = (own[row["target"]].astype(np.float64) - own[row["label"]])[brain]
    found = maps.query("sample == @row['sample'] and target == @row.target")["map"].iloc[0].astype(np.float64)[brain]
    assert row["r"] == pytest.approx(np.corrcoef(truth, found)[0, 1], abs=1e-6)


def test_the_model_file_says_what_was_chosen_and_why(finished: Clone) -> None:
    folder = finished.path / "results/tiny-hcp/models/linear/seed-0"
    model = json.loads((folder / "model.json").read_text())
    nll = {name: entry["nll"] for name, entry in model["candidates"].items()}
    assert set(nll) == {"l2-0.1", "l2-1"}
    assert model["chosen"] == min(nll, key=nll.get)
    assert model["reason"] == "lowest validation NLL"
    assert model["versions"]["torch"] == version("torch")
    scores = pq.read_schema(finished.path / "results/tiny-hcp/scores/linear/seed-0/gradient.parquet")
    assert json.loads(scores.metadata[b"versions"]) == model["versions"]
    predictions = pd.read_parquet(folder / "predictions.parquet")
    np.testing.assert_allclose(predictions.filter(like="p_").sum(axis=1), 1.0, atol=1e-12)


def test_the_report_is_written_with_a_caption_for_each_figure(finished: Clone) -> None:
    result = finished.snakemake("--report", "report.zip")
    assert result.returncode == 0, result.stdout
    # What a caption cannot be made from would stand in it as an error.
    assert "Undefined substitution" not in result.stdout
    with ZipFile(finished.path / "report.zip") as report:
        text = report.read("report/report.html").decode()
        held = {name.rsplit("/", 1)[-1]: name for name in report.namelist()}
        for name in ("index.html", "claims.html"):
            assert report.read(held[name]) == (finished.path / "results" / name).read_bytes()
    assert "Figure 3a" in text
    assert "of one test subject, drawn by seed" in text


@pytest.mark.parametrize(
    "preset", [None, *(f"config/{name}.yaml" for name in ("grid", "metrics", "planted", "released-code", "paper"))]
)
def test_presets_plan(fresh: Clone, preset: str | None) -> None:
    strict = ["--strict-dag-evaluation", "functions", "cyclic-graph", "periodic-wildcards"]
    (fresh.path / "data/HCP_1200").mkdir(parents=True, exist_ok=True)  # what paper.yaml names must be there
    result = fresh.snakemake("--dry-run", *strict, config=preset)
    assert result.returncode == 0, result.stdout
    assert "Job stats" in result.stdout


def test_scores_leave_the_explained_map_out(finished: Clone) -> None:
    results = finished.path / "results/tiny-hcp"
    scores = pd.read_parquet(results / "scores/cnn/seed-0/gradient.parquet")
    saliency = pd.read_parquet(results / "saliency/cnn/seed-0/gradient.parquet")
    brain = nib.load(results / "volumes/mask.nii.gz").get_fdata().reshape(-1) > 0
    row = scores.query("criterion == 'pairwise' and conditions == 'no_negated' and truth == 'leave_out'").iloc[11]
    table = pd.concat([pd.read_parquet(results / f"volumes/test/{k}.parquet") for k in (0, 1)], ignore_index=True)
    volumes = np.concatenate([np.load(results / f"volumes/test/{k}.npy") for k in (0, 1)]).reshape(len(table), -1)
    others = (table["subject"] == row["subject"]) & ~table["negated"] & (table["sample"] != row["sample"])
    target, own = (
        volumes[others & (table["label"] == name)].astype(float).mean(axis=0) for name in (row["target"], row["label"])
    )
    found = saliency.query("sample == @row['sample'] and target == @row.target")["map"].iloc[0].astype(float)
    assert row["r"] == pytest.approx(np.corrcoef((target - own)[brain], found[brain])[0, 1], abs=1e-6)


def test_robust_accuracy_is_counted_and_a_sweep_reuses_its_candidates(finished: Clone) -> None:
    results = finished.path / "results/tiny-hcp"
    summary = pd.read_parquet(results / "statistics/summary.parquet")
    robust = summary.query("criterion == 'robust_accuracy' and conditions == 'all' and seed == 'mean'").set_index(
        "model"
    )
    table = pd.read_parquet(results / "robustness/cnn/seed-0/pgd.parquet")
    assert len(table) == 7
    assert (table["norm"] <= table["bound"] * (1 + 1e-5)).all()
    assert not (table["robust"] & ~table["correct"]).any()
    assert robust.loc["cnn", "mean"] == pytest.approx(table.groupby("subject")["robust"].mean().mean())
    weights = [
        (results / folder / "weights.safetensors").read_bytes()
        for folder in ("models/cnn--epsilon-0.1/seed-0", "candidates/cnn/seed-0/epsilon-0.1")
    ]
    assert weights[0] == weights[1]
    assert not (results / "candidates/cnn--epsilon-0.1").exists()
    tested = pd.read_parquet(results / "statistics/comparisons.parquet")
    assert not tested["model_a"].str.contains("--").any()


def test_attacked_maps_are_told_by_sample_bound_and_measure(finished: Clone) -> None:
    folder = finished.path / "results/tiny-synthetic"
    attacked = pd.read_parquet(folder / "fragility/nn-adversarial/seed-0/gradient/top_k.parquet")
    assert attacked["sample"].nunique() == 6 and set(attacked["epsilon"]) == {0.2, 0.4}
    assert (attacked["linf"] <= attacked["bound"] * (1 + 1e-5)).all() and (attacked["surrogate_agreement"] == 1).all()
    table = pd.read_csv(folder / "statistics/fragility.tsv", sep="\t").query("seed == 'mean'")
    spearman = table.query("measure == 'spearman'").set_index(["attack", "epsilon"])
    assert set(spearman.index) == {(attack, bound) for attack in ("top_k", "random_sign") for bound in (0.2, 0.4)}
    of_files = attacked.query("measure == 'spearman'").groupby("epsilon")["value"].mean()
    np.testing.assert_allclose(spearman.loc["top_k", "mean"], of_files, rtol=1e-5)
    assert {"informative_after", "pairwise_loss"} <= set(table["measure"])
    pairs = pd.read_csv(folder / "statistics/fragility_pairs.tsv", sep="\t")
    assert set(pairs["across"]) == {"attack"}
    (test,) = pairs.query("measure == 'spearman' and epsilon == 0.4").to_dict("records")
    means = spearman.xs(0.4, level="epsilon")["mean"]
    assert test["difference"] == pytest.approx(means[test["attack_a"]] - means[test["attack_b"]], rel=1e-4)
    drawn = pd.read_csv(folder / "figures/fragility.tsv", sep="\t")
    assert set(drawn["panel"]) == {"spearman", "top_k", "shift", "truth"}
    said = pd.read_csv(folder / "statistics/fragility_answers.tsv", sep="\t")
    assert "does an attacked map stay true?" in set(said["question"])
    assert all(
        sentence in html.unescape((folder / "figures/fragility.html").read_text()) for sentence in said["sentence"]
    )


def test_influences_are_told_by_place_class_bound_and_attack_and_of_no_one(finished: Clone) -> None:
    folder, classes = finished.path / "results/tiny-synthetic", {"A", "B", "C"}
    files = {
        f"{model}/seed-{seed}": (model, seed) for model, seed in (("linear", 0), ("linear", 1), ("nn-adversarial", 0))
    }
    tables = []
    for name, (model, seed) in files.items():
        table = pd.read_parquet(folder / "influence" / f"{name}.parquet")
        assert set(table["model"]) == {model} and set(table["seed"]) == {seed}
        assert (
            table["sample"].nunique() == 6
            and set(table["epsilon"]) == {0.2, 0.4}
            and (table["training_maps"] == 30).all()
        )
        assert (table["slope"] < 1e-6).all() and table["refit_agreement"].between(0, 1).all()
        labels = pd.read_parquet(folder / "volumes/train/0.parquet")["label"].to_numpy()
        for row in table.itertuples():
            assert list(labels[row.before]) == list(row.before_label) and set(row.after_label) <= classes
            assert row.overlap == len(set(row.before) & set(row.after)) and (np.diff(row.before_influence) >= 0).all()
            assert row.attacked or (row.overlap == 5 and row.spearman > 1 - 1e-9)
        tables.append(table)
    told = pd.read_csv(folder / "statistics/influence.tsv", sep="\t").query("seed == 'mean' and model == 'linear'")
    (mean,) = told.query("measure == 'overlap' and attack == 'gradient_sign' and epsilon == 0.4")["mean"]
    own = pd.concat(tables[:2]).query("attack == 'gradient_sign' and epsilon == 0.4")
    assert mean == pytest.approx(own["overlap"].mean())
    said = pd.read_csv(folder / "statistics/influence_answers.tsv", sep="\t")
    page = html.unescape((finished.path / "results/index.html").read_text())
    assert len(said) == 2 and all(sentence in page for sentence in said["sentence"])
    drawn = pd.read_csv(folder / "figures/influence.tsv", sep="\t")
    assert (drawn["panel"] == "a").sum() == 12 and set(drawn["panel"]) == {"a", "b", "c"}


def test_autoattack_is_one_more_attack_and_not_weaker_by_much(finished: Clone) -> None:
    folder = finished.path / "results/tiny-synthetic/robustness/nn-adversarial/seed-0"
    own, auto = (pd.read_parquet(folder / f"{attack}.parquet") for attack in ("pgd", "autoattack"))
    assert list(own["sample"]) == list(auto["sample"])
    assert auto["robust"].sum() <= own["robust"].sum() + 1
    assert (auto["norm"] <= auto["bound"] * (1 + 1e-5)).all()


def test_every_job_that_is_measured_is_listed_and_no_other(finished: Clone) -> None:
    made = [path.relative_to(finished.path).parts for path in finished.path.glob("results/benchmarks/*/*")]
    counts = Counter((dataset, name.removesuffix(".tsv").split("-")[0]) for *_, dataset, name in made)
    files = finished.path.glob("results/*/resources.tsv")
    table = pd.concat([pd.read_csv(file, sep="\t") for file in files]).set_index(["dataset", "rule"])
    assert table["jobs"].to_dict() == counts


def test_jobs_and_figures_of_another_config_do_not_count(finished: Clone, tmp_path: Path) -> None:
    copy = copied(finished, tmp_path / "with-less")
    raw = yaml.safe_load((copy.path / "tests/workflow/tiny.yaml").read_text())
    cnn = raw["datasets"]["tiny-hcp"]["models"]["cnn"]
    cnn["saliency"], cnn["sweep"] = "gradient", []
    (copy.path / "less.yaml").write_text(yaml.safe_dump(raw))
    result = copy.snakemake("results/tiny-hcp/resources.html", config="less.yaml")
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(copy.path / "results/tiny-hcp/resources.tsv", sep="\t").set_index("rule")["jobs"]
    # Before, five and four: the second method, and the two candidates.
    assert table["explain"] == table["model"] == 2
    page = (copy.path / "results/tiny-hcp/resources.html").read_text()
    assert "Left from another config" in page and "tiny-hcp/figures/strength.svg" in page
    assert "figure-2a" not in page


NEW_METHOD = '''"""A method that a user adds."""

import torch

from truemap.config.options import MethodOptions
from truemap.saliency._jacobian import probability_gradients


class Options(MethodOptions):
    """No options."""


def explain(decoder, x, samples, options, context):
    """Return the squared gradient."""
    return probability_gradients(decoder.network, x, decoder.temperature).numbers().square()
'''


@pytest.mark.full
def test_a_new_method_is_one_new_file(finished: Clone, tmp_path: Path) -> None:
    copy = copied(finished, tmp_path / "with-a-new-method")
    (copy.path / "workflow/truemap/saliency/squared.py").write_text(NEW_METHOD)
    raw = yaml.safe_load((copy.path / "tests/workflow/tiny.yaml").read_text())
    raw["run"] = ["tiny-synthetic"]
    raw["datasets"]["tiny-synthetic"]["models"]["nn-adversarial"]["saliency"] = ["gradient", "squared"]
    (copy.path / "new.yaml").write_text(yaml.safe_dump(raw))
    result = copy.snakemake(config="new.yaml")
    assert result.returncode == 0, result.stdout
    results = copy.path / "results/tiny-synthetic"
    scores = pd.read_parquet(results / "scores/nn-adversarial/seed-0/squared.parquet")
    assert set(scores["criterion"]) == {"informative", "pairwise", "informative_absolute", "pairwise_absolute"}
    for figure in ("figure-1a", "figure-2b", "grid-informative"):
        assert "squared" in (results / f"figures/{figure}.svg").read_text(), figure
