import math
import re

import numpy as np
import pandas as pd
import pytest
import torch

from truemap.attacks._contract import Attack
from truemap.config.registry import method, resolve_method
from truemap.cost.costs import Costs, sentence
from truemap.cost.noise import Unmoved
from truemap.cost.stopwatch import Stopwatch
from truemap.cost.trial import Given
from truemap.data.grid import Grid
from truemap.networks._decoder import Decoder
from truemap.runtime.files import DataError

SHAPE = (6, 7, 6)
VOXELS = math.prod(SHAPE)
SAMPLES = pd.DataFrame(
    [
        (f"{split}{subject}", label, split)
        for split, subjects in (("train", 9), ("validation", 2), ("test", 3))
        for subject in range(subjects)
        for label in "AABB"
    ],
    columns=["subject", "label", "split"],
)


def model(
    network="linear",
    training=None,
    saliency=("gradient",),
    replicates=1,
    trainings=1,
    retrained=(),
    anchors=0,
    games=0,
    attacked=False,
    influenced=0,
    angled=0,
):
    return {
        "network": resolve_method("networks", network),
        "training": resolve_method("training", training or {"name": "standard", "epochs": 3, "batch_size": 8}),
        "trainings": trainings,
        "weights": [],
        "replicates": replicates,
        "saliency": {
            f"m{number}": {
                "method": resolve_method("saliency", name),
                "jobs": replicates,
                "measured": {"complexity": replicates, "sanity": replicates, "label_permutation": 1 - number},
                "attacked": replicates * attacked,
            }
            for number, name in enumerate(saliency)
        },
        "retrained": list(retrained),
        "anchors": anchors,
        "games": games,
        "influenced": influenced,
        "angled": angled,
    }


def costs(one, start=0.0, samples=SAMPLES, shape=SHAPE, regions=0, **changes):
    attacks = {"pgd": resolve_method("attacks", {"name": "pgd", "steps": 4, "restarts": 2})}
    robustness = {"attacks": attacks, "epsilon": 0.1, "epsilon_unit": "voxel", "maps": 5}
    rest = {
        "explained": 1,
        "metrics": {},
        "measured": None,
        "permutations": 5,
        "robustness": robustness,
        "memory": 100,
        "seed": 0,
    }
    settings = {"models": {"m": one}, **rest, **changes}
    grid = Grid(np.ones(shape, dtype=bool), np.eye(4))
    names = [f"region {number}" for number in range(regions)]
    return Costs(Given.of(samples, grid, settings, start, names), torch.device("cpu"))


def test_parameters_and_multiply_adds_are_those_of_the_layers():
    found = costs(model()).of("m")
    assert (found["parameters"], found["multiply_adds"]) == (2 * VOXELS + 2, 2 * VOXELS)
    cnn = costs(model({"name": "cnn3d", "filters": [4, 5]})).of("m")
    half, quarter = 3 * 3 * 3, 1
    assert cnn["parameters"] == (27 * 4 + 4) + (27 * 4 * 5 + 5) + (5 * quarter * 2 + 2)
    assert cnn["multiply_adds"] == VOXELS * 27 * 4 + half * 27 * 4 * 5 + 5 * quarter * 2
    assert all(found[f"{what}_seconds"] > 0 for what in ("training", "explaining", "robustness"))


def test_an_attack_on_a_network_that_is_never_wrong_takes_all_its_steps():
    """Also where the noise may be as long as maps are."""
    network = Unmoved(SHAPE, 3)
    attack = method("attacks", resolve_method("attacks", {"name": "pgd", "steps": 7, "restarts": 3}), Attack)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((2, *SHAPE)).astype("float32"))
    attack.perturb(
        Decoder(network, 1.0, ["A", "B", "C"], ""), x, torch.zeros(2, dtype=int), [0, 1], 20.0, attack.options, 0
    )
    assert network.maps == 2 * 3 * (7 + 1)
    assert (network(x).argmax(1) == 0).all()


