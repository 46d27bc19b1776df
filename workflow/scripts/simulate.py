"""Write simulated subjects in HCP's layout (one shard of them)."""

import hashlib
from pathlib import Path

from truemap.datasets.hcp import COPES, NEGATED, Simulate, map_path, simulated_subjects
from truemap.datasets.nifti import write_map
from truemap.datasets.simulation import build_template, read_tables, simulate_subject
from truemap.files import write_text
from truemap.job import job, log, progress

with job(snakemake) as settings:
    options = Simulate(**settings["simulate"])
    root = Path(snakemake.output[0]).parent
    own = [(task, name) for task, names in COPES.items() for name in names if not name.startswith(NEGATED)]
    peaks, weights = read_tables(*snakemake.input, own)
    template = build_template(peaks, weights, options.resolution, options.blob_fwhm)
    subjects = simulated_subjects(options.subjects)[settings["shard"] :: settings["shards"]]
    lines = []
    for subject in progress(subjects, "subject"):
        digest = hashlib.sha256()
        for task, condition, values in simulate_subject(template, subject, settings["seed"], options.model_dump()):
            write_map(map_path(root, subject, task, condition), values, template.affine)
            digest.update(values.tobytes())
            if NEGATED + condition in COPES[task]:
                write_map(map_path(root, subject, task, NEGATED + condition), -values, template.affine)
        lines.append(f"{subject}\t{digest.hexdigest()}\n")
    log.info("wrote %d simulated subjects at %d mm", len(subjects), options.resolution)
    # With what the maps hold: by this list Snakemake knows that they are others, however a run before was broken off.
    write_text(snakemake.output[0], "subject\tsha256\n" + "".join(lines))
