from itertools import permutations

import numpy as np
import pytest
import torch
from fragile_maps import CLASSES, MASK, SHAPE, fragile, with_network
from scipy.stats import pearsonr

from truemap.evaluation.attacked_truth import MOVED, WRONG


def test_agreement_is_that_of_the_methods_own_maps_at_the_attacked_input():
    of = fragile("random_sign")
    found = of.tables(np.arange(12))[0]
    values, network = of.batches.volumes.parts[0], of.decoder.network
    row = 7
    sample, label = of.batches.volumes.table.loc[row, ["sample", "label"]]
    mine = found[(found["sample"] == sample) & (found["epsilon"] == 0.3) & (found["truth"] == "full")]
    value = mine.set_index("measure")["value"]
    attack = of.attack.perturb(of._attacked(torch.from_numpy(values[[row]]), of.batches.volumes.table.iloc[[row]],
                                            of._surrogate(np.array([row]))), 0.3, of.attack.options)  # fmt: skip
    truth = of.truths.given.truths[of.batches.volumes.table.loc[row, "subject"], "all"]
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
    found = fragile("random_sign").tables(np.arange(12))[0]
    wrong = found["predicted"] != found["label"]
    informative = found["measure"].str.startswith("informative")
    assert wrong.any() and not wrong.all()
    assert found.loc[wrong & informative, "value"].isna().all()
    assert set(found.loc[wrong & informative, "reason"]) == {WRONG}
    assert found.loc[~wrong & informative, "value"].notna().all()


def test_maps_without_signs_are_compared_by_their_sizes_too():
    found = fragile("random_sign", "absolute_gradient").tables(np.arange(3))[0]
    assert {"informative_absolute_after", "pairwise_absolute_loss"} <= set(found["measure"])


def test_where_there_are_no_subjects_the_truth_is_that_of_all_maps():
    found = fragile("random_sign", subjects=0).tables(np.arange(3))[0]
    assert set(found["truth"]) == {"", "full"}


def test_the_map_attacked_is_compared_with_what_the_network_does_with_both_samples():
    """By hand: the gradient of the predicted class times the way, summed over slabs, and Shapley values by f alone."""
    of, row = with_network(epsilon=(0.3,)), 5
    found = of.tables(np.array([row]))[0]
    value = found[found["conditions"] == "all"].set_index(["measure", "truth"])["value"]
    x = torch.from_numpy(of.batches.volumes.parts[0][row])
    predicted = of.decoder.network(x[None]).argmax(1)
    attacked = of._attacked(x[None], of.batches.volumes.table.iloc[[row]], of._surrogate(np.array([row])))
    noise = of.attack.perturb(attacked, 0.3, of.attack.options).noise[0]
    slabs = np.arange(4)

    def told(at):
        inputs = at[None].clone().requires_grad_(True)
        p = torch.softmax(of.decoder.network(inputs), 1)[0, predicted]
        m = (torch.autograd.grad(p.sum(), inputs)[0][0] * at).detach().numpy() * MASK
        return m.sum(axis=(1, 2))

    def does(at):
        phi = np.zeros(4)
        for order in permutations(slabs):
            kept = torch.zeros(SHAPE, dtype=torch.bool) | ~torch.from_numpy(MASK)
            before = torch.softmax(of.decoder.network(torch.where(kept, at, 0.0)[None]).double(), 1)[0, predicted]
            for slab in order:
                kept[slab] = True
                now = torch.softmax(of.decoder.network(torch.where(kept, at, 0.0)[None]).double(), 1)[0, predicted]
                phi[slab] += float(now - before) / 24
                before = now
        return phi

    def r(at, truth):
        return pearsonr(told(at), does(truth)).statistic

    assert value["network_before", "network"] == pytest.approx(r(x, x), abs=1e-4)
    assert value["network_before", MOVED] == pytest.approx(r(x, x), abs=1e-4)
    assert value["network_after", "network"] == pytest.approx(r(x + noise, x), abs=1e-4)
    assert value["network_after", MOVED] == pytest.approx(r(x + noise, x + noise), abs=1e-4)
    lost = value["network_before", MOVED] - value["network_after", MOVED]
    assert value["network_loss", MOVED] == pytest.approx(lost)
    assert value["network_after", MOVED] != value["network_after", "network"]


def test_what_the_network_does_with_attacked_samples_is_asked_where_it_is_asked_for():
    found = with_network(moved=False).tables(np.arange(3))[0]
    assert set(found["truth"]) == {"", "full", "leave_out", "network"}
    assert {"network_after", "network_absolute_loss"} <= set(found["measure"])
