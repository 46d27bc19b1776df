"""Cost of planning: dry runs of large configs, settings and code of one job, and the list of HCP's 965 subjects.

Run from the checkout's root:  .venv/bin/python benchmarks/dag.py
Times are printed as multiples of `snakemake --version` in the same run, beside seconds. The files of HCP's tree hold
nothing but their own names.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import yaml

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from truemap.data import seen  # noqa: E402 (the package lies in workflow/)
from truemap.datasets import hcp  # noqa: E402
from truemap.datasets._layouts import COPES, map_path  # noqa: E402
from truemap.plan.plan import Plan  # noqa: E402

MODEL = {"network": "mlp", "training": {"name": "pgd", "epochs": 1}, "seeds": list(range(400))}
LARGE = {"run": ["large"], "datasets": {"large": {"source": "synthetic", "figures": "images", "models": {"nn": MODEL}}}}


def make_tree(root: Path, subjects: int) -> None:
    """Write small files where HCP's release has the maps of this many subjects."""
    for number in range(subjects):
        for task, conditions in COPES.items():
            for condition in conditions:
                path = map_path(root, str(100_001 + number), task, condition)
                path.parent.mkdir(parents=True)
                path.write_text(str(path))


def seconds(*arguments: str, repeats: int = 3) -> float:
    """Return the median wall time of a Snakemake call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]


def main() -> None:
    """Print all figures."""
    base = seconds("--version")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(LARGE, file)
        file.flush()
        large = seconds("--dry-run", "--quiet", "all", "--configfile", file.name)
    default = seconds("--dry-run", "--quiet", "all")
    with tempfile.TemporaryDirectory() as folder:
        tree, overlay = Path(folder, "tree"), Path(folder, "root.yaml")
        make_tree(tree, 965)
        overlay.write_text(yaml.safe_dump({"run": ["hcp"], "datasets": {"hcp": {"source": {"root": str(tree)}}}}))
        paper = seconds("--dry-run", "--quiet", "all", "--configfile", "config/paper.yaml", str(overlay))
        real = ("--configfile", "config/paper.yaml", str(overlay), "--directory", folder)
        # With the samples listed: each start looks whether 24,125 maps are still the same.
        seconds("results/hcp/samples.tsv", "--cores", "1", "--quiet", "all", *real, repeats=1)
        known = seconds("--dry-run", "--quiet", "all", *real)
        before = seen.read(Path(folder, seen.list_of("hcp")))
        start = time.perf_counter()
        assert seen.look(before, before) == before
        looked = time.perf_counter() - start
        start = time.perf_counter()
        listed = len(hcp.index(hcp.Options(root=str(tree)), 0))
        indexed = time.perf_counter() - start
    params = Plan(LARGE, ROOT, False).params("train").values()
    start = time.perf_counter()
    for seed in range(400):
        job = SimpleNamespace(dataset="large", model="nn", seed=str(seed), candidate="single", method="gradient")
        [param(job) if callable(param) else param for param in params]
    provenance = (time.perf_counter() - start) / 400
    print(f"snakemake --version                         {base:6.2f} s")
    print(f"dry run of about 2,000 jobs                 {large:6.2f} s  {large / base:5.1f} x")
    print(f"dry run of the default config               {default:6.2f} s  {default / base:5.1f} x")
    print(f"dry run of paper.yaml with 965 subjects     {paper:6.2f} s  {paper / base:5.1f} x")
    print(f"the same, the samples being listed          {known:6.2f} s  {known / base:5.1f} x")
    print(f"a look at {len(before):,} files and folders          {looked:6.2f} s")
    print(f"a job's list of these {listed:,} maps          {indexed:6.2f} s")
    print(f"settings and code of one job                {provenance * 1000:6.2f} ms")


if __name__ == "__main__":
    main()
