"""What angles of directions come to: means over subjects, tests against random directions, and sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from truemap.config.names import ANGLE
from truemap.evaluation.fragility import ALPHA, SEEDS, coded_names, coded_units, with_missing
from truemap.evaluation.fragility_answers import COLUMNS, NO, OPEN, YES, Entry
from truemap.evaluation.random_directions import KINDS, random_mean
from truemap.evaluation.statistics import bonferroni, compare, summarise

#: What a mean is of, beside the seed.
OF = ["kind", "model"]
#: How far from 90 degrees a mean is nearly orthogonal, in degrees: this project's, as the paper draws histograms.
NEARLY = 10.0
#: Largest angle of each kind.
LARGEST = dict(zip(KINDS, (90.0, 180.0), strict=True))
ORTHOGONAL = {
    KINDS[0]: "is the direction that changes a map most at right angles to the one that changes its score most?",
    KINDS[1]: "is the direction that changes an influence most at right angles to the one that changes the loss most?",
}
TEST = ["difference", "t", "df", "p", "p_bonferroni", "significant", "test_reason"]
#: What is the same for all maps of a network: column -> how it goes together over seeds.
NETWORKS = {
    "dimension": "first", "random": "first", "beta": "first", "epochs": "max", "accuracy": "mean",
    "accuracy_soft": "mean", "agreement": "min", "slope": "max", "refit_agreement": "min", "training_maps": "first",
}  # fmt: skip
#: Those that say nothing of the other kind.
OF_KIND = {KINDS[0]: ["beta", "epochs", "accuracy", "accuracy_soft", "agreement"],
           KINDS[1]: ["slope", "refit_agreement", "training_maps"]}  # fmt: skip
INTERVAL = ["n", "mean", "se", "ci_low", "ci_high", "reason"]


def angle_summary(table: pd.DataFrame, confidence: float = 0.95) -> pd.DataFrame:
    """Return mean, interval and test of angles, by kind, network and seed, and over seeds.

    Parameters
    ----------
    table : DataFrame
        ``model, seed``, the columns of `truemap.evaluation.angles.angle_table`, and those of `NETWORKS`.

    Returns
    -------
    DataFrame
        ``kind, model, seed, maps, missing, n, mean, se, ci_low, ci_high, reason``: angles in degrees; n counts subjects
        (samples, where there are none), over which the interval is Student's t; ``converged`` is the share of the maps
        with an angle whose search has, ``mean_converged`` the mean over those; ``held`` and ``wrong``, of influences,
        means of what `truemap.evaluation.angles.influence_angles` calls so; the columns of `NETWORKS`; ``nearer``, the
        mean share of random directions that are nearer, one half for a random one. ``difference, t, df, p,
        p_bonferroni, significant, test_reason``: angles less the mean of random directions, two-sided over subjects,
        corrected (Bonferroni) over the networks of a kind; over seeds alone.
    """
    samples = with_missing(table.assign(value=table["angle"], converged=table["converged"].astype(float)))
    found = _means(samples, confidence)
    for kind, largest in LARGEST.items():
        own = found["kind"] == kind
        found.loc[own, ["ci_low", "ci_high"]] = found.loc[own, ["ci_low", "ci_high"]].clip(0.0, largest)
    nearer = _means(samples.assign(value=samples["share"]), confidence)[[*OF, "seed", "mean"]]
    found = found.merge(nearer.rename(columns={"mean": "nearer"}), on=[*OF, "seed"])
    found = found.merge(_counts(samples), on=[*OF, "seed"]).merge(_tests(samples), on=OF, how="left")
    for kind, columns in OF_KIND.items():
        found.loc[found["kind"] != kind, columns] = np.nan
    over = found["seed"] == "mean"
    found.loc[~over, TEST[:-2]] = np.nan
    found["significant"] = found["significant"].eq(True) & over
    found["test_reason"] = np.where(over, found["test_reason"], SEEDS)
    told = ["converged", "mean_converged", "held", "wrong", *NETWORKS, "nearer"]
    return found[[*OF, "seed", "maps", "missing", *INTERVAL, *told, *TEST]]


def _means(samples: pd.DataFrame, confidence: float) -> pd.DataFrame:
    found = summarise(coded_units(samples, OF), confidence, limits=(-np.inf, np.inf))
    return found[["criterion", "seed", "missing", *INTERVAL]].join(coded_names(samples, OF), on="criterion")


def _counts(samples: pd.DataFrame) -> pd.DataFrame:
    """Return what is told of all maps of a kind and network, by seed and over seeds."""
    samples = samples.assign(
        converged=samples["converged"].where(samples["angle"].notna()),
        mean_converged=samples["angle"].where(samples["converged"] == 1),
    )
    both = pd.concat([samples.assign(seed="mean"), samples.assign(seed=samples["seed"].astype(str))])
    means = {name: (name, "mean") for name in ("converged", "mean_converged", "held", "wrong")}
    of_networks = {name: (name, how) for name, how in NETWORKS.items()}
    return both.groupby([*OF, "seed"], sort=False).agg(maps=("sample", "size"), **means, **of_networks).reset_index()


def _tests(samples: pd.DataFrame) -> pd.DataFrame:
    """Return the test of each kind and network: angles against the mean of random directions."""
    sides = [samples.assign(entry="own"), samples.assign(value=_random(samples), entry="random")]
    tests = compare(coded_units(pd.concat(sides), OF, "entry")).rename(columns={"reason": "test_reason"})
    tests = tests.join(coded_names(samples, OF), on="criterion")
    tests["p_bonferroni"] = bonferroni(tests, ["kind"])
    return tests.assign(significant=tests["p_bonferroni"] < ALPHA)[[*OF, *TEST]]


def _random(samples: pd.DataFrame) -> list[float]:
    """Return the mean angle of random directions beside each map's."""
    sizes = zip(samples["dimension"], samples["kind"], strict=True)
    known = {size: random_mean(size[0], LARGEST[size[1]] > 90) for size in sorted({*sizes})}
    return [known[size] for size in zip(samples["dimension"], samples["kind"], strict=True)]


