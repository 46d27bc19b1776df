"""Figures as one page holds them: small, with a text for those who do not see them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

#: Of an inch.
POINTS = 72
#: Widest picture, in pixels: two to a point of a wide page.
WIDEST = 1800
#: Of WebP, which is smaller for maps; line drawings are smaller as PNG with a palette.
QUALITY = 85
#: How a figure's file begins -> its title, and what it shows.
WORDS = {
    "figure-1": ("Figure 1", "mean saliency maps of the images, beside their truth"),
    "figure-2": ("Figure 2", "mean agreement of each way to train and to explain, as bars with references"),
    "figure-3": ("Figure 3", "one test subject: its mean maps and truth, or saliency maps of it, as glass brains"),
    "grid": ("Grid", "mean agreement as a heat map: one row a way to train, one column a way to explain"),
    "strength": ("Strength of training", "agreement against the strength of training, as curves"),
    "fragility-spearman": ("Attacked maps", "rank correlation of maps before and after attacks, against the noise"),
    "fragility-top_k": ("Attacked maps: largest voxels", "share of the largest voxels that stay so, against the noise"),
    "fragility-shift": ("Attacked maps: centre", "shift of the maps' centre of mass, against the noise"),
    "fragility-truth": ("Attacked maps and the truth", "agreement of attacked maps with the truth, against the noise"),
    "influence": ("Influential training maps", "those that a prediction hangs on, before and after an attack; curves"),
    "angles": ("Angles of directions", "histograms of angles, a line a network, beside those of random directions"),
    "prediction-tau": ("What measures predict", "rank correlation of each measure with each truth, with intervals"),
    "prediction-regret": ("What following a measure costs", "agreement lost by choosing by each measure, as bars"),
}
#: Panels, by the criterion that they are of.
PANELS = {"a": "class-informative activation", "b": "pairwise class differences"}
PANELS |= {"-informative": PANELS["a"], "-pairwise": PANELS["b"]}


def picture(path: str | Path, folder: str, beside: Sequence[str], numbers: str = "") -> dict[str, Any]:
    """Return a figure as ``name, title, alt, source`` (a data URI), ``width, height, points`` and ``files`` beside it.

    `width` and `height` are of the picture in pixels, `points` is the width that it is printed at.

    Parameters
    ----------
    path : path
        A PNG that says its dots per inch.
    folder : str
        The dataset's, which links of the page begin with.
    beside : sequence of str
        Files of the dataset's figures.
    numbers : str
        Is added to the text for those who do not see it.
    """
    path = Path(path)
    title, shows = _words(path.stem)
    with Image.open(path) as image:
        points = round(POINTS * image.width / image.info["dpi"][0])
        image = image.convert("RGB")
        if image.width > WIDEST:
            image = image.resize((WIDEST, round(image.height * WIDEST / image.width)), Image.Resampling.LANCZOS)
        kind, data = min(_encoded(image).items(), key=lambda found: len(found[1]))
        size = {"width": image.width, "height": image.height, "points": points}
    same = sorted(f"{folder}/figures/{Path(file).name}" for file in beside if Path(file).stem == path.stem)
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    alt = f"{title}: {shows}.{f' {numbers}' if numbers else ''}"
    return {"name": path.stem, "title": title, "alt": alt, "source": source, **size, "files": same}


def _words(stem: str) -> tuple[str, str]:
    """Return title and content of a figure by its file's name; what has no words here is called by that name."""
    for start, (title, shows) in WORDS.items():
        if stem.startswith(start):
            panel = stem.removeprefix(start)
            of = f", {PANELS[panel]}" if panel in PANELS and start != "figure-3" else ""
            return f"{title}{panel if panel in 'ab' else ''}", f"{shows}{of}"
    return stem, "figure of this name"


def _encoded(image: Image.Image) -> Mapping[str, bytes]:
    webp, png = io.BytesIO(), io.BytesIO()
    image.save(webp, "WEBP", quality=QUALITY, method=4)
    image.quantize(256).save(png, "PNG", optimize=True)
    return {"webp": webp.getvalue(), "png": png.getvalue()}
