import copy
import html
import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import yaml
from pages import asked_for
from scipy import stats
from snakemake.utils import update_config
from statsmodels.stats.weightstats import DescrStatsW, ttost_paired

from truemap.config.exemplars import GRADIENT, RANDOM, Influential
from truemap.config.names import ANGLE
from truemap.config.schema import parse
from truemap.evaluation.claims import (
    COLUMNS,
    JUDGED,
    NOT_RUN,
    flat,
    gathered,
    judge,
    mismatch,
    read_claims,
)
from truemap.evaluation.measures import measure_units, of_measures
from truemap.evaluation.random_directions import KINDS
from truemap.evaluation.statistics import compare
from truemap.figures.claims_page import claims_page
from truemap.plan.plan import Plan
from truemap.runtime.files import DataError

ROOT = Path(__file__).parents[2]
PUBLISHED = pd.read_csv(ROOT / "config" / "published.tsv", sep="\t", dtype=str, keep_default_na=False)
DEFINED = {
    "source": {"name": "synthetic", "noise": 0.5},
    "explained": None,
    "models": {
        "nn": {
            "network": {"name": "mlp"},
            "training": {"name": "pgd", "epsilon": [0.5, 1.0]},
            "saliency": {"gradient": {"name": "gradient"}, "weights": {"name": "weights"}},
        },
        "cnn": {"network": {"name": "cnn3d"}},
    },
}


def claim(**changes):
    row = {
        "id": "one", "source": "arXiv:2004.11114, Table 1", "dataset": "synthetic", "conditions": "all",
        "criterion": "informative", "kind": "value", "model_a": "nn", "method_a": "gradient", "model_b": "",
        "method_b": "", "value": "0.50", "alpha": "", "tolerance": "0.05", "statement": "mean agreement",
        "about": "source.name=synthetic source.noise=0.5 models.nn.network.name=mlp",
    }  # fmt: skip
    return pd.DataFrame([{**row, **changes}])


def order(**changes):
    pair = {"kind": "greater", "model_b": "linear", "method_b": "gradient", "value": "", "alpha": "0.001",
            "tolerance": ""}  # fmt: skip
    return claim(**{**pair, **changes})


def summary_of(mean=0.52, **changes):
    row = {
        "dataset": "synthetic", "criterion": "informative", "conditions": "all", "truth": "full", "model": "nn",
        "method": "gradient", "seed": "mean", "n": 10, "mean": mean, "se": 0.01, "ci_low": mean - 0.02,
        "ci_high": mean + 0.02, "missing": 0, "reason": "no unit" if np.isnan(mean) else "",
    }  # fmt: skip
    decoys = [{"seed": "0"}, {"method": "smoothgrad"}, {"criterion": "pairwise"}, {"conditions": "no_negated"},
              {"dataset": "hcp"}, {"model": "linear"}, {"truth": "leave_out"}]  # fmt: skip
    return pd.DataFrame([*({**row, "mean": -9.0, **decoy} for decoy in decoys), {**row, **changes}])


def comparisons_of(difference=0.1, p=1e-5, a=("nn", "gradient"), b=("linear", "gradient"), dataset="synthetic"):
    row = {
        "dataset": dataset, "criterion": "informative", "conditions": "all", "truth": "full", "pairs": "methods",
        "model_a": a[0], "method_a": a[1], "model_b": b[0], "method_b": b[1], "n": 10, "difference": difference,
        "t": 40 * difference, "df": 9.0, "p": p / 6, "p_bonferroni": p, "significant": p < 0.05,
        "reason": "no test: no unit differs" if np.isnan(p) else "",
    }  # fmt: skip
    decoys = [{"criterion": "pairwise"}, {"truth": "leave_out"}, {"pairs": "references"}]
    return pd.DataFrame(
        [*({**row, "difference": -9 * difference, "p_bonferroni": 1 - p, **decoy} for decoy in decoys), row]
    )


def judged_in(dataset, published, summary=None, comparisons=None, data="synthetic images", defined=DEFINED):
    summary = (summary_of() if summary is None else summary).assign(data=data)
    comparisons = comparisons_of() if comparisons is None else comparisons
    return judge(published, summary, comparisons, dataset, defined)


def verdict(published, *numbers, dataset="synthetic", **known):
    return gathered(published, [judged_in(dataset, published, *numbers, **known)]).iloc[0]


