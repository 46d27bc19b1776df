"""A stranger's trained network, handed over by fifteen lines of config: scored, re-run for what changes, refused."""

import json
import re
import shutil
from types import SimpleNamespace

import captum.attr
import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, Clone, clone, copied
from nilearn.decoding import Decoder as NilearnDecoder
from residual import ResNet
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from test_edits import planned

from truemap.api import Results
from truemap.convert import main
from truemap.plan.plan import Plan

CONFIG = """
run: [digits]
methods: [my_methods]
datasets:
  digits:
    source: {name: sheet, sheet: digits/sheet.tsv}
    figures: images
    precision: float32
    robustness: {attacks: []}
    references: [random]
    models:
      mine:
        network: resnet
        weights: digits/mine.safetensors
        saliency: [gradient, guided_backprop]
"""
#: A linear decoder of nilearn's, beside.
SECOND = """
datasets:
  digits:
    models:
      decoder: {network: linear, weights: digits/decoder.safetensors, saliency: [weights, gradient]}
"""
TARGETS = ("results/digits/figures/figure-1a.png", "results/digits/figures/figure-2a.png")
#: What a stranger would bring, in torchvision's manner: three channels, no thin axis.
MODULE = '''"""Residual network in two dimensions (He et al. 2016)."""

from my_methods._residual import ResNet
from truemap.config.options import NetworkOptions


class Options(NetworkOptions):
    """None."""


def build(shape, classes, options):
    return ResNet(classes, 3, 2, pool=False)
'''
KNOWN = {
    "classes": ["one", "zero"],
    "shape": [8, 8, 1],
    "orientation": "RAS",
    "standardize": "volume",
    "input": [3, 8, 8],
    "subjects": ["s0", "s1", "s2", "s3", "s4", "s5"],
    "accuracy": 0.95,
}


def bring(copy: Clone, how: str = "reused") -> None:
    """Images of digits of ten pseudo-subjects, and a network that was trained on six of them outside the project."""
    folder, rng = copy.path / "digits", np.random.default_rng(0)
    (copy.path / "my_methods/networks").mkdir(parents=True)
    shutil.copy(ROOT / "tests/support/residual.py", copy.path / "my_methods/_residual.py")
    (copy.path / "my_methods/networks/resnet.py").write_text(MODULE)
    folder.mkdir()
    images, digits = load_digits(n_class=2, return_X_y=True)
    drawn = [rng.permutation(np.flatnonzero(digits == digit)) for digit in (0, 1)]
    rows, maps, labels = ["image\tsubject\tlabel\tsplit"], [], []
    for subject in range(10):
        split = "train" if subject < 6 else "validation" if subject < 8 else "test"
        for label, digit in (("zero", 0), ("one", 1)):
            for number in drawn[digit][4 * subject : 4 * subject + 4]:
                name = f"s{subject}-{label}-{number}.nii.gz"
                values = images[number].reshape(8, 8, 1)
                nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), folder / name)
                rows.append(f"{name}\ts{subject}\t{label}\t{split}")
                if split == "train":
                    maps.append((values - values.mean()) / values.std())
                    labels.append(KNOWN["classes"].index(label))
    (folder / "sheet.tsv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(0)
    network = ResNet(2, 3, 2, pool=False)
    x = torch.from_numpy(np.stack(maps)[..., 0]).float()[:, None].expand(-1, 3, -1, -1)
    optimiser = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(30):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x), torch.tensor(labels)).backward()
        optimiser.step()
    # The running statistics are those of the last steps; let them settle.
    with torch.no_grad():
        for _ in range(30):
            network(x)
    save_file(network.state_dict(), folder / "mine.safetensors")
    know(copy)
    (copy.path / "mine.yaml").write_text(CONFIG)


def know(copy: Clone, **changes: object) -> None:
    known = {key: value for key, value in {**KNOWN, **changes}.items() if value is not None}
    (copy.path / "digits/mine.json").write_text(json.dumps(known))


def decoder_of_nilearn(copy: Clone) -> NilearnDecoder:
    """Train a decoder on the maps as the workflow standardizes them, and hand over what it has learnt."""
    maps = Results(copy.path / "results/digits").maps("train")
    images = [nib.Nifti1Image(one, np.eye(4)) for one in maps.take(range(len(maps))).reshape(-1, 8, 8, 1)]
    mask = copy.path / "digits/all.nii.gz"
    nib.save(nib.Nifti1Image(np.ones((8, 8, 1), np.int8), np.eye(4)), mask)
    of = NilearnDecoder(estimator="svc", mask=str(mask), standardize=False, cv=2, screening_percentile=100)
    of.fit(images, maps.table["label"].to_numpy())
    learnt = copy.path / "digits/decoder.npz"
    np.savez(learnt, coef_=of.coef_, intercept_=of.intercept_, classes_=of.classes_.astype(str))
    assert main([str(learnt), "--mask", str(mask), "--standardize", "volume"]) == 0
    (copy.path / "decoder.yaml").write_text(SECOND)
    return of


def dry(copy: Clone) -> dict[str, int]:
    return planned(copy.snakemake("--dry-run", *TARGETS, config="mine.yaml").stdout)


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    copy = clone(tmp_path_factory.mktemp("stranger") / "copy")
    bring(copy)
    done = copy.snakemake(*TARGETS, config="mine.yaml")
    assert done.returncode == 0, done.stdout
    assert "rule train:" not in done.stdout
    return copy


def maps_of(copy: Clone, method: str) -> tuple[pd.DataFrame, np.ndarray]:
    table = pd.read_parquet(copy.path / f"results/digits/saliency/mine/seed-0/{method}.parquet")
    return table, np.stack(table["map"]).astype(float) * table["scale"].to_numpy()[:, None]


