"""Ask a model what it does where regions of a map are put back to a baseline: their Shapley values."""

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from truemap.data.background import read_background
from truemap.data.regions import passes, read_regions
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.evaluation.shapley import shapley_blocks
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(snakemake.input.weights, read_json(snakemake.input.description), device)
    batches = Batches(read_volumes(snakemake.input.maps, snakemake.input.tables), decoder.classes, device)
    regions = read_regions(snakemake.input.regions, snakemake.input.names)
    baseline = read_background(snakemake.input.background).baseline(snakemake.wildcards.baseline)
    start = torch.from_numpy(baseline).view(batches.volumes.shape).to(device)
    asked = {key: settings[key] for key in ("permutations", "seed", "explained")}
    log.info("%d regions: %d passes a map", len(regions), passes(len(regions), settings["permutations"]))
    rows, writer = 0, None
    with whole(snakemake.output[0]) as path:
        for block in shapley_blocks(decoder, batches, regions, start, settings["memory"], **asked):
            table = pa.Table.from_pandas(made_by(block, **of_job(snakemake.wildcards)), preserve_index=False)
            writer = writer or pq.ParquetWriter(path, table.schema)
            writer.write_table(table)
            rows += len(block)
        writer.close()
    log.info("%d values", rows)
