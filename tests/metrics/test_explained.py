"""What metrics may ask of what explained the maps."""

from dataclasses import replace

import pytest
import torch
from measuring import explained, half
from small_decoders import decoder

from truemap.metrics._explained import Explained, OtherRows, OwnClass

WAYS = ["gradient", "smoothgrad", "integrated_gradients", "absolute_gradient", "gradient_shap", "decoy"]


def backward(of, x):
    """How often a network's last layer is passed backward while `x` is explained."""
    count = [0]
    handle = of.decoder.network[-1].register_full_backward_hook(lambda *_: count.__setitem__(0, count[0] + 1))
    maps = of.explain(x)
    handle.remove()
    return maps, count[0]


@pytest.mark.parametrize("output", ["probability", "logit"])
@pytest.mark.parametrize("saliency", WAYS)
def test_a_class_alone_has_the_map_that_it_has_among_all(saliency, output):
    of = explained("mlp", saliency, count=6, inside=half(), output=output)
    x = of.x + 0.1
    every = of.saliency.explain(of.decoder, x, of.samples, of.saliency.options, of.context)
    expected = of.of_targets(every)[:, of.inside]
    assert ((of.explain(x) - expected).norm(dim=1) <= 1e-5 * expected.norm(dim=1)).all()
    assert of._alone


def test_it_takes_one_pass_backward_where_all_take_one_each():
    for output, all_classes in (("probability", 3), ("logit", 4)):
        of = explained("mlp", targets=torch.ones(3, dtype=int), output=output)
        assert of._alone
        assert backward(of, of.x)[1] == 1
        of.__dict__["_alone"] = None
        assert backward(of, of.x)[1] == all_classes


@pytest.mark.parametrize("saliency", ["deeplift", "guided_backprop", "deconvnet", "guided_grad_cam"])
def test_ways_for_networks_that_were_looked_at_have_it_too(saliency):
    traits = frozenset({"relu", "relu only", "affine but for relu", "convolution"})
    assert explained("cnn3d", saliency, model=replace(decoder("cnn3d"), traits=traits))._alone


@pytest.mark.parametrize("saliency", ["weights", "pattern", "lrp_epsilon"])
def test_what_looks_at_all_layers_is_explained_for_all_classes(saliency):
    of = explained("linear", saliency)
    assert of._alone is None
    assert torch.equal(of.explain(of.x), of.own)


def test_a_way_to_explain_that_mixes_classes_is_found_out():
    of = explained("mlp", output="logit")
    real = of.saliency.explain

    def mixed(*arguments):
        maps = real(*arguments)
        return maps - maps.mean(dim=1, keepdim=True) * 1e-3

    of = replace(of, saliency=replace(of.saliency, explain=mixed))
    assert of._alone is None
    assert torch.allclose(of.explain(of.x), of.own, rtol=1e-12)


def test_classes_go_together_unless_a_way_to_explain_puts_rows_of_its_own_between():
    targets = torch.tensor([1, 0, 1, 2])
    of = explained("mlp", count=4, targets=targets)
    assert of._alone is Explained._at_once and backward(of, of.x)[1] == 1
    real = of.saliency.explain

    def doubled(told, x, samples, options, context):
        """Explains each sample twice in one batch, and tells of the first."""
        return real(told, x.repeat_interleave(2, dim=0), [s for s in samples for _ in range(2)], options, context)[::2]

    between = replace(of, saliency=replace(of.saliency, explain=doubled))
    assert between._alone is Explained._class_by_class and backward(between, of.x)[1] == 3
    torch.testing.assert_close(between.own, of.own)

    def cut(told, x, samples, options, context):
        """Two samples at a time."""
        return torch.cat([real(told, x[k : k + 2], samples[k : k + 2], options, context) for k in range(0, len(x), 2)])

    # Found out only when there are more than the two that it is tried on.
    parts = replace(of, saliency=replace(of.saliency, explain=cut))
    assert parts._alone is Explained._at_once
    torch.testing.assert_close(parts.own, of.own)


def test_the_class_and_all_others_have_the_calibrated_probability():
    model = decoder("mlp")
    x = explained("mlp").x
    expected = torch.softmax(model.network(x) / model.temperature, dim=1)
    for targets in (torch.tensor([2]), torch.tensor([3, 0, 1])):
        logits = OwnClass(model.network, targets, model.temperature, others=True)(x)
        found = torch.softmax(logits / model.temperature, dim=1)[:, 0]
        torch.testing.assert_close(found, expected[torch.arange(3), targets.expand(3)])
    with pytest.raises(OtherRows):
        OwnClass(model.network, torch.tensor([3, 0]), 1.0, others=False)(x)
