"""Choose a model's winner among its candidates, or take one that is trained or planted; calibrate it, and predict."""

import pandas as pd
import torch

from truemap.config.names import PLANTED
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.regions import read_regions
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import (
    decoder_of,
    load_decoder,
    planted_network,
    read_decoder,
    save_weights,
)
from truemap.networks._devices import prepare_device
from truemap.networks._look import look
from truemap.networks._trained import STATE_DICT, check_accuracy, handed_over, mirrored
from truemap.runtime.files import whole, write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.versions import versions
from truemap.training._selection import chosen, fit_temperature, predictions

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    splits = {
        split: read_volumes(snakemake.input[f"{split}_maps"], snakemake.input[f"{split}_tables"])
        for split in ("validation", "test")
    }
    volumes = splits["validation"]
    description = {"data": settings["data"], "network": settings["network"], "shape": list(volumes.shape)}
    description |= {"classes": sorted(volumes.table["label"].unique()), "temperature": 1.0, "calibration": "off"}
    trained = None
    if snakemake.input.trained:
        weights = snakemake.input.trained[0]
        subjects = {split: part.table["subject"].unique() for split, part in splits.items()}
        data = read_grid(snakemake.input.grid), description["classes"], subjects, settings["pseudonyms"]
        trained, known = handed_over(weights, settings["network"], *data)
        description |= {**known, "chosen": "weights", "reason": "trained already"}
        decoder = read_decoder(weights, description, device, STATE_DICT)
    elif snakemake.input.planted:
        *places, background = snakemake.input.planted
        of_classes = read_background(background).means["all"]
        means = {label: of_classes[label] for label in description["classes"]}
        network = planted_network(settings["network"], volumes.shape, read_regions(*places), means)
        description |= {"chosen": PLANTED, "reason": "weights in closed form, nothing is trained"}
        decoder = decoder_of(network, description, device)
    else:
        weights, choice = chosen(snakemake.input.weights, snakemake.input.validation, settings)
        description |= choice
        decoder = load_decoder(weights, description, device)
    batches = {split: Batches(part, decoder.classes, device) for split, part in splits.items()}
    two = batches["test"].get(torch.tensor([0, len(batches["test"]) - 1]))[0]
    looked = look(decoder.network, two, len(decoder.classes), decoder.kind)
    if snakemake.input.planted:
        looked.traits.add(PLANTED)
    description |= looked.described()
    logits = {split: part.logits(decoder.network, settings["memory"]) for split, part in batches.items()}
    if trained:
        check_accuracy(
            weights,
            trained,
            logits["test"].argmax(dim=1).numpy(),
            batches["test"].labels.numpy(),
            settings["accuracy_within"],
            lambda: mirrored(decoder.network, batches["test"], read_grid(snakemake.input.grid), settings["memory"]),
        )
    if settings["calibrate"]:
        fit = fit_temperature(logits["validation"].numpy(), batches["validation"].labels.numpy())
        description["temperature"], description["calibration"] = fit
    log.info(
        "chosen: %s (%s); T = %.4f (%s)",
        *(description[key] for key in ("chosen", "reason", "temperature", "calibration")),
    )

    p = {split: torch.softmax(values / description["temperature"], dim=1).numpy() for split, values in logits.items()}
    tables = [predictions(part.table, p[split], decoder.classes) for split, part in splits.items()]
    with whole(snakemake.output.predictions) as path:
        made_by(pd.concat(tables, ignore_index=True), **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    save_weights(snakemake.output.weights, decoder.network)
    write_json(snakemake.output.description, {**description, "versions": versions()})
