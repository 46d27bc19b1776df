"""Each check of the contract fails for a method that was made to break it."""

import sys
from pathlib import Path
from textwrap import dedent

import checks
import pytest

SALIENCY = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import torch
    from pydantic import Field
    from truemap.config.options import MethodOptions

    calls = []

    class Options(MethodOptions):
        \"\"\"One.\"\"\"
        scale: float = Field(1.0, description="of the map")

    def explain(decoder, x, samples, options, context):
        maps = x.double()[:, None].repeat(1, len(decoder.classes), *[1] * (x.ndim - 1))
        return maps
"""
ATTACK = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import torch
    from truemap.config.options import MethodOptions

    class Options(MethodOptions):
        \"\"\"None.\"\"\"

    def perturb(decoder, x, labels, samples, bound, options, seed):
        noise = torch.ones_like(x)
        return noise * bound / noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
"""
MAP_ATTACK = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import torch
    from truemap.config.options import MethodOptions
    from truemap.map_attacks._attacked import Found

    class Options(MethodOptions):
        \"\"\"None.\"\"\"

    def perturb(attacked, bound, options):
        noise = torch.where(attacked.inside, torch.ones_like(attacked.x), 0.0)
        noise = bound * noise / (noise.flatten(1).norm(dim=1).view(-1, 1, 1, 1) if attacked.norm == "l2" else 1)
        found = attacked.kept(attacked.x + noise)
        noise[~found] = 0
        return Found(noise, found, torch.full((len(noise),), torch.nan))
"""
METRIC = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    from truemap.config.options import MethodOptions
    from truemap.metrics._contract import Measure

    measures = (Measure("size", "lower", "Nobody 2020"),)

    class Options(MethodOptions):
        \"\"\"None.\"\"\"

    def measure(explained, options):
        return {"size": explained.own.abs().sum(dim=1)}
"""
TRAINING = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import torch
    from truemap.config.options import TrainingOptions
    from truemap.training._objective import loss

    class Options(TrainingOptions):
        \"\"\"None.\"\"\"

    def update(network, optimizer, x, y, options, random):
        optimizer.zero_grad()
        value = loss(network, network(x), y, options.l2)
        value.backward()
        optimizer.step()
        return value.item()
"""
NETWORK = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import math
    import torch
    from torch import nn
    from truemap.config.options import NetworkOptions

    class Options(NetworkOptions):
        \"\"\"None.\"\"\"

    def build(shape, classes, options):
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), classes))
"""
REFERENCE = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    import numpy as np
    from truemap.config.options import MethodOptions

    class Options(MethodOptions):
        \"\"\"None.\"\"\"

    def refer(rows, maps, background, conditions, options, seed):
        return np.repeat(maps[:, None].astype(float), len(background.means["all"]), axis=1)
"""
DATASET = """
    \"\"\"Made up (Nobody 2020).\"\"\"
    from pathlib import Path
    import numpy as np
    import pandas as pd
    from truemap.config.options import SourceOptions

    class Options(SourceOptions):
        \"\"\"None.\"\"\"

        def kind(self):
            return "made up"

    def index(options, seed, root=None):
        rows = pd.DataFrame({"image": ["1", "2"], "label": ["A", "B"], "condition": "c", "split": "test"})
        return rows.assign(subject="", negated=False)

    def read(image, options, seed):
        return np.full((3, 2, 1), float(image)), np.eye(4), ""

    def templates(options):
        return {label: np.ones((3, 2, 1)) for label in "AB"}
