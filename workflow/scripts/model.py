"""Choose a model's winner among its candidates, calibrate it, and predict."""

from pathlib import Path

import pandas as pd
import torch

from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder, save_weights
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole, write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.versions import versions
from truemap.training._selection import choose, fit_temperature, predictions

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    found = {Path(path).parent.name: read_json(path) for path in snakemake.input.validation}
    winner, reason = choose(found, settings["strength"], settings["tolerance"])
    splits = {
        split: read_volumes(snakemake.input[f"{split}_maps"], snakemake.input[f"{split}_tables"])
        for split in ("validation", "test")
    }
    volumes = splits["validation"]
    description = {
        "network": settings["network"],
        "shape": list(volumes.shape),
        "classes": sorted(volumes.table["label"].unique()),
        "chosen": winner,
        "reason": reason,
        "training": found[winner]["training"],
        "candidates": {name: {key: entry[key] for key in ("nll", "accuracy")} for name, entry in found.items()},
        "temperature": 1.0,
        "calibration": "off",
        "versions": versions(),
    }
    weights = next(path for path in snakemake.input.weights if Path(path).parent.name == winner)
    decoder = load_decoder(weights, description, device)
    batches = {split: Batches(part, decoder.classes, device) for split, part in splits.items()}
    logits = {split: part.logits(decoder.network) for split, part in batches.items()}
    if settings["calibrate"]:
        fitted = fit_temperature(logits["validation"].numpy(), batches["validation"].labels.numpy())
        description["temperature"], description["calibration"] = fitted
    log.info("chosen: %s (%s); T = %.4f (%s)", winner, reason, description["temperature"], description["calibration"])

    p = {split: torch.softmax(values / description["temperature"], dim=1).numpy() for split, values in logits.items()}
    tables = [predictions(part.table, p[split], decoder.classes) for split, part in splits.items()]
    with whole(snakemake.output.predictions) as path:
        made_by(pd.concat(tables, ignore_index=True), **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    save_weights(snakemake.output.weights, decoder.network)
    write_json(snakemake.output.description, description)
