"""Networks that others wrote: what a look finds, what is refused for it, and that what is let through is right."""

import captum.attr
import pytest
import torch
from residual import ResNet, seasoned
from torch import nn
from torch.nn import functional

from truemap.config.registry import method, names, options_of, resolve_method
from truemap.networks._adapter import Adapter
from truemap.networks._decoder import Decoder, build_network
from truemap.networks._look import look
from truemap.networks._structure import require
from truemap.runtime.files import DataError
from truemap.saliency._contract import Saliency

SHAPES = {2: (8, 8, 1), 3: (6, 7, 6)}


def decoder(dimensions: int, channels: int = 1, **kind: object) -> Decoder:
    torch.manual_seed(dimensions)
    shape = SHAPES[dimensions]
    network = seasoned(ResNet(3, channels, dimensions, **kind))
    adapter = Adapter((0,), (1, 0, 2), (channels, shape[1], shape[0], *shape[2:])[: dimensions + 1])
    whole = nn.Sequential(adapter, network)
    looked = look(whole, torch.randn(2, *shape), 3, "resnet")
    return Decoder(whole, 1.3, list("abc"), "resnet", frozenset(looked.traits), looked.others)


def maps(dimensions: int) -> torch.Tensor:
    return torch.randn(2, *SHAPES[dimensions], generator=torch.Generator().manual_seed(9))


def explain(model: Decoder, x: torch.Tensor, name: str, **options: object) -> torch.Tensor:
    saliency = method("saliency", resolve_method("saliency", {"name": name, **options}), Saliency)
    require(model, saliency.options.needs(), name)
    return saliency.explain(model, x, [0, 1], saliency.options, None)


def attributed(attribution, x: torch.Tensor, **named: object) -> torch.Tensor:
    return torch.stack([attribution.attribute(x, target=c, **named) for c in range(3)], dim=1).double().detach()


