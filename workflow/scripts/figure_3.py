"""Figure 3: glass brains of one test subject, the same in both panels."""

import numpy as np

from truemap.figures import brains, style
from truemap.files import DataError
from truemap.job import job, log
from truemap.maps import read_blocks
from truemap.methods import method
from truemap.numerics import derive_seed
from truemap.truth import read_truth
from truemap.volumes import read_grid


def subject_maps(path, subject, target):
    """Return class -> the subject's mean saliency map for `target`."""
    for rows, maps in read_blocks(path):
        if rows["subject"].iloc[0] == subject:
            rows, maps = rows[rows["target"] == target], maps.astype(np.float64)
            scaled = {label: part for label, part in rows.groupby("label")}
            return {k: (maps[v.index] * v["scale"].to_numpy()[:, None]).mean(axis=0) for k, v in scaled.items()}
    raise DataError(f"{path}: has no maps of the test subject drawn. Run the saliency stage again.")


with job(snakemake) as settings:
    style.start()
    source, options = method("datasets", settings["source"])
    grid = read_grid(snakemake.input.grid)
    if min(grid.shape) == 1:
        raise DataError(f"maps of shape {grid.shape} are no brain volumes. Set `figures: images` for this dataset.")
    truths = {
        subject: t
        for (subject, sets), t in read_truth(snakemake.input.truth, settings["average"]).items()
        if sets == "all"
    }
    subject = sorted(truths)[derive_seed(settings["seed"], "figure-3") % len(truths)]
    truth = truths[subject]
    classes = style.choose_classes(sorted(truth.means), settings["show"])
    first = classes[0]
    if snakemake.wildcards.panel == "a":
        changes = [(f"{label} → {first}", truth.pairwise(label, first)) for label in classes[1:]]
        rows = [
            ("average map", [(label, truth.means[label]) for label in classes]),
            ("truth", [(f"{first} − average", truth.informative(first)), *changes]),
        ]
    else:
        rows = []
        for entry, path in zip(settings["entries"], snakemake.input.maps, strict=True):
            maps = subject_maps(path, subject, first)
            rows.append((style.entry_label(entry), [(f"{first}, given {label}", maps[label]) for label in classes]))
    log.info("test subject drawn by seed %d", settings["seed"])
    figure = brains.glass_brains(rows, grid.shape, grid.affine, settings["style"]["colormap"])
    style.save(figure, list(snakemake.output), source.kind(options), settings["style"]["dpi"])
