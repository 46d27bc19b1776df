"""Average one method's maps of the test subject that Figure 3 draws, so that drawing needs no single maps."""

import numpy as np
import pandas as pd

from truemap.data.grid import read_grid
from truemap.data.maps import MapWriter
from truemap.data.rows import made_by
from truemap.evaluation.truth import SubjectTruths
from truemap.figures.style import choose_classes
from truemap.figures.subject import choose_subject, subject_maps
from truemap.runtime.files import whole
from truemap.runtime.job import job

with job(snakemake) as settings:
    inside = read_grid(snakemake.input.grid).mask.reshape(-1)
    truths = SubjectTruths(snakemake.input.truth, settings["average"])
    subject, truth, conditions = choose_subject(truths, settings["conditions"], settings["seed"], settings["show"])
    target = choose_classes(sorted(truth.means), settings["show"])[0]
    means = subject_maps(snakemake.input.maps, subject, target, inside, conditions, settings["chosen"])
    with whole(snakemake.output[0]) as path, MapWriter(path, inside.size, "float32", None, settings["data"]) as writer:
        rows = pd.DataFrame({"subject": subject, "label": list(means), "target": target})
        rows = made_by(rows, model=snakemake.wildcards.model, method=snakemake.wildcards.method)
        writer.write(rows, np.stack(list(means.values())))
