import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from small_layers import batches, decoder, everything
from smooth_networks import SHAPE, TARGETS, explicit, maps, smooth

from truemap.evaluation.angles import (
    FLAT,
    LEVEL,
    UNMOVED,
    angle,
    influence_angles,
    saliency_angles,
)
from truemap.evaluation.random_directions import random_angle, random_share
from truemap.exemplars.influence import Options, influence_of
from truemap.geometry import unit_vectors

EVERYWHERE = torch.ones(SHAPE, dtype=torch.bool)


def plane(degrees, lengths=1.0):
    """Vectors at these angles to the first axis, in five dimensions."""
    turns = np.deg2rad(np.atleast_1d(degrees))
    found = np.zeros((len(turns), 5))
    found[:, 0], found[:, 3] = np.cos(turns), np.sin(turns)
    return torch.from_numpy(found * lengths)


@pytest.mark.parametrize("degrees", [0.0, 1e-6, 1.0, 45.0, 89.9, 90.0, 91.0, 179.0, 180.0])
def test_angles_are_those_of_the_plane(degrees):
    a, b = plane(0.0, 1e-30), plane(degrees, 1e20)
    assert angle(a, b, True) == pytest.approx([degrees], rel=1e-9, abs=1e-9)
    assert angle(a, b, False) == pytest.approx([min(degrees, 180 - degrees)], rel=1e-7, abs=1e-9)
    assert np.isnan(angle(0 * a, b, True)).all()
    assert np.isnan(angle(a, 0 * b, False)).all()


@pytest.mark.parametrize("d", [2, 3, 10, 14812])
@pytest.mark.parametrize("signed", [True, False])
def test_random_angles_have_the_density_of_the_sphere(d, signed):
    """sin(a)^(d - 2), integrated; random vectors too."""

    def density(a):
        return np.exp((d - 2) * np.log(np.sin(a))) if d > 2 else 1.0

    near = np.rad2deg(8 / np.sqrt(d)) if d > 100 else 90.0
    low, high = np.deg2rad(90 - near), np.deg2rad(90 + near if signed else 90)
    whole = quad(density, low, high, epsabs=1e-13, limit=200)[0]
    for degrees in (90 - near / 2, 90 - near / 20, 89.999, *([90.0, 90 + near / 5] if signed else [])):
        part = quad(density, low, np.deg2rad(degrees), epsabs=1e-13, limit=200)[0]
        assert random_share(degrees, d, signed) == pytest.approx(part / whole, rel=1e-6, abs=1e-9)
    if d < 100:
        drawn = unit_vectors(torch.zeros(20_000, d), torch.Generator().manual_seed(0))
        found = angle(drawn, torch.eye(d)[:1].expand(20_000, -1), signed)
        for share in (0.05, 0.5, 0.9):
            assert (found < random_angle(share, d, signed)).mean() == pytest.approx(share, abs=0.012)


@given(st.floats(0.001, 0.999), st.integers(2, 900_000), st.booleans())
def test_shares_and_angles_are_inverse(share, d, signed):
    assert random_share(random_angle(share, d, signed), d, signed) == pytest.approx(share, rel=1e-5, abs=1e-7)


def test_random_directions_of_many_voxels_are_nearly_orthogonal():
    """Of 14,812: the median is 0.674 / sqrt(d) from 90 degrees, as the cosine is nearly normal."""
    assert 90 - random_angle(0.5, 14812, False) == pytest.approx(np.rad2deg(0.67449 / np.sqrt(14812)), rel=1e-3)
    assert random_angle(0.5, 14812, True) == pytest.approx(90, abs=1e-6)
    assert random_share(np.array([0.0, 90.0]), 14812, False) == pytest.approx([0, 1])


@pytest.mark.parametrize("output", ["logit", "probability"])
@pytest.mark.parametrize("masked", [True, False])
def test_saliency_angles_are_those_of_explicit_matrices(output, masked):
    model, x, inside = smooth("cnn3d"), maps(), EVERYWHERE.clone()
    if masked:
        inside[0] = False
    found = saliency_angles(model, x, TARGETS, [4, 5, 6], inside, 0, output, iterations=5000, tolerance=1e-8)
    assert found["sample"].tolist() == [4, 5, 6]
    assert found["converged"].all()
    assert (found["reason"] == "").all()
    d = int(inside.sum())
    assert (found["dimension"] == d).all()
    kept = inside.flatten().numpy()
    for row, line in found.iterrows():
        gradient, hessian = explicit(model, x[row], TARGETS[row], output)
        values, of_values = np.linalg.eigh(hessian.numpy()[np.ix_(kept, kept)])
        v, g = of_values[:, np.abs(values).argmax()], gradient.flatten().numpy()[kept]
        degrees = np.rad2deg(np.arccos(abs(v @ g) / np.linalg.norm(g)))
        assert line["angle"] == pytest.approx(degrees, abs=1e-4)
        assert line["share"] == pytest.approx(random_share(degrees, d, False), abs=1e-4)
        assert line["random"] == pytest.approx(random_angle(0.5, d, False))


