"""Ground truth: class-informative activation and pairwise class differences (McClure et al. 2020, section 2.2.2).

Everything is computed twice: over all maps, and without negated ones (HCP's NEG_* conditions are exact sign
flips of others, so that with them the means of two tasks are zero and their truth is no truth). A third time over
the conditions that the config lists, where it does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path

import numpy as np
import pandas as pd

from truemap.config.names import CHOSEN, LEFT_OUT, NOT_IN_SET
from truemap.data.conditions import check_chosen, condition_sets, in_set
from truemap.data.designs import check_truth
from truemap.data.maps import MapWriter, read_blocks, read_rows
from truemap.data.volumes import Volumes

#: A truth map whose sd is below this share of the maps' sd is rounding noise.
DEGENERATE = 1e-6
#: Two maps are sign flips of each other if their sum stays below this share of their peak.
FLIP = 1e-3


def class_means(
    rows: pd.DataFrame, maps: np.ndarray, sets: Sequence[str], chosen: Sequence[str] = ()
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return mean maps of one subject for each condition set and class.

    Parameters
    ----------
    rows : DataFrame
        ``subject, label, condition, negated`` of each map.
    maps : ndarray, shape (rows, voxels)
    sets : sequence of str
        The dataset's sets of conditions (`truemap.data.conditions.condition_sets`).
    chosen : sequence of str
        See `truemap.data.conditions.in_set`.

    Returns
    -------
    table : DataFrame
        ``subject, conditions, label, n, scale``; `scale` is the root mean square sd of the maps.
    means : ndarray, shape (len(table), voxels), float64
    """
    entries, means = [], []
    scale = float(np.sqrt(np.mean([values.astype(np.float64).var() for values in maps])))
    for conditions in sets:
        kept = in_set(rows, conditions, chosen)
        for label in sorted(rows["label"].unique()):
            mine = kept & (rows["label"] == label).to_numpy()
            if mine.any():
                means.append(maps[mine].mean(axis=0, dtype=np.float64))
                entries.append((rows["subject"].iloc[0], conditions, label, int(mine.sum()), scale))
    return pd.DataFrame(entries, columns=["subject", "conditions", "label", "n", "scale"]), np.stack(means)


def write_class_means(
    path: Path,
    volumes: Volumes,
    templates: Mapping[str, np.ndarray] | None,
    chosen: Sequence[str] = (),
    data: str = "",
) -> None:
    """Write class means of each subject; of all images at once from `templates` where the source knows them.

    `data` is what the data are called, for the file's metadata.

    Raises
    ------
    DataError
        If the chosen conditions cannot be used (`truemap.data.conditions.check_chosen`), or no subject has two classes
        (`truemap.data.designs.check_truth`).
    """
    check_chosen(volumes.table, chosen)
    sets = condition_sets(volumes.table["negated"], chosen)
    with MapWriter(path, int(np.prod(volumes.shape)), "float32", None, data) as writer:
        if templates is not None:
            maps = np.stack([template.reshape(-1) for template in templates.values()])
            rows = pd.DataFrame({"subject": "", "label": list(templates), "negated": False})
            if chosen:
                # A template belongs to the set if any image of its class does.
                table = volumes.table[in_set(volumes.table, CHOSEN, chosen)].drop_duplicates("label")
                rows["condition"] = rows["label"].map(table.set_index("label")["condition"])
            writer.write(*class_means(rows, maps, sets, chosen))
            return
        # Again after bad maps were left out.
        check_truth(volumes.table)
        if chosen:
            check_truth(volumes.table[in_set(volumes.table, CHOSEN, chosen)], "maps of the chosen `conditions`")
        # Where there are no subjects, of all maps at once: blocks of them would each have a truth of their own.
        for _, rows in volumes.table.groupby("subject", sort=False):
            writer.write(*class_means(rows, volumes.take(rows.index).reshape(len(rows), -1), sets, chosen))


