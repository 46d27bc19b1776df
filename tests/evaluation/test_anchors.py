"""Anchors are what they are said to be, and are asked only what they can answer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods import as_method
from scipy.ndimage import convolve

from truemap.config.names import DEGRADED, OF_DATA, OF_NETWORK
from truemap.data.background import Background
from truemap.data.regions import Regions
from truemap.data.volumes import Volumes
from truemap.evaluation.anchor_tables import anchor_scores
from truemap.evaluation.anchors import OTHER_CLASS, PERMUTED, UNTRAINED, Known, mixed
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import Truth, class_means
from truemap.metrics import complexity, faithfulness, sanity, sensitivity
from truemap.metrics._explained import Twin
from truemap.metrics._measure import measured_table
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.references import edges, group_truth, input, random
from truemap.saliency import gradient
from truemap.saliency._context import Context

SHAPE, CLASSES, CPU = (6, 5, 4), ["a", "b", "c"], torch.device("cpu")
RANDOM = np.random.default_rng(4)
INSIDE = RANDOM.random(120) < 0.7
LABELS = np.where(INSIDE, RANDOM.integers(1, 6, 120), 0)
REFERENCES = {m.__name__.rpartition(".")[2]: as_method(m) for m in (random, input, edges, group_truth)}


def network(seed):
    torch.manual_seed(seed)
    return build_network({"name": "mlp", "hidden": 6}, SHAPE, 3).eval().requires_grad_(False)


@pytest.fixture(scope="module", params=["subjects", "images"])
def known(request):
    """Two subjects with three maps a class, or images of which the source knows the templates."""
    people = request.param == "subjects"
    labels = CLASSES * 6
    rows = pd.DataFrame({"sample": range(10, 28), "label": labels, "condition": labels, "negated": False})
    rows["subject"] = np.repeat(["s1", "s2"], 9) if people else ""
    templates = RANDOM.standard_normal((3, 120))
    maps = templates[[CLASSES.index(label) for label in labels]] + 0.5 * RANDOM.standard_normal((18, 120))
    volumes = Volumes([maps.reshape(-1, *SHAPE).astype(np.float32)], rows)
    truths = {}
    for subject, part in rows.groupby("subject"):
        means, values = class_means(part, maps[part.index], ["all"])
        truths[subject, "all"] = Truth(means, values, "classes")
    means = {"all": dict(zip(CLASSES, templates, strict=True))}
    background = Background(means, {"all": templates.mean(axis=0)}, templates.mean(axis=0), -3.0, 3.0, SHAPE)
    decoder = Decoder(network(0), 1.1, CLASSES, "mlp")
    batches = Batches(volumes, CLASSES, CPU)
    index = pd.MultiIndex.from_product([rows["sample"], CLASSES], names=["sample", "target"])
    values = pd.DataFrame(RANDOM.standard_normal((len(index), 5)), index, range(1, 6))
    of_network = NetworkTruth(values, Regions(LABELS, list("vwxyz")), "", np.zeros(120))
    context = Context.of(0, volumes, CLASSES, background, CPU)
    return Known(ScoreInputs(truths, INSIDE, volumes), background, "all", decoder, batches, context, of_network, 100)


@pytest.fixture(scope="module")
def anchors(known):
    found = known.anchors(REFERENCES, as_method(gradient), network, Twin(network(77), 0.5))
    return {anchor.name: anchor for anchor in found}


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 200), st.floats(0, 1))
def test_mixtures_have_the_correlation_that_is_stated_and_the_size_of_the_truth(seed, n, r):
    values, noise = np.random.default_rng(seed).standard_normal((2, 4, n)) * 5 + 2
    values[3] = 7.0
    found = mixed(values, noise, r)
    for one, other in zip(values[:3], found[:3], strict=True):
        assert np.corrcoef(one, other)[0, 1] == pytest.approx(r, abs=1e-9)
        assert (other.mean(), other.std()) == pytest.approx((one.mean(), one.std()))
    assert (found[3] == 7.0).all()
    np.testing.assert_allclose(mixed(values, noise, 1.0), values)


def test_degraded_truths_agree_as_stated_with_their_own_truth(known, anchors):
    images = known.given.volumes.table["subject"].eq("").all()
    for r in DEGRADED:
        of_data = anchor_scores(known, anchors[f"{OF_DATA}{r:g}"], np.arange(18))
        of_data = of_data[of_data["truth"] == ("full" if images else "leave_out")]
        np.testing.assert_allclose(of_data.loc[of_data["criterion"] == "informative", "r"], r, atol=1e-9)
        of_network = anchor_scores(known, anchors[f"{OF_NETWORK}{r:g}"], np.arange(18)).query("criterion == 'network'")
        np.testing.assert_allclose(of_network["r"], r, atol=1e-9)


def test_every_anchor_is_scored_by_both_truths_for_each_sample(known, anchors):
    assert list(anchors)[: len(REFERENCES)] == list(REFERENCES) and {UNTRAINED, PERMUTED, OTHER_CLASS} <= set(anchors)
    for name, anchor in anchors.items():
        found = anchor_scores(known, anchor, np.arange(18))
        assert (found["target"] == found["label"]).all() and found["r"].notna().all()
        counts = found.groupby("criterion")["sample"].nunique()
        signed = {"network"} if anchor.options.traits() else set()
        assert set(counts.index) == {"informative", "informative_absolute", "network_absolute", *signed}, name
        assert (counts == 18).all()


def test_maps_are_those_of_the_class_the_network_and_the_reference(known, anchors):
    x, targets = known.batches.get(torch.arange(18))
    samples, at = known.given.volumes.table["sample"].tolist(), torch.arange(18)

    def own(name):
        anchor = anchors[name]
        return anchor.explain(known.decoder, x, samples, anchor.options, known.context)[at, targets].flatten(1).numpy()

    np.testing.assert_allclose(own("input"), x.flatten(1))
    filters = np.array([1.0, 0, -1]), np.array([1.0, 2, 1])
    across = [np.einsum("i,j,k->ijk", *(filters[axis != other] for other in range(3))) for axis in range(3)]
    for found, one in zip(own("edges"), x.numpy().astype(float), strict=True):
        slopes = [convolve(one, kernel, mode="reflect") for kernel in across]
        np.testing.assert_allclose(found, np.sqrt(np.square(slopes).sum(axis=0)).reshape(-1), atol=1e-9)
    truth = known.given.truths[known.given.volumes.table["subject"].iloc[0], "all"]
    np.testing.assert_allclose(own(OTHER_CLASS)[2], truth.informative("a"))
    way, untrained = as_method(gradient), own(UNTRAINED)

    def of(decoder):
        return way.explain(decoder, x, samples, way.options, known.context)[at, targets].flatten(1).numpy()

    trained = of(known.decoder)
    np.testing.assert_array_equal(own(PERMUTED), of(replace(known.decoder, network=network(77))))
    assert np.abs(np.corrcoef(untrained[0], trained[0])[0, 1]) < 0.9


def test_metrics_that_ask_for_what_an_anchor_is_not_made_from_have_no_sense(known, anchors):
    def reasons(metric, **options):
        found = {}
        for name, anchor in anchors.items():
            table = measured_table(
                known.decoder, known.batches, anchor, known.context, as_method(metric, **options),
                INSIDE.reshape(SHAPE), np.arange(4), 10.0, network,
            )  # fmt: skip
            assert (table["reason"] == "").eq(table["value"].notna()).all()
            found[name] = set(table["reason"])
        return found

    of_input = {"input", "edges", UNTRAINED, PERMUTED}
    for name, said in reasons(sensitivity, draws=2).items():
        assert said == {""} if name in of_input else all("not made from the input" in text for text in said), name
    assert all("not made by this network" in text for said in reasons(sanity).values() for text in said)
    assert all(said == {""} for said in reasons(complexity).values())
    assert all(said == {""} for said in reasons(faithfulness, subsets=4, steps=4).values())


def test_maps_of_other_conditions_are_left_out(known):
    chosen = Known(
        ScoreInputs({**known.given.truths}, None, known.given.volumes, ["a"]), known.background, "chosen",
        known.decoder, known.batches, known.context, None, 100,
    )  # fmt: skip
    assert len(chosen.kept(np.arange(18))) == 0
    assert len(known.kept(np.arange(18))) == 18


@pytest.mark.parametrize("memory", [1e-6, 0.01])
def test_scores_of_anchors_do_not_hang_on_how_many_are_explained_at_a_time(known, anchors, memory):
    other = replace(known, memory=memory).anchors(REFERENCES, as_method(gradient), network, Twin(network(77), 0.5))
    for anchor in other:
        found = anchor_scores(replace(known, memory=memory), anchor, np.arange(18))
        pd.testing.assert_frame_equal(found, anchor_scores(known, anchors[anchor.name], np.arange(18)), atol=1e-5)
