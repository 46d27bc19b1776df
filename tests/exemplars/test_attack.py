import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr
from small_layers import SHAPE, batches, decoder, everything

from truemap.exemplars.attack import Options, attack_table, gradient_sign, most, random_sign
from truemap.exemplars.influence import Options as Damping
from truemap.exemplars.influence import influence_of

COLUMNS = [
    *("sample", "subject", "label", "epsilon", "kind", "kept", "spearman", "reason", "overlap", "before", "after"),
    *("attacked_before", "attacked_after"),
]
EVERYWHERE = torch.ones(SHAPE, dtype=torch.bool)


def influence(name="mlp", dtype=torch.float32, n=60):
    return influence_of(decoder(name, dtype=dtype), batches(n), Damping(damping=0.03, refit=True))


def table(found, tests, rows=range(8), inside=EVERYWHERE, sd=1.0, seed=0, n=60, **options):
    training = batches(n).volumes.table["sample"].tolist()
    return attack_table(found, tests, training, rows, inside, sd, Options(**options), seed)


def test_a_row_is_what_is_written_out_by_hand():
    """Eq. 4 by autograd of influences of the map, the ball in units of sd, ranks by scipy."""
    found, tests, sd, epsilon = influence("cnn3d"), batches(8, seed=1, first=100), 1.7, 0.05
    rows = table(found, tests, [6, 2], sd=sd, epsilon=[epsilon])
    assert rows.columns.tolist() == COLUMNS
    assert rows["sample"].tolist() == [118, 106, 118, 106]
    assert rows["kind"].tolist() == ["targeted", "targeted", "random", "random"]
    ids = batches(60).volumes.table["sample"].to_numpy()
    for _, row in rows.iterrows():
        at = (row["sample"] - 100) // 3
        x, labels = tests.get(torch.tensor([at]))
        before = found.of(x, labels)[0]
        three = before.argsort()[:3]
        if row["kind"] == "targeted":
            weights = torch.zeros(1, 60).double().index_fill(1, three, -1.0)
            signs = -found.towards(x, labels, weights)[1].sign()
        else:
            signs = random_sign(x, [row["sample"]], 0)
        moved = x + epsilon * sd * signs
        after = found.of(moved, labels)[0]
        assert row["spearman"] == pytest.approx(spearmanr(before, after).statistic, abs=1e-6)
        assert row["before"] == ids[before.argsort()[:5]].tolist()
        assert row["after"] == ids[after.argsort()[:5]].tolist()
        assert row["overlap"] == len(set(row["before"]) & set(row["after"]))
        assert row["kept"] == (found.decoder.network(moved).argmax() == found.decoder.network(x).argmax()).item()
        assert row["attacked_before"] == pytest.approx(before[three].mean().item(), rel=1e-4)
        assert row["attacked_after"] == pytest.approx(after[three].mean().item(), rel=1e-4)


@pytest.mark.parametrize("influential", ["helpful", "harmful", "largest"])
@pytest.mark.parametrize("name", ["mlp", "cnn3d", "linear"])
def test_a_small_step_makes_the_attacked_less_influential_as_fast_as_can_be(name, influential):
    """The change is minus epsilon times the gradient's L1 norm, which no other step of the ball reaches."""
    found, epsilon = influence(name, torch.float64), 1e-5
    x, labels = everything(batches(6, seed=1))
    before = found.of(x, labels)
    size = {"helpful": -before, "harmful": before, "largest": before.abs()}[influential]
    three = torch.stack([torch.tensor(np.argsort(-row, kind="stable")[:3]) for row in size.numpy()])
    signs = {"helpful": -1.0, "harmful": 1.0, "largest": before.gather(1, three).sign()}[influential]

    def attacked(at):
        return (found.of(at, labels).gather(1, three) * signs).sum(dim=1)

    step = gradient_sign(found, x, labels, before, Options(influential=influential))
    change = attacked(x + epsilon * step) - attacked(x)
    weights = torch.zeros_like(before).scatter(1, three, signs)
    steepest = epsilon * found.towards(x, labels, weights)[1].abs().flatten(1).sum(dim=1)
    torch.testing.assert_close(change, -steepest, rtol=1e-3, atol=1e-12)
    for seed in range(5):
        other = attacked(x + epsilon * random_sign(x, range(6), seed)) - attacked(x)
        assert (other > change).all()


def test_helpful_is_the_default_and_what_the_papers_figures_show():
    """Most influential are those that lower the loss: of the test map's own class, in these data."""
    found, tests = influence(), batches(12, seed=1)
    rows = table(found, tests, range(12), epsilon=[0.1]).query("kind == 'targeted'")
    labels = dict(zip(*batches(60).volumes.table[["sample", "label"]].to_numpy().T, strict=True))
    same = [labels[sample] == row.label for row in rows.itertuples() for sample in row.before]
    assert np.mean(same) > 0.7
    assert (rows["attacked_after"] > rows["attacked_before"]).all()


