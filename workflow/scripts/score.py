"""Correlate the saliency maps of one method with the truth, and with what the network itself does."""

from truemap.data.conditions import CONDITION_SETS
from truemap.data.maps import is_brain, is_signed, read_blocks
from truemap.data.rows import of_job
from truemap.evaluation.agreement import score_block, without_maps
from truemap.evaluation.network import NetworkTruth
from truemap.evaluation.scores import ScoreInputs, write_scores
from truemap.runtime.job import job

with job(snakemake) as settings:
    given = ScoreInputs.read(snakemake.input, settings)
    absolute, brain = not is_signed(snakemake.input.maps), is_brain(snakemake.input.maps)
    signed = settings["signed"] is not False
    network = NetworkTruth.read(snakemake.input, settings["network"]) if "network" in settings else None
    blocks, of_network = [], []
    for rows, maps in read_blocks(snakemake.input.maps):
        subject = rows["subject"].iloc[0]
        blocks.append(
            score_block(
                rows, maps, given.truths, given.inside, given.own(subject), absolute, given.chosen, brain, signed
            )
        )
        if network:
            sets = [name for name in CONDITION_SETS if (subject, name) in given.truths]
            of_network.append(network.block(rows, maps, given.volumes, sets, given.chosen))
    if settings["signed"] is not None:
        classes = sorted(given.volumes.table["label"].unique())
        blocks += [without_maps(block, classes) for block in blocks]
    write_scores(snakemake.output[0], blocks + of_network, **of_job(snakemake.wildcards))
