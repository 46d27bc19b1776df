import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr
from small_layers import SHAPE, batches, decoder, everything

from truemap.config.exemplars import Influential
from truemap.config.exemplars import SignAttack as Options
from truemap.exemplars.attack import Exemplars, gradient_sign, most, random_sign, typical
from truemap.exemplars.influence import Options as Damping
from truemap.exemplars.influence import influence_of

COLUMNS = [
    *("sample", "subject", "label", "condition", "negated", "epsilon", "attack", "attacked", "spearman", "reason"),
    *("before", "before_label", "before_influence", "attacked_before"),
    *("after", "after_label", "after_influence", "attacked_after", "overlap"),
]
EVERYWHERE = torch.ones(SHAPE, dtype=torch.bool)


def influence(name="mlp", dtype=torch.float32, n=60):
    return influence_of(decoder(name, dtype=dtype), batches(n), Damping(damping=0.03, refit=True))


def exemplars(found, tests, inside=EVERYWHERE, sd=1.0, seed=0, n=60, own=None, **options):
    """Places of training maps are 5 more than their order, as of a part of a split."""
    training = batches(n).volumes.table[["label"]]
    training.index = np.arange(n) + 5
    return Exemplars(found, own or found.decoder, tests, training, inside, sd, Options(**options), seed)


def table(found, tests, rows=range(8), megabytes=100.0, **how):
    return exemplars(found, tests, **how).table(rows, megabytes)


def test_a_row_is_what_is_written_out_by_hand():
    """Eq. 4 by autograd of influences of the map, the ball in units of sd, ranks by scipy."""
    found, tests, sd, epsilon = influence("cnn3d"), batches(8, seed=1, first=100), 1.7, 0.05
    rows = table(found, tests, [6, 2], sd=sd, epsilon=[epsilon])
    assert rows.columns.tolist() == COLUMNS
    assert rows["sample"].tolist() == [118, 106, 118, 106] and rows["attacked"].any()
    assert rows["attack"].tolist() == ["gradient_sign", "gradient_sign", "random_sign", "random_sign"]
    classes = batches(60).volumes.table["label"].to_numpy()
    for _, row in rows.iterrows():
        at = (row["sample"] - 100) // 3
        x, labels = tests.get(torch.tensor([at]))
        before = found.of(x, labels)[0]
        three = before.argsort()[:3]
        if row["attack"] == "gradient_sign":
            weights = torch.zeros(1, 60).double().index_fill(1, three, -1.0)
            signs = -found.towards(x, labels, weights)[1].sign()
        else:
            signs = random_sign(x, [row["sample"]], 0)
        moved = x + epsilon * sd * signs
        kept = (found.decoder.network(moved).argmax() == found.decoder.network(x).argmax()).item()
        assert row["attacked"] == kept
        after = found.of(moved if kept else x, labels)[0]
        assert row["spearman"] == pytest.approx(spearmanr(before, after).statistic, abs=1e-6)
        for name, values in (("before", before), ("after", after)):
            five = values.argsort()[:5]
            assert row[name] == (five + 5).tolist()
            assert row[f"{name}_label"] == classes[five].tolist()
            np.testing.assert_allclose(row[f"{name}_influence"], values[five], rtol=1e-4)
            assert row[f"attacked_{name}"] == pytest.approx(values[three].mean().item(), rel=1e-4)
        assert row["overlap"] == len(set(row["before"]) & set(row["after"]))


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
    rows = table(found, tests, range(12), epsilon=[0.1]).query("attack == 'gradient_sign'")
    same = [label == row.label for row in rows.itertuples() for label in row.before_label]
    assert np.mean(same) > 0.7
    assert (rows["attacked_after"] > rows["attacked_before"]).all()


def test_targeted_does_more_than_random_and_more_with_epsilon():
    found, tests = influence("cnn3d"), batches(40, seed=1)
    rows = table(found, tests, range(40), epsilon=[0.05, 0.2])
    assert rows["attacked"].mean() > 0.8
    means = rows[rows["attacked"]].groupby(["epsilon", "attack"])["spearman"].mean()
    assert means[0.05, "gradient_sign"] < means[0.05, "random_sign"] - 0.001
    assert means[0.2, "gradient_sign"] < means[0.2, "random_sign"] - 0.01
    assert means[0.2, "gradient_sign"] < means[0.05, "gradient_sign"]


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


