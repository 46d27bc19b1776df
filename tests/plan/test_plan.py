import copy
import importlib.metadata
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from snakemake.utils import update_config

from truemap.config.schema import ConfigError
from truemap.plan.plan import Plan
from truemap.plan.record import scaled
from truemap.plan.settings.probes import ProbeSettings
from truemap.plan.settings.rules import JobSettings

ROOT = Path(__file__).parents[2]
RAW = {
    "run": ["images", "brains"],
    "datasets": {
        "images": {
            "source": "synthetic",
            "figures": "images",
            "metrics": ["complexity", "removal"],
            "models": {
                "nn": {
                    "network": "mlp",
                    "training": {"name": "pgd", "epsilon": [1.0, 2.0], "epochs": 3},
                    "seeds": [0, 4],
                    "saliency": ["gradient", "smoothgrad"],
                }
            },
        },
        "brains": {
            "source": {"name": "hcp", "simulate": {"subjects": 9}},
            "shards": 2,
            "metrics": "complexity",
            "models": {"linear": {"network": "linear", "saliency": "weights"}},
        },
    },
}


def plan(raw: dict = RAW, gpu: bool = False) -> Plan:
    return Plan(raw, ROOT, gpu)


def at(**wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(**wildcards)


IMAGES = at(
    dataset="images", model="nn", seed="4", candidate="epsilon-2", method="smoothgrad", split="train", shard="0",
    attack="pgd", reference="random", metric="complexity", baseline="mean", order="random", fraction="0.5",
)  # fmt: skip
BRAINS = at(
    dataset="brains", model="linear", seed="0", candidate="single", method="weights", split="test", shard="1",
    attack="pgd", reference="group_truth", metric="complexity", baseline="mean", order="weights", fraction="0.5",
)  # fmt: skip
#: Rules whose settings both datasets have.
SETTINGS = [
    name
    for name in dir(JobSettings)
    if not name.startswith("_") and name not in ("of", "simulate", "adopt", *vars(ProbeSettings))
]


def reverse_keys(value):
    if isinstance(value, dict):
        return {key: reverse_keys(value[key]) for key in reversed(value)}
    return value


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("wildcards", [IMAGES, BRAINS], ids=["images", "brains"])
def test_settings_are_json_and_depend_on_no_order_of_keys(name: str, wildcards: SimpleNamespace) -> None:
    settings = plan().settings(name, wildcards)
    assert json.loads(json.dumps(settings)) == settings
    assert repr(plan(reverse_keys(RAW)).settings(name, wildcards)) == repr(settings)


def test_writing_out_a_default_changes_no_settings() -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["images"]["models"]["nn"]["training"]["learning_rate"] = 0.001
    raw["datasets"]["images"]["models"]["nn"]["training"]["steps"] = 3
    assert repr(plan(raw).settings("train", IMAGES)) == repr(plan().settings("train", IMAGES))


def test_training_settings_are_those_of_one_candidate_and_seed() -> None:
    settings = plan().settings("train", IMAGES)
    assert settings["seed"] == 4
    assert settings["training"]["epsilon"] == 2.0
    assert settings["training"]["name"] == "pgd"


def test_one_models_training_does_not_know_of_other_seeds_methods_or_models() -> None:
    raw = copy.deepcopy(RAW)
    nn = raw["datasets"]["images"]["models"]["nn"]
    nn.update(seeds=[0, 4, 5], saliency=["gradient"], label="a net", tolerance=0.5)
    raw["datasets"]["images"]["models"]["other"] = {"network": "linear"}
    assert plan(raw).settings("train", IMAGES) == plan().settings("train", IMAGES)


def test_a_planted_network_is_made_of_regions_and_means_and_no_other_one_is() -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["images"]["regions"] = "squares"
    raw["datasets"]["images"]["models"]["known"] = {"network": "planted", "saliency": ["gradient", "weights"]}
    p, job = plan(raw), at(**{**vars(IMAGES), "model": "known", "seed": "0"})
    assert p.planted("{dataset}/regions", "{dataset}/means")(job) == ["images/regions", "images/means"]
    assert p.planted("{dataset}/regions")(IMAGES) == []
    assert not [train for train in p.jobs["images"].of("train") if train["model"] == "known"]
    assert p.jobs["images"].of("planted") == [{}] and p.jobs["brains"].of("planted") == []
    expected = [{"model": "known", "seed": 0, "method": name, "kind": "linear"} for name in ("gradient", "weights")]
    assert p.settings("planted", job)["entries"] == expected


def test_the_files_that_regions_are_made_from_are_inputs_and_are_looked_for() -> None:
    p = plan(changed(("regions",), "atlas.nii.gz"))
    assert p.region_files(IMAGES) == ["atlas.nii.gz"]
    assert ("datasets.images.regions", "atlas.nii.gz") in p.named_files(["images"])
    raw = copy.deepcopy(RAW)
    raw["datasets"]["brains"]["regions"] = "components"
    assert [Path(file).name for file in plan(raw).region_files(BRAINS)] == ["task_peaks.tsv", "task_components.tsv"]
    assert plan(raw).settings("regions", BRAINS)["simulate"] == {"resolution": 8, "blob_fwhm": 12.0}
    assert plan().region_files(IMAGES) == []


def test_what_a_network_does_is_asked_once_for_each_baseline_that_methods_have() -> None:
    raw = copy.deepcopy(RAW)
    shown = {name: None for name in ("gradient", "smoothgrad", "gradient_x_input", "absolute_gradient", "deeplift")}
    shown["mean"] = {"name": "integrated_gradients", "baseline": "mean", "output": "logit"}
    shown["blurred"] = {"name": "integrated_gradients", "baseline": "blurred"}
    raw["datasets"]["images"]["models"]["nn"]["saliency"] = shown
    assert plan(raw).jobs["images"].of("shapley") == []
    raw["datasets"]["images"]["regions"] = "squares"
    games = [(job["seed"], job["baseline"]) for job in plan(raw).jobs["images"].of("shapley")]
    assert games == [(0, "mean"), (0, "zero"), (4, "mean"), (4, "zero")]
    raw["datasets"]["images"]["models"]["nn"]["saliency"] = ["gradient"]
    raw["datasets"]["images"]["baseline"] = "zero"
    assert {job["baseline"] for job in plan(raw).jobs["images"].of("shapley")} == {"zero"}
    raw["datasets"]["images"]["models"]["nn"]["saliency"] = shown
    found = {name: plan(raw).jobs["images"].compared("nn", name) for name in shown}
    assert found["gradient"] == {"maps": "gradient", "output": "probability", "baseline": "zero"}
    assert found["deeplift"] == {"maps": "attribution", "output": "logit", "baseline": "zero"}
    assert found["mean"] == {"maps": "attribution", "output": "logit", "baseline": "mean"}
    assert found["blurred"] == found["absolute_gradient"] == {**found["gradient"], "maps": ""}


SCORES = "scores/{dataset}/{model}/{seed}/{method}"
TRAININGS = "candidates/{model}/{seed}/{candidate}"
ATTACKS = "attacks/{model}/{seed}/{attack}"


def scores(p: Plan, among: str = "") -> list[str]:
    return p.each("score", SCORES, among)(IMAGES)


def test_files_of_every_shard_candidate_and_method() -> None:
    p = plan()
    assert p.each("volumes", "{dataset}/{split}/{shard}", split="test")(BRAINS) == ["brains/test/0", "brains/test/1"]
    splits = ("train", "validation", "test")
    assert p.each("volumes", "{split}/{shard}")(BRAINS) == [f"{split}/{shard}" for split in splits for shard in (0, 1)]
    found = [f"candidates/nn/4/epsilon-{k}" for k in (1, 2)]
    assert p.candidates(TRAININGS)(IMAGES) == found
    methods = ("gradient", "smoothgrad")
    assert scores(p) == [f"scores/images/nn/{s}/{m}" for s in (0, 4) for m in methods]
    assert scores(p, "drawn") == [f"scores/images/nn/0/{m}" for m in methods]
    assert p.all("figure_1", "{dataset}/a", "{dataset}/b") == ["images/a", "images/b"]
    assert p.all("figure_3", "{dataset}") == ["brains"]
    assert p.all("figure_2", "{dataset}") == ["images", "brains"]


def test_only_simulated_datasets_need_a_simulated_tree() -> None:
    files = plan().each("simulate", "{dataset}/of-{shards}/{shard}")
    assert files(BRAINS) == ["brains/of-2/0", "brains/of-2/1"]
    assert files(IMAGES) == []
    assert plan().named("sheet")(IMAGES) == []
    assert plan(changed(("source",), {"name": "sheet", "sheet": "mine.tsv"})).named("sheet")(IMAGES) == ["mine.tsv"]


def test_own_files_are_found_by_the_workflows_folder_and_users_by_the_working_directory(tmp_path, monkeypatch) -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["brains"]["source"]["simulate"]["peaks"] = "mine.tsv"
    monkeypatch.chdir(tmp_path)
    assert plan(raw).simulation_file("peaks")(BRAINS) == "mine.tsv"
    own = plan(raw).simulation_file("components")(BRAINS)
    assert not Path(own).is_absolute()  # a folder that is moved with its results makes nothing again
    assert Path(own).read_text() == (ROOT / "config/simulation/task_components.tsv").read_text()
    monkeypatch.chdir(ROOT)
    assert plan().own("config/published.tsv") == "config/published.tsv"


@pytest.mark.parametrize(
    ("device", "present", "gpus"), [("auto", True, 1), ("auto", False, 0), ("cpu", True, 0), ("cuda", False, 1)]
)
def test_a_gpu_is_asked_for_where_one_is_used(device: str, present: bool, gpus: int) -> None:
    assert plan({**RAW, "device": device}, present).gpus == gpus


def coded(p: Plan, rule: str, job: SimpleNamespace) -> list[str]:
    """Modules and packages in the params of a job, each with its hash or version."""
    values = [value(job) if callable(value) else value for value in p.params(rule).values()]
    return [value for value in values if isinstance(value, str) and "@" in value]


def test_code_params_name_the_method_of_the_job_and_no_other() -> None:
    p = plan()
    named = {entry.split("@")[0] for entry in coded(p, "train", IMAGES)}
    assert {"truemap.networks.mlp", "truemap.training.pgd"} <= named
    assert not {"truemap.networks.cnn3d", "truemap.training.free"} & named


def test_every_module_of_a_jobs_methods_has_a_param_and_one_is_left() -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["images"]["models"]["nn"] = {"network": "cnn3d", "training": {"name": "free"}}
    job = at(**{**vars(IMAGES), "candidate": "single"})
    used = {entry.split("@")[0] for entry in coded(plan(raw), "train", job)}
    assert {"truemap.networks.cnn3d", "truemap.training.free"} <= used
    assert None in [value(job) for key, value in plan(raw).params("train").items() if key.startswith("method_")]


def test_settings_are_recorded_one_named_line_a_value() -> None:
    params = plan().params("train")
    lines = [param(IMAGES) for name, param in params.items() if name.startswith("setting_")]
    assert vars(params["settings"](IMAGES)) == plan().settings("train", IMAGES)
    assert {"training.epsilon = 2.0", "network.hidden = 10", "seed = 4"} <= set(lines)
    assert None in lines


@pytest.mark.parametrize("conditions", ["table1", ["one", "two"]])
@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_every_job_fit_its_rules_params(name: str, conditions: object) -> None:
    raw = changed(("conditions",), conditions, SWEPT)
    raw["datasets"]["images"].update(regions="squares", metrics=["complexity", "label_permutation"], roar={})
    raw["datasets"]["images"]["models"]["known"] = {"network": "planted"}
    p = plan(raw)
    params = p.params(name, "background" if name == "background_chosen" else "")
    jobs = [at(dataset=d, **job) for d in p.config.run for job in p.jobs[d].of(name)]
    assert jobs or conditions == "table1"
    for job in jobs:
        assert [param(job) for key, param in params.items() if key.startswith("setting_")][-1] is None


def test_a_package_counts_as_code_where_the_config_says_so() -> None:
    assert "torch" not in str(plan().params("train"))
    params = plan({**RAW, "provenance": {"packages": ["torch"]}}).params("train")
    assert f"torch {importlib.metadata.version('torch')}" in params.values()
    with pytest.raises(ConfigError, match="package 'torhc' is not installed"):
        plan({**RAW, "provenance": {"packages": ["torhc"]}})


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_retry_asks_for_more(attempt: int) -> None:
    assert scaled(4000)(IMAGES, attempt) == 4000 * attempt


def changed(path: tuple, value: object, raw: dict = RAW) -> dict:
    """The config with one entry of the dataset of images set."""
    raw = copy.deepcopy(raw)
    part = raw["datasets"]["images"]
    for key in path[:-1]:
        part = part.setdefault(key, {})
    part[path[-1]] = value
    return raw


def settings_that_differ(raw: dict, other: dict, wildcards: SimpleNamespace = IMAGES) -> set[str]:
    """Names of the settings of one job of each rule that differ between two configs."""
    one, two = plan(raw), plan(other)
    return {name for name in SETTINGS if one.settings(name, wildcards) != two.settings(name, wildcards)}


SWEPT = changed(("models", "nn", "sweep"), ["gradient"])
CANDIDATES = ["nn--epsilon-1", "nn--epsilon-2"]


def test_a_swept_candidate_is_a_model_that_has_the_parents_files_and_is_trained_no_second_time() -> None:
    p = plan(SWEPT)
    for name, candidate in zip(CANDIDATES, ("epsilon-1", "epsilon-2"), strict=True):
        job = at(**{**vars(IMAGES), "model": name, "method": "gradient"})
        assert p.candidates(TRAININGS)(job) == [f"candidates/nn/4/{candidate}"]
        assert p.settings("explain", job) == plan().settings("explain", at(**{**vars(IMAGES), "method": "gradient"}))
        assert p.settings("robustness", job) == plan().settings("robustness", IMAGES)
    both = [f"candidates/nn/4/epsilon-{k}" for k in (1, 2)]
    assert p.candidates(TRAININGS)(IMAGES) == both
    histories = [f"candidates/nn/{s}/epsilon-{k}" for k in (1, 2) for s in (0, 4)]
    assert p.each("train", TRAININGS, "swept_trainings")(IMAGES) == histories
    assert plan().jobs["images"].swept_trainings() == []


def test_a_sweep_changes_nothing_of_training_and_choosing() -> None:
    assert settings_that_differ(RAW, SWEPT) == {"networks", "statistics", "predict", "figure_strength", "judge"}


def test_swept_candidates_are_scored_predicted_and_attacked_with_the_methods_of_the_sweep_only() -> None:
    p = plan(SWEPT)
    new = [file for file in scores(p) if file not in scores(plan())]
    assert new == [f"scores/images/{c}/{s}/gradient" for c in CANDIDATES for s in (0, 4)]
    assert set(scores(plan())) < set(scores(p))
    both = [f"{m}/{s}" for m in ("nn", *CANDIDATES) for s in (0, 4)]
    assert p.each("model", "{model}/{seed}")(IMAGES) == both
    assert p.each("robustness", ATTACKS)(IMAGES) == [f"attacks/{name}/pgd" for name in both]


def test_swept_candidates_are_summed_up_but_neither_compared_nor_drawn_beside_models() -> None:
    p = plan(SWEPT)
    statistics = p.settings("statistics", IMAGES)
    assert statistics["swept"] == CANDIDATES
    assert plan().settings("statistics", IMAGES)["swept"] == []
    assert scores(p, "drawn") == scores(plan(), "drawn")
    assert {entry["model"] for entry in p.settings("figure_2", IMAGES)["entries"]} == {"nn"}
    assert {entry["model"] for entry in p.settings("figure_grid", IMAGES)["entries"]} == {"nn"}


def test_the_figure_of_strength_has_a_point_for_each_candidate_and_is_made_where_there_is_a_sweep() -> None:
    settings = plan(SWEPT).settings("figure_strength", IMAGES)
    points = [(e["model"], e["of"], e["candidate"], e["option"], e["value"], e["method"]) for e in settings["swept"]]
    assert points == [(f"nn--epsilon-{k}", "nn", f"epsilon-{k}", "epsilon", float(k), "gradient") for k in (1, 2)]
    assert plan(SWEPT).all("figure_strength", "{dataset}") == ["images"]
    assert plan().all("figure_strength", "{dataset}") == []


def test_methods_of_swept_candidates_are_those_of_their_model() -> None:
    job = at(**{**vars(IMAGES), "model": CANDIDATES[1], "method": "gradient"})
    assert coded(plan(SWEPT), "explain", job) == coded(plan(), "explain", at(**{**vars(IMAGES), "method": "gradient"}))


#: Figures that show one truth and one set of conditions first.
FIGURES = {"figure_1", "figure_2", "figure_3", "figure_grid", "figure_strength", "digest"}


def test_the_truth_that_figures_show_is_no_setting_of_scores_or_tests() -> None:
    other = changed(("truth",), {"leave_out": True})
    assert settings_that_differ(SWEPT, changed(("truth",), {"leave_out": True}, SWEPT)) == {*FIGURES}
    assert plan(other).settings("figure_2", IMAGES)["truth"] == "leave_out"
    assert plan().settings("figure_2", IMAGES)["truth"] == "full"


def test_memory_is_a_setting_of_what_networks_are_asked_and_not_of_training() -> None:
    differ = {"networks", "model", "explain", "measure", "anchors", "shapley", "rank", "robustness"}
    assert settings_that_differ(RAW, {**RAW, "memory": 7}) == differ
    assert plan({**RAW, "memory": 7}).settings("explain", IMAGES)["memory"] == 7


def test_how_many_maps_are_explained_is_a_setting_of_explaining_measuring_references_and_the_judge() -> None:
    found = settings_that_differ(RAW, changed(("explained",), 2))
    page = "figure_prediction"  # says how much was done
    assert found == {"networks", "explain", "measure", "anchors", "shapley", "refer", "judge", page}


MEASURED = "metrics/{model}/{seed}/{method}/{metric}"


def test_every_network_seed_and_method_is_measured_by_every_metric_swept_candidates_too() -> None:
    files = plan(SWEPT).each("measure", MEASURED)(IMAGES)
    methods = [("nn", "gradient"), ("nn", "smoothgrad"), *((name, "gradient") for name in CANDIDATES)]
    expected = [f"metrics/{n}/{s}/{m}/{k}" for n, m in methods for s in (0, 4) for k in ("complexity", "removal")]
    assert sorted(files) == sorted(expected)
    assert plan().all("metrics", "{dataset}") == ["images", "brains"]
    without = changed(("metrics",), {})
    assert plan(without).each("measure", MEASURED)(IMAGES) == []
    assert plan(without).all("metrics", "{dataset}") == ["brains"]


def test_anchors_are_measured_by_the_first_seed_and_way_to_explain_of_each_network() -> None:
    pattern = "{model}/{seed}/{method}"
    raw = changed(("models", "other"), {"maps": "maps.tsv", "signed": True}, SWEPT)
    assert plan(raw).each("anchors", pattern)(IMAGES) == ["nn/0/gradient"]
    assert plan(changed(("metrics",), {})).each("anchors", pattern)(IMAGES) == []
    job = at(dataset="images", model="nn", seed="0", method="gradient")
    settings = plan(changed(("regions",), "squares")).settings("anchors", job)
    assert settings["saliency"]["name"] == "gradient" and list(settings["metrics"]) == ["complexity", "removal"]
    assert settings["network"] == {"maps": "gradient", "output": "probability", "baseline": "mean"}
    named = {entry.split("@")[0] for entry in coded(plan(), "anchors", job)}
    assert {"truemap.metrics.removal", "truemap.saliency.gradient", "truemap.references.input"} <= named
    assert "truemap.saliency.smoothgrad" not in named
    twin = plan(changed(("metrics",), {"removal": None, "label_permutation": None}))
    named = {entry.split("@")[0] for entry in coded(twin, "anchors", job)}
    assert "truemap.metrics.removal" in named and "truemap.metrics.label_permutation" not in named
    assert list(twin.settings("anchors", job)["metrics"]) == ["removal"]


def test_ways_are_called_by_their_modules_where_datasets_are_compared() -> None:
    renamed = changed(("models", "nn", "saliency"), {"plain": {"name": "gradient"}, "smoothgrad": None})
    assert plan(renamed).settings("predict", IMAGES)["alike"] == {
        "methods": {"nn/plain": "gradient", "nn/smoothgrad": "smoothgrad"},
        "trainings": {"nn": "pgd"},
    }


def test_a_metric_does_not_know_of_the_others_or_of_what_is_stored() -> None:
    more = changed(("metrics",), {"complexity": None, "removal": {"steps": 7}})
    of_all = {"networks", "anchors", "figure_prediction"}
    assert settings_that_differ(RAW, more) == {*of_all, "judge"}
    removal = at(**{**vars(IMAGES), "metric": "removal"})
    assert settings_that_differ(RAW, more, removal) == {*of_all, "measure", "judge"}
    assert settings_that_differ(RAW, changed(("measured",), 7)) == {*of_all, "measure"}
    assert "stored" not in plan().settings("measure", IMAGES)
    named = {entry.split("@")[0] for entry in coded(plan(), "measure", removal)}
    assert {"truemap.metrics.removal", "truemap.saliency.smoothgrad"} <= named
    assert not {"truemap.metrics.complexity", "truemap.saliency.gradient", "truemap.metrics.sanity"} & named


FRAGILE = changed(("fragility",), {"attacks": ["random_sign", "top_k"], "epsilon": [0.1, 0.2], "maps": 5}, SWEPT)
ATTACKED = at(dataset="images", model="nn", seed="4", method="smoothgrad", attack="top_k")


def test_maps_of_every_network_seed_and_method_are_attacked_and_of_no_swept_candidate() -> None:
    pattern, p = "{model}/{seed}/{method}/{attack}", plan(FRAGILE)
    methods, attacks = ("gradient", "smoothgrad"), ("random_sign", "top_k")
    expected = [f"nn/{seed}/{m}/{attack}" for seed in (0, 4) for m in methods for attack in attacks]
    assert sorted(p.each("attack_maps", pattern)(IMAGES)) == sorted(expected)
    assert p.all("fragility", "{dataset}") == ["images"] and plan().all("fragility", "{dataset}") == []
    assert plan().each("attack_maps", pattern)(IMAGES) == []


def test_an_attack_is_a_job_of_all_its_bounds_and_knows_of_no_other_attack_or_method() -> None:
    p = plan(FRAGILE)
    settings = p.settings("attack_maps", ATTACKED)
    assert json.loads(json.dumps(settings)) == settings
    assert settings["epsilon"] == [0.1, 0.2] and settings["attack"]["name"] == "top_k"
    assert settings["saliency"]["name"] == "smoothgrad" and settings["maps"] == 5 and "stored" not in settings
    named = {entry.split("@")[0] for entry in coded(p, "attack_maps", ATTACKED)}
    assert {"truemap.map_attacks.top_k", "truemap.map_attacks._descend", "truemap.saliency.smoothgrad"} <= named
    assert not {"truemap.map_attacks.random_sign", "truemap.saliency.gradient", "truemap.attacks.pgd"} & named
    assert p.settings("fragility", IMAGES)["random"] == ["random_sign"]
    assert repr(plan(reverse_keys(FRAGILE)).settings("attack_maps", ATTACKED)) == repr(settings)


def test_figures_of_attacked_maps_know_what_is_compared_and_how_much_was_done() -> None:
    p = plan(FRAGILE)
    assert p.all("figure_fragility", "{dataset}") == ["images"] and plan().all("figure_fragility", "{dataset}") == []
    settings = p.settings("figure_fragility", IMAGES)
    assert json.loads(json.dumps(settings)) == settings
    asked, done = settings["asked"], settings["done"]
    assert asked["random"] == ["random_sign"] and asked["labels"] == {"nn": "nn"} and asked["truth"] == "full"
    assert (asked["standard"], asked["decoys"], asked["iterations"]) == ([], [], [])
    assert done["epsilon"] == [0.1, 0.2] and done["maps"] == 5 and done["seeds"] == {"nn": 2}
    assert set(done["ways"]) == {"gradient of nn", "smoothgrad of nn"}
    assert repr(plan(reverse_keys(FRAGILE)).settings("figure_fragility", IMAGES)["asked"]["labels"]) == repr(
        asked["labels"]
    )
    other = plan(changed(("truth",), {"leave_out": True}, FRAGILE))
    assert other.settings("figure_fragility", IMAGES)["asked"]["truth"] == "leave_out"
    assert other.settings("fragility", IMAGES) == p.settings("fragility", IMAGES)


def test_networks_decoys_and_iterations_are_compared_with_what_differs_in_these_alone() -> None:
    ways = {"gradient": {}, "decoy": {}, "decoy-smooth": {"name": "decoy", "inner": "smoothgrad"}, "smoothgrad": {}}
    models = {
        name: {"network": network, "training": training, "saliency": ways}
        for name, network, training in (
            ("robust", "mlp", "pgd"), ("plain", "mlp", "standard"), ("line", "linear", "pgd"),
            ("wide", {"name": "mlp", "hidden": 50}, "jacobian"),
        )
    }  # fmt: skip
    models["line"]["saliency"] = {"gradient": {}}
    attacks = {
        "top_k": {}, "long": {"name": "top_k", "iterations": 300}, "random_sign": {},
        "sharp": {"name": "top_k", "iterations": 400, "beta": 20.0}, "mass_center": {"iterations": 500},
    }  # fmt: skip
    raw = changed(("fragility",), {"attacks": attacks, "models": ["robust", "plain", "wide"]})
    raw = changed(("models",), models, raw)
    asked = plan(raw).settings("figure_fragility", IMAGES)["asked"]
    assert asked["standard"] == [["robust", "plain"]]
    assert asked["decoys"] == [["decoy", "gradient"], ["decoy-smooth", "smoothgrad"]]
    assert asked["iterations"] == [["long", "top_k"]]
    assert list(asked["labels"]) == ["plain", "robust", "wide"]


def test_the_preset_of_attacks_asks_both_datasets_the_same_and_others_what_they_are_for() -> None:
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(raw, yaml.safe_load((ROOT / "config/fragility.yaml").read_text()))
    raw["run"] = [name for name in raw["datasets"] if "fragility" in name]
    p, files = plan(raw), "{model}/{method}/{attack}"
    both = [
        set(p.each("attack_maps", files)(at(dataset=f"{name}-fragility"))) for name in ("synthetic", "hcp-simulated")
    ]
    assert both[0] == both[1] and len(both[0]) == 4 * 7 * 4
    for name in ("synthetic", "hcp-simulated"):
        settings = p.settings("figure_fragility", at(dataset=f"{name}-fragility"))
        assert settings["asked"]["standard"] == [[m, "standard"] for m in ("adversarial", "jacobian", "spectral")]
        assert settings["asked"]["decoys"] == [["decoy", "gradient"]]
        assert {attack.get("iterations", 30) for attack in settings["done"]["attacks"].values()} == {30}
    decoys = "synthetic-fragility-decoys"
    pairs = p.settings("figure_fragility", at(dataset=decoys))["asked"]["decoys"]
    inners = ("gradient", "smoothgrad", "integrated_gradients")
    found = {(p.config.datasets[decoys].networks["standard"].saliency[way]["decoys"], inner) for way, inner in pairs}
    assert found == {(kind, inner) for kind in ("blurred", "optimised") for inner in inners}
    assert len(pairs) == len(found) and len(p.each("attack_maps", files)(at(dataset=decoys))) == (len(found) + 3) * 4
    longer = p.settings("figure_fragility", at(dataset="hcp-simulated-fragility-long"))
    assert longer["asked"]["iterations"] == [[a, f"{a}-30"] for a in ("top_k", "mass_center", "target")]
    fine, coarse = (p.config.datasets[f"hcp-simulated-fragility-{size}"] for size in ("4mm", "8mm"))
    assert fine.source == coarse.source and (fine.downsample, coarse.downsample) == (1, 2)
    assert fine.networks == coarse.networks


def test_attacked_maps_of_more_voxels_stand_beside_those_of_fewer() -> None:
    assert plan(FRAGILE).jobs["images"].of("dimension") == []
    raw = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    update_config(raw, yaml.safe_load((ROOT / "config/fragility.yaml").read_text()))
    raw["run"] = ["hcp-simulated-fragility-4mm", "hcp-simulated-fragility-8mm"]
    p = plan(raw)
    fine, rough = (at(dataset=name) for name in raw["run"])
    assert p.jobs[fine.dataset].of("dimension") == [{}] and p.jobs[rough.dataset].of("dimension") == []
    pattern = "{dataset}/{model}/{method}/{attack}"
    assert p.coarser("attack_maps", pattern)(fine) == p.each("attack_maps", pattern)(rough)
    assert p.coarser("attack_maps", pattern)(rough) == []
    assert p.settings("dimension", fine)["coarser"] == rough.dataset


def test_maps_are_drawn_before_and_after_of_what_figures_show_or_of_each_networks_first_way() -> None:
    attacks = ("random_sign", "top_k")
    first = {"model": "nn", "seed": 0, "method": "gradient"}
    assert plan(FRAGILE).jobs["images"].attacked() == [{**first, "attack": attack} for attack in attacks]
    shown = plan(changed(("drawn",), ["nn/smoothgrad"], FRAGILE)).jobs["images"].attacked()
    assert shown == [{**first, "method": "smoothgrad", "attack": attack} for attack in attacks]


def test_claims_about_attacked_maps_are_judged_by_what_attacks_are() -> None:
    assert plan(FRAGILE).settings("judge", IMAGES)["fragility"]["attacks"]["top_k"]["name"] == "top_k"
    assert "fragility" not in plan().settings("judge", IMAGES)
    assert plan().each("fragility", "{dataset}")(IMAGES) == []


def test_where_there_are_regions_attacked_maps_are_compared_with_the_network_too() -> None:
    assert "network" not in plan(FRAGILE).settings("attack_maps", ATTACKED)
    p = plan(changed(("regions",), "squares", FRAGILE))
    compared = {"maps": "gradient", "output": "probability", "baseline": "mean"}
    assert p.settings("attack_maps", ATTACKED)["network"] == compared
    assert p.compared("{dataset}/{model}/{seed}/{baseline}")(ATTACKED) == ["images/nn/4/mean"]


def test_what_attacks_will_cost_is_told_where_there_are_any() -> None:
    settings = plan(FRAGILE).settings("networks", IMAGES)
    assert list(settings["fragility"]["attacks"]) == ["random_sign", "top_k"]
    assert {label: way["attacked"] for label, way in settings["models"]["nn"]["saliency"].items()} == {
        "gradient": 2,
        "smoothgrad": 2,
    }
    assert "fragility" not in plan().settings("networks", IMAGES)


INFLUENCED = changed(("influence",), {"maps": 5, "train": 50}, SWEPT)


def test_influences_are_a_job_of_every_network_and_seed_that_knows_of_no_other():
    p, pattern = plan(INFLUENCED), "{model}/{seed}"
    assert p.each("influence", pattern)(IMAGES) == ["nn/0", "nn/4"] and plan().each("influence", pattern)(IMAGES) == []
    assert p.each("influence", pattern, "exemplified")(IMAGES) == ["nn/0"]
    for rule in ("influences", "figure_influence"):
        assert p.all(rule, "{dataset}") == ["images"] and plan().all(rule, "{dataset}") == []
    settings = p.settings("influence", IMAGES)
    assert json.loads(json.dumps(settings)) == settings
    assert settings["influence"]["train"] == 50 and "models" not in settings["influence"]
    assert {"standardize", "explained", "memory", "seed", "device", "threads"} <= set(settings)
    assert repr(plan(reverse_keys(INFLUENCED)).settings("influence", IMAGES)) == repr(settings)
    more = changed(("models", "other"), {"network": "linear"}, INFLUENCED)
    assert plan(more).settings("influence", IMAGES) == settings
    named = {entry.split("@")[0] for entry in coded(p, "influence", IMAGES)}
    assert {"truemap.networks.mlp"} <= named and not {"truemap.saliency.smoothgrad", "truemap.attacks.pgd"} & named


def test_figures_claims_and_costs_of_influences_know_how_they_were_asked():
    models = {
        name: {"network": "mlp", "training": training, "label": name.title()}
        for name, training in (("robust", "pgd"), ("plain", "standard"))
    }
    raw = changed(("models",), models, changed(("influence",), {"top": 4}))
    settings = plan(raw).settings("figure_influence", IMAGES)
    assert json.loads(json.dumps(settings)) == settings
    assert settings["standard"] == [["robust", "plain"]] and settings["top"] == 4
    assert plan(raw).settings("influences", IMAGES)["top"] == 4
    assert list(settings["labels"].items()) == [("plain", "Plain"), ("robust", "Robust")]
    assert plan(raw).settings("judge", IMAGES)["influence"]["influential"] == "helpful"
    assert "influence" not in plan().settings("judge", IMAGES)
    networks = plan(INFLUENCED).settings("networks", IMAGES)
    assert networks["influence"]["train"] == 50 and networks["models"]["nn"]["influenced"] == 2
    assert "influence" not in plan().settings("networks", IMAGES)


def test_a_training_told_of_after_each_epochs_costs_what_they_come_to():
    raw = changed(("models", "nn", "training"), {"name": "pgd", "epochs": [2, 4, 9]}, SWEPT)
    cost = plan(raw).settings("networks", IMAGES)["models"]["nn"]
    assert cost["training"]["epochs"] == 5 and cost["trainings"] == 3 * 2
    points = plan(raw).settings("figure_strength", IMAGES)["swept"]
    assert [(point["option"], point["value"]) for point in points] == [("epochs", 2), ("epochs", 4), ("epochs", 9)]


def test_a_metric_that_compares_with_a_twin_is_of_one_network_and_seed() -> None:
    twin = {"label_permutation": {"epochs": 9}}
    p = plan(changed(("metrics",), {"complexity": None, **twin}, SWEPT))
    assert p.each("permute", "{model}/{seed}/{metric}")(IMAGES) == ["nn/0/label_permutation"]
    of_twin = [path for path in p.each("measure", MEASURED)(IMAGES) if "label" in path]
    assert of_twin == [f"metrics/nn/0/{method}/label_permutation" for method in ("gradient", "smoothgrad")]
    measured = at(**{**vars(IMAGES), "seed": "0", "metric": "label_permutation"})
    assert p.permuted("{dataset}/{model}/{seed}/{metric}")(measured) == ["images/nn/0/label_permutation"]
    assert p.permuted("{dataset}")(at(**{**vars(IMAGES), "metric": "complexity"})) == []
    # Anchors of the network whose twin it is, of no other.
    anchored = at(dataset="images", model="nn", seed="0", method="gradient")
    assert p.permuted("{metric}/{method}")(anchored) == ["label_permutation/gradient"]
    assert p.permuted("{metric}")(at(**{**vars(anchored), "model": "other"})) == []
    cost = p.settings("networks", IMAGES)["models"]["nn"]
    assert cost["retrained"] == [{"epochs": 9, "jobs": 1}]
    assert cost["saliency"]["gradient"]["measured"] == {"complexity": 6, "label_permutation": 1}
    assert p.settings("permute", measured)["epochs"] == 9
    assert plan().all("permutation", "{dataset}") == [] and p.all("permutation", "{dataset}") == ["images"]


def test_a_network_is_trained_again_once_whole_and_once_a_fraction_and_order() -> None:
    roar = {"methods": ["gradient"], "fractions": [0.25, 1 / 3], "train": 40}
    p = plan(changed(("roar",), roar))
    assert p.each("rank", "{model}/{seed}/{method}")(IMAGES) == ["nn/0/gradient"]
    parts = [("random", "0"), *((o, f) for o in ("gradient", "random") for f in ("0.25", "0.333333333333"))]
    assert p.each("retrain", "{model}/{seed}/{order}/{fraction}")(IMAGES) == [f"nn/0/{o}/{f}" for o, f in parts]
    job = at(dataset="images", model="nn", seed="0", order="gradient", fraction="0.25")
    assert p.ranking("{dataset}/{model}/{seed}/{method}")(job) == ["images/nn/0/gradient"]
    assert p.ranking("{method}")(at(**{**vars(job), "order": "random"})) == []
    settings = p.settings("retrain", job)
    assert (settings["fraction"], settings["train"], settings["test"]) == (0.25, 40, 200)
    (part,) = p.settings("networks", IMAGES)["models"]["nn"]["retrained"]
    assert (part["jobs"], part["ranked"], part["train"]) == (5, ["gradient"], 40)
    assert plan().each("rank", "{method}")(IMAGES) == plan().all("roar", "{dataset}") == []


def test_maps_from_elsewhere_are_not_measured_and_named_where_networks_are() -> None:
    given = {"maps": "maps.tsv", "signed": True}
    raw = changed(("models", "other"), given)
    assert {job["model"] for job in plan(raw).jobs["images"].of("measure")} == {"nn"}
    assert plan(raw).settings("metrics", IMAGES)["given"] == [["other", "maps"]]


TWO_ATTACKS = changed(("robustness", "attacks"), {"weak": {"name": "pgd", "steps": 2}, "strong": {"name": "pgd"}})


def test_an_attack_does_not_know_of_the_other() -> None:
    weak, strong = (at(**{**vars(IMAGES), "attack": attack}) for attack in ("weak", "strong"))
    more = changed(("robustness", "attacks", "strong", "steps"), 99, TWO_ATTACKS)
    assert "strong" not in json.dumps(plan(TWO_ATTACKS).settings("robustness", weak))
    assert plan(TWO_ATTACKS).settings("robustness", weak)["attack"]["steps"] == 2
    assert plan(more).settings("robustness", weak) == plan(TWO_ATTACKS).settings("robustness", weak)
    assert plan(more).settings("robustness", strong)["attack"]["steps"] == 99
    assert settings_that_differ(TWO_ATTACKS, more, weak) == {"networks"}
    shared = changed(("robustness", "epsilon"), 0.3, TWO_ATTACKS)
    assert settings_that_differ(TWO_ATTACKS, shared, weak) == {"networks", "robustness"}


def test_the_first_attack_is_the_one_that_figures_show() -> None:
    assert plan(TWO_ATTACKS).settings("figure_grid", IMAGES)["attack"] == "weak"
    files = plan(TWO_ATTACKS).each("robustness", ATTACKS)(IMAGES)
    assert files == [f"attacks/nn/{s}/{a}" for s in (0, 4) for a in ("weak", "strong")]


def test_a_reference_does_not_know_of_the_others_or_of_models() -> None:
    job = at(**{**vars(IMAGES), "reference": "centred"})
    raw = changed(("references",), {"centred": {"name": "input", "centre": True}, "random": None})
    settings = plan(raw).settings("refer", job)
    assert settings["reference"] == {"name": "input", "centre": True}
    other = changed(("references",), {"centred": {"name": "input", "centre": True}, "group": {"name": "group_truth"}})
    other["datasets"]["images"]["models"]["nn"]["saliency"] = "gradient"
    assert plan(other).settings("refer", job) == settings
    named = {entry.split("@")[0] for entry in coded(plan(raw), "refer", job)}
    assert "truemap.references.input" in named
    assert "truemap.references.random" not in named


def test_the_group_is_the_reference_of_that_method_whatever_its_label() -> None:
    raw = changed(("references",), {"random": None, "others": {"name": "group_truth"}})
    assert plan(raw).settings("statistics", IMAGES)["group"] == "others"
    assert plan(raw).settings("figure_grid", IMAGES)["group"] == "others"
    assert plan(changed(("references",), ["random"])).settings("statistics", IMAGES)["group"] is None


@pytest.mark.parametrize("attacks", [["pgd"], ["pgd", "autoattack"], ["autoattack", "pgd"], []])
@pytest.mark.parametrize("references", [["random"], ["random", "input", "group_truth"], []])
@pytest.mark.parametrize("rule", ["robustness", "refer", "statistics", "figure_grid", "figure_strength"])
def test_any_number_of_attacks_and_references_fits_the_params(rule: str, references: list, attacks: list) -> None:
    raw = changed(("references",), references, changed(("robustness", "attacks"), attacks, SWEPT))
    raw["run"] = ["images"]
    jobs = {
        "robustness": [at(**{**vars(IMAGES), "attack": name}) for name in attacks],
        "refer": [at(**{**vars(IMAGES), "reference": name}) for name in references],
    }.get(rule, [IMAGES])
    params = plan(raw).params(rule)
    for job in jobs:
        assert [param(job) for name, param in params.items() if name.startswith("setting_")][-1] is None


@pytest.mark.parametrize(
    ("source", "default"),
    [
        ({"name": "hcp", "root": "somewhere"}, True),
        ({"name": "hcp", "simulate": {"subjects": 9}}, False),
        ("neurovault", True),
        ("localizer", True),
        ("haxby", False),
        ("synthetic", False),
        ({"name": "sheet", "sheet": "maps.tsv"}, False),
    ],
    ids=["hcp", "simulated", "neurovault", "localizer", "haxby", "synthetic", "sheet"],
)
def test_people_have_pseudonyms_unless_the_config_says_otherwise(source: object, default: bool) -> None:
    before = changed(("robustness",), {"attacks": "pgd"}, changed(("source",), source))
    raw = copy.deepcopy(before)
    assert plan(raw).settings("samples", IMAGES)["pseudonyms"] is default
    for wanted in (True, False):
        raw["datasets"]["images"]["pseudonyms"] = wanted
        assert plan(raw).settings("samples", IMAGES)["pseudonyms"] is wanted
    assert settings_that_differ(before, changed(("pseudonyms",), not default, raw)) == {"samples"}


def test_families_are_an_input_and_a_setting_of_the_samples_only() -> None:
    raw = changed(("family",), "restricted/family.tsv")
    assert plan(raw).named("family")(IMAGES) == ["restricted/family.tsv"]
    assert plan().named("family")(IMAGES) == []
    assert settings_that_differ(RAW, raw) == {"samples"}


def test_what_is_done_about_bad_subjects_is_a_setting_of_what_reads_their_maps() -> None:
    assert settings_that_differ(RAW, changed(("on_bad_subject",), "skip")) == {"samples", "grid", "volumes"}


def test_drawn_rows_are_those_of_figures_of_maps_and_bars_and_the_grid_holds_all() -> None:
    p = plan(changed(("drawn",), ["nn/smoothgrad"]))
    assert scores(p, "drawn") == ["scores/images/nn/0/smoothgrad"]
    assert [entry["method"] for entry in p.settings("figure_2", IMAGES)["entries"]] == ["smoothgrad"]
    assert [entry["method"] for entry in p.settings("figure_grid", IMAGES)["entries"]] == ["gradient", "smoothgrad"]


CHOSEN = ["two", "one"]


def test_conditions_are_no_setting_of_volumes_training_or_saliency() -> None:
    figures = {*FIGURES, "subject_maps", "words", "predict", "anchors"}
    assert settings_that_differ(SWEPT, changed(("conditions",), "no_negated", SWEPT)) == figures
    more = {"truth", "background_chosen", "refer", "score", "statistics"}
    assert settings_that_differ(SWEPT, changed(("conditions",), CHOSEN, SWEPT)) == figures | more
    assert settings_that_differ(SWEPT, changed(("conditions",), "table1", SWEPT)) == set()


@pytest.mark.parametrize(
    ("conditions", "headline"), [("table1", "all"), ("no_negated", "no_negated"), (CHOSEN, "chosen")]
)
def test_the_set_that_figures_show_first_is_the_one_the_config_names(conditions: object, headline: str) -> None:
    p = plan(changed(("conditions",), conditions, SWEPT))
    for name in (*FIGURES, "subject_maps"):
        assert p.settings(name, IMAGES)["conditions"] == headline
    assert p.settings("score", IMAGES)["chosen"] == (["one", "two"] if headline == "chosen" else [])
    assert plan(SWEPT).settings("score", BRAINS) == p.settings("score", BRAINS)


def test_the_order_of_a_list_of_conditions_changes_no_settings() -> None:
    other = changed(("conditions",), ["one", "two", "one"])
    assert settings_that_differ(changed(("conditions",), CHOSEN), other) == set()


def test_references_read_a_second_background_where_conditions_are_listed() -> None:
    for conditions, count in (("table1", 0), ("no_negated", 0), (CHOSEN, 1)):
        p = plan(changed(("conditions",), conditions))
        assert len(p.each("background_chosen", "{dataset}")(IMAGES)) == count


def test_what_is_stored_of_maps_is_a_setting_of_explaining_and_whether_they_stay_of_nothing() -> None:
    raw = changed(("voxels",), "brain", {**RAW, "run": ["images"]})
    assert settings_that_differ(raw, {**raw, "maps": {"voxels": "brain"}}) == {"explain"}
    assert settings_that_differ(raw, {**raw, "maps": {"keep": False}}) == set()
    maps = {"voxels": "brain", "keep": False}
    assert settings_that_differ({**raw, "maps": maps}, {**raw, "maps": dict(reversed(maps.items()))}) == set()
    assert plan({**raw, "maps": maps}).settings("explain", IMAGES)["stored"] == "brain"


def test_maps_that_are_not_kept_are_marked_as_temporary() -> None:
    def temp(path: str) -> str:
        return f"temp {path}"

    assert plan().unless_kept(temp, "a") == "a"
    assert plan({**RAW, "maps": {"keep": False}}).unless_kept(temp, "a") == "temp a"


def test_how_data_are_fetched_is_recorded_nowhere() -> None:
    """The script is told, but nothing is run again for another number of downloads at a time."""

    def recorded(fetch: dict) -> tuple[list, object]:
        source = {"name": "neurovault", "fetch": fetch}
        raw = {"run": ["open"], "datasets": {"open": {"source": source, "models": RAW["datasets"]["brains"]["models"]}}}
        params = plan(raw).params("volumes")
        job = at(dataset="open", split="test", shard="0")
        lines = [param(job) for name, param in params.items() if name.startswith("setting_")]
        return lines, params["settings"](job)

    few, many = recorded({"parallel": 1}), recorded({"parallel": 8, "timeout": 5})
    assert few[0] == many[0]
    assert [told.source["fetch"]["parallel"] for _, told in (few, many)] == [1, 8]
    assert any("source.collection" in line for line in few[0] if line)


# Maps from elsewhere

GIVEN = changed(("models", "other"), {"maps": {"ig": "a.tsv", "shap": "b.tsv"}, "signed": False})
#: The same name, of a network.
GIVEN["datasets"]["brains"]["models"]["other"] = {"network": "linear"}
OTHER = at(dataset="images", model="other", seed="0", method="shap")


def test_maps_from_elsewhere_have_maps_and_scores_and_no_job_of_a_network() -> None:
    p = plan(GIVEN)
    models = {rule: {job["model"] for job in p.jobs["images"].of(rule)} for rule in ("train", "model", "robustness")}
    assert set.union(*models.values()) == {"nn"}
    given = [{"model": "other", "seed": 0, "method": method} for method in ("ig", "shap")]
    assert p.jobs["images"].of("adopt") == given
    assert p.jobs["images"].of("explain") == plan().jobs["images"].of("explain")
    assert p.jobs["images"].of("score") == [*p.jobs["images"].of("explain"), *given]
    assert p.jobs["images"].drawn()[-2:] == given
    assert p.jobs["brains"].of("adopt") == []
    assert p.sheet_of_maps(OTHER) == "b.tsv"
    alone = changed(("models",), {"other": {"maps": "a.tsv", "signed": True}}, changed(("metrics",), {}))
    assert [plan(each).jobs["images"].of("networks") for each in (GIVEN, alone)] == [[{}], []]


def test_their_settings_say_of_signs_and_those_of_others_stay() -> None:
    p = plan(GIVEN)
    expected = {"signed": False, "seed": 0, "nan": "refuse", "explained": None, "stored": "all"}
    assert p.settings("adopt", OTHER) == {"data": "synthetic images", **expected}
    assert p.settings("score", OTHER)["signed"] is False
    changes = settings_that_differ(RAW, GIVEN)
    assert changes == {"statistics", "metrics", "judge", "figure_1", "figure_2", "figure_3", "figure_grid", "digest"}
    assert p.settings("statistics", IMAGES)["given"] == ["other"]
    assert p.settings("statistics", IMAGES)["attacks"] == ["pgd"]


def test_each_path_of_maps_is_of_one_rule_whatever_names_a_dataset_shares_with_another() -> None:
    def matching(p: Plan, given: bool) -> set[str]:
        model = f"(?P<model>{p.models(given)})"
        pattern = re.compile(f"results/(?P<dataset>.+)/saliency/{model}/seed-(?P<seed>.+)/(?P<method>.+).parquet")
        names = [(d, m) for d in ("images", "brains") for m in ("nn", "other", "another", "other-2", "linear")]
        return {f"{d} {m}" for d, m in names if pattern.fullmatch(f"results/{d}/saliency/{m}/seed-0/ig.parquet")}

    every = matching(plan(), given=False)
    assert len(every) == 10 and matching(plan(), given=True) == set()
    assert matching(plan(GIVEN), given=True) == {"images other"}
    assert matching(plan(GIVEN), given=False) == every - {"images other"}


def test_tables_of_test_maps_are_asked_for_where_subjects_may_be_left_out() -> None:
    pattern = "{dataset}/{split}/{shard}"
    assert plan(GIVEN).kept(pattern)(OTHER) == []
    skipping = changed(("on_bad_subject",), "skip", GIVEN)
    assert plan(skipping).kept(pattern)(OTHER) == ["images/test/0"]


def test_the_first_page_reads_of_models_what_they_are_and_nothing_of_where_data_lie() -> None:
    settings = plan(GIVEN).settings("digest", IMAGES)
    assert settings["models"] == {
        "nn": {"network": "mlp", "training": "pgd", "seeds": [0, 4], "saliency": ["gradient", "smoothgrad"]},
        "other": {"network": None, "training": None, "seeds": [0], "saliency": ["ig", "shap"]},
    }
    first = [(entry["model"], entry["method"], entry["seed"]) for entry in settings["entries"]]
    assert first == [("nn", "gradient", 0), ("nn", "smoothgrad", 0), ("other", "ig", 0), ("other", "shap", 0)]
    assert "source" not in settings and settings["show"] is None
