"""Train a network again on permuted labels, with the options that were chosen for it."""

from dataclasses import replace

from truemap.data.rows import permuted_labels
from truemap.data.volumes import read_volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import save_weights
from truemap.networks._devices import prepare_device
from truemap.numerics import derive_seed
from truemap.runtime.files import read_json, write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.versions import versions
from truemap.training._checkpoint import Checkpoint, checkpoint_key
from truemap.training._loop import accuracy, trained
from truemap.training._passes import at_once

#: What of a network holds for its twin: the temperature too, as for networks that are randomised.
KNOWN = ("network", "shape", "classes", "temperature", "traits", "activations")

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    known, seed = read_json(snakemake.input.description), derive_seed(settings["seed"], "permuted labels")
    maps, test = (
        read_volumes(snakemake.input[f"{split}_maps"], snakemake.input[f"{split}_tables"])
        for split in ("train", "test")
    )
    drawn = replace(maps, table=maps.table.assign(label=permuted_labels(maps.table, seed)))
    permuted, own, test = (Batches(part, known["classes"], device) for part in (drawn, maps, test))
    training = {**known["training"], "epochs": settings["epochs"] or known["training"]["epochs"]}
    twin = {"network": known["network"], "training": training, "seed": seed}
    checkpoint = Checkpoint(snakemake.params.checkpoint, checkpoint_key(snakemake.params, snakemake.input))
    # Of the labels that it is to learn its history tells, not of new maps: for these it can have learnt nothing.
    network, history = trained(twin, len(known["classes"]), permuted, permuted, checkpoint)
    network.requires_grad_(False)
    asked = {"permuted": permuted, "true": own, "test": test}
    found = {name: accuracy(network, part, at_once(training)) for name, part in asked.items()}
    log.info("accuracy %.4f on the permuted labels, %.4f on the true ones, %.4f on test maps", *found.values())
    save_weights(snakemake.output.weights, network)
    description = {key: known[key] for key in KNOWN} | {"training": training, "accuracy": found}
    write_json(snakemake.output.description, {**description, "versions": versions()})
    checkpoint.remove()
