import base64
import io

import numpy as np
import pytest
from PIL import Image

from truemap.figures.pictures import WIDEST, picture


def written(path, pixels):
    Image.fromarray(pixels).save(path, dpi=(300, 300))
    return path


def opened(found):
    kind, data = found["source"].split(";base64,")
    assert kind in ("data:image/png", "data:image/webp")
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def test_a_line_drawing_stays_as_it_is_and_leads_to_its_files(tmp_path):
    pixels = np.full((60, 90, 3), 255, np.uint8)
    pixels[20:24] = (200, 30, 10)
    found = picture(
        written(tmp_path / "figure-2b.png", pixels), "d", ["x/figure-2b.svg", "x/figure-2b.png", "x/grid.svg"]
    )
    np.testing.assert_allclose(np.asarray(opened(found)), pixels, atol=3)
    assert found["files"] == ["d/figures/figure-2b.png", "d/figures/figure-2b.svg"]
    assert (found["title"], found["width"], found["height"]) == ("Figure 2b", 90, 60)
    # 90 dots of 300 an inch of 72 points.
    assert found["points"] == 22
    assert "pairwise class differences" in found["alt"]


def test_a_wide_picture_is_made_smaller_in_proportion(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 2 * WIDEST, 3), np.uint8)
    found = picture(written(tmp_path / "figure-3a.png", pixels), "d", [], "n = 20.")
    assert opened(found).size == (found["width"], found["height"]) == (WIDEST, 50)
    assert found["points"] == round(2 * WIDEST / 300 * 72)
    assert found["alt"].startswith("Figure 3a: one test subject") and found["alt"].endswith("glass brains. n = 20.")


@pytest.mark.parametrize(
    ("stem", "title"),
    [("figure-1", "Figure 1"), ("grid-pairwise", "Grid"), ("strength", "Strength of training"), ("another", "another")],
)
def test_each_figure_has_a_title_and_a_text(tmp_path, stem, title):
    found = picture(written(tmp_path / f"{stem}.png", np.zeros((4, 4, 3), np.uint8)), "d", [])
    assert found["title"] == title and len(found["alt"]) > 10
