import logging
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from methods import as_method
from torch import nn

from truemap.attacks import pgd
from truemap.attacks._measure import robustness_table
from truemap.data.background import Background
from truemap.data.volumes import Volumes
from truemap.map_attacks._surrogate import surrogate
from truemap.networks._batches import Batches
from truemap.networks._chunks import MEGABYTE, Chunks, climbing, passing
from truemap.networks._counting import peak_of
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._shapes import Uncounted, pretended
from truemap.saliency import gradient
from truemap.saliency._context import Context
from truemap.saliency._writer import explain_blocks

torch.set_num_threads(1)
SHAPE, CLASSES, N = (12, 10, 12), ["a", "b", "c"], 9
CPU = torch.device("cpu")


def network(seed=0):
    torch.manual_seed(seed)
    return build_network({"name": "cnn3d", "filters": [4, 6]}, SHAPE, len(CLASSES)).eval().requires_grad_(False)


@pytest.fixture
def batches():
    maps = np.random.default_rng(0).standard_normal((N, *SHAPE)).astype(np.float32)
    table = pd.DataFrame({"sample": np.arange(N) + 10, "subject": ["s"] * N, "label": (CLASSES * N)[:N]})
    table = table.assign(condition=table["label"], negated=False, split="test")
    return Batches(Volumes([maps[:4], maps[4:]], table), CLASSES, CPU)


def too_small(limit, of=lambda *arguments: arguments[0]):
    """A fake of a GPU that has no room for more maps than `limit`; it notes how many it was asked for."""
    asked = []

    def check(*arguments):
        asked.append(len(of(*arguments)))
        if asked[-1] > limit:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    return asked, check


class Small(nn.Module):
    """A network whose device has no room for more than some maps."""

    def __init__(self, own, limit):
        super().__init__()
        self.own, (self.asked, self.check) = own, too_small(limit)

    def forward(self, x):
        self.check(x)
        return self.own(x)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 40), st.integers(1, 50), st.integers(1, 50))
def test_every_row_is_worked_on_once_in_its_order_whatever_fits(count, size, limit):
    asked, check = too_small(limit)
    chunks, rows = Chunks(size), torch.arange(count) * 3

    def work(part):
        check(part)
        return part

    parts = list(chunks.each(rows, work))
    assert torch.equal(torch.cat([rows[:0], *parts]), rows)
    assert all(len(part) <= min(size, limit) for part in parts)
    # What did not fit once is not tried again.
    refused = [n for n in asked if n > limit]
    assert refused == sorted(set(refused), reverse=True)


def test_a_row_that_alone_is_too_much_is_an_error_and_so_is_everything_else():
    with pytest.raises(torch.cuda.OutOfMemoryError):
        list(Chunks(4).each(torch.arange(5), too_small(0)[1]))
    with pytest.raises(ZeroDivisionError):
        list(Chunks(4).each(torch.arange(5), lambda part: 1 / 0))


def test_the_log_says_that_memory_was_too_small_and_how_it_goes_on(caplog):
    with caplog.at_level(logging.INFO, "truemap"):
        list(Chunks(8).each(torch.arange(20), too_small(3)[1]))
    assert [line.split(":")[1] for line in caplog.messages] == [
        " on with 4. Lower `memory` to ask for less",
        " on with 2. Lower `memory` to ask for less",
    ]


def test_what_is_counted_are_the_tensors_that_are_alive():
    """Of layers of 24, 50 and 3 numbers the two largest neighbours; with a graph the inputs of both layers too."""
    layers = nn.Sequential(nn.Flatten(), nn.Linear(24, 50), nn.Linear(50, 3))
    x = torch.zeros(7, 2, 3, 4)
    with torch.no_grad():
        assert peak_of(lambda: layers(x)) == 4 * 7 * (50 + 3)
        assert peak_of(lambda: [layers(x) for _ in range(5)]) == 4 * 7 * (50 + 5 * 3)
    held = []
    assert peak_of(lambda: held.append(layers(x))) == 4 * 7 * (50 + 3)
    assert peak_of(lambda: x.view(-1)[3:]) == 0


def test_as_many_maps_meet_a_network_as_memory_holds():
    layers, x = nn.Sequential(nn.Flatten(), nn.Linear(24, 50), nn.Linear(50, 3)), torch.zeros(1, 2, 3, 4)
    a_map = 4 * (50 + 3 + 2 * 24)
    for count in (1, 2, 7, 1000):
        assert passing(layers, x, count * a_map / MEGABYTE * (1 + 1e-9)) == count
        assert passing(layers, x, (count + 0.99) * a_map / MEGABYTE) == count
    assert passing(layers, x, 1e-9) == climbing(layers, x, 1e-9) == 1
    assert climbing(network(), torch.zeros(1, *SHAPE), 1) < passing(network(), torch.zeros(1, *SHAPE), 1)


