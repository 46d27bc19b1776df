import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from methods import as_method, made_up
from victims import SHAPE, decoder, distances, maps, predicted

from truemap.attacks import pgd
from truemap.attacks._measure import choose_maps, robustness_table
from truemap.config.registry import names
from truemap.data.volumes import Volumes
from truemap.geometry import lengths, within
from truemap.networks._batches import Batches

COLUMNS = ["sample", "subject", "label", "condition", "negated", "correct", "robust", "norm"]


def batches(model, n=20, mislabelled=()):
    """Maps named as the decoder has it but for some; sample ids are not positions."""
    x = maps(n)
    labels = predicted(model, x)
    labels[list(mislabelled)] = (labels[list(mislabelled)] + 1) % 4
    table = pd.DataFrame(
        {
            "sample": 1000 - 7 * np.arange(n),
            "image": "-",
            "subject": [f"sub-{k // 5}" for k in range(n)],
            "label": [model.classes[c] for c in labels.tolist()],
            "condition": [f"cond-{k % 6}" for k in range(n)],
            "negated": [k % 6 == 5 for k in range(n)],
            "split": "test",
        }
    )
    return Batches(Volumes([x.numpy()[:8], x.numpy()[8:]], table), model.classes, torch.device("cpu"))


def measure(model, data, bound, rows, attack=None):
    attack = attack or as_method(pgd)
    return robustness_table(model, data, attack, bound, 0, rows, 100)


def test_the_families_methods_are_the_attacks():
    assert names("attacks") == ["autoattack", "pgd"]


def test_a_table_of_a_linear_decoder_is_the_closed_form():
    model = decoder("linear")
    data = batches(model, mislabelled=[3, 4])
    x, labels = data.get(torch.arange(20))
    away = distances(model, x, labels)
    bound = away.median().item() * 1.05
    rows = [19, 3, 0, 8, 7, 4, 12, 1]
    table = measure(model, data, bound, rows)
    assert table.columns.tolist() == COLUMNS
    pd.testing.assert_frame_equal(table[COLUMNS[:5]], data.volumes.table.iloc[rows][COLUMNS[:5]].reset_index(drop=True))
    assert table["correct"].tolist() == [row not in (3, 4) for row in rows]
    assert table["robust"].tolist() == [away[row].item() > bound for row in rows]
    assert 0 < table["robust"].sum() < 6
    assert (table["norm"][~table["correct"]] == 0).all()
    assert (table["norm"] <= bound * (1 + 1e-6)).all()
    assert table.dtypes[["correct", "robust", "norm"]].astype(str).tolist() == ["bool", "bool", "float64"]


@pytest.mark.parametrize("size", [1, 3])
def test_the_size_of_a_chunk_changes_nothing(monkeypatch, size):
    model = decoder("mlp")
    data, rows = batches(model), np.arange(2, 13)
    expected = measure(model, data, 0.5, rows)
    monkeypatch.setattr("truemap.networks._batches.MAPS", size)
    found = measure(model, data, 0.5, rows)
    pd.testing.assert_frame_equal(found.drop(columns="norm"), expected.drop(columns="norm"))
    np.testing.assert_allclose(found["norm"], expected["norm"], rtol=1e-3)


def fake(noise):
    """An attack that returns the same noise whatever it is asked."""
    calls = []

    def perturb(decoder, x, labels, samples, bound, options, seed):
        calls.append((list(samples), len(x), bound, seed))
        return noise.expand(len(x), *SHAPE)

    return made_up("attacks", perturb=perturb), calls


def test_what_an_attack_is_given(monkeypatch):
    monkeypatch.setattr("truemap.networks._batches.MAPS", 2)
    model, (attack, calls) = decoder("linear"), fake(torch.zeros(SHAPE))
    table = robustness_table(model, batches(model), attack, 0.5, 9, [5, 6, 1], 100)
    assert calls == [([965, 958], 2, 0.5, 9), ([993], 1, 0.5, 9)]
    assert table["robust"].all()


def test_robust_is_decided_by_the_maps_with_noise_not_by_the_attacks_word():
    model = decoder("linear")
    data = batches(model, mislabelled=[0])
    x, labels = data.get(torch.arange(20))
    noise = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    table = measure(model, data, 100.0, range(20), fake(noise)[0])
    right, still = (predicted(model, at) == labels for at in (x, x + noise))
    assert table["robust"].tolist() == (right & still).tolist()
    assert 0 < table["robust"].sum() < 19
    np.testing.assert_allclose(table["norm"], noise.double().norm().item(), rtol=1e-6)


@pytest.mark.parametrize(("factor", "fault"), [(1 + 5e-6, False), (1 + 3e-5, True), (float("nan"), True)])
def test_noise_longer_than_the_bound_is_a_fault(factor, fault):
    model = decoder("linear")
    noise = torch.zeros(SHAPE, dtype=torch.float64)
    noise[0, 0, 0] = factor
    if fault:
        with pytest.raises(RuntimeError, match="made_up: noise of length"):
            measure(model, batches(model), 1.0, [0, 1], fake(noise)[0])
    else:
        measure(model, batches(model), 1.0, [0, 1], fake(noise.float())[0])


def test_global_random_state_is_not_moved():
    model = decoder("linear")
    data, state = batches(model), torch.get_rng_state()
    measure(model, data, 0.5, [0, 1])
    assert torch.equal(torch.get_rng_state(), state)


def split(sizes):
    labels = [label for label, size in sizes.items() for _ in range(size)]
    return pd.DataFrame({"sample": 3 * np.arange(len(labels)) + 11, "label": labels})


@given(
    sizes=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 12), min_size=1),
    count=st.integers(1, 70),
    seed=st.integers(0, 5),
    order=st.randoms(use_true_random=False),
)
def test_the_choice_is_even_and_of_the_samples_alone(sizes, count, seed, order):
    table = split(sizes)
    rows = choose_maps(table, count, seed)
    assert len(rows) == min(count, len(table))
    assert (np.diff(rows) > 0).all()
    counts = table["label"].iloc[rows].value_counts().reindex(list(sizes), fill_value=0)
    # A class has fewer than the largest less one only where it has no more.
    assert all(counts[label] >= counts.max() - 1 or counts[label] == size for label, size in sizes.items())
    places = list(range(len(table)))
    order.shuffle(places)
    shuffled = table.iloc[places]
    again = choose_maps(shuffled, count, seed)
    assert set(shuffled["sample"].iloc[again]) == set(table["sample"].iloc[rows])
    if count > 1:
        assert set(choose_maps(table, count - 1, seed)) <= set(rows)


def test_all_maps_without_a_count_and_others_with_another_seed():
    table = split({"a": 30, "b": 40})
    assert choose_maps(table, None, 0).tolist() == list(range(70))
    assert choose_maps(table, 20, 0).tolist() != choose_maps(table, 20, 1).tolist()
    assert choose_maps(table, 20, 0).tolist() == choose_maps(table, 20, 0).tolist()


@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_a_point_of_the_ball_is_the_nearest(length, bound):
    noise = torch.randn(3, 50, generator=torch.Generator().manual_seed(0))
    noise = noise / noise.norm(dim=1, keepdim=True) * length
    found = within(noise, bound)
    torch.testing.assert_close(found, noise * min(1.0, bound / length), rtol=1e-5, atol=0)
    np.testing.assert_allclose(
        lengths(noise), [np.sqrt(np.sum(v.numpy().astype(float) ** 2)) for v in noise], rtol=1e-12
    )