@pytest.mark.parametrize(
    ("mean", "expected"),
    [(0.50, "reproduced"), (0.549, "reproduced"), (0.451, "reproduced"), (0.56, "not reproduced"),
     (0.44, "not reproduced"), (0.55, "reproduced"), (0.45, "reproduced")],
)  # fmt: skip
def test_a_mean_is_reproduced_within_the_tolerance(mean, expected):
    row = verdict(claim(), summary_of(mean))
    assert row["verdict"] == expected
    assert row["ours"] == f"{mean:.3f}"


def test_accuracy_is_of_no_truth():
    published = {"criterion": "accuracy", "method_a": ""}
    row = verdict(claim(**published), summary_of(0.5, **{"criterion": "accuracy", "truth": "", "method": ""}))
    assert (row["verdict"], row["ours"]) == ("reproduced", "0.500")
    family = {"criterion": "accuracy", "truth": "", "method_a": "", "method_b": ""}
    pairs = comparisons_of(0.1, 1e-9).iloc[[-1]].assign(**family)
    assert verdict(order(**published, method_b=""), comparisons=pairs)["verdict"] == "reproduced"


@pytest.mark.parametrize(
    ("difference", "p", "expected"),
    [
        (0.1, 0.0009, "reproduced"),
        (0.1, 0.002, "not reproduced, nor the opposite"),
        (-0.1, 0.002, "not reproduced, nor the opposite"),
        (-0.1, 1e-9, "not reproduced, the opposite came out"),
    ],
)
def test_an_order_is_reproduced_by_a_significant_difference_of_its_sign(difference, p, expected):
    assert verdict(order(), comparisons=comparisons_of(difference, p))["verdict"] == expected


@pytest.mark.parametrize(
    ("difference", "expected"),
    [(0.1, "replicated on other data"), (-0.1, "not replicated on other data, the opposite came out")],
)
def test_on_other_data_a_claim_is_replicated_and_not_reproduced(difference, expected):
    other = "Brainomics/Localizer, replication on other data"
    row = verdict(order(), comparisons=comparisons_of(difference, 1e-9), data=other)
    assert row["verdict"] == expected


@pytest.mark.parametrize("kind", ["value", "greater", "no_difference"])
def test_where_every_r_is_null_nothing_is_refuted(kind):
    published = claim() if kind == "value" else order(kind=kind)
    row = verdict(published, summary_of(np.nan), comparisons_of(np.nan, np.nan))
    assert row["verdict"] == f"not testable here ({'no unit' if kind == 'value' else 'no test: no unit differs'})"


@pytest.mark.parametrize("kind", ["greater", "no_difference", "equivalent"])
@pytest.mark.parametrize("difference", [0.0, 0.25])
def test_a_difference_without_variance_decides_no_claim(kind, difference):
    """Not that there is none either: two subjects whose maps are all classified rightly tell nothing."""
    row = verdict(order(kind=kind, tolerance="0.5"), comparisons=comparisons_of(difference, np.nan))
    assert row["verdict"] == "not testable here (no test: no unit differs)"
    assert row["ours"] == f"difference {difference:+.3f}"


OTHER = {"source": "arXiv:2211.08686v1, Table 5"}


@pytest.mark.parametrize("data", ["synthetic images", "simulated data, not HCP"])
@pytest.mark.parametrize(
    ("difference", "words"),
    [(0.1, "holds on these data"), (-0.1, "does not hold on these data, the opposite came out")],
)
def test_what_others_claim_of_methods_holds_on_these_data_or_does_not(difference, words, data):
    row = verdict(order(**OTHER), comparisons=comparisons_of(difference, 1e-9), data=data)
    assert row["verdict"] == words


@pytest.mark.parametrize(("kind", "sign"), [("rises", 1), ("falls", -1)])
def test_a_trend_is_one_of_its_sign(kind, sign):
    published = order(kind=kind, model_b="", method_b="", alpha="0.05", **OTHER)
    cases = {
        (sign * 0.5, 0.01): "holds on these data",
        (sign * 0.5, 0.06): "does not hold on these data, nor the opposite",
        (-sign * 0.5, 0.01): "does not hold on these data, the opposite came out",
    }
    for (difference, p), expected in cases.items():
        pairs = comparisons_of(difference, p, b=("", "")).iloc[[-1]].assign(pairs="strengths")
        row = verdict(published, comparisons=pairs)
        assert row["verdict"] == expected
        assert row["ours"] == f"rank correlation with strength {difference:+.3f}"


