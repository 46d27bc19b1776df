"""Trained networks: the file beside the weights, how maps are turned for them, and what is refused."""

import json

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from truemap.config.schema import ConfigError, parse
from truemap.config.trained import Trained, read_trained
from truemap.data.grid import Grid
from truemap.networks._adapter import Adapter
from truemap.networks._decoder import read_decoder, save_tensors, save_weights
from truemap.networks._trained import check_accuracy, fitted, refuse_leaked
from truemap.runtime.files import DataError

AXES = [f"{a}{b}{c}" for a in "RL" for b in "AP" for c in "SI"]
AXES += [
    "".join(axes[k] for k in order)
    for axes in AXES
    for order in ((1, 0, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1), (0, 2, 1))
]


def trained(**changes) -> Trained:
    known = {"classes": ["a", "b", "c"], "shape": [5, 6, 7], "orientation": "RAS", "standardize": "volume"}
    return Trained.model_validate({k: v for k, v in {**known, **changes}.items() if v is not None})


def grid(codes: str = "RAS", shape: tuple[int, ...] = (5, 6, 7), size: float = 3.0) -> Grid:
    ornt = nib.orientations.axcodes2ornt(tuple(codes))
    turned = nib.orientations.ornt_transform(nib.orientations.axcodes2ornt("RAS"), ornt)
    affine = np.diag([size, size, size, 1.0]) @ nib.orientations.inv_ornt_aff(turned, shape)
    return Grid(np.ones([shape[k] for k in np.argsort(turned[:, 0])], dtype=bool), affine)


@given(ours=st.sampled_from(AXES), theirs=st.sampled_from(AXES), exact=st.booleans())
def test_maps_are_turned_as_nibabel_turns_them_and_back(ours: str, theirs: str, exact: bool) -> None:
    """The network's array holds at each voxel what the dataset's holds at the same place in mm."""
    here, there = grid(ours), grid(theirs)
    place = {"affine": there.affine.tolist()} if exact else {"orientation": theirs}
    found = fitted("w", trained(**{"orientation": None, **place}, shape=list(there.shape)), here, ["a", "b", "c"])
    values = np.random.default_rng(0).normal(size=here.shape)
    image = nib.Nifti1Image(values, here.affine)
    ornt = nib.orientations.ornt_transform(nib.io_orientation(here.affine), nib.io_orientation(there.affine))
    expected = image.as_reoriented(ornt)
    if found["adapter"] is None:
        assert ours == theirs and np.array_equal(expected.get_fdata(), values)
        return
    adapter = Adapter(**found["adapter"])
    x = torch.from_numpy(values)[None]
    assert np.array_equal(adapter(x)[0].numpy(), expected.get_fdata())
    assert torch.equal(adapter.back(adapter(x), here.shape), x)
    assert np.allclose(expected.affine, there.affine)