def test_its_maps_are_those_of_captum(stranger: Clone, monkeypatch) -> None:
    monkeypatch.chdir(stranger.path)
    results = Results(stranger.path / "results/digits")
    decoder, test = results.decoder("mine"), results.maps("test")
    assert decoder.classes == KNOWN["classes"]
    x = torch.from_numpy(test.take(range(len(test))))
    table, found = maps_of(stranger, "guided_backprop")
    with pytest.warns(UserWarning):
        expected = [captum.attr.GuidedBackprop(decoder.network).attribute(x, target=c) for c in range(2)]
    stacked = torch.stack(expected, dim=1).detach().reshape(-1, 64).double().numpy()
    order = [
        list(test.table["sample"]).index(s) * 2 + KNOWN["classes"].index(t)
        for s, t in zip(table["sample"], table["target"], strict=True)
    ]
    np.testing.assert_allclose(found, stacked[order], rtol=2e-3, atol=1e-3 * np.abs(stacked).max())


def test_it_is_scored_and_described(stranger: Clone) -> None:
    description = json.loads((stranger.path / "results/digits/models/mine/seed-0/model.json").read_text())
    assert description["chosen"] == "weights" and "relu only" in description["traits"]
    summary = pd.read_parquet(stranger.path / "results/digits/statistics/summary.parquet")
    assert set(summary[summary["model"] == "mine"]["method"]) >= {"gradient", "guided_backprop"}
    assert not summary["data"].str.contains("unknown").any()


def test_a_decoder_of_nilearn_is_scored(stranger: Clone, tmp_path, monkeypatch) -> None:
    """Both maps of a linear network are its coefficients, whose correlation with the truth NumPy tells."""
    copy = copied(stranger, tmp_path / "copy")
    monkeypatch.chdir(copy.path)
    of = decoder_of_nilearn(copy)
    targets = [f"results/digits/scores/decoder/seed-0/{method}.parquet" for method in ("weights", "gradient")]
    done = copy.snakemake(*targets, "--configfile", "mine.yaml", "decoder.yaml", config=None)
    assert done.returncode == 0, done.stdout
    test = Results("results/digits").maps("test")
    table, values = test.table, test.take(range(len(test))).reshape(len(test), -1).astype(float)
    # Of two classes nilearn has the weights of the second.
    sign = {label: 1 if label == of.classes_[1] else -1 for label in KNOWN["classes"]}
    coefficients = of.coef_[-1].ravel()
    for path in targets:
        scores = pd.read_parquet(path).query("truth == 'full' and criterion in ('informative', 'pairwise')")
        assert len(scores) == 2 * len(table) * scores["conditions"].nunique() > 0
        for row in scores.itertuples():
            own = table["subject"] == row.subject
            means = {label: values[own & (table["label"] == label)].mean(axis=0) for label in sign}
            true = means[row.target] - (values[own].mean(axis=0) if row.target == row.label else means[row.label])
            expected = np.corrcoef(sign[row.target] * coefficients, true)[0, 1]
            np.testing.assert_allclose(row.r, expected, atol=1e-4)


def test_other_weights_and_other_words_of_them_run_again_what_follows(stranger: Clone, tmp_path, monkeypatch) -> None:
    copy = copied(stranger, tmp_path / "copy")
    assert dry(copy) == {}
    know(copy, subjects=None)
    jobs = dry(copy)
    assert {"model", "explain", "statistics", "figure_2"} <= set(jobs) and not {"volumes", "truth"} & set(jobs)
    monkeypatch.chdir(copy.path)
    plan = Plan(yaml.safe_load(CONFIG), copy.path, False)
    data = plan.settings("statistics", SimpleNamespace(dataset="digits"))["data"]
    assert "training subjects of mine unknown" in data
    know(copy)
    weights = copy.path / "digits/mine.safetensors"
    torch.manual_seed(1)
    save_file(ResNet(2, 3, 2, pool=False).state_dict(), weights)
    assert dry(copy)["model"] == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"subjects": ["s1", "s9"]}, "1 of 2 test subjects are among those that it was trained on"),
        ({"standardize": "none"}, "was trained on maps with `standardize: none`"),
        ({"accuracy": 93}, "mine.json: accuracy: "),
    ],
)
def test_what_is_wrong_with_it_is_said(stranger: Clone, tmp_path, changes: dict, words: str) -> None:
    copy = copied(stranger, tmp_path / "copy")
    know(copy, **changes)
    done = copy.snakemake("results/digits/models/mine/seed-0/model.json", config="mine.yaml")
    assert done.returncode != 0
    assert words in done.stdout, done.stdout
    assert "record.py" not in done.stdout
    assert not re.search(r"\bs9\b", done.stdout)


@pytest.mark.parametrize(("how", "words"), [("function", "It calls: relu"), ("layers", "size mismatch")])
def test_a_network_that_methods_would_be_wrong_for_or_another_one_is_refused(stranger, tmp_path, how, words) -> None:
    copy = copied(stranger, tmp_path / "copy")
    changed = MODULE.replace("pool=False", "pool=False, how='function'" if how == "function" else "pool=False, width=5")
    (copy.path / "my_methods/networks/resnet.py").write_text(changed)
    done = copy.snakemake("results/digits/saliency/mine/seed-0/guided_backprop.parquet", config="mine.yaml")
    assert done.returncode != 0
    assert words in done.stdout, done.stdout


def test_the_config_is_as_short_as_the_readme_says() -> None:
    assert len(CONFIG.strip().splitlines()) <= 15
    assert yaml.safe_load(CONFIG)["datasets"]["digits"]["models"]["mine"]["weights"]