def test_a_map_whose_prediction_would_not_stay_comes_back_as_it_was_and_is_counted():
    found, tests = influence(), batches(30, seed=1)
    rows = table(found, tests, range(30), epsilon=[1e-6, 5.0])
    assert rows.query("epsilon < 1")["attacked"].all()
    back = rows.query("epsilon > 1 and not attacked")
    assert 0 < len(back) < 60
    assert (back["spearman"] > 1 - 1e-9).all() and (back["overlap"] == 5).all()
    assert (back["before"] == back["after"]).all() and (back["attacked_before"] == back["attacked_after"]).all()
    x, labels = everything(tests, torch.float32)
    of, how = exemplars(found, tests, epsilon=[5.0]), ("gradient_sign", x, labels, found.of(x, labels), range(30))
    moved, kept = of.moved(x, of.signs(*how), 5.0)
    assert torch.equal(moved[~kept], x[~kept]) and not torch.equal(moved[kept], x[kept])
    assert torch.equal(found.decoder.network(moved).argmax(dim=1), found.decoder.network(x).argmax(dim=1))


def test_it_is_the_decoder_as_it_was_trained_whose_prediction_stays_too():
    """A decoder that answers by the sign of one voxel, beside one that is sure whatever that voxel is."""
    found, tests = influence(), batches(30, seed=1)
    own = decoder("linear", dtype=torch.float32)
    own.network[-1].weight.zero_()
    own.network[-1].bias.zero_()
    own.network[-1].weight[0, -1] = 1.0
    x, labels = everything(tests, torch.float32)
    of = exemplars(found, tests, own=own)
    signs = of.signs("gradient_sign", x, labels, found.of(x, labels), range(30))
    moved, kept = of.moved(x, signs, 0.5)
    assert torch.equal(own.network(moved).argmax(dim=1), own.network(x).argmax(dim=1))
    alone = exemplars(found, tests).moved(x, signs, 0.5)[1]
    assert (alone & ~kept).any() and not (kept & ~alone).any()


def test_an_example_is_the_typical_map_and_its_training_maps_and_no_subjects():
    found, tests, training = influence("cnn3d"), batches(9, seed=1), batches(65)
    of = exemplars(found, tests, epsilon=[0.05, 0.2])
    rows = of.table(range(9), 100.0)
    row = typical(rows)
    own = rows.query("attack == 'gradient_sign' and epsilon == 0.2 and attacked")
    assert sorted(own["spearman"])[(len(own) - 1) // 2] == row["spearman"]
    example = of.example(rows, training)
    assert example["role"].tolist() == ["test", "attacked", *["before"] * 5, *["after"] * 5]
    assert not {"subject", "sample"} & set(example.columns) and "sub-" not in example.to_csv()
    for _, one in example[example["rank"] > 0].iterrows():
        place = row[one["role"]][one["rank"] - 1]
        assert one["stays"] == (place in row["before"] and place in row["after"])
        assert one["label"] == row[f"{one['role']}_label"][one["rank"] - 1]
        np.testing.assert_array_equal(one["map"], training.volumes.parts[0][place].ravel())
    test, attacked = (np.asarray(volume) for volume in example["map"][:2])
    np.testing.assert_array_equal(test, tests.volumes.parts[0][row["sample"] // 3].ravel())
    assert np.abs(attacked - test).max() == pytest.approx(0.2, rel=1e-4)


def test_where_no_prediction_stays_the_example_came_back_as_it_was():
    rows = table(influence(), batches(6, seed=1), range(6), epsilon=[0.1, 0.2])
    strongest = rows["epsilon"] == 0.2
    assert typical(rows.assign(attacked=rows["attacked"] & ~strongest))["epsilon"] == 0.1
    none = typical(rows.assign(attacked=False))
    assert not none["attacked"] and none["epsilon"] == 0.2


def test_the_order_of_rows_and_batches_does_not_matter():
    found, tests = influence(), batches(8, seed=1)
    one, other = table(found, tests, range(8), 0.001), table(found, tests, [5, 1])
    kept = one[one["sample"].isin(other["sample"])]
    for rows in (kept, other):
        rows.sort_values(["sample", "epsilon", "attack"], inplace=True)
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
    rows = table(found, batches(3, seed=1), [0], n=20, epsilon=[0.1])
    assert rows["spearman"].isna().all()
    assert rows["reason"].str.startswith("all influences are the same").all()
    assert rows["attacked"].all()


def test_fewer_training_maps_than_are_compared():
    rows = table(influence(n=3), batches(4, seed=1), [0, 1], n=3)
    assert (rows["overlap"] == 3).all()
    assert all(sorted(found) == [5, 6, 7] for found in rows["before"])


def test_options():
    assert Options().model_dump()["attacked"] == 3
    for wrong in (
        {"epsilon": []},
        {"epsilon": [0.0]},
        {"attacked": 0},
        {"influential": "most"},
        {"epsilon": [1.0, 1.0]},
    ):
        with pytest.raises(ValidationError):
            Options(**wrong)
    for wrong in ({"models": []}, {"models": ["nn", "nn"]}, {"damping": 0.0}, {"train": 0}, {"maps": 0}):
        with pytest.raises(ValidationError):
            Influential(**wrong)
