"""Regions: a dataset's mask in disjoint parts, at whose resolution it is asked what a network uses."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.data.grid import Grid, block_means, grid_difference, turned
from truemap.data.headers import sized
from truemap.data.nifti import read_map, write_map
from truemap.runtime.files import DataError, whole
from truemap.runtime.log import log

#: What the voxels of the mask that are in no other region are called.
REST = "rest"
#: Up to so many regions all their subsets are tried, 2^14 passes a map; above, permutations are drawn.
EXACT = 14
#: A correlation over fewer regions says nothing; more would be voxels again, at a pass a region and permutation.
LEAST, MOST = 3, 400
#: Share of a field's largest value from which on a voxel is part of its region.
HALF = 0.5
REMEDY = "Set `regions` to another atlas, or to blocks of another size."


@dataclass(frozen=True)
class Regions:
    """Disjoint regions that are all of a mask.

    Attributes
    ----------
    labels : ndarray of int, shape (voxels,)
        A voxel's region, from 1; 0 outside the mask.
    names : list of str
        Of the regions 1, 2, ...
    """

    labels: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def voxels(self) -> np.ndarray:
        """How many voxels each region has, shape (regions,)."""
        return np.bincount(self.labels, minlength=len(self) + 1)[1:]

    def sums(self, maps: np.ndarray) -> np.ndarray:
        """Return the sum of each map over each region, shape (rows, regions), float64.

        Parameters
        ----------
        maps : ndarray, shape (rows, voxels)
            Of all voxels, or of those of the mask only.
        """
        labels = self.labels if maps.shape[1] == len(self.labels) else self.labels[self.labels > 0]
        size = len(self) + 1
        return np.stack([np.bincount(labels, values.astype(np.float64), size)[1:] for values in maps])


def of_labels(values: np.ndarray, names: Mapping[int, str], mask: np.ndarray, what: str) -> Regions:
    """Return the regions of a label image; what of the mask has none of the labels is the last one, the rest.

    Labels without a voxel in the mask are left out, and named in the log.

    Parameters
    ----------
    values : ndarray of int, shape ``shape``
    names : mapping
        Label -> name of its region, in the order in which regions are numbered.
    mask : ndarray of bool, shape ``shape``
    what : str
        What errors call it.

    Raises
    ------
    DataError
        If there are fewer regions than `LEAST`, or more than `MOST`.
    """
    labels, found, lost = np.zeros(mask.size, dtype=np.int64), [], []
    inside, flat = mask.reshape(-1), values.reshape(-1)
    present = set(np.unique(flat[inside]).tolist())
    for label, name in names.items():
        if label in present:
            found.append(name)
            labels[inside & (flat == label)] = len(found)
        else:
            lost.append(name)
    if lost:
        log.warning("regions: no voxel of the mask is in %s; left out", ", ".join(lost))
    rest = inside & (labels == 0)
    if rest.any():
        found.append(REST)
        labels[rest] = len(found)
    if not LEAST <= len(found) <= MOST:
        raise DataError(
            f"{what}: {len(found)} regions, the rest of the mask among them; there must be {LEAST} to {MOST} (up to "
            f"{EXACT} exactly, above by drawn permutations). {REMEDY}"
        )
    return Regions(labels, found)


def of_fields(fields: Mapping[str, np.ndarray], mask: np.ndarray, downsample: int = 1) -> Regions:
    """Return the regions of what the data are made of.

    A voxel is in the region of the field that is largest there, if that is at least half of the field's own peak;
    else in the rest.

    Parameters
    ----------
    fields : mapping
        Name -> values, not negative, as fine as the data are before they are downsampled.
    mask : ndarray of bool, shape ``shape``
    downsample : int
        See `truemap.data.grid.block_means`.

    Raises
    ------
    DataError
        As `of_labels`.
    """
    values = np.stack([block_means(field, np.eye(4), downsample)[0] for field in fields.values()])
    values = np.where(mask, values, 0.0)
    best, peaks = values.argmax(axis=0), values.reshape(len(values), -1).max(axis=1)
    own = np.take_along_axis(values, best[None], axis=0)[0]
    labels = np.where((own >= HALF * peaks[best]) & (own > 0), best + 1, 0)
    return of_labels(labels, dict(enumerate(fields, 1)), mask, "regions")


def joined(fields: Mapping[str, np.ndarray], most: int = EXACT - 1) -> dict[str, np.ndarray]:
    """Return at most so many fields: those that overlap most are joined to one, the largest of them at each voxel.

    Groups are those of average linkage on 1 - r over voxels (r: Pearson's of two fields); a group is called by its
    members, "a+b".

    Parameters
    ----------
    fields : mapping
        Name -> values of one shape.
    """
    # Here, as jobs that score import this module.
    from scipy.cluster.hierarchy import fcluster, linkage

    names, values = list(fields), np.stack([*fields.values()])
    if len(names) <= most:
        return dict(fields)
    groups = fcluster(linkage(values.reshape(len(names), -1), "average", "correlation"), most, "maxclust")
    # In the order of their first members.
    members = [np.flatnonzero(groups == group) for group in dict.fromkeys(groups)]
    return {"+".join(names[k] for k in group): values[group].max(axis=0) for group in members}


def of_blocks(mask: np.ndarray, size: Sequence[int]) -> Regions:
    """Return blocks of `size` voxels, from the first voxel of the box that the mask fills.

    Raises
    ------
    DataError
        As `of_labels`.
    """
    places = np.argwhere(mask)
    blocks = (places - places.min(axis=0)) // np.array(size)
    found, numbers = np.unique(blocks, axis=0, return_inverse=True)
    values = np.zeros(mask.shape, dtype=np.int64)
    values[tuple(places.T)] = numbers.reshape(-1) + 1
    names = {number: "block-" + "-".join(map(str, block)) for number, block in enumerate(found, 1)}
    return of_labels(values, names, mask, f"regions: {list(size)}")


def of_atlas(path: str | Path, grid: Grid) -> Regions:
    """Return the regions of a label image; 0 and NaN are no label.

    Its axes may be in another order or direction than the grid's; no voxel is moved or interpolated.

    Raises
    ------
    DataError
        If it is on another grid, has values that are no labels, or too few or too many of them.
    """
    with sized(grid.shape):
        values, affine, _ = read_map(path)
    found = turned(values, affine, grid)
    if found is None:
        difference = grid_difference(values.shape, affine, grid.shape, grid.affine)
        raise DataError(
            f"{path}: {difference}. Resample it with nearest neighbours (nilearn.image.resample_to_img, "
            "interpolation='nearest')."
        )
    found = np.where(np.isnan(found), 0.0, found.astype(np.float64))
    labels = np.round(found)
    if not np.isfinite(found).all() or np.abs(found - labels).max() > 1e-3 or labels.min() < 0:
        raise DataError(
            f"{path}: values from {found.min():g} to {found.max():g} that are no labels. Give whole numbers, one a "
            "region, and 0 outside; of maps of probabilities take the label of the largest."
        )
    labels = labels.astype(np.int64)
    return of_labels(labels, {n: f"label-{n}" for n in np.unique(labels).tolist() if n}, grid.mask, str(path))


def write_regions(image: str | Path, table: str | Path, regions: Regions, grid: Grid, descrip: str = "") -> None:
    """Write regions as a label image and a table ``region, name, voxels``."""
    rows = pd.DataFrame({"region": range(1, len(regions) + 1), "name": regions.names, "voxels": regions.voxels})
    with whole(table) as path:
        rows.to_csv(path, sep="\t", index=False, lineterminator="\n")
    write_map(image, regions.labels.reshape(grid.shape), grid.affine, descrip)


def passes(regions: int, permutations: int) -> int:
    """Return how many passes through a network the Shapley values of one map's regions take."""
    return 2**regions if regions <= EXACT else permutations * (regions + 1)


def read_regions(image: str | Path, table: str | Path) -> Regions:
    """Read what `write_regions` wrote.

    Raises
    ------
    DataError
        If a file is damaged.
    """
    try:
        labels = np.round(np.asarray(nib.load(image).dataobj)).astype(np.int64).reshape(-1)
        names = pd.read_csv(table, sep="\t", dtype=str, keep_default_na=False)["name"].tolist()
        if labels.max() != len(names):
            raise ValueError(f"{labels.max()} labels, {len(names)} names")
    except (OSError, EOFError, zlib.error, KeyError, ValueError, nib.filebasedimages.ImageFileError) as error:
        raise DataError(f"{image} (or {table}): damaged ({error}). Delete both, they are then made again.") from None
    return Regions(labels, names)
