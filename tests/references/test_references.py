import numpy as np
import pandas as pd
import pytest
from methods import as_method
from scipy.ndimage import sobel
from scipy.stats import kstest, pearsonr

from truemap.data.background import Background, read_background, write_background
from truemap.data.volumes import Volumes
from truemap.evaluation import references
from truemap.evaluation.agreement import ABSOLUTE, COLUMNS
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import SubjectTruths, write_class_means
from truemap.references import edges, group_truth, input, random

CLASSES = ["a", "b", "c"]
SHAPE = (5, 4, 3)
VOXELS = 60
NOTHING = random.Options()
MODULES = {
    "random": (random, NOTHING),
    "input": (input, input.Options()),
    "input-centred": (input, input.Options(centre=True)),
    "group_truth": (group_truth, group_truth.Options()),
    "edges": (edges, edges.Options()),
}


def background(seed=3, voxels=VOXELS):
    values = np.random.default_rng(seed).standard_normal((2, 3, voxels)) + 0.5
    means = {
        name: dict(zip(CLASSES, part, strict=True)) for name, part in zip(("all", "no_negated"), values, strict=True)
    }
    mean = np.random.default_rng(seed + 1).standard_normal(voxels)
    averages = {name: np.mean(list(part.values()), axis=0) for name, part in means.items()}
    return Background(means, averages, mean, -3.0, 3.0, SHAPE)


def rows_of(labels, first=40):
    return pd.DataFrame({"sample": np.arange(len(labels)) + first, "subject": "s1", "label": list(labels)})


def maps_of(n, seed=5):
    return np.random.default_rng(seed).standard_normal((n, VOXELS)).astype(np.float16)


def refer(name, rows, maps, conditions="all", seed=0, given=None):
    module, options = MODULES[name]
    return module.refer(rows, maps, background() if given is None else given, conditions, options, seed)


# The reference maps


@pytest.mark.parametrize("name", MODULES)
def test_a_references_map_does_not_depend_on_other_maps_or_their_order(name):
    rows, maps = rows_of("abcab"), maps_of(5)
    together = refer(name, rows, maps)
    assert together.shape == (5, 3, VOXELS)
    order = [3, 0, 4, 2, 1]
    np.testing.assert_array_equal(refer(name, rows.iloc[order], maps[order]), together[order])
    for k in range(5):
        np.testing.assert_array_equal(refer(name, rows.iloc[[k]], maps[[k]])[0], together[k])


def test_noise_depends_on_seed_and_sample_alone():
    found = refer("random", rows_of("abc"), maps_of(3))
    other = refer("random", rows_of("cca"), maps_of(3, seed=6), "no_negated", given=background(9))
    np.testing.assert_array_equal(other, found)
    assert not np.isin(refer("random", rows_of("abc"), maps_of(3), seed=1), found).any()
    assert not np.isin(refer("random", rows_of("abc", first=43), maps_of(3)), found).any()


def test_noise_is_normal_and_differs_between_samples_and_classes():
    rows = rows_of("abc" * 30)
    found = random.refer(rows, np.zeros((90, 100)), background(voxels=100), "all", NOTHING, 0)
    assert kstest(found.ravel(), "norm").pvalue > 0.01
    assert len(np.unique(found)) == found.size
    r = np.corrcoef(found.reshape(270, 100))[np.triu_indices(270, 1)]
    assert abs(r.mean()) < 5 * r.std() / np.sqrt(len(r))
    assert r.std() == pytest.approx(1 / np.sqrt(99), rel=0.05)


@pytest.mark.parametrize("name", ["input", "input-centred"])
def test_input_is_the_map_for_its_own_class_and_turned_round_for_others(name):
    rows, maps = rows_of("acb"), maps_of(3)
    values = maps.astype(np.float64) - (background().mean if name == "input-centred" else 0)
    found = refer(name, rows, maps)
    for k, label in enumerate("acb"):
        for c, target in enumerate(CLASSES):
            np.testing.assert_array_equal(found[k, c], values[k] if target == label else -values[k])


@pytest.mark.parametrize("conditions", ["all", "no_negated"])
def test_group_truth_is_the_training_maps_truth_of_the_same_conditions(conditions):
    a, b, c = (background().means[conditions][label] for label in CLASSES)
    average = (a + b + c) / 3
    expected = {
        "a": [a - average, b - a, c - a],
        "b": [a - b, b - average, c - b],
        "c": [a - c, b - c, c - average],
    }
    labels = "cab"
    found = refer("group_truth", rows_of(labels), maps_of(3), conditions)
    for k, label in enumerate(labels):
        np.testing.assert_allclose(found[k], expected[label], atol=1e-12)


