import copy
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from truemap.config.candidates import candidates, strength, swept_point
from truemap.config.data import Split
from truemap.config.models import Model
from truemap.config.options import TrainingOptions
from truemap.config.schema import Config, ConfigError, parse
from truemap.plan.plan import Plan

ROOT = Path(__file__).parents[2]
RAW = {
    "run": ["synthetic"],
    "style": {"bars": "red"},
    "datasets": {
        "synthetic": {
            "source": "synthetic",
            "models": {"linear": {"network": "linear", "training": {"name": "standard"}}},
        },
        "hcp": {
            "source": {"name": "hcp", "simulate": {"subjects": 9}},
            "split": {"train": 0.7, "validation": 0.1, "test": 0.2},
            "models": {
                "cnn": {"network": {"name": "cnn3d", "filters": [4]}, "saliency": {"smoothgrad": {"sigma": 2.0}}},
            },
        },
    },
}
LINEAR = ("datasets", "synthetic", "models", "linear")
CNN = ("datasets", "hcp", "models", "cnn")


def changed(path, value):
    """Return the config with one entry set."""
    raw = copy.deepcopy(RAW)
    part = raw
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return raw


def refusal(path, value):
    """Return the message with which the config with one entry set is refused."""
    with pytest.raises(ConfigError) as caught:
        parse(changed(path, value))
    return str(caught.value)


def fitted(**training):
    return Model(network="linear", training={"name": "standard", **training})


def test_the_default_config_is_read_without_any_numerical_library():
    program = (
        "import sys, yaml\n"
        "from truemap.plan.plan import Plan\n"
        "Plan(yaml.safe_load(open('config/config.yaml')), '.', False)\n"
        "print(*sorted({'torch', 'numpy', 'pandas', 'nibabel', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={"PYTHONPATH": "workflow"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == ""


@pytest.mark.parametrize(
    ("path", "nearest"),
    [
        (("sed",), "seed"),
        (("style", "colourmap"), "colormap"),
        (("datasets", "synthetic", "shard"), "shards"),
        (("datasets", "hcp", "split", "validatoin"), "validation"),
        (("datasets", "hcp", "source", "rot"), "root"),
        (("datasets", "hcp", "source", "simulate", "noise"), "noise_sd"),
        ((*LINEAR, "sedes"), "seeds"),
        ((*LINEAR, "training", "epoch"), "epochs"),
        ((*CNN, "network", "filter"), "filters"),
        ((*CNN, "saliency", "smoothgrad", "sigm"), "sigma"),
    ],
    ids=lambda value: ".".join(value) if isinstance(value, tuple) else value,
)
def test_an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one(path, nearest):
    message = refusal(path, 1)
    assert f"unknown key '{path[-1]}'; did you mean '{nearest}'" in message
    assert f"  {'.'.join(path[:-1]) or 'config'}: " in message


@pytest.mark.parametrize(
    ("path", "wrong", "nearest"),
    [
        (("datasets", "synthetic", "source"), "synthetik", "synthetic"),
        ((*LINEAR, "network"), "linar", "linear"),
        ((*LINEAR, "training"), {"name": "pdg"}, "pgd"),
        ((*LINEAR, "saliency"), ["gradient", "wieghts"], "weights"),
        ((*LINEAR, "saliency"), {"mine": {"name": "gradeint"}}, "gradient"),
    ],
)
def test_an_unknown_method_is_refused_with_the_nearest_known_one(path, wrong, nearest):
    assert f"did you mean '{nearest}'" in refusal(path, wrong)


def test_each_fault_has_a_line():
    raw = changed(("threads",), 0)
    raw["datasets"]["synthetic"]["shards"] = 0
    raw["datasets"]["hcp"]["models"]["cnn"]["tolerance"] = 2
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    first, *faults = str(caught.value).splitlines()
    assert first == "the config cannot be used:"
    assert sorted(fault.split(":")[0].strip() for fault in faults) == [
        "datasets.hcp.models.cnn.tolerance",
        "datasets.synthetic.shards",
        "threads",
    ]


def test_a_dataset_to_run_must_be_defined():
    assert "unknown dataset 'hpc'; did you mean 'hcp'" in refusal(("run",), ["synthetic", "hpc"])


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("gradient", {"gradient": "gradient"}),
        (["weights", "gradient"], {"weights": "weights", "gradient": "gradient"}),
        ({"smoothgrad": None}, {"smoothgrad": "smoothgrad"}),
        (
            {"mild": {"name": "smoothgrad", "sigma": 0.1}, "gradient": {}},
            {"mild": "smoothgrad", "gradient": "gradient"},
        ),
    ],
)
def test_saliency_is_a_name_a_list_or_a_mapping_from_labels(written, full):
    saliency = Model(network="linear", saliency=written).saliency
    assert {label: options["name"] for label, options in saliency.items()} == full


def test_settings_hold_every_default_in_the_order_of_the_options():
    model = fitted(l2=0.5, epochs=3)
    assert list(model.training.items()) == [
        ("name", "standard"),
        ("epochs", 3),
        ("batch_size", 32),
        ("learning_rate", 1e-3),
        ("l2", 0.5),
        ("precision", "float32"),
        ("micro_batch", None),
    ]


