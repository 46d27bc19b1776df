import pytest
import torch
from captum.attr import DeepLiftShap
from small_decoders import assert_equals_by_class, assert_leaves_no_trace, context, decoder, explain, maps, residual

from truemap.numerics import derive_seed
from truemap.saliency.deeplift import contributions

pytestmark = pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
SAMPLES = [11, 3, 700, 12]


def baselines(shape, sample, n, seed=0):
    """The training maps that a sample draws."""
    source = torch.Generator().manual_seed(derive_seed(seed, "deeplift_shap", sample))
    training = context(shape).training
    return training.get(torch.randint(len(training), (n,), generator=source))[0]


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "cnn3d-stride-1", "linear"])
def test_equals_captum_given_the_same_baselines(name):
    model, x = decoder(name), maps(name)
    drawn = [baselines(tuple(x.shape[1:]), sample, 6) for sample in SAMPLES]
    method = DeepLiftShap(model.network)

    def expected(c):
        return torch.cat([method.attribute(x[k : k + 1], drawn[k], target=c) for k in range(len(x))])

    assert_equals_by_class(explain("deeplift_shap", model, x, SAMPLES, n=6), expected, x)


def test_is_the_mean_of_deeplift_over_the_baselines_of_each_sample():
    model, x = decoder("cnn3d"), maps("cnn3d", 2)
    found = explain("deeplift_shap", model, x, [5, 9], seed=4, n=3)
    for k, sample in enumerate([5, 9]):
        drawn = baselines(tuple(x.shape[1:]), sample, 3, seed=4)
        each = [contributions(model.network, x[k : k + 1], start[None])[0] for start in drawn]
        torch.testing.assert_close(found[k], torch.stack(each).mean(dim=0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
def test_sums_to_the_difference_of_the_logits_from_their_mean_over_the_baselines(name):
    model, x = decoder(name), maps(name)
    found = explain("deeplift_shap", model, x, SAMPLES, n=4)
    missed = residual("deeplift_shap", model, x, found, SAMPLES, n=4)
    size = found.abs().flatten(2).sum(dim=2).max()
    assert missed.shape == (4, 4)
    assert missed.abs().max() < 2e-6 * size
    assert residual("deeplift_shap", model, x, found, SAMPLES[::-1], n=4).abs().max() > 1e-3 * size
    start = baselines(tuple(x.shape[1:]), 11, 4)
    delta = model.network(x[:1])[0] - model.network(start).mean(dim=0)
    torch.testing.assert_close(found[0].flatten(1).sum(dim=1).float(), delta, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "cnn3d"])
def test_a_map_depends_on_its_sample_not_on_its_batch_or_place(name):
    model, x = decoder(name), maps(name)
    together = explain("deeplift_shap", model, x, SAMPLES, n=3)
    backwards = explain("deeplift_shap", model, x.flip(0), SAMPLES[::-1], n=3)
    torch.testing.assert_close(backwards.flip(0), together, rtol=1e-4, atol=1e-6)
    for k, sample in enumerate(SAMPLES):
        alone = explain("deeplift_shap", model, x[k : k + 1], [sample], n=3)
        torch.testing.assert_close(alone[0], together[k], rtol=1e-4, atol=1e-6)


def test_samples_and_seeds_have_baselines_of_their_own():
    model, x = decoder("mlp"), maps("mlp", 1).expand(2, 4, 3, 2)
    two = explain("deeplift_shap", model, x, [1, 2])
    assert not torch.allclose(two[0], two[1], rtol=1e-2)
    assert not torch.allclose(explain("deeplift_shap", model, x, [1, 2], seed=10), two, rtol=1e-2)


def test_leaves_no_trace():
    assert_leaves_no_trace("deeplift_shap", "cnn3d", n=3)


def test_global_random_state_is_neither_used_nor_moved():
    model, state = decoder("mlp"), torch.get_rng_state()
    explain("deeplift_shap", model, maps("mlp"))
    assert torch.equal(torch.get_rng_state(), state)
