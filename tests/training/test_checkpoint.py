import numpy as np
import pandas as pd
import pytest
import torch
from methods import made_up

from truemap.data.volumes import Volumes
from truemap.networks import mlp
from truemap.networks._batches import Batches
from truemap.training import free
from truemap.training._checkpoint import Checkpoint, checkpoint_key
from truemap.training._loop import fit

SHAPE = (3, 4, 2)
OPTIONS = free.Options(epochs=4, batch_size=5, epsilon=0.3)


class Killed(Exception):
    pass


def batches(seed: int, count: int = 22) -> Batches:
    maps = np.random.default_rng(seed).normal(size=(count, *SHAPE)).astype(np.float32)
    table = pd.DataFrame({"label": np.resize(["a", "b", "c"], count)})
    return Batches(Volumes([maps], table), ["a", "b", "c"], torch.device("cpu"))


def run(checkpoint: Checkpoint | None, die_at_update: int | None = None):
    """Train; raise `Killed` at a minibatch, as a kill would end it."""
    torch.manual_seed(5)
    network = mlp.build(SHAPE, 3, mlp.Options())
    calls = iter(range(10_000))

    def update(*arguments):
        if next(calls) == die_at_update:
            raise Killed
        return free.update(*arguments)

    history = fit(network, made_up("training", OPTIONS, update=update), batches(0), batches(1), 9, checkpoint)
    return {name: value.clone() for name, value in network.state_dict().items()}, history


def assert_same(a, b) -> None:
    assert all(torch.equal(a[0][name], b[0][name]) for name in a[0])
    pd.testing.assert_frame_equal(a[1], b[1], check_exact=True)


@pytest.mark.parametrize("die_at_update", [0, 4, 5, 9, 14, 19])
def test_a_broken_run_taken_up_again_ends_with_the_bits_of_an_unbroken_one(tmp_path, die_at_update: int) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", "key")
    with pytest.raises(Killed):
        run(checkpoint, die_at_update)
    assert checkpoint.path.exists() == (die_at_update >= 5)
    assert_same(run(checkpoint), run(None))


def test_a_resumed_run_makes_only_the_updates_that_were_missing(tmp_path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", "key")
    with pytest.raises(Killed):
        run(checkpoint, die_at_update=12)  # five updates an epoch: two epochs are whole
    with pytest.raises(Killed):
        run(checkpoint, die_at_update=9)
    run(checkpoint, die_at_update=10)


def test_a_stale_key_is_never_resumed(tmp_path) -> None:
    with pytest.raises(Killed):
        run(Checkpoint(tmp_path / "state.safetensors", "old settings"), die_at_update=12)
    assert_same(run(Checkpoint(tmp_path / "state.safetensors", "new settings")), run(None))


def test_a_damaged_file_is_not_resumed(tmp_path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(b"half a file")
    assert_same(run(Checkpoint(path, "key")), run(None))


def test_the_key_depends_on_params_and_on_each_file(tmp_path) -> None:
    data = tmp_path / "0.npy"
    data.write_bytes(b"abc")
    base = checkpoint_key(["training.epochs = 3", None, "truemap.x@1"], [data])
    assert checkpoint_key(["training.epochs = 3", None, None, "truemap.x@1"], [data]) == base
    assert checkpoint_key(["training.epochs = 4", None, "truemap.x@1"], [data]) != base
    assert checkpoint_key(["training.epochs = 3", None, "truemap.x@2"], [data]) != base
    data.write_bytes(b"abcd")
    assert checkpoint_key(["training.epochs = 3", None, "truemap.x@1"], [data]) != base


def test_a_removed_checkpoint_is_gone_and_may_be_removed_again(tmp_path) -> None:
    checkpoint = Checkpoint(tmp_path / "state.safetensors", "key")
    run(checkpoint)
    checkpoint.remove()
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []
