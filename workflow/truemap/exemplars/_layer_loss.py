"""Cross-entropy of a linear layer in closed form: its gradient, its Hessian, and its optimum."""

from __future__ import annotations

import torch

from truemap.runtime.files import DataError

#: Maps whose features are held in float64, and weighted, at a time.
CHUNK = 1024
#: The search for an optimum ends where the gradient is this share of what it is for weights of 0; Newton steps at most.
FLAT, STEPS = 1e-10, 100
#: Steps that it takes, about.
TYPICAL = 10
#: A step is taken if it gains this share of what its slope promises (Armijo), else halved, so many times at most.
ARMIJO, HALVINGS = 1e-4, 60
#: Numbers of the same size, to float64: at the optimum a step's gain is below what the objective can show.
ROUNDING = 1e-14


def residuals(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return p - y, the gradient of the cross-entropy -log p_y with respect to the logits, shape (n, classes).

    That of the true class is minus the sum of the other probabilities: where p rounds to 1, p - 1 would be 0.
    """
    others = torch.softmax(logits, dim=1).scatter(1, labels[:, None], 0.0)
    return others.scatter(1, labels[:, None], -others.sum(dim=1, keepdim=True))


def hessian(features: torch.Tensor, logits: torch.Tensor, damping: float) -> torch.Tensor:
    """Return the Hessian of the mean cross-entropy with respect to the weights of the layer, plus damping.

    .. math:: H = \\frac{1}{n} \\sum_i (\\mathrm{diag}\\, p_i - p_i p_i^\\top) \\otimes f_i f_i^\\top + \\lambda I

    Labels do not occur in it.

    Parameters
    ----------
    features : Tensor, shape (n, features)
    logits : Tensor, shape (n, classes), float64
    damping : float
        Lambda.

    Returns
    -------
    Tensor, shape (classes * features, classes * features), float64
        Parameters in the order of a matrix (classes, features), row by row.
    """
    count, classes, width = len(features), logits.shape[1], features.shape[1]
    found = logits.new_zeros(classes, width, classes, width)
    for rows in torch.arange(count, device=logits.device).split(CHUNK):
        f, p = features[rows].double(), torch.softmax(logits[rows], dim=1)
        for c in range(classes):
            for d in range(c + 1):
                weight = p[:, c] * (float(c == d) - p[:, d])
                found[c, :, d, :].addmm_((f * weight[:, None]).T, f, alpha=1 / count)
    for c in range(classes):
        for d in range(c):
            found[d, :, c, :] = found[c, :, d, :].T
    flat = found.view(classes * width, classes * width)
    flat.diagonal().add_(damping)
    return flat


def layer_sums(count: int, width: int, classes: int) -> float:
    """Return about how many products are added up to find a layer's `optimum`, for what it will take.

    Each of `TYPICAL` Newton steps builds a Hessian, (classes * (classes + 1) / 2) products of (width, n) by (n, width),
    and factorises it; of more features than maps, n is their width (`truemap.exemplars.influence.influence_of`).
    """
    width = min(count, width)
    return TYPICAL * (classes * (classes + 1) / 2 * count * width**2 + (classes * width) ** 3 / 6)


def objective(weights: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, damping: float) -> torch.Tensor:
    """Return the mean cross-entropy plus lambda/2 times the sum of squared weights, bias included."""
    logits = features @ weights.T
    losses = logits.logsumexp(dim=1) - logits.gather(1, labels[:, None])[:, 0]
    return losses.mean() + damping / 2 * weights.square().sum()


def slope(weights: torch.Tensor, features: torch.Tensor, labels: torch.Tensor, damping: float) -> torch.Tensor:
    """Return the gradient of `objective` with respect to the weights, shape (classes, features)."""
    return residuals(features @ weights.T, labels).T @ features / len(features) + damping * weights


def optimum(features: torch.Tensor, labels: torch.Tensor, classes: int, damping: float) -> torch.Tensor:
    """Return the weights of least `objective`, shape (classes, features): there is one, as lambda > 0.

    Newton's method from weights of 0, each step halved until it gains: what is found hangs on nothing but the data.

    Parameters
    ----------
    features : Tensor, shape (n, features), float64
    labels : Tensor of int, shape (n,)

    Raises
    ------
    DataError
        If it does not come to an end, as with features that are not finite.
    """
    weights = features.new_zeros(classes, features.shape[1])
    first = slope(weights, features, labels, damping).norm()
    for _ in range(STEPS):
        gradient = slope(weights, features, labels, damping)
        if gradient.norm() <= FLAT * first:
            return weights
        curvature = torch.linalg.cholesky(hessian(features, features @ weights.T, damping))
        step = torch.cholesky_solve(gradient.flatten()[:, None], curvature).view_as(weights)
        weights = _shortened(weights, step, (gradient * step).sum(), features, labels, damping)
    raise DataError(
        f"influence: the last layer's optimum was not found in {STEPS} Newton steps. A larger `damping` makes it "
        "easier to find; if the maps' features are extreme, train with `l2` or look at the training's log."
    )


def _shortened(
    weights: torch.Tensor,
    step: torch.Tensor,
    promised: torch.Tensor,
    features: torch.Tensor,
    labels: torch.Tensor,
    damping: float,
) -> torch.Tensor:
    """Return the weights after a step down, halved until the objective falls as it should."""
    now, share = objective(weights, features, labels, damping), 1.0
    for _ in range(HALVINGS):
        candidate = weights - share * step
        after = objective(candidate, features, labels, damping)
        if after <= now - ARMIJO * share * promised + ROUNDING * now.abs():
            return candidate
        share /= 2
    return weights