class Truth:
    """Truth maps of one subject and condition set.

    Parameters
    ----------
    rows : DataFrame
        ``label, n, scale`` of each class mean.
    means : ndarray, shape (classes, voxels)
    average : {"classes", "maps"}
        What a class is compared with: the mean of class means, or of all maps.
    """

    def __init__(self, rows: pd.DataFrame, means: np.ndarray, average: str) -> None:
        self.means = dict(zip(rows["label"], means.astype(np.float64), strict=True))
        self.counts = dict(zip(rows["label"], rows["n"], strict=True))
        self.floor = DEGENERATE * float(rows["scale"].iloc[0])
        self.average = average
        self.mean = self._average()
        #: Class without a mean -> why, where it is not that the subject has no map of it.
        self.absent: dict[str, str] = {}

    def without(self, label: str, remaining: np.ndarray) -> Truth:
        """Return this truth with the mean of one class taken over `remaining` of its maps, shape (maps, voxels).

        No maps at all leave no truth for the class.
        """
        other = copy(self)
        other.means = {name: values for name, values in self.means.items() if name != label}
        if len(remaining):
            other.means[label] = remaining.mean(axis=0, dtype=np.float64)
            other.counts = {**self.counts, label: len(remaining)}
        else:
            reason = f"{LEFT_OUT}without the map explained, and its sign flip, there is none of class {label}"
            other.absent = {**self.absent, label: reason}
        other.mean = other._average() if other.means else None
        return other

    def _average(self) -> np.ndarray:
        weights = None if self.average == "classes" else [self.counts[label] for label in self.means]
        return np.average(list(self.means.values()), axis=0, weights=weights)

    def informative(self, label: str) -> np.ndarray:
        """Return class-informative activation ``A - mean``, shape (voxels,)."""
        return self.means[label] - self.mean

    def pairwise(self, label: str, target: str) -> np.ndarray:
        """Return the pairwise difference ``target - label``: what would turn one class into the other."""
        return self.means[target] - self.means[label]

    def of(self, label: str, target: str) -> tuple[np.ndarray | None, str]:
        """Return the truth for explaining `target` on a map of `label`, or None and the reason there is none."""
        for name in (label, target):
            if name not in self.means:
                return None, self.absent.get(name, f"the subject has no map of class {name}")
        values = self.informative(label) if target == label else self.pairwise(label, target)
        if values.std() < self.floor:
            return None, "no truth: the ground-truth map is constant (its class means cancel)"
        return values, ""


class OwnMaps:
    """The maps of one subject, from which truth is made without the map that is explained.

    A map is part of its own class mean, so that a copy of the map agrees with the truth whatever a network does.

    Parameters
    ----------
    rows : DataFrame
        ``sample, label, condition, negated`` of each map.
    maps : ndarray, shape (rows, voxels)
    chosen : sequence of str
        See `truemap.data.conditions.in_set`.
    """

    def __init__(self, rows: pd.DataFrame, maps: np.ndarray, chosen: Sequence[str] = ()) -> None:
        self.rows, self.chosen = rows, chosen
        self.maps = maps.astype(np.promote_types(maps.dtype, np.float32), copy=False)
        self.labels, self.negated = rows["label"].to_numpy(), rows["negated"].to_numpy(dtype=bool)
        self.places = {sample: place for place, sample in enumerate(rows["sample"])}

    def leave_out(self, truth: Truth, conditions: str, sample: int) -> Truth:
        """Return the truth of a condition set without this sample's map, and without its exact sign flip.

        A flip left in would keep the map in the mean with its sign turned.
        """
        place = self.places[sample]
        left = self.labels == self.labels[place]
        left[place] = False
        left &= in_set(self.rows, conditions, self.chosen)
        for twin in np.flatnonzero(left & (self.negated != self.negated[place])):
            rest = np.abs(self.maps[twin] + self.maps[place])
            left[twin] = rest.max() > FLIP * np.abs(self.maps[place]).max()
        return truth.without(self.labels[place], self.maps[left])


class SubjectTruths(Mapping[tuple[str, str], Truth]):
    """The truth by (subject, condition set), as a file of `write_class_means` has it.

    Means of one subject are held at a time, those asked for last: at 2 mm they are 0.1 GB.

    Parameters
    ----------
    path : path
    average : {"classes", "maps"}
        See `Truth`.

    Attributes
    ----------
    classes : dict
        (Subject, condition set) -> classes that it has a mean of, without reading any.
    """

    def __init__(self, path: str | Path, average: str) -> None:
        self.path, self.average = path, average
        self.classes: dict[tuple[str, str], set[str]] = {}
        self._groups: dict[tuple[str, str], int] = {}
        self._every: dict[str, set[str]] = {}
        for group, rows in enumerate(read_rows(path)):
            for key, part in rows.groupby(["subject", "conditions"], sort=False):
                self.classes[key], self._groups[key] = set(part["label"]), group
                self._every.setdefault(key[1], set()).update(part["label"])
        self._held: dict[tuple[str, str], Truth] = {}

    def __getitem__(self, key: tuple[str, str]) -> Truth:
        group = self._groups[key]
        if key not in self._held:
            self._held.clear()
            ((rows, maps),) = read_blocks(self.path, [group])
            for one, part in rows.groupby(["subject", "conditions"], sort=False):
                self._held[one] = Truth(part, maps[part.index], self.average)
                self._held[one].absent = self._absent(*one)
        return self._held[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.classes)

    def __len__(self) -> int:
        return len(self.classes)

    def __contains__(self, key: object) -> bool:
        return key in self.classes

    def _absent(self, subject: str, conditions: str) -> dict[str, str]:
        """Return why there is no mean of classes that the dataset has."""
        reasons = {}
        for label in self._every["all"] - self.classes[subject, conditions]:
            if label not in self._every[conditions]:
                reasons[label] = f"{NOT_IN_SET}class {label}"
            elif label in self.classes[subject, "all"]:
                reasons[label] = f"the subject has no map of class {label} in this set of conditions"
        return reasons
