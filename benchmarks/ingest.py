"""From files to z-scored maps in one array: ours against the ways a user would write it, and the memory it takes.

Run from the checkout's root:  .venv/bin/python benchmarks/ingest.py
Simulated data in HCP's layout: one subject at 2 mm (25 maps), timed on one core, each way in turn, medians of processor
time; and 5 and 50 subjects at 4 mm (the same files under several names), peak memory of one job.
"""

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

import nibabel as nib
import numpy as np
from isal import igzip
from measure import peak, processor_time
from nilearn.image import load_img
from nilearn.maskers import NiftiMasker
from zlib_ng import gzip_ng

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.data.grid import Grid  # noqa: E402
from truemap.data.ingest import write_volumes  # noqa: E402
from truemap.data.shared_grid import find_grid  # noqa: E402
from truemap.datasets import hcp  # noqa: E402 (the package lies in workflow/)
from truemap.datasets._simulation import build_template, read_tables, write_subject  # noqa: E402

REPEATS = 5
#: Subjects with files of their own at 4 mm; the others are links to them.
OWN = 5


def simulate(root: Path, resolution: int, subjects: int, own: int) -> list[str]:
    """Write subjects' maps, those after the first `own` as links to the files of these; return the subjects."""
    options = hcp.Simulate(resolution=resolution)
    tables = read_tables(*(ROOT / f"config/simulation/task_{name}.tsv" for name in ("peaks", "components")))
    template = build_template(*tables, resolution, options.blob_fwhm)
    names = hcp.simulated_subjects(subjects)
    for number, subject in enumerate(names):
        if number < own:
            write_subject(root, template, subject, 0, options.model_dump())
        else:
            # Links to files: a link to a folder is refused, as the same person again.
            shutil.copytree(root / names[number % own], root / subject, copy_function=os.link)
    return names


def ours(root: Path, out: Path, grid: Grid | None = None) -> Path:
    """Do what a `volumes` job does: read once, check, z-score in float64, store as float16, with checksums."""
    options = hcp.Options(root=str(root))
    rows = hcp.index(options, 0)
    first = rows["image"].tolist()[:1]
    grid = grid or find_grid(first, lambda image: hcp.read(image, options, 0), None)
    files = [out / f"maps.{ending}" for ending in ("npy", "parquet", "skipped.tsv")]
    write_volumes(*files, rows, lambda image: hcp.read(image, options, 0), grid, "volume", "float16")
    return files[0]


def with_numpy(files: list[str], out: Path) -> Path:
    """Do it with nilearn's load_img and NumPy, a map at a time."""
    maps = []
    for file in files:
        values = load_img(file).get_fdata()
        maps.append(((values - values.mean()) / values.std()).astype(np.float16))
    np.save(out / "users.npy", np.stack(maps))
    return out / "users.npy"


def with_masker(files: list[str], out: Path) -> Path:
    """Do it with NiftiMasker on the whole volume, all maps at once; it standardises over maps: z-scores are NumPy's."""
    image = nib.load(files[0])
    everywhere = nib.Nifti1Image(np.ones(image.shape, "uint8"), image.affine)
    maps = NiftiMasker(everywhere).fit().transform(files)
    means, sds = maps.mean(axis=1, keepdims=True, dtype=np.float64), maps.std(axis=1, keepdims=True, dtype=np.float64)
    maps = ((maps - means) / sds).astype(np.float16).reshape(-1, *image.shape)
    np.save(out / "masked.npy", maps)
    return out / "masked.npy"


def throughput(folder: Path) -> None:
    """Print the time of each way, and of plain decompression of the same bytes."""
    simulate(folder / "tree", 2, 1, 1)
    files = hcp.index(hcp.Options(root=str(folder / "tree")), 0)["image"].tolist()
    raw = [Path(file).read_bytes() for file in files]
    ways = {
        "plain decompression, Python's gzip (zlib)": lambda: [gzip.decompress(part) for part in raw],
        "plain decompression, zlib-ng": lambda: [gzip_ng.decompress(part) for part in raw],
        "plain decompression, isal": lambda: [igzip.decompress(part) for part in raw],
        "nibabel.load, its own gzip": lambda: [np.asanyarray(nib.load(file).dataobj) for file in files],
        "nibabel.from_bytes, zlib": lambda: [decode(gzip.decompress, part) for part in raw],
        "nibabel.from_bytes, zlib-ng": lambda: [decode(gzip_ng.decompress, part) for part in raw],
        "nibabel.from_bytes, isal": lambda: [decode(igzip.decompress, part) for part in raw],
        "ours, whole job": lambda: ours(folder / "tree", folder),
        "load_img and NumPy": lambda: with_numpy(files, folder),
        "NiftiMasker and NumPy": lambda: with_masker(files, folder),
    }
    turns = [{name: processor_time(run) for name, run in ways.items()} for _ in range(REPEATS + 1)][1:]
    times = {name: median(turn[name] for turn in turns) for name in ways}
    plain = times["plain decompression, Python's gzip (zlib)"]
    size = sum(map(len, raw))
    print(f"{len(files)} maps at 2 mm, {size / 1e6:.0f} MB compressed, one core")
    for name, seconds in times.items():
        print(f"{name:45s} {seconds:6.3f} s  {seconds / plain:5.2f} x plain zlib")
    for name in ("load_img and NumPy", "NiftiMasker and NumPy"):
        print(f"{name} takes {times[name] / times['ours, whole job']:.2f} times as long as ours")
    made, users, masked = (np.load(folder / f"{name}.npy").astype("f4") for name in ("maps", "users", "masked"))
    print(f"largest difference of the maps: {np.abs(made - users).max():.1e}, {np.abs(made - masked).max():.1e} (SD)")


def decode(decompress: Callable[[bytes], bytes], raw: bytes) -> np.ndarray:
    """Return a map's values, decompressed in one go and read by nibabel."""
    return np.asanyarray(nib.Nifti1Image.from_bytes(decompress(raw)).dataobj)


def memory(folder: Path) -> None:
    """Print the peak memory of one job for 5 and for 50 subjects at 4 mm."""
    peaks = {}
    for subjects in (OWN, 10 * OWN):
        tree = folder / f"tree-{subjects}"
        tree.mkdir()
        simulate(tree, 4, subjects, OWN)
        call = [sys.executable, __file__, str(tree), str(folder)]
        peaks[subjects] = json.loads(subprocess.run(call, check=True, capture_output=True).stdout)
        before, after = peaks[subjects]
        print(f"{subjects} subjects at 4 mm: peak {after:.0f} MB, {after - before:.0f} MB above that of the imports")
    (_, few), (_, many) = peaks.values()
    print(f"peak memory of many is {many / few:.3f} times that of few")


def main() -> None:
    """Print all figures."""
    with tempfile.TemporaryDirectory() as folder:
        throughput(Path(folder))
        memory(Path(folder))


if __name__ == "__main__":
    if len(sys.argv) > 1:
        before = peak()
        ours(Path(sys.argv[1]), Path(sys.argv[2]))
        print(json.dumps([before, peak()]))
    else:
        if "OMP_NUM_THREADS" not in os.environ:
            os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})
        main()