def test_what_lies_below_a_limit_and_what_no_number_decides():
    below = claim(kind="below", value="0.6", tolerance="", **OTHER)
    assert verdict(below)["verdict"] == "holds on these data"
    assert verdict(below.assign(value="0.5"))["verdict"] == "does not hold on these data"
    untestable = claim(kind="untestable", value="it was judged by eye", tolerance="", **OTHER)
    assert verdict(untestable)["verdict"] == "not testable here (it was judged by eye)"


def test_measures_are_judged_in_the_form_of_the_summary_and_of_its_tests():
    random, rows = np.random.default_rng(0), []
    for model, shift in (("nn", 1.0), ("linear", 0.0), ("nn--strength-1", 9.0)):
        rows += [
            {"model": model, "seed": 0, "method": "gradient", "metric": "fine", "sample": k, "subject": "",
             "measure": "size", "direction": "lower", "value": shift + value, "reason": ""}
            for k, value in enumerate(random.normal(size=8) / 9)
        ]  # fmt: skip
    reliable = {"model": "nn", "seed": 0, "metric": "fine", "measure": "a", "other_metric": "fine", "reason": ""}
    reliable = pd.DataFrame([{**reliable, "reliability": "internal consistency", "other_measure": "b", "value": 0.25}])
    summary, comparisons = (
        table.assign(dataset="synthetic")
        for table in of_measures(measure_units(pd.DataFrame(rows)), reliable, ["nn--strength-1"])
    )
    assert len(comparisons) == 1
    measure = {"criterion": "size", "conditions": "fine", **OTHER}
    row = verdict(order(**measure), summary, comparisons)
    a, b = (np.array([r["value"] for r in rows if r["model"] == name]) for name in ("nn", "linear"))
    assert row["verdict"] == "holds on these data" and f"= {stats.ttest_rel(a, b).statistic:.2f}," in row["test"]
    of_both = {"criterion": "internal consistency", "conditions": "fine", "method_a": "a/b", "kind": "below"}
    row = verdict(claim(**{**of_both, "value": "0.7", "tolerance": "", **OTHER}), summary, comparisons)
    assert (row["ours"], row["verdict"]) == ("0.250", "holds on these data")


def test_a_p_that_underflows_is_a_bound():
    assert verdict(order(), comparisons=comparisons_of(0.1, 0.0))["test"].endswith("Bonferroni p < 1e-300")


def test_a_mean_without_an_interval_says_why():
    alike = summary_of(0.52, ci_low=np.nan, ci_high=np.nan, reason="all 3 units have the same value: no spread to see")
    row = verdict(claim(), alike)
    assert row["verdict"] == "reproduced"
    assert row["test"].startswith("all 3 units have the same value")


@pytest.mark.parametrize(
    ("difference", "expected"), [(-0.1, "reproduced"), (0.1, "not reproduced, the opposite came out")]
)
def test_an_order_is_found_whichever_way_round_the_pair_is_stored(difference, expected):
    stored = comparisons_of(difference, a=("linear", "gradient"), b=("nn", "gradient"))
    row = verdict(order(), comparisons=stored)
    assert row["verdict"] == expected
    assert row["ours"] == f"difference {-difference:+.3f}"
    assert f"paired t(9) = {-40 * difference:.2f}, p = 1.7e-06, Bonferroni p = 1e-05" in row["test"]


@pytest.mark.parametrize(
    ("difference", "p", "expected"),
    [(0.1, 0.06, "reproduced"), (-0.1, 0.06, "reproduced"), (0.1, 0.04, "not reproduced"), (1e-9, 1.0, "reproduced")],
)
def test_no_difference_is_reproduced_by_p_above_alpha(difference, p, expected):
    published = order(kind="no_difference", alpha="0.05")
    assert verdict(published, comparisons=comparisons_of(difference, p))["verdict"] == expected


