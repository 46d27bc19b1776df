"""Put together what the first page says of a dataset: numbers, small figures and maps."""

import json
from pathlib import Path

import pandas as pd

from truemap.data.conditions import set_shown
from truemap.data.grid import read_grid
from truemap.data.quality import read_skipped
from truemap.data.samples import read
from truemap.evaluation.answer import answer
from truemap.evaluation.claims import orders, read_claims
from truemap.evaluation.results import read_table
from truemap.evaluation.truth import SubjectTruths
from truemap.figures import digest, style, viewer
from truemap.figures.pictures import picture
from truemap.runtime.files import write_text
from truemap.runtime.job import job

with job(snakemake) as settings:
    files, dataset, average = snakemake.input, snakemake.wildcards.dataset, settings["average"]
    summary, comparisons, units = map(pd.read_parquet, (files.summary, files.comparisons, files.units))
    conditions = set_shown(summary["conditions"], settings["conditions"])
    one_set = [table[table["conditions"] == conditions] for table in (summary, comparisons, units)]
    shown = [style.one_truth(table, settings["truth"], conditions) for table in (summary, comparisons)]
    entries, grid = settings["entries"], read_grid(files.grid)
    every = digest.all_entries(entries, settings["references"])
    labels = {entry["model"]: entry["label"] for entry in entries}
    answers = {name: answer(*shown, entries, name) for name in style.CRITERIA}
    truths = SubjectTruths(files.truth, average)
    keys = [key for key in truths if key[1] == conditions]
    classes = style.choose_classes(sorted(set().union(*(truths.classes[key] for key in keys))), settings["show"])
    pairs, inside = zip(files.means, files.mean_tables, strict=True), grid.mask.reshape(-1)
    means = dict(viewer.read_mean_maps(*pair, classes, inside) for pair in pairs)
    mean_truths = viewer.mean_truths((truths[key] for key in keys), classes, inside)
    seen = [viewer.Shown("mean over test maps", mean_truths, means)]
    of_subject = [viewer.read_subject(path, inside) for path in files.subject_maps]
    for who in dict.fromkeys(who for who, *_ in of_subject):
        maps = {entry: found for subject, entry, found in of_subject if subject == who}
        seen.append(viewer.Shown(who, viewer.truths(truths[who, conditions], classes, inside), maps))
    wanted = digest.best_first(settings["drawn"], shown[0], "informative")
    drawn = digest.wholes([path for path in files.figures if path.endswith(".png")])
    told = {
        "format": digest.FORMAT, "dataset": dataset, "data": settings["data"], "conditions": conditions,
        "truth": style.truth_shown(summary, settings["truth"]), "group": settings["group"],
        "models": settings["models"], "about": digest.about(read(files.samples), grid),
        "entries": every, "seeds": [entry["seed"] for entry in entries], "answers": answers,
        "orders": orders(read_claims(files.published), comparisons, dataset).to_dict("records"),
        "grid": digest.grid_numbers(*one_set, every), "shares": digest.share_rows(one_set[0], labels),
        "pictures": [picture(path, dataset, files.figures) for path in drawn], "classes": classes,
        "viewer": viewer.viewed(seen, wanted, classes, grid),
        "measures": [] if not files.answers else read_table(files.answers[0])["sentence"].tolist(),
        "fragility": [] if not files.fragility else read_table(files.fragility[0])["sentence"].tolist(),
        "influence": [] if not files.influence else read_table(files.influence[0])["sentence"].tolist(),
        "angles": [] if not files.angles else read_table(files.angles[0])["sentence"].tolist(),
        "quality": digest.quality_counts(read_table(files.quality), read_skipped([files.incomplete, *files.skipped])),
        "versions": json.loads(Path(files.models[0]).read_text())["versions"] if files.models else {},
    }  # fmt: skip
    write_text(snakemake.output[0], json.dumps(told, allow_nan=False, ensure_ascii=False, separators=(",", ":")))
