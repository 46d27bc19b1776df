"""Count hits and false alarms of the maps of planted decoders, whose used voxels are known."""

import pandas as pd
import torch

from truemap.data.grid import read_grid
from truemap.data.maps import is_brain, read_blocks
from truemap.evaluation.planted import hits
from truemap.evaluation.results import of_data, write_table
from truemap.networks._decoder import load_decoder
from truemap.networks.planted import used
from truemap.runtime.files import read_json
from truemap.runtime.job import job

with job(snakemake) as settings:
    files, cpu = snakemake.input, torch.device("cpu")
    inside = read_grid(files.grid).mask.reshape(-1)
    rows = []
    for entry, maps, weights, description in zip(
        settings["entries"], files.maps, files.weights, files.descriptions, strict=True
    ):
        voxels = used(load_decoder(weights, read_json(description), cpu).network)
        voxels = voxels[inside] if is_brain(maps) else voxels
        # By map: a subject's of 2 mm, ranked, would be gigabytes.
        found = pd.concat([hits(one[None], voxels) for _, values in read_blocks(maps) for one in values])
        counts = {"used": voxels.sum(), "maps": len(found), "zero": found["auc"].isna().sum()}
        rows.append({**entry, **counts, **found.mean()})
    write_table(of_data(pd.DataFrame(rows), snakemake.wildcards.dataset, settings["data"]), snakemake.output[0])
