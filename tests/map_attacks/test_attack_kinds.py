"""What each attack wants of a map, in closed form."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from attacking import AFFINE, MASK, attack, attacked, sizes
from pydantic import ValidationError

from truemap.data.regions import Regions
from truemap.map_attacks import target
from truemap.map_attacks._maps import centres, largest, shares
from truemap.runtime.files import DataError


def after(of, found):
    return of.parts(of.decoder.network, of.x + found.noise)


def test_top_k_takes_from_the_largest_what_others_get():
    of = attacked(8)
    found = attack("top_k", of, iterations=10, k=0.2)
    first = np.argsort(-of.own.numpy(), axis=1, kind="stable")[:, : round(0.2 * MASK.sum())]
    lost = [was[rows].sum() - now[rows].sum() for was, now, rows in zip(of.own.numpy(), after(of, found).numpy(), first,
                                                                         strict=True)]  # fmt: skip
    np.testing.assert_allclose(found.gain, lost, rtol=1e-5, atol=1e-8)
    assert np.mean(lost) > 0


def test_the_centre_moves_in_mm():
    of = attacked(8)
    found = attack("mass_center", of, iterations=10)
    mm = np.argwhere(MASK) * np.diag(AFFINE)[:3] + AFFINE[:3, 3]
    was, now = of.own.numpy() @ mm, after(of, found).numpy() @ mm
    np.testing.assert_allclose(found.gain, np.linalg.norm(now - was, axis=1), rtol=1e-5)
    assert (found.gain > 0).all()


def test_the_centre_attack_starts_though_every_way_is_as_good():
    """With the decoder's own maps in place of the smooth network's the first gradient is that of a norm at 0."""
    of = attacked(6, way="deeplift")
    assert of.network is of.decoder.network
    assert (attack("mass_center", of, iterations=2).gain > 0).all()


def test_the_target_is_the_end_of_the_mask_unless_one_is_named():
    of = attacked(2)
    chosen = np.zeros(MASK.shape, dtype=bool)
    chosen[MASK] = target._voxels(of, target.Options(size=2))
    expected = np.zeros(MASK.shape, dtype=bool)
    expected[7:9, 5:7, 5:7] = True
    np.testing.assert_array_equal(chosen, expected)


@pytest.mark.parametrize("unit", ["voxel", "mm"])
def test_a_box_is_in_voxels_or_in_mm(unit):
    of = attacked(2)
    expected = np.zeros(MASK.shape, dtype=bool)
    expected[2:4, 1:3, 4:6] = True
    # x runs from right to left: -4 mm a voxel.
    box = [[2, 3], [1, 2], [4, 5]] if unit == "voxel" else [[18, 22], [-15, -10], [34, 40]]
    found = target._voxels(of, target.Options(box=box, unit=unit))
    np.testing.assert_array_equal(found, expected[MASK])


def test_a_region_is_one_of_the_datasets():
    of = attacked(4)
    labels = np.where(MASK, 1, 0)
    labels[3:5, 2:4, 2:4] = 2
    of = replace(of, regions=Regions(labels.reshape(-1), ["rest", "middle"]))
    found = attack("target", of, iterations=8, region="middle")
    chosen = labels[MASK] == 2
    gained = after(of, found).numpy()[:, chosen].sum(1) - of.own.numpy()[:, chosen].sum(1)
    np.testing.assert_allclose(found.gain, gained, rtol=1e-5, atol=1e-9)
    assert gained.mean() > 0
    with pytest.raises(DataError, match=r"no region 'mddle' here\. Known: rest, middle"):
        attack("target", of, iterations=1, region="mddle")


def test_targets_that_are_none_are_refused():
    with pytest.raises(DataError, match="no voxel of the mask is in the box"):
        attack("target", attacked(2), iterations=1, box=[[50, 60], [0, 1], [0, 1]])
    with pytest.raises(ValidationError, match="not both"):
        target.Options(box=[[0, 1]] * 3, region="rest")


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_random_signs_are_the_bound_in_each_voxel_and_follow_seed_and_sample_alone(norm):
    of = attacked(6, norm=norm)
    found = attack("random_sign", of, 0.05 if norm == "linf" else 1.0)
    assert found.found.all() and found.gain.isnan().all()
    sign = found.noise[:, torch.from_numpy(MASK)]
    torch.testing.assert_close(sizes(found.noise, norm), torch.full((6,), 0.05 if norm == "linf" else 1.0).double())
    torch.testing.assert_close(sign.abs(), sign.abs().amax().expand_as(sign))
    assert abs(sign.sign().mean()) < 0.1
    smaller = attack("random_sign", of, 0.01)
    assert torch.equal(smaller.noise.sign(), found.noise.sign())
    assert not torch.equal(attack("random_sign", attacked(6, seed=1), 0.01).noise.sign(), smaller.noise.sign())


def test_signs_are_drawn_again_until_the_prediction_stays():
    """At a bound at which some draws change it."""
    of = attacked(40)
    once, often = (attack("random_sign", of, 2.0, draws=draws) for draws in (1, 20))
    assert once.found.sum() < often.found.sum()
    assert torch.equal(often.noise[once.found], once.noise[once.found])
    assert torch.equal(of.decoder.network(of.x + often.noise).argmax(1), of.predicted)


def test_shares_add_up_to_one_whatever_the_scale():
    maps = torch.randn(3, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for scale in (1e-250, 1.0, 1e250):
        scaled = (maps * scale).requires_grad_(True)
        parts = shares(scaled)
        torch.testing.assert_close(parts, maps.abs() / maps.abs().sum(1, keepdim=True))
        (gradient,) = torch.autograd.grad(parts[:, 0].sum(), scaled)
        assert gradient.isfinite().all() and gradient.any()
    assert not shares(torch.zeros(1, 5).double()).any()


def test_centres_and_largest_by_hand():
    parts = torch.tensor([[0.5, 0.0, 0.5], [0.2, 0.2, 0.6]]).double()
    places = torch.tensor([[0.0, 1.0], [10.0, 1.0], [20.0, 3.0]]).double()
    torch.testing.assert_close(centres(parts, places), torch.tensor([[10.0, 2.0], [14.0, 2.2]]).double())
    assert largest(parts, 0.5).tolist() == [[0, 2], [2, 0]]
    assert largest(parts, 0.01).tolist() == [[0], [2]]
