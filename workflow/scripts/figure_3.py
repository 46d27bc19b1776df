"""Figure 3: glass brains of one test subject, the same in both panels."""

from truemap.config.registry import method
from truemap.data.grid import read_grid
from truemap.data.maps import read_blocks
from truemap.datasets._contract import Source
from truemap.evaluation.truth import read_truth
from truemap.figures import brains, style
from truemap.figures.subject import choose_subject
from truemap.runtime.files import DataError
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    style.start()
    grid = read_grid(snakemake.input.grid)
    if min(grid.shape) == 1:
        raise DataError(f"maps of shape {grid.shape} are no brain volumes. Set `figures: images` for this dataset.")
    truths = read_truth(snakemake.input.truth, settings["average"])
    _, truth, conditions = choose_subject(truths, settings["conditions"], settings["seed"], settings["show"])
    classes = style.choose_classes(sorted(truth.means), settings["show"])
    first = classes[0]
    if snakemake.wildcards.panel == "a":
        changes = [(f"{label} → {first}", truth.pairwise(label, first)) for label in classes[1:]]
        rows = [
            (method("datasets", settings["source"], Source).mean, [(label, truth.means[label]) for label in classes]),
            ("truth", [(f"{first} − average", truth.informative(first)), *changes]),
        ]
    else:
        found = {}
        for path in snakemake.input.maps:
            ((table, means),) = read_blocks(path)
            found[table["model"].iloc[0], table["method"].iloc[0]] = dict(zip(table["label"], means, strict=True))
        rows = [
            (
                style.entry_label(entry),
                [(f"{first}, given {label}", found[entry["model"], entry["method"]].get(label)) for label in classes],
            )
            for entry in settings["entries"]
        ]
    log.info("test subject drawn by seed %d", settings["seed"])
    figure = brains.glass_brains(rows, grid.shape, grid.affine, settings["style"]["colormap"])
    style.save(figure, list(snakemake.output), style.note(settings["data"], conditions), settings["style"]["dpi"])
