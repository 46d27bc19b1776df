"""The preset of real open data, from a made-up server to figures and claims (minutes: `make test-full`)."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from conftest import clone
from localizer_server import Localizer

pytestmark = pytest.mark.full
RUN = ("--configfile", "config/localizer.yaml", "--config", 'run=["localizer-small"]')


def test_one_command_fetches_trains_explains_and_draws(tmp_path: Path) -> None:
    copy = clone(tmp_path / "clone")
    with Localizer(shape=(22, 26, 20)) as server:
        variables = server.redirected(tmp_path / "site")
        started = subprocess.Popen(
            [sys.executable, "-m", "snakemake", "--cores", "2", *RUN],
            cwd=copy.path,
            env={**os.environ, **variables},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while sum(path in server.maps for path in list(server.requests)) < 150:
            assert started.poll() is None
            time.sleep(0.02)
        # The download goes with its Snakemake.
        started.kill()
        started.wait()
        time.sleep(3)
        copy.snakemake("--unlock", *RUN, config=None, **variables)
        result = copy.snakemake("--rerun-incomplete", *RUN, config=None, **variables)
        assert result.returncode == 0, result.stdout
        assert len(server.made) == 300
        again = {path: server.sent[path] - len(content) for path, content in server.made.items()}
        # What was on its way at the kill, if that.
        assert sum(extra != 0 for extra in again.values()) <= 1
        before = server.requests.copy()
        assert "Nothing to be done" in copy.snakemake(*RUN, config=None, **variables).stdout
        assert server.requests == before
    results = copy.path / "results/localizer-small"
    samples = pd.read_csv(results / "samples.tsv", sep="\t")
    assert samples.groupby("subject").size().tolist() == [10] * 30
    assert (results / "figures/figure-3a.png").is_file() and (results / "figures/grid.html").is_file()
    summary = pd.read_csv(results / "statistics/summary.tsv", sep="\t")
    assert set(summary["data"]) == {"Brainomics/Localizer, replication on other data"}
    for folder in ("results", "logs"):
        for path in (copy.path / folder).rglob("*"):
            if path.suffix in (".tsv", ".json", ".html", ".log", ".svg", ".txt"):
                words = re.sub('base64,[^"]*', "", path.read_text(encoding="utf-8"))  # pictures in a figure
                assert not re.search(r"\bS\d\d\b|sub-S\d", words), path
