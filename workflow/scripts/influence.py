"""Tell on which training maps the predictions of some test maps hang, and attack that."""

import torch

from truemap.attacks._measure import choose_maps, sd_of
from truemap.config.exemplars import SignAttack
from truemap.data.grid import read_grid
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.exemplars.attack import Exemplars
from truemap.exemplars.influence import Options, influence_of
from truemap.metrics._measure import choose_measured
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    files, asked, seed = snakemake.input, settings["influence"], settings["seed"]
    device = prepare_device(settings["device"], settings["threads"])
    decoder = load_decoder(files.weights, read_json(files.description), device)
    tested, training = (
        Batches(read_volumes(*paths), decoder.classes, device)
        for paths in ((files.own_maps, files.own_tables), (files.train_maps, files.train_tables))
    )
    places = choose_maps(training.volumes.table, asked["train"], seed)
    options = Options(damping=asked["damping"], refit=True)
    influence = influence_of(decoder, training, options, torch.from_numpy(places))
    rows = choose_measured(tested.volumes.table, settings["explained"], asked["maps"], seed)
    exemplars = Exemplars(
        influence, decoder, tested, training.volumes.table.iloc[places],
        torch.from_numpy(read_grid(files.grid).mask).to(device),
        sd_of(training.volumes, settings["standardize"], seed),
        SignAttack(**{key: asked[key] for key in SignAttack.model_fields}), seed,
    )  # fmt: skip
    table = exemplars.table(rows, settings["memory"])
    log.info("%d training maps; with its last layer at the optimum the network predicts the same class of %.1f %%; "
             "%d test maps, %d of %d attacks left the map as it was", len(places), 100 * influence.agreement, len(rows),
             (~table["attacked"]).sum(), len(table))  # fmt: skip
    refitted = {"slope": influence.slope, "refit_agreement": influence.agreement, "training_maps": len(places)}
    example = exemplars.example(table, training)
    for found, path in ((table.assign(**refitted), snakemake.output.table), (example, snakemake.output.example)):
        with whole(path) as temporary:
            made_by(found, **of_job(snakemake.wildcards)).to_parquet(temporary, index=False)