@pytest.mark.parametrize(
    "word",
    ["a/b", "a b", ".", "..", "", "ä/", "a.b", "claims.html", "a\n", "e\u0301", "x" * 141, "中" * 47, "a" + "bc" * 20],
)
@pytest.mark.parametrize("kind", ["dataset", "model", "saliency"])
def test_a_name_that_cannot_be_a_file_name_is_refused(kind, word):
    raw = copy.deepcopy(RAW)
    if kind == "dataset":
        raw["datasets"][word] = raw["datasets"].pop("synthetic")
        raw["run"] = [word]
    elif kind == "model":
        raw["datasets"]["synthetic"]["models"][word] = {"network": "linear"}
    else:
        raw["datasets"]["synthetic"]["models"]["linear"]["saliency"] = {word: {"name": "gradient"}}
    with pytest.raises(ConfigError, match=f"'{re.escape(word)}' becomes (part of )?a file name"):
        parse(raw)


@pytest.mark.parametrize("saliency", ["weights", ["gradient", "weights"], {"w": {"name": "weights"}}])
def test_weights_explain_linear_networks_only(saliency):
    assert "needs a network with: linear; 'cnn3d' has" in refusal((*CNN, "saliency"), saliency)
    parse(changed((*LINEAR, "saliency"), saliency))


@pytest.mark.parametrize(
    ("name", "options"),
    [("grad_cam", {}), ("guided_grad_cam", {}), ("decoy", {"decoys": "optimised"})],
)
def test_layers_that_a_network_has_not_are_refused_before_anything_runs(name, options):
    message = refusal((*CNN, "saliency"), {name: {**options, "layer": 9}})
    assert re.search(rf"saliency '{name}' needs a network with: .*\brelu 9\b.*; 'cnn3d' has: .*\brelu 1\b", message)
    parse(changed((*CNN, "saliency"), {name: {**options, "layer": 1}}))


def test_a_decoy_of_a_gradient_that_is_the_same_everywhere_is_refused():
    assert "needs a network with: relu; 'linear' has" in refusal((*LINEAR, "saliency"), {"decoy": {"output": "logit"}})
    parse(changed((*LINEAR, "saliency"), {"decoy": {"output": "logit", "inner": "integrated_gradients"}}))
    parse(changed((*LINEAR, "saliency"), {"decoy": {}}))


def test_nsloss_counts_layers_that_are_there():
    training = {"name": "nsloss", "layers": [0, 9]}
    assert "training 'nsloss' needs a network with: relu 1, relu 10; 'linear' has" in refusal(
        (*LINEAR, "training"), training
    )
    assert "needs a network with: relu; 'linear'" in refusal((*LINEAR, "training"), {"name": "nsloss", "logits": False})
    parse(changed((*LINEAR, "training"), "nsloss"))


def test_the_default_split_is_the_papers():
    shares = Split()
    assert [round(965 * share) for share in (shares.train, shares.validation, shares.test)] == [790, 87, 88]


@pytest.mark.parametrize("share", [0.5, 0.7001, 0.6999])
def test_shares_must_add_up_to_one(share):
    assert "must add up to 1" in refusal(("datasets", "hcp", "split"), {"train": share, "validation": 0.1, "test": 0.2})
    parse(changed(("datasets", "hcp", "split"), {"train": 0.7, "validation": 0.1, "test": 0.2}))


@pytest.mark.parametrize("seeds", [[1, 1], [1, 1.0], [0.5], [-1], [], [math.inf], [math.nan]])
def test_seeds_must_be_different_whole_numbers(seeds):
    assert "linear.seeds" in refusal((*LINEAR, "seeds"), seeds)


@pytest.mark.parametrize("seed", [0, 12, 2**53 + 1, 2**62 + 1])
def test_seeds_are_kept_as_they_were_given(seed):
    (kept,) = Model(network="linear", seeds=[seed]).seeds
    assert kept == seed
    assert isinstance(kept, int)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("network", 5),
        ("network", ["linear"]),
        ("network", {"name": "mlp", 5: 1}),
        ("network", {"name": ["mlp"]}),
        ("training", True),
        ("saliency", None),
        ("saliency", 5),
        ("saliency", {"gradient": 3}),
        ("saliency", {1: {"name": "gradient"}}),
        ("saliency", [{"name": "smoothgrad"}]),
    ],
)
def test_a_method_of_the_wrong_shape_is_a_fault_of_the_config_not_a_crash(key, value):
    assert f"linear.{key}" in refusal((*LINEAR, key), value)


def test_hcp_is_either_read_or_simulated():
    source = ("datasets", "hcp", "source")
    for options in ({"name": "hcp"}, {"name": "hcp", "root": "/data", "simulate": {}}):
        assert "either 'root'" in refusal(source, options)
    parse(changed(source, {"name": "hcp", "root": "/data"}))


def test_the_config_does_not_change_once_checked():
    config = parse(RAW)
    assert isinstance(config, Config)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 1