def of_angles(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the summary in the form of a dataset's, for published claims: the method is ``angle/saliency``."""
    return summary.assign(criterion=ANGLE, conditions="all", method=f"{ANGLE}/" + summary["kind"])


def angle_answers(summary: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Return one sentence a kind and network.

    The answer is ``yes`` where the mean angle is at most `NEARLY` degrees from 90, ``open`` where there is none.

    Parameters
    ----------
    summary : DataFrame
        Of `angle_summary`.
    labels : mapping
        Network -> its name.

    Returns
    -------
    DataFrame
        ``question, model, about, answer, sentence``.
    """
    return pd.DataFrame(list(_answers(summary[summary["seed"] == "mean"], labels)), columns=COLUMNS)


def _answers(means: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[Entry]:
    for kind, question in ORTHOGONAL.items():
        for row in means[means["kind"] == kind].to_dict("records"):
            label = labels[row["model"]]
            if np.isnan(row["mean"]):
                yield question, row["model"], "", OPEN, f"{label}: no map has an angle ({row['reason']})."
                continue
            answer = YES if abs(row["mean"] - 90) <= NEARLY else NO
            yield question, row["model"], "", answer, f"{label}: {_found(row)} {_told(row)}"


def _found(row: Mapping[str, Any]) -> str:
    what = (
        "the gradient of the predicted class's score and the direction that changes it most"
        if row["kind"] == KINDS[0]
        else "the gradients of the loss and of the most influential training map's influence"
    )
    ends = row["reason"] or f"95 % interval {row['ci_low']:.1f} to {row['ci_high']:.1f}"
    test = row["test_reason"] or f"Bonferroni p = {row['p_bonferroni']:.2g}"
    none = f"; {row['missing']:.0f} of {row['maps']:.0f} maps have no angle" if row["missing"] else ""
    return (
        f"{what} are {row['mean']:.1f} degrees apart on average ({ends}{none}); half of all random directions of "
        f"{row['dimension']:.0f} voxels are nearer than {row['random']:.1f} degrees, and {100 * row['nearer']:.0f} % "
        f"are nearer than these two (these less the mean of random ones: {row['difference']:+.1f}; {test})."
    )


def _told(row: Mapping[str, Any]) -> str:
    if row["kind"] == KINDS[1]:
        return (
            f"With the map's errors (p - y) held they are {row['held']:.1f} degrees apart: an influence is "
            f"proportional to these, which a step along the loss changes. With its last layer at the optimum the "
            f"network predicts the same class of {100 * row['refit_agreement']:.3g} % of the training maps."
        )
    passes = f"{row['epochs']:.0f} {'epoch' if row['epochs'] == 1 else 'epochs'}"
    return (
        f"The search converged for {100 * row['converged']:.0f} % of the maps"
        f"{'' if row['converged'] == 1 else _of_converged(row['mean_converged'])}. It is the network with softplus of "
        f"beta {row['beta']:g} trained on for {passes}: accuracy {row['accuracy_soft']:.3f}, its own "
        f"{row['accuracy']:.3f}, the same prediction for {100 * row['agreement']:.3g} % of the test maps."
    )


def _of_converged(mean: float) -> str:
    return "" if np.isnan(mean) else f", which alone have a mean of {mean:.1f}"
