import math
from itertools import product

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.signal import correlate
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from truemap.networks import cnn3d, linear, mlp
from truemap.networks._decoder import build_network, load_decoder, save_weights, untrained
from truemap.networks._layers import SamePool3d
from truemap.runtime.files import DataError

torch.set_num_threads(1)
HCP_2MM, HCP_8MM = (91, 109, 91), (23, 28, 23)
TABLE_2 = cnn3d.Options(filters=[32, 32, 64, 64, 64])
NETWORKS = [
    (linear, (4, 3, 2), {}),
    (mlp, (4, 3, 2), {"hidden": 5}),
    (cnn3d, (8, 8, 1), {"filters": [3, 4]}),
    (cnn3d, (4, 5, 4), {"filters": [3, 4], "pool_stride": 1}),
]


def cnn_on_paper(shape, **options):
    """The network without memory for its weights."""
    with torch.device("meta"):
        return cnn3d.build(shape, 7, cnn3d.Options(**options))


def sizes_after_blocks(network, shape):
    """Spatial size after each pool, seen by hooks in a forward pass."""
    sizes = []
    for layer in network.modules():
        if isinstance(layer, SamePool3d | nn.AvgPool3d):
            layer.register_forward_hook(lambda _layer, _inputs, output: sizes.append(tuple(output.shape[2:])))
    network(torch.zeros(1, *shape))
    return sizes


def test_cnn_with_stride_1_has_the_number_of_weights_of_table_2():
    assert cnn_on_paper(HCP_2MM, pool_stride=1)[-1].weight.numel() == 7 * 57_768_256


def test_cnn_of_table_2_has_these_convolutions():
    convolutions = [layer for layer in cnn_on_paper(HCP_2MM) if isinstance(layer, nn.Conv3d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(1, 32), (32, 32), (32, 64), (64, 64), (64, 64)]
    assert {(c.kernel_size, c.stride, c.padding) for c in convolutions} == {((3, 3, 3), (1, 1, 1), (1, 1, 1))}


def test_cnn_with_stride_2_ends_on_768_inputs_at_2_mm():
    assert cnn_on_paper(HCP_2MM)[-1].in_features == 64 * 2 * 3 * 2 == 768


def test_cnn_leaves_out_the_block_that_would_pool_nothing(caplog):
    caplog.set_level("INFO")
    network = cnn3d.build(HCP_8MM, 7, TABLE_2)
    assert "4 of 5 blocks fit maps of shape (23, 28, 23)" in caplog.text
    assert sizes_after_blocks(network, HCP_8MM) == [(11, 14, 11), (5, 7, 5), (2, 3, 2), (1, 1, 1)]
    assert network(torch.zeros(2, *HCP_8MM)).shape == (2, 7)


@pytest.mark.parametrize(
    ("shape", "filters", "last"),
    [
        (HCP_2MM, [32, 32, 64, 64, 64], (2, 3, 2)),
        ((45, 54, 45), [16, 16, 32, 32], (2, 3, 2)),
        (HCP_8MM, [8, 8, 16], (2, 3, 2)),
        ((8, 8, 1), [8, 8], (2, 2, 1)),
        ((3, 40, 3), [8], (1, 20, 1)),
        ((1, 1, 1), [8], (1, 1, 1)),
        ((300, 300, 300), [32, 32, 64, 64, 64], (9, 9, 9)),
    ],
)
def test_cnn_chooses_filters_by_the_grid_where_none_are_given(shape, filters, last, caplog):
    caplog.set_level("INFO")
    assert cnn3d.fitting(shape) == filters
    network = cnn3d.build(shape, 7, cnn3d.Options())
    assert [layer.out_channels for layer in network if isinstance(layer, nn.Conv3d)] == filters
    assert network[-1].in_features == filters[-1] * math.prod(last)
    assert f"filters {filters}, by the shape of the maps" in caplog.text
    assert "blocks fit" not in caplog.text


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ((40, 20, 1), [(20, 10, 1), (10, 5, 1), (5, 2, 1), (2, 1, 1)]),
        ((32, 32, 1), [(16, 16, 1), (8, 8, 1), (4, 4, 1), (2, 2, 1), (1, 1, 1)]),
        ((1, 4, 6), [(1, 2, 3), (1, 1, 1)]),
    ],
)
def test_cnn_does_not_pool_a_thin_axis(shape, sizes):
    network = cnn3d.build(shape, 3, TABLE_2)
    assert sizes_after_blocks(network, shape) == sizes
    assert network(torch.zeros(2, *shape)).shape == (2, 3)


def test_cnn_refuses_maps_without_three_axes():
    with pytest.raises(ValueError, match="three axes"):
        cnn3d.build((32, 32), 3, cnn3d.Options())


