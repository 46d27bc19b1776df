import threading
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches

torch.set_num_threads(1)
LABELS = ["c", "a", "b", "a", "c"]


def batches(dtype="float16", classes=("a", "b", "c")):
    maps = np.random.default_rng(0).standard_normal((5, 2, 3, 4)).astype(dtype)
    volumes = Volumes([maps[:2], maps[2:]], pd.DataFrame({"label": LABELS}))
    return maps, Batches(volumes, classes, torch.device("cpu"))


def test_get_returns_the_rows_asked_for_in_their_order_as_float32():
    maps, data = batches()
    rows = [4, 0, 2, 0]
    x, _ = data.get(torch.tensor(rows))
    assert x.dtype == torch.float32
    np.testing.assert_array_equal(x, maps[rows].astype(np.float32))


def test_get_returns_the_classes_numbers_in_the_order_of_the_logits():
    for classes in (("a", "b", "c"), ("c", "b", "a")):
        _, y = batches(classes=classes)[1].get(torch.tensor([4, 0, 2, 1]))
        assert [classes[number] for number in y] == ["c", "c", "b", "a"]


def test_get_does_not_lend_the_stored_maps():
    maps, data = batches("float32")
    before = maps.copy()
    data.get(torch.arange(5))[0].mul_(0)
    np.testing.assert_array_equal(maps, before)


def test_logits_are_the_networks_in_row_order_whatever_the_chunk(monkeypatch):
    maps, data = batches()
    network = nn.Sequential(nn.Flatten(), nn.Linear(24, 3))
    weight, bias = (p.detach().numpy().astype(np.float64) for p in network.parameters())
    expected = maps.reshape(5, 24).astype(np.float64) @ weight.T + bias
    for size in (2, 64):
        monkeypatch.setattr("truemap.networks._batches.VOXELS", size * 24)
        parts = data.chunks(torch.arange(5))
        assert len(parts) == -(-5 // size)
        assert torch.equal(torch.cat(parts), torch.arange(5))
        found = data.logits(network)
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "size"), [((32, 32, 1), 64), ((23, 28, 23), 64), ((91, 109, 91), 8), ((400, 400, 400), 1)]
)
def test_fewer_large_maps_meet_a_network_at_a_time(shape, size):
    """At 2 mm as many as the minibatches of config/paper.yaml: what can be trained can be validated and attacked."""
    assert Batches.at_once(SimpleNamespace(volumes=SimpleNamespace(shape=shape))) == size


def test_each_gives_what_get_gives_part_by_part():
    _, data = batches()
    parts = torch.tensor([4, 0, 2, 0, 1]).split(2)
    for given, rows in zip(data.each(parts), parts, strict=True):
        assert all(torch.equal(*pair) for pair in zip(given, data.get(rows), strict=True))
    assert list(data.each([])) == []


class Watched(Volumes):
    """Volumes that say when they are read."""

    def take(self, rows):
        rows = list(rows)
        if rows == [9]:
            raise OSError("the disk is gone")
        found = super().take(rows)
        READ[rows[0]].set()
        return found


READ = [threading.Event() for _ in range(5)]


def test_the_next_part_is_read_while_one_is_used_and_no_other():
    """Whoever trains for a second on maps that take a second to read waits for the first ones only."""
    maps, data = batches()
    data.volumes = Watched([maps], data.volumes.table)
    for event in READ:
        event.clear()
    for number, _ in enumerate(data.each(torch.arange(5).split(1))):
        ahead = READ[number + 1 : number + 3]
        assert all(event.wait(10) for event in ahead[:1])
        assert not any(event.is_set() for event in ahead[1:])


def test_an_error_of_reading_is_raised_where_the_part_is_asked_for():
    maps, data = batches()
    data.volumes = Watched([maps], data.volumes.table)
    parts = data.each([torch.tensor([0]), torch.tensor([9])])
    next(parts)
    with pytest.raises(OSError, match="the disk is gone"):
        next(parts)