@pytest.mark.parametrize("way_round", [False, True])
@pytest.mark.parametrize(
    ("shift", "expected"),
    [(0.0, "holds on these data"), (0.3, "does not hold on these data"), (-0.3, "does not hold on these data"),
     (0.1, "not testable here"), (-0.1, "not testable here")],
)  # fmt: skip
def test_two_are_equivalent_by_two_one_sided_tests(shift, expected, way_round):
    """As statsmodels has them, whichever way round the pair is stored."""
    random = np.random.default_rng(1)
    a = random.normal(size=30)
    b = a + 0.15 * random.normal(size=30)
    b += shift - (b - a).mean()
    units = pd.DataFrame(
        {"model": np.repeat(["nn", "linear"][:: -1 if way_round else 1], 30), "unit": [*range(30)] * 2}
    )
    family = {"criterion": "informative", "conditions": "all", "truth": "full", "method": "gradient", "seed": 0}
    values = np.concatenate([b, a] if way_round else [a, b])
    pairs = compare(units.assign(**family, value=values, missing=0, reason="")).assign(dataset="synthetic")
    row = verdict(order(kind="equivalent", alpha="0.05", tolerance="0.1", **OTHER), comparisons=pairs)
    p, *_ = ttost_paired(a, b, -0.1, 0.1)
    assert row["verdict"].startswith(expected) and (p < 0.05) == expected.startswith("holds")
    low, high = DescrStatsW(a - b).tconfint_mean(0.1)
    assert f"90% CI [{low:+.3f}, {high:+.3f}] over 30 units" in row["test"]
    assert ("too few units to tell" in row["verdict"]) == expected.startswith("not")


@pytest.mark.parametrize("published", [claim(dataset="hcp", value="-9"), order(dataset="hcp")])
def test_simulated_data_show_numbers_and_are_no_test(published):
    numbers = {"comparisons": comparisons_of(dataset="hcp"), "dataset": "hcp"}
    row = verdict(published, **numbers, data="simulated data, not HCP")
    assert row["verdict"] == "not testable here (simulated data, not HCP)"
    assert row["ours"] != ""
    real = verdict(published, **numbers, data="HCP S1200")
    assert real["verdict"] == "reproduced"


@pytest.mark.parametrize("published", [claim(dataset="other"), order(dataset="other")])
def test_a_dataset_that_did_not_run_is_said_so(published):
    assert verdict(published)["verdict"] == NOT_RUN


@pytest.mark.parametrize(
    "published",
    [claim(model_a="cnn"), claim(method_a="weights"), order(model_b="cnn"), order(method_a="smoothgrad"),
     order(conditions="no_negated"), claim(dataset="hcp", model_a="x")],
)  # fmt: skip
def test_a_model_or_method_that_did_not_run_is_said_so_even_on_simulated_data(published):
    assert verdict(published, dataset=published["dataset"][0], data="simulated data")["verdict"] == NOT_RUN


def test_a_dataset_of_one_entry_has_no_comparisons_and_orders_are_not_run():
    family = {"criterion": "informative", "conditions": "all", "truth": "full"}
    family = {**family, "model": "nn", "method": "gradient", "seed": 0}
    units = pd.DataFrame({**family, "unit": ["s1", "s2"], "value": [0.1, 0.2], "missing": 0, "reason": ""})
    nothing = compare(units)
    nothing.insert(0, "dataset", "synthetic")
    assert verdict(order(), comparisons=nothing)["verdict"].startswith("not run")


def judged():
    published = pd.concat(
        [claim(statement="agreement of <b>NN</b> & co"), claim(value="0.9"), claim(dataset="hcp"), claim(model_a="cnn"),
         claim(statement="a long statement " * 8 + "that ends here")]
    ).assign(id=list("abcde"))  # fmt: skip
    simulated = judged_in("hcp", published, summary_of(dataset="hcp"), data="simulated data, not HCP")
    return gathered(published, [judged_in("synthetic", published), simulated])


def test_a_claim_is_looked_for_in_each_dataset_it_names_and_where_it_is_nowhere_has_one_row():
    published = pd.concat([claim(id="both", dataset="synthetic hcp"), claim(id="neither", dataset="a b", value="0.9")])
    one = judged_in("synthetic", published)
    other = judged_in("hcp", published, summary_of(0.6, dataset="hcp"), data="HCP")
    assert list(one.columns) == list(JUDGED)
    found = gathered(published, [other, one])
    assert list(found["id"]) == ["both", "both", "neither"]
    assert list(found["dataset"]) == ["hcp", "synthetic", "a b"]
    assert list(found["verdict"]) == ["not reproduced", "reproduced", NOT_RUN]
    assert list(found["data"]) == ["HCP", "synthetic images", ""]
    assert list(gathered(published, [])["verdict"]) == [NOT_RUN, NOT_RUN]


