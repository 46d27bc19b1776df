"""Small smooth networks, their maps, and their derivatives by PyTorch alone."""

import copy

import torch
from torch import nn

from truemap.networks import cnn3d, linear, mlp
from truemap.networks._decoder import Decoder
from truemap.networks._layers import InputConv3d

torch.set_num_threads(1)
SHAPE = (3, 4, 2)
D = 24


def smooth(name="mlp", beta=2.0, temperature=1.6, dtype=torch.float64):
    """A network whose every ReLU is softplus, and biases that are not zero."""
    torch.manual_seed(4)
    network = {
        "mlp": lambda: mlp.build(SHAPE, 3, mlp.Options(hidden=6)),
        "cnn3d": lambda: cnn3d.build(SHAPE, 3, cnn3d.Options(filters=[3])),
        "linear": lambda: linear.build(SHAPE, 3, linear.Options()),
    }[name]()
    network = nn.Sequential(*[nn.Softplus(beta) if isinstance(layer, nn.ReLU) else layer for layer in network])
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv3d):
            layer.bias.data.normal_(0, 0.3)
    return Decoder(network.eval().requires_grad_(False).to(dtype), temperature, ["a", "b", "c"], name)


def maps(n=3, dtype=torch.float64):
    return torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(1), dtype=dtype)


def vectors(n=3, seed=5):
    v = torch.randn(n, *SHAPE, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def explicit(model, x, target, output):
    """Gradient and Hessian of one class's output at one map, by torch.func and with PyTorch's own convolution."""
    network = copy.deepcopy(model.network)
    for number, layer in enumerate(network):
        if isinstance(layer, InputConv3d):
            network[number] = nn.Conv3d(1, layer.out_channels, 3, padding=1).double()
            network[number].load_state_dict(layer.state_dict())
    network.requires_grad_(False)

    def value(x):
        logits = network(x[None])[0]
        return logits[target] if output == "logit" else torch.softmax(logits / model.temperature, 0)[target]

    return torch.func.grad(value)(x), torch.func.hessian(value)(x).reshape(D, D)


TARGETS = torch.tensor([2, 0, 1])
