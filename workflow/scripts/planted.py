"""Count hits and false alarms of the maps of planted decoders, whose used voxels are known."""

import pandas as pd
import torch

from truemap.data.grid import read_grid
from truemap.data.maps import is_brain, read_blocks
from truemap.evaluation.planted import hits
from truemap.networks._decoder import load_decoder
from truemap.networks.planted import used
from truemap.runtime.files import read_json, whole
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
        found = pd.concat([hits(values, voxels) for _, values in read_blocks(maps)])
        counts = {"used": voxels.sum(), "maps": len(found), "zero": found["auc"].isna().sum()}
        rows.append({**entry, **counts, **found.mean()})
    table = pd.DataFrame(rows)
    table.insert(0, "data", settings["data"])
    table.insert(0, "dataset", snakemake.wildcards.dataset)
    with whole(snakemake.output[0]) as path:
        table.to_csv(path, sep="\t", index=False, float_format="%.6g", lineterminator="\n")
