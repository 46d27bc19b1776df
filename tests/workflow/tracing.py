"""Which functions of the project jobs call, noted by jobs themselves as they run."""

import json
from pathlib import Path

from truemap.plan.code import NOT_CODE

#: Python runs this before all else; only in a script of a rule it does something.
HEAD = """
import os, sys
rule = next((word.split(".")[-2] for word in sys.orig_argv if "/.snakemake/scripts/" in word), None)
"""
TRACE = (
    HEAD
    + """
if rule:
    import atexit, json, threading
    folder, no_code, seen = {folder!r}, set({no_code!r}), set()

    def place(frame):
        file = frame.f_code.co_filename.rpartition("/workflow/")[2]
        return file, frame.f_code.co_qualname.split(".")[0]

    def outside(frame):
        file, name = place(frame)
        module = file.removesuffix(".py").replace("/", ".")
        return module in no_code or f"{{module}}.{{name}}" in no_code

    def note(frame, event, argument):
        # Functions only: classes and modules run when they are imported.
        if not frame.f_code.co_flags & 1 or "/workflow/truemap/" not in frame.f_code.co_filename:
            return
        found = place(frame)
        while found not in seen and frame:
            if "/workflow/truemap/" in frame.f_code.co_filename and outside(frame):
                return
            frame = frame.f_back
        seen.add(found)

    def write():
        sys.settrace(None)
        with open(os.path.join(folder, f"{{rule}}-{{os.getpid()}}.json"), "w") as file:
            json.dump(sorted(seen), file)

    # From here on, as imports call more than the job itself; what they call of the project counts for every importer.
    from truemap.runtime import job
    real = job.job

    def traced(*arguments, **named):
        atexit.register(write)
        threading.settrace(note)
        sys.settrace(note)
        return real(*arguments, **named)

    job.job = traced
"""
)


def start(folder: Path) -> str:
    """Have jobs note what they call, in a folder; return what their PYTHONPATH has to be."""
    noted = folder / "calls"
    noted.mkdir(parents=True)
    (noted / "sitecustomize.py").write_text(TRACE.format(folder=str(noted), no_code=sorted(NOT_CODE)))
    return str(noted)


def calls(folder: Path) -> dict[str, set[tuple[str, str]]]:
    """Return script -> (file below workflow/, name at its top) of every function that its jobs called."""
    found: dict[str, set[tuple[str, str]]] = {}
    for file in (folder / "calls").glob("*.json"):
        found.setdefault(file.stem.rpartition("-")[0], set()).update(map(tuple, json.loads(file.read_text())))
    return found
