"""The gradient-sign attack on influences, beside random signs (Ghorbani et al. 2019, eq. 4)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from truemap.config.options import Count, MethodOptions, Positive
from truemap.exemplars.influence import Influence
from truemap.geometry import direction
from truemap.networks._batches import Batches
from truemap.numerics import derive_seed, pearson, ranks
from truemap.runtime.log import progress

#: What of a sample stands in the table.
COLUMNS = ["sample", "subject", "label"]
#: Why a rank correlation is null.
CONSTANT = "all influences are the same, before the attack or after it"


class Options(MethodOptions):
    """How far a test map is moved, and away from which training maps."""

    epsilon: Annotated[list[Positive], Field(min_length=1)] = Field(
        [0.035, 0.07, 0.14],
        description="radius of the Linf ball in units of the data's sd; each is tried, from the map as it is. The "
        "default is 2, 4 and 8 grey levels of 255 for ImageNet's pixels, whose sd is 0.226 of their range",
    )
    attacked: Count = Field(3, description="most influential training maps that the step acts on; 3 in the paper")
    top: Count = Field(5, description="most influential training maps that are compared and listed; 5 in the paper")
    influential: Literal["helpful", "harmful", "largest"] = Field(
        "helpful",
        description="which training maps are the most influential. helpful: those that lower the loss of the test map "
        "most (eq. 3's influence is negative), which explain a prediction; so the paper's figures, and its footnote 1, "
        "which leaves eq. 3's minus out. harmful: those that raise it most, eq. 3's largest as it is printed; largest: "
        "in size. The step makes those attacked less so",
    )


def most(influences: torch.Tensor, influential: str, count: int) -> torch.Tensor:
    """Return places of the most influential training maps, the first the most, shape (n, at most count).

    Of equal ones, as are maps of a class on which all ReLUs are off, the first in the training data.

    Parameters
    ----------
    influences : Tensor, shape (n, training maps)
    """
    size = {"helpful": -influences, "harmful": influences, "largest": influences.abs()}[influential]
    return size.argsort(dim=1, descending=True, stable=True)[:, :count]


def gradient_sign(
    influence: Influence, x: torch.Tensor, labels: torch.Tensor, influences: torch.Tensor, options: Options
) -> torch.Tensor:
    """Return the signs of the step that makes the most influential training maps less so, shape (n, *shape).

    .. math:: \\delta / \\epsilon = -\\mathrm{sign} \\Big( \\nabla_{x_t} \\sum_{i=1}^3 s_i I(z_{(i)}, z_t) \\Big)

    with s_i = -1 for helpful maps, 1 for harmful ones and the sign of I for the largest: eq. 4 for three maps at once.
    Where nothing reaches the last layer the sign is 0.

    Parameters
    ----------
    influences : Tensor, shape (n, training maps)
        Of the maps x.
    """
    places = most(influences, options.influential, options.attacked)
    of_these = influences.gather(1, places)
    ones = torch.ones_like(of_these)
    signs = {"helpful": -ones, "harmful": ones, "largest": of_these.sign()}[options.influential]
    weights = torch.zeros_like(influences).scatter(1, places, signs)
    return -direction(influence.towards(x, labels, weights)[1], "linf")


def random_sign(x: torch.Tensor, samples: Sequence[int], seed: int) -> torch.Tensor:
    """Return random signs for each map, from seed and sample alone, shape (n, *shape)."""
    sources = (torch.Generator().manual_seed(derive_seed(seed, "exemplars", sample)) for sample in samples)
    drawn = torch.stack([torch.randint(0, 2, x.shape[1:], generator=source) for source in sources])
    return (2 * drawn - 1).to(x)


def attack_table(
    influence: Influence,
    tested: Batches,
    training: Sequence[int],
    rows: Sequence[int],
    inside: torch.Tensor,
    sd: float,
    options: Options,
    seed: int,
) -> pd.DataFrame:
    """Attack the influences on test maps and return what is left of them, a row a map, epsilon and kind.

    Influences are of the loss of a map's own class. Nothing is clipped but at the ball: z-scores have no range. The
    same random signs serve all epsilons.

    Parameters
    ----------
    tested : Batches
        Test maps.
    training : sequence of int
        Sample ids of the training maps, in the order of the influences.
    rows : sequence of int
        Positions in ``tested.volumes``.
    inside : Tensor of bool, shape ``shape``
        The mask; voxels outside it stay.
    sd : float
        Of the data, in whose units epsilon is.

    Returns
    -------
    DataFrame
        ``sample, subject, label``; ``epsilon`` (in sd), ``kind`` (``targeted`` or ``random``); ``kept``, whether the
        prediction is as it was: where it is not, the row is to be counted, not averaged; ``spearman`` of all training
        maps' influences before and after, null with a ``reason`` where these are constant; ``overlap``, how many of the
        most influential are among them after; their sample ids ``before`` and ``after`` as lists, the most influential
        first; ``attacked_before`` and ``attacked_after``, mean of I over the training maps that the step acts on.
    """
    parts = []
    for chunk in progress(tested.chunks(torch.as_tensor(np.asarray(rows, dtype=np.int64))), "batch"):
        x, labels = tested.get(chunk)
        known = tested.volumes.table.iloc[chunk.tolist()][COLUMNS].reset_index(drop=True)
        before, classes = influence.of(x, labels), _predicted(influence, x)
        ways = {
            "targeted": gradient_sign(influence, x, labels, before, options),
            "random": random_sign(x, known["sample"].tolist(), seed),
        }
        for epsilon, (kind, signs) in itertools.product(options.epsilon, ways.items()):
            moved = x + epsilon * sd * signs * inside
            kept = (_predicted(influence, moved) == classes).cpu().numpy()
            measured = _compared(before, influence.of(moved, labels), np.asarray(training), options)
            parts.append(known.assign(epsilon=epsilon, kind=kind, kept=kept, **measured))
    return pd.concat(parts, ignore_index=True)


def _compared(before: torch.Tensor, after: torch.Tensor, training: np.ndarray, options: Options) -> dict[str, Any]:
    """Return the columns that compare influences, each shape (n, training maps)."""
    top, left = (most(values, options.influential, options.top).cpu().numpy() for values in (before, after))
    acted = most(before, options.influential, options.attacked)
    spearman = pearson(*(ranks(values.cpu().numpy()) for values in (before, after)))
    return {
        "spearman": spearman,
        "reason": np.where(np.isnan(spearman), CONSTANT, ""),
        "overlap": [len(set(a) & set(b)) for a, b in zip(top, left, strict=True)],
        "before": [training[places].tolist() for places in top],
        "after": [training[places].tolist() for places in left],
        "attacked_before": before.gather(1, acted).mean(dim=1).cpu().numpy(),
        "attacked_after": after.gather(1, acted).mean(dim=1).cpu().numpy(),
    }


def _predicted(influence: Influence, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return influence.decoder.network(x).argmax(dim=1)
