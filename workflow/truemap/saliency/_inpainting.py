"""Voxels filled in from around them: the smoothest continuation of a map into a mask (biharmonic inpainting).

With scipy's sparse matrices, as scikit-image's ``inpaint_biharmonic`` would be the only use of that package and of the
five that it brings. Where a mask is two voxels or more away from the map's ends the equations are the same; at the ends
they follow from the energy, so that linear maps are continued exactly there too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.linalg import splu

from truemap.runtime.files import DataError

#: Weight of squared first differences: where too few voxels are known to tell a slope, it is the flattest.
FLATTEST = 1e-8


def inpainted(x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return maps whose voxels in a mask are replaced by the smoothest continuation of the others.

    Of all values u in the mask those of least bending energy, of all second differences of the map,

    .. math:: \\sum_a \\sum_v (u_{v-a} - 2 u_v + u_{v+a})^2
              + 2 \\sum_{a < b} \\sum_v (u_v - u_{v+a} - u_{v+b} + u_{v+a+b})^2

    over axes a, b (the thin plate of Duchon 1977); inside the mask the Laplacian of the Laplacian is then 0. Linear
    maps are continued exactly, and two voxels from the map's ends cubic ones too. What lies in the mask is not read.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    mask : Tensor of bool, shape ``shape``

    Returns
    -------
    Tensor, shape (n, *shape)
        Outside the mask x itself, to the bit.

    Raises
    ------
    DataError
        If no voxel is outside the mask.
    """
    inside = mask.cpu().numpy()
    if not inside.any():
        return x.clone()
    if inside.all():
        raise DataError(
            "decoy with decoys: inpainted: a mask covers the whole map, from which nothing can be continued. Raise "
            "`masks`, or lower `patch`."
        )
    differences, voxels = _differences(inside), np.flatnonzero(inside)
    unknown = differences[:, voxels]
    solver = splu((unknown.T @ unknown).tocsc())
    found = x.clone()
    # One map at a time, so that it is the same to the bit in any batch.
    for row, one in enumerate(x):
        known = np.where(inside, 0.0, one.double().cpu().numpy()).ravel()
        values = solver.solve(-(unknown.T @ (differences @ known)))
        found[row][mask] = torch.from_numpy(values).to(x)
    return found


def _differences(inside: np.ndarray) -> csr_array:
    """Return all differences of a map that a mask takes part in, each a row, shape (differences, voxels)."""
    strides = [math.prod(inside.shape[axis + 1 :]) for axis in range(inside.ndim)]
    rows, columns, entries, count = [], [], [], 0
    for offsets, coefficients in _stencils(inside.shape):
        # Where a stencil may begin, and where one of its voxels is in the mask.
        room = [size - max(offset[axis] for offset in offsets) for axis, size in enumerate(inside.shape)]
        met = np.zeros(room, dtype=bool)
        for offset in offsets:
            met |= inside[tuple(slice(start, start + size) for start, size in zip(offset, room, strict=True))]
        starts = np.stack(np.nonzero(met), axis=1) @ strides
        for offset, coefficient in zip(offsets, coefficients, strict=True):
            rows.append(count + np.arange(len(starts)))
            columns.append(starts + np.dot(offset, strides))
            entries.append(np.full(len(starts), coefficient))
        count += len(starts)
    places = (np.concatenate(rows), np.concatenate(columns))
    return csr_array((np.concatenate(entries), places), shape=(count, inside.size))


def _stencils(shape: tuple[int, ...]) -> Iterator[tuple[list[np.ndarray], list[float]]]:
    """Yield offsets and coefficients of each kind of difference that fits into a map of this shape."""
    units = np.eye(len(shape), dtype=int)
    nothing, long = 0 * units[0], [axis for axis, size in enumerate(shape) if size > 1]
    for axis in long:
        yield [nothing, units[axis]], [-math.sqrt(FLATTEST), math.sqrt(FLATTEST)]
        if shape[axis] > 2:
            yield [nothing, units[axis], 2 * units[axis]], [1.0, -2.0, 1.0]
    for a, b in itertools.combinations(long, 2):
        yield [nothing, units[a], units[b], units[a] + units[b]], [math.sqrt(2) * sign for sign in (1, -1, -1, 1)]
