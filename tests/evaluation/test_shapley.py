"""Shapley values of regions, against permutations written out on a code path of its own, and against closed forms."""

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from truemap.data.regions import Regions
from truemap.data.volumes import Volumes
from truemap.evaluation import shapley
from truemap.evaluation.shapley import OUTPUTS, Game, coalitions, exact, sampled, shapley_blocks, weights
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network

SHAPE = (4, 3, 2)
VOXELS = math.prod(SHAPE)
CLASSES = ["a", "b", "c"]


def decoder(name="mlp", seed=0, temperature=1.7, **options):
    torch.manual_seed(seed)
    network = build_network({"name": name, **options}, SHAPE, 3).eval().requires_grad_(False)
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.bias.normal_(0, 0.5)
    return Decoder(network.double(), temperature, CLASSES, name)


def regions_of(k, seed=0, outside=True):
    labels = np.random.default_rng(seed).permutation(np.arange(VOXELS) % (k + outside)) + (not outside)
    return Regions(labels, [f"r{n}" for n in range(1, k + 1)])


def maps(seed=0):
    x, start = torch.randn(2, *SHAPE, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return x, start


def by_permutations(model, regions, x, start, output):
    """The definition: mean over all orders of what a region changes, one map at a time through the network."""
    k = len(regions)

    def worth(members):
        values = [
            x.reshape(-1)[v].item() if label == 0 or label in members else start.reshape(-1)[v].item()
            for v, label in enumerate(regions.labels)
        ]
        z = model.network(torch.tensor(values, dtype=torch.float64).view(1, *SHAPE))[0].tolist()
        if output == "logit":
            return z
        powers = [math.exp(value / model.temperature) for value in z]
        return [power / sum(powers) for power in powers]

    total = np.zeros((3, k))
    for order in itertools.permutations(range(1, k + 1)):
        for place, region in enumerate(order):
            after, before = worth(order[: place + 1]), worth(order[:place])
            total[:, region - 1] += np.subtract(after, before)
    return total / math.factorial(k)


@pytest.mark.parametrize("k", [1, 2, 3, 4])
@pytest.mark.parametrize("outside", [False, True])
def test_enumeration_is_the_mean_over_all_orders(k, outside):
    model, regions, (x, start) = decoder(), regions_of(k, outside=outside), maps()
    found = exact(Game(model, regions, start, 3), x)
    for output, values in zip(OUTPUTS, found, strict=True):
        np.testing.assert_allclose(values, by_permutations(model, regions, x, start, output), atol=1e-12)


def test_enumeration_of_five_regions_of_a_network_that_bends_otherwise():
    class Bent(nn.Module):
        def forward(self, x):
            flat = x.flatten(1)
            return torch.stack([flat.prod(1), flat.square().sum(1), flat.max(1).values], 1)

    model, regions, (x, start) = Decoder(Bent(), 1.0, CLASSES, "bent"), regions_of(5), maps(3)
    found = exact(Game(model, regions, start, 100), x)[0]
    np.testing.assert_allclose(found, by_permutations(model, regions, x, start, "logit"), atol=1e-12)


@given(st.integers(1, 9))
def test_weights_are_those_of_the_definition(k):
    found, inside = weights(k), coalitions(k)
    for player in range(k):
        for s, members in enumerate(inside):
            size = int(members.sum())
            expected = (
                math.factorial(size - 1) * math.factorial(k - size)
                if members[player]
                else -math.factorial(size) * math.factorial(k - size - 1)
            ) / math.factorial(k)
            assert found[player, s] == pytest.approx(expected, rel=1e-13)


@given(st.integers(0, 2**32 - 1), st.integers(2, 7))
def test_values_add_up_to_what_the_whole_mask_changes(seed, k):
    model, regions, (x, start) = decoder(seed=seed), regions_of(k, seed), maps(seed)
    put_back = torch.where(torch.from_numpy(regions.labels == 0).view(SHAPE), x, start)
    z = model.network(torch.stack([x, put_back]))
    p = torch.softmax(z / model.temperature, 1)
    for values, (own, base) in zip(exact(Game(model, regions, start, 64), x), (z, p), strict=True):
        np.testing.assert_allclose(values.sum(1), (own - base).numpy(), atol=1e-6)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_a_linear_networks_values_are_in_closed_form(seed, k):
    model, regions, (x, start) = decoder("linear", seed), regions_of(k, seed), maps(seed)
    weight = model.network[1].weight.view(3, -1)
    contributions = (weight * (x - start).view(1, -1)).numpy()
    expected = [[values[regions.labels == r].sum() for r in range(1, k + 1)] for values in contributions]
    np.testing.assert_allclose(exact(Game(model, regions, start, 64), x)[0], expected, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_a_dummy_has_nothing_and_twins_have_the_same(seed):
    random = np.random.default_rng(seed)
    signs = torch.from_numpy(random.standard_normal((3, 4)))

    class OfRegions(nn.Module):
        """Reads the sums of four regions; the second and third in the same way, the last not at all."""

        def forward(self, x):
            sums = [x.flatten(1)[:, regions.labels == r].sum(1) for r in range(1, 5)]
            one, two, three = sums[0], torch.sin(sums[1]), torch.sin(sums[2])
            return (
                torch.stack([one * two * three, (two + three).square() + one, (one + two * three).abs()], 1)
                * signs[:, 0]
            )

    regions = regions_of(4, 1, outside=False)
    x, start = maps(int(random.integers(1000)))
    for part in (x, start):  # the twins' voxels are the same
        part.view(-1)[torch.from_numpy(regions.labels == 3)] = part.view(-1)[torch.from_numpy(regions.labels == 2)]
    values = exact(Game(Decoder(OfRegions(), 0.8, CLASSES, "x"), regions, start, 7), x)
    np.testing.assert_allclose(values[..., 1], values[..., 2], atol=1e-12)
    np.testing.assert_array_less(np.abs(values[..., 3]), 1e-12)
    assert np.abs(values[..., 0]).max() > 1e-9


def test_values_do_not_depend_on_how_many_maps_meet_the_network_at_a_time():
    model, regions, (x, start) = decoder(), regions_of(5), maps()
    found = [exact(Game(model, regions, start, size), x) for size in (1, 7, 32, 1000)]
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], atol=1e-13)


