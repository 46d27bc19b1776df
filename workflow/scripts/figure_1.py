"""Figure 1: mean saliency maps of 2D images beside their truth."""

import pandas as pd

from truemap.config.registry import method
from truemap.data.conditions import set_shown
from truemap.data.grid import read_grid
from truemap.datasets._contract import Source
from truemap.evaluation.truth import read_truth
from truemap.figures import images, style
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    truths = read_truth(snakemake.input.truth, settings["average"])
    conditions = set_shown((name for _, name in truths), settings["conditions"])
    found = [truth for (_, name), truth in truths.items() if name == conditions]
    means, average = images.truth_images(found, read_grid(snakemake.input.grid).shape)
    classes = style.choose_classes(list(means), settings["show"])
    maps = dict(map(images.read_means, snakemake.input.means, snakemake.input.tables))
    scores = pd.concat(map(pd.read_parquet, snakemake.input.scores))
    rows = []
    for entry in settings["entries"]:
        own = scores[(scores["model"] == entry["model"]) & (scores["method"] == entry["method"])]
        shown = own[own["truth"] == style.truth_shown(own, settings["truth"])]
        rows.append(images.Row(style.entry_label(entry), maps[entry["model"], entry["method"]], shown, conditions))
    called = method("datasets", settings["source"], Source).mean
    colormap = settings["style"]["colormap"]
    informative = images.informative_figure(classes, means, average, rows, colormap, called)
    pairwise = images.pairwise_figure(classes, means, rows, colormap, called)
    for panel, figure in (("a", informative), ("b", pairwise)):
        paths = [path for path in snakemake.output if f"figure-1{panel}" in path]
        style.save(figure, paths, style.note(settings["data"], conditions), settings["style"]["dpi"])
