"""Results in a notebook, without Snakemake: a trained decoder, a method's maps of an array, agreement with the truth.

>>> from truemap.api import Results
>>> results = Results("results/synthetic")
>>> decoder, test = results.decoder("nn-adversarial"), results.maps("test")
>>> maps = results.explain(decoder, test.take(range(6)), "smoothgrad", test.table["sample"][:6], n=50)
>>> results.agreement(maps, test.table[:6])[["label", "target", "criterion", "r"]]
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from truemap.config.names import NO_NETWORK, SPLITS
from truemap.config.registry import method, resolve_method
from truemap.data.background import read_background
from truemap.data.grid import Grid, read_grid
from truemap.data.rows import by_target
from truemap.data.volumes import Volumes, read_volumes
from truemap.evaluation.agreement import score_block
from truemap.evaluation.scores import ScoreInputs
from truemap.evaluation.truth import SubjectTruths
from truemap.networks._decoder import Decoder, load_decoder
from truemap.networks._structure import require
from truemap.runtime.files import read_json
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency


class Results:
    """What a run left of one dataset.

    Parameters
    ----------
    folder : path
        ``results/{dataset}``.
    device : str
        Where networks run.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        self.folder, self.device = Path(folder), torch.device(device)
        if not (self.folder / "volumes").is_dir():
            raise FileNotFoundError(f"{folder}: no results of a dataset. Give a folder results/{{dataset}} of a run.")

    @cached_property
    def grid(self) -> Grid:
        """The grid of the maps, and where the brain is."""
        return read_grid(self.folder / "volumes/mask.nii.gz")

    def maps(self, split: str) -> Volumes:
        """Return the z-scored maps of a split, with their rows; nothing is read until it is used.

        Parameters
        ----------
        split : {"train", "validation", "test"}
        """
        if split not in SPLITS:
            raise ValueError(f"no split '{split}': use {', '.join(SPLITS)}")
        arrays = sorted((self.folder / "volumes" / split).glob("*.npy"), key=lambda path: int(path.stem))
        return read_volumes(arrays, [path.with_suffix(".parquet") for path in arrays])

    def decoder(self, model: str, seed: int = 0) -> Decoder:
        """Return a trained decoder: its network (frozen, in evaluation mode), temperature and classes."""
        folder = self.folder / "models" / model / f"seed-{seed}"
        if not folder.is_dir():
            if (self.folder / "saliency" / model).is_dir():
                raise FileNotFoundError(f"{folder}: {NO_NETWORK}. They are in {self.folder}/saliency/{model}.")
            known = sorted(path.name for path in (self.folder / "models").glob("*"))
            raise FileNotFoundError(f"{folder}: no such model. There are: {', '.join(known)}.")
        return load_decoder(folder / "weights.safetensors", read_json(folder / "model.json"), self.device)

    def explain(
        self,
        decoder: Decoder,
        x: np.ndarray,
        name: str = "gradient",
        samples: Iterable[int] | None = None,
        seed: int = 0,
        folders: Sequence[str] = (),
        **options: Any,
    ) -> np.ndarray:
        """Return a method's saliency map for each map and class.

        Parameters
        ----------
        x : ndarray, shape (n, *shape)
            Maps, z-scored as those that the decoder was trained on (`maps`).
        name : str
            Of the method.
        samples : iterable of int, optional
            Sample ids, on which hangs what is drawn; default: 0, 1, ...
        folders : sequence of str
            Folders with methods of your own.
        options
            Of the method.

        Returns
        -------
        ndarray, shape (n, classes, *shape), float64
        """
        found = method("saliency", resolve_method("saliency", {"name": name, **options}, folders=folders), Saliency)
        require(decoder, found.options.needs(), name)
        tensor = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float32)).to(self.device)
        ids = list(range(len(x))) if samples is None else [int(sample) for sample in samples]
        return found.explain(decoder, tensor, ids, found.options, self.context(decoder, seed)).cpu().numpy()

    def context(self, decoder: Decoder, seed: int = 0) -> Context:
        """Return what a method may use beyond the network and the maps: a seed and the training data."""
        background = read_background(self.folder / "truth/background.parquet")
        return Context.of(seed, self.maps("train"), decoder.classes, background, self.device)

    def truth(self, average: str = "classes") -> SubjectTruths:
        """Return the truth by (subject, condition set); the subject is empty where there are none."""
        return SubjectTruths(self.folder / "truth/class_means.parquet", average)

    def agreement(
        self,
        maps: np.ndarray,
        rows: pd.DataFrame,
        classes: Sequence[str] | None = None,
        voxels: str = "all",
        average: str = "classes",
        signed: bool = True,
    ) -> pd.DataFrame:
        """Return Pearson's r of saliency maps with the truth, as the workflow's score files have it.

        Parameters
        ----------
        maps : ndarray, shape (n, classes, *shape)
            Of `explain`, or of another tool.
        rows : DataFrame
            Rows of the test maps that were explained, in the same order.
        classes : sequence of str, optional
            Default: those of the test maps, sorted, as decoders have them.
        voxels : {"all", "brain"}
        signed : bool
            False: the maps have no signs, so that there is no r with signs.

        Returns
        -------
        DataFrame
            See `truemap.evaluation.agreement.score_block`.
        """
        inside = self.grid.mask.reshape(-1) if voxels == "brain" else None
        given = ScoreInputs(self.truth(average), inside, self.maps("test"))
        classes = sorted(given.volumes.table["label"].unique()) if classes is None else list(classes)
        table = by_target(rows, classes)
        flat, blocks = maps.reshape(len(table), -1), []
        absolute = bool((flat >= 0).all())
        for subject, part in table.groupby("subject", sort=False):
            own, block = given.own(str(subject)), part.reset_index(drop=True)
            maps_of = flat[part.index]
            blocks.append(score_block(block, maps_of, given.truths, inside, own, absolute, signed=signed))
        return pd.concat(blocks, ignore_index=True)