def test_saliency_angles_of_a_map_hang_on_nothing_else():
    model, x = smooth("cnn3d"), maps()
    together = saliency_angles(model, x, TARGETS, [4, 5, 6], EVERYWHERE, 0)
    alone = saliency_angles(model, x[[1]], TARGETS[[1]], [5], EVERYWHERE, 0)
    assert alone.loc[0, "angle"] == pytest.approx(together.loc[1, "angle"], rel=1e-6)
    assert alone.loc[0, "iterations"] == together.loc[1, "iterations"]
    other = saliency_angles(model, x, TARGETS, [4, 5, 6], EVERYWHERE, 1)
    np.testing.assert_allclose(other["angle"], together["angle"], atol=1.0)
    assert (other["angle"] != together["angle"]).all()


def test_what_was_not_found_is_said():
    found = saliency_angles(smooth(), maps(), TARGETS, [4, 5, 6], EVERYWHERE, 0, iterations=1, tolerance=1e-9)
    assert not found["converged"].any()
    assert found["angle"].notna().all()
    flat = saliency_angles(smooth("linear"), maps(), TARGETS, [4, 5, 6], EVERYWHERE, 0)
    assert flat["angle"].isna().all()
    assert flat["share"].isna().all()
    assert (flat["reason"] == FLAT).all()
    assert (flat["value"] == 0).all()


def test_a_level_place_of_a_curved_score_is_said():
    """One unit that is even: softplus(u) + softplus(-u) at u = 0."""
    model = smooth("mlp")
    for layer in (model.network[1], model.network[3]):
        layer.bias.zero_()
    model.network[1].weight[1::2] = -model.network[1].weight[::2]
    model.network[3].weight[:, 1::2] = model.network[3].weight[:, ::2]
    found = saliency_angles(model, torch.zeros(1, *SHAPE).double(), torch.tensor([0]), [1], EVERYWHERE, 0)
    assert found.loc[0, "value"] > 0
    assert found.loc[0, "reason"] == LEVEL
    assert np.isnan(found.loc[0, "angle"])


@pytest.mark.parametrize("influential", ["helpful", "harmful"])
def test_influence_angles_are_those_of_finite_differences(influential):
    found = influence_of(decoder("cnn3d"), batches(40), Options(damping=0.05))
    x, labels = everything(batches(3, seed=1))
    inside = torch.ones(4, 3, 2, dtype=torch.bool)
    inside[0] = False
    table = influence_angles(found, x, labels, [7, 8, 9], inside, influential)
    known = found.of(x, labels)
    first = known.argmin(dim=1) if influential == "helpful" else known.argmax(dim=1)
    slopes = torch.zeros(2, 3, 24).double()
    for voxel in inside.flatten().nonzero()[:, 0].tolist():
        step = torch.zeros(24).double()
        step[voxel] = 1e-5
        step = step.view(4, 3, 2)
        ends = [
            torch.stack(
                [
                    torch.nn.functional.cross_entropy(found.decoder.network(x + s * step), labels, reduction="none"),
                    found.of(x + s * step, labels).gather(1, first[:, None])[:, 0],
                ]
            )
            for s in (1, -1)
        ]
        slopes[:, :, voxel] = (ends[0] - ends[1]) / 2e-5
    cosines = torch.cosine_similarity(slopes[0], slopes[1], dim=1)
    np.testing.assert_allclose(table["angle"], np.rad2deg(np.arccos(cosines)), atol=1e-3)
    assert (table["dimension"] == 18).all()
    np.testing.assert_allclose(table["share"], random_share(table["angle"].to_numpy(), 18, True))
    assert (table["random"] == 90).all()


def test_an_influence_that_does_not_move_is_said():
    model = decoder("mlp")
    model.network[1].weight.zero_()
    found = influence_of(model, batches(40), Options(damping=0.05))
    table = influence_angles(found, *everything(batches(2, seed=1)), [0, 1], torch.ones(4, 3, 2, dtype=torch.bool))
    assert table["angle"].isna().all()
    assert (table["reason"] == UNMOVED).all()