@given(channels=st.integers(1, 3), thin=st.booleans())
def test_each_channel_gets_the_map_and_its_gradient_is_their_sum(channels: int, thin: bool) -> None:
    shape = (4, 5, 1)
    size = [channels, *(shape[:2] if thin else shape)]
    found = fitted("w", trained(shape=list(shape), input=size), grid(shape=shape), ["a", "b", "c"])
    adapter, x = Adapter(**found["adapter"]), torch.randn(2, *shape, requires_grad=True)
    assert adapter(x).shape == (2, *size)
    weights = torch.randn(size)
    (gradient,) = torch.autograd.grad((adapter(x) * weights).sum(), x)
    torch.testing.assert_close(gradient[0], weights.sum(0).reshape(shape))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"classes": ["a", "b"]}, r"its classes are a, b \(2\), the dataset's a, b, c \(3\)"),
        ({"classes": ["a", "b", "d"]}, r"its classes are a, b, d \(3\), the dataset's a, b, c"),
        ({"shape": [5, 6, 8]}, r"trained on maps of \[5, 6, 8\] voxels, the dataset's are \(5, 6, 7\) voxels of \[3.0"),
        ({"orientation": "ARS"}, r"turned like the network: \[6, 5, 7\] voxels"),
        (
            {"orientation": None, "affine": np.diag([2.0, 2, 2, 1]).tolist()},
            r"maps of \(5, 6, 7\) voxels of \[2.0, 2.0, 2.0\]",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused_with_both_sides(changes: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        fitted("w.safetensors", trained(**changes), grid(), ["c", "b", "a"])


def test_another_order_of_classes_is_taken_as_it_is_said() -> None:
    assert fitted("w", trained(classes=["c", "a", "b"]), grid(), ["a", "b", "c"])["classes"] == ["c", "a", "b"]


def test_training_subjects_among_the_test_subjects_are_refused_and_counted_and_not_named(caplog) -> None:
    subjects = {"validation": ["s3"], "test": ["s1", "s2"]}
    refuse_leaked("w", trained(subjects=["s8", "s9"]), subjects, False)
    with pytest.raises(DataError, match="1 of 2 test subjects") as caught:
        refuse_leaked("w", trained(subjects=["s2", "s9"]), subjects, False)
    assert "s2" not in str(caught.value)
    refuse_leaked("w", trained(), subjects, False)
    assert "nobody knows whom it was trained on" in caplog.text
    refuse_leaked("w", trained(subjects=["s3"]), subjects, False)
    assert "1 validation subjects are training subjects" in caplog.text


def test_pseudonyms_are_looked_through(tmp_path, monkeypatch) -> None:
    from truemap.runtime.privacy import pseudonym, read_salt

    monkeypatch.chdir(tmp_path)
    subjects = {"validation": [], "test": [pseudonym(read_salt(), "100307"), pseudonym(read_salt(), "100408")]}
    with pytest.raises(DataError, match="1 of 2 test subjects"):
        refuse_leaked("w", trained(subjects=["100408"]), subjects, True)
    with pytest.raises(DataError, match="1 of 2 test subjects"):
        refuse_leaked("w", trained(subjects=["sub-100408"]), subjects, True)
    refuse_leaked("w", trained(subjects=["100409"]), subjects, True)
    # Two of one pseudonym have all of them a digit more.
    longer = {"validation": [], "test": [pseudonym(read_salt(), "100307", 9)]}
    with pytest.raises(DataError, match="1 of 1 test subjects"):
        refuse_leaked("w", trained(subjects=["100307"]), longer, True)


@pytest.mark.parametrize("theirs", ["sub-01", "SUB_01", "1", "001", "Subject 1", "subj1"])
@pytest.mark.parametrize("ours", ["sub-01", "01", "sub-1"])
def test_a_training_subject_is_known_by_any_spelling(caplog, theirs: str, ours: str) -> None:
    with pytest.raises(DataError, match="1 of 2 test subjects"):
        refuse_leaked("w", trained(subjects=[theirs]), {"validation": [], "test": [ours, "sub-02"]}, False)
    refuse_leaked("w", trained(subjects=[theirs]), {"validation": [], "test": ["sub-11", "sub-02"]}, False)


def test_that_no_training_subject_is_in_the_data_is_said(caplog) -> None:
    people = {"train": ["s1"], "validation": ["s2"], "test": ["s3"]}
    refuse_leaked("w", trained(subjects=["s1"]), people, False)
    assert "nobody can see" not in caplog.text
    refuse_leaked("w", trained(subjects=["p1"]), people, False)
    assert "none of its training subjects is in this dataset" in caplog.text


LABELS = np.arange(60) % 3


def accuracy(order=(0, 1, 2), wrong: int = 6, said: float | None = None, within: float = 0.1, turned=None) -> None:
    predicted = np.array(order)[LABELS]
    predicted[:wrong] = (predicted[:wrong] + 1) % 3
    check_accuracy("w", trained(accuracy=said), predicted, LABELS, within, lambda: LABELS if turned else predicted)


def test_what_does_as_is_said_passes() -> None:
    accuracy(said=0.95)
    accuracy(wrong=40)
    accuracy(wrong=30, said=0.9, within=0.5)


def test_another_order_of_classes_shows_in_the_test_maps_without_a_stated_accuracy() -> None:
    with pytest.raises(
        DataError, match=r"accuracy is 0\.000; with the classes of its logits in the order c, a, b"
    ) as caught:
        accuracy(order=(1, 2, 0), wrong=4)
    assert "1.000" not in str(caught.value) and "0.933" in str(caught.value)


def test_an_accuracy_that_may_be_a_guess_is_said(caplog) -> None:
    caplog.set_level("INFO")
    accuracy(wrong=6)
    assert "w: test accuracy 0.900 of 60 maps" in caplog.text and "guess" not in caplog.text
    predicted = np.resize([0, 1, 2, 1, 2, 0, 2, 0, 1], 60)
    check_accuracy("w", trained(), predicted, LABELS, 0.1, lambda: predicted)
    assert "is not above that of a guess (0.333)" in caplog.text
    caplog.clear()
    accuracy(wrong=1, said=0.95)
    assert "above the" not in caplog.text
    accuracy(wrong=1, said=0.8)
    assert "accuracy of 0.983 is well above the 0.800 that is stated" in caplog.text
    # All the same class, which is nine tenths of the maps.
    caplog.clear()
    check_accuracy("w", trained(), np.zeros(60, int), (np.arange(60) % 10 == 9).astype(int), 0.1, lambda: predicted)
    assert "0.900 is not above that of a guess (0.900)" in caplog.text


def test_left_for_right_shows_in_the_test_maps_without_a_stated_accuracy() -> None:
    with pytest.raises(DataError, match=r"accuracy is 0\.667; with left and right of the maps exchanged it is 1\.000"):
        accuracy(wrong=20, turned=True)
    # Nine gained of nine could be chance, at a level of a thousandth.
    accuracy(wrong=9, turned=True)


def test_at_chance_no_order_is_held_to_be_the_right_one() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        check_accuracy("w", trained(), rng.integers(0, 3, 60), LABELS, 0.1, lambda: rng.integers(0, 3, 60))


def test_far_below_the_stated_accuracy_the_likely_causes_are_named_with_what_they_would_give() -> None:
    with pytest.raises(DataError, match=r"is 0\.500, and 0\.900 is stated.*mirrored maps its accuracy is 0\.500"):
        accuracy(wrong=30, said=0.9)


def said(**changes) -> str:
    known = {"classes": ["a", "b"], "shape": [1, 2, 3], "orientation": "RAS", "standardize": "none"}
    return json.dumps({key: value for key, value in {**known, **changes}.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is no JSON object"),
        ('{"shape": 1, "shape": 2}', "ValueError"),
        (said(classes=["a", "a"]), "named twice"),
        (said(orientation="RAR"), "three capital letters"),
        (said(orientation="R,A,S"), "three capital letters"),
        (said(orientation="ras"), "three capital letters"),
        (said(subjects=[]), "subjects: "),
        (said(orientation=None), "left may be taken for right"),
        (said(affine=np.eye(4).tolist()), "one of them"),
        (said(standardize=None), "standardize: Field required"),
        (said(input=[3, 2]), "input: "),
        (said(clases=1), "unknown key 'clases'; did you mean 'classes'"),
        (said(orientation=None, affine=[[0] * 4] * 3 + [[0, 0, 0, 1]]), "can be inverted"),
        (said(accuracy=93), "accuracy: "),
    ],
)
def test_a_file_beside_the_weights_that_cannot_be_used_is_refused_by_name(tmp_path, text: str, words: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(text)
    with pytest.raises(DataError, match=words) as caught:
        read_trained(path)
    assert str(path) in str(caught.value)


def test_classes_are_called_as_cells_of_tables_are(tmp_path) -> None:
    (tmp_path / "w.json").write_text(said(classes=["u\u0308ber \u00a0 all", " b"]))
    assert read_trained(tmp_path / "w.json").classes == ["\u00fcber all", "b"]


def config(**model) -> dict:
    own = {"network": "linear", "weights": "w.safetensors", **model}
    return {"run": ["d"], "datasets": {"d": {"source": {"name": "sheet", "sheet": "s.tsv"}, "models": {"m": own}}}}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"weights": "w.pt"}, "truemap.convert"),
        ({"training": "standard"}, "training: `weights` are trained already"),
        ({"sweep": ["gradient"]}, "sweep: `weights` are trained already"),
        ({"seeds": [0, 1]}, "one file cannot be that of several seeds"),
        ({"saliency": "guided_backprop"}, "guided_backprop"),
    ],
)
def test_a_config_with_weights_says_nothing_that_training_would_need(model: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        parse(config(**model))


def test_weights_take_the_place_of_training() -> None:
    found = parse(config(seeds=[0, 1], weights="w-{seed}.safetensors")).datasets["d"].models["m"]
    assert found.training is None and found.seeds == [0, 1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git-lfs pointer.*git lfs pull"),
        (b"PK\x03\x04" + bytes(99), "PyTorch or NumPy by another name.*truemap.convert"),
        (b"", "cannot be used as weights of linear .* Again"),
    ],
)
def test_what_is_no_file_of_weights_is_called_by_its_name(tmp_path, content: bytes, words: str) -> None:
    (tmp_path / "w.safetensors").write_bytes(content)
    known = {"network": {"name": "linear", "initialisation": "glorot"}, "shape": [2, 2, 1], "classes": ["a", "b"]}
    with pytest.raises(DataError, match=words):
        read_decoder(tmp_path / "w.safetensors", {**known, "temperature": 1.0}, torch.device("cpu"), "Again")


