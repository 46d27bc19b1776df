"""Measure maps of which one knows what they are, and compare them with both truths."""

from functools import partial

from truemap.config.registry import method
from truemap.data.grid import read_grid
from truemap.data.rows import made_by
from truemap.evaluation.anchor_tables import anchor_scores, anchors_measured
from truemap.evaluation.anchors import Known
from truemap.evaluation.scores import write_scores
from truemap.metrics._contract import Metric
from truemap.metrics._explained import Twin
from truemap.metrics._measure import choose_measured
from truemap.networks._decoder import untrained
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.references._contract import Reference
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.saliency._contract import Saliency

with job(snakemake) as settings:
    files, wildcards = snakemake.input, snakemake.wildcards
    device = prepare_device(settings["device"], settings["threads"])
    known, mask = Known.read(files, settings, device), read_grid(files.grid).mask
    saliency = method("saliency", settings["saliency"], Saliency)
    require(known.decoder, saliency.options.needs(), wildcards.method)
    references = {label: method("references", of, Reference) for label, of in settings["references"].items()}
    metrics = {label: method("metrics", of, Metric) for label, of in settings["metrics"].items()}
    before = partial(untrained, read_json(files.description), device=device)
    anchors = known.anchors(references, saliency, before, Twin.read(*files.twin, device) if files.twin else None)
    samples = known.given.volumes.table
    rows = known.kept(choose_measured(samples, settings["explained"], settings["measured"], settings["seed"]))
    entry = {"model": wildcards.model, "seed": int(wildcards.seed)}
    measured = anchors_measured(known, anchors, metrics, mask, rows, before)
    with whole(snakemake.output.measured) as path:
        made_by(measured, **entry).to_parquet(path, index=False)
    blocks = [anchor_scores(known, anchor, rows).assign(method=anchor.name) for anchor in anchors]
    write_scores(snakemake.output.scores, blocks, **entry)
