"""When a map is wrong about the network, and when the network uses something else than the data's truth: in words.

Both are correlations over regions with what the network itself does (`truemap.evaluation.network`), of a sample's own
class: of a map, and of the data's truth taken as weights, which is what a network that used it alone would do.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from truemap.config.names import ABSOLUTE, NETWORK, OF_DATA
from truemap.data.rows import owners
from truemap.evaluation.agreement import of_own_class
from truemap.evaluation.trainings import LEAST_TRAININGS, level, two_level

#: A correlation whose square is at least this tells most of what regions contribute.
MOST = 0.5
SIGNED, SIZES = NETWORK, f"{NETWORK}{ABSOLUTE}"
#: What is said of a map, and of the data's truth, by how far it agrees with the network.
OF_MAP = {
    "no": "is wrong about the network",
    "part": "is right in part about the network",
    "yes": "is right about the network",
    "open": "cannot be told right or wrong about the network",
}
OF_TRUTH = {
    "no": "uses something else than the data's truth",
    "part": "uses the data's truth in part, and something else",
    "yes": "uses mostly the data's truth",
    "open": "may use the data's truth or something else",
}
COLUMNS = [
    "model", "method", "criterion", "r", "ci_low", "ci_high", "units", "trainings", "data_r", "agrees", "sentence",
]  # fmt: skip


def two_truths(scores: pd.DataFrame, anchors: pd.DataFrame, conditions: str = "all") -> pd.DataFrame:
    """Return how far maps, and the data's truth, agree with each network, a sentence each.

    `agrees` is ``no`` where the interval of the mean reaches 0, ``part`` where r squared is below `MOST`, else ``yes``;
    ``open`` without an interval, or where it reaches from 0 to where r squared is `MOST`.
    The interval (95 %, Student's t, clipped to what a correlation can be) is over subjects, and over trainings too
    where there are three (`truemap.evaluation.trainings.two_level`).

    Parameters
    ----------
    scores, anchors : DataFrame
        ``model, seed, method, sample, subject, label, target, criterion, conditions, truth, r`` of maps and of anchors.
    conditions : str
        The condition set whose scores count; all conditions where it was not made.

    Returns
    -------
    DataFrame
        The columns `COLUMNS`, first the networks (`method` is empty), then their maps. `criterion` is `network`, or
        where maps have no signs `network_absolute`; `data_r` the agreement of the same maps with the data's truth. No
        rows where datasets have no regions.
    """
    rows = []
    of_truth = anchors[(anchors["method"] == f"{OF_DATA}1") & (anchors["criterion"] == SIGNED)]
    for model, part in _own(of_truth, conditions).groupby("model"):
        rows.append({"model": model, "method": "", "criterion": SIGNED, **_mean(part)})
    for (model, method), part in _own(scores, conditions).groupby(["model", "method"]):
        known = set(part.loc[part["r"].notna(), "criterion"])
        criterion = SIGNED if SIGNED in known else SIZES
        of_data = part[part["criterion"] == "informative"]
        held_out = of_data[of_data["truth"] == "leave_out"]
        if criterion in known:
            found = {"criterion": criterion, **_mean(part[part["criterion"] == criterion])}
            data_r = _mean(held_out if len(held_out) else of_data)["r"]
            rows.append({"model": model, "method": method, **found, "data_r": data_r})
    for row in rows:
        agrees = "no" if row["ci_low"] <= 0 else "yes" if row["r"] ** 2 >= MOST else "part"
        unknown = np.isnan(row["ci_low"]) or (row["ci_low"] <= 0 and row["ci_high"] >= MOST**0.5)
        row["agrees"] = "open" if unknown else agrees
        row["sentence"] = _sentence(**row)
    return pd.DataFrame(rows, columns=COLUMNS)


def _own(scores: pd.DataFrame, conditions: str) -> pd.DataFrame:
    own = of_own_class(scores, conditions)
    return own.assign(unit=owners(own, "sample " + own["sample"].astype(str)))


def _mean(part: pd.DataFrame) -> dict[str, float]:
    """Return the mean r with its interval, and of how many units and trainings it is."""
    wide = part.pivot_table(index="unit", columns="seed", values="r")
    sides = [wide.mean(axis=1), wide.mean(axis=0)] if wide.shape[1] >= LEAST_TRAININGS else [wide.mean(axis=1)]
    levels = [level(side.to_numpy()) for side in sides if len(side) > 1]
    mean = float(wide.mean(axis=1).mean()) if wide.size else np.nan
    se, df = two_level(levels) if levels else (np.nan, np.nan)
    # Without any spread there is no df, and nothing to be unsure of.
    half = 0.0 if se == 0 else stats.t.ppf(0.975, df) * se
    low, high = np.clip([mean - half, mean + half], -1.0, 1.0).tolist()
    return {"r": mean, "ci_low": low, "ci_high": high, "units": wide.shape[0], "trainings": wide.shape[1]}


def _sentence(
    model: str, method: str, criterion: str, r: float, ci_low: float, ci_high: float, agrees: str,
    data_r: float = np.nan, **_: float,
) -> str:  # fmt: skip
    open_ = "no interval" if np.isnan(ci_low) else f"95% interval [{ci_low:.2f}, {ci_high:.2f}]"
    numbers = f"r = {r:.2f} over regions, {open_}"
    if not method:
        return f"{model} {OF_TRUTH[agrees]} ({numbers})."
    sizes = ", by sizes alone" if criterion == SIZES else ""
    beside = (
        "has no signs to compare with the data's truth" if np.isnan(data_r) else f"r = {data_r:.2f} with the data's"
    )
    return f"{method} of {model} {OF_MAP[agrees]}{sizes} ({numbers}; {beside})."
