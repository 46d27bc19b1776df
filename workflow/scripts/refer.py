"""Score a reference, which knows nothing of a network, as if it were a saliency method."""

from truemap.config.names import REFERENCE
from truemap.config.registry import method
from truemap.data.background import read_background
from truemap.evaluation.references import score_reference
from truemap.evaluation.scores import ScoreInputs, write_scores
from truemap.references._contract import Reference
from truemap.runtime.job import job

with job(snakemake) as settings:
    given = ScoreInputs.read(snakemake.input, settings)
    reference = method("references", settings["reference"], Reference)
    background = read_background(snakemake.input.background, *snakemake.input.chosen, average=settings["average"])
    blocks = score_reference(reference, given, background, settings["seed"], settings["explained"])
    write_scores(snakemake.output[0], blocks, model=REFERENCE, seed=0, method=snakemake.wildcards.reference)