def test_group_truth_is_compared_with_the_average_that_the_truth_is(tmp_path):
    """Unequal classes: the truth of training maps as a subject's own is group_truth, for either average."""
    table = table_of(("t1", "aaaabbc"))
    training = Volumes([np.random.default_rng(4).standard_normal((7, *SHAPE)).astype(np.float32)], table)
    write_background(tmp_path / "background.parquet", training)
    write_class_means(tmp_path / "means.parquet", training, None)
    for average in ("classes", "maps"):
        given = read_background(tmp_path / "background.parquet", average=average)
        truth = SubjectTruths(tmp_path / "means.parquet", average)["t1", "all"]
        found = refer("group_truth", rows_of("b"), maps_of(1), given=given)[0]
        for target, values in zip("abc", found, strict=True):
            np.testing.assert_allclose(values, truth.of("b", target)[0], atol=1e-6)


def test_group_truth_of_a_class_that_the_set_lacks_is_zero():
    given = background()
    a, _, c = given.means["no_negated"].values()
    del given.means["no_negated"]["b"]
    given.averages["no_negated"] = (a + c) / 2
    found = refer("group_truth", rows_of("ab"), maps_of(2), "no_negated", given=given)
    np.testing.assert_allclose(found[0], [(a - c) / 2, np.zeros(VOXELS), c - a], atol=1e-12)
    np.testing.assert_array_equal(found[1], 0)


# Their scores


def table_of(*subjects):
    """(subject, labels); lower case is a map, upper case a negated one."""
    letters = [(subject, letter) for subject, labels in subjects for letter in labels]
    return pd.DataFrame(
        {
            "sample": np.arange(len(letters)) + 200,
            "subject": [subject for subject, _ in letters],
            "label": [letter.lower() for _, letter in letters],
            "condition": [f"condition-{k}" for k in range(len(letters))],
            "negated": [letter.isupper() for _, letter in letters],
        }
    )


@pytest.fixture
def dataset(tmp_path):
    """Test maps of three subjects with exact flips, and a background from maps of others."""
    table = table_of(("s1", "aabbbccC"), ("s2", "aAabBcc"), ("s3", "aabbc"))
    maps = np.random.default_rng(1).standard_normal((len(table), *SHAPE)) + 0.3
    for plain, flipped in ((6, 7), (8, 9), (11, 12)):
        maps[flipped] = -maps[plain]
    volumes = Volumes(np.array_split(maps.astype(np.float32), 3), table)
    write_class_means(tmp_path / "means.parquet", volumes, None)
    training = table_of(("t1", "aabbccAC"), ("t2", "abcB"))
    values = np.random.default_rng(2).standard_normal((12, *SHAPE)).astype(np.float32)
    write_background(tmp_path / "background.parquet", Volumes([values], training))
    inside = np.arange(VOXELS) % 4 > 0
    given = ScoreInputs(SubjectTruths(tmp_path / "means.parquet", "classes"), inside, volumes)
    return given, read_background(tmp_path / "background.parquet"), values.reshape(12, -1), training


def score(name, dataset, **more):
    module, options = MODULES[name]
    blocks = references.score_reference(as_method(module, options), dataset[0], dataset[1], seed=11, **more)
    return pd.concat(blocks, ignore_index=True)


def difference(means, label, target):
    """Truth from class means, by hand; None where a class is lacking."""
    if label not in means or target not in means:
        return None
    return means[label] - np.mean(list(means.values()), axis=0) if label == target else means[target] - means[label]


def means_of(maps, labels, kept):
    return {c: maps[kept & (labels == c)].mean(axis=0) for c in CLASSES if (kept & (labels == c)).any()}


def expected_truth(row, volumes):
    """Truth of one row of scores, from the test maps themselves."""
    maps = np.concatenate(volumes.parts).reshape(len(volumes), -1).astype(np.float64)
    kept = (volumes.table["subject"] == row.subject).to_numpy()
    if row.conditions == "no_negated":
        kept = kept & ~volumes.table["negated"].to_numpy()
    if row.truth == "leave_out":
        mine = maps[row.sample - 200]
        kept = kept & ~((maps == mine).all(axis=1) | (maps == -mine).all(axis=1))
    return difference(means_of(maps, volumes.table["label"].to_numpy(), kept), row.label, row.target)


