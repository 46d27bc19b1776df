import pytest
import yaml
from pydantic import ValidationError

from truemap.config.options import (
    Count,
    Fraction,
    Grid,
    MethodError,
    MethodOptions,
    Positive,
    Strict,
    Subject,
    faults,
    suggest,
)
from truemap.config.registry import module_path, names, options_of


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
        options_of(family, wrong)


@pytest.mark.parametrize(("family", "helper"), [("training", "_loop"), ("saliency", "_writer"), ("datasets", "_trees")])
def test_a_helper_module_is_no_method(family, helper):
    assert module_path(family, names(family)[0]).with_stem(helper).is_file()
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


class Typed(Strict):
    """One option of each type."""

    text: str | None = None
    whole: Count = 1
    number: Positive | None = 1.0
    share: Fraction = 0.5
    grid: Grid[Positive] = 1.0
    truth: bool = True
    people: list[Subject] = []  # noqa: RUF012


def typed(line):
    """Options that a line of YAML gives."""
    return Typed(**yaml.safe_load(line))


@pytest.mark.parametrize(
    "line",
    ["text: 5", "text: 0x1F", "text: 012345", "text: 12:30", "text: 2020-01-01", "text: no", "text: 1_000",
     "whole: yes", "whole: '10'", "whole: 2.0", "whole: 1e1", "number: on", "number: '0.5'", "number: .inf",
     "number: .nan", "share: true", "grid: [0.1, off]", "grid: yes", "truth: 1", "truth: 'yes'", "truth: 'true'",
     "people: [012345]", "people: [5349]", "people: [12:30:45]", "people: [100307.0]",
     "people: [yes]", "people: 100307"],
)  # fmt: skip
def test_no_value_is_taken_for_one_of_another_type(line):
    with pytest.raises(ValidationError) as caught:
        typed(line)
    assert {place.split(".")[0] for place, _ in faults(caught.value)} == {line.split(":")[0]}


@pytest.mark.parametrize(
    ("line", "value"),
    [("number: 1", 1.0), ("number: 1e-3", 0.001), ("share: 1E-2", 0.01), ("grid: [1e-3, 2]", [0.001, 2.0]),
     ("text: ' a b\u00a0'", "a b"), ("text: '012345'", "012345"), ("truth: no", False), ("number: null", None),
     ("people: [100307, '012345', ' S1 ', 0o17]", ["100307", "012345", "S1", "0o17"]),
     ("people: [cafe\u0301]", ["café"])],
)  # fmt: skip
def test_values_are_read_as_they_are_written(line, value):
    assert getattr(typed(line), line.split(":")[0]) == value


def test_a_fault_names_key_and_remedy_and_shows_no_value():
    with pytest.raises(ValidationError) as caught:
        typed("{people: [a, 5349], grid: [0.1, '7']}")
    found = faults(caught.value)
    assert (
        "people.1",
        "must be text: write it in quotes, for YAML makes numbers, dates and booleans of some words",
    ) in found
    assert any(place == "grid.1" and "without quotes" in words for place, words in found)
    assert "5349" not in str(found)
    assert "7" not in str(found)


@pytest.mark.parametrize(
    ("line", "words"),
    [("people: a", "must be a list: [one, two]"), ("grid: off", "must be a number: without quotes")],
)
def test_one_value_where_a_list_is_wanted_is_told_so_and_nowhere_else(line, words):
    with pytest.raises(ValidationError) as caught:
        typed(line)
    ((place, said),) = faults(caught.value)
    assert place == line.split(":")[0]
    assert said.startswith(words)