def test_without_lists_there_is_one_candidate():
    model = fitted(l2=0.1)
    assert candidates(model) == {"single": model.training}


def test_lists_span_their_product():
    grid = candidates(fitted(learning_rate=[0.001, 0.01], l2=[0, 0.1, 1e-6], epochs=3))
    common = {"name": "standard", "epochs": 3, "batch_size": 32, "precision": "float32", "micro_batch": None}
    assert grid == {
        "learning-rate-0.001_l2-0": {**common, "learning_rate": 0.001, "l2": 0.0},
        "learning-rate-0.001_l2-0.1": {**common, "learning_rate": 0.001, "l2": 0.1},
        "learning-rate-0.001_l2-1e-06": {**common, "learning_rate": 0.001, "l2": 1e-6},
        "learning-rate-0.01_l2-0": {**common, "learning_rate": 0.01, "l2": 0.0},
        "learning-rate-0.01_l2-0.1": {**common, "learning_rate": 0.01, "l2": 0.1},
        "learning-rate-0.01_l2-1e-06": {**common, "learning_rate": 0.01, "l2": 1e-6},
    }


def test_a_list_of_one_is_a_grid_of_one():
    assert {name: options["l2"] for name, options in candidates(fitted(l2=[0.1])).items()} == {"l2-0.1": 0.1}


def test_candidates_do_not_depend_on_the_order_of_keys():
    options = {"learning_rate": [0.001, 0.01], "l2": [0.1, 1.0]}
    one = candidates(fitted(**options))
    other = candidates(fitted(**dict(reversed(options.items()))))
    assert list(one.items()) == list(other.items())


def test_an_option_that_is_a_list_by_nature_is_no_grid(monkeypatch):
    class Options(TrainingOptions):
        milestones: list[int]

    monkeypatch.setattr("truemap.config.candidates.resolved_class", lambda family, method: Options)
    model = Model.model_construct(training={"name": "stepwise", "milestones": [3, 6], "l2": [0.1, 1.0]})
    assert {name: options["milestones"] for name, options in candidates(model).items()} == {
        "l2-0.1": [3, 6],
        "l2-1": [3, 6],
    }


def test_a_networks_list_is_no_grid():
    model = Model(network={"name": "cnn3d", "filters": [4, 8]}, training={"name": "free", "epsilon": [0.1, 0.2]})
    assert list(candidates(model)) == ["epsilon-0.1", "epsilon-0.2"]
    assert model.network["filters"] == [4, 8]


SYNTHETIC = ("datasets", "synthetic")
METHODS = [
    ("input", {"input": "input"}),
    (["random", "input"], {"random": "random", "input": "input"}),
    ({"random": None, "mine": {"name": "input", "centre": True}}, {"random": "random", "mine": "input"}),
]


@pytest.mark.parametrize(("written", "full"), METHODS)
def test_references_are_a_name_a_list_or_a_mapping_from_labels(written, full):
    references = parse(changed((*SYNTHETIC, "references"), written)).datasets["synthetic"].references
    assert {label: options["name"] for label, options in references.items()} == full
    if "mine" in full:
        assert references["mine"] == {"name": "input", "centre": True}


@pytest.mark.parametrize(
    ("written", "full"),
    [
        ("pgd", {"pgd": "pgd"}),
        (["pgd", "autoattack"], {"pgd": "pgd", "autoattack": "autoattack"}),
        ({"long": {"name": "pgd", "steps": 77}, "autoattack": {}}, {"long": "pgd", "autoattack": "autoattack"}),
    ],
)
def test_attacks_are_a_name_a_list_or_a_mapping_from_labels(written, full):
    attacks = parse(changed((*SYNTHETIC, "robustness"), {"attacks": written})).datasets["synthetic"].robustness.attacks
    assert {label: options["name"] for label, options in attacks.items()} == full
    if "long" in full:
        assert attacks["long"]["steps"] == 77


def test_what_is_trained_again_is_trained_here():
    models = {"planted": {"network": "planted"}, "linear": {"network": "linear"}}
    raw = changed((*SYNTHETIC, "models"), models)
    raw["datasets"]["synthetic"].update(regions="squares", metrics={"label_permutation": {"model": "linear"}})
    assert list(parse(raw).datasets["synthetic"].trained) == ["linear"]
    raw["datasets"]["synthetic"]["metrics"] = {"again": {"name": "label_permutation", "model": "planted"}}
    with pytest.raises(ConfigError, match=r"metrics\.again: no network 'planted' is trained here\. Known here: linear"):
        parse(raw)
    del raw["datasets"]["synthetic"]["models"]["linear"]
    raw["datasets"]["synthetic"]["metrics"] = "label_permutation"
    with pytest.raises(ConfigError, match="it trains a network again, and none is trained here"):
        parse(raw)


