"""Simulated task maps in the layout of HCP S1200, because HCP's own data cannot be shipped.

A condition's template is a weighted sum of networks ("components"), each a set of Gaussian blobs at
published MNI peaks (config/simulation/).  A subject's map of a condition is

    map = gain * modulation(task) * displaced template + subject field + subject x task field + noise

inside the brain, zero outside; every field is a smooth Gaussian random field. All random numbers of a
subject come from (seed, subject), so a subject is the same whoever else is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter, map_coordinates

from truemap.data.nifti import write_map
from truemap.data.tables import read_tsv, require_columns
from truemap.datasets._layouts import COPES, NEGATED, map_path
from truemap.datasets.hcp import SIMULATED
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError, checksum, joined

#: HCP's MNINonLinear grid at 2 mm: shape, and the centre of voxel (0, 0, 0) in mm.
HCP_SHAPE = (91, 109, 91)
HCP_ORIGIN = (90.0, -126.0, -72.0)
#: How the error of a table that cannot be read ends.
REMEDY = "Check `simulate` in the config."
FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))


@dataclass(frozen=True)
class Template:
    """Component maps on a grid and how conditions weight them.

    Attributes
    ----------
    components : ndarray, shape (components, *shape)
    weights : dict
        (task, condition) -> ndarray, shape (components,).
    mask : ndarray of bool, shape ``shape``
    affine : ndarray, shape (4, 4)
        Voxel indices to mm.
    names : sequence of str
        Of the components.
    """

    components: np.ndarray
    weights: dict[tuple[str, str], np.ndarray]
    mask: np.ndarray
    affine: np.ndarray
    names: Sequence[str] = ()

    def named(self) -> dict[str, np.ndarray]:
        """Return the components by name, each of shape ``shape``, not negative."""
        return dict(zip(self.names, self.components, strict=True))

    @property
    def voxel_mm(self) -> float:
        """Edge of a voxel in mm."""
        return float(abs(self.affine[0, 0]))


def hcp_grid(resolution: int) -> tuple[tuple[int, int, int], np.ndarray]:
    """Return shape and affine of the HCP grid with voxels of `resolution` mm (2, 4 or 8)."""
    step = resolution // 2
    x, y, z = (-(-n // step) for n in HCP_SHAPE)
    affine = np.diag([-float(resolution), resolution, resolution, 1.0])
    affine[:3, 3] = HCP_ORIGIN
    return (x, y, z), affine


def brain_mask(resolution: int) -> np.ndarray:
    """Return the MNI152 brain mask (shipped with nilearn) on the HCP grid, shape as `hcp_grid` says."""
    from nilearn.datasets import load_mni152_brain_mask
    from nilearn.image import resample_img

    shape, affine = hcp_grid(resolution)
    image = resample_img(
        load_mni152_brain_mask(resolution=2),
        target_affine=affine,
        target_shape=shape,
        interpolation="nearest",
        force_resample=True,
        copy_header=True,
    )
    return np.asarray(image.dataobj) > 0


def read_tables(peaks: str | Path, components: str | Path) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
    """Return the rows of the two tables that `build_template` is made from, checked.

    Parameters
    ----------
    peaks, components : path
        TSV files, as config/simulation/ has them.

    Raises
    ------
    DataError
        If a file cannot be read, a column is missing, a number is none, a component has no peak, or the conditions
        are not HCP's.
    """
    places, weights = read_tsv(peaks, "table", REMEDY), read_tsv(components, "table", REMEDY)
    require_columns(peaks, places, ("component", "x", "y", "z"))
    require_columns(components, weights, ("task", "condition", "component", "weight"))
    for path, table, columns in ((peaks, places, ("x", "y", "z")), (components, weights, ("weight",))):
        for column in columns:
            wrong = table.index[~np.isfinite(pd.to_numeric(table[column], errors="coerce"))]
            if len(wrong):
                cell = table[column][wrong[0]]
                raise DataError(f"{path}, line {wrong[0] + 2}: {column} is '{cell}'. Write a number, with a point.")
    lacking = sorted(set(weights["component"]) - set(places["component"]))
    if lacking:
        raise DataError(
            f"{peaks}: no peak of {', '.join(lacking)}, which {components} weights. Add one, or drop it there."
        )
    wanted = {(task, name) for task, names in COPES.items() for name in names if not name.startswith(NEGATED)}
    given = set(zip(weights["task"], weights["condition"], strict=True))
    for found, what in ((wanted - given, "no line for"), (given - wanted, "HCP has no")):
        if found:
            raise DataError(f"{components}: {what} {', '.join(map('/'.join, sorted(found)))}. Mend these lines.")
    return places.to_dict("records"), weights.to_dict("records")


def build_template(
    peaks: list[dict[str, str]], weights: list[dict[str, str]], resolution: int, blob_fwhm: float
) -> Template:
    """Return the template of all conditions, scaled so that their mean variance in the brain is 1.

    Parameters
    ----------
    peaks : list of dict
        Rows of task_peaks.tsv: ``component, x, y, z`` (MNI, mm).
    weights : list of dict
        Rows of task_components.tsv: ``task, condition, component, weight``.
    resolution : int
        Voxel size in mm.
    blob_fwhm : float
        Full width at half maximum of a peak's blob in mm.

    Raises
    ------
    ValueError
        If a component has weights but no peaks.
    """
    shape, affine = hcp_grid(resolution)
    mask = brain_mask(resolution)
    axes = [affine[i, i] * np.arange(n) + affine[i, 3] for i, n in enumerate(shape)]
    names = sorted({row["component"] for row in weights})
    maps = np.stack([_blobs([p for p in peaks if p["component"] == name], axes, blob_fwhm, name) for name in names])
    table: dict[tuple[str, str], np.ndarray] = {}
    for row in weights:
        vector = table.setdefault((row["task"], row["condition"]), np.zeros(len(names)))
        vector[names.index(row["component"])] += float(row["weight"])
    inside = maps[:, mask]
    variance = np.mean([np.var(vector @ inside) for vector in table.values()])
    return Template(maps / np.sqrt(variance), table, mask, affine, names)


def _blobs(peaks: list[dict[str, str]], axes: list[np.ndarray], fwhm: float, name: str) -> np.ndarray:
    if not peaks:
        raise ValueError(f"component '{name}' has weights but no peaks")
    result = np.zeros([len(axis) for axis in axes])
    for peak in peaks:
        squares = [(axis - float(peak[key])) ** 2 for axis, key in zip(axes, "xyz", strict=True)]
        distance = squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]
        # The maximum, not the sum: a component with 37 peaks is no stronger than one with two.
        np.maximum(result, np.exp(-0.5 * distance * (FWHM / fwhm) ** 2), out=result)
    return result


def simulate_subject(
    template: Template, subject: str, seed: int, options: dict[str, float]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (task, condition, map) for one subject.

    Parameters
    ----------
    options : dict
        The fields of ``truemap.datasets.hcp.Simulate`` (sd of each field, in units of the templates').
    """
    rng = np.random.default_rng(derive_seed(seed, subject))
    displaced = _displace(template, rng, options)
    subject_field = options["subject_sd"] * _field(template, rng, options["field_fwhm"])
    tasks = sorted({task for task, _ in template.weights})
    for task in tasks:
        modulation = 1.0 + options["modulation_sd"] * _field(template, rng, options["field_fwhm"])
        common = subject_field + options["task_sd"] * _field(template, rng, options["field_fwhm"])
        for condition in sorted(c for t, c in template.weights if t == task):
            gain = np.exp(options["gain_sd"] * rng.standard_normal())
            activation = np.tensordot(template.weights[task, condition], displaced, axes=1)
            noise = options["noise_sd"] * _field(template, rng, options["noise_fwhm"])
            values = gain * modulation * activation + common + noise
            yield task, condition, np.where(template.mask, values, 0.0).astype(np.float32)