def expected_map(name, row, volumes, values, training):
    """Reference map of one row of scores, from the maps themselves."""
    if name == "random":
        noise = refer("random", pd.DataFrame({"sample": [row.sample]}), np.zeros((1, VOXELS)), seed=11)
        return noise[0, CLASSES.index(row.target)]
    if name == "group_truth":
        kept = ~training["negated"].to_numpy() | (row.conditions == "all")
        return difference(means_of(values, training["label"].to_numpy(), kept), row.label, row.target)
    x = np.concatenate(volumes.parts)[row.sample - 200].astype(np.float64)
    if name == "edges":
        return np.sqrt(sum(sobel(x, axis) ** 2 for axis in range(3))).ravel()
    x = x.ravel()
    x = x - values.mean(axis=0) if name == "input-centred" else x
    return x if row.target == row.label else -x


@pytest.mark.parametrize("name", MODULES)
def test_scores_of_a_reference_are_scipys_row_by_row(name, dataset):
    given, _, values, training = dataset
    found = score(name, dataset)
    assert list(found.columns) == COLUMNS
    null = 0
    for row in found.itertuples():
        truth, map_ = expected_truth(row, given.volumes), expected_map(name, row, given.volumes, values, training)
        absolute = row.criterion.endswith(ABSOLUTE)
        assert row.criterion.removesuffix(ABSOLUTE) == ("informative" if row.label == row.target else "pairwise")
        if truth is None or np.ptp(truth) < 1e-5:
            assert np.isnan(row.r) and row.reason
            null += 1
            continue
        x, y = map_[given.inside], truth[given.inside]
        expected = pearsonr(np.abs(x), np.abs(y)) if absolute else pearsonr(x, y)
        assert row.r == pytest.approx(expected.statistic, abs=2e-6)
        assert row.reason == ""
    assert null < len(found) / 4


def test_a_reference_has_a_row_for_every_map_class_set_truth_and_way_to_compare(dataset):
    found = score("input", dataset)
    table = dataset[0].volumes.table
    keys = ["sample", "target", "conditions", "truth", "criterion"]
    assert not found.duplicated(keys).any()
    maps = len(table) + (~table["negated"]).sum()  # of s3 too, who has no negated maps
    assert len(found) == maps * 3 * 2 * 2
    assert set(found["conditions"]) == {"all", "no_negated"}
    assert set(found["truth"]) == {"full", "leave_out"}
    for row in found.drop_duplicates("sample").itertuples():
        source = table.set_index("sample").loc[row.sample]
        assert (row.subject, row.label, row.condition, row.negated) == tuple(source)
    assert not found.loc[found["conditions"] == "no_negated", "negated"].any()


def test_group_truth_is_scored_in_each_set_with_the_means_of_that_set(dataset):
    """A sample that both sets hold has a map, and so an r, of its own in each."""
    wide = score("group_truth", dataset).query("truth == 'full' and subject == 's1' and criterion == 'informative'")
    wide = wide.pivot_table(index="sample", columns="conditions", values="r").dropna()
    assert len(wide) == 7
    assert (wide["all"] != wide["no_negated"]).all()


@pytest.mark.parametrize("limit", [1, 3 * VOXELS * 2, 3 * VOXELS * 5])
@pytest.mark.parametrize("name", MODULES)
def test_scores_do_not_depend_on_how_many_maps_are_held_at_a_time(name, limit, dataset, monkeypatch):
    keys = ["sample", "target", "conditions", "truth", "criterion"]
    whole = score(name, dataset).sort_values(keys, ignore_index=True)
    monkeypatch.setattr(references, "LIMIT", limit)
    pd.testing.assert_frame_equal(
        score(name, dataset).sort_values(keys, ignore_index=True), whole, rtol=1e-12, check_dtype=False
    )


def test_a_choice_of_maps_has_the_scores_it_has_among_all(dataset):
    """The truth, and what is left of it without a map, are of all maps of the subject in any case."""
    keys = ["sample", "target", "conditions", "truth", "criterion"]
    whole, some = score("input", dataset).set_index(keys), score("input", dataset, explained=1).set_index(keys)
    counts = some.reset_index().groupby(["subject", "label"])["sample"].nunique()
    assert len(counts) == 9
    assert (counts == 1).all()
    pd.testing.assert_frame_equal(some, whole.loc[some.index])