@pytest.mark.parametrize(
    ("roar", "words"),
    [
        ({"model": "lin"}, "roar: no network 'lin' is trained here; did you mean 'linear'"),
        ({"methods": ["gradent"]}, "roar.methods: no saliency 'gradent'; did you mean 'gradient'"),
        ({"methods": ["random"]}, "'random' is the order that no map gives"),
        ({"fractions": [0.5, 0.5]}, "twice"),
        ({"fractions": [1.0]}, "less than 1"),
        ({"fractions": []}, "at least 1"),
    ],
)
def test_remove_and_retrain_is_of_a_network_and_methods_that_are_there(roar, words):
    saliency = {"gradient": {}, "random": {"name": "weights"}}
    raw = changed((*SYNTHETIC, "models"), {"linear": {"network": "linear", "saliency": saliency}})
    raw["datasets"]["synthetic"]["roar"] = {"methods": ["gradient"]}
    assert parse(raw).datasets["synthetic"].roar.train == 1000
    raw["datasets"]["synthetic"]["roar"] = {"methods": ["gradient"], **roar}
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse(raw)


def test_metrics_are_none_unless_named_and_ask_networks():
    assert parse(RAW).datasets["synthetic"].metrics == {}
    found = parse(changed((*SYNTHETIC, "metrics"), {"removal": None, "fine": {"name": "removal", "steps": 99}}))
    assert {label: options["steps"] for label, options in found.datasets["synthetic"].metrics.items()} == {
        "removal": 20,
        "fine": 99,
    }
    raw = changed((*SYNTHETIC, "metrics"), "complexity")
    raw["datasets"]["synthetic"]["models"] = {"other": {"maps": "maps.tsv", "signed": True}}
    with pytest.raises(ConfigError, match="all models here are maps from elsewhere"):
        parse(raw)


def test_a_fault_in_a_methods_options_is_said_with_its_label():
    with pytest.raises(ConfigError) as caught:
        parse(changed((*SYNTHETIC, "metrics"), {"fine": {"name": "removal", "steps": 0}, "sensitivity": {"raduis": 1}}))
    assert "datasets.synthetic.metrics.fine.steps: Input should be" in str(caught.value)
    with pytest.raises(ConfigError, match=r"metrics\.sensitivity\.?[^:]*: .*raduis"):
        parse(changed((*SYNTHETIC, "metrics"), {"sensitivity": {"raduis": 1}}))


def test_maps_are_attacked_where_it_is_asked_for_all_that_can_be_differentiated():
    assert parse(RAW).datasets["synthetic"].fragility is None and parse(RAW).datasets["synthetic"].fragile == {}
    raw = changed((*SYNTHETIC, "fragility"), {})
    saliency = ["weights", "gradient", "pattern", "deeplift"]
    raw["datasets"]["synthetic"]["models"] = {"linear": {"network": "linear", "saliency": saliency}}
    found = parse(raw).datasets["synthetic"]
    assert found.fragile == {"linear": ["gradient", "deeplift"]}
    assert list(found.fragility.attacks) == ["top_k", "mass_center", "random_sign"]
    assert found.fragility.attacks["top_k"]["iterations"] == 30 and found.fragility.epsilon == [0.035, 0.14]


CORRELATION = {"network": "correlation", "training": "templates", "saliency": "gradient"}
ONE_LAYER = {"network": "linear", "saliency": ["gradient", "weights"]}


@pytest.mark.parametrize(
    ("models", "fragility", "words"),
    [
        ({"other": {"maps": "a.tsv", "signed": True}}, {}, "all models here are maps from elsewhere"),
        ({"m": ONE_LAYER}, {"methods": ["weights"]}, "'weights' cannot be attacked: weights has no `differentiable`"),
        ({"m": ONE_LAYER}, {"methods": ["gradeint"]}, "did you mean 'gradient'"),
        ({"m": ONE_LAYER}, {"models": ["n"]}, "fragility.models: no network 'n'"),
        ({"m": {"network": "linear", "saliency": "weights"}}, {}, "no way to explain here can be differentiated"),
        ({"m": CORRELATION}, {}, "map attack 'top_k' needs a network with: relu only; 'correlation' has: templates"),
        ({"m": ONE_LAYER}, {"attacks": {"target": {"region": "square-1"}}}, "the dataset has no `regions`"),
        (
            {"m": ONE_LAYER},
            {"attacks": {"target": {"region": "a", "box": [[0, 1]] * 3}}},
            "a `box` or a `region`, not both",
        ),
        ({"m": ONE_LAYER}, {"moved": True}, "fragility.moved: what the network does is asked of `regions`"),
        ({"m": ONE_LAYER}, {"attacks": "topk"}, "did you mean 'top_k'"),
        ({"m": ONE_LAYER}, {"attacks": {"top_k": {"k": 1.5}}}, "less than 1"),
        ({"m": ONE_LAYER}, {"epsilon": [0.1, 0.1]}, "one is there twice"),
        ({"m": ONE_LAYER}, {"epsilon": []}, "at least 1 item"),
    ],
)
def test_attacks_on_maps_that_cannot_be_are_refused_with_the_reason(models, fragility, words):
    raw = changed((*SYNTHETIC, "models"), models)
    raw["datasets"]["synthetic"]["fragility"] = fragility
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse(raw)


