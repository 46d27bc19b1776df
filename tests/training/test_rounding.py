"""Float32, in which networks are trained, against float64: what rounding does to one update of the weights."""

import copy
import importlib

import pytest
import torch
from small import after_update, minibatch, network, weights

from truemap.config.registry import names

#: Training methods with what makes rounding hard: short noise, several steps.
OPTIONS = {
    "free": [{"epsilon": 0.1}, {"epsilon": 1e-3, "gradient": "after"}],
    "pgd": [{"epsilon": 0.1}, {"epsilon": 1e-3}],
    "trades": [{"epsilon": 0.1}, {"epsilon": 1e-2}],
    "nsloss": [{"epsilon": 0.05}, {"epsilon": 1e-3}],
}
CLOSED_FORM = {"templates"}
CASES = [(m, o) for m in names("training") if m not in CLOSED_FORM for o in OPTIONS.get(m, [{}])]


@pytest.mark.parametrize("shift", [0.0, 30.0])
@pytest.mark.parametrize("kind", ["linear", "mlp", "cnn3d"])
@pytest.mark.parametrize(("method", "options"), CASES, ids=str)
def test_an_update_in_float32_is_that_of_float64(method, options, kind, shift):
    """Also where a class is certain: logits that differ by 30 round p to 1."""
    module = importlib.import_module(f"truemap.training.{method}")
    net, (x, y) = network(kind), minibatch(16)
    with torch.no_grad():
        net[-1].bias[1] += shift
    steps = []
    for dtype in (torch.float32, torch.float64):
        one = copy.deepcopy(net).to(dtype)
        found, _ = after_update(module, one, module.Options(**options), x.to(dtype), y, rate=1.0)
        steps.append(found.double() - weights(one).double())
    assert (steps[0] - steps[1]).norm() < 1e-3 * steps[1].norm()
