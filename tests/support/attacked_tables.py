"""Made-up tables of attacked maps, in the columns of `truemap.evaluation.attacked_maps.Fragile.table`."""

import numpy as np
import pandas as pd

MODELS, METHODS = ("plain", "robust"), ("gradient", "integrated_gradients", "decoy")
ATTACKS = ("top_k", "mass_center", "random_sign")
BOUNDS = (0.035, 0.14)
ASKED = {
    "random": ["random_sign"],
    "standard": [["robust", "plain"]],
    "decoys": [["decoy", "gradient"]],
    "iterations": [],
    "labels": {"plain": "NN", "robust": "NN robust"},
    "truth": "full",
    "conditions": "all",
}


def told(measure, model, method, attack, epsilon):
    """What a measure is, on average: targeted attacks, plain training and gradients are worse."""
    size = epsilon / 0.14
    aimed, robust = attack != "random_sign", model == "robust"
    change = size * (0.5 if aimed else 0.1) * (0.3 if robust else 1.0) * (0.6 if method != "gradient" else 1.0)
    return {
        "spearman": 1 - change,
        "top_k": 0.9 - change,
        "shift": 10 * change * (2 if attack == "mass_center" else 1),
        "sensitivity": change / (9 if method == "decoy" else 1),
        "sensitivity_equal": change,
        "gain": change,
        "informative_before": 0.6,
        "informative_after": 0.6 - change,
        "informative_loss": change,
    }[measure]


def table(subjects=8, each=2, spread=0.02, seeds=(0,), models=MODELS, methods=METHODS, attacks=ATTACKS, moved=False):
    draws = np.random.default_rng(0)
    kinds = [
        (measure, "", "") for measure in ("spearman", "top_k", "shift", "sensitivity", "sensitivity_equal", "gain")
    ]
    kinds += [(f"informative_{when}", "all", "full") for when in ("before", "after", "loss")]
    rows = []
    for model, seed, method, attack, epsilon, who, k, (measure, conditions, truth) in (
        (m, s, w, a, e, who, k, kind)
        for m in models for s in seeds for w in methods for a in attacks for e in BOUNDS
        for who in range(subjects) for k in range(each) for kind in kinds
    ):  # fmt: skip
        value = told(measure, model, method, attack, epsilon) + spread * draws.standard_normal()
        none = measure == "gain" and attack == "random_sign"
        rows.append(
            {
                "model": model, "seed": seed, "method": method, "attack": attack, "sample": 10 * who + k,
                "subject": f"s{who}", "label": "a", "condition": "a", "negated": False, "predicted": "a",
                "epsilon": epsilon, "bound": epsilon, "attacked": True, "linf": epsilon, "l2": 1.0, "beta": 10.0,
                "surrogate_agreement": 1.0, "measure": measure, "conditions": conditions, "truth": truth,
                "value": np.nan if none else value, "reason": "wants nothing" if none else "",
            }
        )  # fmt: skip
    found = pd.DataFrame(rows)
    if moved:
        own = found[found["truth"] == "full"]
        names = own["measure"].str.replace("informative", "network")
        still = own.assign(measure=names, truth="network")
        right = {"network_before": 0.8, "network_after": 0.8, "network_loss": 0.0}
        noise = spread * draws.standard_normal(len(own))
        there = own.assign(measure=names, truth="network_moved", value=names.map(right) + noise)
        found = pd.concat([found, still, there], ignore_index=True)
    return found
