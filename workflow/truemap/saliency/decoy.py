"""The decoy-enhanced saliency score: the range of a method's maps over decoys (Lu et al. 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import nn

from truemap.config.options import Count, Positive
from truemap.networks._decoder import Decoder
from truemap.saliency import integrated_gradients, smoothgrad
from truemap.saliency._context import Context
from truemap.saliency._decoys import Search, blurred, deal_patches, optimised, together
from truemap.saliency._differentiable import MapsOf, averaged, class_gradient, numbers
from truemap.saliency._inpainting import inpainted
from truemap.saliency._outputs import OutputOptions, output_gradients
from truemap.saliency._scaled import Scaled


class Options(OutputOptions):
    """Method and its output, decoys and patches; optimised decoys need a network with ReLU layers."""

    inner: Literal["gradient", "smoothgrad", "integrated_gradients"] = Field(
        "gradient", description="method whose maps are compared"
    )
    inner_n: Count = Field(10, description="noisy copies of smoothgrad, points on the path of integrated_gradients")
    sigma: Positive = Field(2.0, description="sd of smoothgrad's noise, in units of the maps (z-scores)")
    decoys: Literal["blurred", "inpainted", "optimised"] = Field(
        "blurred",
        description="blurred: patches are replaced by their box blur; inpainted: by the smoothest continuation of what "
        "is around them (biharmonic; a network that inpaints, as in the paper, would have to be trained); optimised: "
        "patches are pushed up, and down, while a layer's features stay (twice as many decoys, and a search for each)",
    )
    patch: Count = Field(3, description="edge of a patch in voxels; 3 in the paper, as its convolutions")
    masks: Count | None = Field(
        12,
        description="masks a map at most; the patches are dealt to them like a chequerboard, those of one mask change "
        "together; null is one patch a mask, as in the paper (640 on 23 x 28 x 23 voxels). Costs one map of `inner` "
        "a decoy and one for the map itself",
    )
    blur: Literal[3, 5, 7, 9, 11] = Field(5, description="edge of the box blur in voxels; for blurred decoys")
    layer: Count = Field(1, description="which ReLU's features stay, counted from 1 at the input; for optimised decoys")
    steps: Count = Field(
        100, description="steps of the search; after n successes features differ by at most 0.95^(n-1) of their largest"
    )
    learning_rate: Positive = Field(
        0.01, description="Adam's step size in the search; 1 is about half the range of the training maps"
    )
    multiplier: Positive = Field(
        10.0,
        description="lambda of the search's first step, doubled at each one that fails; the paper's smallest is 10",
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> Options:
        if self.decoys == "inpainted" and self.masks == 1:
            raise ValueError("decoys: inpainted with one mask leaves nothing to continue the map from; raise `masks`")
        return self

    def needs(self) -> set[str]:
        """Optimised decoys keep the features of a ReLU; of an affine logit the gradient is the same for all decoys."""
        same = self.output == "logit" and self.inner != "integrated_gradients"
        return ({"relu", f"relu {self.layer}"} if self.decoys == "optimised" else set()) | ({"relu"} if same else set())


def explain(
    decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context
) -> torch.Tensor:
    """Return the range of each class's map over the map's decoys, itself included; no voxel is negative.

    .. math:: Z_j = \\max_i E(\\tilde x^i; f_c)_j - \\min_i E(\\tilde x^i; f_c)_j

    (eq. 7). A decoy has the sample of its map, thus the same noise in smoothgrad: with noise of its own
    Z would be the range of the noise. Only the largest and the smallest map are held.

    Parameters
    ----------
    x : Tensor, shape (n, *shape)
    samples : sequence of int
        Sample ids, for smoothgrad's noise.
    context : Context
        The training maps' range bounds optimised decoys.

    Returns
    -------
    Tensor, shape (n, classes, *shape), float64

    Raises
    ------
    ValueError
        If decoys are optimised and the network has no such ReLU layer.
    """
    highest = _inner(decoder, x, samples, options, context)
    lowest = Scaled(highest.values.clone(), highest.log)
    for decoy in population(decoder, x, options, context):
        maps = _inner(decoder, decoy, samples, options, context)
        maps.rise(highest.log)
        for extreme, function in ((highest, torch.maximum), (lowest, torch.minimum)):
            extreme.rise(maps.log)
            function(extreme.values, maps.values, out=extreme.values)
    return Scaled(highest.values - lowest.values, highest.log).numbers()


def population(decoder: Decoder, x: torch.Tensor, options: Options, context: Context) -> Iterator[torch.Tensor]:
    """Yield one decoy of each map at a time, shape (n, *shape), the same masks for all maps."""
    numbers = deal_patches(tuple(x.shape[1:]), options.patch, options.masks).to(x.device)
    masks = torch.arange(int(numbers.max()) + 1, device=x.device)
    if options.decoys == "blurred":
        blur = blurred(x, options.blur)
        for mask in masks:
            yield torch.where(numbers == mask, blur, x)
        return
    if options.decoys == "inpainted":
        for mask in masks:
            yield inpainted(x, numbers == mask)
        return
    search = Search(options.layer, options.steps, options.learning_rate, options.multiplier, context.low, context.high)
    size = together(decoder.network, x[:1], options.layer)
    for part in masks.split(size):
        chosen = numbers == part.view(-1, *[1] * numbers.ndim)
        for sign in (1, -1):
            found = [optimised(decoder.network, one, chosen, sign, search)[0] for one in x]
            yield from torch.stack(found, dim=1)


def _inner(decoder: Decoder, x: torch.Tensor, samples: Sequence[int], options: Options, context: Context) -> Scaled:
    if options.inner == "smoothgrad":
        return smoothgrad.scaled(decoder, x, samples, _inner_options(options), context)
    if options.inner == "integrated_gradients":
        return integrated_gradients.scaled(decoder, x, _inner_options(options), context)
    return output_gradients(decoder, x, options.output)


def _inner_options(options: Options) -> Any:
    """Return the options of the inner method, where it is one with options of its own."""
    if options.inner == "smoothgrad":
        return smoothgrad.Options(output=options.output, n=options.inner_n, sigma=options.sigma)
    return integrated_gradients.Options(output=options.output, steps=options.inner_n)


def differentiable(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> MapsOf:
    """Return `explain` of one class each as a function that can be differentiated.

    A blurred decoy moves with the map, its patches with the blur. An optimised one is that of the map as it is: its
    patches stay, and the rest moves; to search again at each input would cost what all else does many times.
    """
    decoys = _decoys_of(decoder, x, options, context)
    inner = _inner_of_class(decoder, x, targets, samples, options, context)

    def maps(network: nn.Module, inputs: torch.Tensor) -> torch.Tensor:
        # Each is made again for the backward pass, so that graphs of all are not held.
        def gradient(of: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return inner(network, of)

        found = [averaged(inputs, 1, lambda _, at, way=way: way(at), gradient) for way in decoys]
        top = torch.stack([log for _, log in found]).amax(dim=0)
        highest = lowest = None
        for values, log in found:
            scaled = values * (log - top).exp().view(-1, *[1] * (x.ndim - 1))
            highest = scaled if highest is None else torch.maximum(highest, scaled)
            lowest = scaled if lowest is None else torch.minimum(lowest, scaled)
        return numbers(highest - lowest, top)

    return maps


def _decoys_of(
    decoder: Decoder, x: torch.Tensor, options: Options, context: Context
) -> list[Callable[[torch.Tensor], torch.Tensor]]:
    """Return what makes each decoy of inputs, the input itself first."""
    if options.decoys == "blurred":
        numbered = deal_patches(tuple(x.shape[1:]), options.patch, options.masks).to(x.device)
        masks = [numbered == mask for mask in range(int(numbered.max()) + 1)]
        return [
            lambda at: at,
            *(lambda at, mask=mask: torch.where(mask, blurred(at, options.blur), at) for mask in masks),
        ]
    found = list(population(decoder, x, options, context))
    return [lambda at: at, *(lambda at, decoy=decoy: torch.where(decoy != x, decoy.to(at), at) for decoy in found)]


def _inner_of_class(
    decoder: Decoder,
    x: torch.Tensor,
    targets: torch.Tensor,
    samples: Sequence[int],
    options: Options,
    context: Context,
) -> Callable[[nn.Module, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    if options.inner == "smoothgrad":
        return smoothgrad.class_averages(decoder, x, targets, samples, _inner_options(options), context)
    if options.inner == "integrated_gradients":
        return integrated_gradients.class_averages(decoder, targets, _inner_options(options), context)
    return lambda network, at: class_gradient(network, at, targets, options.output, decoder.temperature)
