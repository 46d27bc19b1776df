from pathlib import Path

import pandas as pd
import pytest

from truemap.figures.page import page, table_html
from truemap.figures.resources import left_over, resource_page, resource_table

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(folder: Path, name: str, seconds: float, memory: str, processor: float) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.tsv"
    path.write_text(HEADER + f"{seconds}\t0:00:01\t{memory}\t1\t1\t1\t0\t0\t50\t{processor}\n")
    return path


def test_jobs_of_a_rule_are_summed_and_the_largest_memory_is_kept(tmp_path: Path) -> None:
    files = [
        benchmark(tmp_path / "hcp", "train-cnn-0-single", 10.0, "500", 8.0),
        benchmark(tmp_path / "hcp", "train-linear-0-l2-0.1", 2.5, "700", 2.0),
        benchmark(tmp_path / "hcp", "score-cnn-0-gradient", 20.0, "-", 1.0),
        benchmark(tmp_path / "other", "train-cnn-0-single", 1.0, "100", 1.0),
    ]
    table = resource_table(files).set_index(["dataset", "rule"])
    row = table.loc["hcp", "train"]
    assert row.to_dict() == {"jobs": 2, "seconds": 12.5, "longest": 10.0, "cpu_seconds": 10.0, "peak_mb": 700}
    assert table.index[0] == ("hcp", "score")
    assert table.loc["hcp", "score"]["peak_mb"] != pytest.approx(0)


def test_without_a_measured_job_the_table_is_empty():
    assert list(resource_table([]).columns) == list(resource_table([]).round(1).columns) != []
    assert len(resource_table([])) == 0


def test_figures_of_another_config_are_named(tmp_path: Path) -> None:
    for name in ("a/b.svg", "a/b.png", "a/old<1>.svg", "c/d.svg", "e/other.svg", "c/.partial-vm-1-d.svg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    made = [tmp_path / "a/b.svg", str(tmp_path / "a/b.png"), tmp_path / "c/d.svg", tmp_path / "new/x.svg"]
    found = left_over(made)
    assert found == [tmp_path / "a/old<1>.svg"]
    page = resource_page(resource_table([]), found, "a")
    assert "Left from another config" in page and "a/old&lt;1&gt;.svg" in page
    assert "Left from" not in resource_page(resource_table([]), [], "a")


def test_pages_show_text_whole_and_as_it_is() -> None:
    long = "<b>" + 60 * "long " + "& more"
    shown = page("a <i>", table_html(pd.DataFrame({"x": [long]})))
    assert "a &lt;i&gt;" in shown
    assert "&lt;b&gt;" + 60 * "long " + "&amp; more" in shown
