import pytest
from captum.attr import Saliency
from small_decoders import (
    assert_equals_by_class,
    assert_independent_of_batch_mates,
    assert_leaves_no_trace,
    decoder,
    explain,
    maps,
    output,
    passes,
)


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
@pytest.mark.parametrize("kind", ["probability", "logit"])
def test_equals_captum_saliency(name, kind):
    model, x = decoder(name), maps(name)
    saliency = Saliency(output(model, kind))
    found = explain("absolute_gradient", model, x, output=kind)
    assert (found >= 0).all()
    assert_equals_by_class(found, lambda c: saliency.attribute(x.clone().requires_grad_(), target=c, abs=True), x)


def test_a_probability_costs_one_backward_pass_less_than_a_logit():
    model, x = decoder("mlp"), maps("mlp")
    assert passes("absolute_gradient", model, x) == (1, 3)
    assert passes("absolute_gradient", model, x, output="logit") == (1, 4)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_does_not_depend_on_its_batch_mates(name):
    assert_independent_of_batch_mates("absolute_gradient", name)
    assert_independent_of_batch_mates("absolute_gradient", name, output="logit")


def test_leaves_no_trace():
    assert_leaves_no_trace("absolute_gradient", "cnn3d", output="logit")
