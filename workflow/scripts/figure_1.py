"""Figure 1: mean saliency maps of 2D images beside their truth."""

import nibabel as nib
import numpy as np
import pandas as pd

from truemap.config.methods import method
from truemap.evaluation.truth import read_truth
from truemap.figures import images, style
from truemap.runtime.files import DataError
from truemap.runtime.job import job


def mean_maps(image, table):
    """Return (class, target) -> 2D mean map."""
    volumes = np.asarray(nib.load(image).dataobj)
    rows = pd.read_csv(table, sep="\t", dtype={"label": str, "target": str}, keep_default_na=False)
    return {(row.label, row.target): flat(volumes[..., row.volume]) for row in rows.itertuples()}


def flat(volume):
    """Return the 2D image of a map one voxel thick; first axis downwards."""
    if 1 not in volume.shape:
        raise DataError(f"maps of shape {volume.shape} are no 2D images. Set `figures: glass_brain` for this dataset.")
    return volume.squeeze(axis=volume.shape.index(1))


with job(snakemake) as settings:
    style.start()
    source, options = method("datasets", settings["source"])
    grid = nib.load(snakemake.input.grid)

    def shown(scores):
        """Return the scores of the truth that figures show."""
        return scores[scores["truth"] == style.truth_shown(scores, settings["truth"])]

    truths = read_truth(snakemake.input.truth, settings["average"])
    conditions = style.set_shown((name for _, name in truths), settings["conditions"])
    found = [truth for (_, name), truth in truths.items() if name == conditions]

    def mean_image(maps):
        """Return the 2D mean of maps of some subjects."""
        return flat(np.mean(list(maps), axis=0).reshape(grid.shape))

    labels = sorted({label for truth in found for label in truth.means})
    means = {label: mean_image(truth.means[label] for truth in found if label in truth.means) for label in labels}
    classes = style.choose_classes(list(means), settings["show"])
    rows = [
        images.Row(style.entry_label(entry), mean_maps(image, volumes), shown(pd.read_parquet(scores)), conditions)
        for entry, image, volumes, scores in zip(
            settings["entries"], snakemake.input.means, snakemake.input.tables, snakemake.input.scores, strict=True
        )
    ]
    average = mean_image(truth.mean for truth in found)
    colormap = settings["style"]["colormap"]
    informative = images.informative_figure(classes, means, average, rows, colormap)
    pairwise = images.pairwise_figure(classes, means, rows, colormap)
    for panel, figure in (("a", informative), ("b", pairwise)):
        paths = [path for path in snakemake.output if f"figure-1{panel}" in path]
        style.save(figure, paths, style.note(source.kind(options), conditions), settings["style"]["dpi"])
