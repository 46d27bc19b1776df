"""Angles between what changes a prediction and what changes its explanation (Ghorbani et al. 2019, section 5, Fig. 7).

Any two directions of a space of thousands of voxels are nearly orthogonal, so each angle stands beside what random
directions have there. That is a low bar: all gradients of a network with few units lie in the few directions that these
units read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from truemap.evaluation.curvature import score, steepest
from truemap.evaluation.random_directions import KINDS, random_angle, random_share
from truemap.exemplars.attack import most
from truemap.exemplars.influence import Influence
from truemap.geometry import direction, lengths, unit_vectors
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.numerics import derive_seed
from truemap.saliency._writer import in_chunks
from truemap.training._objective import negative_log_probability

#: What of a sample stands in the table.
COLUMNS = ["sample", "subject", "label"]
#: Graphs that a product with a Hessian holds, where a map has one: the network's, its gradient's, and what passes back.
GRAPHS = 4
#: Maps that are searched together, at most: all go on until the last one has converged.
TOGETHER = 8
#: Why there is no angle.
FLAT = "the score has no curvature here, as a network of ReLUs or a linear one has none: soften it first"
LEVEL = "the score does not change here: its gradient is zero"
UNMOVED = "the loss, or the influence, does not change here: its gradient is zero"


def angle(a: torch.Tensor, b: torch.Tensor, signed: bool) -> np.ndarray:
    """Return the angle between each pair of rows in degrees, shape (n,); NaN where a row is zero.

    Parameters
    ----------
    a, b : Tensor, shape (n, *shape)
    signed : bool
        False for directions whose sign says nothing: 0 to 90 in place of 0 to 180.
    """
    u, v = (direction(part.double()) for part in (a, b))
    # By differences and sums of unit vectors (Kahan), as the arc cosine loses small angles.
    apart, together = lengths(u - v), lengths(u + v)
    if not signed:
        apart, together = torch.minimum(apart, together), torch.maximum(apart, together)
    found = torch.rad2deg(2 * torch.atan2(apart, together))
    zero = (lengths(u) == 0) | (lengths(v) == 0)
    return found.masked_fill(zero, torch.nan).cpu().numpy()


def saliency_angles(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    inside: torch.Tensor,
    seed: int,
    output: Literal["logit", "probability"] = "logit",
    iterations: int = 500,
    tolerance: float = 1e-3,
) -> pd.DataFrame:
    """Return the angle between a score's gradient and the direction that changes that gradient most (Fig. 7a).

    Both within the mask: what does not vary cannot be attacked.

    Parameters
    ----------
    decoder : Decoder
        Smooth (`truemap.networks._soft.softened`); of a ReLU network's logits all angles are null.
    x : Tensor, shape (n, *shape)
    targets : Tensor of int, shape (n,)
        Class whose score it is; the paper takes the predicted one.
    samples : sequence of int
        Sample ids, for the start of the search.
    inside : Tensor of bool, shape ``shape``
        The mask.

    Returns
    -------
    DataFrame
        ``sample``; ``angle`` in degrees, 0 to 90, null with a ``reason``; ``dimension``; ``share`` of random directions
        of that dimension that are nearer, and their median angle ``random``; ``value``, the largest singular value (of
        a probability in units of p (1 - p)); ``iterations``, ``residual`` and ``converged`` (residual at most
        `tolerance`) of the search.
    """
    gradient, product = score(decoder, x, targets, output)
    sources = (torch.Generator().manual_seed(derive_seed(seed, "angles", sample)) for sample in samples)
    start = torch.cat([unit_vectors(x[:1], source) for source in sources])
    found = steepest(lambda v: product(v * inside) * inside, direction(start * inside), iterations, tolerance)
    degrees = angle(gradient * inside, found.directions, signed=False)
    curved = (found.values > 0).cpu().numpy()
    return _table(samples, np.where(curved, degrees, np.nan), int(inside.sum()), False).assign(
        reason=np.where(curved, np.where(np.isnan(degrees), LEVEL, ""), FLAT),
        value=found.values.cpu().numpy(),
        iterations=found.iterations.cpu().numpy(),
        residual=found.residuals.cpu().numpy(),
        converged=(found.residuals <= tolerance).cpu().numpy(),
    )


def influence_angles(
    influence: Influence,
    x: torch.Tensor,
    labels: torch.Tensor,
    samples: Sequence[int],
    inside: torch.Tensor,
    influential: str = "helpful",
) -> pd.DataFrame:
    """Return the angle between the gradient of the loss and that of the most influential map's influence (Fig. 7b).

    Parameters
    ----------
    x, labels
        See `truemap.exemplars.influence.Influence.of`.
    influential : str
        See the option of `truemap.exemplars.attack`.

    Returns
    -------
    DataFrame
        ``sample``; ``angle``, 0 to 180: of the directions in which the loss and eq. 3's influence rise; ``dimension``,
        ``share``, ``random`` and ``reason`` as in `saliency_angles`; ``wrong``, 1 - p of the label; ``held``, the angle
        with p - y of the map held at what it is (`truemap.exemplars.influence.Influence.towards`).

    Notes
    -----
    Of two classes both gradients are proportional to q = 1 - p of the label. With m the other logit less the label's, L
    = -log p, f the map's features and a what H^-1 times the training map's gradient, class against class, gives of f:

    .. math:: \\nabla L = q \\nabla m, \\quad I = -q a, \\quad \\nabla I = \\frac{1 - q}{q} I \\nabla L - q \\nabla a

    The first part lies along the loss, against it for a helpful map (I < 0): an influence is proportional to q, which a
    step along the loss multiplies. Only the second, where q is held, is of the training map.
    """
    known = influence.of(x, labels)
    weights = torch.zeros_like(known).scatter(1, most(known, influential, 1), torch.ones_like(known))
    ways = [influence.towards(x, labels, weights, held)[1] * inside for held in (False, True)]
    with torch.enable_grad():
        at = x.detach().requires_grad_(True)
        losses = negative_log_probability(influence.decoder.network(at), labels)
        (of_loss,) = torch.autograd.grad(losses.sum(), at)
    degrees, held = (angle(of_loss * inside, way, signed=True) for way in ways)
    found = _table(samples, degrees, int(inside.sum()), True)
    wrong = -torch.expm1(-losses.detach().double())
    return found.assign(reason=np.where(np.isnan(degrees), UNMOVED, ""), wrong=wrong.cpu().numpy(), held=held)


def angle_table(
    soft: Decoder,
    influence: Influence,
    tested: Batches,
    rows: np.ndarray,
    inside: torch.Tensor,
    asked: Mapping[str, Any],
    seed: int,
    megabytes: float,
) -> pd.DataFrame:
    """Return both angles of some maps, a row a map and kind.

    Parameters
    ----------
    soft : Decoder
        The softplus network, of which angles of scores are: of the class that it predicts.
    influence : Influence
        Of the decoder itself, of which angles of influences on the loss of a map's own class are.
    rows : ndarray of int
        Positions in ``tested.volumes``.
    asked : mapping
        ``iterations, tolerance`` of the power iteration.
    megabytes : float
        See `truemap.saliency._writer.chunk_size`.

    Returns
    -------
    DataFrame
        ``sample, subject, label, kind`` (``saliency`` or ``influence``), ``target``, and the columns of
        `saliency_angles` and `influence_angles`; null where a kind has none.
    """
    search = asked["iterations"], asked["tolerance"]

    def tell(x: torch.Tensor, labels: torch.Tensor, table: pd.DataFrame) -> pd.DataFrame:
        known, samples = table[COLUMNS].reset_index(drop=True), table["sample"].tolist()
        with torch.no_grad():
            predicted = soft.network(x).argmax(dim=1)
        of_maps = saliency_angles(soft, x, predicted, samples, inside, seed, "logit", *search)
        of_influences = influence_angles(influence, x, labels, samples, inside)
        parts = []
        for kind, targets, found in zip(KINDS, (predicted, labels), (of_maps, of_influences), strict=True):
            names = [soft.classes[number] for number in targets.tolist()]
            parts.append(known.assign(kind=kind, target=names).join(found.drop(columns="sample")))
        return pd.concat(parts, ignore_index=True)

    parts = list(in_chunks(soft, tested, rows, megabytes / GRAPHS, tell, TOGETHER))
    found = pd.concat(parts, ignore_index=True).sort_values(["kind", "sample"], kind="stable", ignore_index=True)
    return found.astype({"converged": "boolean"})


def _table(samples: Sequence[int], degrees: np.ndarray, dimension: int, signed: bool) -> pd.DataFrame:
    """Return the columns that both tables have, angles beside random ones."""
    share, middle = random_share(degrees, dimension, signed), random_angle(0.5, dimension, signed)
    columns = {"sample": list(samples), "angle": degrees, "dimension": dimension}
    return pd.DataFrame({**columns, "share": share, "random": float(middle)})
