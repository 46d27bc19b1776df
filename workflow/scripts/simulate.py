"""Write simulated subjects in HCP's layout (one shard of them)."""

from pathlib import Path

import pandas as pd

from truemap.datasets.hcp import COPES, NEGATED, Simulate, map_path, simulated_subjects
from truemap.datasets.nifti import write_map
from truemap.datasets.simulation import build_template, simulate_subject
from truemap.files import write_text
from truemap.job import job, log, progress

with job(snakemake) as settings:
    options = Simulate(**settings["simulate"])
    root = Path(snakemake.output[0]).parent
    peaks, weights = (
        pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False).to_dict("records") for path in snakemake.input
    )
    template = build_template(peaks, weights, options.resolution, options.blob_fwhm)
    subjects = simulated_subjects(options.subjects)[settings["shard"] :: settings["shards"]]
    for subject in progress(subjects, "subject"):
        for task, condition, values in simulate_subject(template, subject, settings["seed"], options.model_dump()):
            write_map(map_path(root, subject, task, condition), values, template.affine)
            if NEGATED + condition in COPES[task]:
                write_map(map_path(root, subject, task, NEGATED + condition), -values, template.affine)
    log.info("wrote %d simulated subjects at %d mm", len(subjects), options.resolution)
    write_text(snakemake.output[0], "subject\n" + "".join(f"{subject}\n" for subject in subjects))
