import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import pearsonr

from truemap import numerics
from truemap.data import quality
from truemap.data.grid import Grid
from truemap.data.quality import FLOOR, RULES, quality_table, read_skipped
from truemap.data.volumes import Volumes
from truemap.datasets._simulation import build_template, simulate_subject
from truemap.datasets.hcp import Simulate
from truemap.figures.quality_page import quality_page
from truemap.numerics import filled, zscore

SIMULATION = Path(__file__).parents[2] / "config/simulation"
SHAPE = (7, 5, 4)
AFFINE = np.diag([-2.0, 2.0, 2.0, 1.0])
CONDITIONS = {"one": "A", "two": "A", "three": "B"}
SUBJECTS = 8
#: No map is a copy.
NONE = np.zeros(12, bool)


def rows_of(subjects, conditions=CONDITIONS):
    """Rows of all conditions of each subject, two thirds of them in train."""
    rows = [
        (subject, label, condition, condition.startswith("NEG"), "train" if number % 3 else "test")
        for number, subject in enumerate(subjects)
        for condition, label in conditions.items()
    ]
    table = pd.DataFrame(rows, columns=["subject", "label", "condition", "negated", "split"])
    return table.rename_axis("sample").reset_index()


def maps_of(table, seed=0, noise=0.5):
    """One smooth, lopsided pattern a condition, with noise; zero outside the mask."""
    random = np.random.default_rng(seed)
    patterns = {c: gaussian_filter(random.standard_normal(SHAPE), 0.8) * 4 for c in sorted(set(table["condition"]))}
    inside = mask()
    return np.stack([np.where(inside, patterns[c] + noise * random.standard_normal(SHAPE), 0) for c in table.condition])


def mask():
    inside = np.ones(SHAPE, bool)
    inside[0], inside[-1], inside[:, 0] = False, False, False
    return inside


def volumes_of(table, maps, dtype="float32", shards=3):
    return Volumes(np.array_split(maps.astype(dtype), shards), table)


def measured(table, maps, **options):
    return quality_table(volumes_of(table, maps, **options), Grid(mask(), AFFINE))


@pytest.fixture
def table():
    return rows_of([f"s{number}" for number in range(SUBJECTS)])


@pytest.fixture(scope="module")
def simulated():
    """Ten simulated subjects at 8 mm, z-scored and stored as the workflow does, and their grid."""

    def read(name):
        with (SIMULATION / name).open(encoding="utf-8") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    template = build_template(read("task_peaks.tsv"), read("task_components.tsv"), 8, 12.0)
    options = Simulate().model_dump()
    rows, maps = [], []
    for number in range(10):
        for task, condition, values in simulate_subject(template, f"s{number}", 0, options):
            rows.append((f"s{number}", task, condition, False, "train"))
            maps.append(zscore(values).astype(np.float16))
    table = pd.DataFrame(rows, columns=["subject", "label", "condition", "negated", "split"])
    return table.rename_axis("sample").reset_index(), np.stack(maps), Grid(template.mask, template.affine)


def test_r_is_scipys_with_the_mean_of_the_other_maps(table):
    maps = maps_of(table)
    found = measured(table, maps)
    inside = mask()
    for row in found.itertuples():
        others = maps[((table["condition"] == row.condition) & (table["sample"] != row.sample)).to_numpy()]
        assert len(others) == SUBJECTS - 1
        mean = others.astype(np.float32).mean(axis=0, dtype=float)[inside]
        assert row.r == pytest.approx(pearsonr(maps[row.sample][inside], mean)[0], abs=1e-6)
        assert row.r_flipped == pytest.approx(pearsonr(maps[row.sample][::-1][inside], mean)[0], abs=1e-6)


def test_mean_and_sd_are_numpys_in_the_mask(table):
    maps = maps_of(table) + np.where(mask(), 0.7, 0)
    found = measured(table, maps)
    np.testing.assert_allclose(found["mean"], maps[:, mask()].mean(axis=1), atol=1e-6)
    np.testing.assert_allclose(found["sd"], maps[:, mask()].std(axis=1), atol=1e-6)