def test_networks_that_cannot_be_softened_are_left_out_by_naming_others():
    raw = changed((*SYNTHETIC, "models"), {"m": ONE_LAYER, "c": CORRELATION})
    raw["datasets"]["synthetic"]["fragility"] = {"models": ["m"]}
    assert parse(raw).datasets["synthetic"].fragile == {"m": ["gradient"]}
    raw["datasets"]["synthetic"]["fragility"] = {"attacks": "random_sign"}
    assert set(parse(raw).datasets["synthetic"].fragile) == {"m", "c"}


def test_influences_are_told_of_all_networks_that_are_trained_here():
    assert parse(RAW).datasets["synthetic"].influence is None and parse(RAW).datasets["synthetic"].influenced == []
    given = {"network": "linear", "weights": "a.safetensors", "saliency": "gradient"}
    models = {"b": ONE_LAYER, "given": given, "a": {"network": "mlp"}, "maps": {"maps": "a.tsv", "signed": True}}
    raw = changed((*SYNTHETIC, "models"), models)
    raw["datasets"]["synthetic"]["influence"] = {}
    found = parse(raw).datasets["synthetic"]
    assert found.influenced == ["b", "a"] and found.influence.train == 1000 and found.influence.damping == 0.01
    raw["datasets"]["synthetic"]["influence"] = {"models": ["a"]}
    assert parse(raw).datasets["synthetic"].influenced == ["a"]


@pytest.mark.parametrize(
    ("models", "influence", "words"),
    [
        (
            {"other": {"maps": "a.tsv", "signed": True}},
            {},
            "influence: it asks training maps, and no network is trained",
        ),
        ({"m": ONE_LAYER}, {"models": ["n"]}, "influence.models: no network 'n' is trained here"),
        (
            {"m": ONE_LAYER, "other": {"maps": "a.tsv", "signed": True}},
            {"models": ["other"]},
            "influence.models: 'other' are maps from elsewhere, without a network",
        ),
        (
            {"m": ONE_LAYER, "g": {"network": "linear", "weights": "a.safetensors", "saliency": "gradient"}},
            {"models": ["m", "g"]},
            "'g' has `weights`: on which maps is not known here",
        ),
        (
            {"m": ONE_LAYER, "p": {"network": "planted", "saliency": "gradient"}},
            {"models": ["p"]},
            "'p' is planted, of no training map",
        ),
        ({"m": ONE_LAYER}, {"epsilon": [0.1, 0.1]}, "one is there twice"),
        ({"m": ONE_LAYER}, {"dampng": 0.1}, "did you mean 'damping'"),
        ({"m": ONE_LAYER}, {"influential": "most"}, "helpful"),
    ],
)
def test_influences_that_cannot_be_are_refused_with_the_reason(models, influence, words):
    raw = changed((*SYNTHETIC, "models"), models)
    raw["datasets"]["synthetic"].update(influence=influence, regions="squares")
    with pytest.raises(ConfigError, match=re.escape(words)):
        parse(raw)


def test_references_and_attacks_have_defaults_with_every_option():
    dataset = parse(RAW).datasets["synthetic"]
    assert dataset.references == {
        "random": {"name": "random"},
        "input": {"name": "input", "centre": False},
        "input-centred": {"name": "input", "centre": True},
        "group_truth": {"name": "group_truth"},
    }
    assert list(dataset.robustness.attacks) == ["pgd"]
    assert dataset.robustness.attacks["pgd"]["name"] == "pgd"
    assert not dataset.truth.leave_out


@pytest.mark.parametrize(
    ("path", "wrong", "nearest"),
    [
        ((*SYNTHETIC, "references"), ["randon"], "random"),
        ((*SYNTHETIC, "references"), {"mine": {"name": "group-truth"}}, "group_truth"),
        ((*SYNTHETIC, "references"), {"input": {"center": True}}, "centre"),
        ((*SYNTHETIC, "robustness"), {"attacks": "autoatack"}, "autoattack"),
        ((*SYNTHETIC, "robustness"), {"epsilom": 1.0}, "epsilon"),
        ((*SYNTHETIC, "truth"), {"leave_put": True}, "leave_out"),
        ((*SYNTHETIC, "metrics"), ["sensitivty"], "sensitivity"),
        ((*SYNTHETIC, "metrics"), {"removal": {"stps": 3}}, "steps"),
        ((*CNN, "sweep"), ["smothgrad"], "smoothgrad"),
        ((*SYNTHETIC, "drawn"), ["linear/gradeint"], "linear/gradient"),
        (("memroy",), 1, "memory"),
    ],
)
def test_slips_in_references_attacks_truth_sweep_and_drawn_are_refused_with_the_nearest(path, wrong, nearest):
    assert f"did you mean '{nearest}'" in refusal(path, wrong)


@pytest.mark.parametrize("value", [5, None, True, [{"name": "input"}], {"input": 3}])
@pytest.mark.parametrize("path", [("references",), ("robustness", "attacks")])
def test_references_or_attacks_of_the_wrong_shape_are_faults_of_the_config(path, value):
    raw = changed((*SYNTHETIC, path[0]), {path[1]: value} if path[1:] else value)
    with pytest.raises(ConfigError, match="datasets.synthetic." + ".".join(path)):
        parse(raw)


