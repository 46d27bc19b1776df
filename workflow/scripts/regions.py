"""Divide a dataset's mask into the regions that its config names."""

from truemap.data.about import described, sidecar
from truemap.data.grid import read_grid
from truemap.data.regions import joined, of_atlas, of_blocks, of_fields, write_regions
from truemap.datasets._simulation import build_template, read_tables
from truemap.datasets.hcp import Simulate
from truemap.datasets.synthetic import squares
from truemap.runtime.files import write_json
from truemap.runtime.job import job
from truemap.runtime.log import log

#: What the image holds.
LABELS = "labels of the mask's regions"

with job(snakemake) as settings:
    grid, asked = read_grid(snakemake.input.grid), settings["regions"]
    if asked == "squares":
        regions = of_fields(squares(), grid.mask, settings["downsample"])
    elif asked == "components":
        options = Simulate(**settings["simulate"])
        tables = read_tables(*snakemake.input.files)
        template = build_template(*tables, options.resolution, options.blob_fwhm)
        components = joined(template.named())
        regions = of_fields(components, grid.mask, settings["downsample"])
    elif isinstance(asked, list):
        regions = of_blocks(grid.mask, asked)
    else:
        regions = of_atlas(snakemake.input.files[0], grid)
    log.info("%d regions: %s", len(regions), ", ".join(regions.names))
    data = settings["data"]
    write_regions(snakemake.output.image, snakemake.output.table, regions, grid, described(LABELS, data))
    named = {str(number): name for number, name in enumerate(regions.names, 1)}
    write_json(snakemake.output.about, sidecar(LABELS, data, Labels={"0": "outside the mask", **named}))
