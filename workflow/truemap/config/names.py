"""Names that the config, tables and figures share, and what names can be."""

from __future__ import annotations

import re
from collections.abc import Iterable

#: Parts of a dataset, each with subjects of its own.
SPLITS = ("train", "validation", "test")
#: What references are called where models have their names.
REFERENCE = "reference"
#: Files and folders beside those of datasets, in `results/` and `private/`: no dataset can be called so.
RESERVED = ("benchmarks", "salt")
#: Sources whose subjects are people, by numbers that those who have the data know them by.
PEOPLE = ("hcp", "localizer", "neurovault")
#: Sources whose maps are attacked only where the config asks for it.
NOT_ATTACKED = ("sheet",)
#: Regions that a source of data knows.
REGIONS = ("squares", "components")
#: What regions can be put back to, and what signed maps can be, as ways to explain say it (their traits).
BASELINES = ("mean", "zero")
ATTRIBUTION, GRADIENT = "attribution", "gradient"
#: Trait of networks whose weights are in closed form, of a dataset's regions: they are not trained.
PLANTED = "planted"
#: The second truth, and the criterion of its name: what the network itself does.
NETWORK = "network"
#: The truth of what the network does with an attacked sample; endings of the measures of how attacked maps agree.
MOVED = "network_moved"
BEFORE, AFTER, LOSS = "_before", "_after", "_loss"
#: How the names of anchors begin that are the data's truth, and the network's, degraded in steps; the correlation ends
#: them (`truemap.evaluation.anchors`).
OF_DATA, OF_NETWORK = "truth at r=", "network at r="
#: Correlations of the degraded truths with the truth itself.
DEGRADED = (1.0, 0.8, 0.6, 0.4, 0.2, 0.0)
#: What stands for a way to explain where influences of training maps are compared.
INFLUENCE = "influence"
#: The order of voxels that no map gives, beside those of ways to explain.
AT_RANDOM = "random"
#: Ways to explain that pass only what is positive back, and so partly recover the input (Nie et al. 2018).
GUIDED = ("guided_backprop", "deconvnet", "guided_grad_cam")
#: Trainings of ours that look for nn.ReLU layers: none can train a network on that has other units in their place.
OF_RELUS = ("nsloss",)
#: What stands for a way to explain where angles of directions are told.
ANGLE = "angle"
#: Their part of the config.
ANGLES = "angles"
#: What the set of the conditions that a config lists is called, beside `all` and `no_negated`.
CHOSEN = "chosen"
#: Condition set that figures show first, by what the config calls it.
HEADLINES = {"table1": "all", "no_negated": "no_negated"}
#: Ending of a criterion whose maps and truth are compared without their signs.
ABSOLUTE = "_absolute"
#: Options that are a training method's strength, the first that it has: of several candidates the largest
#: is chosen that costs no accuracy. All other lists are chosen by validation likelihood.
STRENGTHS = ("strength", "epsilon")
#: What a sweep may go over as well: one training, longer and longer.
EPOCHS = "epochs"
#: How the reasons begin for r that are null by design: they are not counted as missing.
LEFT_OUT, NOT_IN_SET = "left out: ", "not in this set of conditions: "
BY_DESIGN = (LEFT_OUT, NOT_IN_SET)
#: Units (test subjects; images, where there are no subjects) that a test needs, and below which results tell little.
LEAST_UNITS, FEW_UNITS = 3, 5
#: Why maps from elsewhere have no accuracies; no r with signs, where they have none; and none of pairs, without maps.
NO_NETWORK = "no network: the maps come from elsewhere"
NO_SIGNS = "the maps have no signs (`signed: false`): sizes alone are compared"
NO_MAP = "the sheet has maps for a sample's own class only"
#: Bytes of a word in a file's name: the longest one, measure-{model}--{candidate}-{seed}-{method}-{metric}.log,
#: may have 255.
LONGEST = 50
#: Bytes of a folder's name that encrypted file systems allow too.
LONGEST_FOLDER = 140


def path_word(word: str, longest: int = LONGEST) -> str:
    """Return the word, or raise ValueError where it cannot be part of a path."""
    if not isinstance(word, str) or not word or not all(c.isalnum() or c in "-_" for c in word):
        raise ValueError(f"'{word}' becomes a file name: use letters, digits, '-' and '_' only")
    if re.search(r"(.+)\1{19}$", word):
        raise ValueError(f"'{word}' becomes a file name, and Snakemake takes 20 repetitions at its end for a fault")
    if len(word.encode()) > longest:
        raise ValueError(f"'{word}' becomes part of a file name: use at most {longest} bytes (a letter has 1 to 4)")
    return word


def path_words(words: Iterable[str], longest: int = LONGEST) -> None:
    """Raise ValueError where a word cannot be part of a path, or two are one file on a disk that knows no case."""
    seen: dict[str, str] = {}
    for word in words:
        path_word(word, longest)
        if seen.get(word.casefold()) == word:
            raise ValueError(f"'{word}' is there twice: name it once")
        if word.casefold() in seen:
            raise ValueError(
                f"'{seen[word.casefold()]}' and '{word}' are one file on disks that know no case: rename one"
            )
        seen[word.casefold()] = word
