"""What holds for every method of a family: each check takes a method, and fails for one that breaks the contract."""

import importlib
import inspect
import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any, get_args, get_type_hints

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
import torch
from methods import contract

from truemap.config import registry
from truemap.config.folders import FAMILIES, OURS, methods_in
from truemap.config.names import ATTRIBUTION, BASELINES, GRADIENT, SPLITS
from truemap.config.registry import Method, check_fit, names, options_of
from truemap.config.schema import parse
from truemap.data.background import Background
from truemap.data.grid import Grid
from truemap.data.volumes import Volumes
from truemap.datasets._contract import nobody
from truemap.datasets._simulation import build_template, read_tables, write_subject
from truemap.datasets.hcp import Simulate, simulated_subjects
from truemap.map_attacks._attacked import Attacked
from truemap.metrics._contract import area
from truemap.metrics._explained import Explained, Twin
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, build_network, untrained
from truemap.networks._soft import softened_network
from truemap.saliency._context import Context

torch.set_num_threads(1)
ROOT = Path(__file__).parents[2]
#: Options without which a method cannot be.
LEAST: dict[str, dict[str, Any]] = {"sheet": {"sheet": "maps.tsv"}, "hcp": {"simulate": {}}}
#: So that a check takes no longer than it must.
SHORT = {
    "n": 2,
    "inner_n": 2,
    "steps": 2,
    "restarts": 2,
    "draws": 2,
    "subsets": 4,
    "iterations": 2,
    "candidates": 2,
    "filters": [3, 2],
    "hidden": 5,
    "images": [9, 9, 9],
}
CLASSES, N = 3, 4
THICK, THIN = (6, 5, 4), (6, 5, 1)
SOURCE = re.compile(r"(?-i:[A-Z])\w+.*\b(19|20)\d\d\b|of this project|own idea|no paper", re.DOTALL | re.IGNORECASE)


def imported(family: str, name: str, folder: str | None = None) -> ModuleType:
    package = registry._imported_package(Path(folder)) if folder else "truemap"
    return importlib.import_module(f"{package}.{family}.{name}")


def loaded(family: str, name: str, folder: str | None = None, **values: Any) -> Method:
    """A method with its defaults, but for options that would make it slow."""
    module = imported(family, name, folder)
    short = {key: value for key, value in SHORT.items() if key in module.Options.model_fields}
    return contract(family).of(module, module.Options(**{**LEAST.get(name, {}), **short, **values}))


def decoder(network: str = "mlp", shape: tuple[int, ...] = THICK, classes: int = CLASSES) -> Decoder:
    torch.manual_seed(3)
    options = {key: SHORT[key] for key in ("filters", "hidden") if key in options_of("networks", network).model_fields}
    built = build_network({"name": network, **options}, shape, classes)
    for weight in built.parameters():
        # Biases and templates begin at zero.
        torch.nn.init.normal_(weight, 0, 0.3)
    return Decoder(built.eval().requires_grad_(False), 1.3, [f"class {k}" for k in range(classes)], network)


def fitting(method: Method) -> list[str]:
    """Networks that have what a method needs."""
    return [name for name in names("networks") if method.options.needs() <= options_of("networks", name)().traits()]


def batches(
    shape: tuple[int, ...] = THICK, classes: int = CLASSES, dtype: str = "float32", n: int = 3 * CLASSES
) -> Batches:
    values = np.random.default_rng(4).standard_normal((n, *shape)).astype("float16").astype(dtype)
    labels = [f"class {k % classes}" for k in range(n)]
    return Batches(
        Volumes([values], pd.DataFrame({"sample": range(n), "label": labels})),
        [f"class {k}" for k in range(classes)],
        torch.device("cpu"),
    )


def maps(shape: tuple[int, ...] = THICK, n: int = N) -> torch.Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(1))


def close(found: torch.Tensor, expected: torch.Tensor, relative: float = 1e-4) -> bool:
    """Equal up to what sums in another order may differ by."""
    return bool((found - expected).norm() <= relative * expected.norm() + 1e-12)


# Of every family


