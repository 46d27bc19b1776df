import re

import pandas as pd

from truemap.figures.prediction_page import NO_REGIONS, prediction_page

DONE = {
    "explained": 30, "measured": None,
    "metrics": {"quick": {"name": "sensitivity", "draws": 10}, "complexity": {"name": "complexity"}},
    "trainings": {"nn": 3},
}  # fmt: skip
ANSWERS = pd.DataFrame({"sentence": ["sparseness predicts neither truth here: <b>."]})
ANCHORS = pd.DataFrame(
    {
        "anchor": ["edges", "edges", "noise"],
        "measure": "sparseness",
        "model": ["a", "b", "a"],
        "better_than": [1.0, 0.5, 0.0],
    }
)
TRUTHS = pd.DataFrame(
    {
        "model": "nn", "method": ["", "good", "bad"], "criterion": "network", "r": [0.8, 0.9, 0.0],
        "agrees": ["yes", "yes", "no"],
        "sentence": ["nn uses mostly the data's truth.", "good is right.", "bad is wrong about the network."],
    }
)  # fmt: skip


def test_the_page_says_which_maps_are_wrong_what_networks_use_and_how_much_was_done():
    page = prediction_page(ANSWERS, TRUTHS, ANCHORS, DONE, "d", "made up")
    items = re.findall("<li>(.*?)</li>", page)
    assert "nn uses mostly the data&#x27;s truth." in items and "bad is wrong about the network." in items
    assert "good is right." not in items and "<td>good</td>" in page
    assert "sparseness predicts neither truth here: &lt;b&gt;." in items
    assert any(text.startswith("explained: 30 (") for text in items) and any("measured: all" in text for text in items)
    assert "quick: draws 10" in items and "complexity: no options" in items
    assert any(text.startswith("nn: 3 trainings") for text in items)
    assert re.search(r"<td>edges</td>\s*<td>0.75</td>", page)
    assert "d: what measures say, and what is true (made up)" in page


def test_what_was_not_asked_for_is_said():
    page = prediction_page(ANSWERS[:0], TRUTHS[:0], ANCHORS[:0], DONE, "d", "made up")
    assert page.count(NO_REGIONS) == 2 and "No measure has values." in page
