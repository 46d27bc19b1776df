"""From what other programs save to the two files of a trained network: the same predictions, and no code run."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from nilearn.decoding import Decoder as NilearnDecoder
from residual import ResNet, seasoned
from safetensors.torch import load_file
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.svm import LinearSVC
from torch import nn

from truemap.config.trained import read_trained
from truemap.convert import main
from truemap.networks._decoder import read_decoder
from truemap.runtime.files import DataError

SHAPE, AFFINE = (4, 5, 3), np.diag([-3.0, 3.0, 3.0, 1.0])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mask = np.random.default_rng(1).random(SHAPE) < 0.6
    nib.save(nib.Nifti1Image(mask.astype(np.uint8), AFFINE), "mask.nii.gz")
    return tmp_path


def data(classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Maps and labels; the classes differ, so that decoders have something to learn."""
    rng = np.random.default_rng(2)
    labels = np.arange(90) % classes
    means = rng.normal(size=(classes, *SHAPE))
    return (means[labels] + 2 * rng.normal(size=(90, *SHAPE))).astype(np.float32), labels


def mask() -> np.ndarray:
    return np.asarray(nib.load("mask.nii.gz").dataobj) > 0


def decoder(name: str = "decoder"):
    trained = read_trained(f"{name}.json")
    description = {
        "network": {"name": "linear", "initialisation": "glorot"}, "shape": trained.shape, "classes": trained.classes,
        "temperature": 1.0,
    }  # fmt: skip
    return read_decoder(f"{name}.safetensors", description, torch.device("cpu"), "")


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("of", [LogisticRegression(max_iter=500), LinearSVC(), RidgeClassifier()])
def test_linear_decoders_of_scikit_learn_predict_the_same(folder, capsys, of, classes: int) -> None:
    maps, labels = data(classes)
    inside = maps[:, mask()]
    of.fit(inside, np.array(["left", "mid", "right"])[labels])
    np.savez("decoder.npz", coef_=of.coef_, intercept_=of.intercept_, classes_=of.classes_.astype(str))
    assert main(["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none"]) == 0
    found = decoder()
    logits = found.network(torch.from_numpy(maps)).double().numpy()
    assert [found.classes[k] for k in logits.argmax(1)] == list(of.predict(inside))
    if classes == 2:
        np.testing.assert_allclose(logits[:, 1] - logits[:, 0], of.decision_function(inside), rtol=1e-4, atol=1e-5)
        assert "two logits of the one" in capsys.readouterr().out
    elif isinstance(of, LogisticRegression):
        p = torch.softmax(torch.from_numpy(logits), 1).numpy()
        np.testing.assert_allclose(p, of.predict_proba(inside), atol=1e-5)
    assert read_trained("decoder.json").affine == AFFINE.tolist()


def test_the_logistic_function_of_one_logit_is_the_softmax_of_two(folder) -> None:
    maps, labels = data(2)
    of = LogisticRegression(max_iter=500).fit(maps[:, mask()], labels)
    np.savez("decoder.npz", coef_=of.coef_, intercept_=of.intercept_)
    arguments = ["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none", "--classes", "a", "b"]
    assert main(arguments) == 0
    p = torch.softmax(decoder().network(torch.from_numpy(maps)), 1)[:, 1].numpy()
    np.testing.assert_allclose(p, expit(of.decision_function(maps[:, mask()])), atol=1e-5)


@pytest.mark.parametrize(
    ("scaler", "names"),
    [
        (StandardScaler(), ("mean_", "scale_")),
        (StandardScaler(with_std=False), ("mean_",)),
        (StandardScaler(with_mean=False), ("scale_",)),
        (MaxAbsScaler(), ("scale_",)),
        (RobustScaler(), ("center_", "scale_")),
        (MinMaxScaler((-1, 2)), ("min_", "scale_")),
    ],
)
def test_a_scaler_becomes_part_of_the_weights(folder, scaler, names) -> None:
    maps, labels = data(3)
    inside = maps[:, mask()] * 5 + 2
    pipe = make_pipeline(scaler, LogisticRegression(max_iter=500)).fit(inside, labels)
    scaler, of = pipe
    learnt = {name: getattr(scaler, name) for name in names}
    np.savez("decoder.npz", coef_=of.coef_, intercept_=of.intercept_, classes_=np.array([b"x", b"y", b"z"]), **learnt)
    assert main(["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none"]) == 0
    p = torch.softmax(decoder().network(torch.from_numpy(maps * 5 + 2)), 1).numpy()
    np.testing.assert_allclose(p, pipe.predict_proba(inside), atol=1e-4)
    assert decoder().classes == ["x", "y", "z"]


