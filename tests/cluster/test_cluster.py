"""The workflow on a real Slurm, with everything that goes wrong there: one story, told once, that the tests look at."""

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cluster import PATIENCE, PROFILE, Checkout, Job, NoSlurm, ask, crash, slurm, soon

pytestmark = pytest.mark.slurm

CALL = ("--workflow-profile", PROFILE)
TARGET = "results/tiny/statistics/summary.parquet"
GPU_RULES = {"train", "model", "explain", "robustness"}
CPU_RULES = {"volumes", "truth", "background", "refer", "score"}
# Candidates of tiny.yaml, and what happens to the first job of each.
HUNGRY, CANCELLED, SLOW, LOST = "l2-0.1", "l2-0.2", "l2-0.3", "l2-0.4"
ENDS: dict[str, tuple[str, Callable[[Job], object]]] = {
    CANCELLED: ("CANCELLED", lambda job: ask("scancel", f"{job.number}")),
    SLOW: ("TIMEOUT", lambda job: ask("scontrol", "update", f"JobId={job.number}", "EndTime=now+1seconds")),
    LOST: ("NODE_FAIL", crash),
}
#: Enough for the two snakemakes of a job, not for torch as well; then four times as much.
TOO_LITTLE = f"400 * attempt ** 2 if wildcards.candidate == '{HUNGRY}' else 4000 * attempt"


@dataclass(frozen=True)
class Story:
    """On the cluster a first call, interrupted, a second with all its mishaps, and a third; and a local run."""

    local: Checkout
    copy: Checkout
    codes: list[int]
    #: Before and after the interrupt.
    locks: list[list[Path]]
    #: Running on GPUs at the moment when those of ENDS were caught.
    together: list[Job]
    #: After the interrupt.
    left: list[Path]
    interrupted: list[Job]
    #: After the second call.
    jobs: list[Job]
    statistics_made: bool

    def tries(self, rule: str, wildcards: str) -> list[Job]:
        """The jobs of the second call for one rule and the end of its wildcards."""
        return [job for job in self.jobs if job.rule == rule and job.comment.endswith(wildcards)]


def outputs(copy: Checkout, candidate: str) -> Path:
    return copy.path / f"results/tiny/candidates/linear/seed-0/{candidate}"


def checkpoint(copy: Checkout, candidate: str) -> Path:
    return copy.path / f"results/tiny/.checkpoints/linear/seed-0/{candidate}.safetensors"


def training_log(candidate: str) -> str:
    return f"logs/tiny/train-linear-0-{candidate}.log"


