"""Rank the voxels of training and test maps by one method's saliency maps, the most important first."""

from truemap.attacks._measure import choose_maps
from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.volumes import read_volumes
from truemap.metrics._roar import ranked
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder, save_tensors
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.runtime.files import read_json
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

with job(snakemake) as settings:
    device, files = prepare_device(settings["device"], settings["threads"]), snakemake.input
    decoder = load_decoder(files.weights, read_json(files.description), device)
    splits = {split: read_volumes(files[f"{split}_maps"], files[f"{split}_tables"]) for split in ("train", "test")}
    background, inside = read_background(files.background), read_grid(files.grid).mask
    context = Context.of(settings["seed"], splits["train"], decoder.classes, background, device)
    saliency = method("saliency", settings["saliency"], Saliency)
    require(decoder, saliency.options.needs(), snakemake.wildcards.method)
    tensors = {}
    for split, volumes in splits.items():
        rows = choose_maps(volumes.table, settings[split], settings["seed"])
        batches = Batches(volumes, decoder.classes, device, resident=False)
        order, constant = ranked(decoder, batches, saliency, context, inside, rows, settings["memory"])
        log.info("%s: %d maps, %d of them constant: their order is a drawn one", split, len(order), constant.sum())
        tensors |= {split: order, f"{split}_constant": constant}
    save_tensors(snakemake.output[0], tensors)