def options_have_defaults_and_are_described(family: str, name: str, folder: str | None = None) -> None:
    options = options_of(family, name, [folder] if folder else [])
    values = options(**LEAST.get(name, {}))
    assert options(**json.loads(values.model_dump_json())) == values, "jobs get options as JSON"
    assert options.__doc__
    for key, field in options.model_fields.items():
        assert field.description, key


def options_are_those_of_the_module(family: str, name: str, folder: str | None = None) -> None:
    """What a config is checked with, without an import, is what a job gets."""
    found = options_of(family, name, [folder] if folder else []).model_json_schema()
    assert found == type(loaded(family, name, folder).options).model_json_schema()


def a_source_is_cited(family: str, name: str, folder: str | None = None) -> None:
    """Author and year, or that it is this project's."""
    module = imported(family, name, folder)
    assert SOURCE.search(module.__doc__ or ""), "cite author and year, or say: own idea, no paper"


def functions_take_what_the_contract_gives(family: str, name: str, folder: str | None = None) -> None:
    method = loaded(family, name, folder)
    for key, kind in get_type_hints(contract(family)).items():
        function = getattr(method, key)
        if key in ("name", "options") or not callable(function):
            continue
        kind = next(part for part in (kind, *get_args(kind)) if inspect.isclass(part))  # of `X | None`
        wanted = list(inspect.signature(kind.__call__).parameters)[1:]
        found = list(inspect.signature(function).parameters)
        assert found[: len(wanted)] == wanted, f"{key}: {found}"


# Of saliency


def context(shape: tuple[int, ...] = THICK, classes: int = CLASSES, dtype: str = "float16") -> Context:
    """Seed and training maps, by default as volumes are stored."""
    training = batches(shape, classes, dtype)
    values = training.volumes.parts[0].astype(np.float32)
    return Context(5, training, torch.from_numpy(values.mean(axis=0)), float(values.min()), float(values.max()))


def explain(
    method: Any, model: Decoder, x: torch.Tensor, ids: list[int] | None = None, dtype: str = "float16"
) -> torch.Tensor:
    known = context(tuple(x.shape[1:]), len(model.classes), dtype)
    return method.explain(model, x, ids or list(range(len(x))), method.options, known)


def maps_have_a_shape_and_a_type(method: Any) -> None:
    for name in fitting(method):
        found = explain(method, decoder(name), maps())
        assert found.shape == (N, CLASSES, *THICK)
        assert found.dtype == torch.float64
        assert found.isfinite().all()
        assert not found.requires_grad
        missed = method.residual(decoder(name), maps(), list(range(N)), found, method.options, context())
        assert missed.shape == (N, CLASSES)
        assert missed.dtype == torch.float64


def a_sample_has_the_same_map_in_any_batch(method: Any) -> None:
    for name in fitting(method):
        model, x = decoder(name), maps()
        found = explain(method, model, x)
        turned = explain(method, model, x.flip(0), list(range(N))[::-1]).flip(0)
        assert close(turned, found)
        for row in range(N):
            assert close(explain(method, model, x[row : row + 1], [row])[0], found[row])


def two_classes_are_explained(method: Any) -> None:
    for name in fitting(method):
        found = explain(method, decoder(name, classes=2), maps())
        assert found.shape == (N, 2, *THICK)
        assert found.isfinite().all()


def an_axis_may_be_thin(method: Any) -> None:
    for name in fitting(method):
        found = explain(method, decoder(name, THIN), maps(THIN))
        assert found.shape == (N, CLASSES, *THIN)
        assert found.isfinite().all()


def maps_of_half_precision_are_explained(method: Any) -> None:
    """Volumes are stored in float16, those of training too, and served in float32: numbers are the same."""
    for name in fitting(method):
        model, rows = decoder(name), torch.arange(N)
        half, single = (
            explain(method, model, batches(dtype=dtype).get(rows)[0], dtype=dtype) for dtype in ("float16", "float32")
        )
        assert torch.equal(half, single)


def a_map_of_zeros_is_explained(method: Any) -> None:
    for name in fitting(method):
        found = explain(method, decoder(name), torch.zeros(2, *THICK))
        assert found.shape == (2, CLASSES, *THICK)
        assert found.isfinite().all()


