"""Open task maps of single HCP subjects: NeuroVault collection 4337, 787 subjects x 23 contrasts, 18,070 z-maps.

What it holds was found in the code of those who made and used it, not by looking at the server.  The upload script of
cogspaces (github.com/arthurmensch/cogspaces) names images ``{subject}_{task}_{contrast}``, e.g. ``100307_WM_2BK_FACE``,
and later users of the collection split names in that way; where that is wrong, set `pattern`.  The 23 contrasts are
those of ``fetch_hcp`` in cogspaces/datasets/contrasts.py: Table 1 of McClure et al. 2020 without MOTOR T (MOTOR CUE is
there instead), and for WM the eight crossings of load and stimulus.  cogspaces took its maps from
github.com/tbng/hcp_builder, whose GLM by nistats smooths by 4 mm and adds the z-maps of both runs.  They are not HCP's
own copes of FSL, so this is a replication on open data.

A condition's map is that of its contrast; 2-BACK, 0-BACK, BODY, FACE, PLACE and TOOL are means of the z-maps that they
are made of (four stimuli at one load, or two loads of one stimulus); NEG_* maps are the others times -1.

nilearn's downloader (``fetch_neurovault_ids``) is not used: it takes about a day for the whole collection and cannot
choose images by subject.  Images are kept where it keeps them (``collection_4337/image_{id}.nii.gz``), so in a folder
that it has filled, given as `cache`, only the list (``collection_4337/index/``) is left to fetch; what
comes from another server (`url`) lies in a folder of its own there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import numpy as np
import pandas as pd
from pydantic import Field

from truemap.config.options import Count, MethodOptions, Positive, SourceOptions, Subject
from truemap.data.grid import same_grid
from truemap.data.nifti import read_map
from truemap.datasets._fetch import Patience, Remote, fetch, store, store_all
from truemap.datasets._layouts import COPES, NEGATED
from truemap.datasets._servers import other_server
from truemap.datasets._trees import check_excluded
from truemap.numerics import derive_seed
from truemap.runtime.files import DataError, reworded, whole
from truemap.runtime.log import NOTICE, log, progress

LOADS = {"2-BACK": "2BK", "0-BACK": "0BK"}
STIMULI = ("BODY", "FACE", "PLACE", "TOOL")
#: The conditions of HCP that these maps give: all but MOTOR T.
CONDITIONS = [(task, name) for task, names in COPES.items() for name in names if (task, name) != ("MOTOR", "T")]
#: A page of the collection's list in the cache, by the number of images before it.
PAGE = "from-{}.json"
#: Subject, task and contrast of a map.
Key = tuple[str, str, str]


class Fetch(MethodOptions):
    """How the server is asked. It changes no map, so nothing is run again for it."""

    parallel: Count = Field(4, description="images fetched at a time")
    page: Count = Field(100, description="images a page of the collection's list; NeuroVault gives at most 1000")
    attempts: Count = Field(5, description="times to ask for a page or image; pauses of 1, 2, 4, ... s between")
    timeout: Positive = Field(60.0, description="seconds without an answer after which to ask again")


class Options(SourceOptions):
    """Subject-level maps of a NeuroVault collection, fetched once."""

    collection: Count = Field(4337, description="number of the collection on NeuroVault")
    subjects: Count | None = Field(
        40, description="subjects to take, a seeded choice among those with all conditions; null is all of these"
    )
    exclude: list[Subject] = Field(
        [], description="subjects to leave out; a name that no image of the collection has is refused"
    )
    cache: str = Field("resources/neurovault", description="folder that keeps the collection's list and the images")
    url: str = Field("https://neurovault.org", description="server with NeuroVault's API")
    pattern: str = Field(
        r"(?P<subject>\d+)_(?P<task>[A-Z]+)_(?P<contrast>\w+)",
        description="regular expression for the whole of an image's name, with groups subject, task and contrast; "
        "images with other names are left out",
    )
    fetch: Fetch = Field(Fetch(), description="how the server is asked; nothing is run again for it")

    def kind(self) -> str:
        """What these data are called."""
        return f"NeuroVault {self.collection}, replication on open data"


def contrasts(task: str, condition: str) -> tuple[str, ...]:
    """Return the collection's contrasts that a condition's map is the mean of (NEG_*: -1 times the mean)."""
    if task != "WM":
        return (condition.removeprefix(NEGATED),)
    if condition in LOADS:
        return tuple(f"{LOADS[condition]}_{stimulus}" for stimulus in STIMULI)
    return tuple(f"{load}_{condition}" for load in LOADS.values())


def index(options: Options, seed: int, root: str | None = None) -> pd.DataFrame:
    """Return one row a map: all 24 conditions of each chosen subject, the task as label.

    Subjects with all conditions are put in an order that depends on the seed and their names only, and the first ones
    taken: a larger choice contains the smaller one.

    Raises
    ------
    DataError
        If the list cannot be fetched or read, has too few complete subjects, or none of a name that is to be excluded.
    """
    maps = _maps(options)
    everybody = set(subjects_of(options))
    check_excluded(_address(options), everybody, options.exclude)
    named = everybody - set(options.exclude)
    keys = [(task, part) for task, condition in CONDITIONS for part in contrasts(task, condition)]
    complete = [subject for subject in named if all((subject, *key) in maps for key in keys)]
    wanted = options.subjects or max(1, len(complete))
    if len(complete) < wanted:
        raise DataError(
            f"{_address(options)}: {len(complete)} of {len(named)} subjects have all {len(set(keys))} contrasts, "
            f"{wanted} are asked for. Lower `subjects`, or check `collection`, `pattern` and `exclude`."
        )
    order = sorted(complete, key=lambda subject: (derive_seed(seed, "neurovault", subject), subject))
    rows = [
        {
            "image": f"neurovault/{subject}/{task}/{condition}",
            "subject": subject,
            "label": task,
            "condition": condition,
            "negated": condition.startswith(NEGATED),
            "split": "",
        }
        for subject in sorted(order[:wanted])
        for task, condition in CONDITIONS
    ]
    return pd.DataFrame(rows)


def subjects_of(options: Options, root: str | None = None) -> list[str]:
    """Return the names of all subjects there are, complete or not, excluded ones too."""
    return sorted({subject for subject, _, _ in _maps(options)})


def prepare(images: Sequence[str], options: Options, seed: int) -> None:
    """Fetch the files that these maps are computed from and that are not in the cache yet, with progress.

    Raises
    ------
    DataError
        If one cannot be fetched; those fetched before are kept.
    """
    store_all([file for image in images for file in _files(image, options)], _patience(options), options.fetch.parallel)


def read(image: str, options: Options, seed: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (values, affine, sha256) of one condition's map; a file that is not there is fetched.

    The checksum is that of the file, or where the map is a mean, of its files' checksums (hex, joined).

    Raises
    ------
    DataError
        If a file cannot be fetched or read, or the files of one mean are on different grids.
    """
    files = _files(image, options)
    for file in files:
        store(file, _patience(options))
    parts = contrasts(*image.split("/")[2:])
    maps = [_read(file, image, part) for file, part in zip(files, parts, strict=True)]
    values, affine, checksum = maps[0]
    if len(maps) > 1:
        for part, (other, other_affine, _) in zip(parts, maps, strict=True):
            if not same_grid(values.shape, affine, other.shape, other_affine):
                raise DataError(
                    f"{image}: its part {part} is on another grid than its part {parts[0]}, and it is their mean. "
                    "Leave the subject out (`exclude`)."
                )
        values = np.mean([other for other, _, _ in maps], axis=0, dtype=np.float64)
        checksum = hashlib.sha256("".join(part for _, _, part in maps).encode()).hexdigest()
    if image.rpartition("/")[2].startswith(NEGATED):
        values = values * -1.0
    return values, affine, checksum