@pytest.mark.parametrize("word", ["a/b", "a b", ""])
def test_labels_of_references_and_attacks_become_file_names(word):
    for key, value in (("references", {word: {"name": "input"}}), ("robustness", {"attacks": {word: {"name": "pgd"}}})):
        assert f"'{word}' becomes a file name" in refusal((*SYNTHETIC, key), value)


def test_a_model_cannot_have_the_name_that_references_have_in_tables():
    message = refusal((*SYNTHETIC, "models"), {"reference": {"network": "linear"}})
    assert "a model cannot be called 'reference'" in message
    parse(changed((*SYNTHETIC, "models"), {"references": {"network": "linear"}}))


@pytest.mark.parametrize(
    ("path", "value", "name"),
    [
        ((*LINEAR, "saliency"), {"gradient": {"name": "weights"}}, "gradient"),
        (("datasets", "synthetic", "references"), {"group_truth": {"name": "input"}}, "group_truth"),
        (("datasets", "synthetic", "robustness"), {"attacks": {"autoattack": {"name": "pgd"}}}, "autoattack"),
    ],
)
def test_a_label_that_is_another_methods_name_is_refused(path, value, name):
    """Figures, tables and claims go by labels: `gradient` in them is the gradient."""
    assert f"'{name}' is another" in refusal(path, value)


def test_a_sweep_is_of_saliency_labels():
    saliency = {"mild": {"name": "smoothgrad", "sigma": 0.1}, "gradient": None}
    model = Model(network="linear", training={"name": "pgd"}, saliency=saliency, sweep=["mild"])
    assert model.sweep == ["mild"]
    with pytest.raises(ValueError, match="sweep: no saliency 'smoothgrad'"):
        Model(network="linear", training={"name": "pgd"}, saliency=saliency, sweep=["smoothgrad"])


@pytest.mark.parametrize("training", ["standard", {"name": "standard", "l2": [0.1, 1.0]}])
def test_a_sweep_needs_a_training_method_with_a_strength(training):
    with pytest.raises(ValueError, match="sweep: training 'standard' has no strength"):
        Model(network="linear", training=training, sweep=["gradient"])


def test_a_sweep_may_go_over_epochs_and_tells_its_points_apart_by_what_is_a_list():
    def model(**training):
        return Model(network="linear", training={"name": "pgd", **training}, sweep=["gradient"])

    both = model(epsilon=[1, 2], epochs=[2, 4])
    assert swept_point(model(), "single")[0] == "epsilon" and swept_point(both, "epochs-4_epsilon-2") == ("epsilon", 2)
    longer = model(epochs=[2, 4])
    assert swept_point(longer, "epochs-4") == ("epochs", 4) and list(candidates(longer)) == ["epochs-2", "epochs-4"]
    assert strength(longer) == "epsilon"  # longer is not stronger: of epochs the most likely are chosen
    assert Model(network="linear", training={"name": "standard", "epochs": [1, 2]}, sweep=["gradient"]).sweep


@pytest.mark.parametrize("conditions", ["table1", "no_negated", ["REL", "MATCH"]])
def test_conditions_are_a_set_or_a_list(conditions):
    assert parse(changed((*SYNTHETIC, "conditions"), conditions)).datasets["synthetic"].conditions == conditions
    assert parse(RAW).datasets["synthetic"].conditions == "table1"


def test_conditions_that_are_no_set_are_refused_with_the_nearest():
    message = refusal((*SYNTHETIC, "conditions"), "no-negated")
    assert "did you mean 'no_negated'" in message
    assert "Or give a list of conditions" in message
    assert len(message.splitlines()) == 2
    assert "at least 1 item" in refusal((*SYNTHETIC, "conditions"), [])


def test_maps_of_the_brain_are_refused_where_a_dataset_that_runs_is_scored_over_all_voxels():
    assert "stores too little for dataset 'synthetic'" in refusal(("maps",), {"voxels": "brain"})
    brain = {**changed((*SYNTHETIC, "voxels"), "brain"), "maps": {"voxels": "brain"}}
    config = parse(brain)
    assert (config.maps.voxels, config.maps.keep) == ("brain", True)
    assert config.datasets["hcp"].voxels == "all"
    with pytest.raises(ConfigError, match="stores too little for dataset 'hcp'"):
        parse({**brain, "run": ["synthetic", "hcp"]})


@pytest.mark.parametrize(("wrong", "words"), [({"kepp": True}, "did you mean 'keep'"), ({"voxels": "mask"}, "'brain'")])
def test_slips_in_maps_are_refused(wrong, words):
    assert words in refusal(("maps",), wrong)


@pytest.mark.parametrize("word", ["abcdefg" * 19 + "-z", "xy" * 19, "中文字" * 15, "claims", "figures", "-"])
def test_names_of_files_are_any_letters_up_to_a_length(word):
    definition = RAW["datasets"]["synthetic"]
    assert parse({"run": [word], "datasets": {word: definition}}).run == [word]