def test_columns_are_those_of_the_samples_and_the_measures_sorted_by_sample(table):
    order = np.random.default_rng(1).permutation(len(table))
    found = measured(table.iloc[order].reset_index(drop=True), maps_of(table)[order])
    assert list(found) == [
        "sample", "subject", "label", "condition", "negated", "split", "voxels", "outside", "mean", "sd", "r",
        "r_flipped", "flags",
    ]  # fmt: skip
    pd.testing.assert_frame_equal(found, measured(table, maps_of(table)))
    pd.testing.assert_frame_equal(found[list(table)], table)


def test_the_mirror_is_of_the_axis_that_runs_along_x(table):
    maps = maps_of(table)
    swapped = maps.transpose(0, 2, 3, 1)
    affine = np.zeros((4, 4))
    affine[1, 0], affine[2, 1], affine[0, 2], affine[3, 3] = 2, 2, -2, 1
    grid = Grid(mask().transpose(1, 2, 0), affine)
    found = quality_table(volumes_of(table, swapped), grid)
    np.testing.assert_allclose(found["r_flipped"], measured(table, maps)["r_flipped"], atol=1e-12)


@pytest.mark.parametrize("block", [1, 5, 7, 1000])
@pytest.mark.parametrize("shards", [1, 4])
def test_blocks_and_shards_change_nothing(table, monkeypatch, block, shards):
    whole = measured(table, maps_of(table), shards=1)
    monkeypatch.setattr(quality, "BLOCK", block)
    pd.testing.assert_frame_equal(measured(table, maps_of(table), shards=shards), whole, rtol=1e-12)


def test_only_a_block_of_maps_is_held(table, monkeypatch):
    """What is taken from the shards at once has no more maps than a block, however many there are."""
    taken = []
    take = Volumes.take
    monkeypatch.setattr(Volumes, "take", lambda self, rows: (taken.append(len(rows)), take(self, rows))[1])
    monkeypatch.setattr(quality, "BLOCK", 4)
    measured(table, maps_of(table))
    assert max(taken) == 4 and sum(taken) == 2 * len(table)


def test_float16_maps_are_summed_and_compared_in_float64():
    """Thousands of maps around 20 have a sum that float16 cannot hold."""
    table = rows_of([f"s{number}" for number in range(4000)], {"one": "A"})
    random = np.random.default_rng(0)
    pattern = random.standard_normal(SHAPE)
    maps = (20 + pattern + 0.3 * random.standard_normal((len(table), *SHAPE))).astype(np.float16)
    found = measured(table, maps, dtype="float16")
    inside = mask()
    mean = maps[:, inside].astype(float)
    for sample in (0, 1234, 3999):
        other = np.delete(mean, sample, axis=0).mean(axis=0)
        assert found["r"][sample] == pytest.approx(pearsonr(mean[sample], other)[0], abs=1e-9)
    assert (found["flags"] == "").all()


def test_conditions_of_fewer_than_three_maps_are_not_compared(table):
    pair = table[(table["condition"] != "three") | table["subject"].isin(["s1", "s5"])].reset_index(drop=True)
    found = measured(pair, maps_of(pair))
    few = found["condition"] == "three"
    assert few.sum() == 2
    assert found.loc[few, ["r", "r_flipped"]].isna().all(axis=None) and (found["flags"] == "").all()
    assert found.loc[~few, ["r", "r_flipped"]].notna().all(axis=None)
    alone = measured(table[:2], maps_of(table)[:2])
    assert alone["r"].isna().all() and (alone["flags"] == "").all()


def test_the_same_name_in_two_classes_is_two_conditions():
    """A sheet without conditions numbers the maps of each class."""
    table = rows_of([f"s{number}" for number in range(5)], {"one": "A", "two": "B"})
    renamed = table.assign(condition="map-001")
    pd.testing.assert_series_equal(measured(renamed, maps_of(table))["r"], measured(table, maps_of(table))["r"])


def test_images_without_subjects_are_compared_by_class_and_never_flipped():
    table = rows_of([f"s{number}" for number in range(9)], {"one": "A", "two": "B"})
    maps = maps_of(table)
    nameless = measured(table.assign(subject="", condition=table["sample"].astype(str)), maps)
    np.testing.assert_allclose(nameless["r"], measured(table, maps)["r"])
    assert nameless["r_flipped"].isna().all()
    mirrored = np.where((table["subject"] == "s3").to_numpy()[:, None, None, None], maps[:, ::-1], maps)
    assert not measured(table.assign(subject=""), mirrored)["flags"].str.contains("flip").any()


