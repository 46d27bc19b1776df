"""Train a network again without a share of the voxels, with the options that were chosen for it, and test it."""

import torch
from safetensors.torch import load_file

from truemap.attacks._measure import choose_maps
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.rows import KEYS, made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.metrics._roar import at_random, removed, removed_voxels
from truemap.networks._batches import Batches
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.training._checkpoint import Checkpoint, checkpoint_key
from truemap.training._loop import trained
from truemap.training._passes import at_once

with job(snakemake) as settings:
    device, files = prepare_device(settings["device"], settings["threads"]), snakemake.input
    known, inside = read_json(files.description), read_grid(files.grid).mask
    mean, voxels, fraction = read_background(files.background).mean, int(inside.sum()), settings["fraction"]
    ranking, parts, constant = load_file(files.order[0]) if files.order else {}, {}, {}
    for split in ("train", "test"):
        volumes = read_volumes(files[f"{split}_maps"], files[f"{split}_tables"])
        rows = choose_maps(volumes.table, settings[split], settings["seed"])
        samples = volumes.table["sample"].iloc[rows].tolist()
        order = ranking[split] if ranking else at_random(voxels, samples, settings["seed"])
        constant[split] = ranking.get(f"{split}_constant", torch.zeros(len(rows), dtype=torch.bool)).numpy()
        parts[split] = Batches(removed(volumes, rows, order, fraction, mean, inside), known["classes"], device)
    network = {"network": known["network"], "training": known["training"], "seed": settings["start"]}
    checkpoint = Checkpoint(snakemake.params.checkpoint, checkpoint_key(snakemake.params, snakemake.input))
    # Nothing is chosen by what the network says of test maps on the way.
    network, _ = trained(network, len(known["classes"]), parts["train"], parts["test"], checkpoint)
    size = at_once(known["training"])
    found = parts["test"].logits(network, at_most=size).argmax(dim=1).numpy()
    table = parts["test"].volumes.table[KEYS].assign(predicted=[known["classes"][number] for number in found])
    table = table.assign(correct=table["predicted"] == table["label"], constant=constant["test"])
    counts = {"removed": removed_voxels(fraction, voxels), "voxels": voxels, "training": len(parts["train"])}
    table = table.assign(**counts, constant_training=int(constant["train"].sum()))
    log.info("without %d of %d voxels: accuracy %.4f", counts["removed"], voxels, table["correct"].mean())
    with whole(snakemake.output[0]) as path:
        made_by(table, **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    checkpoint.remove()
