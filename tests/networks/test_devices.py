import multiprocessing
import os
import signal
import tempfile
from pathlib import Path
from queue import Empty
from types import SimpleNamespace

import pytest
import torch

from truemap.networks._devices import acquire, prepare_device
from truemap.runtime.files import DataError

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


def test_prepare_device_sets_the_configs_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        assert prepare_device("cpu", 1) == torch.device("cpu")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_a_gpu_is_taken_with_its_lock_and_made_repeatable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a GPU here: PyTorch's answers about one are made up."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: SimpleNamespace(uuid="made-up"))
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    before = torch.get_num_threads()
    try:
        assert prepare_device("auto", 1) == torch.device("cuda", 0)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.allow_tf32 and not torch.backends.cuda.matmul.allow_tf32
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        assert [path.name for path in tmp_path.rglob("*.lock")] == ["made-up.lock"]
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)


def test_a_gpu_that_is_asked_for_and_not_there_is_an_error_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    before = torch.get_num_threads()
    try:
        with pytest.raises(DataError, match="PyTorch sees no GPU here"):
            prepare_device("cuda", 1)
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_num_threads(before)
