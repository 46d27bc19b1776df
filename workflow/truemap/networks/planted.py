"""Decoders of which one knows what they use: weights in closed form, of this project; nothing is optimised.

Each reads means s_r of single regions, the rest of the mask never. Of the training maps it knows the mean of each class
there, their average a_r and the contrasts D_cr with it; the largest contrast e_r is how informative a region is.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from truemap.config.options import BENT_BY_RELU, MethodOptions
from truemap.data.regions import REST, Regions
from truemap.runtime.files import DataError

#: A region is informative whose contrast is at least this share of the largest.
INFORMATIVE = 0.25
#: Logit that a class's own mean has by the most informative region.
GAIN = 4.0
#: Units of the kinds that have them: so many regions are read at most.
UNITS = {"regions": 13, "xor": 4}


class Options(MethodOptions):
    """Which voxels are used, and how. Needs a dataset with `regions`, and no training."""

    kind: Literal["linear", "regions", "suppressor", "xor", "shortcut"] = Field(
        "linear",
        description="linear: all informative regions, weighted by their contrasts; regions: the same by ReLU units "
        "that each read one region, above the middle of its class means (13 at most); suppressor: the most informative "
        "region less the least informative one, which carries no class; xor: even classes where the two most "
        "informative regions deviate to the same side, odd ones where they do not; shortcut: the most informative "
        "region alone, although others are informative too",
    )

    def traits(self) -> set[str]:
        """Layers in sequence whose weights are planted."""
        layers = {"relu", "relu 1"} if self.kind in UNITS else {"linear"}
        return {"planted", "sequence", *BENT_BY_RELU, *layers}


def build(shape: tuple[int, ...], classes: int, options: Options) -> nn.Module:
    """Return the layers, their weights still random: ``(n, *shape)`` to ``(n, classes)`` logits."""
    voxels = math.prod(shape)
    if options.kind not in UNITS:
        return nn.Sequential(nn.Flatten(), nn.Linear(voxels, classes))
    units = UNITS[options.kind]
    return nn.Sequential(nn.Flatten(), nn.Linear(voxels, units), nn.ReLU(), nn.Linear(units, classes))


def plant(
    network: nn.Module, regions: Regions, means: Mapping[str, np.ndarray], classes: Sequence[str], options: Options
) -> None:
    """Set the weights of a network that `build` made.

    Parameters
    ----------
    means : mapping
        Class -> mean of its training maps, shape (voxels,).

    Raises
    ------
    DataError
        If there are no two regions beside the rest, or none in which classes differ.
    """
    sizes = np.bincount(regions.labels, minlength=len(regions) + 1)[1:]
    of_classes = regions.sums(np.stack([means[label] for label in classes])) / sizes
    (of_regions, bias), *rest = _layers(options.kind, of_classes, np.array([name != REST for name in regions.names]))
    # A region's mean is a sum over its voxels; those outside all regions have the weight 0.
    of_voxels = np.concatenate([np.zeros((len(of_regions), 1)), of_regions / sizes], axis=1)[:, regions.labels]
    layers = [layer for layer in network if isinstance(layer, nn.Linear)]
    for layer, (matrix, offset) in zip(layers, [(of_voxels, bias), *rest], strict=True):
        with torch.no_grad():
            layer.weight.zero_()
            layer.bias.zero_()
            # Units that no region needs stay without weights.
            layer.weight[: len(matrix), : matrix.shape[1]] = torch.from_numpy(matrix)
            layer.bias[: len(offset)] = torch.from_numpy(offset)


def _layers(kind: str, of_classes: np.ndarray, own: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return weights and biases of each layer, those of the first for means of regions.

    With g `GAIN`, e the largest e_r, A and B the two most informative regions, L the least informative one, t_r the
    middle between the largest and the smallest class mean, and R the informative regions:

    .. math::
        \\text{linear: } z_c = \\sum_{r \\in R} g D_{cr} (s_r - a_r) / e^2, \\quad
        \\text{shortcut: its term of A}

    .. math::
        \\text{suppressor: } z_c = g D_{cA} ((s_A - a_A) - (s_L - a_L)) / e^2, \\quad
        \\text{regions: } z_c = \\sum_{r \\in R} g D_{cr} \\max(s_r - t_r, 0) / e^2

    .. math::
        \\text{xor: } z_c = (-1)^c g (|u + v| - |u - v|) / 2, \\quad
        u = (s_A - a_A) / e_A, \\quad v = (s_B - a_B) / e_B

    Parameters
    ----------
    of_classes : ndarray, shape (classes, regions)
        Means of the training maps.
    own : ndarray of bool, shape (regions,)
        Which may be read.
    """
    average, count = of_classes.mean(axis=0), len(of_classes)
    contrasts = of_classes - average
    effects = np.where(own, np.abs(contrasts).max(axis=0), -1.0)
    order = [r for r in np.argsort(-effects, kind="stable") if own[r]]
    if len(order) < 2 or effects[order[0]] == 0:
        raise DataError("regions: a planted network needs two beside the rest, whose means differ between classes.")
    informative = [r for r in order if effects[r] >= INFORMATIVE * effects[order[0]]]
    weights, readers = GAIN * contrasts / effects[order[0]] ** 2, np.eye(len(own))
    if kind == "xor":
        u, v = (readers[r] / effects[r] for r in order[:2])
        units, signs = np.stack([u + v, -u - v, u - v, v - u]), GAIN / 2 * (-1.0) ** np.arange(count)
        return [(units, -units @ average), (np.outer(signs, [1, 1, -1, -1]), np.zeros(count))]
    if kind == "regions":
        read = informative[: UNITS[kind]]
        middle = (of_classes.max(axis=0) + of_classes.min(axis=0)) / 2
        return [(readers[read], -middle[read]), (weights[:, read], np.zeros(count))]
    read = informative if kind == "linear" else order[:1]
    matrix = np.zeros_like(weights)
    matrix[:, read] = weights[:, read]
    if kind == "suppressor":
        matrix[:, order[-1]] = -weights[:, order[0]]
    return [(matrix, -matrix @ average)]


def used(network: nn.Module) -> np.ndarray:
    """Return which voxels a planted network reads, shape (voxels,)."""
    return network[1].weight.detach().ne(0).any(dim=0).cpu().numpy()
