"""The table of a metric: measured maps of one model, seed and way to explain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.attacks._measure import choose_maps
from truemap.data.rows import choose_explained
from truemap.metrics._contract import Curve, Metric, Senseless, area
from truemap.metrics._explained import Explained, Twin
from truemap.networks._batches import Batches
from truemap.networks._decoder import Decoder
from truemap.runtime.files import DataError
from truemap.saliency._context import Context
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import in_chunks

#: What of a sample stands beside its measures.
COLUMNS = ["sample", "subject", "label"]


def choose_measured(table: pd.DataFrame, explained: int | None, measured: int | None, seed: int) -> np.ndarray:
    """Return positions of the maps that are measured, in ascending order: of those explained, balanced over classes.

    Parameters
    ----------
    explained, measured : int or None
        See `truemap.data.rows.choose_explained` and `truemap.attacks._measure.choose_maps`; None is all.
    """
    rows = choose_explained(table, explained, seed).index.to_numpy()
    return rows[choose_maps(table.loc[rows].reset_index(drop=True), measured, seed)]


def measured_table(
    decoder: Decoder,
    batches: Batches,
    saliency: Saliency,
    context: Context,
    metric: Metric,
    inside: np.ndarray,
    rows: np.ndarray,
    megabytes: float,
    untrained: Callable[[int], nn.Module],
    twin: Twin | None = None,
) -> pd.DataFrame:
    """Explain samples again, at full precision, and measure the map of each one's own class.

    Parameters
    ----------
    inside : ndarray of bool, shape ``shape``
        The mask.
    rows : ndarray of int
        Positions in ``batches.volumes``.
    megabytes : float
        See `truemap.saliency._writer.chunk_size`.
    untrained, twin
        See `truemap.metrics._explained.Explained`.

    Returns
    -------
    DataFrame
        ``sample, subject, label, target, measure, value, direction, reason``, a row a sample and measure; a null value
        has a reason. Of measures that are areas also the curve, as lists: ``share`` (abscissa) and ``height``.

    Raises
    ------
    DataError
        If a value is infinite, or NaN for a measure that is always defined.
    """
    mask = torch.from_numpy(inside).to(batches.device)

    def measure(x: torch.Tensor, targets: torch.Tensor, table: pd.DataFrame) -> pd.DataFrame:
        ids = table["sample"].tolist()
        explained = Explained(decoder, saliency, context, mask, x, ids, targets, untrained, twin)
        return _rows(table[COLUMNS].reset_index(drop=True), metric, *_values(metric, explained))

    return pd.concat(list(in_chunks(decoder, batches, rows, megabytes, measure)), ignore_index=True)


def _values(metric: Metric, explained: Explained) -> tuple[Mapping[str, torch.Tensor | Curve], str]:
    """Return what each measure found, and why there is nothing, if the metric has no sense here."""
    try:
        return metric.measure(explained, metric.options), ""
    except Senseless as reason:
        nothing = torch.full((len(explained.x),), torch.nan)
        return dict.fromkeys((measure.name for measure in metric.measures), nothing), str(reason)


def _rows(
    samples: pd.DataFrame, metric: Metric, measured: Mapping[str, torch.Tensor | Curve], senseless: str
) -> pd.DataFrame:
    """Return the rows of some samples, a sample's measures together."""
    if set(measured) != {measure.name for measure in metric.measures}:
        raise RuntimeError(f"{metric.name}: measures {sorted(measured)} where it declares {metric.measures}")
    tables = []
    for measure in metric.measures:
        of_maps = measured[measure.name]
        found = _array(area(of_maps))
        null = senseless or measure.undefined
        wrong = np.isinf(found) | (np.isnan(found) & (null == ""))
        if wrong.any():
            first = samples["sample"].to_numpy()[wrong][0]
            raise DataError(
                f"{metric.name}: {measure.name} is no number for {wrong.sum()} of {len(found)} maps, the first that of "
                f"sample {first}. The network's outputs or the maps overflow: look at the training's log."
            )
        reason = np.where(np.isnan(found), null, "")
        rows = {"target": samples["label"], "measure": measure.name, "value": found, "direction": measure.better}
        if isinstance(of_maps, Curve):
            rows |= {"share": [_array(of_maps.shares)] * len(found), "height": list(_array(of_maps.values))}
        tables.append(samples.assign(**rows, reason=reason))
    return pd.concat(tables).sort_index(kind="stable")


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
