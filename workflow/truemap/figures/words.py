"""Names in words: what methods, references and measures are called in figures and on pages."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from truemap.config.names import ABSOLUTE

#: Modules of ways to explain and of references, and the default's labels of these, in words.
WORDS = {
    "absolute_gradient": "absolute gradient",
    "deconvnet": "DeconvNet",
    "decoy": "decoys",
    "deeplift": "DeepLIFT",
    "deeplift_shap": "DeepLIFT SHAP",
    "edges": "edges of the input",
    "grad_cam": "Grad-CAM",
    "gradient": "gradient",
    "gradient_shap": "GradientSHAP",
    "gradient_x_input": "gradient × input",
    "group_truth": "group average",
    "guided_backprop": "guided backpropagation",
    "guided_grad_cam": "guided Grad-CAM",
    "input": "input itself",
    "input-centred": "centred input",
    "integrated_gradients": "integrated gradients",
    "lrp_epsilon": "LRP-ε",
    "pattern": "activation pattern",
    "random": "noise",
    "smoothgrad": "SmoothGrad",
    "weights": "weights",
}
#: Attacks on maps, by their modules.
ATTACKS = {"top_k": "top-k", "mass_center": "centre of mass", "target": "target", "random_sign": "random signs"}
#: Measures of maps whose names say too little, without the ending for sizes.
MEASURES = {
    "avg_sensitivity": "average sensitivity",
    "lerf": "least relevant first",
    "morf": "most relevant first",
    "randomised": "network randomised",
}
#: Criteria of agreement: what maps are compared with.
CRITERIA = {"informative": "class-informative activation", "pairwise": "pairwise class differences"}
#: Letters of a line of a name, where names stand beside rows.
LINE = 24


def in_words(name: str) -> str:
    """Return a method or reference in words; a label that a config made up stays as it is written there."""
    return WORDS.get(name, name)


def attack_words(name: str) -> str:
    """Return an attack on maps in words; a label that a config made up without its underscores."""
    return ATTACKS.get(name, name).replace("_", " ")


def measure_words(name: str) -> str:
    """Return a measure of maps in words, and whether it is of sizes only."""
    stem, ending, _ = name.partition(ABSOLUTE)
    return MEASURES.get(stem, stem.replace("_", " ")) + (", by size" if ending else "")


def entry_label(entry: Mapping[str, Any]) -> str:
    """Return a model and how it is explained: the config's label of the model, and the method in words."""
    return f"{entry['label']}, {in_words(entry['method'])}"


def wrapped(name: str, letters: int = LINE) -> str:
    """Return a name in lines of at most so many letters, the method on a line of its own where one is too short."""
    lines = [name] if len(name) <= letters else name.split(", ")
    commas = [line + ("," if number + 1 < len(lines) else "") for number, line in enumerate(lines)]
    return "\n".join(textwrap.fill(line, letters) for line in commas)
