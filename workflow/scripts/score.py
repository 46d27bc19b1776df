"""Correlate the saliency maps of one method with the truth."""

import json

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from truemap.evaluation.agreement import score_block
from truemap.files import whole
from truemap.job import job, log
from truemap.maps import read_blocks
from truemap.truth import read_truth
from truemap.versions import versions
from truemap.volumes import read_grid

with job(snakemake) as settings:
    truths = read_truth(snakemake.input.truth, settings["average"])
    inside = read_grid(snakemake.input.grid).mask.reshape(-1) if settings["voxels"] == "brain" else None
    blocks = [score_block(rows, maps, truths, inside) for rows, maps in read_blocks(snakemake.input.maps)]
    scores = pd.concat(blocks, ignore_index=True)
    log.info("%d scores, %d null", len(scores), scores["r"].isna().sum())
    with whole(snakemake.output[0]) as path:
        table = pa.Table.from_pandas(scores, preserve_index=False)
        pq.write_table(
            table.replace_schema_metadata({**table.schema.metadata, "versions": json.dumps(versions())}), path
        )