def maps_that_can_be_differentiated_are_the_methods_own(method: Any) -> None:
    """What is attacked is what is explained; with a graph where the input has one."""
    if method.differentiable is None:
        return
    targets = torch.arange(N) % CLASSES
    for name in fitting(method):
        model, x = decoder(name), maps()
        expected = explain(method, model, x)[torch.arange(N), targets]
        given = model, x, targets, list(range(N)), method.options, context()
        found = method.differentiable(*given)(model.network, x.clone().requires_grad_(True))
        assert found.dtype == torch.float64
        assert found.requires_grad
        assert close(found.detach(), expected)


def what_maps_are_is_said_in_words_that_are_known(method: Any) -> None:
    """By these maps are compared with the network: a word that nobody knows would be lost."""
    known = [set(), {GRADIENT}, *({ATTRIBUTION, baseline} for baseline in BASELINES)]
    assert method.options.traits() in known


# Of attacks


def perturb(
    method: Any, model: Decoder, x: torch.Tensor, ids: list[int] | None = None, bound: float = 0.7
) -> torch.Tensor:
    labels = model.network(x).argmax(1)
    return method.perturb(model, x, labels, ids or list(range(len(x))), bound, method.options, 5)


def noise_is_within_its_bound(method: Any) -> None:
    for shape in (THICK, THIN):
        for bound in (1e-3, 0.7, 30.0):
            x = torch.cat([maps(shape), torch.zeros(1, *shape)])
            noise = perturb(method, decoder(shape=shape), x, bound=bound)
            assert noise.shape == x.shape
            assert noise.isfinite().all()
            assert (noise.double().flatten(1).norm(dim=1) <= bound * (1 + 1e-5)).all()


def a_sample_has_the_same_noise_in_any_batch(method: Any) -> None:
    model, x = decoder(), maps()
    found = perturb(method, model, x)
    for row in range(N):
        # Hundreds of steps make more of rounding; on some processors 1e-4 of a map's noise.
        assert close(perturb(method, model, x[row : row + 1], [row])[0], found[row], 1e-3)


def two_classes_are_attacked(method: Any) -> None:
    assert perturb(method, decoder(classes=2), maps()).isfinite().all()


# Of attacks on maps


def attacked(
    classes: int = CLASSES, shape: tuple[int, ...] = THICK, norm: str = "linf", rows: list[int] | None = None
) -> Attacked:
    """Samples, one of them zeros, and maps of logits' gradients; of a mask that leaves voxels out."""
    model, way = decoder("mlp", shape, classes), loaded("saliency", "gradient", output="logit")
    x = torch.cat([maps(shape), torch.zeros(1, *shape)])
    ids = list(range(len(x))) if rows is None else rows
    x, inside = x[ids], maps(shape, 1)[0] < 0.8
    predicted = model.network(x).argmax(1)
    function = way.differentiable(model, x, predicted, ids, way.options, context(shape, classes))
    grid = Grid(inside.numpy(), np.diag([3.0, -3, 2, 1]))
    return Attacked(model, softened_network(model.network, 5.0), function, x, predicted, ids, grid, None, norm, 5)


def noise_on_maps_is_within_its_bound_and_leaves_the_prediction(method: Any) -> None:
    for shape, norm, bound in product((THICK, THIN), ("linf", "l2"), (1e-3, 0.7, 30.0)):
        of = attacked(shape=shape, norm=norm)
        found = method.perturb(of, bound, method.options)
        assert found.noise.shape == of.x.shape
        assert found.noise.isfinite().all()
        flat = found.noise.double().flatten(1)
        lengths = flat.norm(dim=1) if norm == "l2" else flat.abs().amax(dim=1)
        assert (lengths <= bound * (1 + 1e-5)).all()
        assert not found.noise[:, ~of.inside].any()
        assert not found.noise[~found.found].any()
        assert found.found.shape == found.gain.shape == (len(of.x),)
        assert of.kept(of.x + found.noise).all()


def a_sample_has_the_same_noise_on_its_map_in_any_batch(method: Any) -> None:
    found = method.perturb(attacked(), 0.3, method.options)
    for row in range(N):
        alone = method.perturb(attacked(rows=[row]), 0.3, method.options)
        assert close(alone.noise[0], found.noise[row])
        assert alone.found[0] == found.found[row]