def test_no_file_name_is_longer_than_file_systems_allow():
    long = "abcdefghij" * 5
    training = {"name": "pgd", "epsilon": [1.23456789012e-05], "l2": [1.23456789012e-05], "learning_rate": [1e-05]}
    model = {"network": "linear", "training": training, "saliency": {long: {"name": "gradient"}}, "sweep": [long]}
    definition = {"source": "synthetic", "references": {long: {"name": "input"}}, "models": {long: model}}
    definition["metrics"] = {long: {"name": "removal"}}
    assert "at most 50 bytes" in refusal(("datasets", "synthetic", "models"), {f"{long}x": model})
    plan = Plan({"run": [long], "datasets": {long: definition}}, ROOT, False)
    names = [
        pattern.format(**vars(job))
        for rules in (ROOT / "workflow/rules").glob("*.smk")
        for rule in rules.read_text(encoding="utf-8").split("\nrule ")[1:]
        for pattern in re.findall(r'"(?:logs|results/benchmarks)/{dataset}/([^"]+)"', rule)
        for job in plan.jobs.kinds(rule.partition(":")[0])
    ]
    assert 180 < max(map(len, names)) < 255
    # Beside a temporary name's host, of 64 characters at most, and process.
    assert len(f".partial-{'h' * 64}-4194304-{long}.mean.nii.gz") < 255


@pytest.mark.parametrize("word", ["salt", "Salt", "benchmarks", "BENCHMARKS"])
def test_a_dataset_cannot_have_the_name_of_a_file_of_the_workflows_own(word):
    raw = {"run": [word], "datasets": {word: RAW["datasets"]["synthetic"]}}
    with pytest.raises(ConfigError, match=f"a dataset cannot be called '{word}'"):
        parse(raw)


@pytest.mark.parametrize("path", ["models", "saliency", "references", "attacks", "run"])
def test_names_that_are_one_file_where_case_does_not_count_are_refused(path):
    raw = copy.deepcopy(RAW)
    dataset = raw["datasets"]["synthetic"]
    two = {"straße": {"name": "input"}, "STRASSE": {"name": "input"}}
    if path == "models":
        dataset["models"] |= {"Linear": {"network": "linear"}}
    elif path == "saliency":
        dataset["models"]["linear"]["saliency"] = {name: {"name": "gradient"} for name in two}
    elif path == "references":
        dataset["references"] = two
    elif path == "attacks":
        dataset["robustness"] = {"attacks": {name: {"name": "pgd"} for name in two}}
    else:
        raw["datasets"]["Synthetic"] = dataset
        parse(raw)
        raw["run"] = ["synthetic", "Synthetic"]
    with pytest.raises(ConfigError, match="are one file on disks that know no case"):
        parse(raw)


def test_a_dataset_that_runs_twice_would_count_twice():
    assert "'synthetic' is there twice: name it once" in refusal(("run",), ["synthetic", "synthetic"])


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("show", [], "at least 1"),
        ("show", ["a", "a"], "names a class twice"),
        ("drawn", [], "at least 1"),
        ("figures", "image", "glass_brain"),
    ],
)
def test_what_figures_cannot_draw_is_refused(key, value, words):
    assert words in refusal(("datasets", "synthetic", key), value)


def test_figure_1_draws_changes_and_so_two_classes_at_least():
    raw = changed(("datasets", "synthetic", "show"), ["a"])
    assert parse(raw).datasets["synthetic"].show == ["a"]
    raw["datasets"]["synthetic"]["figures"] = "images"
    with pytest.raises(ConfigError, match="name at least two"):
        parse(raw)


@pytest.mark.parametrize("label", ["a\x08", "\ud83d", "a\tb"])
def test_labels_are_text(label):
    assert re.search("no control characters|valid string", refusal((*LINEAR, "label"), label))


def test_keys_that_differ_by_blanks_are_not_two_that_become_one():
    raw = changed(("datasets", "hcp "), RAW["datasets"]["hcp"])
    with pytest.raises(ConfigError, match="key 'hcp ' becomes a file name"):
        parse(raw)


def test_seeds_are_what_pytorch_takes():
    assert "linear.seeds" in refusal((*LINEAR, "seeds"), [2**63])


@pytest.mark.parametrize(
    ("robustness", "attacks"),
    [(None, []), ({"maps": 7}, []), ({"attacks": "pgd"}, ["pgd"]), ({"attacks": {"weak": {"name": "pgd"}}}, ["weak"])],
)
def test_peoples_own_maps_are_attacked_where_they_ask_for_it(robustness, attacks):
    source = {"name": "sheet", "sheet": "maps.tsv"}
    asked = {} if robustness is None else {"robustness": robustness}
    raw = changed(("datasets", "synthetic"), {**RAW["datasets"]["synthetic"], "source": source, **asked})
    found = parse(raw).datasets["synthetic"].robustness
    assert list(found.attacks) == attacks
    assert found.maps == (robustness or {}).get("maps", 100)
    assert list(parse(RAW).datasets["synthetic"].robustness.attacks) == ["pgd"]


