"""Attack the maps of one method for a part of the test maps, and measure what comes back."""

from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.data.grid import read_grid
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.evaluation.attacked_maps import Fragile
from truemap.evaluation.attacked_truth import Truths
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs
from truemap.map_attacks._contract import MapAttack
from truemap.metrics._measure import choose_measured
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.networks._structure import require
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency

with job(snakemake) as settings:
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(snakemake.input.weights, read_json(snakemake.input.description), device)
    given = ScoreInputs.read(snakemake.input, settings)
    batches = Batches(given.volumes, decoder.classes, device)
    training = read_volumes(snakemake.input.train_maps, snakemake.input.train_tables)
    background = read_background(snakemake.input.background[0])
    context = Context.of(settings["seed"], training, decoder.classes, background, device)
    saliency = method("saliency", settings["saliency"], Saliency)
    attack = method("map_attacks", settings["attack"], MapAttack)
    require(decoder, saliency.options.needs(), snakemake.wildcards.method)
    require(decoder, attack.options.needs(), snakemake.wildcards.attack)
    network = NetworkTruth.read(snakemake.input, settings["network"]) if "network" in settings else None
    rows = choose_measured(given.volumes.table, settings["explained"], settings["maps"], settings["seed"])
    grid = read_grid(snakemake.input.grid)
    truths = Truths(given, network, settings)
    found = Fragile(decoder, batches, saliency, context, attack, truths, grid, settings).tables(rows)
    came = found[0].drop_duplicates(["sample", "epsilon"])
    log.info("%d maps, %d bounds: %d came back as they were", len(rows), len(settings["epsilon"]),
             (~came["attacked"]).sum())  # fmt: skip
    for table, output in zip(found, snakemake.output, strict=True):
        with whole(output) as path:
            made_by(table, **of_job(snakemake.wildcards)).to_parquet(path, index=False)
