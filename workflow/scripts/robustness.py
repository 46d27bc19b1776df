"""Attack test maps of one model and count what it still gets right."""

from truemap.attacks._contract import Attack
from truemap.attacks._measure import choose_maps, robustness_table
from truemap.config.registry import method
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.geometry import radius
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(snakemake.input.weights, read_json(snakemake.input.description), device)
    volumes = read_volumes(snakemake.input.maps, snakemake.input.tables)
    batches = Batches(volumes, decoder.classes, device)
    attack = method("attacks", settings["attack"], Attack)
    bound = radius(settings["epsilon"], settings["epsilon_unit"], volumes.parts[0][0].size)
    rows = choose_maps(volumes.table, settings["maps"], settings["seed"])
    table = robustness_table(decoder, batches, attack, bound, settings["seed"], rows, settings["memory"])
    right, robust = table["correct"].mean(), table["robust"].mean()
    log.info("%d maps: accuracy %.4f, robust accuracy %.4f at L2 radius %.4g", len(table), right, robust, bound)
    entry = of_job(snakemake.wildcards)
    entry["method"] = entry.pop("attack")
    with whole(snakemake.output[0]) as path:
        made_by(table.assign(bound=bound), **entry).to_parquet(path, index=False)