def test_what_a_step_before_the_decoder_has_learnt_is_read_or_refused(folder, capsys) -> None:
    voxels = int(mask().sum())
    linear = ["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none", "--classes", "a", "b", "c"]
    of = {"coef_": np.zeros((3, voxels)), "intercept_": np.zeros(3)}
    one = np.ones(voxels)
    for more in ({"var_": one}, {"mean_": one, "center_": one}, {"components_": one}, {"mean_": one, "min_": one}):
        np.savez("decoder.npz", **of, **more)
        assert f"holds {', '.join(sorted(more))}, which is no scaler" in failing(capsys, *linear)
    for wrong in (one[:-1], np.ones((voxels, 2))):
        np.savez("decoder.npz", **of, mean_=wrong)
        assert f"'mean_' has {wrong.size} numbers for {voxels} voxels" in failing(capsys, *linear)
    np.savez("decoder.npz", **of, scale_=0 * one)
    assert "NaN" in failing(capsys, *linear)
    for wrong in (of["coef_"] + 1j, of["coef_"] > 0):
        np.savez("decoder.npz", coef_=wrong, intercept_=of["intercept_"])
        assert "no real numbers" in failing(capsys, *linear)
    np.savez("decoder.npz", coef_=of["coef_"] + 1e60, intercept_=of["intercept_"])
    assert "too large for float32" in failing(capsys, *linear)
    assert not list(folder.glob("*.safetensors"))


def test_classes_are_those_of_the_rows_or_said_to_be_others(folder, capsys) -> None:
    linear = ["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none", "--classes"]
    coefficients = np.zeros((3, int(mask().sum())))
    np.savez("decoder.npz", coef_=coefficients, intercept_=np.zeros(3), classes_=np.array(["a", "b", "c"]))
    assert "its classes_ are a, b, c, in the order of its rows" in failing(capsys, *linear, "b", "a", "c")
    assert main([*linear, "x", "y", "z"]) == 0
    out = capsys.readouterr().out
    assert "called the classes a, b, c as --classes say: x, y, z" in out
    assert "of SVC(kernel='linear') they are one a pair of classes" in out
    assert read_trained("decoder.json").classes == ["x", "y", "z"]


def test_a_mask_is_one_volume(folder, capsys) -> None:
    np.savez("decoder.npz", coef_=np.zeros((2, 2 * int(mask().sum()))), intercept_=np.zeros(2))
    arguments = ["decoder.npz", "--standardize", "none", "--classes", "a", "b", "--mask"]
    nib.save(nib.Nifti1Image(np.stack([mask()] * 2, -1).astype(np.uint8), AFFINE), "two.nii.gz")
    assert "A mask is one volume" in failing(capsys, *arguments, "two.nii.gz")
    np.savez("decoder.npz", coef_=np.ones((2, int(mask().sum()))), intercept_=np.zeros(2))
    nib.save(nib.Nifti1Image(mask()[..., None].astype(np.uint8), AFFINE), "one.nii.gz")
    assert main([*arguments, "one.nii.gz"]) == 0
    assert torch.equal(decoder().network[1].weight[0].reshape(SHAPE), torch.from_numpy(mask()).float())


@pytest.mark.parametrize("classes", [2, 3])
def test_a_decoder_of_nilearn_predicts_the_same(folder, classes: int) -> None:
    maps, labels = data(classes)
    images = [nib.Nifti1Image(one, AFFINE) for one in maps]
    names = np.array(["left", "mid", "right"])[labels]
    of = NilearnDecoder(estimator="svc", mask="mask.nii.gz", standardize=False, cv=2, screening_percentile=100)
    of.fit(images, names)
    np.savez("decoder.npz", coef_=of.coef_, intercept_=of.intercept_, classes_=of.classes_.astype(str))
    assert main(["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none"]) == 0
    found = decoder()
    logits = found.network(torch.from_numpy(maps))
    assert [found.classes[k] for k in logits.argmax(1)] == list(of.predict(images))


