"""Jobs on shapes alone: as much memory as on real tensors, as many operations as PyTorch counts."""

import re
from contextlib import contextmanager

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from truemap.attacks._contract import Attack
from truemap.config.registry import method, resolve_method
from truemap.counted import Counter, Maps, check_fits, held, maps_of
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._shapes import Shapes
from truemap.runtime.files import DataError
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.training._contract import Training

MAPS = Maps((6, 7, 6), 3, train=16, validation=6, test=5, explained=4, together=2)
CNN = resolve_method("networks", {"name": "cnn3d", "filters": [3, 4], "pool_stride": 2})
LINEAR = resolve_method("networks", "linear")
TRAININGS = [
    {"name": "standard"}, {"name": "free", "steps": 2, "gradient": "after"}, {"name": "pgd", "steps": 2},
    {"name": "trades", "steps": 2}, {"name": "jacobian"}, {"name": "standard", "micro_batch": 2},
]  # fmt: skip
SALIENCY = ["gradient", {"name": "smoothgrad", "n": 5}, {"name": "integrated_gradients", "steps": 4}, "deeplift"]


def training(settings):
    return resolve_method("training", {**settings, "epochs": 2, "batch_size": 8})


@contextmanager
def real(device, seconds):
    """As `pretended`, on tensors that have numbers."""
    with Shapes(seconds) as shapes:
        yield shapes


JOBS = {
    **{f"train {' '.join(map(str, each.values()))}": ("training", (CNN, training(each))) for each in TRAININGS},
    "train templates": (
        "training",
        (resolve_method("networks", "correlation"), resolve_method("training", {"name": "templates", "batch_size": 8})),
    ),
    **{f"explain {each}": ("explaining", (CNN, resolve_method("saliency", each), 0.02)) for each in SALIENCY},
    "predict": ("predicting", (CNN, 100.0)),
    "attack": ("attacking", (CNN, resolve_method("attacks", {"name": "pgd", "steps": 4, "restarts": 2}), 5, 100.0)),
}


@pytest.mark.parametrize("job", JOBS)
def test_as_much_is_counted_without_numbers_as_with_them(job, monkeypatch):
    what, arguments = JOBS[job]
    found = getattr(Counter(MAPS, "cpu"), what)(*arguments)
    monkeypatch.setattr("truemap.counted.pretended", real)
    really = getattr(Counter(MAPS, "cpu"), what)(*arguments)
    assert (really.operations, really.at_once) == (found.operations, found.at_once)
    # What `torch.tensor` makes of numbers is from before where it has them: labels, the steps of Adam.
    assert really.peak > 1000 and 0 <= found.peak - really.peak <= 8 * 8


def test_a_minibatch_in_parts_is_counted_by_its_parts():
    whole, parts = (Counter(MAPS).training(CNN, training({"name": "standard", "micro_batch": m})) for m in (None, 2))
    assert (whole.at_once, parts.at_once) == (8, 2)
    assert parts.peak < 0.5 * whole.peak
    assert whole.operations < parts.operations < 1.5 * whole.operations


class Nowhere:
    """In place of what tells modules apart, which cannot follow gradients by maps that are leaves."""

    parents = frozenset({"Global"})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def flops(work):
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Nowhere()
    with counter:
        work()
    return counter.get_total_flops()


def network(settings=CNN):
    return build_network(dict(settings), MAPS.shape, MAPS.classes)


@pytest.mark.parametrize("settings", TRAININGS[:4], ids=lambda each: each["name"])
def test_operations_of_a_training_are_those_of_its_updates_and_validations(settings):
    found, layers = method("training", training(settings), Training), network()
    x, y = torch.randn(8, *MAPS.shape), torch.arange(8) % MAPS.classes
    optimizer, random = torch.optim.Adam(layers.parameters()), torch.Generator().manual_seed(0)
    update = flops(lambda: found.update(layers, optimizer, x, y, found.options, random))
    with torch.no_grad():
        forward = flops(lambda: layers.eval()(x[:1]))
    expected = 2 * (2 * update + 6 * forward)
    assert Counter(MAPS, "cpu").training(CNN, training(settings)).operations == expected > 0


