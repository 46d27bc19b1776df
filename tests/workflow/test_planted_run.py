"""The planted preset from images to its table (minutes: `make test-full`)."""

import numpy as np
import pandas as pd
import pytest
from conftest import clone

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def statistics(tmp_path_factory):
    copy = clone(tmp_path_factory.mktemp("planted"))
    result = copy.snakemake(config="config/planted.yaml")
    assert result.returncode == 0, result.stdout
    return copy.path / "results/synthetic-planted/statistics"


def test_every_attribution_is_exact_on_the_linear_control(statistics):
    summary = pd.read_csv(statistics / "summary.tsv", sep="\t").query("model == 'linear' and seed == 'mean'")
    found = summary[summary["criterion"] == "network"].set_index("method")["mean"]
    complete = ["gradient", "gradient_x_input", "integrated_gradients", "lrp_epsilon", "deeplift", "smoothgrad"]
    np.testing.assert_allclose(found[complete], 1, atol=1e-6)


def test_gradients_of_what_is_linear_hit_all_voxels_that_are_used_and_no_other(statistics):
    table = pd.read_csv(statistics / "planted.tsv", sep="\t").set_index(["kind", "method"])
    assert len(table) == 54 and set(table["zero"]) <= {*range(181)}
    for kind in ("linear", "suppressor", "shortcut"):
        row = table.loc[(kind, "gradient")]
        assert (row["auc"], row["hit_rate"], row["false_alarm_rate"], row["outside"]) == (1, 1, 0, 0)
    # The gradient sees the one of two regions that would turn the answer first.
    assert table.loc[("xor", "gradient"), "hit_rate"] == pytest.approx(0.5, abs=0.05)
