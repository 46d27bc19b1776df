"""Maps from elsewhere: captum's of our decoders have the agreement of our own; without any network all is made too."""

import csv
import re
import shutil
from pathlib import Path

import captum.attr
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import tracing
import yaml
from conftest import Clone, copied
from test_edits import planned
from test_reach import unrecorded

from truemap.api import Results
from truemap.config.names import NO_MAP, NO_NETWORK, NO_SIGNS
from truemap.data.maps import read_blocks
from truemap.plan.plan import Plan

KEYS = ["sample", "target", "criterion", "conditions", "truth"]


def captums(results: Results, model: str) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Captum's gradients of the probabilities, and these times input: shape (n, classes, *shape), of the test maps."""
    decoder, test = results.decoder(model), results.maps("test")
    network = decoder.network.double()
    x = torch.from_numpy(test.take(range(len(test))).astype(np.float64)).requires_grad_()

    def probabilities(maps: torch.Tensor) -> torch.Tensor:
        return torch.softmax(network(maps) / decoder.temperature, dim=1)

    classes = range(len(decoder.classes))
    gradients = [captum.attr.Saliency(probabilities).attribute(x, target=c, abs=False) for c in classes]
    products = [captum.attr.InputXGradient(probabilities).attribute(x, target=c) for c in classes]
    found = [torch.stack(maps, 1).detach().numpy() for maps in (gradients, products)]
    return found[0], found[1], test.table


def write_sheet(path: Path, rows: list[list], end: str = "\n") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter="\t", lineterminator=end).writerows([["image", "row", "sample", "target"], *rows])


def brains(results: Results, folder: Path) -> None:
    """A whole sheet of the CNN's gradients, by names of samples: one subject's as NIfTI from right to left, ..."""
    maps, _, table = captums(results, "cnn")
    classes, affine = sorted(table["label"].unique()), results.grid.affine
    flipped = affine @ np.array([[-1, 0, 0, maps.shape[2] - 1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]])
    first, rows, stack = table["subject"].iloc[0], [], []
    for (k, row), (c, label) in ((row, label) for row in enumerate(table.itertuples()) for label in enumerate(classes)):
        values = 1e3 * maps[k, c]
        if row.subject == first:
            name = f"map-{k}-{c}.nii"
            folder.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(values[::-1], flipped), folder / name)
            rows.append([name, "", row.image, label])
        else:
            rows.append(["stack.npy", len(stack), row.image, label])
            stack.append(values)
    np.save(folder / "stack.npy", np.stack(stack))
    write_sheet(folder / "gradient.tsv", rows)


def sizes(results: Results, folder: Path) -> None:
    """Absolute gradient times input for the own class alone, by numbers of samples, as vectors; a sheet of Windows'."""
    _, maps, table = captums(results, "linear")
    classes = sorted(table["label"].unique())
    own = np.abs(np.stack([maps[k, classes.index(label)] for k, label in enumerate(table["label"])]))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "sizes.npy", own.reshape(len(own), -1).astype(np.float32))
    rows = [["sizes.npy", k, row.sample, row.label] for k, row in enumerate(table.itertuples())]
    write_sheet(folder / "sizes.tsv", rows, "\r\n")


def configured(copy: Clone) -> dict:
    raw = yaml.safe_load((copy.path / "tests/workflow/tiny.yaml").read_text())
    models = raw["datasets"]["tiny-hcp"]["models"]
    models["cnn"].pop("sweep")
    models["captum"] = {"label": "Captum", "maps": {"gradient": "maps/gradient.tsv"}, "signed": True}
    # In place of a network, whose maps are there under the same name.
    models["linear"] = {"maps": {"gradient": "maps/sizes.tsv"}, "signed": False}
    # No network at all.
    raw["datasets"]["tiny-synthetic"].update(metrics={}, roar=None, fragility=None, influence=None, angles=None)
    raw["datasets"]["tiny-synthetic"]["models"] = {"other": {"maps": "images/sizes.tsv", "signed": False}}
    return raw


#: One of each rule that does something else for given maps.
TARGETS = (
    *("results/tiny-hcp/figures/figure-2a.svg", "results/tiny-hcp/subject_maps/linear/seed-0/gradient.parquet"),
    *("results/tiny-synthetic/figures/figure-1a.svg", "results/tiny-synthetic/figures/grid.html"),
)
#: What only networks have, or is made of it.
OF_NETWORKS = ("candidates", "models", "robustness", "saliency", "scores", "statistics")


