"""How far decoys leave a representation, and what the options of decoys do to fidelity (S_F)."""

import numpy as np
import pytest
import torch
from measuring import explained, measured, part
from small_decoders import NETWORKS, context, decoder, maps

from truemap.saliency._decoys import features, relative_difference
from truemap.saliency.decoy import Options, population


def by_hand(model, x, options, layer):
    """Of one map: the network cut after its ReLU by hand (None: not cut), each decoy in turn."""
    relus = [number for number, one in enumerate(model.network) if isinstance(one, torch.nn.ReLU)]
    cut = model.network if layer is None else model.network[: relus[layer - 1] + 1]
    found = []
    for one in population(model, x, options, context(tuple(x.shape[1:]))):
        a, b = (cut(at).detach().double().numpy().ravel() for at in (x, one))
        found.append(np.abs(a - b).max() / max(np.abs(a).max(), np.abs(b).max()))
    return np.mean(found)


@pytest.mark.parametrize("kind", ["blurred", "inpainted", "optimised"])
@pytest.mark.parametrize(("name", "layer"), [("mlp", 1), ("cnn3d", 1), ("cnn3d", 2)])
def test_equals_a_loop_over_decoys_written_out(name, layer, kind):
    options = Options(decoys=kind, masks=4, steps=20)
    of = explained(name, "decoy", **options.model_dump())
    found = measured("representation", of, layer=layer)
    for row in range(3):
        x = of.x[[row]]
        assert found["representation"][row].item() == pytest.approx(by_hand(of.decoder, x, options, layer), rel=1e-4)
        assert found["representation_logits"][row].item() == pytest.approx(
            by_hand(of.decoder, x, options, None), rel=1e-4
        )
        alone = measured("representation", part(of, row), layer=layer)
        assert alone["representation"].item() == pytest.approx(found["representation"][row].item(), rel=1e-4)


def test_decoys_of_a_search_keep_the_representation_that_proxies_do_not():
    """Figure 5 of the paper, on a network with random weights."""
    found = {
        kind: measured("representation", explained("cnn3d", "decoy", decoys=kind))["representation"].mean().item()
        for kind in ("blurred", "inpainted", "optimised")
    }
    assert found["optimised"] < 0.03
    assert min(found["blurred"], found["inpainted"]) > 0.1


def test_other_ways_to_explain_have_none():
    found = measured("representation", explained("mlp", "smoothgrad", n=2))
    assert all(values.isnan().all() and values.dtype == torch.float64 for values in found.values())


@pytest.mark.parametrize(("name", "layer"), [("linear", 1), ("mlp", 2)])
def test_a_network_without_that_relu_has_logits_alone(name, layer):
    found = measured("representation", explained(name, "decoy", masks=4), layer=layer)
    assert found["representation"].isnan().all()
    assert (found["representation_logits"] > 0).all()


def test_relative_difference_of_numbers():
    a = torch.tensor([[1.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    b = torch.tensor([[1.0, 2.0, 4.0], [0.0, 5.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert relative_difference(a, b).tolist() == [0.5, 1.0, 0.0, 0.0]
    assert torch.equal(relative_difference(a, b), relative_difference(b, a))


# What section 3.3 of the paper varies


def moved(name, **options):
    """Decoys of one map by the options that a config gives, and the map."""
    model, x = decoder(name), maps(name, 1)
    given = Options(decoys="optimised", masks=4, **options)
    return model, x, torch.cat(list(population(model, x, given, context(NETWORKS[name][1]))))


def test_the_option_layer_says_which_features_stay():
    """Those of the second ReLU stay either way, as what they are made of does; those of the first do not."""
    changes = {}
    for layer in (1, 2):
        model, x, found = moved("cnn3d", layer=layer)
        for other in (1, 2):
            own = features(model.network, x, other).expand(8, -1)
            changes[layer, other] = relative_difference(own, features(model.network, found, other)).max().item()
    assert max(changes[1, 1], changes[2, 2]) < 0.08
    assert changes[2, 1] > 2 * changes[1, 1]


@pytest.mark.parametrize("multiplier", [10.0, 1e2, 1e3, 1e4, 1e5])
def test_the_option_multiplier_is_where_the_search_starts(multiplier):
    """The paper's five: the features stay with each, decoys are others, and move as they are to."""
    model, x, found = moved("cnn3d", multiplier=multiplier)
    kept = features(model.network, x, 1).expand(8, -1)
    assert relative_difference(kept, features(model.network, found, 1)).max() < 0.03
    assert ((found - x).flatten(1).abs().amax(dim=1) > 1e-3).all()
    _, _, other = moved("cnn3d", multiplier=multiplier * 3)
    assert not torch.equal(other, found)


def test_fidelity_can_be_asked_by_layer_and_by_multiplier():
    """S_F of the maps that each gives: defined, and not the same number."""
    found = [
        measured("fidelity", explained("cnn3d", "decoy", count=1, decoys="optimised", masks=4, **options))["fidelity"]
        for options in ({"layer": 1}, {"layer": 2}, {"multiplier": 1e5})
    ]
    assert torch.stack(found).isfinite().all()
    assert len({tuple(values.tolist()) for values in found}) == 3
