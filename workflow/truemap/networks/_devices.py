"""Which device a job computes on, and that no two jobs share a GPU."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from truemap.runtime.files import DataError
from truemap.runtime.log import NOTICE, log

#: Open lock files; the lock lasts as long as the process, however that ends.
_held: list[int] = []


def prepare_device(name: str, threads: int) -> torch.device:
    """Return the device for ``auto``, ``cpu`` or ``cuda``, and make its results repeatable.

    The number of CPU threads is the config's, not what the scheduler has free: sums depend on it. Snakemake
    counts GPUs but does not say which: of several, the first that no other truemap job holds is taken.
    """
    torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        # On a CPU sums are the same for the same number of threads; the call below costs more than a second there.
        return torch.device("cpu")
    # Read when CUDA starts; without it cuBLAS' sums may differ from run to run.
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    # TF32 keeps 10 bits of a float32: maps of a GPU and a CPU would agree to three digits only.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    # By UUID: under Slurm each job sees its own GPU as number 0.
    names = [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]
    if not names:
        raise DataError(
            "device: cuda, but PyTorch sees no GPU here. Ask the scheduler for one, install PyTorch with CUDA, or set "
            "`device: auto` or `cpu`."
        )
    return torch.device("cuda", acquire(names, Path(tempfile.gettempdir()) / f"truemap-{os.getuid()}"))


def acquire(names: Sequence[str], folder: Path, wait: float = 1.0) -> int:
    """Return the index of the first free device, and hold its lock until this process ends; wait for one.

    Parameters
    ----------
    names : sequence of str
        A name for each device that is the same in every process.
    folder : path
        For the lock files; of this machine, not shared.
    wait : float
        Seconds between tries.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tries = 0
    while True:
        if tries == 1:
            log.log(NOTICE, "all %d GPUs are held by other jobs of truemap, waiting for one", len(names))
        for index, name in enumerate(names):
            descriptor = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                continue
            _held.append(descriptor)
            return index
        tries += 1
        time.sleep(wait)


def memory_of(device: torch.device) -> int | None:
    """Return the bytes of a GPU's memory; None for a CPU."""
    return torch.cuda.get_device_properties(device).total_memory if device.type == "cuda" else None
