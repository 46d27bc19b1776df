import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logit

from truemap.training._selection import BOUNDS, choose, fit_temperature


def candidates(*entries):
    """name, options, NLL, accuracy -> what choose wants."""
    return {name: {"training": options, "nll": nll, "accuracy": accuracy} for name, options, nll, accuracy in entries}


def noisy_logits(n=200, classes=4, scale=3.0, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n)
    return scale * (random.standard_normal((n, classes)) + np.eye(classes)[labels]), labels


def nll(logits, labels, temperature):
    return -log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels].mean()


def test_the_only_candidate_wins():
    assert choose(candidates(("single", {"l2": 0.0}, 9.0, 0.1)), "epsilon", 0.01)[0] == "single"


def test_without_a_strength_the_lowest_nll_wins_whatever_the_accuracy():
    found = candidates(
        ("l2-0", {"l2": 0}, 0.5, 0.9), ("l2-1", {"l2": 1}, 0.4, 0.8), ("l2-2", {"l2": 2}, 0.6, 0.99)
    )  # fmt: skip
    assert choose(found, "epsilon", 0.01) == ("l2-1", "lowest validation NLL")


@pytest.mark.parametrize(
    ("tolerance", "winner"), [(0.0, "epsilon-1"), (0.0099, "epsilon-1"), (0.0201, "epsilon-2"), (0.5, "epsilon-3")]
)
def test_the_largest_strength_within_the_tolerance_wins(tolerance, winner):
    """Whatever its NLL: epsilon 1 is the most accurate, 2 loses 0.02 and 3 loses 0.3."""
    found = candidates(
        ("epsilon-3", {"epsilon": 3.0}, 0.9, 0.60), ("epsilon-0.5", {"epsilon": 0.5}, 0.1, 0.89),
        ("epsilon-2", {"epsilon": 2.0}, 0.7, 0.88), ("epsilon-1", {"epsilon": 1.0}, 0.6, 0.90),
    )  # fmt: skip
    name, reason = choose(found, "epsilon", tolerance)
    assert name == winner
    assert f"within {tolerance:g} of the best (0.9000)" in reason


@settings(max_examples=200)
@given(st.integers(1, 40), st.data())
def test_a_candidate_exactly_the_tolerance_below_the_best_is_within_it(hundreds, data):
    """.92 >= .93 - .01 is False in floating point; one map less is not within the tolerance, whatever the number."""
    maps = 100 * hundreds
    tolerance = data.draw(st.integers(0, 20)) / 100
    right = data.draw(st.integers(round(tolerance * maps), maps))
    accuracies = [right / maps, (right - round(tolerance * maps)) / maps]
    found = candidates(("a", {"epsilon": 1.0}, 0.1, accuracies[0]), ("b", {"epsilon": 2.0}, 0.2, accuracies[1]))
    assert choose(found, "epsilon", tolerance)[0] == "b"
    found["b"]["accuracy"] -= 1 / maps
    assert choose(found, "epsilon", tolerance)[0] == "a"


def test_on_a_grid_of_two_each_strength_sends_its_lowest_nll():
    """Epsilon 2 is represented by l2 = 0.1 (NLL 0.3), which is accurate enough; its l2 = 0 is not asked."""
    found = candidates(
        ("a", {"epsilon": 1.0, "l2": 0.0}, 0.2, 0.95), ("b", {"epsilon": 1.0, "l2": 0.1}, 0.4, 0.99),
        ("c", {"epsilon": 2.0, "l2": 0.0}, 0.5, 0.50), ("d", {"epsilon": 2.0, "l2": 0.1}, 0.3, 0.94),
    )  # fmt: skip
    assert choose(found, "epsilon", 0.02)[0] == "d"
    assert choose(found, "epsilon", 0.005)[0] == "a"


def test_the_order_of_candidates_does_not_matter():
    entries = [(f"epsilon-{e}_l2-{k}", {"epsilon": e, "l2": k}, 1 / (1 + e * k), 0.9 - 0.01 * e) for e in (1, 2, 3)
               for k in (0, 1)]  # fmt: skip
    assert choose(candidates(*entries), "epsilon", 0.01)[0] == "epsilon-2_l2-1"
    assert choose(candidates(*entries[::-1]), "epsilon", 0.01)[0] == "epsilon-2_l2-1"


@pytest.mark.parametrize("scale", [0.8, 3.0, 12.0])
def test_temperature_is_the_minimum_of_a_dense_grid(scale):
    logits, labels = noisy_logits(scale=scale)
    temperature, status = fit_temperature(logits, labels)
    sd = (logits - logits.mean(axis=1, keepdims=True)).std()
    grid = sd * np.exp(np.linspace(*map(math.log, BOUNDS), 3000))
    values = [nll(logits, labels, t) for t in grid]
    assert status == "fitted"
    assert temperature == pytest.approx(grid[np.argmin(values)], rel=3e-3)
    assert nll(logits, labels, temperature) <= min(values) + 1e-12


@pytest.mark.parametrize(("gap", "right"), [(3.0, 9), (8.0, 8), (0.9, 6), (0.1, 9), (1e-4, 8), (3e3, 7)])
def test_temperature_of_one_gap_makes_the_confidence_the_accuracy(gap, right):
    """Two classes, logits (gap, 0), k of 10 right: 1 / (1 + exp(-gap / T)) = k / 10."""
    labels = np.repeat([0, 1], [right, 10 - right])
    temperature, status = fit_temperature(np.tile([gap, 0.0], (10, 1)), labels)
    assert (temperature, status) == (pytest.approx(gap / logit(right / 10), rel=1e-5), "fitted")


@settings(max_examples=40)
@given(st.floats(1e-3, 1e3), st.integers(0, 50))
def test_logits_k_times_as_large_have_k_times_the_temperature(k, seed):
    logits, labels = noisy_logits(n=60, scale=1.0, seed=seed)
    (one, status), (other, same) = fit_temperature(logits, labels), fit_temperature(k * logits, labels)
    assert status == same == "fitted"
    assert other == pytest.approx(k * one, rel=1e-5)


@settings(max_examples=40)
@given(st.floats(-1e3, 1e3), st.integers(0, 50))
def test_temperature_does_not_see_what_softmax_does_not(shift, seed):
    logits, labels = noisy_logits(n=60, scale=1.0, seed=seed)
    moved = logits + shift * np.arange(60)[:, None]
    assert fit_temperature(moved, labels)[0] == pytest.approx(fit_temperature(logits, labels)[0], rel=1e-5)


def test_separable_data_have_temperature_one_although_nll_asks_for_zero():
    labels = np.arange(30) % 3
    logits = np.eye(3)[labels] + 0.1 * np.random.default_rng(0).standard_normal((30, 3))
    assert nll(logits, labels, 0.1) < nll(logits, labels, 1.0)
    assert fit_temperature(logits, labels) == (1.0, "separable")


def test_equal_logits_have_temperature_one():
    assert fit_temperature(np.full((6, 3), 0.7), np.arange(6) % 3) == (1.0, "bound")


def test_labels_that_contradict_the_logits_stop_at_the_bound():
    labels = np.arange(30) % 3
    assert fit_temperature(-2.0 * np.eye(3)[labels], labels) == (1.0, "bound")


def test_logits_of_float16_are_summed_in_float64():
    logits, labels = noisy_logits()
    half = logits.astype(np.float16)
    assert fit_temperature(half, labels) == fit_temperature(half.astype(np.float64), labels)
