"""The control: of a linear planted network every complete attribution is exact, and every gradient times the way."""

import numpy as np
import pytest
import torch
from small_decoders import context, explain

from truemap.config.names import ATTRIBUTION
from truemap.config.registry import names, options_of
from truemap.data.regions import REST, Regions
from truemap.evaluation.shapley import OUTPUTS, Game, exact
from truemap.networks._decoder import Decoder, planted_network

SHAPE, CLASSES = (4, 3, 2), [f"class-{c}" for c in range(4)]
REGIONS = Regions(np.arange(24) % 6, ["a", "b", "c", "d", REST])
#: Methods × options, of logits; those that draw baselines are given one training map, which then is their mean.
CASES = [(name, {}) for name in names("saliency") if ATTRIBUTION in options_of("saliency", name)().traits()]
CASES += [(name, {"baseline": "mean"}) for name in ("integrated_gradients", "deeplift")]


@pytest.fixture(scope="module")
def decoder():
    means = dict(zip(CLASSES, np.random.default_rng(1).standard_normal((4, 24)), strict=True))
    network = planted_network({"name": "planted", "kind": "linear"}, SHAPE, REGIONS, means)
    return Decoder(network.eval().requires_grad_(False), 1.3, CLASSES, "planted", frozenset({"affine but for relu"}))


@pytest.mark.parametrize(("name", "options"), CASES, ids=lambda case: str(case))
def test_every_complete_attribution_is_exact_on_the_linear_control(decoder, monkeypatch, name, options):
    one = context(SHAPE, count=1)
    monkeypatch.setattr("small_decoders.context", lambda *_, **__: one)
    fields = options_of("saliency", name).model_fields
    options = {**options, **({"output": "logit"} if "output" in fields else {})}
    traits = options_of("saliency", name)(**options).traits()
    start = one.mean if "mean" in traits else torch.zeros(SHAPE)
    x = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(1))
    found = explain(name, decoder, x, **options).flatten(2).numpy()
    game = Game(decoder, REGIONS, start, 100)
    for values, maps in zip(x, found, strict=True):
        phi = exact(game, values)[OUTPUTS.index("logit")]
        assert np.abs(phi).max() > 0.1
        np.testing.assert_allclose(REGIONS.sums(maps), phi, atol=2e-5)
