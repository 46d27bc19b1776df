"""A notebook's five lines, on results of a run: they give what the workflow's own files hold."""

import numpy as np
import pandas as pd
import pytest
from conftest import Clone

from truemap.api import Results


@pytest.mark.parametrize(
    ("dataset", "model", "label", "method", "options", "voxels"),
    [
        ("tiny-synthetic", "linear", "weights", "weights", {}, "all"),
        ("tiny-hcp", "cnn", "smooth", "smoothgrad", {"n": 2}, "brain"),
    ],
)
def test_maps_and_agreement_are_the_workflows(finished: Clone, dataset, model, label, method, options, voxels) -> None:
    folder = finished.path / "results" / dataset
    scores = pd.read_parquet(folder / "scores" / model / "seed-0" / f"{label}.parquet")
    results = Results(folder)
    decoder, test = results.decoder(model), results.maps("test")
    rows = test.table[test.table["sample"].isin(scores["sample"].unique()[:4])]
    maps = results.explain(decoder, test.take(rows.index), method, rows["sample"], **options)
    assert maps.shape == (len(rows), len(decoder.classes), *test.shape)
    found = results.agreement(maps, rows, decoder.classes, voxels)
    keys = ["sample", "target", "criterion", "conditions", "truth"]
    both = found.merge(scores, on=keys, suffixes=("", "_there"))
    assert len(both) == len(found) > 0
    # Stored maps are rounded to float16.
    np.testing.assert_allclose(both["r"], both["r_there"], atol=2e-3)


@pytest.mark.parametrize("method", ["pattern", "gradient_shap", "integrated_gradients"])
def test_methods_that_need_a_seed_or_the_training_maps_have_them(finished: Clone, method: str) -> None:
    results = Results(finished.path / "results/tiny-synthetic")
    decoder, test = results.decoder("linear"), results.maps("test")
    maps = results.explain(decoder, test.take(range(2)), method)
    assert np.isfinite(maps).all()
    assert np.any(maps != 0)


def test_what_is_not_there_is_said(finished: Clone) -> None:
    with pytest.raises(FileNotFoundError, match="no results of a dataset"):
        Results(finished.path)
    results = Results(finished.path / "results/tiny-synthetic")
    with pytest.raises(FileNotFoundError, match=r"no such model\. There are: .*linear"):
        results.decoder("nobody")
    with pytest.raises(ValueError, match="no split 'tests'"):
        results.maps("tests")