@pytest.mark.parametrize("settings", SALIENCY, ids=str)
def test_operations_of_maps_are_those_of_explaining_one_by_one(settings):
    given = resolve_method("saliency", settings)
    saliency, layers = method("saliency", given, Saliency), network().eval().requires_grad_(False)
    decoder, context = Decoder(layers, 1.0, ["0", "1", "2"], "cnn3d"), Context(0, None, torch.zeros(MAPS.shape), -3, 3)
    x = torch.randn(1, *MAPS.shape)

    def explain():
        maps = saliency.explain(decoder, x, range(1), saliency.options, context)
        saliency.residual(decoder, x, range(1), maps, saliency.options, context)

    # Memory for none: one at a time.
    found = Counter(MAPS, "cpu").explaining(CNN, given, 0.0)
    assert (found.at_once, found.operations) == (1, MAPS.explained * flops(explain))


def test_operations_of_an_attack_are_at_most_those_of_all_its_steps():
    """Of a linear network 2 n m forward and as many for the gradient by the map, which the last step needs no more."""
    attack = resolve_method("attacks", {"name": "pgd", "steps": 6, "restarts": 2})
    found = Counter(MAPS, "cpu").attacking(LINEAR, attack, 5, 100.0)
    assert found.operations == 5 * 2 * (7 + 6) * 2 * 252 * 3
    assert found.at_once == 5 and method("attacks", attack, Attack).options.steps == 6


def test_maps_are_kept_on_a_card_split_by_split_where_they_fit():
    one = 252 * 2
    assert held(MAPS, ["train", "validation"], 2, 1e6) == 22 * one
    # Of the card's 20 maps 12 may be held: 16 are too many, then 6 are not.
    assert held(MAPS, ["train", "validation"], 2, 20 * one) == 6 * one


def test_what_is_known_of_maps_is_read_from_samples():
    rows = [("a", "x", "train"), ("b", "y", "train"), ("c", "x", "validation")]
    rows += [("d", "x", "test")] * 3 + [("d", "y", "test")] + [("e", "y", "test")]
    samples = pd.DataFrame(rows, columns=["subject", "label", "split"])
    assert maps_of(samples, (6, 7, 6), None) == Maps((6, 7, 6), 2, 2, 1, 5, explained=5, together=4)
    assert maps_of(samples, (6, 7, 6), 1) == Maps((6, 7, 6), 2, 2, 1, 5, explained=3, together=2)


def settings_of(**changes):
    saliency = {"sharp": {"method": resolve_method("saliency", "gradient")}}
    one = {"network": CNN, "training": training({"name": "standard"}), "saliency": saliency, **changes}
    attacks = {"pgd": resolve_method("attacks", {"name": "pgd", "steps": 2, "restarts": 1})}
    return {"models": {"cnn": one}, "robustness": {"attacks": attacks}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            r"model cnn: training \(standard\) takes at least .* GB \(maps at a time: 8\).*Set its `micro_batch`",
        ),
        ({"training": None}, r"model cnn: predicting takes .*\(maps at a time: 1\).*Take a smaller network"),
    ],
)
def test_what_cannot_fit_is_refused_with_the_model_its_need_and_the_remedy(changes, words):
    with pytest.raises(DataError, match=words):
        check_fits(settings_of(**changes), Counter(MAPS), 2e3)


def test_what_fits_at_its_least_is_not_refused():
    """A training's minibatch has to fit, of all else one map: chunks are halved."""
    counter, settings = Counter(MAPS), settings_of(training=None)
    alone = max(
        counter.predicting(CNN, 0.0).peak,
        counter.explaining(CNN, resolve_method("saliency", "gradient"), 0.0).peak,
        counter.attacking(CNN, settings["robustness"]["attacks"]["pgd"], 1, 0.0).peak,
    )
    check_fits(settings, counter, alone)
    with pytest.raises(DataError, match=re.escape(f"the card has {(alone - 1) / 1e9:.1f}")):
        check_fits(settings, counter, alone - 1)


def test_what_cannot_be_counted_is_no_reason_to_refuse_a_model(monkeypatch, caplog):
    def numbers(*_):
        raise ValueError("no\nnumbers")

    monkeypatch.setattr(Counter, "explaining", numbers)
    caplog.set_level("INFO", "truemap")
    check_fits(settings_of(), Counter(MAPS), 1e12)
    assert "not counted without numbers: ValueError: no numbers" in caplog.text
