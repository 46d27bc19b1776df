"""Figure 1: mean saliency maps of 2D images beside their truth."""

import pandas as pd

from truemap.config.registry import method
from truemap.data.conditions import set_shown
from truemap.data.grid import read_grid
from truemap.datasets._contract import Source
from truemap.evaluation.truth import SubjectTruths
from truemap.figures import images, style
from truemap.figures.words import entry_label
from truemap.runtime.job import job

with job(snakemake) as settings:
    style.start()
    truths = SubjectTruths(snakemake.input.truth, settings["average"])
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
        rows.append(images.Row(entry_label(entry), maps[entry["model"], entry["method"]], shown, conditions))
    called = method("datasets", settings["source"], Source).mean
    informative = images.informative_panel(classes, means, average, rows, called)
    pairwise = images.pairwise_panel(classes, means, rows, called)
    note = f"{style.note(settings['data'], conditions)}; {images.foot(rows, classes)}"
    for name, panels in (("1a", [informative]), ("1b", [pairwise]), ("1", [informative, pairwise])):
        figure = images.images_figure(panels, settings["style"]["colormap"])
        table = pd.concat(map(images.panel_table, panels))
        paths = style.files_of(snakemake.output, f"figure-{name}")
        style.save(figure, paths, note, settings["style"]["dpi"], table)
