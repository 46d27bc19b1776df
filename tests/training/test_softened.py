from pathlib import Path

import pytest
import torch
from methods import as_method
from small import batches, network, weights

from truemap.config.names import OF_RELUS
from truemap.networks._decoder import Decoder
from truemap.networks._soft import softened
from truemap.runtime.files import DataError
from truemap.training import nsloss, standard
from truemap.training._softened import retrained

torch.set_num_threads(1)


def decoder(kind="cnn3d"):
    plain = network(kind, torch.float32).eval().requires_grad_(False)
    return Decoder(plain, 1.7, [f"class-{k}" for k in range(3)], kind)


def test_is_the_training_loop_from_the_weights_of_the_decoder():
    plain = decoder()
    before = weights(plain.network).clone()
    method = as_method(standard, epochs=50, batch_size=8)
    found, history = retrained(plain, 5.0, method, batches(24, 0), batches(9, 1), 3, epochs=4)
    assert history["epoch"].tolist() == [1, 2, 3, 4]
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert torch.equal(weights(plain.network), before)
    assert found.temperature == 1.7
    assert not found.network.training
    assert not any(weight.requires_grad for weight in found.network.parameters())
    assert found.network[2].beta == 5.0
    again, _ = retrained(plain, 5.0, method, batches(24, 0), batches(9, 1), 3, epochs=4)
    other, _ = retrained(plain, 5.0, method, batches(24, 0), batches(9, 1), 4, epochs=4)
    assert torch.equal(weights(again.network), weights(found.network))
    assert not torch.equal(weights(other.network), weights(found.network))
    assert method.options.epochs == 50


def test_one_whole_batch_is_one_step_of_adam_on_the_soft_network():
    """Adam's first step is the learning rate times the gradient's sign."""
    plain, method = decoder("mlp"), as_method(standard, batch_size=None, learning_rate=0.01)
    found, _ = retrained(plain, 5.0, method, batches(24, 0), batches(9, 1), 3, epochs=1)
    soft = softened(plain, 5.0).network.requires_grad_(True)
    x, y = batches(24, 0).get(torch.arange(24))
    gradient = torch.autograd.grad(torch.nn.functional.cross_entropy(soft(x), y), list(soft.parameters()))
    signs = torch.cat([part.flatten() for part in gradient]).sign()
    torch.testing.assert_close(weights(found.network), weights(plain.network) - 0.01 * signs, atol=1e-5, rtol=0)


def test_a_training_that_counts_relus_is_refused():
    """No other one of ours mentions them."""
    with pytest.raises(DataError, match=r"nsloss: counts nn\.ReLU layers"):
        retrained(decoder("mlp"), 5.0, as_method(nsloss), batches(24, 0), batches(9, 1), 3, epochs=1)
    folder = Path(nsloss.__file__).parent
    assert [path.stem for path in folder.glob("[!_]*.py") if "nn.ReLU" in path.read_text()] == list(OF_RELUS)