def test_the_estimate_covers_the_exact_values_and_adds_up():
    model, regions, (x, start) = decoder(seed=4), regions_of(6), maps(4)
    game = Game(model, regions, start, 4000)
    truth = exact(game, x)
    errors, inside = [], []
    for seed in range(40):
        values, se = sampled(game, x, 50, seed)
        np.testing.assert_allclose(values.sum(-1), truth.sum(-1), atol=1e-12)
        errors.append(values - truth)
        inside.append(np.abs(values - truth) <= 2 * se + 1e-12)
    # Unbiased, with an error of the stated size: of 40 estimates about 95 % lie within two standard errors.
    assert 0.9 < np.mean(inside) <= 1.0
    _, se = sampled(game, x, 50, 0)
    mean, spread = np.mean(errors, axis=0), np.std(errors, axis=0)
    assert (np.abs(mean) <= 4 * spread / math.sqrt(40) + 1e-12).all()
    some = se > 1e-9
    assert np.median(spread[some] / se[some]) == pytest.approx(1, abs=0.3)
    np.testing.assert_array_equal(sampled(game, x, 50, 3)[0], sampled(game, x, 50, 3)[0])


def test_a_linear_networks_estimate_has_no_error():
    model, regions, (x, start) = decoder("linear"), regions_of(6), maps()
    game = Game(model, regions, start, 100)
    values, se = sampled(game, x, 3, 0)
    np.testing.assert_allclose(values[0], exact(game, x)[0], atol=1e-12)
    assert se[0].max() < 1e-12


def test_rounding_is_no_change():
    class Saturated(nn.Module):
        def forward(self, x):
            # What float32 loses beside 1e4.
            return torch.stack([1e4 + 1e-6 * x.flatten(1).sum(1), x.flatten(1).sum(1)], 1)

    model, regions, (x, start) = Decoder(Saturated(), 1.0, CLASSES[:2], "x"), regions_of(4), maps()
    logits, probabilities = exact(Game(model, regions, start, 9), x)
    np.testing.assert_allclose(logits[0], 0, atol=1e-9)
    assert np.abs(logits[1]).max() > 0.1
    assert np.abs(probabilities[0]).max() == 0


@pytest.mark.parametrize(("most", "error"), [(14, False), (2, True)])
def test_a_row_a_sample_class_output_and_region(monkeypatch, most, error):
    monkeypatch.setattr(shapley, "EXACT", most)
    model, regions = decoder(), regions_of(3)
    model.network.float()
    values = np.random.default_rng(0).standard_normal((6, *SHAPE)).astype(np.float32)
    table = pd.DataFrame({"sample": range(10, 16), "subject": ["s"] * 3 + ["t"] * 3, "label": CLASSES * 2})
    table = table.assign(condition=table["label"], negated=False)
    batches = Batches(Volumes([values], table), CLASSES, torch.device("cpu"))
    start = torch.zeros(SHAPE)
    found = pd.concat(shapley_blocks(model, batches, regions, start, 1.0, 20, seed=0))
    assert len(found) == 6 * 3 * 2 * 3
    assert list(found.columns[-5:]) == ["target", "output", "region", "value", "se"]
    assert (found["se"] > 0).any() == error
    if not error:
        game = Game(model, regions, start, 100)
        row = found.query("sample == 14 and target == 'b' and output == 'probability'").sort_values("region")
        np.testing.assert_allclose(row["value"], exact(game, torch.from_numpy(values[4]))[1, 1], atol=1e-6)
    few = pd.concat(shapley_blocks(model, batches, regions, start, 1.0, 20, seed=0, explained=1))
    assert few.groupby("subject")["sample"].nunique().tolist() == [3, 3]