def catch(copy: Checkout, candidates: list[str]) -> dict[str, Job]:
    """Stop the trainings of these candidates between two epochs, one output written by halves; return their jobs."""
    waiting = set(candidates)

    def stop_those_at_work() -> bool:
        for candidate in list(waiting):
            if checkpoint(copy, candidate).exists() and (process := copy.at_work(training_log(candidate))):
                process.suspend()
                waiting.remove(candidate)
        return not waiting

    soon(stop_those_at_work, f"training of {candidates}")
    for candidate in candidates:
        outputs(copy, candidate).mkdir(parents=True, exist_ok=True)
        (outputs(copy, candidate) / "weights.safetensors").write_bytes(b"half")
    running = [job for job in copy.jobs() if job.state == "RUNNING"]
    return {c: next(job for job in running if job.comment.endswith(c)) for c in candidates}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    try:
        with slurm(tmp_path_factory.mktemp("slurm")):
            yield
    except NoSlurm as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def story(cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    local = Checkout.copy(tmp_path_factory.mktemp("local"))
    copy = Checkout.copy(tmp_path_factory.mktemp("cluster"))
    copy.set_up_profile(seconds_before_checks=5, train={"mem_mb": TOO_LITTLE})
    calls = []
    try:
        weights = outputs(copy, CANCELLED) / "weights.safetensors"
        calls.append(copy.start("first.log", *CALL, f"{weights.relative_to(copy.path)}", configs=["tiny", "broken"]))
        catch(copy, [CANCELLED])
        locks = [list(copy.path.glob(".snakemake/locks/*"))]
        calls[-1].send_signal(signal.SIGINT)
        calls[-1].wait(PATIENCE)
        soon(lambda: not ask("squeue", "--noheader"), "empty queue after the interrupt")
        interrupted = copy.jobs()
        left = [path for path in outputs(copy, "").rglob("*") if path.is_file()]
        locks.append(list(copy.path.glob(".snakemake/locks/*")))

        calls.append(copy.start("second.log", *CALL, TARGET, configs=["tiny", "broken"]))
        caught = catch(copy, list(ENDS))
        together = [job for job in copy.jobs() if job.state == "RUNNING" and job.rule in GPU_RULES]
        for candidate, job in caught.items():
            _, end = ENDS[candidate]
            end(job)
        calls.append(local.start("local.log", "--cores", "1", TARGET, configs=["tiny"]))
        calls[1].wait(PATIENCE)
        jobs = copy.jobs()[len(interrupted) :]
        statistics_made = (copy.path / TARGET).exists()

        calls.append(copy.start("third.log", *CALL, TARGET, configs=["tiny"]))
        codes = [call.wait(PATIENCE) for call in calls]
        yield Story(local, copy, codes, locks, together, left, interrupted, jobs, statistics_made)
    finally:
        for checkout in (local, copy):
            checkout.end_processes()


def made(copy: Checkout) -> dict[str, bytes]:
    """The files whose bytes are the same on every run."""
    endings = (".parquet", ".safetensors", ".npy")
    files = [path for path in (copy.path / "results").rglob("*") if path.suffix in endings]
    return {f"{path.relative_to(copy.path)}": path.read_bytes() for path in files}


def test_bytes_are_those_of_a_local_run(story: Story) -> None:
    expected, found = made(story.local), made(story.copy)
    assert {Path(name).suffix for name in expected} == {".parquet", ".safetensors", ".npy"}
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


def test_gpu_rules_ask_for_a_gpu_and_the_others_do_not(story: Story) -> None:
    jobs = story.interrupted + story.jobs
    assert {job.rule for job in jobs} == GPU_RULES | CPU_RULES
    for job in jobs:
        expected = ("gpu", "gres:gpu:1") if job.rule in GPU_RULES else ("cpu", "")
        assert (job.partition, job.gpus) == expected, job


def test_the_default_profile_does_not_cap_the_clusters_gpus(story: Story) -> None:
    assert len({job.node for job in story.together}) >= len(ENDS)


def test_a_job_over_its_memory_is_retried_with_more(story: Story) -> None:
    tries = story.tries("train", HUNGRY)
    assert [(job.state, job.megabytes) for job in tries] == [("FAILED", 400), ("COMPLETED", 1600)]
    (log,) = (story.copy.path / "logs/slurm").rglob(f"{tries[0].number}.log")
    assert "exceeded memory limit" in log.read_text()


@pytest.mark.parametrize("candidate", ENDS)
def test_a_job_that_slurm_ends_is_submitted_again_and_resumes(story: Story, candidate: str) -> None:
    state, _ = ENDS[candidate]
    assert [job.state for job in story.tries("train", candidate)] == [state, "COMPLETED"]
    assert "resumed after epoch" in (story.copy.path / training_log(candidate)).read_text()


def test_an_interrupt_leaves_nothing_behind(story: Story) -> None:
    assert story.codes[0] != 0
    assert {job.state for job in story.interrupted if job.rule == "train"} == {"CANCELLED"}
    assert story.left == []
    before, after = story.locks
    assert before
    assert after == []


def test_the_next_call_goes_on_from_there(story: Story) -> None:
    done = {job.comment for job in story.interrupted if job.state == "COMPLETED"}
    assert len(done) == 2, done
    assert not done & {job.comment for job in story.jobs}


def test_a_job_that_always_fails_ends_after_its_retries_and_the_others_finish(story: Story) -> None:
    tries = story.tries("train", "broken_0_single")
    # The rule's own run time, times the attempt.
    assert [(job.state, job.minutes) for job in tries] == [("FAILED", 720), ("FAILED", 1440), ("FAILED", 2160)]
    assert story.codes[1] == 1
    assert not story.statistics_made
    assert [job.state for job in story.tries("score", "")] == ["COMPLETED"]


def test_the_run_ends_well_without_it(story: Story) -> None:
    assert story.codes[3] == 0
    assert (story.copy.path / TARGET).exists()