@pytest.mark.parametrize("shape", [(4, 6, 5), (6, 4, 1)])
def test_cnn_of_one_block_equals_scipy_correlation_relu_and_window_means(shape):
    torch.manual_seed(1)
    network = cnn3d.build(shape, 3, cnn3d.Options(filters=[2], initialisation="torch")).double()
    x = np.random.default_rng(0).standard_normal(shape)
    convolution, last = network[1], network[-1]
    features = []
    for kernel, bias in zip(convolution.weight.detach().numpy(), convolution.bias.tolist(), strict=True):
        active = np.maximum(correlate(x, kernel[0], mode="same") + bias, 0)
        steps = [1 if size == 1 else 2 for size in shape]
        corners = product(*(range(0, size - step + 1, step) for size, step in zip(shape, steps, strict=True)))
        window = [tuple(slice(i, i + step) for i, step in zip(corner, steps, strict=True)) for corner in corners]
        features += [active[w].mean() for w in window]
    expected = last.weight.detach().numpy() @ np.array(features) + last.bias.detach().numpy()
    np.testing.assert_allclose(network(torch.from_numpy(x)[None])[0].detach(), expected, atol=1e-12)


@pytest.mark.parametrize(("shape", "kernel"), [((3, 4, 2), (2, 2, 2)), ((4, 3, 1), (2, 2, 1))])
def test_same_pool_is_the_mean_of_a_voxel_and_the_next_and_the_last_alone(shape, kernel):
    x = np.random.default_rng(0).standard_normal((2, 3, *shape))
    expected = np.empty_like(x)
    for i, j, k in np.ndindex(shape):
        window = (..., slice(i, i + kernel[0]), slice(j, j + kernel[1]), slice(k, k + kernel[2]))
        expected[:, :, i, j, k] = x[window].mean(axis=(2, 3, 4))  # slices end at the border by themselves
    np.testing.assert_allclose(SamePool3d(kernel)(torch.from_numpy(x)), expected, atol=1e-12)


class CountRelu(TorchDispatchMode):
    """Counts every ReLU computed, whatever called it."""

    calls = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.calls += "relu" in str(function)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize(("module", "shape", "options"), NETWORKS)
def test_each_activation_is_a_relu_module_of_its_own(module, shape, options):
    """Else captum's DeepLift and guided backpropagation are silently wrong (LIBRARIES T5)."""
    network = module.build(shape, 3, module.Options(**options))
    modules = {id(layer) for layer in network.modules() if isinstance(layer, nn.ReLU)}
    with CountRelu() as counter:
        network(torch.ones(2, *shape))
    assert counter.calls == len(modules) == {"linear": 0, "mlp": 1, "cnn3d": 2}[module.__name__.split(".")[-1]]


@pytest.mark.parametrize(
    ("module", "shape", "fans"),
    [
        (linear, (10, 10, 3), [(300, 50)]),
        (mlp, (10, 10, 3), [(300, 30), (30, 50)]),
        (cnn3d, (4, 4, 4), [(27, 8 * 27), (8 * 27, 16 * 27), (16, 50)]),
    ],
)
def test_glorot_weights_are_uniform_within_its_bounds_and_biases_zero(module, shape, fans):
    torch.manual_seed(0)
    options = {"hidden": 30} if module is mlp else {"filters": [8, 16]} if module is cnn3d else {}
    network = module.build(shape, 50, module.Options(**options))
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Linear | nn.Conv3d)]
    for layer, fan in zip(layers, fans, strict=True):
        bound = math.sqrt(6 / sum(fan))
        weights = layer.weight.detach()
        assert 0.97 * bound < weights.abs().max() <= bound
        assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
        assert not layer.bias.any()


def test_linear_is_a_matrix_product():
    network = linear.build((2, 3, 4), 3, linear.Options(initialisation="torch")).double()
    x = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    weight, bias = (p.detach().numpy() for p in network.parameters())
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach(), x.reshape(5, 24) @ weight.T + bias, atol=1e-12)


def test_mlp_is_two_matrix_products_around_a_relu():
    network = mlp.build((2, 3, 4), 3, mlp.Options(hidden=6, initialisation="torch")).double()
    x = np.random.default_rng(0).standard_normal((5, 2, 3, 4))
    w1, b1, w2, b2 = (p.detach().numpy() for p in network.parameters())
    expected = np.maximum(x.reshape(5, 24) @ w1.T + b1, 0) @ w2.T + b2
    np.testing.assert_allclose(network(torch.from_numpy(x)).detach(), expected, atol=1e-12)


STRUCTURED = [case for case in NETWORKS if case[0] is not linear]


@pytest.mark.parametrize(("module", "shape", "options"), STRUCTURED)
def test_without_activations_a_network_is_affine(module, shape, options):
    torch.manual_seed(2)
    a, b = torch.randn(2, 5, *shape).double()
    for activation in ("none", "relu"):
        options = {**options, "activation": activation, "initialisation": "torch"}
        f = module.build(shape, 3, module.Options(**options)).double()
        kink = (f(a) + f(b) - f(torch.zeros_like(a)) - f(a + b)).abs().max()
        assert (kink < 1e-13) == (activation == "none")


