"""The saliency maps that another tool made, on the dataset's grid; their sheet: `truemap.data.given`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import numpy as np
import pandas as pd

from truemap.data.grid import Grid, grid_difference, turned
from truemap.data.headers import sized
from truemap.data.maps import unit_peak
from truemap.data.nifti import read_map
from truemap.data.oddities import Oddities
from truemap.data.rows import by_target, subject_blocks
from truemap.numerics import pearson
from truemap.runtime.files import DataError
from truemap.runtime.log import log, progress

#: A negative value below this share of the map's peak is what saving 0 as a scaled integer leaves of it.
ROUNDING = 1e-5
#: By how much stacks' mean size must agree better with the mask, read the other way round, for it to be said.
BETTER = 0.1


class SheetReader:
    """The maps of a sheet, on the dataset's grid.

    Parameters
    ----------
    sheet : DataFrame
        Of `truemap.data.given.read_sheet`.
    grid : Grid
    signed : bool
        Whether the maps are said to have signs.
    nan : {"refuse", "zero"}
        What becomes of voxels that are NaN.

    Attributes
    ----------
    odd : Oddities
        Of the blocks so far.

    Raises
    ------
    DataError
        If a stack cannot be used.
    """

    def __init__(self, sheet: pd.DataFrame, grid: Grid, signed: bool, nan: Literal["refuse", "zero"]) -> None:
        self._places = sheet.set_index(["sample", "target"])[["image", "row"]]
        self._grid, self._signed, self._nan = grid, signed, nan
        self.odd = Oddities(halves=not signed and sheet["target"].nunique() == 2)
        rows = sheet[sheet["row"] >= 0].groupby("image")["row"].max()
        self._stacks = {image: open_stack(image, int(last), grid) for image, last in rows.items()}
        self._sizes = np.zeros(grid.mask.size)

    def blocks(self, explained: pd.DataFrame, classes: list[str]) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Yield (rows, maps) of each subject, as `truemap.saliency._writer.explain_blocks` does; no sum is promised."""
        for block in progress(list(subject_blocks(explained)), "subject"):
            rows = by_target(block, classes)
            pairs = pd.MultiIndex.from_frame(rows[["sample", "target"]])
            rows = rows[pairs.isin(self._places.index)].reset_index(drop=True)
            maps = np.empty((len(rows), math.prod(self._grid.shape)))
            for number, row in enumerate(rows.itertuples()):
                maps[number] = self.read(row.sample, row.target)
            scale = unit_peak(maps, out=maps)[1]
            self.odd.add(rows, maps)
            yield rows.assign(scale=scale, residual=np.nan), maps
            # Else they stay while the next subject's are made.
            del maps

    def read(self, sample: int, target: str) -> np.ndarray:
        """Return one map, shape (voxels,), float64.

        Raises
        ------
        DataError
            If it cannot be read, is on another grid, not finite, or has negative values though it has no signs.
        """
        image, row = self._places.loc[(sample, target)]
        name = f"{image}, row {row}" if image in self._stacks else image
        if image in self._stacks:
            values, affine = self._stacks[image][row].reshape(self._grid.shape), self._grid.affine
        else:
            with sized(self._grid.shape):
                values, affine, _ = read_map(image)
        found = turned(values, affine, self._grid)
        if found is None:
            difference = grid_difference(values.shape, affine, self._grid.shape, self._grid.affine)
            raise DataError(f"{name}: {difference}. Resample it (nilearn's resample_to_img).")
        found = found.reshape(-1).astype(np.float64)
        if self._nan == "zero":
            found[np.isnan(found)] = 0.0
        if not np.isfinite(found).all():
            remedy = "Write 0 there (or `nan: zero`, where it is NaN outside the brain), or look at what made it."
            raise DataError(f"{name}: {(~np.isfinite(found)).sum()} voxels are NaN or infinite. {remedy}")
        if not self._signed:
            if found.min() < -ROUNDING * np.abs(found).max():
                raise DataError(
                    f"{name}: has negative values (to {found.min():g}), and the config says `signed: false`. Set "
                    "`signed: true`, or write the maps' absolute values."
                )
            found = np.maximum(found, 0.0)
        if image in self._stacks:
            self._sizes += np.abs(found)
        return found

    def warn_order(self, path: str) -> None:
        """Say of a sheet whether the stacks read so far lie in the brain only with their axes in the reverse order.

        At 91 x 109 x 91 voxels, or of vectors, nothing else tells.
        """
        reverse, brain = self._sizes.reshape(self._grid.shape, order="F"), self._grid.mask.reshape(-1)
        here, other = pearson(np.stack([self._sizes, reverse.reshape(-1)]), np.stack([brain, brain]))
        if other - here > BETTER:
            log.warning(
                "%s: the maps of its stacks lie in the brain far better if their axes are taken in the reverse order "
                "(r with the mask %.2f, not %.2f). If a tool had them as z, y, x (SimpleITK), or the first axis "
                "changes fastest (MATLAB), turn each map before it is saved (numpy.transpose)",
                path, other, here,
            )  # fmt: skip


def open_stack(path: str, last: int, grid: Grid) -> np.ndarray:
    """Return a stack of maps, memory-mapped, shape (n, *shape), (n, voxels), or without axes of one voxel.

    Nothing is unpickled.

    Parameters
    ----------
    last : int
        Largest row that is asked for.

    Raises
    ------
    DataError
        If it cannot be read, or has another shape, another type than real numbers or fewer rows.
    """
    try:
        stack = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise DataError(
            f"{path}: no stack of maps ({error}). Save one array of numbers (numpy.save); no Python objects are read."
        ) from None
    shape, voxels = grid.shape, grid.mask.size
    if stack.dtype.kind not in "iufb":
        raise DataError(f"{path}: holds {stack.dtype}, not one real number a voxel. Convert it (e.g. to float32).")
    if stack.shape[1:] not in (shape, (voxels,), tuple(size for size in shape if size != 1)):
        brain = int(grid.mask.sum())
        masked = "; values of the brain alone: nilearn.masking.unmask" if stack.shape[1:] == (brain,) else ""
        raise DataError(
            f"{path}: shape {stack.shape}; a stack of the dataset's maps has (n, {', '.join(map(str, shape))}) or "
            f"(n, {voxels}), axes as in its NIfTI files{masked}. Reshape it, or write NIfTI files."
        )
    if last >= len(stack):
        raise DataError(f"{path}: row {last} is asked for, and it has {len(stack)} (0 to {len(stack) - 1}).")
    return stack