def maps_of_two_classes_are_attacked(method: Any) -> None:
    assert method.perturb(attacked(classes=2), 0.3, method.options).noise.isfinite().all()


# Of metrics


def explained(n: int = N, classes: int = CLASSES, shape: tuple[int, ...] = THICK, way: str = "gradient") -> Explained:
    """Maps of logits' gradients and what made them; of a mask that leaves voxels out."""
    model, x, saliency = decoder("mlp", shape, classes), maps(shape, n), loaded("saliency", way, output="logit")
    inside = maps(shape, 1)[0] < 0.8
    settings = {"network": {"name": "mlp", "hidden": SHORT["hidden"]}, "shape": shape, "classes": model.classes}
    before = partial(untrained, settings, device=torch.device("cpu"))
    ids, labels = list(range(n)), torch.arange(n) % classes
    return Explained(model, saliency, context(shape, classes), inside, x, ids, labels, before, Twin(before(1), 1.0))


def measure(method: Any, of: Explained) -> dict[str, torch.Tensor]:
    found = {name: area(one) for name, one in method.measure(of, method.options).items()}
    for measure in method.measures:
        assert found[measure.name].shape == (len(of.x),)
        assert found[measure.name].dtype == torch.float64
        assert not found[measure.name].isinf().any()
        assert measure.undefined or not found[measure.name].isnan().any(), measure.name
    return found


def measures_say_which_way_is_better(method: Any) -> None:
    assert len({measure.name for measure in method.measures}) == len(method.measures) > 0
    for measure in method.measures:
        assert re.fullmatch(r"[a-z_]+", measure.name)
        assert measure.better in ("lower", "higher")
        assert SOURCE.search(measure.source), "cite author and year, or say: own idea, no paper"


def a_sample_has_the_same_measures_in_any_batch(method: Any) -> None:
    of = explained()
    found = measure(method, of)
    assert set(found) == {measure.name for measure in method.measures}
    for row in range(N):
        one = slice(row, row + 1)
        alone = replace(of, x=of.x[one], samples=of.samples[one], targets=of.targets[one])
        for name, values in measure(method, alone).items():
            torch.testing.assert_close(values[0], found[name][row], rtol=1e-4, atol=1e-6, equal_nan=True)


def odd_maps_are_measured(method: Any) -> None:
    """Of two classes, with a thin axis, and of zeros."""
    measure(method, explained(classes=2))
    measure(method, explained(shape=THIN))
    of = explained()
    dark = replace(of.saliency, explain=lambda decoder, x, *_: torch.zeros(len(x), CLASSES, *THICK).double())
    measure(method, replace(of, x=torch.zeros_like(of.x), saliency=dark))


# Of training


def trained(method: Any, shape: tuple[int, ...] = THICK, classes: int = CLASSES, network: str = "", zero: bool = False,
            dtype: str = "float32", n: int = 3 * CLASSES) -> tuple[torch.Tensor, float]:  # fmt: skip
    """All weights after one update, and the loss."""
    name = network or ("correlation" if "templates" in method.options.needs() else "mlp")
    data = batches(shape, classes, dtype, n)
    torch.manual_seed(3)
    net = build_network({"name": name}, shape, classes)
    options = method.prepare(net, method.options, data, 5)
    x, y = data.get(torch.arange(n))
    x = torch.zeros_like(x) if zero else x
    optimizer, state = torch.optim.Adam(net.parameters(), lr=1e-3), torch.get_rng_state()
    loss = method.update(net, optimizer, x, y, options, torch.Generator().manual_seed(5))
    assert torch.equal(torch.get_rng_state(), state), "draw from `random`"
    assert isinstance(loss, float)
    return torch.cat([weight.detach().flatten() for weight in net.parameters()]), loss


def an_update_moves_the_weights_by_the_seed_alone(method: Any) -> None:
    (first, loss), (again, _) = trained(method), trained(method)
    assert math.isfinite(loss)
    assert first.isfinite().all()
    assert torch.equal(first, again)
    torch.manual_seed(3)
    name = "correlation" if "templates" in method.options.needs() else "mlp"
    before = torch.cat([w.detach().flatten() for w in build_network({"name": name}, THICK, CLASSES).parameters()])
    assert not torch.equal(first, before)


