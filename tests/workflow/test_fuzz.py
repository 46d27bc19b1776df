"""Whatever is done to config, files, code, results and runs: a full run ends with the bytes of a clean one.

Another way than the test's, a longer one, and a faster one that makes no figures::

    FUZZ_SEED=7 FUZZ_STEPS=60 FUZZ_TARGETS="results/fuzz/statistics/summary.tsv results/fuzz/quality.html" \\
        python -m pytest -m faults tests/workflow/test_fuzz.py -k sheet -s --tb=line
"""

import os
import time
from pathlib import Path

import pytest
from fuzz_steps import WEIGHTS
from fuzzing import World

pytestmark = pytest.mark.faults
SEED = int(os.environ.get("FUZZ_SEED", "1"))
#: Of each kind of data; and between two full runs.
STEPS = int(os.environ.get("FUZZ_STEPS", "22"))
BETWEEN = (4, 6)


@pytest.mark.parametrize("kind", WEIGHTS)
def test_a_full_run_gives_the_bytes_of_a_clean_one_whatever_came_before(kind: str, tmp_path: Path) -> None:
    world = World(kind, SEED, tmp_path)
    steps, weights = zip(*WEIGHTS[kind].items(), strict=True)
    done = 0
    while done < STEPS:
        for _ in range(min(world.random.randint(*BETWEEN), STEPS - done)):
            (step,) = world.random.choices(steps, weights)
            # Until it is over and says what it did: for the message, where it fails.
            world.steps.append(step.__name__)
            world.steps[-1] = step(world)
            done += 1
            print(f"{time.strftime('%H:%M:%S')} {kind} {SEED}: {world.steps[-1]}", flush=True)
        world.check()
        print(f"{time.strftime('%H:%M:%S')} {kind} {SEED}: {world.steps[-1]}", flush=True)
