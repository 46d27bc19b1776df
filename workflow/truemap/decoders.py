"""A model's network with its weights: chosen among candidates, trained already, or planted in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from truemap.config.names import PLANTED
from truemap.config.trained import Trained
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.regions import read_regions
from truemap.data.volumes import Volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder, decoder_of, load_decoder, planted_network, read_decoder
from truemap.networks._look import look
from truemap.networks._trained import STATE_DICT, handed_over
from truemap.training._selection import chosen

Description = dict[str, Any]


def finished_decoder(
    files: Any, settings: Mapping[str, Any], splits: Mapping[str, Volumes], device: torch.device
) -> tuple[Decoder, Description, Trained | None]:
    """Return the decoder of a model, not calibrated yet.

    Parameters
    ----------
    files
        Inputs of rule ``model``: `trained` or `planted` are empty where the network is something else.
    settings : mapping
        Of rule ``model`` (`truemap.plan.settings.train.TrainSettings.model`).
    splits : mapping
        Validation and test maps.

    Returns
    -------
    decoder : Decoder
    description : dict
        What ``model.json`` says of it.
    trained : Trained or None
        What is stated of a network that is trained already.

    Raises
    ------
    DataError
        If weights that are given do not fit the data, or know test subjects.
    """
    volumes = splits["validation"]
    description = {"data": settings["data"], "network": settings["network"], "shape": list(volumes.shape)}
    description |= {"classes": sorted(volumes.table["label"].unique()), "temperature": 1.0, "calibration": "off"}
    if files.trained:
        weights = files.trained[0]
        subjects = {split: part.table["subject"].unique() for split, part in splits.items()}
        data = read_grid(files.grid), description["classes"], subjects, settings["pseudonyms"]
        trained, known = handed_over(weights, settings["network"], *data)
        description |= {**known, "chosen": "weights", "reason": "trained already"}
        return read_decoder(weights, description, device, STATE_DICT), description, trained
    if files.planted:
        decoder = _planted(files.planted, description, device)
        description |= {"chosen": PLANTED, "reason": "weights in closed form, nothing is trained"}
        return decoder, description, None
    weights, choice = chosen(files.weights, files.validation, settings)
    description |= choice
    return load_decoder(weights, description, device), description, None


def _planted(files: Sequence[str], description: Description, device: torch.device) -> Decoder:
    """Return the decoder that is planted by the regions and the class means of the training maps."""
    *places, background = files
    of_classes = read_background(background).means["all"]
    means = {label: of_classes[label] for label in description["classes"]}
    network = planted_network(description["network"], tuple(description["shape"]), read_regions(*places), means)
    return decoder_of(network, description, device)


def seen(decoder: Decoder, test: Batches, planted: bool) -> dict[str, list[str]]:
    """Return what a look at the network tells, by the first and the last test map, as ``model.json`` has it."""
    two = test.get(torch.tensor([0, len(test) - 1]))[0]
    looked = look(decoder.network, two, len(decoder.classes), decoder.kind)
    if planted:
        looked.traits.add(PLANTED)
    return looked.described()
