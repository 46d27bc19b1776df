"""Train one candidate: one model, one seed, one point of its hyperparameter grid."""

from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import save_weights
from truemap.networks._devices import prepare_device
from truemap.runtime.files import whole, write_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.training._checkpoint import Checkpoint, checkpoint_key
from truemap.training._loop import trained

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    volumes = read_volumes(snakemake.input.train_maps, snakemake.input.train_tables)
    classes = sorted(volumes.table["label"].unique())
    batches = Batches(volumes, classes, device)
    held_out = read_volumes(snakemake.input.validation_maps, snakemake.input.validation_tables)
    validation = Batches(held_out, classes, device)

    checkpoint = Checkpoint(snakemake.params.checkpoint, checkpoint_key(snakemake.params, snakemake.input))
    network, history = trained(settings, len(classes), batches, validation, checkpoint)
    last = history.iloc[-1]
    log.info("validation NLL %.4f, accuracy %.4f", last["validation_nll"], last["validation_accuracy"])
    save_weights(snakemake.output.weights, network)
    with whole(snakemake.output.history) as path:
        made_by(history, **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    write_json(
        snakemake.output.validation,
        {"nll": last["validation_nll"], "accuracy": last["validation_accuracy"], "training": settings["training"]},
    )
    checkpoint.remove()
