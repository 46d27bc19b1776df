"""Measure maps of which one knows what they are, and compare them with both truths."""

from dataclasses import replace
from functools import partial

import pandas as pd

from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.data.conditions import set_shown
from truemap.data.grid import read_grid
from truemap.data.rows import made_by
from truemap.data.volumes import read_volumes
from truemap.evaluation.anchors import Known
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs, write_scores
from truemap.metrics._contract import Metric
from truemap.metrics._explained import Twin
from truemap.metrics._measure import choose_measured, measured_table
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder, untrained
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.references._contract import Reference
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

with job(snakemake) as settings:
    files, wildcards = snakemake.input, snakemake.wildcards
    device = prepare_device(settings["device"], settings["threads"])
    description = read_json(files.description)
    decoder = load_decoder(files.weights, description, device)
    given = ScoreInputs.read(files, settings)
    batches = Batches(given.volumes, decoder.classes, device)
    background = read_background(files.background[0], *files.chosen, average=settings["average"])
    background = replace(background, shape=given.volumes.shape)
    training = read_volumes(files.train_maps, files.train_tables)
    context = Context.of(settings["seed"], training, decoder.classes, background, device)
    network = NetworkTruth.read(files, settings["network"]) if "network" in settings else None
    conditions = set_shown((name for _, name in given.truths), settings["conditions"])
    known = Known(given, background, conditions, decoder, batches, context, network, settings["memory"])
    saliency = method("saliency", settings["saliency"], Saliency)
    require(decoder, saliency.options.needs(), wildcards.method)
    references = {label: method("references", of, Reference) for label, of in settings["references"].items()}
    before = partial(untrained, description, device=device)
    twin = Twin.read(*files.twin, device) if files.twin else None
    anchors = known.anchors(references, saliency, before, twin)
    rows = choose_measured(given.volumes.table, settings["explained"], settings["measured"], settings["seed"])
    rows, mask = known.kept(rows), read_grid(files.grid).mask
    entry = {"model": wildcards.model, "seed": int(wildcards.seed)}
    parts = []
    for label, of in settings["metrics"].items():
        metric = method("metrics", of, Metric)
        for anchor in anchors:
            part = measured_table(decoder, batches, anchor, context, metric, mask, rows, settings["memory"], before)
            parts.append(made_by(part, **entry, method=anchor.name, metric=label))
    measured = pd.concat(parts, ignore_index=True)
    null = measured["value"].isna().sum()
    log.info("%d anchors, %d maps, %d values, %d null", len(anchors), len(rows), len(measured), null)
    with whole(snakemake.output.measured) as path:
        measured.to_parquet(path, index=False)
    blocks = [known.scores(anchor, rows).assign(method=anchor.name) for anchor in anchors]
    write_scores(snakemake.output.scores, blocks, **entry)
