"""What each way to explain says that its maps are, by which they are compared with the network."""

import pytest

from truemap.config.names import ATTRIBUTION, BASELINES, GRADIENT
from truemap.config.registry import names, options_of

ATTRIBUTIONS = {
    "gradient_x_input": "zero",
    "lrp_epsilon": "zero",
    "integrated_gradients": "zero",
    "deeplift": "zero",
    "gradient_shap": "mean",
    "deeplift_shap": "mean",
}
GRADIENTS = ("gradient", "smoothgrad", "guided_backprop", "deconvnet", "guided_grad_cam", "weights")
SIZES = ("absolute_gradient", "grad_cam", "pattern", "decoy")


def test_each_method_says_what_its_maps_are():
    expected = {name: {ATTRIBUTION, baseline} for name, baseline in ATTRIBUTIONS.items()}
    expected |= {key: {GRADIENT} for key in GRADIENTS} | {key: set() for key in SIZES}
    assert {name: options_of("saliency", name)().traits() for name in names("saliency")} == expected


@pytest.mark.parametrize("name", ["integrated_gradients", "deeplift"])
@pytest.mark.parametrize("baseline", BASELINES)
def test_an_attribution_is_compared_beside_its_own_baseline(name, baseline):
    assert options_of("saliency", name)(baseline=baseline).traits() == {ATTRIBUTION, baseline}


def test_a_blur_is_nothing_that_regions_are_put_back_to():
    assert options_of("saliency", "integrated_gradients")(baseline="blurred").traits() == set()