def test_empty_voxels_are_those_that_zero_became():
    maps = maps_of(rows_of(["s1"]))
    for values in maps:
        inside = values != 0
        for stored in (values, zscore(values), zscore(values).astype(np.float16), zscore(values + 3.0 * inside)):
            np.testing.assert_array_equal(filled(stored.reshape(1, -1))[0], inside.ravel())


def test_a_map_without_empty_voxels_is_full():
    values = np.random.default_rng(0).standard_normal((3, 1000))
    assert filled(values).all()
    values[1, 7] = 0
    assert filled(values).sum() == 2999


def test_the_empty_value_of_large_maps_is_found_in_a_sample(monkeypatch):
    monkeypatch.setattr(numerics, "SAMPLE", 100)
    values = np.random.default_rng(0).standard_normal((2, 5000))
    values[0, 1000:2000], values[1, ::2] = -0.25, 0.125
    assert filled(values).sum(axis=1).tolist() == [4000, 2500]


def test_voxels_are_counted_inside_and_outside_the_mask(table):
    maps = maps_of(table)
    maps[3, 0, :2, 0] = 2.5
    maps[4, 3] = 0
    found = measured(table, maps)
    full = int(mask().sum())
    assert found["outside"].tolist() == [2 if sample == 3 else 0 for sample in found["sample"]]
    assert found["voxels"].tolist() == [full - mask()[3].sum() if s == 4 else full for s in found["sample"]]


def flags(found):
    return {(row.subject, row.condition): row.flags for row in found[found["flags"] != ""].itertuples()}


def test_nothing_is_flagged_in_clean_simulated_data(simulated):
    table, maps, grid = simulated
    found = quality_table(Volumes([maps], table), grid)
    assert flags(found) == {}
    assert (found["voxels"] > 0.99 * grid.mask.sum()).all() and found["outside"].max() < 5
    # Feet and hands are small: their maps have little in common at 8 mm.
    assert found.groupby("condition")["r"].median().between(0.03, 0.6).all()


def test_a_noise_map_is_an_outlier_and_nothing_else_is_flagged(simulated):
    table, maps, grid = simulated
    maps = maps.copy()
    place = table.index[(table["subject"] == "s4") & (table["condition"] == "MATCH")][0]
    noise = np.random.default_rng(0).standard_normal(grid.shape)
    maps[place] = zscore(np.where(grid.mask, noise, 0)).astype(np.float16)
    assert flags(quality_table(Volumes([maps], table), grid)) == {("s4", "MATCH"): "outlier"}


def test_all_maps_of_a_mirrored_subject_are_suspects_and_no_others(simulated):
    table, maps, grid = simulated
    own = (table["subject"] == "s7").to_numpy()
    maps = np.where(own[:, None, None, None], maps[:, ::-1], maps)
    found = quality_table(Volumes([maps], table), grid)
    assert found[found["flags"].str.contains("flip")]["sample"].tolist() == np.flatnonzero(own).tolist()
    assert set(flags(found)) == {("s7", condition) for condition in table["condition"]}


