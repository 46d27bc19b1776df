"""A stage that writes the same bytes ends what follows from it, whatever the size: without Snakemake's checksums."""

import os
from pathlib import Path

import pytest
from conftest import Clone, copied
from test_edits import AFTER_TRAINING, SYNTHETIC_ONLY, planned

NO_CHECKSUMS = ("--max-checksum-file-size", "0")


@pytest.fixture
def copy(finished: Clone, tmp_path: Path) -> Clone:
    return copied(finished, tmp_path / "copy")


def edit(copy: Clone, old: str, new: str) -> None:
    path = copy.path / "workflow/scripts/volumes.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def run(copy: Clone, *arguments: str) -> dict[str, int]:
    """Run and return the jobs that were planned."""
    result = copy.snakemake(*NO_CHECKSUMS, "-p", *arguments)
    assert result.returncode == 0, result.stdout
    return planned(result.stdout)


def test_the_same_bytes_end_it_and_other_bytes_do_not(copy: Clone) -> None:
    assert run(copy, "--dry-run") == {}
    edit(copy, "of %d maps", "of the %d maps")
    assert set(run(copy, "--dry-run")) > {"volumes", "train", "explain"}
    assert run(copy, "--until", "volumes") == {"volumes": 9}
    assert run(copy, "--dry-run") == {}
    # Other bytes for the synthetic images, which are not standardised; the same for the subjects' maps.
    edit(copy, 'settings["standardize"]', '"volume"')
    assert run(copy, "--until", "volumes") == {"volumes": 9}
    left = run(copy, "--dry-run")
    assert set(left) == AFTER_TRAINING - SYNTHETIC_ONLY | {"truth", "background", "quality", "refer"}
    assert left["train"] == 3  # two seeds and the adversarial network; none of the subjects' models
    model = "results/tiny-synthetic/models/linear/seed-0/model.json"
    assert set(run(copy, model)) == {"train", "model"}
    assert run(copy, "--dry-run", model) == {}


def test_what_is_changed_by_hand_between_stages_is_refused(copy: Clone) -> None:
    edit(copy, "of %d maps", "of the %d maps")
    run(copy, "--until", "volumes")
    maps = copy.path / "results/tiny-hcp/volumes/train/0.npy"
    before = maps.stat()
    content = bytearray(maps.read_bytes())
    content[-1] ^= 1
    maps.write_bytes(content)
    os.utime(maps, ns=(before.st_atime_ns, before.st_mtime_ns))
    result = copy.snakemake(*NO_CHECKSUMS, "--dry-run")
    assert result.returncode != 0
    assert "volumes/train/0.npy: are not what their job wrote" in result.stdout