def write_subject(root: str | Path, template: Template, subject: str, seed: int, options: dict[str, float]) -> str:
    """Write a subject's maps in HCP's layout, NEG_* conditions as exact sign flips; return the checksum of their files.

    Parameters as in `simulate_subject`.
    """
    for task, condition, values in simulate_subject(template, subject, seed, options):
        write_map(map_path(root, subject, task, condition), values, template.affine, SIMULATED)
        if NEGATED + condition in COPES[task]:
            write_map(map_path(root, subject, task, NEGATED + condition), -values, template.affine, SIMULATED)
    return joined([checksum(map_path(root, subject, task, name)) for task, names in COPES.items() for name in names])


def _displace(template: Template, rng: np.random.Generator, options: dict[str, float]) -> np.ndarray:
    shift = np.stack([_field(template, rng, options["displacement_fwhm"]) for _ in range(3)])
    coordinates = np.indices(template.mask.shape) + shift * options["displacement_mm"] / template.voxel_mm
    return np.stack([map_coordinates(c, coordinates, order=1, mode="nearest") for c in template.components])


def _field(template: Template, rng: np.random.Generator, fwhm: float) -> np.ndarray:
    """Return a Gaussian random field of unit sd and the given smoothness (mm)."""
    sigma = fwhm / FWHM / template.voxel_mm
    field = gaussian_filter(rng.standard_normal(template.mask.shape), sigma, mode="wrap")
    # Unit sd in expectation, not in each draw: the draw's own sd is part of what varies.
    impulse = np.zeros(template.mask.shape)
    impulse[0, 0, 0] = 1.0
    return field / np.sqrt(np.sum(gaussian_filter(impulse, sigma, mode="wrap") ** 2))
