"""What a config will take: memory, operations, hours on a card of a given rate, counted before there are any data."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import yaml
from snakemake.utils import update_config

from truemap.config.dataset import Dataset
from truemap.config.keys import refuse_repeated
from truemap.config.registry import resolved_options
from truemap.config.schema import ConfigError
from truemap.counted import Counted, Counter, Maps, held
from truemap.datasets._layouts import COPES
from truemap.datasets._simulation import HCP_SHAPE
from truemap.datasets.synthetic import SHAPE as IMAGE
from truemap.plan.plan import Plan

ROOT = Path(__file__).parents[2]
#: Names no file.
STDIN = Path("-")
#: Subjects of HCP S1200 with all maps (McClure et al. 2020), where a tree's are not counted.
SUBJECTS = 965
#: Rules that ask a network for more than is counted here.
OTHERS = ("permute", "rank", "retrain", "shapley", "measure", "anchors", "attack_maps", "influence", "angles")
#: Maps of which split a rule's jobs may keep on a card, in their order.
KEPT = {
    "train": ("train", "validation"), "model": ("validation", "test"), "explain": ("test",), "robustness": ("test",),
}  # fmt: skip
HEAD = (
    "rule", "jobs", "of", "at a time", "peak, MB", "maps kept, MB", "10^12 operations", "hours a job", "hours", "fits",
)  # fmt: skip
#: A card, where neither config nor command line say one: GB, and 10^12 operations a second.
CARD, RATE = 80.0, 20.0
WORDS = """\
Counted, not measured, on the shapes of tensors (PyTorch's meta tensors) that a job's own code makes.
peak: all tensors alive at a time, with weights, moments and the maps at hand. Not counted is what kernels take for
  themselves and what malloc keeps: on a CPU 0.94 to 1.16 times the peak was measured without the latter, with it 1.07
  to 1.65 at 4 mm, 1.12 to 1.91 at 8 mm; of single maps more (docs/gpu.md). On a GPU nothing was measured.
maps kept: maps of the splits at hand that a card of {card:g} GB holds where they fit, beside the peak.
operations: multiplications and additions of convolutions and products of matrices. Attacks: at most.
hours: at {rate:g} * 10^12 operations a second throughout: a floor. No card reaches its rate; reading is not in it."""


class NotKnown(Exception):
    """The config does not say something that is needed; the message ends with the remedy."""


@dataclass
class Row:
    """A row of the table: jobs of a rule that take the same.

    Attributes
    ----------
    rule, what : str
    jobs : int
    counted : Counted or str
        What one job takes; or, in words, why it cannot be counted.
    """

    rule: str
    what: str
    jobs: int
    counted: Counted | str


def maps_of(dataset: Dataset, given: argparse.Namespace) -> Maps:
    """Return what is known of a dataset's maps before there are any.

    Parameters
    ----------
    given : Namespace
        ``grid, classes, maps``, each None where the command line does not say it.

    Raises
    ------
    NotKnown
        If neither config nor command line say it.
    """
    options: Any = resolved_options("datasets", dataset.source)
    counts: list[int] = []
    shape, classes, each, split = given.grid, given.classes, 0, dataset.split
    if dataset.source["name"] == "hcp":
        step = options.simulate.resolution // 2 if options.simulate else 1
        shape = shape or _grid([-(-length // step) for length in HCP_SHAPE], dataset)
        classes, each = classes or len(COPES), sum(map(len, COPES.values()))
        subjects = options.simulate.subjects if options.simulate else SUBJECTS
        counts = [each * round(subjects * share) for share in (split.train, split.validation, split.test)]
    elif dataset.source["name"] == "synthetic":
        shape, classes, counts = shape or _grid(IMAGE, dataset), classes or 3, list(options.images)
    if given.maps:
        shares = (split.validation / split.train, split.test / split.train)
        counts = [given.maps, *(max(1, round(given.maps * share)) for share in shares)]
    for value, option in ((shape, "--grid X Y Z"), (classes, "--classes N"), (counts, "--maps N (training maps)")):
        if not value:
            source = dataset.source["name"]
            raise NotKnown(f"source {source}: what maps there will be is not in the config. Give {option}.")
    train, validation, test = counts
    explained = test
    if dataset.explained and each:
        together = sum(min(len(of_task), dataset.explained) for of_task in COPES.values())
        explained, each = test * together // each, together
    elif dataset.explained and dataset.source["name"] == "synthetic":
        explained = min(explained, dataset.explained * classes)
    return Maps(tuple(shape), classes, train, validation, test, explained, each or explained)


def _grid(shape: Sequence[int], dataset: Dataset) -> Sequence[int]:
    """Return the grid of a source's maps; nothing where the config makes them coarser."""
    return shape if dataset.downsample == 1 else []


class Needs:
    """The jobs of one dataset, counted.

    Parameters
    ----------
    plan : Plan
    name : str
        Of the dataset.
    counter : Counter
    """

    def __init__(self, plan: Plan, name: str, counter: Counter) -> None:
        self._plan, self._name, self._counter = plan, name, counter
        self._known: dict[str, Counted | str] = {}

    def rows(self) -> list[Row]:
        """Return the rows of the table, jobs that take the same in one."""
        found: dict[tuple[str, str, Any], Row] = {}
        for rule, what, counted in self._jobs():
            found.setdefault((rule, what, counted), Row(rule, what, 0, counted)).jobs += 1
        return list(found.values())

    def others(self) -> list[str]:
        """Return the rules that are not counted, with their jobs."""
        counts = {rule: len(self._plan.jobs[self._name].of(rule)) for rule in OTHERS}
        return [f"{rule} ({count} jobs)" for rule, count in counts.items() if count]

    def _jobs(self) -> Iterator[tuple[str, str, Counted | str]]:
        memory, counter = self._plan.config.memory, self._counter
        for model, network, settings in self._of("train"):
            training = settings["training"]
            what = f"{model}: {training['name']}, {training['epochs']} epochs"
            yield "train", what, self._tried(counter.training, network, training)
        for model, network, _ in self._of("model"):
            yield "model", model, self._tried(counter.predicting, network, memory)
        for model, network, settings in self._of("explain"):
            counted = self._tried(counter.explaining, network, settings["saliency"], memory)
            yield "explain", f"{model}: {settings['label']}", counted
        for model, network, settings in self._of("robustness"):
            maps = min(settings["maps"] or counter.maps.test, counter.maps.test)
            counted = self._tried(counter.attacking, network, settings["attack"], maps, memory)
            yield "robustness", f"{model}: {settings['label']}", counted

    def _of(self, rule: str) -> Iterator[tuple[str, Mapping[str, Any], dict[str, Any]]]:
        """Yield model, network and settings of each job of a rule; `label` names its method or attack."""
        for job in self._plan.jobs[self._name].of(rule):
            wildcards = SimpleNamespace(dataset=self._name, **job)
            # Settings of `model` may look for files, and are not needed.
            settings = {} if rule == "model" else self._plan.settings(rule, wildcards)
            label = job.get("method", job.get("attack"))
            yield job["model"], self._plan.jobs[self._name].network(job["model"]).network, {**settings, "label": label}

    def _tried(self, work: Callable[..., Counted], *arguments: Any) -> Counted | str:
        """Return what is counted, once for all jobs that are the same; or, in words, why it cannot be counted."""
        key = json.dumps([work.__name__, *arguments], sort_keys=True)
        if key not in self._known:
            try:
                self._known[key] = work(*arguments)
            # Whatever asks for numbers fails in a way of its own, and the other rows are still right.
            except Exception as error:
                reason = " ".join(str(error).split())[:160]
                self._known[key] = f"not counted: it needs numbers ({type(error).__name__}: {reason})"
        return self._known[key]


def remedy(rule: str, counted: Counted, kept: float, card: float) -> str:
    """Return in words whether a job fits on a card, and what helps where it does not.

    Parameters
    ----------
    kept, card : float
        Bytes of the maps that stay on the card, and of the card itself.
    """
    if counted.peak + kept <= card:
        return "yes"
    need = f"no, needs {(counted.peak + kept) / 1e9:.1f} GB"
    if rule == "train" and counted.at_once > 1:
        return f"{need}: micro_batch, or a smaller batch_size"
    if rule != "train" and counted.at_once > 1:
        return f"{need}: a smaller memory"
    return f"{need}: a smaller network (filters, pool_stride), or downsample"


def table(rows: Iterable[Row], maps: Maps, number: int, rate: float, card: float) -> list[str]:
    """Return the table's lines, as Markdown.

    Parameters
    ----------
    number : int
        Bytes of a stored number.
    rate : float
        Operations a second.
    card : float
        Bytes.
    """
    cells = [HEAD]
    for row in rows:
        start = (row.rule, str(row.jobs), row.what)
        if isinstance(row.counted, str):
            cells.append((*start, "", "", "", "", "", "", row.counted))
            continue
        kept, hours = held(maps, KEPT[row.rule], number, card), row.counted.operations / rate / 3600
        sizes = (f"{row.counted.at_once}", f"{row.counted.peak / 1e6:,.0f}", f"{kept / 1e6:,.0f}")
        times = (_number(row.counted.operations / 1e12), _number(hours), _number(row.jobs * hours))
        cells.append((*start, *sizes, *times, remedy(row.rule, row.counted, kept, card)))
    # What stands last may be long.
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)][:-1]
    lines = ["| " + " | ".join([*map(str.ljust, line, widths), line[-1]]) + " |" for line in cells]
    return [lines[0], "|" + " --- |" * len(HEAD), *lines[1:]]


