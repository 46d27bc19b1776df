import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import pearsonr, spearmanr

from truemap.config.registry import method, resolve_method
from truemap.data.grid import Grid
from truemap.data.volumes import Volumes
from truemap.evaluation import attacked_maps
from truemap.evaluation.attacked_maps import Fragile, changes
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import Truth
from truemap.map_attacks._attacked import Found
from truemap.map_attacks._contract import MapAttack
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

SHAPE, CLASSES = (4, 4, 3), ["a", "b", "c"]
VOXELS = int(np.prod(SHAPE))
MASK = np.ones(SHAPE, dtype=bool)
MASK[0, 0] = False
SETTINGS = {"epsilon": [0.05, 0.3], "norm": "linf", "top": 0.1, "seed": 0, "memory": 100, "standardize": "volume"}


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


def fragile(attack="top_k", saliency="gradient", settings=None, subjects=2, **options):
    """A random network and maps of a few subjects; the truth is theirs."""
    torch.manual_seed(0)
    network = build_network({"name": "mlp", "hidden": 6}, SHAPE, 3).eval().requires_grad_(False)
    decoder = Decoder(network, 1.0, CLASSES, "mlp")
    n = 4 * len(CLASSES)
    values = np.random.default_rng(5).standard_normal((n, *SHAPE)).astype(np.float32)
    label = [CLASSES[k % 3] for k in range(n)]
    subject = [f"s{k % subjects}" if subjects else "" for k in range(n)]
    table = pd.DataFrame({"sample": np.arange(n) + 70, "subject": subject, "label": label, "condition": label})
    volumes = Volumes([values], table.assign(negated=False))
    truths = {}
    for name, part in volumes.table.groupby("subject"):
        means = np.stack([values[g.index].reshape(len(g), -1).mean(0) for _, g in part.groupby("label")])
        truths[name, "all"] = Truth(pd.DataFrame({"label": CLASSES, "n": 2, "scale": 1.0}), means, "classes")
    batches = Batches(volumes, CLASSES, torch.device("cpu"))
    context = Context(0, batches, torch.zeros(SHAPE), -4.0, 4.0)
    way = method("saliency", resolve_method("saliency", {"name": saliency}), Saliency)
    chosen = method("map_attacks", resolve_method("map_attacks", {"name": attack, **options}), MapAttack)
    given, grid = ScoreInputs(truths, None, volumes), Grid(MASK, np.diag([3.0, 3, 4, 1]))
    return Fragile(decoder, batches, way, context, chosen, given, grid, None, {**SETTINGS, **(settings or {})})


@pytest.mark.parametrize(("attack", "options"), [("top_k", {"iterations": 3}), ("random_sign", {})])
def test_the_table_has_a_row_a_sample_bound_and_measure(attack, options):
    of = fragile(attack, **options)
    chosen = np.array([0, 3, 4, 7])
    table = of.table(chosen)
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


def test_agreement_is_that_of_the_methods_own_maps_at_the_attacked_input():
    of = fragile("random_sign")
    found = of.table(np.arange(12))
    values, network = of.batches.volumes.parts[0], of.decoder.network
    row = 7
    sample, label = of.batches.volumes.table.loc[row, ["sample", "label"]]
    mine = found[(found["sample"] == sample) & (found["epsilon"] == 0.3) & (found["truth"] == "full")]
    value = mine.set_index("measure")["value"]
    attack = of.attack.perturb(of._attacked(torch.from_numpy(values[[row]]), of.batches.volumes.table.iloc[[row]],
                                            of._surrogate(np.array([row]))), 0.3, of.attack.options)  # fmt: skip
    truth = of.given.truths[of.batches.volumes.table.loc[row, "subject"], "all"]
    for ending, x in (("before", values[row]), ("after", values[row] + attack.noise[0].numpy())):
        inputs = torch.from_numpy(x)[None].requires_grad_(True)
        p = torch.softmax(network(inputs), 1)
        maps = [torch.autograd.grad(p[0, c], inputs, retain_graph=True)[0].numpy().reshape(-1) for c in range(3)]
        r = [pearsonr(maps[c], truth.of(label, name)[0]).statistic for c, name in enumerate(CLASSES)]
        own = CLASSES.index(label)
        assert value[f"pairwise_{ending}"] == pytest.approx(np.mean([r[c] for c in range(3) if c != own]), abs=1e-5)
        if not np.isnan(value[f"informative_{ending}"]):
            assert value[f"informative_{ending}"] == pytest.approx(r[own], abs=1e-5)
    assert value["pairwise_loss"] == pytest.approx(value["pairwise_before"] - value["pairwise_after"])


def test_of_samples_that_the_decoder_gets_wrong_the_informative_map_is_not_the_one_attacked():
    found = fragile("random_sign").table(np.arange(12))
    wrong = found["predicted"] != found["label"]
    informative = found["measure"].str.startswith("informative")
    assert wrong.any() and not wrong.all()
    assert found.loc[wrong & informative, "value"].isna().all()
    assert set(found.loc[wrong & informative, "reason"]) == {attacked_maps.WRONG}
    assert found.loc[~wrong & informative, "value"].notna().all()


def test_maps_without_signs_are_compared_by_their_sizes_too():
    found = fragile("random_sign", "absolute_gradient").table(np.arange(3))
    assert {"informative_absolute_after", "pairwise_absolute_loss"} <= set(found["measure"])


def test_where_there_are_no_subjects_the_truth_is_that_of_all_maps():
    found = fragile("random_sign", subjects=0).table(np.arange(3))
    assert set(found["truth"]) == {"", "full"}


def test_bounds_are_in_units_of_the_maps_sd():
    plain = fragile("random_sign", settings={"standardize": "none"})
    values = plain.context.training.volumes.parts[0].astype(float)
    assert plain.sd == pytest.approx(np.sqrt(values.reshape(12, -1).var(1).mean()))
    found = plain.table(np.arange(3))
    assert found["bound"].unique() == pytest.approx(np.array([0.05, 0.3]) * plain.sd)
    assert fragile("random_sign").sd == 1
    round_ball = fragile("random_sign", settings={"norm": "l2"}).table(np.arange(3))
    assert round_ball["bound"].unique() == pytest.approx(np.array([0.05, 0.3]) * np.sqrt(MASK.sum()))
    assert round_ball["l2"].to_numpy() == pytest.approx(round_ball["bound"].to_numpy())


@pytest.mark.parametrize("megabytes", [0.001, 100])
def test_it_does_not_hang_on_how_many_are_attacked_at_a_time(megabytes):
    found = fragile("mass_center", iterations=3, settings={"memory": megabytes}).table(np.arange(6))
    expected = fragile("mass_center", iterations=3).table(np.arange(6))
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
            Fragile(**{**vars(of), "attack": MapAttack("bad", of.attack.options, perturb)}).table(np.arange(3))
