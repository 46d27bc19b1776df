"""Write simulated subjects in HCP's layout (one shard of them)."""

from pathlib import Path

from truemap.datasets._simulation import build_template, read_tables, write_subject
from truemap.datasets.hcp import Simulate, simulated_subjects
from truemap.runtime.files import write_text
from truemap.runtime.job import job
from truemap.runtime.log import log, progress

with job(snakemake) as settings:
    options = Simulate(**settings["simulate"])
    root = Path(snakemake.output[0]).parent
    template = build_template(*read_tables(*snakemake.input), options.resolution, options.blob_fwhm)
    subjects = simulated_subjects(options.subjects)[settings["shard"] :: settings["shards"]]
    lines = [
        f"{subject}\t{write_subject(root, template, subject, settings['seed'], options.model_dump())}\n"
        for subject in progress(subjects, "subject")
    ]
    log.info("wrote %d simulated subjects at %d mm", len(subjects), options.resolution)
    # With what the maps hold: by this list Snakemake knows that they are others, however a run before was broken off.
    write_text(snakemake.output[0], "subject\tsha256\n" + "".join(lines))