def odd_batches_can_be_trained_on(method: Any) -> None:
    """Of one map, of two classes, with a thin axis, of zeros, of what was stored in half precision."""
    for more in ({"n": 1}, {"classes": 2}, {"shape": THIN}, {"zero": True}):
        weights, _ = trained(method, **more)
        assert weights.isfinite().all(), more
    assert torch.equal(trained(method, dtype="float16")[0], trained(method)[0])


# Of networks


def logits_have_a_shape_and_are_a_samples_own(method: Any) -> None:
    for shape in (THICK, THIN):
        for classes in (2, CLASSES):
            torch.manual_seed(3)
            net = method.build(shape, classes, method.options).eval()
            x = torch.cat([maps(shape), torch.zeros(1, *shape)])
            with torch.no_grad():
                found = net(x)
                assert found.shape == (N + 1, classes)
                assert found.isfinite().all()
                for row in range(N + 1):
                    assert close(net(x[row : row + 1])[0], found[row])


def weights_follow_the_seed(method: Any) -> None:
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(
            torch.cat([w.detach().flatten() for w in method.build(THICK, CLASSES, method.options).parameters()])
        )
    assert torch.equal(states[0], states[1])
    assert states[0].any() == (not torch.equal(states[0], states[2]))


# Of references


def references_have_a_shape_and_are_a_samples_own(method: Any) -> None:
    rng = np.random.default_rng(2)
    labels = [f"class {k}" for k in range(CLASSES)]
    means = {"all": {label: rng.standard_normal(20) for label in labels}}
    known = Background(means, {"all": rng.standard_normal(20)}, rng.standard_normal(20), -3.0, 3.0, (5, 4))
    rows = pd.DataFrame({"sample": range(N), "label": [labels[k % CLASSES] for k in range(N)]})
    x = np.concatenate([rng.standard_normal((N - 1, 20)), np.zeros((1, 20))]).astype(np.float16)
    found = method.refer(rows, x, known, "all", method.options, 5)
    assert found.shape == (N, CLASSES, 20)
    assert np.isfinite(found).all()
    for k in range(N):
        alone = method.refer(rows.iloc[k : k + 1], x[k : k + 1], known, "all", method.options, 5)
        np.testing.assert_allclose(alone[0], found[k], rtol=1e-12)


# Of datasets


def the_kind_of_data_is_said(method: Any) -> None:
    assert method.options.kind()
    assert "simulated" in method.options.kind() or not getattr(method.options, "simulate", None)


def _sheet(place: Path) -> tuple[dict[str, Any], None]:
    """Options of a sheet with two maps."""
    lines = ["image\tsubject\tlabel"]
    for number in range(2):
        values = np.random.default_rng(number).standard_normal(THICK).astype(np.float32)
        nib.save(nib.Nifti1Image(values, np.diag([2, 2, 2, 1])), place / f"{number}.nii")
        lines.append(f"{number}.nii\ts{number}\tA")
    (place / "maps.tsv").write_text("\n".join(lines))
    return {"sheet": str(place / "maps.tsv")}, None


def _tree(place: Path) -> tuple[dict[str, Any], str]:
    """Options of a tree with one simulated subject, and where it is."""
    values = Simulate(subjects=1)
    tables = (ROOT / f"config/simulation/task_{name}.tsv" for name in ("peaks", "components"))
    template = build_template(*read_tables(*tables), values.resolution, values.blob_fwhm)
    for subject in simulated_subjects(values.subjects):
        write_subject(place, template, subject, 5, values.model_dump())
    return {"simulate": {"subjects": 1}}, str(place)


#: What a source of ours needs to be at hand. One of a server has a made-up one in its own tests.
AT_HAND: dict[str, Callable[[Path], tuple[dict[str, Any], str | None]]] = {"sheet": _sheet, "hcp": _tree}
OF_A_SERVER = ("haxby", "localizer", "neurovault")