@pytest.mark.parametrize("name", ["linear", "mlp", "cnn3d"])
@pytest.mark.parametrize("activation", ["relu", "none"])
def test_of_the_projects_own_networks_a_look_finds_what_they_say(name: str, activation: str) -> None:
    options = {"name": name} if name == "linear" else {"name": name, "activation": activation}
    if name == "cnn3d":
        options["filters"] = [2, 2]
    settings = resolve_method("networks", options)
    network = build_network(settings, (6, 5, 4), 3).eval()
    said = options_of("networks", name)(**{k: v for k, v in settings.items() if k != "name"}).traits()
    assert look(network, torch.randn(2, 6, 5, 4), 3, name).traits == said


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_of_residual_networks_each_method_that_is_let_through_is_captums(dimensions: int, channels: int) -> None:
    model, x = decoder(dimensions, channels), maps(dimensions)
    network = model.network
    cases = {
        "guided_backprop": attributed(captum.attr.GuidedBackprop(network), x),
        "deconvnet": attributed(captum.attr.Deconvolution(network), x),
        "gradient": attributed(captum.attr.Saliency(network), x, abs=False),
    }
    for name, expected in cases.items():
        found = explain(model, x, name, **({"output": "logit"} if name == "gradient" else {}))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
        assert found.abs().max() > 0
    large = explain(model, x, "grad_cam", output="logit")
    layer = captum.attr.LayerGradCam(network, network[1].layer2)
    size = tuple(n for n in (SHAPES[dimensions][1], SHAPES[dimensions][0], *SHAPES[dimensions][2:]) if n > 1)
    small = [layer.attribute(x, target=c, relu_attributions=True) for c in range(3)]
    mode = {2: "bilinear", 3: "trilinear"}[dimensions]
    expected = torch.stack([functional.interpolate(one, size, mode=mode)[:, 0] for one in small], dim=1)
    # Back to the axes of the dataset's maps: the adapter turns the first two about, and mirrors the first.
    expected = expected.transpose(2, 3).flip(2).reshape(large.shape).double()
    torch.testing.assert_close(large, expected, rtol=1e-4, atol=1e-6)
    product = explain(model, x, "guided_grad_cam", output="logit")
    torch.testing.assert_close(product, expected * cases["guided_backprop"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_deeplift_is_captums_where_each_relu_serves_once_and_right_where_one_serves_twice(dimensions: int) -> None:
    apart, x = decoder(dimensions, pool=False, how="apart"), maps(dimensions)
    start = torch.zeros_like(x)
    found = explain(apart, x, "deeplift", baseline="zero")
    deeplift = attributed(captum.attr.DeepLift(apart.network), x, baselines=start)
    torch.testing.assert_close(found, deeplift, rtol=1e-4, atol=1e-6)
    reused = decoder(dimensions, pool=False)
    assert torch.equal(apart.network(x), reused.network(x))
    torch.testing.assert_close(explain(reused, x, "deeplift", baseline="zero"), found, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("how", ["function", "silu"])
@pytest.mark.parametrize(
    "name", ["guided_backprop", "deconvnet", "deeplift", "deeplift_shap", "lrp_epsilon", "guided_grad_cam", "grad_cam"]
)
def test_other_activations_are_refused_where_a_method_would_miss_them(name: str, how: str) -> None:
    model = decoder(2, how=how)
    assert {"function": "relu", "silu": "silu"}[how] in model.others
    with pytest.raises(ValueError, match=rf"{name}: cannot explain .* It calls: .*{how if how == 'silu' else 'relu'}"):
        explain(model, maps(2), name)


@pytest.mark.parametrize("name", ["deeplift", "lrp_epsilon"])
def test_pools_of_largest_values_have_no_rule(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}: cannot explain network 'resnet' rightly"):
        explain(decoder(3), maps(3), name)


def test_without_convolutions_there_is_no_grad_cam() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3)).eval()
    looked = look(network, torch.randn(2, 8, 8, 1), 3, "own")
    assert looked.traits == {"relu", "relu 1", "relu only", "affine but for relu", "sequence"}


def test_layers_by_number_are_there_only_as_far_as_each_runs_once_and_in_its_place() -> None:
    model = decoder(2)
    assert "relu 1" in model.traits and "relu 2" not in model.traits


class Own(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.layer, self.out, self.function = nn.Linear(64, 6), nn.Linear(6, 3), function

    def forward(self, x):
        return self.out(self.function(self.layer(x.flatten(1))))


@pytest.mark.parametrize(
    "function",
    [
        functional.relu,
        torch.relu_,
        torch.tanh,
        functional.gelu,
        lambda a: a.clamp(min=0),
        lambda a: a * (a > 0),
        lambda a: torch.maximum(a, torch.zeros_like(a)),
        lambda a: a / (1 + a.abs()),
        lambda a: torch.where(a > 0, a, 0.1 * a),
        lambda a: a * functional.softmax(a, dim=1),
        lambda a: functional.relu(functional.relu(a)),
        lambda a: a**2,
    ],
)
def test_whatever_bends_is_found_by_any_name(function) -> None:
    torch.manual_seed(0)
    looked = look(Own(function).eval(), torch.randn(2, 8, 8), 3, "own")
    assert not looked.traits & {"relu only", "affine but for relu", "sequence"}


@pytest.mark.parametrize("function", [lambda a: 2 * a + 1, lambda a: a.flip(1), lambda a: a - a.mean(1, keepdim=True)])
def test_what_does_not_bend_is_not_refused(function) -> None:
    looked = look(Own(function).eval(), torch.randn(2, 8, 8), 3, "own")
    assert {"relu only", "affine but for relu"} <= looked.traits


def test_normalisation_has_its_gradient_in_guided_methods_and_no_rule_in_deeplift() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 3)).eval()
    traits = look(network, torch.randn(2, 8, 8), 3, "own").traits
    assert "relu only" in traits and "affine but for relu" not in traits


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), "its outputs are probabilities"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), r"it gives \(2, 2\) for 2 maps"),
        (
            nn.Sequential(nn.Flatten(), nn.BatchNorm1d(64, track_running_stats=False), nn.Linear(64, 3)),
            r"it cannot take 1 map\(s\)",
        ),
        (Own(lambda a: functional.dropout(a, 0.5)), "draws random numbers in evaluation mode too"),
        (Own(lambda a: functional.dropout(a, 1e-9)), "draws random numbers in evaluation mode too"),
        (Own(lambda a: a - a.mean(0)), "a map alone gets other logits"),
        (Own(lambda a: a * torch.nan), "NaN or infinite"),
        (Own(lambda a: a.detach()), "no gradient"),
    ],
)
def test_what_is_no_decoder_is_refused_in_words(network: nn.Module, words: str) -> None:
    with pytest.raises(DataError, match=words):
        look(network.eval().requires_grad_(False), torch.randn(2, 8, 8), 3, "own")


class Last(Own):
    """Its outputs go through a function; or some of what it sees does."""

    def __init__(self, last, classes: int = 3, first=lambda x: x) -> None:
        torch.manual_seed(0)
        super().__init__(functional.leaky_relu)
        self.out, self.last, self.first = nn.Linear(6, classes), last, first

    def forward(self, x):
        return self.last(super().forward(self.first(x)))


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (lambda z: z.softmax(1), "are probabilities .*; its last softmax is to go"),
        (lambda z: functional.log_softmax(z, 1), "logarithms of probabilities .*; its last log_softmax is to go"),
        (lambda z: z.softmax(1).log(), "logarithms of probabilities"),
        (torch.sigmoid, "those of sigmoid.*; its last sigmoid is to go"),
        (lambda z: z.clone().sigmoid_()[:, :, None].squeeze(2), "those of sigmoid_"),
        (nn.LogSigmoid(), "those of log_?sigmoid"),
        (lambda z: z[:, :1], r"gives \(2, 1\) for 2 maps, not \(2, 3\): one logit a map and class\. Mend"),
        (lambda z: (z, None), "gives tuple"),
        (lambda z: {"logits": z}, "gives dict"),
        (lambda z: z.reshape(16, -1), "cannot take 2"),
    ],
)
def test_outputs_that_are_no_logits_are_refused_by_what_they_are(last, words: str) -> None:
    with pytest.raises(DataError, match=words):
        look(Last(last).eval(), torch.randn(2, 8, 8), 3, "own")


