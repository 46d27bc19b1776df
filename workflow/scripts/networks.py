"""Try each model's network and methods on the grid, and say what they will cost before any trains."""

import time

import pandas as pd

from truemap.cost.costs import Costs, sentence
from truemap.cost.trial import Given
from truemap.counted import Counter, check_fits, maps_of
from truemap.data.grid import read_grid
from truemap.data.regions import read_regions
from truemap.data.samples import read
from truemap.networks._devices import memory_of, prepare_device
from truemap.runtime.files import whole
from truemap.runtime.job import job
from truemap.runtime.log import NOTICE, log

#: That counting one job of a model may take.
SECONDS = 20.0

with job(snakemake) as settings:
    start = time.process_time()  # other jobs take as long to import what they need
    device = prepare_device(settings["device"], settings["threads"])
    samples, grid = read(snakemake.input.samples), read_grid(snakemake.input.grid)
    names = read_regions(*snakemake.input.regions).names if snakemake.input.regions else []
    # Before anything is tried: what cannot fit would end in an error of the card's.
    if card := memory_of(device) or (settings["card"] or 0) * 1e9:
        kind = "cpu" if settings["device"] == "cpu" else "cuda"
        check_fits(settings, Counter(maps_of(samples, grid.shape, settings["explained"]), kind, SECONDS), card)
    costs = Costs(Given.of(samples, grid, settings, start, names), device)
    rows = []
    for name in settings["models"]:
        rows.append(costs.of(name))
        log.log(NOTICE, sentence(rows[-1], asked=bool(settings["robustness"]["attacks"])))
    with whole(snakemake.output[0]) as path:
        pd.DataFrame(rows).to_csv(path, sep="\t", index=False, float_format="%.1f", lineterminator="\n")
