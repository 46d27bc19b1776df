"""Make the saliency maps of one method for every test map and every class."""

from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.maps import MapWriter, MeanMaps, store
from truemap.data.rows import of_job
from truemap.data.volumes import read_volumes
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import explain_blocks

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(snakemake.input.weights, read_json(snakemake.input.description), device)
    batches = Batches(read_volumes(snakemake.input.maps, snakemake.input.tables), decoder.classes, device)
    shape = batches.volumes.shape
    training = read_volumes(snakemake.input.train_maps, snakemake.input.train_tables)
    background = read_background(snakemake.input.background)
    context = Context.of(settings["seed"], training, decoder.classes, background, device)
    saliency = method("saliency", settings["saliency"], Saliency)
    require(decoder, saliency.options.needs(), snakemake.wildcards.method)
    means, grid = MeanMaps(decoder.classes, shape), read_grid(snakemake.input.grid)
    inside, data = grid.mask.reshape(-1) if settings["stored"] == "brain" else None, settings["data"]
    with whole(snakemake.output.maps) as path, MapWriter(path, grid.mask.size, "float16", inside, data) as writer:
        blocks = explain_blocks(decoder, batches, saliency, context, settings["memory"], settings["explained"])
        store(blocks, writer, means)
    files = (snakemake.output[name] for name in ("mean", "mean_table", "mean_about"))
    means.write(*files, grid.affine, data, **of_job(snakemake.wildcards))
    log.info("%d maps for %d classes each", means.count.trace(), len(decoder.classes))