def test_of_the_one_logit_of_two_classes_it_is_said_how_to_make_two() -> None:
    x = torch.randn(2, 8, 8)
    with pytest.raises(DataError, match=r"return torch.cat\(\[-z / 2, z / 2\], dim=1\)"):
        look(Last(lambda z: z, classes=1).eval(), x, 2, "own")
    both = Last(lambda z: torch.cat([-z / 2, z / 2], dim=1), classes=1).eval()
    look(both, x, 2, "own")
    z = both.out(functional.leaky_relu(both.layer(x.flatten(1))))
    torch.testing.assert_close(both(x).softmax(1)[:, 1:], z.sigmoid())


@pytest.mark.parametrize(
    "last",
    [
        lambda z: z.double(),
        lambda z: z.bfloat16(),
        # A gate, as those of squeeze-and-excitation: not what comes out.
        lambda z: z * z.mean(1, keepdim=True).sigmoid(),
        lambda z: 3 * z.tanh(),
    ],
)
def test_logits_of_any_type_and_gates_before_them_are_taken(last) -> None:
    look(Last(last).eval(), torch.randn(2, 8, 8), 3, "own")


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("normed", [nn.utils.weight_norm, nn.utils.parametrizations.weight_norm])
def test_weights_that_are_computed_are_taken(normed) -> None:
    network = Own(functional.relu)
    normed(network.layer)
    assert "relu only" not in look(network.eval(), torch.randn(2, 8, 8), 3, "own").traits


class Half(torch.autograd.Function):
    """The same numbers, and half the gradient."""

    @staticmethod
    def forward(_context, x):
        return x.clone()

    @staticmethod
    def backward(_context, gradient):
        return gradient / 2


@pytest.mark.parametrize(
    "first",
    [
        lambda x: x - x.mean((1, 2), keepdim=True).detach(),
        lambda x: x / x.detach().std((1, 2), keepdim=True),
        lambda x: x + x.detach(),
        Half.apply,
        # Rounded, with a gradient straight through it.
        lambda x: x + (x.round() - x).detach(),
    ],
)
def test_a_gradient_that_is_not_the_slope_is_refused(first) -> None:
    # All weights above zero: the mean of the map matters.
    network = Last(lambda z: z, first=first)
    network.layer.weight.data.abs_()
    with pytest.raises(DataError, match="its gradient is not how its logits change"):
        look(network.eval(), torch.randn(2, 8, 8), 3, "own")


@pytest.mark.parametrize(
    "first",
    [
        lambda x: x / x.std((1, 2), keepdim=True),
        lambda x: x.float(),
        lambda x: x.half().to(x.dtype),
        lambda x: functional.max_pool2d(x, 2).repeat(1, 2, 2),
        # Flat all over.
        lambda x: functional.relu(x - 100),
    ],
)
def test_a_gradient_that_is_the_slope_is_taken_whatever_is_rounded_inside(first) -> None:
    look(Last(lambda z: z, first=first).eval(), torch.randn(2, 8, 8), 3, "own")


@pytest.mark.parametrize("seed", range(5))
def test_units_without_a_bias_at_their_bend_where_a_map_is_zero_are_taken(seed: int) -> None:
    torch.manual_seed(seed)
    layers = [nn.Conv2d(inside, 3, 5, padding=2, bias=False) for inside in (1, 3)]
    bends = [layers[0], nn.ReLU(), layers[1], nn.ReLU()]
    network = nn.Sequential(nn.Unflatten(1, (1, 8)), *bends, nn.Flatten(), nn.Linear(192, 3))
    x = torch.zeros(2, 8, 8)
    x[:, 0, :2] = torch.randn(2, 2)
    look(network.eval(), x, 3, "own")


@pytest.mark.parametrize("family", ["saliency"])
def test_every_need_of_a_method_is_something_that_a_look_can_find(family: str) -> None:
    found = {"relu", "relu 1", "relu only", "affine but for relu", "sequence", "linear", "convolution"}
    for name in names(family):
        options = {"layer": 1} if name in ("grad_cam", "guided_grad_cam") else {}
        assert options_of(family, name)(**options).needs() <= found, name
