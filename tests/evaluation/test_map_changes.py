import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from truemap.evaluation.map_changes import changes


def rows(n, seed):
    return torch.randn(n, 30, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_changes_are_those_of_scipy_and_numpy():
    before, after, noise = rows(5, 0), rows(5, 1) + rows(5, 0), rows(5, 2)
    places = rows(3, 3).T.contiguous()
    found = {name: values.numpy() for name, values in changes(before, after, noise, places, 0.2).items()}
    for row in range(5):
        was, now = before[row].numpy(), after[row].numpy()
        assert found["spearman"][row] == pytest.approx(spearmanr(abs(was), abs(now)).statistic)
        assert found["spearman_signed"][row] == pytest.approx(spearmanr(was, now).statistic)
        top = [set(np.argsort(-abs(values))[:6]) for values in (was, now)]
        assert found["top_k"][row] == pytest.approx(len(top[0] & top[1]) / 6)
        centre = [abs(values) @ places.numpy() / abs(values).sum() for values in (was, now)]
        assert found["shift"][row] == pytest.approx(np.linalg.norm(centre[0] - centre[1]))
        length = np.linalg.norm(noise[row].numpy())
        assert found["sensitivity"][row] == pytest.approx(np.linalg.norm(was - now) / length)
        equal = np.linalg.norm(was / abs(was).sum() - now / abs(now).sum()) / length
        assert found["sensitivity_equal"][row] == pytest.approx(equal)


def test_the_printed_sensitivity_falls_by_rescaling_and_the_other_does_not():
    before, after, noise, places = rows(4, 0), rows(4, 1), rows(4, 2), rows(3, 3).T.contiguous()
    found, small = changes(before, after, noise, places, 0.2), changes(before / 1e9, after / 1e9, noise, places, 0.2)
    torch.testing.assert_close(small["sensitivity"], found["sensitivity"] / 1e9)
    for name in set(found) - {"sensitivity"}:
        torch.testing.assert_close(small[name], found[name])


def test_what_has_not_moved_has_not_changed_and_has_no_sensitivity():
    maps = rows(3, 0)
    found = changes(maps, maps, torch.zeros(3, 30), rows(3, 3).T.contiguous(), 0.1)
    assert (found["spearman"] == 1).all() and (found["top_k"] == 1).all() and (found["shift"] == 0).all()
    assert found["sensitivity"].isnan().all() and found["sensitivity_equal"].isnan().all()