def files(image: str, options: Options) -> list[str]:
    """Return the files that a map is computed from."""
    return [str(file.path) for file in _files(image, options)]


def _read(file: Remote, image: str, part: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Read one contrast's map; errors say whose it is and not the file, whose number names the subject to everybody."""
    try:
        return read_map(file.path)
    except DataError as error:
        raise reworded(error, str(error).replace(str(file.path), f"{image} ({part})")) from None


def _files(image: str, options: Options) -> list[Remote]:
    _, subject, task, condition = image.split("/")
    maps = _maps(options)
    try:
        return [maps[subject, task, contrast] for contrast in contrasts(task, condition)]
    except KeyError as error:
        raise DataError(
            f"{image}: {_address(options)} lists no map {'_'.join(error.args[0])}. Write the samples again."
        ) from None


def _address(options: Options) -> str:
    return f"{options.url.rstrip('/')}/api/collections/{options.collection}/images/"


def _patience(options: Options) -> Patience:
    return Patience(options.fetch.timeout, options.fetch.attempts)


def _maps(options: Options) -> dict[Key, Remote]:
    server = other_server(options.url, Options.model_fields["url"].default)
    folder = Path(options.cache, *server, f"collection_{options.collection}")
    return _listed(folder, _address(options), options.pattern, options.fetch.page, _patience(options))


@cache
def _listed(folder: Path, address: str, pattern: str, page: int, patience: Patience) -> dict[Key, Remote]:
    """Return all maps of a collection whose names fit; the pages of its list that are not in the cache are fetched.

    The API gives the images in no stated order (its query has none), so a map may be on two pages and another on none,
    and of two maps with one name the older is taken.
    """
    try:
        names = re.compile(pattern)
    except re.error as error:
        raise DataError(f"pattern '{pattern}': {error}. Mend the regular expression.") from None
    if not {"subject", "task", "contrast"} <= set(names.groupindex):
        raise DataError(f"pattern '{pattern}': lacks a group. Name the groups subject, task and contrast: (?P<task>…).")
    images, count = _images(folder / "index", address, page, patience)
    if len(images) < count:
        log.warning(
            "%s: %d of %d images are listed; delete %s to fetch the list again", address, len(images), count, folder
        )
    maps: dict[Key, Remote] = {}
    for number, image in sorted(images.items()):
        if image["file"] and (found := names.fullmatch(str(image["name"]))):
            file = Remote(urljoin(address, image["file"]), folder / f"image_{number}.nii.gz", image.get("file_size"))
            maps.setdefault((found["subject"], found["task"], found["contrast"]), file)
    return maps


def _images(folder: Path, address: str, page: int, patience: Patience) -> tuple[dict[int, dict[str, Any]], int]:
    """Return the list of images, by number, and how many the server says there are."""
    first = _page(folder, address, 0, page, patience)
    # The first page's length, not `page`: a server may give less, and a cached list keeps its own.
    step = max(1, len(first["results"]))
    offsets = range(step, first["count"], step)
    missing = [offset for offset in offsets if not (folder / PAGE.format(offset)).is_file()]
    log.log(NOTICE, "%s: %d images; %d pages of the list to fetch", address, first["count"], len(missing))
    for offset in progress(missing, "page") if missing else []:
        _page(folder, address, offset, step, patience)
    pages = [first, *(_page(folder, address, offset, step, patience) for offset in offsets)]
    return {image["id"]: image for page in pages for image in page["results"]}, first["count"]


def _page(folder: Path, address: str, offset: int, limit: int, patience: Patience) -> dict[str, Any]:
    """Return one page of the list, from the cache or else from the server."""
    path = folder / PAGE.format(offset)
    if path.is_file():
        return _parse(path.read_bytes(), str(path), "Delete it; it is then fetched again")
    url = f"{address}?format=json&limit={limit}&offset={offset}"
    content = fetch(url, patience)
    page = _parse(content, url, "Look at it in a browser, and try again later or check `url`")
    with whole(path) as temporary:
        temporary.write_bytes(content)
    return page


def _parse(content: bytes, where: str, remedy: str) -> dict[str, Any]:
    try:
        page = json.loads(content)
        numbers = [page["count"], *(image["id"] for image in page["results"] if image.keys() >= {"name", "file"})]
        if len(numbers) <= len(page["results"]) or not all(isinstance(number, int) for number in numbers):
            raise ValueError("an image without number, name or file")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: is no page of a list of images ({error!r}). {remedy}.") from None
    return page