@pytest.mark.parametrize(("module", "shape", "options"), STRUCTURED)
def test_without_activations_all_other_layers_and_weights_are_the_same(module, shape, options):
    networks = []
    for activation in ("none", "relu"):
        torch.manual_seed(2)
        networks.append(module.build(shape, 3, module.Options(**options, activation=activation)))
    kinds = [[type(layer) for layer in net if not isinstance(layer, nn.ReLU)] for net in networks]
    assert kinds[0] == kinds[1]
    assert [type(layer) for layer in networks[0]] == kinds[0]
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in networks), strict=True))


@pytest.mark.parametrize("module", [mlp, cnn3d])
def test_other_activations_are_refused(module):
    assert module.Options().activation == "relu"
    with pytest.raises(ValidationError, match="'relu' or 'none'"):
        module.Options(activation="gelu")


def test_names_of_the_weights_are_these():
    """Files written before there was a choice of activation can be read."""
    net = mlp.build((4, 3, 2), 3, mlp.Options())
    assert list(net.state_dict()) == ["1.weight", "1.bias", "3.weight", "3.bias"]
    net = cnn3d.build((8, 8, 8), 3, cnn3d.Options(filters=[3, 4]))
    assert [name for name in net.state_dict() if "weight" in name] == ["1.weight", "4.weight", "8.weight"]


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "linear"},
        {"name": "mlp", "hidden": 4},
        {"name": "mlp", "hidden": 4, "activation": "none"},
        {"name": "cnn3d", "filters": [2, 3]},
        {"name": "cnn3d", "filters": [2, 3], "activation": "none"},
    ],
)
def test_decoder_comes_back_from_its_files_frozen_and_the_same(settings, tmp_path):
    shape, classes = (6, 5, 4), ["a", "b", "c"]
    network = build_network(settings, shape, len(classes))
    save_weights(tmp_path / "weights.safetensors", network)
    description = {"network": settings, "shape": list(shape), "classes": classes, "temperature": 1.7}
    decoder = load_decoder(tmp_path / "weights.safetensors", description, torch.device("cpu"))
    x = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(decoder.network(x), network(x))
    assert (decoder.temperature, decoder.classes, decoder.kind) == (1.7, classes, settings["name"])
    assert not any(parameter.requires_grad for parameter in decoder.network.parameters())
    assert not decoder.network.training
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_an_untrained_network_is_of_its_seed_and_behind_its_adapter():
    adapter = {"flips": [0], "order": [2, 1, 0], "size": [4, 5, 6]}
    description = {
        "network": {"name": "mlp", "hidden": 4},
        "shape": [6, 5, 4],
        "classes": ["a", "b"],
        "adapter": adapter,
    }
    state = torch.get_rng_state()
    found, again, other = (untrained(description, seed, torch.device("cpu")) for seed in (7, 7, 8))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(7)
    expected = build_network(description["network"], (4, 5, 6), 2)
    x = torch.randn(3, 6, 5, 4)
    assert torch.equal(found(x), expected(x.flip(1).permute(0, 3, 2, 1)))
    assert torch.equal(found(x), again(x)) and not torch.equal(found(x), other(x))
    assert not found.training and not any(weight.requires_grad for weight in found.parameters())


def cut(content):
    return content[: len(content) // 2]


def claim(content):
    """A header of a terabyte."""
    return (2**40).to_bytes(8, "little") + content[8:]


@pytest.mark.parametrize("spoil", [cut, claim, lambda content: b"", lambda content: b"x" * 100])
def test_damaged_weights_are_refused_by_name(tmp_path, spoil):
    path, settings = tmp_path / "weights.safetensors", {"name": "linear"}
    save_weights(path, build_network(settings, (4, 3, 2), 2))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"weights\.safetensors: cannot be used as weights of linear .*Delete"):
        load_decoder(path, described(settings), torch.device("cpu"))


def described(settings):
    return {"network": settings, "shape": [4, 3, 2], "classes": ["a", "b"], "temperature": 1.0}


def test_weights_of_another_network_and_weights_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_weights(path, build_network({"name": "linear"}, (4, 3, 2), 3))
    with pytest.raises(DataError, match="size mismatch"):
        load_decoder(path, described({"name": "linear"}), torch.device("cpu"))
    network = build_network({"name": "linear"}, (4, 3, 2), 2)
    next(network.parameters()).data[0, 0] = torch.nan
    save_weights(path, network)
    with pytest.raises(DataError, match="NaN or infinite numbers in"):
        load_decoder(path, described({"name": "linear"}), torch.device("cpu"))
