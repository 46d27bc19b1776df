"""Explained maps of small decoders, and what a metric makes of them."""

import importlib
from dataclasses import replace

import torch
from methods import as_method
from small_decoders import NETWORKS, context, decoder, maps

from truemap.metrics._contract import area
from truemap.metrics._explained import Explained, Twin
from truemap.networks._decoder import untrained


def explained(
    network="mlp", saliency="gradient", count=3, seed=0, model=None, x=None, inside=None, targets=None, **options
):
    """Maps of one way to explain, and what metrics may ask of it."""
    model, x = model or decoder(network), maps(network, count) if x is None else x
    shape = tuple(x.shape[1:])
    given, way = context(shape, seed), as_method(importlib.import_module(f"truemap.saliency.{saliency}"), **options)
    inside = torch.ones(shape, dtype=torch.bool) if inside is None else inside
    samples = [7 + 3 * k for k in range(len(x))]
    targets = torch.arange(len(x)) % len(model.classes) if targets is None else targets
    description = {"network": NETWORKS[network][0], "shape": list(shape), "classes": model.classes}

    def before(seed):
        return untrained(description, seed, torch.device("cpu"))

    return Explained(model, way, given, inside, x, samples, targets, before, Twin(before(3), 0.96))


def measured(metric, of, **options):
    module = importlib.import_module(f"truemap.metrics.{metric}")
    found = module.measure(of, module.Options(**options))
    return {name: area(one) for name, one in found.items()}


def part(of, row):
    """One of the samples, as if it were alone."""
    one = slice(row, row + 1)
    return replace(of, x=of.x[one], samples=of.samples[one], targets=of.targets[one])


def half(network="mlp"):
    """A mask that leaves voxels out."""
    inside = torch.rand(NETWORKS[network][1], generator=torch.Generator().manual_seed(6)) < 0.6
    assert 0 < inside.sum() < inside.numel()
    return inside


def of_output(model, kind, target):
    """x -> the output that is explained, in plain torch."""
    if kind == "logit":
        return lambda x: model.network(x)[:, target].double()
    return lambda x: torch.softmax(model.network(x).double() / model.temperature, dim=1)[:, target]
