import multiprocessing
import os
import signal
from pathlib import Path
from queue import Empty

import pytest
import torch

from truemap.networks.devices import acquire, prepare_device

NAMES = ["GPU-one", "GPU-two"]


def hold(folder: Path, queue: multiprocessing.Queue) -> None:
    queue.put((os.getpid(), acquire(NAMES, folder, wait=0.05)))
    signal.pause()


@pytest.fixture
def jobs(tmp_path: Path):
    context = multiprocessing.get_context("spawn")
    queue, started = context.Queue(), []

    def start() -> None:
        started.append(context.Process(target=hold, args=(tmp_path, queue)))
        started[-1].start()

    yield start, queue
    for process in started:
        process.kill()
        process.join()


def test_no_two_jobs_share_a_device_and_a_killed_one_frees_its_own(jobs) -> None:
    start, queue = jobs
    start()
    start()
    owners = {device: pid for pid, device in (queue.get(timeout=60), queue.get(timeout=60))}
    assert set(owners) == {0, 1}
    start()
    with pytest.raises(Empty):
        queue.get(timeout=1.0)
    os.kill(owners[1], signal.SIGKILL)
    assert queue.get(timeout=60)[1] == 1


def test_prepare_device_sets_the_configs_number_of_threads():
    try:
        assert prepare_device("cpu", 2) == torch.device("cpu")
        assert torch.get_num_threads() == 2
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(False)
