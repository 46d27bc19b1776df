import logging
import sys

import pytest
import torch
from pyautoattack import AutoAttack
from victims import (
    assert_breaks_saturated,
    assert_gives_no_noise_to_misclassified,
    assert_is_right_on_a_linear_decoder,
    assert_leaves_no_trace,
    attack,
    decoder,
    distances,
    lengths,
    maps,
    predicted,
)

from truemap.attacks import autoattack, pgd
from truemap.runtime.files import DataError


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_is_exact_on_a_linear_decoder(classes):
    assert_is_right_on_a_linear_decoder(autoattack, classes, 0.999, (0.3, 0.7))


def test_is_exact_on_a_linear_decoder_of_the_seven_tasks():
    assert_is_right_on_a_linear_decoder(autoattack, 7, 0.999, (0.5,))


def test_noise_may_leave_the_range_of_the_maps():
    """All voxels are at the smallest or largest value: room is needed on both sides to reach the boundary."""
    model, x = decoder("linear"), maps(16).sign()
    labels = predicted(model, x)
    away = distances(model, x, labels)
    bound = 1.01 * away.max().item()
    noise = attack(autoattack, model, x, labels, bound)
    assert (predicted(model, x + noise) != labels).all()
    assert ((x + noise).abs() > 1).any()


@pytest.mark.parametrize(("name", "classes"), [("mlp", 2), ("mlp", 3), ("mlp", 7), ("cnn3d", 3)])
def test_is_as_strong_as_pgd(name, classes):
    model, x = decoder(name, classes), maps(40)
    labels = predicted(model, x)
    counts = []
    for module in (autoattack, pgd):
        noise = attack(module, model, x, labels, 0.4)
        counts.append((predicted(model, x + noise) != labels).sum().item())
    assert 5 < counts[1] < 35
    assert counts[0] >= counts[1] - 1
    assert counts[1] >= counts[0] - 6


def raw_package(model, x, labels, bound):
    """The package on z-scores as they are."""
    with torch.random.fork_rng([]):
        kit = AutoAttack(model.network, attacks=["apgd-ce"], eps=bound, norm="L2", seed=0, version="custom")
        return kit.run_standard_evaluation(x.clone(), labels, batch_size=len(x))[0] - x


def test_without_the_cube_the_package_leaves_the_ball_and_with_it_does_not():
    """Half of all z-scores are below 0: clamped to [0, 1], a map is far away from itself."""
    model, x = decoder("cnn3d"), 3 * maps()
    labels = predicted(model, x)
    assert lengths(raw_package(model, x, labels, 0.5)).max() > 10 * 0.5
    noise = attack(autoattack, model, x, labels, 0.5)
    assert (lengths(noise) <= 0.5 * (1 + 1e-6)).all()
    assert ((x + noise) < 0).any()
    assert ((x + noise) > 1).any()


def test_without_the_cube_the_package_claims_robustness_that_is_not_there():
    """Maps within half the bound of the boundary of a linear decoder; beyond [0, 1] the package does not get there."""
    model, x = decoder("linear", 2), maps(60) + 4
    labels = predicted(model, x)
    bound = 2 * distances(model, x, labels).max().item()
    clamped = predicted(model, x + raw_package(model, x, labels, bound)) == labels
    assert clamped.float().mean() > 0.2
    assert (predicted(model, x + attack(autoattack, model, x, labels, bound)) != labels).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("room", [1e-3, 0.5, 95.0])
def test_the_cube_changes_neither_maps_nor_logits(room, dtype):
    model, x = decoder("mlp"), (5 * maps()).to(dtype)
    model.network.to(dtype)
    cube = autoattack.UnitCube(model.network, x, room)
    z = cube.into(x)
    assert z.dtype == torch.float32
    assert z.min() >= 0
    assert z.max() <= 1
    assert cube.back(z).dtype == dtype
    torch.testing.assert_close(cube.back(z), x, rtol=0, atol=2e-7 * cube.width)
    torch.testing.assert_close(cube(z), model.network(x), rtol=1e-4, atol=1e-4)
    # A point at the bound, in one voxel, is still inside.
    corner = x.clone()
    corner[0, 0, 0, 0] = x.max() + room
    assert cube.into(corner).max() <= 1 + 1e-6


def test_a_third_logit_is_never_the_largest():
    model, x = decoder("mlp", 2), maps()
    cube = autoattack.UnitCube(model.network, x, 1.0)
    logits = cube(cube.into(x))
    assert logits.shape == (len(x), 3)
    assert (logits[:, 2] <= logits[:, :2].amin(1) - 0.999).all()
    assert torch.equal(logits.argmax(1), predicted(model, x))


