import json
import re
import warnings
from html import unescape

import numpy as np
import pandas as pd
import pytest
from pages import asked_for, read_text
from told import CLAIMS, ENTRIES, HOSTILE, TIMES, told_of, units_of

from truemap.config.names import REFERENCE
from truemap.evaluation.claims import NOT_RUN
from truemap.evaluation.statistics import compare, summarise
from truemap.figures.digest import about, best_first, grid_numbers, quality_counts, short, wholes
from truemap.figures.index_page import SHOWN, index_page, kind_of
from truemap.figures.message import message_figure
from truemap.figures.page import Html, html, in_script, page
from truemap.figures.wording import listed, number, p_words


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told")
    return [told_of("brains", folder), told_of("images", folder, brain=False, data="made-up images")]


@pytest.fixture(scope="module")
def shown(told):
    return index_page(told, CLAIMS, {"brains": TIMES}, [], "cff-version: 1 <two>")


# The shell


def test_what_is_filled_in_is_escaped_unless_it_is_html():
    assert html("<p>{}{x}</p>", "<&\"'", x=Html("<b>")) == "<p>&lt;&amp;&quot;&#x27;<b></p>"


def test_nothing_in_a_script_of_json_ends_it_and_it_reads_the_same():
    content = {"a": "</script><!--\u2028", "b": [1, None]}
    text = in_script(content)
    assert "<" not in text and "\u2028" not in text and json.loads(text) == content
    with pytest.raises(ValueError, match="JSON"):
        in_script([float("nan")])


def test_pages_link_to_each_other_from_where_they_lie():
    text = page("t", "", "d", depth=2)
    assert re.findall('<a href="([^#]*?)">', text) == [
        "../../index.html", "../../claims.html", "../../d/figures/grid.html", "../../d/quality.html",
        "../../d/resources.html",
    ]  # fmt: skip


# What it is made from


def test_the_numbers_of_the_grid_are_those_of_the_tables(told):
    units = units_of()
    summary, tests = summarise(units, group=(REFERENCE, "group_truth")), compare(units, reference=REFERENCE)
    (block,) = (b for b in told[0]["grid"] if (b["criterion"], b["truth"]) == ("pairwise", "leave_out"))
    names = [(entry["model"], entry["method"]) for entry in told[0]["entries"]]
    assert names == [(e["model"], e["method"]) for e in ENTRIES] + [(REFERENCE, "input"), (REFERENCE, "group_truth")]
    rows = summary.query("criterion == 'pairwise' and truth == 'leave_out' and seed == 'mean'")
    rows = rows.set_index(["model", "method"]).loc[names]
    for key in ("mean", "ci_low", "ci_high", "n", "share"):
        np.testing.assert_allclose(block[key], rows[key], atol=6e-5)
    pairs = [(a, b) for a in range(len(names)) for b in range(a + 1, len(names))]
    assert len(pairs) == len(block["difference"]) == len(block["p_bonferroni"]) == len(block["untested"])
    own = tests.query("criterion == 'pairwise' and truth == 'leave_out'")
    for place, (a, b) in enumerate(pairs):
        assert block["difference"][place] == pytest.approx(rows["mean"].iloc[a] - rows["mean"].iloc[b], abs=6e-5)
        one = own[(own["model_a"].isin([names[a][0], names[b][0]])) & (own["difference"].abs().round(4)
                  == abs(block["difference"][place]))]  # fmt: skip
        assert block["p_bonferroni"][place] == pytest.approx(one["p_bonferroni"].iloc[0], rel=0.05)
    wide = units.query("criterion == 'pairwise' and truth == 'leave_out'").pivot(
        index=["model", "method"], columns="unit", values="value"
    )
    for name, values in zip(names, block["values"], strict=True):
        np.testing.assert_allclose(values, wide.loc[name, block["units"]], atol=6e-4)


def test_a_pair_that_stands_the_other_way_round_has_the_other_sign():
    units = units_of()
    summary, tests = summarise(units), compare(units, reference=REFERENCE)
    entries = [{"model": m, "method": k, "label": m} for m, k in (("linear", "gradient"), ("cnn", "gradient"))]
    (first, *_), (other, *_) = (grid_numbers(summary, tests, units, e) for e in (entries, entries[::-1]))
    assert first["difference"] == [-other["difference"][0]] and first["difference"][0] > 0
    assert first["p_bonferroni"] == other["p_bonferroni"]
    (untested, *_) = grid_numbers(summary, tests[:0], units, entries)
    assert untested["p_bonferroni"] == [None] and untested["untested"] == ["not tested"]


def test_of_many_units_some_are_shown_at_equal_steps(monkeypatch):
    monkeypatch.setattr("truemap.figures.digest.UNITS", 5)
    units = units_of(12)
    block = grid_numbers(summarise(units), compare(units), units, [{**ENTRIES[0]}])[0]
    assert block["units"] == ["s0", "s3", "s6", "s9"] and block["n"] == [12]


