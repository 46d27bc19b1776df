"""Make the saliency maps of one method for every test map and every class."""

from truemap.files import read_json, whole
from truemap.job import job, log
from truemap.maps import MapWriter
from truemap.methods import method
from truemap.networks.data import Batches
from truemap.networks.decoder import load_decoder
from truemap.networks.devices import prepare_device
from truemap.saliency.writer import MeanMaps, explain_blocks
from truemap.volumes import read_grid, read_volumes

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(snakemake.input.weights, read_json(snakemake.input.description), device)
    batches = Batches(read_volumes(snakemake.input.maps, snakemake.input.tables), decoder.classes, device)
    module, options = method("saliency", settings["saliency"])
    means = MeanMaps(decoder.classes, batches.volumes.shape)
    with whole(snakemake.output.maps) as path, MapWriter(path, int(means.total[0, 0].size), "float16") as writer:
        for rows, maps in explain_blocks(decoder, batches, module, options, settings["seed"]):
            writer.write(rows, maps)
            means.add(rows, maps)
    means.write(snakemake.output.mean, snakemake.output.mean_table, read_grid(snakemake.input.grid).affine)
    log.info("%d maps for %d classes each", len(batches), len(decoder.classes))