def test_images_without_subjects_are_scored_against_templates_and_have_no_truth_to_be_left_out_of(tmp_path):
    templates = dict(zip(CLASSES, np.random.default_rng(7).standard_normal((3, *SHAPE)), strict=True))
    table = table_of(("", "abcab"))
    maps = np.random.default_rng(8).standard_normal((5, *SHAPE)).astype(np.float32)
    volumes = Volumes([maps], table)
    write_class_means(tmp_path / "means.parquet", volumes, templates)
    given = ScoreInputs(SubjectTruths(tmp_path / "means.parquet", "classes"), None, volumes)
    found = pd.concat(references.score_reference(as_method(input), given, background(), 0))
    assert set(found["truth"]) == {"full"}
    flat = {label: template.ravel() for label, template in templates.items()}
    for row in found[~found["criterion"].str.endswith(ABSOLUTE)].itertuples():
        x = maps[row.sample - 200].ravel() * (1 if row.label == row.target else -1)
        expected = pearsonr(x.astype(np.float64), difference(flat, row.label, row.target)).statistic
        assert row.r == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("name", MODULES)
def test_references_of_chosen_conditions_are_scored_with_the_truth_of_these(name, tmp_path):
    """By hand: maps 0, 1, 3 and 5 of the test subject, and 0, 2, 3 and 4 of the training subject."""
    chosen = ["condition-0", "condition-1", "condition-3", "condition-5"]
    table, training = table_of(("s1", "aabbcb")), table_of(("t1", "aabbcb"))
    training["condition"] = ["condition-0", "other", "condition-1", "condition-3", "condition-5", "other"]
    maps, values = np.random.default_rng(3).standard_normal((2, 6, *SHAPE)).astype(np.float32)
    volumes = Volumes([maps], table)
    write_class_means(tmp_path / "means.parquet", volumes, None, chosen)
    write_background(tmp_path / "background.parquet", Volumes([values], training))
    write_background(tmp_path / "chosen.parquet", Volumes([values], training), chosen)
    given = ScoreInputs(SubjectTruths(tmp_path / "means.parquet", "classes"), None, volumes, chosen)
    read = read_background(tmp_path / "background.parquet", tmp_path / "chosen.parquet")
    found = score(name, (given, read))
    found = found[(found["conditions"] == "chosen") & ~found["criterion"].str.endswith(ABSOLUTE)]
    assert set(found["sample"]) == {200, 201, 203, 205}
    maps, values = maps.reshape(6, -1).astype(np.float64), values.reshape(6, -1).astype(np.float64)
    expected = {
        "random": refer("random", pd.DataFrame({"sample": [203]}), np.zeros((1, VOXELS)), seed=11)[0, 0],
        "input": -maps[3],
        "input-centred": values.mean(axis=0) - maps[3],
        "group_truth": values[0] - (values[2] + values[3]) / 2,
        "edges": np.sqrt(sum(sobel(maps[3].reshape(SHAPE), axis) ** 2 for axis in range(3))).ravel(),
    }[name]
    r = found[(found["sample"] == 203) & (found["target"] == "a")].set_index("truth")["r"]
    truth = {"full": (maps[0] + maps[1] - maps[3] - maps[5]) / 2, "leave_out": (maps[0] + maps[1]) / 2 - maps[5]}
    for kind, values in truth.items():
        assert r[kind] == pytest.approx(pearsonr(expected, values).statistic, abs=2e-6)
    assert set(found.loc[found["target"] == "c", "reason"]) == {"not in this set of conditions: class c"}


def test_references_are_scored_without_negated_maps_though_training_has_none(tmp_path):
    """Only the test subject has a flip: the group's truth of both sets is then that of all training maps."""
    table, training = table_of(("s1", "aAbc")), table_of(("t1", "abcabc"))
    maps, values = (np.random.default_rng(k).standard_normal((n, *SHAPE)).astype("f4") for k, n in ((3, 4), (4, 6)))
    volumes = Volumes([maps], table)
    write_class_means(tmp_path / "means.parquet", volumes, None)
    write_background(tmp_path / "background.parquet", Volumes([values], training))
    given = ScoreInputs(SubjectTruths(tmp_path / "means.parquet", "classes"), None, volumes)
    found = score("group_truth", (given, read_background(tmp_path / "background.parquet")))
    some = found[(found["conditions"] == "no_negated") & (found["truth"] == "full")]
    assert set(some["sample"]) == {200, 202, 203}
    r = some.set_index(["sample", "target", "criterion"])["r"][202, "a", "pairwise"]
    maps, values = maps.reshape(4, -1).astype(float), values.reshape(6, -1).astype(float)
    expected = pearsonr(maps[0] - maps[2], values[[0, 3]].mean(axis=0) - values[[1, 4]].mean(axis=0)).statistic
    assert r == pytest.approx(expected, abs=2e-6)
