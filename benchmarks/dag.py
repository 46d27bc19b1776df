"""Cost of planning: dry runs of a config with 2,000 jobs and of the default, settings and code of one job.

Run from the checkout's root:  .venv/bin/python benchmarks/dag.py
Times are printed as multiples of `snakemake --version` in the same run, beside seconds.
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

from truemap.plan import Plan  # noqa: E402 (the package lies in workflow/)

MODEL = {"network": "mlp", "training": {"name": "pgd", "epochs": 1}, "seeds": list(range(400))}
LARGE = {"run": ["large"], "datasets": {"large": {"source": "synthetic", "figures": "images", "models": {"nn": MODEL}}}}


def seconds(*arguments: str, repeats: int = 3) -> float:
    """Return the median wall time of a Snakemake call."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return sorted(times)[repeats // 2]


def main() -> None:
    """Print the three figures."""
    base = seconds("--version")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(LARGE, file)
        file.flush()
        large = seconds("--dry-run", "--quiet", "all", "--configfile", file.name)
    default = seconds("--dry-run", "--quiet", "all")
    plan = Plan(LARGE, ROOT, False)
    start = time.perf_counter()
    for seed in range(400):
        job = SimpleNamespace(dataset="large", model="nn", seed=str(seed), candidate="single", method="gradient")
        [param(job) for param in {**plan.settings("train"), **plan.methods("train", "networks", "training")}.values()]
    provenance = (time.perf_counter() - start) / 400
    print(f"snakemake --version           {base:6.2f} s")
    print(f"dry run of about 2,000 jobs   {large:6.2f} s  {large / base:5.1f} x")
    print(f"dry run of the default config {default:6.2f} s  {default / base:5.1f} x")
    print(f"settings and code of one job  {provenance * 1000:6.2f} ms")


if __name__ == "__main__":
    main()