def test_a_map_whose_half_is_missing_has_few_voxels(simulated):
    table, maps, grid = simulated
    stored = maps.copy()
    place = table.index[(table["subject"] == "s2") & (table["condition"] == "STORY")][0]
    half = np.where(grid.mask, maps[place].astype(float) + 1.0, 0)
    half[:, :, : grid.shape[2] // 2] = 0
    stored[place] = zscore(half).astype(np.float16)
    found = flags(quality_table(Volumes([stored], table), grid))
    assert set(found) == {("s2", "STORY")} and "few voxels" in found["s2", "STORY"].split(",")


@pytest.mark.parametrize("beyond", [True, False])
@pytest.mark.parametrize(("place", "median"), [(0, 0.6), (7, 0.3)])
def test_an_outlier_lies_more_than_three_and_a_half_robust_sd_below_its_median(place, median, beyond):
    """By hand: MAD 0.02 in the first condition and of all; the second's own is 0, so that of all counts."""
    r = np.array([0.6, 0.58, 0.58, 0.6, 0.62, 0.62, 0.62, 0.3, 0.3, 0.3])
    r[place] = median - 3.5 * 1.4826 * 0.02 + (-0.001 if beyond else 0.001)
    table = pd.DataFrame({"r": r, "r_flipped": np.nan, "voxels": 9, "subject": ""})
    expected = ["outlier" if beyond and number == place else "" for number in range(10)]
    assert quality._flags(table, np.repeat([0, 1], [7, 3]), NONE[:10]) == expected


def test_a_robust_sd_is_no_less_than_the_floor():
    table = pd.DataFrame({"r": [0.9, 0.9, 0.9, 0.9 - 3.4 * FLOOR], "r_flipped": np.nan, "voxels": 9, "subject": ""})
    assert quality._flags(table, np.zeros(4), NONE[:4]) == [""] * 4
    assert quality._flags(table.replace(0.9 - 3.4 * FLOOR, 0.9 - 3.6 * FLOOR), np.zeros(4), NONE[:4])[3] == "outlier"


def test_few_voxels_are_less_than_nine_tenths_of_the_median():
    table = pd.DataFrame({"r": np.nan, "r_flipped": np.nan, "voxels": [100, 100, 90, 89, 120], "subject": ""})
    assert quality._flags(table, np.full(5, -1), NONE[:5]) == ["", "", "", "few voxels", ""]


@pytest.mark.parametrize(
    ("r", "mirrored", "suspect"),
    [
        (0.3, 0.4, True),
        (0.4, 0.3, False),
        (-0.1, 0.05, False),  # like the others neither way round
        (0.401, 0.402, False),  # nearly symmetric, as all are
    ],
)
def test_a_flip_is_judged_by_the_mean_over_a_subjects_conditions(r, mirrored, suspect):
    usual = 0.001 if r == 0.401 else 0.1
    table = pd.DataFrame({"subject": np.repeat(list("abcdef"), 2), "r": 0.4, "r_flipped": 0.4 - usual, "voxels": 9})
    # One condition of the last subject agrees better mirrored, the other may not; their mean counts.
    table.loc[[10, 11], ["r", "r_flipped"]] = [[r - 0.1, mirrored + 0.1], [r + 0.1, mirrored - 0.1]]
    found = quality._flags(table, np.tile([-1, -1], 6), NONE)
    assert found[:10] == [""] * 10
    assert ["flip?" in flags for flags in found[10:]] == [suspect, suspect]


def test_equal_maps_flag_nothing(table):
    maps = maps_of(table, noise=1e-3)
    found = measured(table, maps, dtype="float16")
    assert found["r"].min() > 0.999 and (found["flags"] == "").all()


def test_a_constant_brain_is_no_error_and_has_few_voxels(table):
    maps = maps_of(table)
    maps[5] = 0
    maps[5, 0, 0, 0] = 1
    found = measured(table, maps)
    assert np.isnan(found["r"][5]) and found["flags"].tolist() == ["few voxels" if k == 5 else "" for k in range(24)]


@pytest.mark.parametrize(
    ("one", "other", "flagged"),
    [
        ({}, {"subject": "s7"}, True),
        ({"split": "train"}, {"split": "test"}, True),
        ({"label": "A"}, {"label": "B"}, True),
        ({}, {}, False),
        ({"subject": ""}, {"subject": ""}, True),
        ({"subject": "", "split": "train"}, {"subject": "", "split": "test"}, True),
    ],
    ids=["subjects", "splits", "classes", "a subject's own", "no subjects", "no subjects, splits"],
)
@pytest.mark.parametrize("block", [1, 3, 16])
def test_a_map_of_two_subjects_classes_or_splits_is_flagged_on_both(
    table, monkeypatch, caplog, one, other, flagged, block
):
    monkeypatch.setattr(quality, "BLOCK", block)
    maps, same = maps_of(table), {"subject": "s1", "label": "A", "split": "train"}
    maps[20] = maps[2]
    for row, values in ((2, one), (20, other)):
        table.loc[row, list(same)] = list({**same, **values}.values())
    judged = measured(table, maps)
    found = judged["flags"].str.contains("copy?", regex=False)
    assert found[found].index.tolist() == ([2, 20] if flagged else [])
    quality.warn_copies(judged)
    assert ("2 maps are, to the last bit, another one" in caplog.text) == flagged


def test_a_map_that_differs_in_one_bit_or_in_its_sign_is_no_copy(table):
    maps = maps_of(table).astype("float32")
    maps[20], maps[21] = maps[2], -maps[3]
    maps[20, 3, 3, 2] = np.nextafter(maps[20, 3, 3, 2], np.float32(9))
    assert not measured(table, maps)["flags"].str.contains("copy").any()


def page_of(table, maps, skipped=()):
    rows = pd.DataFrame(skipped, columns=["subject", "image", "reason"])
    return quality_page(measured(table, maps), rows, "brains", "simulated data, not HCP")


def test_the_page_names_counts_rules_and_simulated_data(table):
    maps = maps_of(table)
    maps[4, :, :3] = 0
    maps[10] = np.random.default_rng(3).standard_normal(SHAPE) * mask()
    found = measured(table, maps)
    page = page_of(table, maps)
    assert "<h1>brains: quality of the maps (simulated data, not HCP)</h1>" in page
    few, outliers = (found["flags"].str.contains(flag) for flag in ("few voxels", "outlier"))
    assert few.sum() == 1 and outliers[10]
    assert "24 maps of 8 subjects" in page and "few voxels: 1 (subjects: 1)" in page
    assert f"outlier: {outliers.sum()} (" in page and "flip?: 0;" in page and "skipped subjects: 0." in page
    assert all(rule in page for rule in RULES.values())
    assert "No subject was skipped." in page and "No map is flagged." not in page
    shown = page[page.index("Flagged maps") : page.index("Skipped subjects</h2>")]
    assert len(re.findall("<tr>", shown)) == (found["flags"] != "").sum()
    every = page[page.index("All maps") :]
    assert len(re.findall("<tr>", every)) == 24 and "onclick" in every


def test_the_page_lists_skipped_subjects(table, tmp_path):
    lists = [tmp_path / "0.skipped.tsv", tmp_path / "1.skipped.tsv", tmp_path / "2.skipped.tsv"]
    lists[0].write_text("subject\timage\treason\n")
    lists[1].write_text("subject\timage\treason\n0012\ta.nii.gz\ttruncated <file>\n0012\tb.nii.gz\tmissing\n")
    lists[2].write_text("subject\timage\treason\nNA\tc.nii.gz\tconstant\n")
    skipped = read_skipped(lists)
    assert skipped["subject"].tolist() == ["0012", "0012", "NA"]
    assert read_skipped(lists[:1]).empty
    page = quality_page(measured(table, maps_of(table)), skipped, "brains", "sample sheet")
    assert "skipped subjects: 2." in page and "No subject was skipped." not in page
    shown = page[page.index("Skipped subjects</h2>") : page.index("All maps")]
    assert "<td>0012</td>" in shown and "truncated &lt;file&gt;" in shown and "<td>NA</td>" in shown


def test_a_clean_page_says_that_nothing_is_flagged():
    table = rows_of([f"s{number}" for number in range(5)]).assign(subject="")
    page = page_of(table, maps_of(table, noise=0.05))
    assert "No map is flagged." in page
    assert "15 maps; outlier: 0; few voxels: 0; flip?: 0; copy?: 0; skipped subjects: 0." in page


def test_the_page_has_a_picture_of_how_much_maps_are_like_the_others():
    table = pd.DataFrame({"r": [0.1, 0.12, 0.9, np.nan], "flags": "", "subject": "", "sample": range(4)})
    page = quality_page(table, pd.DataFrame({"subject": []}), "brains", "sheet")
    heights = [float(height) for height in re.findall('<rect[^>]* height="(.*?)"', page)]
    assert len(heights) == 20 and sorted(heights)[-2:] == [60, 120] and sum(heights) == 180
    assert "3 maps have an r: median 0.12, from 0.10 to 0.90" in page
    none = quality_page(table.assign(r=np.nan), pd.DataFrame({"subject": []}), "brains", "sheet")
    assert "<svg" not in none
