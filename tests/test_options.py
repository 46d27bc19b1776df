import importlib
import pkgutil

import pytest
from pydantic import ValidationError

from truemap.options import MethodError, MethodOptions, Strict, load, methods, module_path, suggest

FAMILIES = ["datasets", "networks", "training", "saliency"]


def imported(family):
    """All modules of a family that have Options of their own, found by importing them."""
    package = importlib.import_module(f"truemap.{family}")
    modules = [
        importlib.import_module(f"{package.__name__}.{entry.name}") for entry in pkgutil.iter_modules(package.__path__)
    ]
    return {
        module.__name__.split(".")[-1]: module
        for module in modules
        if getattr(getattr(module, "Options", None), "__module__", "") == module.__name__
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_options_read_from_source_are_those_of_the_imported_module(family):
    modules = imported(family)
    assert methods(family) == sorted(modules)
    for name, module in modules.items():
        assert load(family, name).model_json_schema() == module.Options.model_json_schema(), name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_option_says_what_it_means(family):
    for name in methods(family):
        for option, field in load(family, name).model_fields.items():
            assert field.description, f"{family} {name}: {option}"


@pytest.mark.parametrize(
    ("family", "wrong", "nearest"),
    [
        ("datasets", "synthetics", "synthetic"),
        ("networks", "cnn", "cnn3d"),
        ("training", "standart", "standard"),
        ("saliency", "smoothgrd", "smoothgrad"),
    ],
)
def test_an_unknown_method_is_refused_with_the_nearest_one(family, wrong, nearest):
    with pytest.raises(MethodError, match=f"unknown {family} method '{wrong}'; did you mean '{nearest}'"):
        load(family, wrong)


@pytest.mark.parametrize(("family", "helper"), [("training", "loop"), ("saliency", "writer"), ("datasets", "nifti")])
def test_a_helper_module_is_no_method(family, helper):
    assert module_path(family, methods(family)[0]).with_stem(helper).is_file()
    with pytest.raises(MethodError, match=f"'{helper}'"):
        module_path(family, helper)


def test_a_suggestion_is_made_only_where_something_is_near():
    assert "did you mean 'epochs'" in suggest("epoch", ["steps", "epochs"])
    assert "did you mean" not in suggest("zzz", ["steps", "epochs"])
    assert suggest("zzz", ["steps", "epochs"]).endswith("Known here: epochs, steps.")
    assert "none" in suggest("zzz", [])


def test_options_cannot_be_changed_afterwards():
    class Options(MethodOptions):
        n: int = 1

    with pytest.raises(ValidationError, match="frozen"):
        Options().n = 2


def test_wrong_defaults_are_refused_too():
    class Options(Strict):
        n: int = "one"

    with pytest.raises(ValidationError, match="valid integer"):
        Options()
