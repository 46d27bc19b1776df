from dataclasses import replace

import numpy as np
import pytest
import torch
from fragile_maps import MASK, fragile

from truemap.map_attacks._attacked import Found
from truemap.map_attacks._contract import MapAttack


@pytest.mark.parametrize(("attack", "options"), [("top_k", {"iterations": 3}), ("random_sign", {})])
def test_the_table_has_a_row_a_sample_bound_and_measure(attack, options):
    of = fragile(attack, **options)
    chosen = np.array([0, 3, 4, 7])
    table = of.tables(chosen)[0]
    assert set(table["sample"]) == {70, 73, 74, 77} and set(table["epsilon"]) == {0.05, 0.3}
    assert not table.duplicated(["sample", "epsilon", "measure", "conditions", "truth"]).any()
    changed = ["spearman", "spearman_signed", "top_k", "shift", "sensitivity", "sensitivity_equal", "gain"]
    agreed = [f"{name}_{when}" for name in ("informative", "pairwise") for when in ("before", "after", "loss")]
    assert set(table["measure"]) == {*changed, *agreed}
    assert (table["linf"] <= table["epsilon"] * (1 + 1e-5)).all() and table["attacked"].all()
    assert (table["value"].isna() == (table["reason"] != "")).all()
    assert set(table.loc[table["truth"] != "", "truth"]) == {"full", "leave_out"}
    assert table[table["measure"] == "gain"]["value"].isna().all() == (attack == "random_sign")
    assert table["beta"].isna().all() == (attack == "random_sign")


def test_bounds_are_in_units_of_the_maps_sd():
    plain = fragile("random_sign", settings={"standardize": "none"})
    values = plain.context.training.volumes.parts[0].astype(float)
    assert plain.sd == pytest.approx(np.sqrt(values.reshape(12, -1).var(1).mean()))
    found = plain.tables(np.arange(3))[0]
    assert found["bound"].unique() == pytest.approx(np.array([0.05, 0.3]) * plain.sd)
    assert fragile("random_sign").sd == 1
    round_ball = fragile("random_sign", settings={"norm": "l2"}).tables(np.arange(3))[0]
    assert round_ball["bound"].unique() == pytest.approx(np.array([0.05, 0.3]) * np.sqrt(MASK.sum()))
    assert round_ball["l2"].to_numpy() == pytest.approx(round_ball["bound"].to_numpy())


@pytest.mark.parametrize("megabytes", [0.001, 100])
def test_it_does_not_hang_on_how_many_are_attacked_at_a_time(megabytes):
    found = fragile("mass_center", iterations=3, settings={"memory": megabytes}).tables(np.arange(6))[0]
    expected = fragile("mass_center", iterations=3).tables(np.arange(6))[0]
    keys = ["sample", "epsilon", "measure", "conditions", "truth"]
    both = found.merge(expected, on=keys)
    assert len(both) == len(found) == len(expected)
    np.testing.assert_allclose(both["value_x"], both["value_y"], rtol=1e-3, atol=1e-5)


def test_an_attack_that_breaks_its_promises_stops_the_job():
    for noise, words in ((1.0, "noise of 1 for a bound"), (-1.0, "outside the mask")):
        of = fragile("random_sign")

        def perturb(attacked, bound, options, noise=noise):
            found = torch.full_like(attacked.x, noise if noise > 0 else 1e-9)
            return Found(found, torch.ones(len(found), dtype=torch.bool), torch.zeros(len(found)))

        with pytest.raises(RuntimeError, match=words):
            replace(of, attack=MapAttack("bad", of.attack.options, perturb)).tables(np.arange(3))[0]