def test_the_best_entries_come_first_and_those_without_a_mean_last():
    summary = summarise(units_of().query("truth == 'full'"))
    lacking = {"model": "none", "method": "x"}
    found = best_first([lacking, ENTRIES[1], ENTRIES[0]], summary, "informative")
    assert found == [ENTRIES[0], ENTRIES[1], lacking]


def test_numbers_become_json():
    assert short([1.0, np.nan, 0.123456, -2, np.int64(3)]) == [1, None, 0.1235, -2, 3]


def test_what_a_dataset_is(told):
    assert told[0]["about"]["voxel_mm"] == [8, 8, 8] and told[1]["about"]["voxel_mm"] is None
    assert told[0]["about"]["subjects"] == {"train": 1, "validation": 1, "test": 1}
    without = pd.DataFrame({"subject": "", "label": ["a", "b"], "split": "test"})
    from told import grid_of

    assert about(without, grid_of(False))["subjects"]["test"] == 0


def test_flags_are_counted_one_by_one():
    table = pd.DataFrame({"flags": ["", "copy?,flip?", "flip?", np.nan]})
    skipped = pd.DataFrame({"subject": ["x", "x", "y"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        none = quality_counts(pd.DataFrame({"flags": [np.nan] * 3}), skipped[:0])
    assert none == {"maps": 3, "flagged": 0, "flags": {}, "skipped": 0}
    assert quality_counts(table, skipped) == {"maps": 4, "flagged": 2, "flags": {"flip?": 2, "copy?": 1}, "skipped": 2}


# The page


def test_the_page_needs_nothing_from_outside_and_forbids_it(shown):
    assert not asked_for(shown)
    assert "default-src 'none'" in shown and 'lang="en"' in shown and 'name="viewport"' in shown


def test_what_comes_from_data_is_text_everywhere(shown):
    assert HOSTILE not in shown and "<simulated>" not in shown and "<two>" not in shown
    # Each script that begins ends once, whatever labels hold.
    assert len(re.findall("<script", shown)) == len(re.findall("</script>", shown)) == 5
    for name in ("brains", "images"):
        (text,) = re.findall(rf'id="data-{name}">(.*?)</script>', shown, re.DOTALL)
        assert json.loads(text)["entries"][0]["label"] == HOSTILE


def test_the_answer_is_that_of_the_tables(told, shown):
    best = told[0]["answers"]["informative"]
    said = unescape(re.sub("<.*?>", "", shown[shown.index('id="answer"') : shown.index('id="run"')]))
    assert f"mean r {best['mean']:.3f} over 12 test subjects, {best['test']['difference']:.3f} above the next" in said
    assert "paired t(11) = " in said and f"Bonferroni p {p_words(best['test']['p_bonferroni'])}" in said
    assert "reach group average 0.7" in said and "none of 3 ways are above" not in said
    assert "none of 3 ways is above the best of them, so agreement alone does not make a map faithful" in said
    assert "came out in part: 1 of its 2 comparisons (on data that are not the paper's)" in said


def test_simulated_data_are_called_so_first_and_others_are_not(told, shown):
    text = read_text(shown)
    assert text.index("Not measured on people: brains (simulated data, not HCP).") < text.index('id="answer"')
    assert "Not measured on people" not in index_page(told[1:], CLAIMS, {}, [], "")


def test_claims_that_failed_come_first_and_unfolded_and_those_not_run_are_folded(shown):
    part = shown[shown.index('id="claims"') : shown.index('<section id="brains"')]
    open_, folded = (
        part.index("<details open><summary>Did not come out: 1"),
        part.index("<details><summary>Came out: 1"),
    )
    assert open_ < folded < part.index("<details><summary>Could not be tested") < part.index("Not run here: 1")
    assert "one &amp; another" in part and "ours 0.49; 95% CI [0.4, 0.6]" in part


def test_claims_alike_that_were_not_run_are_said_once_and_what_has_no_number_says_none():
    row = dict.fromkeys(CLAIMS.columns, "") | {"dataset": "one two", "statement": "mean agreement", "source": "x"}
    alike = [row | {"verdict": NOT_RUN, "kind": "value"}] * 3
    judged = row | {"verdict": "not testable here (by eye)", "kind": "untestable", "criterion": "informative"}
    said = unescape(re.sub("<.*?>", "", index_page([], pd.DataFrame([*alike, judged]), {}, [], "")))
    assert "Not run here: 3" in said and said.count("one or two: mean agreement (x) × 3") == 1
    (line,) = re.findall("one or two, class-informative activation: .*", said)
    assert line.endswith("mean agreement (x)")


@pytest.mark.parametrize(
    ("verdict", "kind"),
    [("reproduced", "holds"), ("not reproduced", "fails"), ("replicated on other data", "holds"),
     ("not replicated on other data", "fails"), ("holds on these data", "holds"), ("not testable here (x)", "open"),
     ("does not hold on these data", "fails"), ("not about these data (x is y, not z)", "open")],
)  # fmt: skip
def test_verdicts_have_kinds(verdict, kind):
    assert kind_of(verdict) == kind


def test_sections_stand_where_their_tables_do(told, shown):
    both = [shown[shown.index(f'<section id="{name}"') :].split("</section>")[0] for name in ("brains", "images")]
    assert ["Time and memory</h3>" in part for part in both] == [True, False]
    bare = {**told[0], "pictures": [], "measures": [], "fragility": [], "influence": [], "shares": [], "grid": [],
            "orders": [], "viewer": {**told[0]["viewer"], "maps": []}, "answers": {"informative": None}}  # fmt: skip
    text = index_page([bare], CLAIMS[:0], {}, ["results/x/digest.json"], "")
    for words in (
        "What agreement can tell",
        "Every way to train, every",
        "A brain to turn",
        "Measures against",
        "Accuracy,",
        "Two of five stay.",
    ):
        assert words in shown and words not in text
    assert "no map has an r with signs" in text and "results/x/digest.json" in text


def test_every_picture_has_a_text_and_every_figure_of_the_page_too(shown):
    assert all(re.search('alt="[^"]{10,}"', tag) for tag in re.findall("<img.*?>", shown))
    drawn = re.findall("<svg.*?>", shown)
    assert drawn and all(re.search('role="img" aria-label="[^"]{20,}"', tag) for tag in drawn)


def test_of_many_claims_that_failed_the_first_are_shown_and_the_rest_can_be_unfolded(told):
    failed = pd.concat([CLAIMS[CLAIMS["verdict"] == "not reproduced"]] * (SHOWN + 3))
    text = index_page(told[1:], failed, {}, [], "")
    shown, rest = text[text.index('id="claims"') : text.index('<section id="images"')].split("<summary>3 more")
    assert shown.count('<span class="chip">') == SHOWN and rest.count('<span class="chip">') == 3


def test_criteria_of_claims_are_words(told):
    text = index_page(told[1:], CLAIMS[:1].assign(criterion="max_sensitivity_absolute"), {}, [], "")
    assert "max sensitivity, by size: one" in text


def test_where_the_best_two_are_not_told_apart_the_answer_says_so(told, shown):
    assert "not told apart" not in shown
    best = told[0]["answers"]["informative"]
    close = {"informative": {**best, "test": {**best["test"], "p_bonferroni": 0.06}}}
    assert "Bonferroni p = 0.06: these two are not told apart)" in index_page(
        [{**told[0], "answers": close}], CLAIMS[:0], {}, [], ""
    )


# The message


def test_the_message_sets_all_entries_against_both_truths_with_one_axis(told):
    figure = message_figure(told[0]["grid"], told[0]["entries"], "informative")
    panels = figure.split("<svg")[1:]
    assert len(panels) == 2 and "truth of all maps" in panels[0] and "truth without the map explained" in panels[1]
    assert all(panel.count("<circle") == 3 and panel.count("<polygon") == 2 for panel in panels)
    assert len({tuple(re.findall('<line class="rule" x1="(.*?)"', panel)) for panel in panels}) == 1
    # The input falls from 0.45 to 0.15, and moves to the left in the other panel.
    at = [float(re.search(r'<polygon points="([\d.]+),[^>]*>(?:(?!</g>).)*reference: input', p)[1]) for p in panels]
    assert at[0] > at[1] + 50
    assert not message_figure(told[0]["grid"], told[0]["entries"], "network")


def test_of_many_entries_the_best_are_drawn_and_the_rest_is_counted(told, monkeypatch):
    monkeypatch.setattr("truemap.figures.message.DRAWN", 2)
    figure = message_figure(told[0]["grid"], told[0]["entries"], "informative")
    assert figure.split("<svg")[1].count("<circle") == 2 and "the grid below has 1 more" in figure


# Words


def test_numbers_and_lists_in_words():
    assert [number(value, 2) for value in (0.126, -0.001, None)] == ["0.13", "0.00", "–"]
    assert [p_words(p) for p in (0.0, 0.01234, None)] == ["< 1e-300", "= 0.012", "unknown"]
    assert listed(["a", "<b", "c"]) == "a, &lt;b and c" and listed(["a"]) == "a"


def test_panels_that_stand_in_a_whole_are_not_shown_twice():
    names = [f"f/figure-{name}.png" for name in ("1a", "1b", "1", "2a", "grid-a")]
    assert wholes(names) == ["f/figure-1.png", "f/figure-2a.png", "f/figure-grid-a.png"]