def said() -> list[str]:
    nib.save(nib.Nifti1Image(np.zeros((6, 7, 6), np.float32), AFFINE), "map.nii.gz")
    return [
        "--like",
        "map.nii.gz",
        "--standardize",
        "volume",
        "--classes",
        "a",
        "b",
        "c",
        "--input",
        "1",
        "6",
        "7",
        "6",
    ]


@pytest.mark.parametrize("how", ["plain", "nested", "parallel"])
def test_a_state_dict_keeps_its_names_and_numbers(folder, capsys, how: str) -> None:
    network = seasoned(ResNet(3, 1, 3))
    state = network.state_dict()
    if how != "plain":
        state = {f"module.{name}": value for name, value in state.items()} if how == "parallel" else state
        state = {"state_dict": state, "epoch": 7}
    torch.save(state, "resnet.pt")
    (folder / "who.txt").write_text("s1\ns2\n")
    more = ["--subjects", "who.txt", "--accuracy", "0.9", "--out", "to/w.safetensors"]
    assert main(["resnet.pt", *said(), *more]) == 0

    fresh = ResNet(3, 1, 3)
    fresh.load_state_dict(load_file("to/w.safetensors"))
    x = torch.randn(2, 1, 6, 7, 6)
    assert torch.equal(fresh.eval()(x), network(x))
    found = read_trained("to/w.json")
    assert (found.subjects, found.accuracy, found.input, found.shape) == (["s1", "s2"], 0.9, [1, 6, 7, 6], [6, 7, 6])
    assert ("took 'module.' off" in capsys.readouterr().out) == (how == "parallel")


@pytest.mark.parametrize("wrappers", [["_orig_mod.", "module."], ["module.", "_orig_mod."]])
def test_all_wrappers_come_off(folder, wrappers) -> None:
    state = {"".join(wrappers) + name: value for name, value in seasoned(ResNet(3, 1, 3)).state_dict().items()}
    torch.save(state, "resnet.pt")
    assert main(["resnet.pt", *said()]) == 0
    ResNet(3, 1, 3).load_state_dict(load_file("resnet.safetensors"))


def test_a_prefix_takes_the_network_out_of_what_is_around_it(folder, capsys) -> None:
    state = {f"model.{name}": value for name, value in seasoned(ResNet(3, 1, 3)).state_dict().items()}
    torch.save({"state_dict": {**state, "criterion.weight": torch.ones(3)}}, "lightning.ckpt")
    assert main(["lightning.ckpt", *said(), "--prefix", "model."]) == 0
    assert "and left out: criterion.weight" in capsys.readouterr().out
    ResNet(3, 1, 3).load_state_dict(load_file("lightning.safetensors"))
    words = failing(capsys, "lightning.ckpt", *said(), "--prefix", "net.", "--out", "other.safetensors")
    assert "no name begins with 'net.'; the first is 'model.conv1.weight'" in words


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_another_precision_are_taken(folder, kind) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(60, 3))
    state = {name: value.to(kind) for name, value in network.state_dict().items()}
    torch.save(state, "decoder.pt")
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), "like.nii.gz")
    assert main(["decoder.pt", "--like", "like.nii.gz", "--standardize", "none", "--classes", "a", "b", "c"]) == 0
    assert torch.equal(decoder().network[1].weight, state["1.weight"].float())


def test_weights_that_were_packed_are_refused(folder, capsys) -> None:
    whole = nn.Linear(60, 3).weight.detach()
    packed = [whole.to(torch.complex64), whole.to_sparse(), torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8)]
    for weight in packed:
        torch.save({"1.weight": weight, "1.bias": torch.zeros(3)}, "decoder.pt")
        assert "'1.weight' is quantized, sparse or complex" in failing(capsys, "decoder.pt", *said())
    # Whole numbers may be those of a buffer: the network tells.
    torch.save({"1.weight": (100 * whole).to(torch.int8), "1.bias": torch.zeros(3)}, "decoder.pt")
    nib.save(nib.Nifti1Image(np.zeros(SHAPE, np.float32), AFFINE), "like.nii.gz")
    assert main(["decoder.pt", "--like", "like.nii.gz", "--standardize", "none", "--classes", "a", "b", "c"]) == 0
    with pytest.raises(DataError, match=r"where it has real ones, or the other way round: 1\.weight"):
        decoder()