def maps_are_listed_and_read(method: Any) -> None:
    with TemporaryDirectory() as place:
        values, root = AT_HAND.get(method.name, lambda place: ({}, None))(Path(place))
        options = type(method.options)(**values) if values else method.options
        rows = method.index(options, 5, root)
        pd.testing.assert_frame_equal(rows, method.index(options, 5, root))
        assert {"image", "subject", "label", "condition", "negated", "split"} <= set(rows)
        assert len(rows)
        assert rows["image"].is_unique
        assert rows["negated"].dtype == bool
        assert set(rows["split"]) <= {"", *SPLITS}
        assert set(rows["subject"]) <= {"", *method.subjects_of(options, root)} or method.subjects_of is nobody
        image = rows["image"].iloc[0]
        method.prepare([image], options, 5)
        found, affine, checksum = method.read(image, options, 5)
        assert found.ndim >= 3
        assert np.isfinite(found).all()
        assert affine.shape == (4, 4)
        files = list(method.files(image, options))
        assert all(Path(file).is_file() for file in files)
        assert len(checksum) == (64 if files else 0)
        np.testing.assert_array_equal(method.read(image, options, 5)[0], found)
        if method.templates:
            templates = method.templates(options)
            assert set(templates) == set(rows["label"])
            assert {each.shape for each in templates.values()} == {found.shape}


def what_does_not_fit_is_refused(family: str, name: str, folder: str | None = None) -> None:
    """A network that lacks what a method needs is refused with words, before anything runs."""
    folders = [folder] if folder else []
    needs = options_of(family, name, folders)(**LEAST.get(name, {})).needs()
    for network in names("networks"):
        options = options_of("networks", network)()
        lacking = needs - options.traits()
        if not lacking:
            check_fit(family, name, needs, "network", network, options.traits())
            continue
        model = {"network": network, family: name, **({} if family == "training" else {"training": "templates"})}
        raw = {"run": ["d"], "datasets": {"d": {"source": "synthetic", "models": {"m": model}}}, "methods": folders}
        with pytest.raises(ValueError, match="needs a"):
            parse(raw)


#: Checks of a method by its name, of every family.
BY_NAME: list[Callable[..., None]] = [
    options_have_defaults_and_are_described,
    options_are_those_of_the_module,
    a_source_is_cited,
    functions_take_what_the_contract_gives,
]
#: Checks of a loaded method, by family.
OF_FAMILY: dict[str, list[Callable[[Any], None]]] = {
    "saliency": [
        maps_have_a_shape_and_a_type,
        what_maps_are_is_said_in_words_that_are_known,
        a_sample_has_the_same_map_in_any_batch,
        two_classes_are_explained,
        an_axis_may_be_thin,
        maps_of_half_precision_are_explained,
        a_map_of_zeros_is_explained,
        maps_that_can_be_differentiated_are_the_methods_own,
    ],
    "attacks": [noise_is_within_its_bound, a_sample_has_the_same_noise_in_any_batch, two_classes_are_attacked],
    "map_attacks": [
        noise_on_maps_is_within_its_bound_and_leaves_the_prediction,
        a_sample_has_the_same_noise_on_its_map_in_any_batch,
        maps_of_two_classes_are_attacked,
    ],
    "metrics": [
        measures_say_which_way_is_better,
        a_sample_has_the_same_measures_in_any_batch,
        odd_maps_are_measured,
    ],
    "training": [an_update_moves_the_weights_by_the_seed_alone, odd_batches_can_be_trained_on],
    "networks": [logits_have_a_shape_and_are_a_samples_own, weights_follow_the_seed],
    "references": [references_have_a_shape_and_are_a_samples_own],
    "datasets": [the_kind_of_data_is_said, maps_are_listed_and_read],
}


def cases(folder: str | None = None) -> Iterator[Any]:
    """Every module of every family, ours or those of a user's folder × every check that it must pass."""
    for family in FAMILIES:
        place = Path(folder).absolute() if folder else OURS
        for name in methods_in(place / family):
            fits = [what_does_not_fit_is_refused] if family in ("saliency", "training") else []
            for check in [*BY_NAME, *fits, *OF_FAMILY[family]]:
                if check is maps_are_listed_and_read and name in OF_A_SERVER:
                    continue
                yield pytest.param(check, family, name, folder, id=f"{family}-{name}-{check.__name__}")


def run(check: Callable[..., None], family: str, name: str, folder: str | None = None) -> None:
    if check in OF_FAMILY[family]:
        check(loaded(family, name, folder))
    else:
        check(family, name, folder)
