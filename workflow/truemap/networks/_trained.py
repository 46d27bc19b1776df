"""A trained network that a user hands over: whether it fits the data, and whether it does what is said of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import nibabel as nib
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.special import bdtrc
from torch import nn

from truemap.config.trained import Trained, beside, checked
from truemap.data.grid import Grid, grid_words, same_grid
from truemap.data.tables import plain
from truemap.networks._adapter import Adapter
from truemap.networks._batches import Batches
from truemap.runtime.files import DataError
from truemap.runtime.log import log
from truemap.runtime.privacy import DIGITS, pseudonym, read_salt

#: p, times the number of orders, below which another order of classes, or mirrored maps, are held to be the right ones.
LEVEL = 1e-3
#: What programs put before a subject's name.
PREFIXES = ("sub-", "sub", "s", "S")
#: p above which an accuracy may be that of a guess.
GUESSED = 0.05
#: What to do about weights that do not fit.
STATE_DICT = (
    "They are to be the state dict of that network, with the options that the config gives it, under its own names "
    "(`python -m truemap.convert` takes off those of wrappers: module., _orig_mod.)."
)


def handed_over(
    weights: str,
    network: Mapping[str, Any],
    grid: Grid,
    labels: Sequence[str],
    subjects: Mapping[str, Collection[str]],
    pseudonyms: bool,
) -> tuple[Trained, dict[str, Any]]:
    """Return what is said of a trained network, and what `truemap.networks._decoder.read_decoder` has to know of it.

    Parameters
    ----------
    network : mapping
        Its module and options.
    others
        See `fitted` and `refuse_leaked`.

    Raises
    ------
    DataError
        If it does not fit the data, or knows test subjects.
    """
    trained = checked(beside(weights))
    description = {"network": network, "temperature": trained.temperature, **fitted(weights, trained, grid, labels)}
    refuse_leaked(weights, trained, subjects, pseudonyms)
    return trained, description


def fitted(weights: str, trained: Trained, grid: Grid, labels: Sequence[str]) -> dict[str, Any]:
    """Return what `truemap.networks._decoder.load_decoder` has to know of a trained network.

    Parameters
    ----------
    weights : str
        Its file, for messages.
    grid : Grid
        Of the dataset.
    labels : sequence of str
        Classes of the dataset, in any order.

    Returns
    -------
    dict
        ``classes, shape, adapter``.

    Raises
    ------
    DataError
        If classes or grid are not the dataset's; both sides are shown.
    """
    if sorted(trained.classes) != sorted(labels):
        raise DataError(
            f"{weights}: its classes are {', '.join(trained.classes)} ({len(trained.classes)}), the dataset's "
            f"{', '.join(sorted(labels))} ({len(labels)}). Take a network of these classes, or rename them."
        )
    turned = nib.orientations.ornt_transform(nib.io_orientation(grid.affine), _orientation(trained))
    order = tuple(int(axis) for axis in np.argsort(turned[:, 0]))
    flips = [int(axis) for axis in np.flatnonzero(turned[:, 1] < 0)]
    shape = tuple(grid.shape[axis] for axis in order)
    affine = grid.affine @ nib.orientations.inv_ornt_aff(turned, grid.shape)
    wanted = np.array(trained.affine) if trained.affine is not None else affine
    if not same_grid(shape, affine, tuple(trained.shape), wanted):
        theirs = grid_words(tuple(trained.shape), wanted) if trained.affine is not None else f"{trained.shape} voxels"
        raise DataError(
            f"{weights}: it was trained on maps of {theirs}, the dataset's are {grid_words(grid.shape, grid.affine)}"
            f"{'' if shape == grid.shape else f' (turned like the network: {list(shape)} voxels)'}. Resample the maps "
            "(nilearn.image.resample_to_img), or take a network of this grid."
        )
    size = list(trained.input or trained.shape)
    same = not flips and order == (0, 1, 2) and size == list(grid.shape)
    adapter = None if same else {"flips": flips, "order": list(order), "size": size}
    return {"classes": list(trained.classes), "shape": list(grid.shape), "adapter": adapter}


def _orientation(trained: Trained) -> np.ndarray:
    if trained.affine is not None:
        return nib.io_orientation(np.array(trained.affine))
    return nib.orientations.axcodes2ornt(tuple(trained.orientation or ""))


def refuse_leaked(weights: str, trained: Trained, subjects: Mapping[str, Collection[str]], pseudonyms: bool) -> None:
    """Refuse a network that was trained on test subjects; say so of validation subjects, which calibrate it.

    Parameters
    ----------
    subjects : mapping
        Split -> its subjects, as results call them.
    pseudonyms : bool
        Whether results call subjects by pseudonyms.
    """
    if trained.subjects == "unknown":
        log.warning("%s: nobody knows whom it was trained on; test subjects may be among them", weights)
        return
    if pseudonyms:
        # All are of one length.
        salt, length = read_salt(), max((len(who) for names in subjects.values() for who in names), default=0)
        digits = max(length - len("sub-"), DIGITS)
        known = {pseudonym(salt, name, digits) for who in trained.subjects for name in _spellings(who)}
    else:
        known = {_bare(who) for who in trained.subjects}
    found = {}
    for split, names in subjects.items():
        found[split] = sum((who if pseudonyms else _bare(who)) in known for who in set(names))
    if not found["validation"] and not found["test"]:
        count = len(trained.subjects)
        log.info("%s: none of its %d training subjects is among validation and test subjects", weights, count)
    if not any(found.values()) and "train" in found:
        log.warning(
            "%s: none of its training subjects is in this dataset, under any spelling that is tried; if some of these "
            "people are, under other names, nobody can see that maps are scored on which it was trained",
            weights,
        )
    if found["validation"]:
        log.warning("%s: %d validation subjects are training subjects of its", weights, found["validation"])
    if found["test"]:
        raise DataError(
            f"{weights}: {found['test']} of {len(set(subjects['test']))} test subjects are among those that it was "
            "trained on (names that differ by case, dashes, leading zeros or 'sub-' are one), so that accuracy and "
            "agreement would be of maps that it knows. State the splits in the sheet (column split: train for them), "
            "or leave these subjects out of the data."
        )


def _bare(who: str) -> str:
    """Return what is the same in all ways to write one subject: sub-01, Sub_1, 01."""
    return re.sub("^(subject|subj|sub)-?(?=.)", "", plain(who))


def _spellings(who: str) -> set[str]:
    """Return ways to write one subject, as pseudonyms are of one of them."""
    stem = re.sub("^(subject|subj|sub)[-_ ]?(?=.)", "", who, flags=re.IGNORECASE)
    stems = {stem, stem.upper(), stem.lower()} | {stem.zfill(n) for n in (2, 3, 4)} | {stem.lstrip("0") or stem}
    return {who} | {prefix + name for prefix in ("", *PREFIXES) for name in stems}


def check_accuracy(
    weights: str,
    trained: Trained,
    predicted: np.ndarray,
    labels: np.ndarray,
    within: float,
    mirrored: Callable[[], np.ndarray],
) -> None:
    """Refuse a network that does far worse than is said of it, or better with other order of classes or mirrored maps.

    Parameters
    ----------
    predicted, labels : ndarray of int, shape (n,)
        Of the test maps.
    within : float
        How far accuracy may be below the stated one.
    mirrored : callable
        Returns what is predicted of the maps with left and right exchanged.
    """
    accuracy = float((predicted == labels).mean())
    counts = np.zeros((len(trained.classes),) * 2, dtype=int)
    np.add.at(counts, (labels, predicted), 1)
    true, called = linear_sum_assignment(counts, maximize=True)
    best = np.empty_like(called)
    best[called] = true
    other = best[predicted] == labels
    order = f"in the order {', '.join(trained.classes[k] for k in best)} its accuracy is {other.mean():.3f}"
    if _better(other, predicted == labels, math.factorial(len(best))):
        raise DataError(
            f"{weights}: its test accuracy is {accuracy:.3f}; with the classes of its logits {order}. Put them in the "
            "order in which it was trained (`classes` of the JSON file beside it)."
        )
    turned = mirrored() == labels
    if _better(turned, predicted == labels, 1):
        raise DataError(
            f"{weights}: its test accuracy is {accuracy:.3f}; with left and right of the maps exchanged it is "
            f"{turned.mean():.3f}. Mend `orientation` or `affine` of the JSON file beside it, or the maps' own."
        )
    if trained.accuracy is None or accuracy >= trained.accuracy - within:
        _say_accuracy(weights, predicted == labels, labels, trained.accuracy)
        return
    raise DataError(
        f"{weights}: its test accuracy is {accuracy:.3f}, and {trained.accuracy:.3f} is stated beside it. Likely "
        f"causes: left and right are exchanged (with mirrored maps its accuracy is {turned.mean():.3f}); the order of "
        f"classes ({order}); another standardisation of the maps; other weights. Mend the JSON file, or allow for it "
        "by `accuracy_within`."
    )


def _say_accuracy(weights: str, right: np.ndarray, labels: np.ndarray, stated: float | None) -> None:
    """Log the test accuracy; warn where naming the commonest class may do as well, or it is above the stated one."""
    common = float(np.bincount(labels).max() / len(labels))
    log.info("%s: test accuracy %.3f of %d maps", weights, right.mean(), len(right))
    if bdtrc(int(right.sum()) - 1, len(right), common) > GUESSED:
        log.warning(
            "%s: its test accuracy of %.3f is not above that of a guess (%.3f): the classes' order, `orientation`, the "
            "standardisation of the maps, or the weights may be others than is said, and its maps tell nothing then",
            weights, right.mean(), common,
        )  # fmt: skip
    if stated is not None and bdtrc(int(right.sum()) - 1, len(right), stated) < LEVEL:
        log.warning(
            "%s: its test accuracy of %.3f is well above the %.3f that is stated beside it: it may know some of the "
            "test maps, from training",
            weights, right.mean(), stated,
        )  # fmt: skip


def _better(other: np.ndarray, right: np.ndarray, ways: int) -> bool:
    """Return whether another reading, one of so many ways, is right where this one is wrong too often for chance.

    By a one-sided sign test over the maps on which the two differ; scipy.stats takes a second to import.
    """
    gained, lost = int((other & ~right).sum()), int((~other & right).sum())
    return gained > lost and float(bdtrc(gained - 1, gained + lost, 0.5)) * ways < LEVEL


def mirrored(network: nn.Module, batches: Batches, grid: Grid, megabytes: float) -> np.ndarray:
    """Return the class number that a network gives each map with left and right exchanged, shape (n,)."""
    axis = int(np.flatnonzero(nib.io_orientation(grid.affine)[:, 0] == 0)[0])
    mirror = Adapter([axis], range(len(grid.shape)), grid.shape)
    return batches.logits(nn.Sequential(mirror, network), megabytes).argmax(dim=1).numpy()
