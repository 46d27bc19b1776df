"""Which training maps a prediction hangs on: influence functions (Koh and Liang 2017) on the last layer."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import torch
from pydantic import Field

from truemap.config.options import MethodOptions, Positive
from truemap.exemplars._layer_loss import hessian, optimum, residuals, slope
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.networks._last import LastLayer, last_layer
from truemap.runtime.files import DataError

#: Features of training maps at most, in numbers: 0.8 GB.
FEATURES = 100_000_000
#: Parameters of the last layer at most, after what no training map has is left out: their Hessian has 0.8 GB then.
PARAMETERS = 10_000


class Options(MethodOptions):
    """Damping, and whether the last layer is brought to its optimum first."""

    damping: Positive = Field(
        description="lambda, added to the diagonal of the Hessian. There is no default: without it the Hessian has no "
        "inverse (logits that all rise alike change no probability; features that no training map has change no loss), "
        "and every influence hangs on it. It is at the same time the L2 penalty, lambda/2 times the sum of squared "
        "weights of the last layer and its biases, of the optimum that influences are about"
    )
    refit: bool = Field(
        False,
        description="bring the last layer to its L2 optimum on the training maps first (the layers before it stay): "
        "the closed form asks what would become of an optimum, and training stops short of one. The influences are "
        "then those of another network, whose predictions may differ a little; false: of the network as it is",
    )


@dataclass(frozen=True)
class Influence:
    """Influences of training maps on the loss of others, by the weights of the last layer alone.

    The loss is the cross-entropy as it is trained, of softmax(z): the temperature, which is set after training, is not
    in it. All is float64.

    Attributes
    ----------
    decoder : Decoder
        With the last layer that influences are of; refitted, if that was asked for.
    last : LastLayer
        Of its network.
    features : Tensor, shape (n, k)
        Of the training maps, in `basis`.
    residuals : Tensor, shape (n, classes)
        p - y of the training maps.
    basis : Tensor, shape (features, k), or None
        Orthonormal directions that hold all training maps' features; None where these are all there are.
    factor : Tensor, shape (classes * k, classes * k)
        Cholesky factor of the damped Hessian.
    slope : float
        Gradient of the objective whose optimum is presumed, as a share of that at weights of 0: 0 at the optimum.
    agreement : float
        Share of training maps of which the decoder predicts the class that it did before it was refitted.
    """

    decoder: Decoder
    last: LastLayer
    features: torch.Tensor
    residuals: torch.Tensor
    basis: torch.Tensor | None
    factor: torch.Tensor
    slope: float
    agreement: float

    def of(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Return the influence of each training map on the loss of each map, shape (n, training maps).

        .. math:: I(z_i, z_t) = -\\nabla_\\theta L(z_t)^\\top H^{-1} \\nabla_\\theta L(z_i)

        (eq. 3 of Ghorbani et al. 2019, with its sign): what a larger weight of training map i does to the loss of map
        t. Negative is helpful: with more of i, the loss of t falls. To leave i out of n changes it by -I / n at first
        order; exactly by more, and not in proportion, where the layer has about as many features as there are maps.

        Parameters
        ----------
        x : Tensor, shape (n, *shape)
        labels : Tensor of int, shape (n,)
            Classes of whose loss influences are told: the true ones, or those predicted.
        """
        with torch.no_grad():
            features, pulls = self._parts(x, labels)
            solved = self.solve(pulls[:, :, None] * features[:, None, :])
            return -(torch.einsum("tck,ik->tic", solved, self.features) * self.residuals).sum(dim=2)

    def towards(
        self, x: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, held: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return a weighted sum of each map's influences, shape (n,), and its gradient, shape (n, *shape).

        Only the gradient of the loss of the map itself depends on it (eq. 4); what comes before the last layer is
        differentiated by backpropagation.

        Parameters
        ----------
        weights : Tensor, shape (n, training maps)
        held : bool
            Whether the gradient is that for p - y of the map held at what it is, with only its features moving.
        """
        pushed = weights.double()[:, :, None] * self.residuals
        solved = self.solve(torch.einsum("tic,ik->tck", pushed, self.features))
        with torch.enable_grad():
            x = x.detach().requires_grad_(True)
            features, pulls = self._parts(x, labels)
            pulls = pulls.detach() if held else pulls
            sums = -torch.einsum("tck,tk->tc", solved, features).mul(pulls).sum(dim=1)
            (gradient,) = torch.autograd.grad(sums.sum(), x)
        return sums.detach(), gradient

    def solve(self, gradients: torch.Tensor) -> torch.Tensor:
        """Return H^-1 g for gradients of shape (n, classes, k)."""
        return torch.cholesky_solve(gradients.flatten(1).T, self.factor).T.view_as(gradients)

    def _parts(self, x: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features in the basis and p - y: the gradient by the weights is the one times the other."""
        features = self.last.features(x)
        pulls = residuals(features @ self.last.weights.T, labels)
        return features if self.basis is None else features @ self.basis, pulls


def influence_of(decoder: Decoder, training: Batches, options: Options, rows: torch.Tensor | None = None) -> Influence:
    """Return the influences of training maps: their features, one Hessian, one factorisation.

    Features are taken in an orthonormal basis of what the training maps span, where that is less than all: outside it
    the Hessian is lambda alone and every training map's gradient is 0, so no influence changes. A linear network on
    400 maps of 14,812 voxels and 7 classes has 2,800 parameters then in place of 103,691.

    Parameters
    ----------
    training : Batches
        The maps that the decoder was trained on; read in parts.
    rows : Tensor of int, optional
        Positions of those whose influences are told, and by which the optimum is: all others are as if they were not.

    Raises
    ------
    DataError
        If the network does not end with a linear layer, or features or Hessian are too large to be held.
    """
    rows = torch.arange(len(training)) if rows is None else rows
    last = last_layer(decoder.network, training.get(rows[:1])[0].to(_precision(decoder)), "influence")
    check_held(len(rows), last.weights.shape[1], len(decoder.classes))
    with torch.no_grad():
        features = torch.cat([last.features(training.get(part)[0]) for part in training.chunks(rows)])
    labels = training.labels[rows].to(features.device)
    basis = torch.linalg.qr(features.T)[0] if len(features) < features.shape[1] else None
    known = features if basis is None else features @ basis
    before = features @ last.weights.T
    if options.refit:
        weights = optimum(known, labels, len(decoder.classes), options.damping)
        decoder, last = _refitted(decoder, last, weights if basis is None else weights @ basis.T)
    logits = features @ last.weights.T
    factor = torch.linalg.cholesky(hessian(known, logits, options.damping))
    flat = slope(last.weights, features, labels, options.damping).norm()
    start = slope(torch.zeros_like(last.weights), features, labels, options.damping).norm()
    agreement = (logits.argmax(dim=1) == before.argmax(dim=1)).double().mean().item()
    return Influence(decoder, last, known, residuals(logits, labels), basis, factor, (flat / start).item(), agreement)


def check_held(maps: int, width: int, classes: int) -> None:
    """Refuse more than is held: features of training maps, of so many each, and the Hessian of a layer on them.

    Raises
    ------
    DataError
        The message says what to set.
    """
    if maps * width > FEATURES:
        raise DataError(
            f"influence: {maps} training maps have {width} features each before the last layer, and at most {FEATURES} "
            f"numbers are held. Set `train` to {max(1, FEATURES // width)} or less, or leave influence out for this "
            "model."
        )
    count = classes * min(maps, width)
    if count > PARAMETERS:
        raise DataError(
            f"influence: the last layer has {count} parameters that {maps} training maps tell of, and the largest "
            f"Hessian that is held has {PARAMETERS} x {PARAMETERS} numbers. Leave influence out for this model, set "
            "`train` to fewer maps, or take a network with fewer features before its last layer."
        )


def _precision(decoder: Decoder) -> torch.dtype:
    return next(decoder.network.parameters()).dtype


def _refitted(decoder: Decoder, last: LastLayer, weights: torch.Tensor) -> tuple[Decoder, LastLayer]:
    """Return a decoder with other weights in its last layer, and that layer; the one that came is left alone."""
    copies: dict[int, Any] = {}
    network = copy.deepcopy(decoder.network, copies)
    layer = copies[id(last.layer)]
    with torch.no_grad():
        layer.weight.copy_(weights[:, : layer.in_features])
        if layer.bias is not None:
            layer.bias.copy_(weights[:, -1])
    found = LastLayer(network, layer)
    # A layer may compute its weights from others (torch's parametrizations): what was set is lost then.
    if not torch.allclose(found.weights, weights, rtol=1e-5, atol=1e-6 * weights.abs().max().item()):
        raise DataError(
            "influence: `refit` cannot set the weights of the last layer, which computes them from others (a "
            "parametrization such as spectral_norm). Set `refit: false`, or remove the parametrization."
        )
    return replace(decoder, network=network), found