@pytest.fixture(scope="module")
def scored(finished: Clone, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    copy = copied(finished, tmp_path_factory.mktemp("given") / "copy")
    brains(Results(copy.path / "results/tiny-hcp"), copy.path / "maps")
    for dataset, folder in (("tiny-hcp", "maps"), ("tiny-synthetic", "images")):
        sizes(Results(copy.path / "results" / dataset), copy.path / folder)
    for name in OF_NETWORKS:
        shutil.rmtree(copy.path / "results/tiny-synthetic" / name)
    (copy.path / "given.yaml").write_text(yaml.safe_dump(configured(copy), sort_keys=False))
    done = copy.snakemake(*TARGETS, config="given.yaml", PYTHONPATH=tracing.start(copy.path / "traced"))
    assert done.returncode == 0, done.stdout
    return copy


def scores(copy: Clone, dataset: str, model: str, method: str) -> pd.DataFrame:
    return pd.read_parquet(copy.path / f"results/{dataset}/scores/{model}/seed-0/{method}.parquet")


def test_captums_maps_have_the_agreement_of_our_own(scored: Clone) -> None:
    """Stacks, and NIfTI files whose first axis runs the other way; not of unit peak."""
    ours, theirs = (scores(scored, "tiny-hcp", model, "gradient").set_index(KEYS) for model in ("cnn", "captum"))
    assert len(theirs) == len(ours) > 1000
    both = theirs.merge(ours, left_index=True, right_index=True, suffixes=("", "_ours"))
    assert both["r"].notna().sum() > 1000
    np.testing.assert_allclose(both["r"], both["r_ours"], rtol=0, atol=1e-5)
    assert list(both["reason"]) == list(both["reason_ours"])
    means = pd.read_parquet(scored.path / "results/tiny-hcp/statistics/summary.parquet")
    keys = ["model", "criterion", "conditions", "truth"]
    means = means.query("method == 'gradient' and seed == 'mean'").set_index(keys).sort_index()
    np.testing.assert_allclose(means.loc["captum", "mean"], means.loc["cnn", "mean"], rtol=0, atol=1e-5)
    assert list(means.loc["captum", "n"]) == list(means.loc["cnn", "n"])


@pytest.mark.parametrize(
    ("dataset", "model", "method", "folder"),
    [("tiny-hcp", "linear", "gradient", "maps"), ("tiny-synthetic", "other", "maps", "images")],
)
def test_maps_without_signs_have_an_agreement_of_sizes_alone(scored: Clone, dataset, model, method, folder) -> None:
    results, own = Results(scored.path / "results" / dataset), np.load(scored.path / folder / "sizes.npy")
    table, truths = results.maps("test").table, results.truth()
    inside = results.grid.mask.ravel() if dataset == "tiny-hcp" else np.ones(own[0].size, bool)
    found = scores(scored, dataset, model, method)
    absolute = found["criterion"].str.endswith("_absolute")
    assert found.loc[~absolute & (found["label"] == found["target"]), "reason"].unique() == [NO_SIGNS]
    assert found.loc[~absolute, "r"].isna().all()
    pairs = found[found["label"] != found["target"]]
    assert set(pairs["reason"]) == {NO_MAP} and pairs["r"].isna().all()
    n = table["label"].nunique()
    assert len(pairs) == (n - 1) * (len(found) - len(pairs))
    rows = found[absolute & (found["label"] == found["target"]) & (found["truth"] == "full")]
    assert set(rows["sample"]) == set(table["sample"])
    for row in rows.itertuples():
        truth = truths[row.subject, row.conditions].informative(row.label)
        values = own[table.index[table["sample"] == row.sample][0]]
        expected = np.corrcoef(values[inside], np.abs(truth)[inside])[0, 1]
        assert row.r == pytest.approx(expected, abs=1e-4)


def test_what_needs_a_network_is_said_to_be_left_out(scored: Clone) -> None:
    for dataset, models in (("tiny-hcp", ["captum", "linear"]), ("tiny-synthetic", ["other"])):
        folder = scored.path / "results" / dataset
        summary = pd.read_csv(folder / "statistics/summary.tsv", sep="\t", keep_default_na=False)
        for model in models:
            rows = summary[(summary["model"] == model) & summary["criterion"].isin(["accuracy", "robust_accuracy"])]
            assert set(rows["criterion"]) == {"accuracy", "robust_accuracy"}
            assert set(rows["reason"]) == {NO_NETWORK}
            assert set(rows["mean"]) == {""}
    summary = pd.read_csv(scored.path / "results/tiny-hcp/statistics/summary.tsv", sep="\t").query("seed == 'mean'")
    rows = summary.query("model == 'linear' and conditions == 'all' and truth == 'full'").set_index("criterion")
    assert rows.loc["informative", ["n", "missing", "reason"]].tolist() == [0, 50, NO_SIGNS]
    assert rows.loc["pairwise_absolute", ["n", "missing", "reason"]].tolist() == [0, 300, NO_MAP]
    assert rows.loc["informative_absolute", "n"] == 2
    figures = scored.path / "results/tiny-hcp/figures"
    assert "no signs" in (figures / "figure-2a.svg").read_text()
    assert "no r" in (figures / "figure-2b.svg").read_text()
    (made,) = (rows for rows, _ in read_blocks(scored.path / TARGETS[1]))
    assert len(made) == 1  # of the class drawn, its own maps alone
    assert "no map" in (scored.path / "results/tiny-synthetic/figures/figure-1b.svg").read_text()
    for criterion in ("informative", "pairwise"):
        assert "network" in (scored.path / f"results/tiny-synthetic/figures/grid-{criterion}.svg").read_text()
    assert NO_NETWORK in (scored.path / "results/tiny-synthetic/figures/grid.html").read_text()
    assert "|r| = " in (scored.path / "results/tiny-synthetic/figures/figure-1a.svg").read_text()
    with pytest.raises(FileNotFoundError, match="no network: the maps come from elsewhere"):
        Results(scored.path / "results/tiny-hcp").decoder("captum")


def test_a_dataset_of_given_maps_alone_has_no_job_of_a_network(scored: Clone) -> None:
    made = {path.name for path in (scored.path / "results/tiny-synthetic").iterdir()}
    assert made & {*OF_NETWORKS} == {"saliency", "scores", "statistics"}


def test_each_file_that_a_sheet_names_is_part_of_the_record(scored: Clone) -> None:
    files = [scored.path / name for name in ("maps/map-3-4.nii", "images/sizes.npy")]
    before = [file.read_bytes() for file in files]
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    jobs = planned(scored.snakemake("--dry-run", *TARGETS, config="given.yaml").stdout)
    assert [jobs[rule] for rule in ("adopt", "score", "statistics")] == [2, 2, 2]
    assert not {"volumes", "truth", "train", "model", "explain", "subject_maps"} & set(jobs)
    for file, content in zip(files, before, strict=True):
        file.write_bytes(content)
    (scored.path / "maps/stack.npy").touch()
    assert planned(scored.snakemake("--dry-run", *TARGETS, config="given.yaml").stdout) == {}


def test_a_sheet_that_is_wrong_ends_a_run_before_anything_is_trained(scored: Clone) -> None:
    raw = configured(scored)
    raw["datasets"]["tiny-hcp"]["models"]["cnn"]["seeds"] = [7]
    sheet = scored.path / "maps/wrong.tsv"
    sheet.write_text((scored.path / "maps/gradient.tsv").read_text().replace("MOTOR\n", "MOTORS\n", 1))
    raw["datasets"]["tiny-hcp"]["models"]["captum"]["maps"] = {"gradient": "maps/wrong.tsv"}
    (scored.path / "wrong.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    done = scored.snakemake("results/tiny-hcp/statistics/summary.tsv", config="wrong.yaml", cores=1)
    assert done.returncode != 0
    assert re.search(r"maps/wrong.tsv, line \d+: no class 'MOTORS'; did you mean 'MOTOR'\?", done.stdout)
    assert "Traceback" not in done.stdout
    assert not (scored.path / "results/tiny-hcp/candidates/cnn/seed-7").exists()


def test_every_function_that_the_job_calls_is_in_its_record(scored: Clone) -> None:
    plan = Plan(yaml.safe_load((scored.path / "given.yaml").read_text()), scored.path, False)
    calls = tracing.calls(scored.path / "traced")
    assert {"adopt", "score", "statistics", "figure_1", "figure_2", "figure_grid", "subject_maps"} <= set(calls)
    for script, found in calls.items():
        assert not unrecorded(plan, script, found), script