def test_a_claim_says_the_configuration_it_was_tested_with():
    """Of the data what it is about, of the models and methods all, and of no other ones."""
    expected = (
        "source.name=synthetic; source.noise=0.5; explained=null; models.nn.network.name=mlp; "
        "models.nn.training.name=pgd; models.nn.training.epsilon=[0.5,1.0]; models.nn.saliency.gradient.name=gradient"
    )
    found = verdict(claim())["configuration"]
    assert found == expected
    assert "source.path" not in verdict(claim(), defined={**DEFINED, "source": {"path": "/home"}})["configuration"]
    page = claims_page(gathered(claim(), [judged_in("synthetic", claim())]))
    assert all(page.count(f"{setting}<") == 1 for setting in expected.split("; "))


def test_html_holds_every_claim_and_verdict_in_full():
    claims, page = judged(), claims_page(judged())
    text = re.sub(r"\s+", " ", html.unescape(page))
    assert page.count("<tr>") + page.count("<tr ") == len(claims) + 1
    for column in ("statement", "ours", "test", "verdict", "source"):
        for value in claims[column]:
            assert value in text


def test_html_names_what_is_left_out():
    assert "results/a&amp;b/claims.tsv" in claims_page(judged(), ["results/a&b/claims.tsv"])
    assert "Left out" not in claims_page(judged())


def test_html_escapes_what_it_shows():
    page = claims_page(judged())
    assert "<b>NN</b>" not in page
    assert "&lt;b&gt;NN&lt;/b&gt; &amp; co" in page


def test_html_counts_the_verdicts():
    assert "<p>not reproduced: 1, reproduced: 2, not testable here: 1, not run: 1.</p>" in claims_page(judged())


def test_html_begins_with_what_did_not_come_out_and_ends_with_what_was_not_run():
    first = re.findall(r"<tr>\s*<td>(.*?)[:(<]", claims_page(judged()))
    assert [verdict.strip() for verdict in first] == [
        "not reproduced",
        *["reproduced"] * 2,
        "not testable here",
        "not run",
    ]


def test_html_needs_nothing_from_outside():
    assert not asked_for(claims_page(judged()))


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("source", {"name": "sheet"}, "not about these data (source.name is sheet, not synthetic)"),
        ("source.noise", 5.0, "not about these data (source.noise is 5.0, not 0.5)"),
        ("models.nn.network", {"name": "cnn3d"},
         "not about this model or method (models.nn.network.name is cnn3d, not mlp)"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("published", [claim(), order()])
def test_a_claim_is_tested_on_what_it_is_about_whatever_that_is_called(published, path, value, expected):
    defined = copy.deepcopy(DEFINED)
    *folders, last = path.split(".")
    part = defined
    for key in folders:
        part = part[key]
    part[last] = value
    row = verdict(published, defined=defined)
    assert row["verdict"] == expected
    assert row["ours"] != ""


def preset(name, run=(), **changes):
    """Settings of the claims of a shipped config, with a dataset changed."""
    raw = yaml.safe_load((ROOT / "config" / "config.yaml").read_text(encoding="utf-8"))
    if name != "config":
        update_config(raw, yaml.safe_load((ROOT / "config" / f"{name}.yaml").read_text(encoding="utf-8")))
    for dataset, change in changes.items():
        update_config(raw["datasets"][dataset.replace("_", "-")], change)
    raw["run"] = list(run) or raw["run"]
    assert parse(raw)
    plan = Plan(raw, ROOT, gpu_present=False)
    return {name: plan.settings("judge", SimpleNamespace(dataset=name)) for name in plan.config.run}


def names_dataset(dataset):
    return PUBLISHED["dataset"].str.split().map(lambda names: dataset in names)


def differing(dataset, defined):
    """Ids of the published claims of a dataset -> how it differs from what they are about."""
    rows = PUBLISHED[names_dataset(dataset)]
    known = dict(flat(defined[dataset]))
    return {row["id"]: words for row in rows.to_dict("records") if (words := mismatch(row["about"], known))}


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("config", "synthetic"), ("grid", "synthetic-grid"), ("released-code", "synthetic-released-code"),
      ("paper", "hcp"), ("metrics", "synthetic-claims"), ("metrics", "hcp-simulated-claims"),
     ("fragility", "synthetic-fragility"), ("fragility", "hcp-simulated-fragility"),
     ("fragility", "synthetic-fragility-decoys")],
)  # fmt: skip
def test_shipped_configs_are_what_their_claims_are_about(name, dataset):
    found = differing(dataset, preset(name, run=[dataset]))
    assert not found


