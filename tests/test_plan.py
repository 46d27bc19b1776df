import copy
import importlib.metadata
import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from truemap.config import ConfigError
from truemap.params import scaled
from truemap.plan import Plan

ROOT = Path(__file__).parents[1]
RAW = {
    "run": ["images", "brains"],
    "datasets": {
        "images": {
            "source": "synthetic",
            "figures": "images",
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
            "models": {"linear": {"network": "linear", "saliency": "weights"}},
        },
    },
}


def plan(raw: dict = RAW, gpu: bool = False) -> Plan:
    return Plan(raw, ROOT, gpu)


def at(**wildcards: str) -> SimpleNamespace:
    return SimpleNamespace(**wildcards)


IMAGES = at(
    dataset="images", model="nn", seed="4", candidate="epsilon-2", method="smoothgrad", split="train", shard="0"
)
BRAINS = at(dataset="brains", model="linear", seed="0", candidate="single", method="weights", split="test", shard="1")
SETTINGS = [name for name in dir(Plan) if name.endswith("_settings") and name != "simulate_settings"]


def reverse_keys(value):
    if isinstance(value, dict):
        return {key: reverse_keys(value[key]) for key in reversed(value)}
    return value


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("wildcards", [IMAGES, BRAINS], ids=["images", "brains"])
def test_settings_are_json_and_depend_on_no_order_of_keys(name: str, wildcards: SimpleNamespace) -> None:
    settings = getattr(plan(), name)(wildcards)
    assert json.loads(json.dumps(settings)) == settings
    assert repr(getattr(plan(reverse_keys(RAW)), name)(wildcards)) == repr(settings)


def test_writing_out_a_default_changes_no_settings() -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["images"]["models"]["nn"]["training"]["learning_rate"] = 0.001
    raw["datasets"]["images"]["models"]["nn"]["training"]["steps"] = 3
    assert repr(plan(raw).train_settings(IMAGES)) == repr(plan().train_settings(IMAGES))


def test_training_settings_are_those_of_one_candidate_and_seed() -> None:
    settings = plan().train_settings(IMAGES)
    assert settings["seed"] == 4
    assert settings["training"]["epsilon"] == 2.0
    assert settings["training"]["name"] == "pgd"


def test_one_models_training_does_not_know_of_other_seeds_methods_or_models() -> None:
    raw = copy.deepcopy(RAW)
    nn = raw["datasets"]["images"]["models"]["nn"]
    nn.update(seeds=[0, 4, 5], saliency=["gradient"], label="a net", tolerance=0.5)
    raw["datasets"]["images"]["models"]["other"] = {"network": "linear"}
    assert plan(raw).train_settings(IMAGES) == plan().train_settings(IMAGES)


def test_files_of_every_shard_candidate_and_method() -> None:
    p = plan()
    assert p.volume_files("test", "npy")(BRAINS) == [f"results/brains/volumes/test/{k}.npy" for k in (0, 1)]
    folder = "results/images/candidates/nn/seed-4"
    assert p.candidate_files("x")(IMAGES) == [f"{folder}/epsilon-1/x", f"{folder}/epsilon-2/x"]
    scores = [f"seed-{s}/{m}" for s in (0, 4) for m in ("gradient", "smoothgrad")]
    assert p.score_files(IMAGES) == [f"results/images/scores/nn/{part}.parquet" for part in scores]
    drawn = [f"results/images/saliency/nn/seed-0/{m}.mean.tsv" for m in ("gradient", "smoothgrad")]
    assert p.drawn_files("saliency", ".mean.tsv")(IMAGES) == drawn
    assert {Path(f).name for f in p.figure_files() if "brains" in f} == {
        f"figure-{n}{panel}.{ending}" for n in "23" for panel in "ab" for ending in ("svg", "png")
    }


def test_only_simulated_datasets_need_a_simulated_tree() -> None:
    assert plan().tree_files(BRAINS) == ["results/brains/tree/shard-0.tsv", "results/brains/tree/shard-1.tsv"]
    assert plan().tree_files(IMAGES) == []
    assert plan().source_file("peaks")(BRAINS) == ["config/simulation/task_peaks.tsv"]
    assert plan().source_file("sheet")(IMAGES) == []


@pytest.mark.parametrize(
    ("device", "present", "gpus"), [("auto", True, 1), ("auto", False, 0), ("cpu", True, 0), ("cuda", False, 1)]
)
def test_a_gpu_is_asked_for_where_one_is_used(device: str, present: bool, gpus: int) -> None:
    assert plan({**RAW, "device": device}, present).gpus == gpus


def test_code_params_name_the_method_of_the_job_and_no_other() -> None:
    p = plan()
    entries = [entry(IMAGES) for entry in p.methods("train", "networks", "training").values()]
    named = {entry.split("@")[0] for entry in entries if entry}
    assert {"truemap.networks.mlp", "truemap.training.pgd"} <= named
    assert not {"truemap.networks.cnn3d", "truemap.training.free"} & named
    assert not named & {value.split("@")[0] for value in p.code("train").values()}


def test_every_module_of_a_jobs_methods_has_a_param_and_one_is_left() -> None:
    raw = copy.deepcopy(RAW)
    raw["datasets"]["images"]["models"]["nn"] = {"network": "cnn3d", "training": {"name": "free"}}
    used = [entry(IMAGES) for entry in plan(raw).methods("train", "networks", "training").values()]
    assert used[-1] is None
    assert {"truemap.networks.cnn3d", "truemap.training.free"} <= {entry.split("@")[0] for entry in used if entry}


def test_settings_are_recorded_one_named_line_a_value() -> None:
    params = plan().settings("train")
    lines = [param(IMAGES) for name, param in params.items() if name != "settings"]
    assert vars(params["settings"](IMAGES)) == plan().train_settings(IMAGES)
    assert {"training.epsilon = 2.0", "network.hidden = 10", "seed = 4"} <= set(lines)
    assert None in lines


@pytest.mark.parametrize("name", SETTINGS)
def test_every_rules_settings_fit_their_params(name: str) -> None:
    params = plan().settings(name.removesuffix("_settings"))
    lines = [param(BRAINS) for name, param in params.items() if name != "settings"]
    assert lines[-1] is None


def test_a_package_counts_as_code_where_the_config_says_so() -> None:
    assert "torch" not in str(plan().code("train"))
    params = plan({**RAW, "provenance": {"packages": ["torch"]}}).code("train")
    assert f"torch {importlib.metadata.version('torch')}" in params.values()
    with pytest.raises(ConfigError, match="package 'torhc' is not installed"):
        plan({**RAW, "provenance": {"packages": ["torhc"]}})


@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_retry_asks_for_more(attempt: int) -> None:
    assert scaled(4000)(IMAGES, attempt) == 4000 * attempt
