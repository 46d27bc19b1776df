"""What asks other networks than the trained one: randomised ones, one of permuted labels, one for shifted inputs."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from measuring import explained, half, measured
from scipy.stats import spearmanr
from small_decoders import decoder, maps
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from truemap.metrics._contract import Senseless
from truemap.metrics._layers import layers
from truemap.metrics.input_shift import compensated
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed


@pytest.mark.parametrize(("network", "parts"), [("mlp", ["3", "1"]), ("cnn3d", ["8", "4", "1"])])
def test_the_cascade_is_the_one_by_hand(network, parts):
    of = explained(network, inside=half(network))
    found = measured("sanity", of, draws=2)
    expected = []
    for draw in range(2):
        changed = copy.deepcopy(of.decoder.network)
        new = of.untrained(derive_seed(0, "metrics sanity", draw))
        similar = []
        for part in parts:
            changed._modules[part] = new._modules[part]
            moved = of.explain(decoder=replace(of.decoder, network=changed)).numpy()
            similar.append(
                [[spearmanr(size(a), size(b)).statistic for a, b in zip(moved, of.own.numpy(), strict=True)]
                 for size in (np.asarray, np.abs)]
            )  # fmt: skip
        expected.append(similar)
    mean = np.mean(expected, axis=0)  # step, signed or not, sample
    np.testing.assert_allclose(found["cascade"], mean[:, 0].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found["cascade_absolute"], mean[:, 1].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(found["randomised"], mean[-1, 0], atol=1e-6)
    np.testing.assert_allclose(found["randomised_absolute"], mean[-1, 1], atol=1e-6)
    assert found["randomised"].abs().max() < 0.95


def test_draws_are_other_networks_and_the_trained_one_stays():
    of = explained("mlp")
    before = {key: value.clone() for key, value in of.decoder.network.state_dict().items()}
    state = torch.get_rng_state()
    first, two = (measured("sanity", of, draws=draws)["randomised"] for draws in (1, 2))
    assert not torch.allclose(first, two)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[key]) for key, value in of.decoder.network.state_dict().items())


def bent(seed):
    torch.manual_seed(seed)
    head = nn.Linear(5, 3)  # registered before the layer that runs first
    body = spectral_norm(nn.Linear(24, 5))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.body, self.relu = head, body, nn.ReLU()

        def forward(self, x):
            return self.head(self.relu(self.body(x.flatten(1))))

    return Network().eval().requires_grad_(False)


def test_layers_are_in_the_order_in_which_they_run_and_a_computed_weight_is_replaced():
    network, other = bent(1), bent(2)
    found = layers(network, torch.zeros(1, 4, 3, 2))
    assert list(found) == ["body", "head"]
    assert "body.parametrizations.weight.original" in found["body"]
    weights = []
    model = Decoder(network, 1.0, ["a", "b", "c"], "bent")
    of = explained("mlp", model=model, targets=torch.zeros(3, dtype=int))
    of = replace(of, untrained=lambda seed: other)

    def noted(decoder, *arguments):
        weights.append((decoder.network.head.weight.clone(), decoder.network.body.weight.clone()))
        return real(decoder, *arguments)

    real = of.saliency.explain
    measured("sanity", replace(of, saliency=replace(of.saliency, explain=noted)))
    *_, (head, body), (last_head, last_body) = weights
    assert torch.equal(head, other.head.weight)
    assert torch.equal(body, network.body.weight)
    assert torch.equal(last_head, other.head.weight)
    assert torch.allclose(last_body, other.body.weight)


def test_another_untrained_network_is_no_randomised_one():
    of = explained("mlp")
    with pytest.raises(Senseless, match="other layers"):
        measured("sanity", replace(of, untrained=lambda seed: decoder("linear").network))


def test_a_planted_network_has_nothing_to_lose():
    of = explained("mlp")
    planted = replace(of.decoder, traits=frozenset({"planted", "relu"}))
    with pytest.raises(Senseless, match="it learnt nothing that it could lose"):
        measured("sanity", replace(of, decoder=planted))


def test_a_map_that_knows_no_network_passes_as_it_was():
    of = explained("mlp", "gradient")
    same = replace(
        of.saliency, explain=lambda decoder, x, samples, options, context: x.double()[:, None].repeat(1, 4, 1, 1, 1)
    )
    of = replace(of, saliency=same)
    assert all(torch.allclose(values, torch.ones(3).double()) for values in measured("sanity", of).values())


# Shift


@pytest.mark.parametrize("network", ["linear", "mlp", "cnn3d", "cnn3d-stride-1", "cnn3d-thin"])
def test_a_compensated_network_does_with_shifted_maps_what_the_network_did(network):
    model, x = decoder(network), maps(network)
    other = compensated(model.network, x[:1], 2.5)
    torch.testing.assert_close(other(x + 2.5), model.network(x), rtol=1e-4, atol=1e-4)
    assert not torch.allclose(other(x), model.network(x), atol=1e-2)


@pytest.mark.parametrize("saliency", ["gradient", "guided_backprop", "deconvnet", "grad_cam", "smoothgrad"])
def test_gradients_do_not_move(saliency):
    of = explained("cnn3d", saliency)
    moved = measured("input_shift", of)["input_shift"]
    zero = (of.own == 0).all(dim=1)  # as Grad-CAM has it where every voxel speaks against the class
    assert torch.equal(moved.isnan(), zero)
    assert moved[~zero].max() < 1e-4


def test_a_baseline_moves_with_the_data_or_not():
    mean = {"baseline": "mean", "output": "logit", "steps": 4}
    assert measured("input_shift", explained("mlp", "integrated_gradients", **mean))["input_shift"].max() < 1e-4
    assert measured("input_shift", explained("mlp", "gradient_shap", n=2))["input_shift"].max() < 1e-4
    zero = {**mean, "baseline": "zero"}
    assert measured("input_shift", explained("mlp", "integrated_gradients", **zero))["input_shift"].min() > 0.1


def test_gradient_times_input_of_a_linear_network_moves_by_the_weights():
    of = explained("linear", "gradient_x_input", output="logit")
    weights = of.decoder.network[-1].weight.double()[of.targets]
    expected = (1.5 * weights).norm(dim=1) / (weights * of.x.flatten(1)).norm(dim=1)
    np.testing.assert_allclose(measured("input_shift", of, shift=1.5)["input_shift"], expected, rtol=1e-5)


def test_relevance_moves_with_the_bias_that_takes_it():
    assert measured("input_shift", explained("cnn3d", "lrp_epsilon"))["input_shift"].min() > 1e-3


def test_the_pattern_of_shifted_data_is_the_same():
    assert measured("input_shift", explained("linear", "pattern"))["input_shift"].max() < 1e-4


class Normed(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.first, self.last = first, nn.Linear(24, 4)

    def forward(self, x):
        return self.last(self.first(x.flatten(1)))


@pytest.mark.parametrize("first", [nn.LayerNorm(24), nn.Softmax(dim=1)])
def test_what_no_bias_can_take_off_is_said_to_be(first):
    """A normalisation, and a function without weights before the first layer."""
    model = Decoder(Normed(first).eval().requires_grad_(False), 1.0, list("abcd"), "normed")
    with pytest.raises(Senseless, match=r"first layer|no bias"):
        measured("input_shift", explained("mlp", model=model))


# Other options


def test_a_map_moves_with_draws_steps_and_baseline_as_it_does_by_hand():
    of = explained("mlp", "integrated_gradients", steps=3)
    found = measured("hyperparameters", of)
    assert found["change_by_draws"].tolist() == [0, 0, 0]

    def moved(**options):
        other = explained("mlp", "integrated_gradients", **options)
        own, others = of.of_targets(of.maps), other.of_targets(other.maps)
        return ((others - own).norm(dim=1) / own.norm(dim=1)).numpy()

    np.testing.assert_allclose(found["change_by_steps"], moved(steps=6), rtol=1e-6)
    others = [moved(steps=3, baseline=word) for word in ("blurred", "mean")]
    np.testing.assert_allclose(found["change_by_baseline"], np.mean(others, axis=0), rtol=1e-6)


def test_more_draws_move_less_and_what_has_no_options_has_no_values():
    few, many = (measured("hyperparameters", explained("mlp", "smoothgrad", n=n, output="logit")) for n in (2, 200))
    assert (many["change_by_draws"] < few["change_by_draws"] / 2).all()
    assert few["change_by_baseline"].isnan().all()
    plain = measured("hyperparameters", explained("mlp"))
    assert plain["change_by_steps"].isnan().all() and plain["change_by_draws"].tolist() == [0, 0, 0]


def test_alignment_and_distance_are_the_formulas_and_the_distance_is_reached():
    of = explained("mlp", count=5)
    found = measured("alignment", of)
    for row, x in enumerate(of.x.flatten(1).double().numpy()):
        own = of.own[row].numpy()
        assert found["alignment"][row].item() == pytest.approx(abs(x @ own) / np.linalg.norm(own))
        cosine = abs(x @ own) / np.linalg.norm(own) / np.linalg.norm(x)
        assert found["alignment_cosine"][row].item() == pytest.approx(cosine)
    linear = explained("linear", count=5, model=decoder("linear"))
    distance = measured("alignment", linear)["boundary_distance"].numpy()
    layer, x = linear.decoder.network[-1], linear.x.flatten(1).double().numpy()
    weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
    for row, value in enumerate(x):
        logits = weight @ value + bias
        top = logits.argmax()
        others = [k for k in range(4) if k != top]
        away = [(logits[top] - logits[k]) / np.linalg.norm(weight[top] - weight[k]) for k in others]
        assert distance[row] == pytest.approx(min(away), rel=1e-5)
        nearest = others[int(np.argmin(away))]
        step = (weight[nearest] - weight[top]) / np.linalg.norm(weight[nearest] - weight[top])
        for by, same in ((0.999, True), (1.001, False)):
            moved = weight @ (value + by * distance[row] * step) + bias
            assert (moved.argmax() == top) == same


@pytest.mark.parametrize("network", ["mlp", "cnn3d"])
def test_maps_are_compared_with_those_of_the_twin(network):
    of = explained(network, "gradient_x_input", inside=half(network))
    found = measured("label_permutation", of)
    twin = of.explain(decoder=replace(of.decoder, network=of.twin.network)).numpy()
    for name, size in (("permuted_labels", np.asarray), ("permuted_labels_absolute", np.abs)):
        expected = [spearmanr(size(a), size(b)).statistic for a, b in zip(twin, of.own.numpy(), strict=True)]
        np.testing.assert_allclose(found[name], expected, atol=1e-6)
    assert found["permuted_labels"].abs().max() < 0.95


def test_a_twin_that_has_not_learnt_its_labels_says_nothing():
    of = explained("mlp")
    with pytest.raises(Senseless, match=r"has not learnt these \(0\.960 of them, less than 0\.97\)"):
        measured("label_permutation", of, fitted=0.97)
    with pytest.raises(Senseless, match="there is no network"):
        measured("label_permutation", replace(of, twin=None))
    same = replace(of, twin=replace(of.twin, network=of.decoder.network))
    assert torch.allclose(measured("label_permutation", same)["permuted_labels"], torch.ones(3).double())
