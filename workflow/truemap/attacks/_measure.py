"""How often a decoder stays right under an attack, map by map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from truemap.attacks._contract import Attack
from truemap.data.rows import KEYS
from truemap.data.volumes import Volumes
from truemap.geometry import lengths
from truemap.networks._batches import Batches
from truemap.networks._chunks import Chunks, climbing
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed

#: By how much of its bound noise may be longer: float32 holds no more of it.
TOLERANCE = 1e-5
#: Training maps of which the sd is taken.
MAPS = 50


def choose_maps(table: pd.DataFrame, count: int | None, seed: int) -> np.ndarray:
    """Return positions of `count` maps, as many of each class as can be, in ascending order.

    Which samples these are depends on their ids and classes, not on the order of the rows; a larger count
    adds maps and leaves none out.

    Parameters
    ----------
    table : DataFrame
        ``sample, label`` of each map.
    count : int or None
        None, or more than there are: all.
    """
    keys = [derive_seed(seed, "maps", sample) for sample in table["sample"]]
    drawn = pd.DataFrame({"label": table["label"].to_numpy(), "key": keys}).sort_values("key")
    drawn["turn"] = drawn.groupby("label").cumcount()
    return np.sort(drawn.sort_values(["turn", "key"]).index.to_numpy()[:count])


def sd_of(training: Volumes, standardize: str, seed: int) -> float:
    """Return the maps' sd, in which epsilon is given: 1 where they are z-scored, else that of training maps.

    Root mean square of sds over all voxels, zeros outside the mask too, as z-scores have it.

    Parameters
    ----------
    standardize : {"volume", "none"}
        Of the dataset.
    """
    if standardize == "volume":
        return 1.0
    rows = choose_maps(training.table.reset_index(drop=True), MAPS, seed)
    return float(np.sqrt(np.mean([training.take([row]).astype(np.float64).var() for row in rows])))


def robustness_table(
    decoder: Decoder,
    batches: Batches,
    attack: Attack,
    bound: float,
    seed: int,
    rows: Sequence[int],
    megabytes: float,
) -> pd.DataFrame:
    """Attack maps and return what came of each.

    Parameters
    ----------
    attack : Attack
    bound : float
        Largest L2 norm of the noise.
    rows : sequence of int
        Positions in ``batches.volumes``.
    megabytes : float
        See `truemap.networks._chunks.climbing`.

    Returns
    -------
    DataFrame
        ``sample, subject, label, condition, negated``, and ``correct`` (right without noise), ``robust``
        (right without noise and with it), ``norm`` (L2 length of the noise). One row a map, in the order of `rows`.

    Raises
    ------
    RuntimeError
        If the noise is longer than the bound: a fault of the attack.
    """
    table = batches.volumes.table.iloc[list(rows)].reset_index(drop=True)
    places = torch.as_tensor(np.asarray(rows, dtype=np.int64))
    chunks = Chunks(min(batches.at_once(), climbing(decoder.network, batches.get(places[:1])[0], megabytes)))

    def attacked(chunk: torch.Tensor) -> pd.DataFrame:
        x, labels = batches.get(chunk)
        ids = batches.volumes.table["sample"].iloc[chunk.tolist()].tolist()
        noise = attack.perturb(decoder, x, labels, ids, bound, attack.options, seed)
        norm = lengths(noise)
        if not (norm <= bound * (1 + TOLERANCE)).all():
            raise RuntimeError(f"{attack.name}: noise of length {norm.max():.9g} for a bound of {bound:.9g}")
        with torch.no_grad():
            correct, still = (decoder.network(at).argmax(1) == labels for at in (x, x + noise))
        found = {"correct": correct, "robust": correct & still, "norm": norm}
        return pd.DataFrame({name: values.cpu().numpy() for name, values in found.items()})

    return table[KEYS].join(pd.concat(list(chunks.each(places, attacked, "map")), ignore_index=True))