@pytest.mark.parametrize("memory", [1e-6, 0.3, 1000.0])
def test_logits_do_not_hang_on_memory_beyond_rounding(batches, memory):
    expected = torch.cat([network().double()(batches.get(torch.tensor([k]))[0].double()) for k in range(N)])
    torch.testing.assert_close(batches.logits(network(), memory), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(batches.logits(network(), at_most=2), expected, atol=1e-5, rtol=1e-5)


def test_no_more_maps_are_validated_at_a_time_than_asked_for(batches):
    small = Small(network(), 100)
    batches.logits(small, at_most=4)
    assert small.asked == [4, 4, 1]


def decoder(limit=1000):
    return Decoder(Small(network(), limit), 1.3, CLASSES, "cnn3d")


def context(batches):
    flat = batches.volumes.take(range(N)).reshape(N, -1)
    return Context.of(0, batches.volumes, CLASSES, Background({}, {}, flat.mean(0), -3.0, 3.0, SHAPE), CPU)


def test_a_device_that_is_too_small_changes_maps_by_rounding_only(batches, caplog):
    def explained(limit):
        return next(explain_blocks(decoder(limit), batches, as_method(gradient), context(batches), 1000.0))

    rows, maps = explained(100)
    other_rows, others = explained(2)
    assert "on with 2" in caplog.text
    pd.testing.assert_frame_equal(rows, other_rows, rtol=1e-4)
    np.testing.assert_allclose(others, maps, atol=1e-5)


@pytest.mark.parametrize(("memory", "limit"), [(1e-6, 100), (0.5, 100), (1000.0, 3)])
def test_robustness_does_not_hang_on_memory_or_device(batches, memory, limit):
    def found(memory, limit):
        attack = as_method(pgd, steps=5, restarts=2)
        return robustness_table(decoder(limit), batches, attack, 2.0, 0, range(N), memory)

    expected = found(1000.0, 100)
    assert 0 < expected["robust"].sum() < expected["correct"].sum() or expected["norm"].gt(0).any()
    pd.testing.assert_frame_equal(found(memory, limit), expected, rtol=1e-4)


@pytest.mark.parametrize(("memory", "limit"), [(1e-6, 100), (1000.0, 2)])
def test_the_smooth_copy_does_not_hang_on_memory_or_device(batches, memory, limit):
    model = Decoder(network(), 1.0, CLASSES, "cnn3d", frozenset({"relu only"}))
    expected = surrogate(model, batches, np.arange(N), 1.0, 1000.0)
    small = Decoder(Small(network(), limit), 1.0, CLASSES, "cnn3d", frozenset({"relu only"}))
    found = surrogate(small, batches, np.arange(N), 1.0, memory)
    assert (found.beta, found.agreement) == (expected.beta, expected.agreement)


def test_what_ran_out_is_let_go_before_it_is_tried_again():
    """What a broken call holds would stay as long as its error does."""
    held, seen = [], []

    def work(part):
        seen.append([reference() is None for reference in held])
        large = torch.zeros(len(part))
        held.append(weakref.ref(large))
        if len(part) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return len(part)

    assert list(Chunks(4).each(torch.arange(4), work)) == [2, 2]
    assert seen == [[], [True], [True, True]]


@pytest.mark.parametrize("training", [False, True])
def test_without_numbers_as_much_is_counted_as_with_them(training):
    """Operations of the layers are 2 n m for each product; memory is that of the real tensors."""

    def work(x, layers):
        logits = layers(x)
        if training:
            logits.square().sum().backward()

    def layers():
        return nn.Sequential(nn.Flatten(), nn.Linear(24, 50), nn.ReLU(), nn.Linear(50, 3))

    own = layers()
    expected = peak_of(lambda: work(torch.zeros(7, 2, 3, 4), own))
    with pretended("cpu") as shapes:
        own = layers()
        before = shapes.peak = shapes.now
        work(torch.zeros(7, 2, 3, 4), own)
    assert shapes.peak - before == expected
    forward = 2 * 7 * (24 * 50 + 50 * 3)
    # Backward: gradients of both weights, and of the second layer's inputs.
    assert shapes.operations == forward + training * (forward + 2 * 7 * 50 * 3)


def test_what_hangs_on_numbers_goes_the_longest_way():
    with pretended("cuda") as shapes:
        x = torch.zeros(10, 4)
        steps = 0
        while not (x > 0).all() and steps < 5:
            x = x[x[:, 0] > 0] @ torch.zeros(4, 4)
            steps += 1
        assert (steps, x.shape) == (5, (10, 4))
    assert shapes.operations == 5 * 2 * 10 * 4 * 4


def test_what_takes_too_long_to_count_is_not_counted():
    with pytest.raises(Uncounted), pretended("cpu", seconds=0.0):
        torch.zeros(3) + 1