class Tied(nn.Module):
    """Two layers of the same weights."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other, self.last = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 2)
        self.other.weight = self.one.weight

    def forward(self, x):
        return self.last(self.other(torch.relu(self.one(x.flatten(1)))))


def test_tied_weights_are_loaded_and_stored_and_refused_where_the_file_has_them_apart(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("truemap.networks._decoder.build_network", lambda *_: Tied())
    known = {"network": {"name": "tied"}, "shape": [2, 2, 1], "classes": ["a", "b"], "temperature": 1.0}
    state = {name: value.detach().clone() for name, value in Tied().state_dict().items()}
    save_tensors(tmp_path / "w", state)
    decoder = read_decoder(tmp_path / "w", known, torch.device("cpu"), "")
    save_weights(tmp_path / "again", decoder.network)
    assert all(torch.equal(value, state[name]) for name, value in load_file(tmp_path / "again").items())
    save_tensors(tmp_path / "w", {**state, "other.weight": state["other.weight"] + 1})
    with pytest.raises(DataError, match=r"has tied together: one\.weight"):
        read_decoder(tmp_path / "w", known, torch.device("cpu"), "")


def test_an_adapter_is_no_part_of_a_networks_weights(tmp_path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 2))
    save_weights(tmp_path / "w", nn.Sequential(Adapter([0], [1, 0, 2], [1, 3, 2, 4]), network))
    assert load_file(tmp_path / "w").keys() == network.state_dict().keys()
