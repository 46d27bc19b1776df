"""Volumes as minibatches on a device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from truemap.data.volumes import Volumes
from truemap.networks._chunks import Chunks, passing

#: Share of a GPU's free memory that training data may take; beyond it they stream from the memory map.
DEVICE_SHARE = 0.6
#: Voxels of maps that meet a network at a time where nothing else says how many: 8 maps at 2 mm, at most 64 maps.
VOXELS = 8 * 902_629
MAPS = 64


class Batches:
    """Maps of one split and their class numbers, served as float32 on a device.

    Parameters
    ----------
    volumes : Volumes
    classes : sequence of str
        Class names in the order of the logits.
    device : torch.device
        A GPU holds all maps in their stored type where they fit; otherwise a batch is copied through
        pinned memory. On a CPU the memory map itself serves.
    resident : bool
        Whether the maps may be held on the device; false for maps of which few are asked for.
    """

    def __init__(self, volumes: Volumes, classes: Sequence[str], device: torch.device, resident: bool = True) -> None:
        self.volumes = volumes
        self.device = device
        numbers = {label: number for number, label in enumerate(classes)}
        self.labels = torch.tensor([numbers[label] for label in volumes.table["label"]])
        self._resident: torch.Tensor | None = None
        size = sum(part.nbytes for part in volumes.parts)
        if resident and device.type == "cuda" and size < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._resident = torch.from_numpy(np.concatenate(volumes.parts)).to(device)

    def __len__(self) -> int:
        return len(self.volumes)

    def get(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return maps ``(n, *shape)`` float32 and class numbers ``(n,)`` of these rows."""
        if self._resident is None:
            return self._given(self._read(rows), rows)
        return self._given(self._resident[rows.to(self.device)], rows)

    def each(self, parts: Iterable[torch.Tensor]) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield what `get` returns of each part of the rows.

        Of maps in files the next part is read, into memory that a GPU copies from, while one is used.
        """
        if self._resident is not None:
            yield from map(self.get, parts)
            return
        with ThreadPoolExecutor(1, "read") as reader:
            reads = ((reader.submit(self._read, rows), rows) for rows in parts)
            coming = next(reads, None)
            while coming:
                maps, rows = coming[0].result(), coming[1]
                coming = next(reads, None)
                yield self._given(maps, rows)

    def _read(self, rows: torch.Tensor) -> torch.Tensor:
        """Return maps in their stored type, from files; pinned, for a GPU."""
        maps = torch.from_numpy(self.volumes.take(rows.tolist()))
        if self.device.type != "cuda":
            return maps
        # In a thread of its own another GPU is the current one, which would lose memory to it.
        with torch.cuda.device(self.device):
            return maps.pin_memory()

    def _given(self, maps: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            maps.to(self.device, non_blocking=True).float(),
            self.labels[rows].to(self.device, non_blocking=True),
        )

    def at_once(self) -> int:
        """Return how many maps may meet a network at a time, by the size of a map alone."""
        return max(1, min(MAPS, VOXELS // math.prod(self.volumes.shape)))

    def chunks(self, rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the rows in parts of as many maps as `at_once` says."""
        return rows.split(self.at_once())

    def logits(
        self, network: torch.nn.Module, megabytes: float | None = None, at_most: int | None = None
    ) -> torch.Tensor:
        """Return the logits of all maps, shape (n, classes), float64 on the CPU.

        Parameters
        ----------
        megabytes : float, optional
            See `truemap.networks._chunks.passing`.
        at_most : int, optional
            Maps at a time. Both only lower what `chunks` says.
        """
        size = self.at_once()
        if megabytes is not None:
            size = min(size, passing(network, self.get(torch.tensor([0]))[0], megabytes))
        chunks = Chunks(min(size, at_most or size))

        def of(rows: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return network(self.get(rows)[0]).double().cpu()

        return torch.cat(list(chunks.each(torch.arange(len(self)), of)))