def test_passes_are_counted_by_epochs_minibatches_maps_and_jobs(monkeypatch):
    """Everything that is timed takes a second here: by hand, 36 training maps in 5 minibatches, 8 to validate."""
    monkeypatch.setattr(Stopwatch, "once", lambda self, work: (work(), 1.0)[1])
    found = costs(model(trainings=4, replicates=2, saliency=("gradient", "weights")), start=10.0).of("m")
    training = 10 + 36 / 8 + 3 * (5 + 8)  # to prepare is for 8 maps of noise
    assert found["training_seconds"] == 4 * training + 2 * (10 + 8 + 12)
    assert found["explaining_seconds"] == 2 * 2 * (10 + 3 * 2)
    assert found["robustness_seconds"] == 2 * (10 + 1 + 5 * 2 * (4 + 1))
    assert found["measuring_seconds"] == 0
    metrics = {"metrics": {name: resolve_method("metrics", name) for name in ("complexity", "sanity")}, "measured": 4}
    measured = costs(model(replicates=2, saliency=("gradient", "weights")), start=10.0, **metrics).of("m")
    assert measured["measuring_seconds"] == 2 * 2 * 2 * (10 + 4)
    twin = {"metrics": {"label_permutation": resolve_method("metrics", "label_permutation")}, "measured": 4}
    again = costs(model(saliency=("gradient", "weights"), retrained=[{"epochs": 7, "jobs": 1}]), start=10.0, **twin).of(
        "m"
    )
    assert again["retraining_seconds"] == 10 + 36 / 8 + 7 * (5 + 36) and found["retraining_seconds"] == 0
    assert again["measuring_seconds"] == 10 + 4  # the second way to explain has no such job
    part = {"epochs": None, "jobs": 3, "ranked": ["m0"], "fractions": [0.5], "train": 20, "test": 100}
    without = costs(model(retrained=[part]), start=10.0).of("m")
    assert without["retraining_seconds"] == 3 * (10 + 20 / 8 + 3 * (3 + 12)) + 10 + 20 + 12
    anchored = costs(model(anchors=7, saliency=("gradient", "weights")), start=10.0, **metrics).of("m")
    assert anchored["measuring_seconds"] == 2 * 2 * (10 + 4) + 10 + 2 * 7 * 4
    for regions, each in ((3, 8), (15, 5 * 16)):
        game = costs(model(games=2), start=10.0, regions=regions).of("m")
        assert game["regions_seconds"] == 2 * (10 + 6 * each) and found["regions_seconds"] == 0
    everything = costs(model(), explained=None).of("m")
    assert everything["explaining_seconds"] == 12
    asked = {"attacks": {name: resolve_method("map_attacks", name) for name in ("top_k", "random_sign")}, "maps": 4}
    fragility = {"fragility": {**asked, "epsilon": [0.1, 0.2, 0.4]}}
    attacked = costs(model(replicates=2, saliency=("gradient", "deeplift"), attacked=True), start=10.0, **fragility)
    assert attacked.of("m")["attacking_seconds"] == 2 * 2 * ((10 + 4 * 3 * 15) + (10 + 4 * 3))
    assert found["attacking_seconds"] == 0
    influence = {"influence": {"epsilon": [0.1, 0.2], "train": 20, "maps": 4}}
    told = costs(model(influenced=2), start=10.0, **influence).of("m")
    width, sums = 20, 512**3
    layer = 10 * (3 * 20 * width**2 + (2 * width) ** 3 / 6) / sums
    assert told["influence_seconds"] == pytest.approx(2 * (10 + 20 + 2 * 4 * (2 + 2) + layer))
    assert found["influence_seconds"] == 0
    angles = {"angles": {"maps": 4, "train": 20, "epochs": 2, "iterations": 50, "beta": 1.0}}
    net = {"name": "mlp", "hidden": 4}
    curved = costs(model(net, angled=3), start=10.0, **angles).of("m")
    # Each of two searches takes 50 products at most; of all else a second a pass.
    assert curved["angles_seconds"] > 3 * (10 + 4 * 2 * 50 / 8) and found["angles_seconds"] == 0
    none = costs(model(), robustness={"attacks": {}, "epsilon": 0.1, "epsilon_unit": "voxel", "maps": None}).of("m")
    assert none["robustness_seconds"] == 0


def test_what_models_share_is_tried_once(monkeypatch):
    monkeypatch.setattr(Stopwatch, "once", lambda self, work: (work(), tried.append(work), 1.0)[2])
    longer = {"name": "standard", "epochs": 9, "batch_size": 8}
    tried, both = [], costs(None, models={"m": model(), "longer": model(training=longer)})
    first = both.of("m")
    alone, second = len(tried), both.of("longer")
    assert {name for name, value in first.items() if second[name] != value} == {"model", "training_seconds"}
    # To prepare, and updates: nothing else differs.
    assert len(tried) - alone == 2