def _number(value: float) -> str:
    """Return a number to three digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def report(raw: dict[str, Any], given: argparse.Namespace) -> Iterator[str]:
    """Yield the lines that the command prints.

    Parameters
    ----------
    raw : dict
        The config.
    given : Namespace
        The command line's.
    """
    plan = Plan(raw, ROOT, gpu_present=True)
    own, device = plan.config.card, "cpu" if plan.config.device == "cpu" else "cuda"
    card, rate = given.card_gb or (own.memory_gb if own else CARD), given.teraflops or (own.teraflops if own else RATE)
    yield WORDS.format(card=card, rate=rate)
    for name in plan.config.run:
        dataset = plan.config.datasets[name]
        try:
            maps = maps_of(dataset, given)
        except NotKnown as error:
            yield f"\n{name}: not counted. {error}"
            continue
        needs, number = Needs(plan, name, Counter(maps, device)), {"float16": 2, "float32": 4}[dataset.precision]
        yield (
            f"\n{name}: {' x '.join(map(str, maps.shape))} voxels ({dataset.precision}), {maps.classes} classes; about "
            f"{maps.train:,} maps to train on, {maps.validation:,} validated, {maps.test:,} tested, "
            f"{maps.explained:,} of these explained.\n"
        )
        rows = needs.rows()
        yield from table(rows, maps, number, rate * 1e12, card * 1e9)
        known = [row.jobs * row.counted.operations for row in rows if isinstance(row.counted, Counted)]
        hours = _number(sum(known) / rate / 1e12 / 3600)
        yield f"\nAll that is counted of {name}: {hours} hours, one job at a time."
        if others := needs.others():
            yield f"Not counted: {', '.join(others)}. What they take stands in networks.tsv, once there are maps."


def read(path: Path) -> dict[str, Any]:
    """Return a config file laid over the default one, as Snakemake does it; of `-` all of it, from standard input.

    Raises
    ------
    ConfigError
        If a file is no YAML mapping.
    """
    if path == STDIN:
        return dict(json.load(sys.stdin))
    result: dict[str, Any] = {}
    for file in (ROOT / "config" / "config.yaml", path):
        refuse_repeated(file)
        try:
            found = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, yaml.YAMLError) as error:
            raise ConfigError(f"{file}: is no YAML ({' '.join(str(error).split())}).") from None
        if not isinstance(found, dict):
            raise ConfigError(f"{file}: holds no settings. Give a config file.")
        update_config(result, found)
    return result


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m truemap.needs", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("config", type=Path, help="a config file, e.g. config/paper.yaml; - for JSON on standard input")
    rate, card = "the card's rate in float32", "the card's memory"
    parser.add_argument("--teraflops", type=_positive(float), help=f"{rate}; default: the config's `card`, or {RATE:g}")
    parser.add_argument("--card-gb", type=_positive(float), help=f"{card}; default: the config's `card`, or {CARD:g}")
    parser.add_argument("--grid", nargs=3, type=_positive(int), help="shape of a map, as networks get it")
    parser.add_argument("--classes", type=_positive(int), help="how many")
    maps = f"training maps; of an HCP tree default: {SUBJECTS} subjects'"
    parser.add_argument("--maps", type=_positive(int), help=maps)
    return parser


def _positive(kind: type) -> Callable[[str], Any]:
    def number(text: str) -> Any:
        value = kind(text)
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"must be above 0, not {text}")
        return value

    return number


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what the config on the command line takes; return 0, or 1 after an error in words."""
    given = _parser().parse_args(arguments)
    try:
        for line in report(read(given.config), given):
            print(line, flush=True)
    except (ConfigError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
