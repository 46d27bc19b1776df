"""Figure 3: glass brains of one test subject, the same in both panels."""

from truemap.config.registry import method
from truemap.data.grid import read_grid
from truemap.data.maps import is_signed, read_blocks
from truemap.datasets._contract import Source
from truemap.evaluation.truth import SubjectTruths
from truemap.figures import brains, style
from truemap.figures.brains import Brain, Row, true_map
from truemap.figures.subject import choose_subject
from truemap.figures.words import entry_label
from truemap.runtime.files import DataError
from truemap.runtime.job import job
from truemap.runtime.log import log

with job(snakemake) as settings:
    style.start()
    grid = read_grid(snakemake.input.grid)
    if min(grid.shape) == 1:
        raise DataError(f"maps of shape {grid.shape} are no brain volumes. Set `figures: images` for this dataset.")
    truths = SubjectTruths(snakemake.input.truth, settings["average"])
    _, truth, conditions = choose_subject(truths, settings["conditions"], settings["seed"], settings["show"])
    classes = style.choose_classes(sorted(truth.means), settings["show"])
    first, inside = classes[0], grid.mask.reshape(-1) | (settings["voxels"] == "all")
    of = {label: truth.of(label, first)[0] for label in classes}
    maps = {}
    for path in snakemake.input.maps:
        ((table, means),) = read_blocks(path)
        found = dict(zip(table["label"], means, strict=True))
        maps[table["model"].iloc[0], table["method"].iloc[0]] = found, is_signed(path)
    called = method("datasets", settings["source"], Source).mean
    changes = [f"{first} − average", *(f"{label} → {first}" for label in classes[1:])]
    above = [Row("a", called, [Brain(label, truth.means[label]) for label in classes])]
    above.append(Row("", "truth", [true_map(words, of[label]) for words, label in zip(changes, classes, strict=True)]))
    below = [Row("b", "truth", [true_map(f"{first}, given {label}", of[label]) for label in classes])]
    for entry in settings["entries"]:
        found, signed = maps[entry["model"], entry["method"]]
        drawn = [brains.compared(found.get(label), of[label], inside, signed) for label in classes]
        below.append(Row("", entry_label(entry), drawn))
    log.info("test subject drawn by seed %d", settings["seed"])
    note = f"{style.note(settings['data'], conditions)}; {brains.note(grid, settings['voxels'])}"
    for name, rows in (("3a", above), ("3b", below), ("3", above + below)):
        figure = brains.glass_brains(rows, grid, settings["style"]["colormap"])
        paths = style.files_of(snakemake.output, f"figure-{name}")
        style.save(figure, paths, note, settings["style"]["dpi"], brains.brain_table(rows, classes))