# Maps from elsewhere

GIVEN = {"maps": "maps.tsv", "signed": True}


def test_maps_from_elsewhere_are_one_sheet_or_several():
    found = parse(changed(LINEAR, GIVEN)).datasets["synthetic"]
    assert found.given["linear"].maps == {"maps": "maps.tsv"}
    assert (found.networks, found.given["linear"].seeds) == ({}, [0])
    several = {"ig": "a.tsv", "shap": "b.tsv"}
    found = parse(changed(LINEAR, {"maps": several, "signed": False})).datasets["synthetic"]
    assert list(found.models["linear"].saliency) == ["ig", "shap"]
    assert not found.given["linear"].signed


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"maps": "maps.tsv"}, "models.linear.signed: Field required"),
        ({**GIVEN, "signed": "yes"}, "models.linear.signed: must be true or false"),
        ({**GIVEN, "network": "linear"}, "models.linear: 'network' is of a network, and `maps` come without one"),
        ({**GIVEN, "sweep": ["maps"]}, "models.linear: 'sweep' is of a network"),
        ({**GIVEN, "lable": "x"}, "models.linear: unknown key 'lable'; did you mean 'label'?"),
        ({**GIVEN, "label": "a\x07"}, "models.linear.label: a label is drawn as text"),
        ({**GIVEN, "maps": {}}, "models.linear.maps: "),
        ({**GIVEN, "maps": ""}, "models.linear.maps.maps: "),
        ({**GIVEN, "maps": ["a.tsv"]}, "models.linear.maps: give a sheet, or a mapping from a label to a sheet"),
        ({**GIVEN, "maps": {"a b": "a.tsv"}}, "models.linear.maps: 'a b' becomes a file name"),
        ({**GIVEN, "maps": {"a": "a.tsv", "A": "b.tsv"}}, "are one file on disks that know no case"),
    ],
)
def test_slips_in_maps_from_elsewhere_are_refused_at_their_place(model, words):
    assert words in refusal(LINEAR, model)


def test_maps_from_elsewhere_can_be_drawn_by_their_labels():
    raw = changed(LINEAR, GIVEN)
    raw["datasets"]["synthetic"]["drawn"] = ["linear/maps"]
    parse(raw)
    raw["datasets"]["synthetic"]["drawn"] = ["linear/gradient"]
    with pytest.raises(ConfigError, match="drawn: no 'linear/gradient'"):
        parse(raw)


@pytest.mark.parametrize(
    ("dataset", "regions"),
    [
        ("synthetic", None),
        ("synthetic", "squares"),
        ("synthetic", [8, 8, 1]),
        ("hcp", "components"),
        ("hcp", "atlases/mine.nii.gz"),
    ],
)
def test_regions_are_of_the_source_an_atlas_or_blocks(dataset, regions):
    found = parse(changed(("datasets", dataset, "regions"), regions)).datasets[dataset]
    assert found.regions == regions
    assert found.atlas == (regions if str(regions).endswith(".nii.gz") else None)


@pytest.mark.parametrize(
    ("dataset", "regions", "words"),
    [
        ("synthetic", "squars", "did you mean 'squares'"),
        ("synthetic", "components", "components are those that subjects are simulated from"),
        ("hcp", "squares", "squares are those of the source synthetic"),
        ("hcp", "atlas.nii.bz2", "Or name a NIfTI file"),
        ("hcp", [8, 8], "regions"),
        ("hcp", [8, 0, 8], "regions"),
        ("hcp", 8, "regions"),
    ],
)
def test_regions_that_there_are_not_are_refused(dataset, regions, words):
    assert words in refusal(("datasets", dataset, "regions"), regions)


PLANTED = {"network": {"name": "planted", "kind": "xor"}, "saliency": "gradient"}


def test_a_planted_network_is_not_trained():
    raw = changed(LINEAR, PLANTED)
    raw["datasets"]["synthetic"]["regions"] = "squares"
    model = parse(raw).datasets["synthetic"].models["linear"]
    assert model.planted and model.training is None and candidates(model) == {}
    assert not parse(RAW).datasets["synthetic"].models["linear"].planted


@pytest.mark.parametrize(
    ("regions", "more", "words"),
    [
        (None, {}, "models.linear: network 'planted' needs a dataset with `regions`"),
        ("squares", {"training": "standard"}, "network 'planted' needs a dataset with `regions`, and no training"),
        ("squares", {"training": {"name": "pgd"}}, "and no training"),
        ("squares", {"sweep": ["gradient"]}, "has no strength"),
        ("squares", {"network": {"name": "planted", "kind": "xnor"}}, "kind"),
        ("squares", {"saliency": "weights"}, "needs a network with: linear"),
    ],
)
def test_what_a_planted_network_cannot_have_is_refused(regions, more, words):
    raw = changed(LINEAR, {**PLANTED, **more})
    raw["datasets"]["synthetic"]["regions"] = regions
    with pytest.raises(ConfigError) as caught:
        parse(raw)
    assert words in str(caught.value)
