"""Choose a model's winner among its candidates, or take one that is trained or planted; calibrate it, and predict."""

import pandas as pd
import torch

from truemap.data.grid import read_grid
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.decoders import finished_decoder, seen
from truemap.networks._batches import Batches
from truemap.networks._decoder import save_weights
from truemap.networks._devices import prepare_device
from truemap.networks._trained import check_accuracy, mirrored
from truemap.runtime.files import whole, write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.versions import versions
from truemap.training._selection import fit_temperature, predictions

with job(snakemake) as settings:
    files, memory = snakemake.input, settings["memory"]
    device = prepare_device(settings["device"], settings["threads"])
    names = ("validation", "test")
    splits = {split: read_volumes(files[f"{split}_maps"], files[f"{split}_tables"]) for split in names}
    decoder, description, trained = finished_decoder(files, settings, splits, device)
    batches = {split: Batches(part, decoder.classes, device) for split, part in splits.items()}
    description |= seen(decoder, batches["test"], planted=bool(files.planted))
    logits = {split: part.logits(decoder.network, memory) for split, part in batches.items()}
    if trained:
        predicted, labels = logits["test"].argmax(dim=1).numpy(), batches["test"].labels.numpy()
        stated = files.trained[0], trained, predicted, labels, settings["accuracy_within"]
        check_accuracy(*stated, lambda: mirrored(decoder.network, batches["test"], read_grid(files.grid), memory))
    if settings["calibrate"]:
        fit = fit_temperature(logits["validation"].numpy(), batches["validation"].labels.numpy())
        description["temperature"], description["calibration"] = fit
    said = [description[key] for key in ("chosen", "reason", "temperature", "calibration")]
    log.info("chosen: %s (%s); T = %.4f (%s)", *said)

    p = {split: torch.softmax(values / description["temperature"], dim=1).numpy() for split, values in logits.items()}
    tables = [predictions(part.table, p[split], decoder.classes) for split, part in splits.items()]
    with whole(snakemake.output.predictions) as path:
        made_by(pd.concat(tables, ignore_index=True), **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    save_weights(snakemake.output.weights, decoder.network)
    write_json(snakemake.output.description, {**description, "versions": versions()})
