"""Whether models fit the data, and how long their jobs will take, before one is trained."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from truemap.cost.fits import check_methods
from truemap.cost.noise import noise
from truemap.cost.parts import PARTS
from truemap.cost.stopwatch import Stopwatch
from truemap.cost.trial import TOGETHER, Given, Settings, Trial
from truemap.networks._batches import Batches
from truemap.networks._decoder import build_network, read_decoder
from truemap.networks._trained import STATE_DICT, handed_over
from truemap.runtime.files import DataError
from truemap.runtime.log import log


class Costs:
    """What models cost on maps of one shape.

    Parameters
    ----------
    given : Given
    device : torch.device
    """

    def __init__(self, given: Given, device: torch.device) -> None:
        self._given, self._device, self._watch = given, device, Stopwatch(device)
        needed = max(len(given.classes), TOGETHER)
        wanted = max(needed, *(given.minibatch(model) for model in given.settings["models"].values()))
        self._noise = noise(given.grid.shape, given.classes, wanted, needed, given.settings["seed"])

    def of(self, name: str) -> dict[str, Any]:
        """Return what a model costs.

        Returns
        -------
        dict
            ``model, parameters, multiply_adds`` (of one pass of one map), and of all its jobs ``training_seconds,
            retraining_seconds`` (on permuted labels, without voxels), ``explaining_seconds, measuring_seconds`` (of
            anchors too: at most), ``regions_seconds`` (to put them back), ``attacking_seconds`` (of maps: at most),
            ``influence_seconds`` (of training maps), ``angles_seconds`` (of directions: at most),
            ``robustness_seconds`` (at most); NaN where a method could not work on noise.

        Raises
        ------
        DataError
            If the network cannot have maps of this shape, or a method cannot work with the network; or if weights that
            are given are of other classes, layers or maps, or know test subjects.
        """
        model = self._given.settings["models"][name]
        try:
            network = self._network(model)
            batches = Batches(self._noise, self._given.classes, self._device)
            trial = Trial(self._given, model, network, batches, self._watch)
            check_methods(trial)
        except DataError as error:
            raise DataError(f"model {name}: {error}") from None
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(trial.some(1)[0])
        found = {f"{part}_seconds": _tried(f"{name}, {part}", of, trial) for part, (of, _) in PARTS.items()}
        size = sum(parameter.numel() for parameter in network.parameters())
        return {"model": name, "parameters": size, "multiply_adds": counter.get_total_flops() // 2, **found}

    def _network(self, model: Settings) -> nn.Module:
        """Return the network, new or with the weights that are given."""
        given = self._given
        try:
            # All files are looked at; what one costs, each does.
            for weights in model["weights"]:
                data = given.grid, given.classes, given.subjects, model["pseudonyms"]
                _, known = handed_over(weights, model["network"], *data)
                network = read_decoder(weights, known, self._device, STATE_DICT).network
            if not model["weights"]:
                network = build_network(model["network"], given.grid.shape, len(given.classes)).to(self._device)
        except DataError:
            raise
        except ValueError as error:
            raise DataError(f"{error}. Choose another network, or other maps.") from None
        return network


def _tried(what: str, part: Callable[[Trial], float], trial: Trial) -> float:
    """Return the seconds of a part; NaN, with a line in the log, where its method does not work on noise."""
    level = log.level
    log.setLevel(logging.WARNING)  # what methods tell of noise is of no use
    try:
        return part(trial)
    except DataError:
        raise
    # A user's method may need more of the data than noise has.
    except Exception as error:
        log.warning("%s: not known, as it does not work on noise (%s: %s)", what, type(error).__name__, error)
        return math.nan
    finally:
        log.setLevel(level)


def sentence(cost: Mapping[str, Any], asked: bool) -> str:
    """Return the cost of a model in words.

    Parameters
    ----------
    cost : mapping
        As `Costs.of` gives it.
    asked : bool
        Whether robust accuracy was asked for.
    """
    known = {part: cost[f"{part}_seconds"] for part in PARTS}
    told = {part for part in PARTS if known[part] and part != "robustness"} | {"training", "explaining"}
    told |= {"robustness"} if asked else set()
    said = [words.format(_words(known[part])) for part, (_, words) in PARTS.items() if part in told]
    said += [] if asked else ["robust accuracy not asked for"]
    return (
        f"{cost['model']}: about {_words(sum(known.values()))} on this machine, one job at a time: {', '.join(said)} "
        f"({cost['parameters']:,} parameters, {cost['multiply_adds']:,} multiply-adds a map)"
    )


def _words(seconds: float) -> str:
    if math.isnan(seconds):
        return "an unknown time"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 100 * 60 else f"{seconds / 3600:.1f} hours"
