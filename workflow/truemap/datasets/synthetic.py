"""The synthetic images of McClure et al. 2020: three classes, templates of 3x3 squares, Gaussian noise."""

from __future__ import annotations

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.options import Count, Positive, SourceOptions
from truemap.numerics import derive_seed

SHAPE = (32, 32, 1)
SQUARE = 3
#: First row and column of each square -> the classes whose template has it.
SQUARES = {
    (7, 7): "A",
    (7, 15): "B",
    (7, 23): "C",
    (15, 7): "AB",
    (15, 15): "BC",
    (15, 23): "AC",
    (23, 7): "ABC",
    (23, 15): "ABC",
    (23, 23): "ABC",
}
SPLITS = ("train", "validation", "test")


class Options(SourceOptions):
    """Images of classes A, B and C."""

    images: list[Count] = Field(
        [3000, 3000, 3000],
        min_length=3,
        max_length=3,
        description="images in train, validation and test; 1000 a class in each in the paper",
    )
    noise: Positive = Field(0.5, description="standard deviation of the pixelwise noise; the squares are 1")
    shuffle: bool = Field(
        False,
        description="false: as many of each class in each split; true: equally many of each class in all, "
        "shuffled over the splits (as the authors' notebook does)",
    )

    def kind(self) -> str:
        """What these data are called."""
        return "synthetic images"


def templates(options: Options) -> dict[str, np.ndarray]:
    """Return each class's template, shape (32, 32, 1), values 0 and 1."""
    result = {label: np.zeros(SHAPE) for label in "ABC"}
    for (row, column), labels in SQUARES.items():
        for label in labels:
            result[label][row : row + SQUARE, column : column + SQUARE] = 1.0
    return result


def squares() -> dict[str, np.ndarray]:
    """Return each square by the classes that have it and its place, shape (32, 32, 1), 1 in it and else 0."""
    result = {}
    for (row, column), labels in SQUARES.items():
        field = result[f"{labels}-{row}-{column}"] = np.zeros(SHAPE)
        field[row : row + SQUARE, column : column + SQUARE] = 1.0
    return result


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row an image; its name says class and number, and with the seed determines its pixels."""
    total = sum(options.images)
    if options.shuffle:
        labels = np.resize(list("ABC"), total)
        np.random.default_rng(derive_seed(seed, "shuffle")).shuffle(labels)
    else:
        labels = np.concatenate([np.sort(np.resize(list("ABC"), count)) for count in options.images])
    split = np.repeat(SPLITS, options.images)
    names = [f"synthetic/{label}/{number:06d}" for number, label in enumerate(labels)]
    return pd.DataFrame(
        {"image": names, "subject": "", "label": labels, "condition": labels, "negated": False, "split": split}
    )


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (pixels, affine, "") of the image with that name: template + N(0, noise^2)."""
    _, label, number = image.split("/")
    noise = np.random.default_rng(derive_seed(seed, "image", int(number))).standard_normal(SHAPE)
    return templates(options)[label] + options.noise * noise, np.eye(4), ""
