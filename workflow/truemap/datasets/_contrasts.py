"""The names that FSL and HCP's pipelines write beside their maps, to check cope numbers against.

A cope's number is its contrast's place in the level-1 design, and that differs by task: the sign flips
(neg_*) are copes 5 and 6 in RELATIONAL and LANGUAGE, but 4 and 5 in EMOTION, GAMBLING and SOCIAL.  A map
under a wrong number is a valid map of another condition, so nothing later would notice.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from truemap.runtime.files import DataError

#: What HCP's level-1 designs call the conditions that the paper's Table 1 names otherwise.
ALIASES = {"2-BACK": "2BK", "0-BACK": "0BK"}
RUNS = ("LR", "RL")
PATTERNS = {
    ".con": re.compile(r'^/ContrastName(\d+)\s+"?(.*?)"?\s*$', re.MULTILINE),
    ".fsf": re.compile(r'^\s*set fmri\(conname_real\.(\d+)\)\s+"(.*)"', re.MULTILINE),
}

#: Returns a text file's content, or None where there is no such file.
Reader = Callable[[str], str | None]


def places(folder: str, task: str) -> list[list[str]]:
    """Return where the names may be, the first group that exists counts: beside the maps, then at level 1.

    Parameters
    ----------
    folder : str
        The level-2 .feat folder: HCP's TaskfMRILevel2.sh writes Contrasts.txt there. Level-1 folders are
        beside its parent, one a run.
    task : str
        WM, GAMBLING, ...
    """
    results = folder.rpartition("/")[0].rpartition("/")[0]
    stems = [f"{results}/tfMRI_{task}_{run}/tfMRI_{task}_{run}_hp200_s4_level1" for run in RUNS]
    return [
        [f"{folder}/Contrasts.txt", f"{folder}/design.con"],
        [f"{stem}{end}.feat/design.con" for stem in stems for end in ("", "vol")],
        [f"{stem}.fsf" for stem in stems],
    ]


def parse(path: str, text: str) -> dict[int, str]:
    """Return the names in a Contrasts.txt (one a line), a design.con or an .fsf, by number.

    A level-2 design has a single contrast of its own ("mean" over the runs) that says nothing of the copes:
    it counts as no names.
    """
    text = text.removeprefix("\ufeff")
    for suffix, pattern in PATTERNS.items():
        if path.endswith(suffix):
            names = {int(number): name for number, name in pattern.findall(text)}
            return names if len(names) > 1 else {}
    return dict(enumerate(filter(None, map(str.strip, text.splitlines())), 1))


def check(read: Reader, groups: list[list[str]], task: str, copes: dict[str, int]) -> str | None:
    """Compare the numbers of `copes` with the names in the first group of files that has any.

    Parameters
    ----------
    read : callable
        Returns a file's text, or None.
    groups : list of list of str
        As `places` gives them.
    task : str
        For the message.
    copes : dict
        Condition to cope number.

    Returns
    -------
    str or None
        A file that was compared; None where there was none.

    Raises
    ------
    DataError
        If a file names another contrast at a condition's number.
    """
    for group in groups:
        checked = None
        for path in group:
            names = parse(path, read(path) or "")
            if names:
                _compare(path, names, task, copes)
                checked = path
        if checked:
            return checked
    return None


def _compare(path: str, names: dict[int, str], task: str, copes: dict[str, int]) -> None:
    for condition, number in copes.items():
        wanted = _plain(ALIASES.get(condition, condition))
        if _plain(names.get(number, "")) == wanted:
            continue
        there = f"calls contrast {number} '{names[number]}'" if number in names else f"has no contrast {number}"
        elsewhere = [str(other) for other, name in names.items() if _plain(name) == wanted]
        raise DataError(
            f"{path}: {task} {condition} is expected as cope {number}, but this file {there} "
            f"({condition} is {'its number ' + ', '.join(elsewhere) if elsewhere else 'not in it'}). Take the maps "
            "of the S1200 release, or made with its designs, or list the subject under `exclude`."
        )


def _plain(name: str) -> str:
    return name.lower().replace("-", "")
