"""Tell the angles between what changes a score and its map, a loss and an influence, the most."""

import torch

from truemap.attacks._measure import choose_maps
from truemap.config.registry import method
from truemap.data.grid import read_grid
from truemap.data.rows import made_by, of_job
from truemap.data.volumes import read_volumes
from truemap.evaluation.angles import angle_table
from truemap.exemplars.influence import Options, influence_of
from truemap.metrics._measure import choose_measured
from truemap.networks._batches import Batches
from truemap.networks._decoder import load_decoder
from truemap.networks._devices import prepare_device
from truemap.runtime.files import read_json, whole
from truemap.runtime.job import job
from truemap.runtime.log import log
from truemap.training._checkpoint import Checkpoint, checkpoint_key
from truemap.training._contract import Training
from truemap.training._softened import retrained

with job(snakemake) as settings:
    device, files = prepare_device(settings["device"], settings["threads"]), snakemake.input
    asked, seed, known = settings["angles"], settings["seed"], read_json(files.description)
    decoder = load_decoder(files.weights, known, device)
    train, validation, tested = (
        Batches(read_volumes(files[f"{split}_maps"], files[f"{split}_tables"]), decoder.classes, device)
        for split in ("train", "validation", "test")
    )
    way, epochs = method("training", known["training"], Training), asked["epochs"] or known["training"]["epochs"]
    checkpoint = Checkpoint(snakemake.params.checkpoint, checkpoint_key(snakemake.params, files))
    soft, _ = retrained(decoder, asked["beta"], way, train, validation, settings["start"], epochs, checkpoint)
    own, softened = (tested.logits(one.network).argmax(dim=1) for one in (decoder, soft))
    told = {"epochs": epochs, "beta": asked["beta"]}
    told |= {f"accuracy{what}": (found == tested.labels).double().mean().item()
             for what, found in (("", own), ("_soft", softened))}  # fmt: skip
    told["agreement"] = (own == softened).double().mean().item()
    places = torch.from_numpy(choose_maps(train.volumes.table, asked["train"], seed))
    influence = influence_of(decoder, train, Options(damping=asked["damping"], refit=True), places)
    told |= {"training_maps": len(places), "slope": influence.slope, "refit_agreement": influence.agreement}
    rows = choose_measured(tested.volumes.table, settings["explained"], asked["maps"], seed)
    inside = torch.from_numpy(read_grid(files.grid).mask).to(device)
    table = angle_table(soft, influence, tested, rows, inside, asked, seed, settings["memory"])
    converged = table.loc[table["kind"] == "saliency", "converged"]
    log.info("%d maps: the softplus network of beta %g, trained for %d epochs, has an accuracy of %.4f (the network "
             "%.4f) and predicts the same of %.4f; the power iteration converged for %d", len(rows), asked["beta"],
             epochs, told["accuracy_soft"], told["accuracy"], told["agreement"], converged.sum())  # fmt: skip
    with whole(snakemake.output[0]) as path:
        made_by(table.assign(**told), **of_job(snakemake.wildcards)).to_parquet(path, index=False)
    checkpoint.remove()