def test_a_batch_that_is_too_large_to_try_is_tried_in_part(monkeypatch):
    monkeypatch.setattr(Stopwatch, "once", lambda self, work: (work(), 1.0)[1])
    whole = {"name": "standard", "epochs": 3, "batch_size": None}
    in_one = costs(model(training=whole)).of("m")["training_seconds"]
    monkeypatch.setattr("truemap.cost.noise.LARGEST", 9 * VOXELS)
    in_part = costs(model(training=whole)).of("m")["training_seconds"]
    assert in_one == 1 + 3 * (1 + 8) + 20
    assert in_part == 4 + 3 * (4 + 8) + 20


def test_a_network_that_cannot_have_the_maps_is_refused_by_the_models_name():
    with pytest.raises(DataError, match="model m: cnn3d needs maps with three axes"):
        costs(model("cnn3d"), shape=(8, 8)).of("m")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"train": 1}, "1 maps (train) are fewer than the 2 classes"), ({"fractions": [1e-4]}, "is 0 of the mask's 252")],
)
def test_a_budget_without_sense_is_refused_before_anything_trains(changes, words):
    part = {"epochs": None, "jobs": 3, "ranked": ["m0"], "fractions": [0.5], "train": 20, "test": 100, **changes}
    with pytest.raises(DataError, match=re.escape(words)):
        costs(model(retrained=[part])).of("m")


def test_voxels_that_would_tell_the_class_are_refused_before_anything_trains():
    part = {"epochs": None, "jobs": 3, "ranked": ["m0"], "fractions": [0.5], "train": 20, "test": 100}
    with pytest.raises(DataError, match="roar: maps of 'weights' do not hang on the input"):
        costs(model(saliency=["weights"], retrained=[part])).of("m")


def test_a_method_that_cannot_work_with_the_network_is_refused_before_it_trains():
    grad_cam = {"name": "grad_cam", "layer": 2}
    with pytest.raises(DataError, match=r"m0: cannot explain network 'cnn3d' rightly\. It needs relu 2"):
        costs(model({"name": "cnn3d", "filters": [2, 2]}, saliency=[grad_cam]), shape=(3, 3, 3)).of("m")


def test_what_does_not_work_on_noise_is_said_to_be_unknown(monkeypatch, caplog):
    def explain(*arguments):
        raise KeyError("no such sample")

    monkeypatch.setattr("truemap.saliency.gradient.explain", explain)
    found = costs(model()).of("m")
    assert math.isnan(found["explaining_seconds"]) and found["training_seconds"] > 0
    assert "m, explaining: not known" in caplog.text and "no such sample" in caplog.text
    assert "about an unknown time" in sentence(found, True)


def test_a_network_without_a_linear_layer_at_its_end_is_refused_influences_before_it_trains():
    template = model({"name": "correlation"}, training={"name": "templates"}, influenced=1)
    influence = {"epsilon": [0.1], "train": None, "maps": None}
    with pytest.raises(DataError, match=r"model m: influence: asks for a network that ends with one nn\.Linear"):
        costs(template, influence=influence).of("m")


def test_influences_of_more_training_maps_than_are_held_are_refused_before_anything_trains(monkeypatch):
    monkeypatch.setattr("truemap.exemplars.influence.FEATURES", 10 * VOXELS)
    influence = {"epsilon": [0.1], "train": 20, "maps": None}
    with pytest.raises(DataError, match=r"model m: influence: 20 training maps have 253 features each.*to 9 or less"):
        costs(model(influenced=1), influence=influence).of("m")


def test_the_cost_is_said_in_words():
    cost = {"model": "cnn", "parameters": 45463, "multiply_adds": 11805056}
    parts = {
        "training_seconds": 700.0,
        "explaining_seconds": 42.4,
        "measuring_seconds": 0.0,
        "retraining_seconds": 0.0,
        "regions_seconds": 0.0,
        "attacking_seconds": 0.0,
        "influence_seconds": 0.0,
        "angles_seconds": 0.0,
    }
    parts["robustness_seconds"] = 9000.0
    assert sentence({**cost, **parts}, True) == (
        "cnn: about 2.7 hours on this machine, one job at a time: 12 minutes training, 42 s explaining, at most "
        "2.5 hours robust accuracy (45,463 parameters, 11,805,056 multiply-adds a map)"
    )
    assert "42 s explaining, robust accuracy not asked for (" in sentence({**cost, **parts}, False)
    assert "12 minutes training, 5 s training again, 42 s" in sentence(
        {**cost, **parts, "retraining_seconds": 5.0}, True
    )
    assert "42 s explaining, 9 s measuring maps, at" in sentence({**cost, **parts, "measuring_seconds": 9.0}, True)
    assert "explaining, 7 s on influences of training maps, at" in sentence(
        {**cost, **parts, "influence_seconds": 7.0}, True
    )
