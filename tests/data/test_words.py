import itertools

import pandas as pd
import pytest

from truemap.data.words import check_words
from truemap.runtime.files import DataError

SHAPE = (4, 5, 6)
SAMPLES = pd.DataFrame(
    [
        (f"s{subject}", label, f"{sign}{label}{number}", sign == "NEG_", split)
        for split, subjects in (("train", (0, 1, 2)), ("validation", (3,)), ("test", (4, 5)))
        for subject, label, number, sign in itertools.product(subjects, "ABC", (1, 2), ("", "NEG_"))
        # Only trained on: no truth, and so no figure, is of it.
        if not (number == 2 and label == "C" and split == "test")
    ],
    columns=["subject", "label", "condition", "negated", "split"],
)


def check(samples=SAMPLES, shape=SHAPE, show=None, figures="glass_brain", conditions="all", chosen=()):
    check_words(samples, shape, show, figures, conditions, chosen)


@pytest.mark.parametrize("show", [None, ["A"], ["C", "A"], ["A", "B", "C"]])
@pytest.mark.parametrize("conditions", ["all", "no_negated"])
def test_what_the_data_have_passes(show, conditions):
    check(show=show, conditions=conditions)
    check(SAMPLES.assign(negated=False), show=show, conditions=conditions)
    check(SAMPLES.assign(subject=""), (20, 1, 20), show, "images", conditions)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"show": ["A", "a"]}, "show: no class 'a'"),
        ({"show": ["Aa"]}, "did you mean 'A'"),
        ({"show": [" A"]}, "show: no class ' A'"),
        ({"chosen": ["A1", "B3"], "conditions": "chosen"}, "conditions: no map of condition 'B3'"),
        ({"chosen": ["A1", "NEG_A2"], "conditions": "chosen"}, "all of class 'A'"),
        ({"chosen": ["A1", "C2"], "conditions": "chosen"}, "conditions: no map of condition 'C2'"),
        ({"chosen": ["A1", "B2"], "conditions": "chosen", "show": ["A", "C"]}, "show: no class 'C'"),
        ({"figures": "images"}, "Set `figures: glass_brain`"),
        ({"shape": (4, 1, 6)}, "Set `figures: images`"),
    ],
)
def test_what_the_data_do_not_have_is_refused(wrong, words):
    with pytest.raises(DataError, match=words):
        check(**wrong)


@pytest.mark.parametrize(
    ("subjects", "words"),
    [(2, "only 2 test subjects: no test is made"), (3, "only 3 test subjects: tests tell little"),
     (4, "only 4 test subjects: tests tell little"), (5, "")],
)  # fmt: skip
def test_few_test_subjects_are_warned_of(subjects, words, caplog):
    tested = SAMPLES[(SAMPLES["split"] == "test") & (SAMPLES["subject"] == "s4")]
    copies = [tested.assign(subject=f"t{number}") for number in range(subjects)]
    check(pd.concat([SAMPLES[SAMPLES["split"] != "test"], *copies]))
    assert caplog.text.count("only") == bool(words)
    assert words in caplog.text


def test_images_without_subjects_are_counted_by_themselves(caplog):
    images = SAMPLES.assign(subject="")
    check(images, (20, 1, 20), figures="images")
    assert not caplog.text
    check(images.groupby(["split", "label"]).head(1), (20, 1, 20), figures="images")
    assert "only 3 test images" in caplog.text


def test_one_test_subject_must_have_all_classes_shown():
    lacking = SAMPLES[~((SAMPLES["subject"] == "s4") & (SAMPLES["label"] == "A"))]
    check(lacking, show=["A", "B"])
    lacking = lacking[~((lacking["subject"] == "s5") & (lacking["label"] == "B"))]
    check(lacking, show=["A", "C"])
    with pytest.raises(DataError, match="no test subject has maps of all of A, B"):
        check(lacking, show=["A", "B"])
