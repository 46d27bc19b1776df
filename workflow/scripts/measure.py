"""Measure the maps of one method for a part of the test maps, each for its own class."""

from functools import partial

from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.rows import choose_explained, made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.metrics._contract import Metric
from truemap.metrics._explained import Twin
from truemap.metrics._measure import choose_measured, measured_table
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder, untrained
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    description = read_json(snakemake.input.description)
    decoder = load_decoder(snakemake.input.weights, description, device)
    batches = Batches(read_volumes(snakemake.input.maps, snakemake.input.tables), decoder.classes, device)
    training = read_volumes(snakemake.input.train_maps, snakemake.input.train_tables)
    background = read_background(snakemake.input.background)
    context = Context.of(settings["seed"], training, decoder.classes, background, device)
    saliency = method("saliency", settings["saliency"], Saliency)
    metric = method("metrics", settings["metric"], Metric)
    require(decoder, saliency.options.needs(), snakemake.wildcards.method)
    require(decoder, metric.options.needs(), snakemake.wildcards.metric)
    twin = Twin.read(*snakemake.input.twin, device) if snakemake.input.twin else None
    samples, explained = batches.volumes.table, settings["explained"]
    rows = choose_measured(samples, explained, settings["measured"], settings["seed"])
    every = len(choose_explained(samples, explained, settings["seed"]))
    log.info("%d of %d explained maps are measured", len(rows), every)
    table = measured_table(
        decoder, batches, saliency, context, metric, read_grid(snakemake.input.grid).mask, rows, settings["memory"],
        partial(untrained, description, device=device), twin,
    )  # fmt: skip
    log.info("%d values, %d null", len(table), table["value"].isna().sum())
    with whole(snakemake.output[0]) as path:
        made_by(table.assign(explained=every), **of_job(snakemake.wildcards)).to_parquet(path, index=False)