"""
SOUND = {
    "saliency": SALIENCY,
    "attacks": ATTACK,
    "map_attacks": MAP_ATTACK,
    "metrics": METRIC,
    "training": TRAINING,
    "networks": NETWORK,
    "references": REFERENCE,
    "datasets": DATASET,
}
#: Family, what is changed in the sound method, and the check that this must fail.
FAULTS = [
    ("saliency", ', description="of the map"', "", checks.options_have_defaults_and_are_described),
    ("saliency", "1.0, desc", "desc", checks.options_have_defaults_and_are_described),
    ("saliency", "Field(1.0", "Field(2.0 if 'torch' in __import__('sys').modules and __name__ in "
     "__import__('sys').modules else 1.0", checks.options_are_those_of_the_module),
    ("saliency", "Nobody 2020", "nobody", checks.a_source_is_cited),
    ("saliency", "samples, options, context", "ids, options, context", checks.functions_take_what_the_contract_gives),
    ("datasets", "read(image, options", "read(path, options", checks.functions_take_what_the_contract_gives),
    ("saliency", "return maps", "return maps[:, :1]", checks.maps_have_a_shape_and_a_type),
    ("saliency", "x.double()", "x.float()", checks.maps_have_a_shape_and_a_type),
    ("saliency", "return maps", "return maps / 0", checks.maps_have_a_shape_and_a_type),
    ("saliency", "return maps", "return maps / maps.abs().max()", checks.a_sample_has_the_same_map_in_any_batch),
    ("saliency", "return maps", "return maps + torch.randn(maps.shape)", checks.a_sample_has_the_same_map_in_any_batch),
    ("saliency", "len(decoder.classes)", "3", checks.two_classes_are_explained),
    ("saliency", "return maps", "return maps / (x.shape[-1] - 1)", checks.an_axis_may_be_thin),
    ("saliency", "return maps", "return maps * float(context.training.volumes.parts[0].sum())",
     checks.maps_of_half_precision_are_explained),
    ("saliency", 'float = Field(1.0', "tuple[float, float] = Field((1.0, 2.0)",
     checks.options_have_defaults_and_are_described),
    ("saliency", "return maps", "return maps / maps.abs().amax()", checks.a_map_of_zeros_is_explained),
    ("saliency", "    def explain", "        def traits(self):\n            return {'gradint'}\n\n    def explain",
     checks.what_maps_are_is_said_in_words_that_are_known),
    ("saliency", "        return maps", """        return maps

    def differentiable(decoder, x, targets, samples, options, context):
        return lambda network, inputs: 2 * inputs.double()""",
     checks.maps_that_can_be_differentiated_are_the_methods_own),
    ("saliency", "        return maps", """        return maps

    def differentiable(decoder, x, targets, samples, options, context):
        return lambda network, inputs: inputs.detach().double()""",
     checks.maps_that_can_be_differentiated_are_the_methods_own),
    ("attacks", "noise * bound", "noise * 2 * bound", checks.noise_is_within_its_bound),
    ("attacks", "torch.ones_like(x)", "torch.ones_like(x) / x", checks.noise_is_within_its_bound),
    ("attacks", "torch.ones_like(x)", "x.flip(0) + 1", checks.a_sample_has_the_same_noise_in_any_batch),
    ("attacks", "torch.ones_like(x)", "decoder.network(x)[:, 2].view(-1, 1, 1, 1).expand_as(x)",
     checks.two_classes_are_attacked),
    ("map_attacks", "bound * noise", "2 * bound * noise",
     checks.noise_on_maps_is_within_its_bound_and_leaves_the_prediction),
    ("map_attacks", "noise[~found] = 0", "found[:] = True",
     checks.noise_on_maps_is_within_its_bound_and_leaves_the_prediction),
    ("map_attacks", "torch.where(attacked.inside, torch.ones_like(attacked.x), 0.0)", "torch.ones_like(attacked.x)",
     checks.noise_on_maps_is_within_its_bound_and_leaves_the_prediction),
    ("map_attacks", "torch.ones_like(attacked.x)", "attacked.x.flip(0).sign()",
     checks.a_sample_has_the_same_noise_on_its_map_in_any_batch),
    ("map_attacks", "torch.ones_like(attacked.x)",
     "attacked.decoder.network(attacked.x)[:, 2].sign().view(-1, 1, 1, 1).expand_as(attacked.x)",
     checks.maps_of_two_classes_are_attacked),
    ("metrics", "measure(explained, options)", "measure(maps, options)", checks.functions_take_what_the_contract_gives),
    ("metrics", '"lower"', '"less"', checks.measures_say_which_way_is_better),
    ("metrics", '"Nobody 2020")', '"nobody")', checks.measures_say_which_way_is_better),
    ("metrics", "(dim=1)}", "(dim=1) - explained.own.sum()}", checks.a_sample_has_the_same_measures_in_any_batch),
    ("metrics", "(dim=1)}", "(dim=1), 'other': explained.own[:, 0]}",
     checks.a_sample_has_the_same_measures_in_any_batch),
    ("metrics", "abs().sum(dim=1)", "abs().sum(dim=1) / explained.own[:, 0].abs()", checks.odd_maps_are_measured),
    ("training", "optimizer.step()", "", checks.an_update_moves_the_weights_by_the_seed_alone),
    ("training", "network(x)", "network(x + torch.randn(x.shape))",
     checks.an_update_moves_the_weights_by_the_seed_alone),
    ("training", "value.item()", "value", checks.an_update_moves_the_weights_by_the_seed_alone),
    ("training", "network(x)", "network(x / x.flatten(1).norm(dim=1).view(-1, 1, 1, 1))",
     checks.odd_batches_can_be_trained_on),
    ("training", "network(x)", "network(x / x.std(0))", checks.odd_batches_can_be_trained_on),
    ("networks", "nn.Flatten(), ", "nn.Flatten(), nn.Softmax(dim=0), ",
     checks.logits_have_a_shape_and_are_a_samples_own),
    ("networks", "(math.prod(shape), classes)", "(math.prod(shape), 3)",
     checks.logits_have_a_shape_and_are_a_samples_own),
    ("networks", "math.prod(shape)", "120", checks.logits_have_a_shape_and_are_a_samples_own),
    ("networks", "return nn", "torch.seed(); return nn", checks.weights_follow_the_seed),
    ("references", "maps[:, None]", "(maps - maps.mean(0))[:, None]",
     checks.references_have_a_shape_and_are_a_samples_own),
    ("references", "maps[:, None].astype(float)", "(maps / np.abs(maps).max(1, keepdims=True))[:, None]",
     checks.references_have_a_shape_and_are_a_samples_own),
    ("datasets", '"made up"', '""', checks.the_kind_of_data_is_said),
    ("datasets", '"condition": "c", ', "", checks.maps_are_listed_and_read),
    ("datasets", '["1", "2"]', '["1", "1"]', checks.maps_are_listed_and_read),
    ("datasets", '"split": "test"', '"split": "half"', checks.maps_are_listed_and_read),
    ("datasets", "negated=False", 'negated="no"', checks.maps_are_listed_and_read),
    ("datasets", "negated=False", 'label=np.random.rand(2).astype(str)', checks.maps_are_listed_and_read),
    ("datasets", "float(image)", "np.random.rand()", checks.maps_are_listed_and_read),
    ("datasets", "float(image)", "np.nan", checks.maps_are_listed_and_read),
    ("datasets", "np.eye(4)", "np.eye(3)", checks.maps_are_listed_and_read),
    ("datasets", 'np.eye(4), ""', 'np.eye(4), "f" * 64', checks.maps_are_listed_and_read),
    ("datasets", "def templates", 'def files(image, options): return ["lost.nii"]\n\n    def templates',
     checks.maps_are_listed_and_read),
    ("datasets", 'in "AB"', 'in "AC"', checks.maps_are_listed_and_read),
    ("datasets", "np.ones((3, 2, 1))", "np.ones((3, 2))", checks.maps_are_listed_and_read),
]  # fmt: skip


#: Faults that end in the method itself, before the check could say a word.
OTHERWISE = {
    "desc": ValueError,
    "tuple[float, float] = Field((1.0, 2.0)": ValueError,
    "decoder.network(x)[:, 2].view(-1, 1, 1, 1).expand_as(x)": IndexError,
    "attacked.decoder.network(attacked.x)[:, 2].sign().view(-1, 1, 1, 1).expand_as(attacked.x)": IndexError,
    "120": RuntimeError,
}


@pytest.fixture
def made(tmp_path: Path):
    """Write a method into a folder of a user's; forget it afterwards."""
    number = len(list(tmp_path.parent.iterdir()))
    folder = tmp_path / f"faulty_{number}_{tmp_path.parent.name.replace('-', '_')}"

    def write(family: str, text: str) -> str:
        file = folder / family / "bad.py"
        file.parent.mkdir(parents=True)
        file.write_text(dedent(text))
        return str(folder)

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == folder.name]:
        del sys.modules[name]


