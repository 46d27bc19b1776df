import csv
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from truemap.datasets import _simulation as simulation
from truemap.datasets._layouts import COPES
from truemap.datasets._simulation import Template, build_template, hcp_grid, read_tables, simulate_subject
from truemap.datasets.hcp import Simulate
from truemap.runtime.files import DataError

TABLES = Path(__file__).parents[2] / "config/simulation"
STILL = {
    **Simulate().model_dump(),
    **dict.fromkeys(["displacement_mm", "gain_sd", "modulation_sd", "subject_sd", "task_sd", "noise_sd"], 0.0),
}


def table(name):
    with (TABLES / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.fixture(scope="module")
def mask():
    return simulation.brain_mask(8)


@pytest.fixture(scope="module")
def build(mask):
    """`build_template` at 8 mm, the mask made once."""

    def built(peaks, weights, blob_fwhm=12.0):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(simulation, "brain_mask", lambda resolution: mask)
            return build_template(peaks, weights, 8, blob_fwhm)

    return built


@pytest.fixture(scope="module")
def template(build):
    """The real template."""
    return build(table("task_peaks.tsv"), table("task_components.tsv"))


def flat_template(component, tasks=1, conditions=1, weight=1.0):
    """A template with one component, on a grid that is brain all over."""
    names = [(f"task-{t}", f"condition-{c}") for t in range(tasks) for c in range(conditions)]
    weights = {name: np.array([weight]) for name in names}
    return Template(component[None], weights, np.ones(component.shape, dtype=bool), hcp_grid(8)[1])


def subjects(template, count, **options):
    """Maps of so many subjects, shape (count, maps, *shape)."""
    options = {**STILL, **options}
    return np.stack(
        [[values for *_, values in simulate_subject(template, f"s{n}", 0, options)] for n in range(count)]
    ).astype(float)


@pytest.mark.parametrize(("resolution", "shape"), [(2, (91, 109, 91)), (4, (46, 55, 46)), (8, (23, 28, 23))])
def test_grids_start_where_hcps_does_and_cover_it(resolution, shape):
    found, affine = hcp_grid(resolution)
    assert found == shape
    corner = nib.affines.apply_affine(affine, [0, 0, 0])
    np.testing.assert_array_equal(corner, [90, -126, -72])
    np.testing.assert_array_equal(nib.affines.voxel_sizes(affine), [resolution] * 3)
    assert nib.aff2axcodes(affine) == ("L", "A", "S")
    far = nib.affines.apply_affine(affine, np.array(shape) - 1)
    assert (np.abs(far - [-90, 90, 108]) < resolution).all()


def test_the_mask_is_a_brain_in_mni_space(mask):
    inverse = np.linalg.inv(hcp_grid(8)[1])

    def inside(*mm):
        return mask[tuple(np.round(nib.affines.apply_affine(inverse, mm)).astype(int))]

    assert mask.sum() * 8**3 / 1e6 == pytest.approx(1.85, abs=0.15)  # litres
    assert inside(-10, -20, 8)  # thalamus
    assert inside(0, -92, 0)  # occipital pole
    assert not inside(0, 80, 0)  # before the forehead
    assert not inside(-84, 0, 0)


def test_every_condition_that_is_no_sign_flip_has_a_template(template):
    expected = {(task, name) for task, names in COPES.items() for name in names if not name.startswith("NEG_")}
    assert set(template.weights) == expected
    assert len(expected) == 21


def test_templates_have_a_mean_variance_of_one_in_the_brain(template):
    variances = []
    for weights in template.weights.values():
        activation = sum(weight * part for weight, part in zip(weights, template.components, strict=True))
        variances.append(activation[template.mask].var())
    assert np.mean(variances) == pytest.approx(1.0)


def test_conditions_have_the_weights_of_the_table(build):
    peaks = [{"component": name, "x": "2", "y": "2", "z": z} for name, z in [("a", "0"), ("b", "24")]]
    weights = [
        {"task": "T", "condition": "one", "component": "b", "weight": "-0.5"},
        {"task": "T", "condition": "one", "component": "a", "weight": "2"},
        {"task": "T", "condition": "two", "component": "a", "weight": "1"},
    ]
    found = build(peaks, weights)
    np.testing.assert_array_equal(found.weights["T", "one"], [2.0, -0.5])
    np.testing.assert_array_equal(found.weights["T", "two"], [1.0, 0.0])
    backwards = build(peaks[::-1], weights[::-1])
    np.testing.assert_allclose(backwards.components, found.components)


def test_a_peak_is_a_gaussian_at_its_mni_coordinates(build):
    peak = np.array([-38.0, -22.0, 56.0])  # the centre of voxel (16, 13, 16)
    weights = [{"task": "T", "condition": "c", "component": "a", "weight": "1"}]
    found = build([{"component": "a", **dict(zip("xyz", map(str, peak), strict=True))}], weights, blob_fwhm=16.0)
    blob = found.components[0] / found.components[0].max()
    assert np.unravel_index(blob.argmax(), blob.shape) == (16, 13, 16)
    assert blob[16, 14, 16] == pytest.approx(0.5)  # 8 mm away: half the width at half the maximum
    distance = np.linalg.norm(
        nib.affines.apply_affine(found.affine, np.indices(blob.shape).T).T - peak[:, None, None, None], axis=0
    )
    np.testing.assert_allclose(blob, 0.5 ** ((distance / 8.0) ** 2), atol=1e-12)


def test_many_peaks_are_no_stronger_than_one(build):
    weights = [{"task": "T", "condition": "c", "component": "a", "weight": "1"}]
    one = {"component": "a", "x": "2", "y": "2", "z": "8"}
    np.testing.assert_array_equal(build([one] * 5, weights).components, build([one], weights).components)


def test_a_component_without_peaks_is_refused(build):
    weights = [{"task": "T", "condition": "c", "component": "visaul", "weight": "1"}]
    with pytest.raises(ValueError, match="component 'visaul' has weights but no peaks"):
        build(table("task_peaks.tsv"), weights)


def test_without_any_variation_a_subject_is_the_template(template):
    maps = {(task, name): values for task, name, values in simulate_subject(template, "s", 0, STILL)}
    assert set(maps) == set(template.weights)
    for key, weights in template.weights.items():
        expected = np.where(template.mask, np.tensordot(weights, template.components, axes=1), 0.0)
        np.testing.assert_array_equal(maps[key], expected.astype("float32"))


def test_a_subject_is_the_same_whoever_else_is_simulated(template):
    options = Simulate().model_dump()

    def simulated(subject, template=template, seed=0):
        maps = simulate_subject(template, subject, seed, options)
        return {(task, condition): values for task, condition, values in maps}

    first, second = simulated("a"), simulated("b")
    again = simulated("a")
    listed_otherwise = simulated("a", replace(template, weights=dict(reversed(template.weights.items()))))
    other_seed = simulated("a", seed=1)
    for key in template.weights:
        np.testing.assert_array_equal(again[key], first[key])
        np.testing.assert_array_equal(listed_otherwise[key], first[key])
        assert (second[key] != first[key])[template.mask].all()
        assert (other_seed[key] != first[key])[template.mask].all()


def test_maps_are_float32_and_zero_outside_the_brain(template):
    for _, _, values in simulate_subject(template, "s", 0, Simulate().model_dump()):
        assert values.dtype == "float32"
        assert (values[~template.mask] == 0).all()
        assert (values[template.mask] != 0).all()


@pytest.mark.parametrize("fwhm", [5.0, 14.0, 40.0])
def test_fields_have_unit_sd_on_average_but_not_each(fwhm):
    empty = flat_template(np.zeros((23, 28, 23)), conditions=60)
    squares = subjects(empty, 1, noise_sd=1.0, noise_fwhm=fwhm)[0] ** 2
    # Correlation at distance d is exp(-d^2 / (4 sigma^2)); the sum of its squares says how many voxels count as one.
    sigma = fwhm / 8 / np.sqrt(8 * np.log(2))
    independent = 23 * 28 * 23 / max(1.0, (2 * np.pi * sigma**2) ** 1.5)
    variances = squares.mean(axis=(1, 2, 3))
    assert variances.mean() == pytest.approx(1.0, abs=5 * np.sqrt(2 / independent / 60))
    assert variances.std() == pytest.approx(np.sqrt(2 / independent), rel=0.4)


def test_fields_are_as_smooth_as_asked_for():
    empty = flat_template(np.zeros((23, 28, 23)), conditions=30)
    fields = subjects(empty, 1, noise_sd=1.0, noise_fwhm=24.0)[0]
    # Noise smoothed with sigma has the autocorrelation exp(-d^2 / (4 sigma^2)); neighbours are 8 mm apart.
    sigma = 24.0 / np.sqrt(8 * np.log(2))
    for axis in (1, 2, 3):
        neighbours = np.mean(fields * np.roll(fields, 1, axis=axis)) / np.mean(fields**2)
        assert neighbours == pytest.approx(np.exp(-(8.0**2) / (4 * sigma**2)), abs=0.02)


def test_each_sd_is_that_of_what_it_names():
    empty = flat_template(np.zeros((23, 28, 23)), tasks=2, conditions=2)
    white = {"field_fwhm": 2.0, "noise_fwhm": 2.0}  # so fine that voxels are independent
    maps = subjects(empty, 3, subject_sd=0.6, task_sd=0.5, noise_sd=1.5, **white)
    maps = maps.reshape(3, 2, 2, -1)  # subject, task, condition, voxel

    def covariance(one, other):
        return np.mean(maps[:, *one] * maps[:, *other])

    assert covariance((0, 0), (0, 0)) == pytest.approx(0.6**2 + 0.5**2 + 1.5**2, rel=0.05)
    assert covariance((0, 0), (0, 1)) == pytest.approx(0.6**2 + 0.5**2, abs=0.08)
    assert covariance((0, 0), (1, 0)) == pytest.approx(0.6**2, abs=0.08)
    assert np.mean(maps[0] * maps[1]) == pytest.approx(0.0, abs=0.08)


def test_the_gain_is_log_normal_and_one_number_a_map():
    ones = flat_template(np.ones((6, 6, 6)), conditions=20)
    gains = subjects(ones, 20, gain_sd=0.25).reshape(400, -1)
    assert (np.ptp(gains, axis=1) == 0).all()
    logs = np.log(gains[:, 0])
    assert logs.mean() == pytest.approx(0.0, abs=5 * 0.25 / np.sqrt(400))
    assert logs.std() == pytest.approx(0.25, abs=5 * 0.25 / np.sqrt(800))


def test_the_modulation_is_one_field_a_task_that_multiplies_the_template():
    two = flat_template(np.full((23, 28, 23), 2.0), tasks=2, conditions=2)
    maps = subjects(two, 2, modulation_sd=0.3, field_fwhm=2.0).reshape(2, 2, 2, -1)
    np.testing.assert_array_equal(maps[:, :, 0], maps[:, :, 1])
    fields = maps[:, :, 0] / 2.0 - 1.0
    assert fields.mean() == pytest.approx(0.0, abs=0.01)
    assert fields.std() == pytest.approx(0.3, abs=0.01)
    assert np.mean(fields[:, 0] * fields[:, 1]) == pytest.approx(0.0, abs=0.005)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_displacement_has_its_sd_in_mm(axis):
    ramp = np.indices((23, 28, 23))[axis].astype(float)  # displaced, it shows how far, in voxels
    shift = subjects(flat_template(ramp), 6, displacement_mm=4.0, displacement_fwhm=10.0)[:, 0] - ramp
    shift = np.take(shift, range(4, ramp.shape[axis] - 4), axis=axis + 1)  # clear of the edges
    assert 8.0 * shift.std() == pytest.approx(4.0, abs=0.15)
    assert 8.0 * shift.mean() == pytest.approx(0.0, abs=0.15)


def tables_with(tmp_path, **changes):
    """Paths of the tables, with lines of one of them changed."""
    paths = {}
    for name in ("peaks", "components"):
        text = (Path(__file__).parents[2] / f"config/simulation/task_{name}.tsv").read_text()
        old, new = changes.get(name, ("", ""))
        assert old in text
        paths[name] = tmp_path / f"{name}.tsv"
        paths[name].write_text(text.replace(old, new, 1) if old else text)
    return paths


def test_the_tables_of_the_simulation_are_whole(tmp_path):
    peaks, components = read_tables(**tables_with(tmp_path))
    assert {row["component"] for row in components} <= {row["component"] for row in peaks}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"components": ("weight", "wait")}, r"components\.tsv: has no column 'weight'; did you mean 'wait'"),
        ({"components": ("\t0.9\n", "\t0,9\n")}, r"components\.tsv, line 2: weight is '0,9'\. Write a number"),
        ({"components": ("visual", "visaul")}, r"peaks\.tsv: no peak of visaul"),
        ({"components": ("WM\t0-BACK", "WM\t1-BACK")}, r"components\.tsv: HCP has no WM/1-BACK"),
        ({"peaks": ("component", "part")}, r"peaks\.tsv: has no column 'component'"),
    ],
)
def test_a_table_that_cannot_be_used_is_named(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_tables(**tables_with(tmp_path, **changes))


def test_a_condition_without_lines_is_named(tmp_path):
    paths = tables_with(tmp_path)
    lines = paths["components"].read_text().splitlines(keepends=True)
    paths["components"].write_text("".join(line for line in lines if not line.startswith("SOCIAL\tTOM")))
    with pytest.raises(DataError, match=r"components\.tsv: no line for SOCIAL/TOM"):
        read_tables(**paths)
    with pytest.raises(DataError, match=r"none\.tsv: cannot be read"):
        read_tables(tmp_path / "none.tsv", paths["components"])
