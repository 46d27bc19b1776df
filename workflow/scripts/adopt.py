"""Take over the saliency maps that another tool made, as if a method had made them here."""

import pandas as pd

from truemap.data import seen, sources
from truemap.data.given import check_explained, check_numbers, files, read_sheet
from truemap.data.given_maps import SheetReader
from truemap.data.grid import read_grid
from truemap.data.maps import MapWriter, MeanMaps, store
from truemap.data.rows import choose_explained, of_job
from truemap.data.samples import read
from truemap.runtime.files import DataError, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.runtime.privacy import Scrubber

scrub = Scrubber()
with job(snakemake, scrub) as settings:
    scrub.learn(sources.public_names(sources.read(snakemake.input.images)), snakemake.input.images)
    samples, grid = read(snakemake.input.samples), read_grid(snakemake.input.grid)
    tested = samples[samples["split"] == "test"].rename_axis("sample").reset_index()
    if snakemake.input.kept:
        tested = pd.concat(map(pd.read_parquet, snakemake.input.kept), ignore_index=True)
    explained = choose_explained(tested, settings["explained"], settings["seed"])
    tables = snakemake.input.sheet, snakemake.input.samples
    sheet = read_sheet(tables[0], samples)
    check_explained(tables[0], sheet, explained, tested["sample"], samples)
    names = snakemake.wildcards
    place = seen.list_of(names.dataset, names.model, names.method)
    before = seen.read(place) or {}
    found = seen.look([*tables, *files(sheet)], before)
    if sheet.attrs["numbered"]:
        check_numbers(*tables, before, found)
    sheet = sheet[sheet["sample"].isin(explained["sample"])]
    given = SheetReader(sheet, grid, settings["signed"], settings["nan"])
    classes = sorted(samples["label"].unique())
    means = MeanMaps(classes, grid.shape)
    inside, data = grid.mask.reshape(-1) if settings["stored"] == "brain" else None, settings["data"]
    with whole(snakemake.output.maps) as path, MapWriter(path, grid.mask.size, "float16", inside, data) as writer:
        store(given.blocks(explained, classes), writer, means)
    if seen.look(found, found) != found:
        raise DataError(f"{tables[0]}: maps were written while this job read them. Run again.")
    files = (snakemake.output[name] for name in ("mean", "mean_table", "mean_about"))
    means.write(*files, grid.affine, data, **of_job(names))
    seen.write(place, found)
    given.odd.warn(tables[0])
    given.warn_order(tables[0])
    log.info("%d maps of %d test maps", means.count.sum(), means.count.trace())
    if settings["signed"] and not writer.signed:
        log.warning("no map has a negative value: if they are sizes, set `signed: false`")
