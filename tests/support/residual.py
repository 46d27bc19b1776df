"""Residual networks as people write them: torchvision's manner in two dimensions, and the same in three."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
NORMALISATION = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
POOL = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE = {2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d}


class BasicBlock(nn.Module):
    """Two convolutions and the way around them; one ReLU module serves twice (`how`: or two, a function, a SiLU)."""

    def __init__(self, inside: int, outside: int, stride: int, dimensions: int, how: str) -> None:
        super().__init__()
        convolution, norm = CONVOLUTION[dimensions], NORMALISATION[dimensions]
        self.conv1 = convolution(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = norm(outside)
        self.relu = nn.SiLU() if how == "silu" else nn.ReLU(inplace=True)
        self.conv2 = convolution(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = norm(outside)
        self.last = nn.ReLU(inplace=True) if how == "apart" else self.relu
        self.how = how
        self.downsample = None
        if stride > 1 or inside != outside:
            self.downsample = nn.Sequential(convolution(inside, outside, 1, stride, bias=False), norm(outside))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        around = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += around
        return functional.relu(out) if self.how == "function" else self.last(out)


class ResNet(nn.Module):
    """A stem, two stages, one linear layer."""

    def __init__(
        self, classes: int, channels: int, dimensions: int, width: int = 4, how: str = "reused", pool: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = CONVOLUTION[dimensions](channels, width, 3, 1, 1, bias=False)
        self.bn1 = NORMALISATION[dimensions](width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = POOL[dimensions](2) if pool else nn.Identity()
        self.layer1 = nn.Sequential(BasicBlock(width, width, 1, dimensions, how))
        self.layer2 = nn.Sequential(BasicBlock(width, 2 * width, 2, dimensions, how))
        self.avgpool = AVERAGE[dimensions](1)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.avgpool(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(x, 1))


def seasoned(network: nn.Module, seed: int = 0) -> nn.Module:
    """The network frozen, with running statistics and biases as training leaves them: none of them 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
            for values, low in ((module.running_mean, -0.5), (module.running_var, 0.5), (module.bias.data, -0.5)):
                values.uniform_(low, low + 1, generator=generator)
    return network.eval().requires_grad_(False)