def test_targeted_does_more_than_random_and_more_with_epsilon():
    found, tests = influence("cnn3d"), batches(40, seed=1)
    rows = table(found, tests, range(40), epsilon=[0.05, 0.2])
    means = rows.groupby(["epsilon", "kind"])["spearman"].mean()
    assert means[0.05, "targeted"] < means[0.05, "random"] - 0.001
    assert means[0.2, "targeted"] < means[0.2, "random"] - 0.01
    assert means[0.2, "targeted"] < means[0.05, "targeted"]


def test_steps_stay_in_the_ball_and_the_mask(monkeypatch):
    found, tests = influence(), batches(8, seed=1)
    inside, met = EVERYWHERE.clone(), []
    inside[0] = False
    real = type(found).of
    monkeypatch.setattr(type(found), "of", lambda self, x, labels: met.append(x) or real(self, x, labels))
    table(found, tests, inside=inside, sd=0.5, epsilon=[0.1, 0.4])
    x = met[0]
    assert len(met) == 5
    for moved, epsilon in zip(met[1:], (0.1, 0.1, 0.4, 0.4), strict=True):
        assert (moved - x).abs().max().item() == pytest.approx(0.5 * epsilon, rel=1e-5)
        assert torch.equal(moved[:, ~inside], x[:, ~inside])
        assert (moved != x)[:, inside].double().mean() > 0.9
    assert torch.equal((met[2] - x).sign(), (met[4] - x).sign())


def test_of_equal_ones_the_first_counts():
    found = torch.tensor([[0.5, -1.0, 0.5, -1.0, 2.0]])
    assert most(found, "helpful", 3).tolist() == [[1, 3, 0]]
    assert most(found, "harmful", 3).tolist() == [[4, 0, 2]]
    assert most(found, "largest", 9).tolist() == [[4, 1, 3, 0, 2]]


def test_random_signs_hang_on_seed_and_sample_alone():
    x = torch.zeros(3, *SHAPE)
    found = random_sign(x, [7, 8, 9], 0)
    assert set(found.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(random_sign(x[:1], [8], 0)[0], found[1])
    assert not torch.equal(random_sign(x, [7, 8, 9], 1), found)
    assert not torch.equal(found[0], found[1])
    assert abs(random_sign(torch.zeros(1, 50, 50, 50), [1], 0).mean().item()) < 0.01


def test_a_prediction_that_was_not_kept_is_said():
    rows = table(influence(), batches(30, seed=1), range(30), epsilon=[1e-6, 5.0])
    assert rows.query("epsilon < 1")["kept"].all()
    assert not rows.query("epsilon > 1 and kind == 'targeted'")["kept"].all()


def test_the_order_of_rows_and_batches_does_not_matter():
    found, tests = influence(), batches(8, seed=1)
    one, other = table(found, tests, range(8)), table(found, tests, [5, 1])
    kept = one[one["sample"].isin(other["sample"])]
    for rows in (kept, other):
        rows.sort_values(["sample", "epsilon", "kind"], inplace=True)
    pd.testing.assert_frame_equal(kept.reset_index(drop=True), other.reset_index(drop=True), rtol=1e-4)


def test_constant_influences_have_no_rank_correlation_but_a_reason():
    """A map that is explained by features of zeros and a bias alone: all training maps of a class are the same."""
    model = decoder("mlp", dtype=torch.float32)
    model.network[1].weight.zero_()
    model.network[1].bias.fill_(-1.0)
    model.network[-1].bias.zero_()
    model.network[-1].weight.zero_()
    alike = batches(20)
    alike.labels.zero_()
    found = influence_of(model, alike, Damping(damping=0.1))
    rows = attack_table(found, batches(3, seed=1), range(20), [0], EVERYWHERE, 1.0, Options(epsilon=[0.1]), 0)
    assert rows["spearman"].isna().all()
    assert rows["reason"].str.startswith("all influences are the same").all()
    assert rows["kept"].all()


def test_fewer_training_maps_than_are_compared():
    rows = table(influence(n=3), batches(4, seed=1), [0, 1], n=3)
    assert (rows["overlap"] == 3).all()
    assert all(sorted(found) == [0, 3, 6] for found in rows["before"])


def test_options():
    assert Options().model_dump()["attacked"] == 3
    for wrong in ({"epsilon": []}, {"epsilon": [0.0]}, {"attacked": 0}, {"influential": "most"}):
        with pytest.raises(ValidationError):
            Options(**wrong)
