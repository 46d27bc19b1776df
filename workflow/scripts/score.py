"""Correlate the saliency maps of one method with the truth."""

from truemap.data.maps import is_brain, is_signed, read_blocks
from truemap.data.rows import of_job
from truemap.evaluation.agreement import score_block, without_maps
from truemap.evaluation.scores import ScoreInputs, write_scores
from truemap.runtime.job import job

with job(snakemake) as settings:
    given = ScoreInputs.read(snakemake.input, settings)
    absolute, brain = not is_signed(snakemake.input.maps), is_brain(snakemake.input.maps)
    signed = settings["signed"] is not False
    blocks = [
        score_block(
            rows, maps, given.truths, given.inside, given.own(rows["subject"].iloc[0]), absolute, given.chosen, brain,
            signed,
        )
        for rows, maps in read_blocks(snakemake.input.maps)
    ]  # fmt: skip
    if settings["signed"] is not None:
        classes = sorted(given.volumes.table["label"].unique())
        blocks += [without_maps(block, classes) for block in blocks]
    write_scores(snakemake.output[0], blocks, **of_job(snakemake.wildcards))
