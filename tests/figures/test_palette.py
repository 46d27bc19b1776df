import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import truemap
from truemap.figures.palette import KINDS, KNOWS_NOTHING, LETTERS, colour_of, contrast, hatch_of, ink_on, lighter
from truemap.figures.words import WORDS, attack_words, in_words, measure_words, wrapped

ROOT = Path(truemap.__path__[0])
#: From linear RGB to what the red- and the green-blind see (Machado, Oliveira & Fernandes 2009, severity 1).
BLIND = {
    "none": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
}


def modules(family):
    return {path.stem for path in (ROOT / family).glob("*.py") if not path.stem.startswith("_")}


def lab(linear):
    """CIE L*a*b* (D65) of linear RGB."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ np.clip(
        linear, 0, 1
    )
    x, y, z = np.cbrt(np.maximum(xyz / (0.9505, 1.0, 1.089), 1e-9))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def linear(colour):
    values = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("kind", BLIND)
def test_colours_of_methods_differ_for_the_colour_blind_too(kind):
    seen = [lab(BLIND[kind] @ linear(colour)) for colour in (*KINDS, KNOWS_NOTHING)]
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 10


def test_every_way_to_explain_has_a_colour_and_every_method_words():
    assert {name for names in KINDS.values() for name in names} | {"decoy"} == modules("saliency")
    assert modules("saliency") | modules("references") <= set(WORDS)
    assert not any("_" in words for words in WORDS.values())
    assert colour_of("gradient") == colour_of("absolute_gradient") != colour_of("smoothgrad")


def test_no_two_ways_to_explain_look_the_same():
    ways = [name for names in KINDS.values() for name in names]
    assert len({(colour_of(way), hatch_of(way)) for way in ways}) == len(ways) > len(KINDS)
    assert hatch_of("a user's own") == ""


def test_a_label_that_a_config_made_up_stays():
    assert in_words("my_own") == "my_own" and in_words("group_truth") == "group average"
    assert measure_words("max_sensitivity") == "max sensitivity"
    assert measure_words("cascade_absolute") == "cascade, by size"
    assert measure_words("lerf") == "least relevant first"
    assert attack_words("mass_center") == "centre of mass" and attack_words("my_own") == "my own"
    assert wrapped("CNN adversarial, integrated gradients") == "CNN adversarial,\nintegrated gradients"


def test_contrast_is_that_of_wcag():
    assert contrast("black", "white") == pytest.approx(21)
    # Two greys that are known to just pass and just fail on white.
    assert contrast("#767676", "white") == pytest.approx(4.54, abs=0.01)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)
    assert contrast(lighter("#0072b2", 1), "white") == 1


@given(st.tuples(*[st.floats(0, 1)] * 3))
def test_ink_can_be_read_on_any_ground(ground):
    assert contrast(ink_on(ground), ground) >= LETTERS