def test_what_makes_the_data_and_models_others_is_seen():
    everything = names_dataset("synthetic").sum()
    for change in (
        {"source": {"name": "synthetic", "noise": 1.0}},
        {"source": {"name": "synthetic", "images": [300, 300, 300]}},
        {"source": {"name": "synthetic", "shuffle": True}},
        {"standardize": "volume"},
    ):
        assert len(differing("synthetic", preset("config", synthetic=change))) == everything
    of_nn = preset("config", synthetic={"models": {"nn": {"network": {"name": "mlp", "hidden": 50}}}})
    assert set(differing("synthetic", of_nn)) == {
        row["id"] for row in PUBLISHED[names_dataset("synthetic")].to_dict("records")
        if "nn" in (row["model_a"], row["model_b"])
    }  # fmt: skip
    released = "synthetic-released-code"
    logit = {"models": {"nn": {"saliency": {"gradient": {"output": "logit"}}}}}
    found = differing(released, preset("released-code", synthetic_released_code=logit))
    assert "notebook-pairwise-nn-gradient" in found and "notebook-pairwise-nn-smoothgrad" not in found


def test_hyperparameters_are_free():
    """Epochs, strengths and what only costs time are a study's own choice."""
    training = {"name": "standard", "epochs": 3, "l2": 0.5, "batch_size": 8}
    change = {"explained": 5, "precision": "float16", "models": {"linear": {"training": training, "seeds": [3, 4]}}}
    assert not differing("synthetic", preset("config", synthetic=change))


def test_settings_of_the_claims_do_not_hang_on_the_order_of_a_set():
    found = preset("config")["synthetic"]
    assert list(found) == [
        "source",
        "split",
        "downsample",
        "standardize",
        "voxels",
        "explained",
        "metrics",
        "models",
        "swept",
    ]
    assert list(found["models"]["nn"]) == ["network", "training", "calibrate", "seeds", "saliency"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda table: table.drop(columns="about"), "has no column 'about'"),
        (lambda table: table.assign(about=["x=1", "", *["x=1"] * (len(table) - 2)]), "line 3: empty 'about'"),
    ],
)
def test_a_claim_that_does_not_say_what_it_is_about_is_refused(tmp_path, change, words):
    """It would be tested on anything of these names."""
    change(PUBLISHED).to_csv(tmp_path / "published.tsv", sep="\t", index=False)
    with pytest.raises(DataError, match=words):
        read_claims(tmp_path / "published.tsv")


def test_published_claims_have_the_columns_and_different_names():
    assert tuple(PUBLISHED.columns) == tuple(claim().columns) == COLUMNS
    pd.testing.assert_frame_equal(read_claims(ROOT / "config" / "published.tsv"), PUBLISHED)
    about = PUBLISHED["about"].str.split().explode()
    assert about.str.fullmatch(r"[\w.-]+=[^\s\"]+").all()
    assert PUBLISHED["id"].is_unique
    assert len(PUBLISHED) > 50


#: Kind -> what it needs, of columns that others leave empty.
NEEDED = {
    **{"value": {"value", "tolerance"}, "below": {"value"}, "untestable": set()},
    **{"rises": {"alpha"}, "falls": {"alpha"}},
    **{"greater": {"alpha", "model_b"}, "no_difference": {"alpha", "model_b"}},
    "equivalent": {"alpha", "model_b", "tolerance"},
}
CRITERIA = ("informative", "pairwise", "accuracy")
RELIABILITIES = ("inter-rater", "inter-method", "internal consistency", "between labels")
METRICS = (
    "sensitivity", "faithfulness", "complexity", "sanity", "label_permutation", "class_agnosticism", "fidelity",
    "representation",
)  # fmt: skip
#: Measure -> its metric.
MEASURES = {
    measure.name: metric
    for metric in METRICS
    for measure in importlib.import_module(f"truemap.metrics.{metric}").measures
}


#: Of maps before and after an attack, by `truemap.evaluation.map_changes.changes`.
ATTACKED = ("spearman", "top_k", "shift", "sensitivity", "sensitivity_equal")
#: And of influences, by `truemap.evaluation.influence`.
ATTACKED += ("overlap",)
#: Of angles of directions, by `truemap.evaluation.angle_summary`: they are of no way to explain.
OF_ANGLES = [f"{ANGLE}/{kind}" for kind in KINDS]


