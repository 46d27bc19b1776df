"""Correlate the saliency maps of one method with the truth."""

from truemap.data.maps import is_brain, is_signed, read_blocks
from truemap.data.rows import of_job
from truemap.evaluation.agreement import score_block
from truemap.evaluation.scores import ScoreInputs, write_scores
from truemap.runtime.job import job

with job(snakemake) as settings:
    given = ScoreInputs.read(snakemake.input, settings)
    absolute, brain = not is_signed(snakemake.input.maps), is_brain(snakemake.input.maps)
    blocks = [
        score_block(
            rows, maps, given.truths, given.inside, given.own(rows["subject"].iloc[0]), absolute, given.chosen, brain
        )
        for rows, maps in read_blocks(snakemake.input.maps)
    ]
    write_scores(snakemake.output[0], blocks, **of_job(snakemake.wildcards))