def test_a_list_of_subjects_is_names_alone(folder, capsys) -> None:
    torch.save(ResNet(3, 1, 3).state_dict(), "resnet.pt")
    (folder / "who.tsv").write_text("participant_id\tage\nsub-01\t30\n")
    assert "who.tsv, line 1: more than a subject's name" in failing(
        capsys, "resnet.pt", *said(), "--subjects", "who.tsv"
    )
    (folder / "who.tsv").write_bytes("sub-01\n".encode("utf-16"))
    assert "no UTF-8" in failing(capsys, "resnet.pt", *said(), "--subjects", "who.tsv")
    assert "resnets.pt: cannot be read (No such file" in failing(capsys, "resnets.pt", *said())


class Danger:
    def __reduce__(self):
        return (print, ("code was run",))


def failing(capsys, *arguments: str) -> str:
    assert main(list(arguments)) == 1
    return capsys.readouterr().err


def test_nothing_is_unpickled(folder, capfd) -> None:
    torch.save({"weight": Danger()}, "bad.pt")
    torch.save(ResNet(3, 1, 3), "whole.pt")
    np.savez("bad.npz", coef_=np.array([Danger()], dtype=object), intercept_=np.zeros(1))
    assert "save its numbers only" in failing(capfd, "bad.pt", *said())
    assert "save its numbers only" in failing(capfd, "whole.pt", *said())
    assert "numpy.savez" in failing(capfd, "bad.npz", "--mask", "mask.nii.gz", "--standardize", "none")
    assert "code was run" not in capfd.readouterr().out


def test_what_cannot_be_used_is_refused_and_nothing_is_written(folder, capsys) -> None:
    voxels = int(mask().sum())
    linear = ["decoder.npz", "--mask", "mask.nii.gz", "--standardize", "none"]
    np.savez("decoder.npz", coef_=np.zeros((3, voxels + 1)), intercept_=np.zeros(3))
    assert f"{voxels + 1} coefficients a class, the mask has {voxels} voxels" in failing(capsys, *linear)
    np.savez("decoder.npz", coef_=np.zeros((3, voxels)))
    assert "has no 'intercept_'" in failing(capsys, *linear)
    np.savez("decoder.npz", coef_=np.zeros((3, voxels)), intercept_=np.zeros(2))
    assert "3 rows of coefficients and 2 intercepts" in failing(capsys, *linear)
    np.savez("decoder.npz", coef_=np.full((3, voxels), np.nan), intercept_=np.zeros(3))
    assert "NaN, infinite" in failing(capsys, *linear)
    np.savez("decoder.npz", coef_=np.zeros((3, voxels)), intercept_=np.zeros(3))
    assert "3 logits for 2 classes" in failing(capsys, *linear, "--classes", "a", "b")
    assert "classes: " in failing(capsys, *linear)
    assert "Give a map (--like)" in failing(capsys, "decoder.npz", "--standardize", "none")
    for name in ("net.pt2", "net.onnx", "net.joblib"):
        assert "files are not taken" in failing(capsys, name, *said())
    assert not list(folder.glob("*.safetensors")) and not list(folder.glob("*.json"))
    (folder / "decoder.json").write_text("mine")
    assert "is there already" in failing(capsys, *linear, "--classes", "a", "b", "c")
    assert (folder / "decoder.json").read_text() == "mine"


def test_as_a_command(folder) -> None:
    classes = {"classes_": np.array(["a", "b"])}
    np.savez("decoder.npz", coef_=np.zeros((2, int(mask().sum()))), intercept_=np.zeros(2), **classes)
    command = [sys.executable, "-m", "truemap.convert", "decoder.npz", "--mask", "mask.nii.gz"]
    where = {"PYTHONPATH": str(Path(__file__).parents[1] / "workflow")}
    done = subprocess.run([*command, "--standardize", "volume"], cwd=folder, text=True, capture_output=True, env=where)
    assert done.returncode == 0, done.stderr
    assert json.loads((folder / "decoder.json").read_text())["classes"] == ["a", "b"]
    assert "network: linear" in done.stdout