@pytest.mark.parametrize("row", PUBLISHED.to_dict("records"), ids=list(PUBLISHED["id"]))
def test_published_claim_can_be_judged(row):
    """It has what its kind needs and nothing else, and says where it comes from."""
    number = re.compile(r"-?\d+(\.\d+)?")
    assert re.search(r"arXiv:\d{4}\.\d{5}", row["source"])
    assert row["statement"]
    needed = NEEDED[row["kind"]]
    reliabilities = RELIABILITIES if row["kind"] == "below" else ()
    assert row["criterion"] in {*CRITERIA, *MEASURES, *ATTACKED, ANGLE, *reliabilities}
    metrics = {key.split(".")[1] for key in row["about"].split() if key.startswith("metrics.")}
    of_measure = row["criterion"] not in CRITERIA
    if row["criterion"] in ATTACKED:
        attacks = {row[f"method_{side}"].split("/")[1] for side in "ab" if row[f"method_{side}"]}
        influence = row["method_a"].startswith("influence/")
        told = ["influence.influential="] if influence else [f"fragility.attacks.{attack}.name=" for attack in attacks]
        assert all(words in row["about"] for words in told)
    elif row["criterion"] == ANGLE:
        assert row["method_a"] in OF_ANGLES and row["conditions"] == "all"
    else:
        assert row["conditions"] in (metrics if of_measure else ("all", "no_negated"))
    if row["criterion"] in MEASURES:
        assert row["conditions"] == MEASURES[row["criterion"]]
    for column in ("value", "tolerance", "alpha"):
        if (column, row["kind"]) == ("value", "untestable"):
            continue
        assert bool(number.fullmatch(row[column])) == (column in needed), column
        assert row[column] == "" or column in needed
    assert bool(row["model_b"]) == ("model_b" in needed)
    for side in "ab" if row["model_b"] else "a":
        assert bool(row[f"method_{side}"]) == (row["criterion"] != "accuracy")
    assert (row["model_a"], row["method_a"]) != (row["model_b"], row["method_b"])


def simulated(rows):
    """Data that no claim of the study is tested on: their presets need not have all models."""
    return rows["dataset"].str.startswith("hcp-simulated") & rows["source"].str.startswith("arXiv:2004.11114")


def test_published_claims_are_about_entries_of_the_shipped_configs():
    """Else a slip of the pen would make a claim 'not run' for ever."""
    entries, models = set(), set()
    for preset in ("config", "fragility", "grid", "localizer", "metrics", "paper", "released-code"):
        config = yaml.safe_load((ROOT / "config" / f"{preset}.yaml").read_text(encoding="utf-8"))
        for dataset, name, model in ((d, n, m) for d, e in config["datasets"].items() for n, m in e["models"].items()):
            saliency = model.get("saliency", [])
            models.add((dataset, name))
            ways = [saliency] if isinstance(saliency, str) else list(saliency)
            attacked = config["datasets"][dataset].get("fragility") or {}
            bounds = [f"{bound:g}" for bound in attacked.get("epsilon", [])]
            both = [f"{way}/{attack}" for way in ways for attack in attacked.get("attacks", [])]
            both += [f"{entry}/coarser" for entry in both if attacked.get("coarser")]
            influence = config["datasets"][dataset].get("influence")
            if influence is not None:
                own = Influential(**influence)
                signs = [f"influence/{attack}" for attack in (GRADIENT, RANDOM)]
                entries |= {(dataset, name, sign, f"{bound:g}") for sign in signs for bound in own.epsilon}
            entries |= {(dataset, name, way) for way in ways}
            if config["datasets"][dataset].get("angles") is not None:
                entries |= {(dataset, name, kind) for kind in OF_ANGLES}
            entries |= {(dataset, name, entry, bound) for entry in both for bound in bounds}
    rows = PUBLISHED.assign(dataset=PUBLISHED["dataset"].str.split()).explode("dataset")
    for row in rows[~simulated(rows)].to_dict("records"):
        for side in "ab" if row["model_b"] else "a":
            model = (row["dataset"], row[f"model_{side}"])
            if row["criterion"] in ("accuracy", *RELIABILITIES):
                assert model in models, row["id"]
            else:
                bound = [row["conditions"]] if row["criterion"] in ATTACKED else []
                assert (*model, row[f"method_{side}"], *bound) in entries, row["id"]