def test_broken_in_the_cube_is_broken_outside(monkeypatch):
    """Of 80 maps, FAB's among them, which stop just beyond the boundary."""
    model, x = decoder("cnn3d"), 3 * maps(80)
    labels, claims = predicted(model, x), []
    run = AutoAttack.run_standard_evaluation

    def recorded(self, z, y, **options):
        found, decided = run(self, z, y, **options)
        claims.append(decided)
        return found, decided

    monkeypatch.setattr(AutoAttack, "run_standard_evaluation", recorded)
    broken = predicted(model, x + attack(autoattack, model, x, labels, 4.0)) != labels
    assert 10 < broken.sum() < 75
    assert torch.equal(broken, claims[0] != labels)


@pytest.mark.parametrize("bound", [0.02, 0.3, 3.0, 95.0])
@pytest.mark.parametrize("name", ["linear", "mlp", "cnn3d"])
def test_noise_is_never_longer_than_the_bound(name, bound):
    model, x = decoder(name), 3 * maps(6)
    noise = attack(autoattack, model, x, torch.tensor([0, 1, 2, 3, 0, 1]), bound)
    assert torch.isfinite(noise).all()
    assert (lengths(noise) <= bound * (1 + 1e-6)).all()


def test_robust_maps_get_no_noise():
    model, x = decoder("linear"), maps(8)
    labels = predicted(model, x)
    noise = attack(autoattack, model, x, labels, 0.5 * distances(model, x, labels).min().item())
    assert (noise == 0).all()


@pytest.mark.parametrize(("factor", "fault"), [(1.0005, False), (1.01, True)])
def test_noise_beyond_rounding_is_a_fault(monkeypatch, factor, fault):
    model, x = decoder("linear"), maps(4)

    def careless(self, z, y, **_):
        return z + factor * self.epsilon / z[0].numel() ** 0.5, y

    monkeypatch.setattr(AutoAttack, "run_standard_evaluation", careless)
    if fault:
        with pytest.raises(RuntimeError, match=r"length 1\.01 for a bound of 1"):
            attack(autoattack, model, x, predicted(model, x), 1.0)
    else:
        noise = attack(autoattack, model, x, predicted(model, x), 1.0)
        torch.testing.assert_close(lengths(noise), torch.ones(4).double(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_breaks_saturated_decoders(classes):
    assert_breaks_saturated(autoattack, classes)


def test_gives_no_noise_to_misclassified_maps():
    assert_gives_no_noise_to_misclassified(autoattack)


def test_leaves_no_trace(capfd, caplog):
    logger, trace = logging.getLogger("auto-attack"), sys.gettrace()
    caplog.set_level(logging.INFO)
    level = logger.level
    assert_leaves_no_trace(autoattack)
    assert capfd.readouterr() == ("", "")
    assert caplog.messages == []
    assert logger.level == level
    assert sys.gettrace() is trace


def test_the_seed_is_of_the_samples_and_the_run():
    model, x = decoder("cnn3d"), maps(8)
    labels = predicted(model, x)
    first = attack(autoattack, model, x, labels, 0.8)
    assert not torch.equal(attack(autoattack, model, x, labels, 0.8, seed=1), first)
    assert not torch.equal(attack(autoattack, model, x, labels, 0.8, samples=range(8)), first)


def test_options_reach_the_package(monkeypatch):
    kits = []

    def recorded(self, z, y, **_):
        kits.append(self)
        return z, y

    monkeypatch.setattr(AutoAttack, "run_standard_evaluation", recorded)
    for classes, options in [(2, {}), (3, {}), (7, {}), (7, {"targets": 2, "restarts": 4})]:
        model = decoder("linear", classes)
        attack(autoattack, model, maps(2), torch.tensor([0, 1]), 1.0, **options)
    assert [kit.apgd.n_restarts for kit in kits] == [1, 1, 1, 4]
    assert [kit.apgd_targeted.n_target_classes for kit in kits] == [1, 2, 6, 2]
    assert [kit.fab.n_target_classes for kit in kits] == [1, 2, 6, 2]
    assert [kit.attacks_to_run[1] for kit in kits] == ["apgd-dlr", "apgd-dlr", "apgd-t", "apgd-t"]


def test_a_missing_package_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    model, x = decoder("linear"), maps(2)
    with pytest.raises(DataError, match=r"pip install pyautoattack==0\.2\.0"):
        attack(autoattack, model, x, predicted(model, x), 1.0)
