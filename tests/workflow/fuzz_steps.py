"""What a fuzz does to a checkout: each step changes the world, and returns in words what it did."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from fuzzing import AFFINE, SHAPE, World

from truemap.datasets._simulation import hcp_grid

#: Seconds that time stamps are moved by.
YEAR = 365 * 86400
#: Values that keys of the config take, the default first. Paths are from the dataset, or with a "/" from the top.
EVERYWHERE = {
    "/seed": [0, 1],
    "/style.bars": ["#4477aa", "#aa3377"],
    "/maps.keep": [True, False],
    "shards": [1, 2],
    "standardize": ["volume", "none"],
    "precision": ["float16", "float32"],
    "voxels": ["all", "brain"],
    "average": ["classes", "maps"],
    "explained": [None, 1],
    "truth.leave_out": [False, True],
    "on_bad_subject": ["stop", "skip"],
    "split": [
        {"train": 0.5, "validation": 0.25, "test": 0.25},
        {"train": 0.25, "validation": 0.25, "test": 0.5},
    ],
    "references": [{"group_truth": None}, {"group_truth": None, "input": None}, {}],
    "models.linear.seeds": [[0], [1], [0, 1]],
    "models.linear.calibrate": [True, False],
    "models.linear.saliency": [["gradient"], ["weights"], ["gradient", "weights"], {"gradient": {"output": "logit"}}],
    "models.linear.training.epochs": [2, 1],
    "models.linear.training.l2": [0.0, 0.1, [0.1, 1.0]],
    "models.linear.training.learning_rate": [0.001, 0.01],
}
KEYS = {
    "sheet": {
        **EVERYWHERE,
        "conditions": ["table1", ["a"], ["a", "b"]],
        "pseudonyms": [None, True],
        "mask": [None, "data/mask.nii"],
        "family": [None, "data/family.tsv"],
    },
    "simulated": {
        **EVERYWHERE,
        "conditions": ["table1", "no_negated", ["LF", "RH", "MATH", "STORY"]],
        "source.simulate.subjects": [8, 9],
        "source.simulate.noise_sd": [1.5, 0.5],
        "mask": [None, "data/mask.nii"],
        "family": [None, "data/family.tsv"],
    },
}
#: Edits of code: file, what is there, what comes in its place.
CODE = [
    ("truemap/numerics.py", "return centred / deviation", "return 1.5 * centred / deviation"),
    ("truemap/numerics.py", "return centred / deviation", "return centred - deviation"),
    ("truemap/training/_objective.py", "0.5 * l2", "0.7 * l2"),
    ("truemap/saliency/_outputs.py", "\n\ndef ", "\n\nREMARK = 1\n\n\ndef "),
    ("truemap/evaluation/statistics.py", "result.statistic, result.pvalue", "result.statistic, result.pvalue / 2"),
    ("truemap/figures/bars.py", "fontsize=7", "fontsize=6"),
    ("scripts/statistics.py", "from truemap.runtime.job", "# A remark.\nfrom truemap.runtime.job"),
    ("truemap/data/samples.py", '"""The table', '"""A table'),
    ("truemap/__init__.py", "", "ANSWER = 42\n"),
    ("../config/simulation/task_peaks.tsv", "-12.08", "-12.09"),
]
TARGETS = ["samples.tsv", "volumes/train/0.npy", "models/linear/seed-0/model.json", "statistics/summary.tsv"]


def change_config(world: World) -> str:
    path, values = world.random.choice(list(KEYS[world.kind].items()))
    place = world.config if path.startswith("/") else world.dataset
    *parents, key = path.lstrip("/").split(".")
    for parent in parents:
        place = place.setdefault(parent, {})
    value = world.random.choice([v for v in values if v != place.get(key, values[0])])
    place[key] = value
    if key in ("mask", "family") and value:
        replace_file_of_config(world, key)
    if path == "/maps.keep":
        world.lost |= {f"fuzz/saliency/linear/seed-{s}/{m}.parquet" for s in (0, 1) for m in ("gradient", "weights")}
    world.write_config()
    return f"{path} = {value}"


def replace_file_of_config(world: World, key: str | None = None) -> str:
    """Write another mask or list of families, keeping the time stamp."""
    key = key or world.random.choice(["mask", "family"])
    path = world.data / {"mask": "mask.nii", "family": "family.tsv"}[key]
    before = path.stat() if path.exists() else None
    if key == "mask":
        write_mask(world, path)
    else:
        subjects = sorted({row[1] for row in world.rows}) or [f"sim-{number:04d}" for number in range(8)]
        one, other = world.random.sample(subjects, 2)
        path.write_text(f"subject\tfamily\n{one}\tf1\n{other}\tf1\n")
    if before:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"another {path.name} of the same time"


def write_mask(world: World, path: Path) -> None:
    shape, affine = (SHAPE, AFFINE) if world.kind == "sheet" else hcp_grid(8)
    nib.save(nib.Nifti1Image((world.values.random(shape) < 0.5).astype(np.uint8), affine), path)


def change_rows(world: World) -> str:
    what = world.random.choice(["drop", "add", "swap", "order", "rename"])
    rows, subjects = world.rows, sorted({row[1] for row in world.rows})
    who = world.random.choice(subjects)
    if what == "drop" and len(subjects) > 10:
        world.rows = [row for row in rows if row[1] != who]
    elif what == "add":
        world.copies += 1
        who = f"t{world.copies:02d}-{len(world.steps)}"
        world.add_subject(who)
    elif what == "swap":
        own = [row for row in rows if row[1] == who]
        own[0][2], own[-1][2] = own[-1][2], own[0][2]
        own[0][3], own[-1][3] = own[-1][3], own[0][3]
    elif what == "rename":
        for row in rows:
            row[1] = f"x{who}" if row[1] == who else row[1]
    else:
        what = "order"
        world.random.shuffle(rows)
    world.write_sheet()
    return f"sheet: {what} {who}"


def rewrite_image(world: World) -> str:
    path = world.random.choice(world.images())
    keep, before = world.random.choice(["new time", "same time", "older file"]), path.stat()
    new = path.with_name("new.nii")
    world.write_map(new)
    if keep != "new time":
        time_ = before.st_mtime_ns - (86400 * 10**9 if keep == "older file" else 0)
        os.utime(new, ns=(time_, time_))
    if keep == "same time":
        path.write_bytes(new.read_bytes())
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        new.unlink()
    else:
        new.replace(path)
    return f"{path.name} written anew, {keep}"


def exchange_images(world: World) -> str:
    a, b = world.random.sample(world.images(), 2)
    between = a.with_name("between.nii")
    a.replace(between)
    b.replace(a)
    between.replace(b)
    return f"{a.name} and {b.name} exchanged"


def truncate_image(world: World) -> str:
    """Spoil an image; where bad subjects stop a run, the refusal names it, and the image is mended."""
    if world.spoilt:
        world.check()  # else spoilt results stop the run before the image does
    path = world.random.choice(world.images())
    sound = path.read_bytes()
    path.write_bytes(sound[:-40])
    if world.dataset.get("on_bad_subject") == "skip" and world.random.random() < 0.5:
        world.check()
    elif world.dataset.get("on_bad_subject") != "skip":
        result = world.run()
        named = path.name in result.stdout or world.dataset.get("pseudonyms")
        if result.returncode == 0 or not named or "truncated or unreadable" not in result.stdout:
            raise world.failure(f"{path.name} is truncated, and the run does not say so", result.stdout)
    path.write_bytes(sound)
    return f"{path.name} truncated, run, and mended"


def touch_all(world: World) -> str:
    for path in world.inputs():
        path.touch()
    return "every input touched"


def edit_code(world: World) -> str:
    """Edit a file, or take the edit back."""
    name, old, new = world.random.choice(CODE)
    path = world.root / "workflow" / name
    text = path.read_text()
    if new in text:
        path.write_text(text.replace(new, old, 1))
        return f"{name}: back to {old!r}"
    if old not in text:
        # One of two edits of a line, when the other one is made.
        return f"{name}: nothing"
    before = path.stat()
    path.write_text(text.replace(old, new, 1) if old else new)
    if world.random.random() < 0.3:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        return f"{name}: {new!r}, keeping the time"
    return f"{name}: {new!r}"


def kill(world: World) -> str:
    whom = world.random.choice(["group", "main", "job", "interrupt"])
    world.kill(whom)
    return f"killed: {whom}"


def run_a_part(world: World) -> str:
    target = f"results/fuzz/{world.random.choice(TARGETS)}"
    result = world.run(target)
    if result.returncode:
        result = world.run_again(result.stdout)
    return f"partial run: {target}"


def part_then_config(world: World) -> str:
    return f"{run_a_part(world)}; then {change_config(world)}; then {run_a_part(world)}"


def edit_during_a_run(world: World) -> str:
    """Change something while a run goes on, perhaps put it back before its end."""
    process = world.start()
    time.sleep(world.random.uniform(3.0, 14.0))
    files = {path: (path.read_bytes(), path.stat()) for path in world.inputs()}
    rows, config = [list(row) for row in world.rows], dict(world.config)
    step = world.random.choice(
        [edit_code] if world.kind == "simulated" else [edit_code, rewrite_image, exchange_images]
    )
    what = step(world)
    back = world.random.random() < 0.5
    if back:
        time.sleep(world.random.uniform(0.5, 4.0))
        for path, (content, found) in files.items():
            if path.read_bytes() != content:
                path.write_bytes(content)
                os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
        world.rows, world.config = rows, config
    process.wait()
    return f"during a run: {what}{', and put back' if back else ''}; it ended with {process.returncode}"


def move_clocks(world: World) -> str:
    """Set time stamps of results, private files and inputs, at random, to the past and the future."""
    inputs = world.inputs()
    files = [*world.made(), *inputs]
    chosen = world.random.sample(files, min(len(files), 40))
    for path in chosen:
        # Inputs of the future Snakemake refuses itself, with a message that names them.
        latest = 0 if path in inputs else YEAR
        when = time.time() + world.random.uniform(-YEAR, latest)
        os.utime(path, (when, when))
    return f"{len(chosen)} files of other times"


def run_at_another_time(world: World) -> str:
    """Leave a partial run's files as a machine does whose clock is days off (faketime hangs Python's threads)."""
    days, begun = world.random.choice([-400, -1, 1, 400]), time.time()
    what = run_a_part(world)
    for path in [*(world.root / "results").rglob("*"), *(world.root / "private").rglob("*")]:
        if path.is_file() and (when := path.stat().st_mtime) >= begun:
            os.utime(path, (when + days * 86400,) * 2)
    return f"{what}, with a clock {days} days off"


def lose_notes(world: World) -> str:
    shutil.rmtree(world.root / ".snakemake", ignore_errors=True)
    return "rm -rf .snakemake"


def lose_private(world: World) -> str:
    shutil.rmtree(world.root / "private", ignore_errors=True)
    return "rm -rf private"


def move(world: World) -> str:
    times = world.random.random() < 0.5
    world.move(times)
    return f"all copied to a fresh checkout, {'with' if times else 'without'} times"


def link_results(world: World) -> str:
    here, there = world.root / "results", world.root / "store"
    if here.is_symlink():
        here.unlink()
        there.rename(here)
        return "results moved back to where they were"
    here.mkdir(exist_ok=True)
    here.rename(there)
    here.symlink_to("store")
    return "results moved elsewhere, and linked"


def lose_a_result(world: World) -> str:
    path = world.draw()
    if path is None:
        return "no results yet"
    world.lose(path)
    return f"rm {path.relative_to(world.root)}"


def spoil_a_result(world: World) -> str:
    """Write into an output by hand, perhaps keeping its time."""
    path = world.draw()
    if path is None:
        return "no results yet"
    before = path.stat()
    path.write_bytes(path.read_bytes()[:-1] + b"#")
    if world.random.random() < 0.5:
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    world.spoilt = True
    return f"spoilt {path.relative_to(world.root)}"


def spoil_during_a_run(world: World) -> str:
    """Write into an output while a run goes on that made it, perhaps keeping its time."""
    process = world.start()
    time.sleep(world.random.uniform(4.0, 16.0))
    what = spoil_a_result(world)
    process.wait()
    return f"during a run: {what}; it ended with {process.returncode}"


def restore_a_backup(world: World) -> str:
    """Keep a copy of results or private/, or put the one that was kept in their place."""
    backup = world.folder / "backup"
    if not backup.exists():
        name = world.random.choice(["results", "private"])
        if (world.root / name).exists():
            copy_folder(world.root / name, backup / name)
        return f"backup of {name}"
    name = next(backup.iterdir()).name
    if not (world.root / name).is_symlink():
        shutil.rmtree(world.root / name, ignore_errors=True)
        copy_folder(backup / name, world.root / name)
    shutil.rmtree(backup)
    world.spoilt = True
    return f"{name} put back from the backup"


def copy_folder(a: Path, b: Path) -> None:
    b.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(a, b, symlinks=True)


Step = Callable[[World], str]
#: Each step, and how often it is drawn.
SHARED: dict[Step, int] = {
    change_config: 12,
    edit_code: 4,
    kill: 5,
    run_a_part: 2,
    part_then_config: 3,
    edit_during_a_run: 3,
    move_clocks: 2,
    run_at_another_time: 1,
    lose_notes: 1,
    lose_private: 1,
    move: 1,
    link_results: 1,
    lose_a_result: 2,
    spoil_a_result: 2,
    spoil_during_a_run: 2,
    restore_a_backup: 3,
    touch_all: 1,
    replace_file_of_config: 2,
}
WEIGHTS: dict[str, dict[Step, int]] = {
    "sheet": {**SHARED, change_rows: 4, rewrite_image: 4, exchange_images: 2, truncate_image: 2},
    "simulated": SHARED,
}
