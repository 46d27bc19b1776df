"""What holds on a GPU; `make test-gpu`. Without one the tests say so and skip: none of them was run on one so far.

TRUEMAP_GPU=cpu runs those that mean something there on a CPU, so that their code is tried.
"""

import gc
import os

import numpy as np
import pandas as pd
import pytest
import torch

from truemap.config.registry import method, resolve_method
from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._devices import prepare_device
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.training._contract import Training
from truemap.training._loop import trained
from truemap.training._passes import computed_in

PLACE = os.environ.get("TRUEMAP_GPU", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(PLACE == "cuda" and not torch.cuda.is_available(), reason="no GPU here: not measured"),
]
SHAPE, CLASSES, N = (16, 18, 16), ["a", "b", "c"], 24
NETWORKS = [{"name": "linear"}, {"name": "mlp"}, {"name": "cnn3d", "filters": [6, 8]},
            {"name": "cnn3d", "filters": [6, 8], "pool_stride": 1}]  # fmt: skip
TRAININGS = ["standard", "free", "pgd", "trades", "jacobian", "nsloss", "random_noise", "weight_decay"]
METHODS = ["gradient", "absolute_gradient", "gradient_x_input", "smoothgrad", "integrated_gradients", "deeplift"]


@pytest.fixture(scope="module")
def device():
    return prepare_device(PLACE, 1)


def batches(device):
    maps = np.random.default_rng(0).standard_normal((N, *SHAPE)).astype(np.float16)
    labels = (CLASSES * N)[:N]
    table = pd.DataFrame({"sample": range(N), "subject": "s", "label": labels, "condition": labels, "negated": False})
    return Batches(Volumes([maps], table), CLASSES, device)


def decoder(network, device, dtype=torch.float32):
    torch.manual_seed(0)
    built = build_network(resolve_method("networks", network), SHAPE, len(CLASSES)).to(device, dtype)
    return Decoder(built.eval().requires_grad_(False), 1.2, CLASSES, network["name"])


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("name", METHODS)
def test_maps_are_those_of_the_cpu_in_float64(device, network, name):
    found, cpu = method("saliency", resolve_method("saliency", name), Saliency), torch.device("cpu")

    def maps(place, dtype):
        given = batches(place)
        x = given.get(torch.arange(6))[0].to(dtype)
        context = Context(0, given, x.mean(0).float(), -4.0, 4.0)
        return found.explain(decoder(network, place, dtype), x, range(6), found.options, context).cpu()

    on_gpu, expected = maps(device, torch.float32), maps(cpu, torch.float64)
    assert (on_gpu - expected).norm() <= 1e-3 * expected.norm()
    torch.testing.assert_close(maps(device, torch.float32), on_gpu, rtol=0, atol=0)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@pytest.mark.parametrize("name", TRAININGS)
def test_training_twice_gives_the_same_bits_and_follows_the_cpu(device, network, name):
    options = {"name": name, "epochs": 1, "batch_size": 8, "learning_rate": 1e-4}
    options |= {"strength_unit": "absolute"} if name == "nsloss" else {}
    settings = {
        "network": resolve_method("networks", network),
        "training": resolve_method("training", options),
        "seed": 3,
    }
    assert method("training", settings["training"], Training)

    def weights(place):
        given = batches(place)
        network, _ = trained(settings, len(CLASSES), given, given)
        return torch.cat([p.detach().flatten().cpu() for p in network.parameters()])

    first = weights(device)
    torch.testing.assert_close(weights(device), first, rtol=0, atol=0)
    # Adam's first steps are as long as the learning rate whatever the gradient: signs of near zeros may differ.
    assert (weights(torch.device("cpu")) - first).abs().max() <= 3 * 2 * 1e-4 + 1e-5


@pytest.mark.parametrize("name", TRAININGS)
def test_training_in_bf16_is_close_to_that_in_float32(device, name):
    """One update down the gradient, of a network of 8 bits beside one of 24; the same bits twice."""
    found, given = method("training", resolve_method("training", name), Training), batches(device)

    def step(precision):
        torch.manual_seed(0)
        network = build_network(resolve_method("networks", NETWORKS[2]), SHAPE, len(CLASSES)).to(device)
        before = torch.cat([p.detach().flatten() for p in network.parameters()])
        optimizer, random = torch.optim.SGD(network.parameters(), lr=1.0), torch.Generator().manual_seed(0)
        passing, (x, y) = computed_in(precision, network), given.get(torch.arange(8))
        found.update(passing, optimizer, x, y, found.options, random)
        return torch.cat([p.detach().flatten() for p in network.parameters()]) - before

    full, half = step("float32"), step("bf16")
    assert half.dtype == torch.float32
    # Algorithm 1 goes down several times, each from where the last one came to.
    assert 0 < (half - full).norm() < (0.2 if name == "free" else 0.1) * full.norm()
    torch.testing.assert_close(step("bf16"), half, rtol=0, atol=0)


def trained_weights(given, **options):
    options = {"name": "standard", "epochs": 2, "batch_size": 8, "learning_rate": 1e-4} | options
    settings = {"network": resolve_method("networks", NETWORKS[2]), "training": resolve_method("training", options)}
    network, _ = trained(settings | {"seed": 3}, len(CLASSES), given, given)
    return torch.cat([p.detach().flatten() for p in network.parameters()])


def test_maps_that_are_read_ahead_train_as_maps_that_the_device_holds(device):
    held = batches(device)
    read = Batches(held.volumes, CLASSES, device, resident=False)
    torch.testing.assert_close(trained_weights(read), trained_weights(held), rtol=0, atol=0)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_minibatch_in_parts_is_close_to_the_whole_and_has_the_same_bits_twice(device, precision):
    given = batches(device)
    whole, parts, again = (trained_weights(given, precision=precision, micro_batch=size) for size in (None, 2, 2))
    torch.testing.assert_close(parts, again, rtol=0, atol=0)
    assert (parts - whole).abs().max() <= 6 * 2 * 1e-4 + 1e-5


@pytest.mark.skipif(PLACE == "cpu", reason="memory of a GPU")
def test_a_minibatch_in_parts_takes_less_memory(device):
    given = batches(device)

    def peak(size):
        torch.cuda.reset_peak_memory_stats(device)
        trained_weights(given, micro_batch=size)
        return torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)

    peak(None)
    assert peak(1) < peak(None)


@pytest.mark.skipif(PLACE == "cpu", reason="memory of a GPU")
def test_where_memory_runs_out_fewer_maps_meet_the_network(device, caplog):
    """Of a device that is almost full; what is freed then is free."""
    given, model = batches(device), decoder(NETWORKS[2], device).network
    expected = given.logits(model)
    free, before = torch.cuda.mem_get_info(device)[0], torch.cuda.memory_allocated(device)
    large = torch.nn.Sequential(Large(free // 6), model)
    torch.testing.assert_close(given.logits(large), expected, atol=1e-4, rtol=1e-4)
    assert "too small" in caplog.text
    del large
    gc.collect()
    assert torch.cuda.memory_allocated(device) == before


class Large(torch.nn.Module):
    """Takes some bytes a map, and gives them back."""

    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        torch.empty(len(x) * self.size, dtype=torch.uint8, device=x.device)
        return x
