"""The released-code preset against the means the authors published (minutes: `make test-full`)."""

from pathlib import Path

import pandas as pd
import pytest
from conftest import clone

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def claims(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    copy = clone(tmp_path_factory.mktemp("released"))
    result = copy.snakemake("results/claims.html", config="config/released-code.yaml")
    assert result.returncode == 0, result.stdout
    table = pd.read_csv(Path(copy.path) / "results/claims.tsv", sep="\t", dtype=str, keep_default_na=False)
    return table[table["dataset"] == "synthetic-released-code"]


def test_all_ten_published_means_come_out(claims: pd.DataFrame) -> None:
    means = claims[claims["id"].str.startswith("notebook-") & (claims["kind"] == "value")]
    assert len(means) == 10
    distance = (means["ours"].astype(float) - means["value"].astype(float)).abs()
    assert (distance <= means["method_a"].map({"weights": 0.05, "gradient": 0.07, "smoothgrad": 0.07})).all()
    assert set(means["verdict"]) == {"reproduced"}


def test_the_published_order_comes_out(claims: pd.DataFrame) -> None:
    orders = claims[claims["kind"] == "greater"]
    assert len(orders) == 6
    assert set(orders["verdict"]) == {"reproduced"}


def test_the_rows_of_the_third_version_come_out(claims: pd.DataFrame) -> None:
    rows = claims[claims["id"].str.startswith("v3-")]
    assert len(rows) == 8
    assert set(rows["verdict"]) == {"reproduced"}
    # Closed form, so it must come out nearly as published whatever the seed.
    correlation = rows[rows["model_a"] == "correlation"]
    assert ((correlation["ours"].astype(float) - correlation["value"].astype(float)).abs() < 0.005).all()