def of(family: str) -> list:
    return [*checks.BY_NAME, *checks.OF_FAMILY[family]]


@pytest.mark.parametrize("family", list(SOUND))
def test_a_sound_method_of_a_users_passes_all(family, made):
    folder = made(family, SOUND[family])
    for check in of(family):
        checks.run(check, family, "bad", folder)


@pytest.mark.parametrize(
    ("family", "old", "new", "check"), FAULTS, ids=[f"{n}-{f[0]}-{f[3].__name__}" for n, f in enumerate(FAULTS)]
)
def test_a_faulty_one_fails_the_check_that_is_there_for_it(family, old, new, check, made):
    assert old in SOUND[family]
    folder = made(family, SOUND[family].replace(old, new))
    with pytest.raises(OTHERWISE.get(new, AssertionError)):
        checks.run(check, family, "bad", folder)


def test_needs_that_no_network_has_are_refused_and_a_check_that_refuses_nothing_fails(made, monkeypatch):
    text = SOUND["saliency"].replace(
        "    def explain", "        def needs(self):\n            return {'wings'}\n\n    def explain"
    )
    folder = made("saliency", text)
    checks.what_does_not_fit_is_refused("saliency", "bad", folder)
    for module in ("models", "dataset"):
        monkeypatch.setattr(f"truemap.config.{module}.check_fit", lambda *arguments: None)
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        checks.what_does_not_fit_is_refused("saliency", "bad", folder)


def test_every_check_has_a_fault_that_it_finds():
    found = {check for *_, check in FAULTS} | {checks.what_does_not_fit_is_refused}
    assert found == {
        *checks.BY_NAME,
        *[check for each in checks.OF_FAMILY.values() for check in each],
        checks.what_does_not_fit_is_refused,
    }
