import numpy as np
import pytest
import torch

from truemap.networks._decoder import Decoder, build_network
from truemap.saliency import weights

torch.set_num_threads(1)
SHAPE = (4, 3, 2)


def explain(settings, temperature=1.0):
    torch.manual_seed(0)
    network = build_network(settings, SHAPE, 3)
    decoder = Decoder(network, temperature, list("abc"), settings["name"])
    return network, weights.explain(decoder, torch.randn(5, *SHAPE), range(5), weights.Options(), 0)


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_every_map_of_a_class_is_its_row_of_the_weight_matrix(temperature):
    network, found = explain({"name": "linear"}, temperature)
    matrix = network[1].weight.detach().numpy()
    assert found.shape == (5, 3, *SHAPE)
    assert found.dtype == torch.float64
    for maps in found.numpy():
        np.testing.assert_array_equal(maps.reshape(3, 24), matrix)


@pytest.mark.parametrize("settings", [{"name": "mlp", "hidden": 2}, {"name": "cnn3d", "filters": [2]}])
def test_networks_that_are_not_linear_are_refused(settings):
    with pytest.raises(ValueError, match=f"linear network only, not {settings['name']}"):
        explain(settings)
