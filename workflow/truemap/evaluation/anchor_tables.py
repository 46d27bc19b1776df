"""What both truths and the metrics say of anchors (`truemap.evaluation.anchors`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from torch import nn

from truemap.config.names import ATTRIBUTION, GRADIENT
from truemap.data.rows import made_by
from truemap.evaluation.agreement import score_block
from truemap.evaluation.anchors import Known
from truemap.metrics._contract import Metric
from truemap.metrics._measure import measured_table
from truemap.runtime.log import log
from truemap.saliency._contract import Saliency
from truemap.saliency._writer import in_chunks


def anchor_scores(known: Known, anchor: Saliency, places: np.ndarray) -> pd.DataFrame:
    """Return the agreement of an anchor's maps with both truths, of the samples' own classes.

    Parameters
    ----------
    places : ndarray of int
        Which of the test maps.

    Returns
    -------
    DataFrame
        The columns of `truemap.evaluation.agreement.COLUMNS`.
    """
    given, network, blocks = known.given, known.network, []
    kinds = anchor.options.traits() or set()
    kind = next((kind for kind in (ATTRIBUTION, GRADIENT) if kind in kinds), "")

    def explain(x: torch.Tensor, targets: torch.Tensor, part: pd.DataFrame) -> np.ndarray:
        found = anchor.explain(known.decoder, x, part["sample"].tolist(), anchor.options, known.context)
        return found[torch.arange(len(found)), targets].flatten(1).cpu().numpy()

    for subject, part in given.volumes.table.iloc[places].groupby("subject", sort=False):
        own, part = known.own(subject), part.assign(target=part["label"]).reset_index(drop=True)
        of_subject = known.places(part["sample"].tolist())
        maps = np.concatenate(list(in_chunks(known.decoder, known.batches, of_subject, known.memory, explain)))
        truths = {(subject, known.conditions): given.truths[subject, known.conditions]}
        blocks.append(score_block(part, maps, truths, given.inside, own, True, given.chosen))
        if network:
            of_network = replace(network, maps=kind)
            blocks.append(of_network.block(part, maps, given.volumes, [known.conditions], given.chosen))
    return pd.concat(blocks, ignore_index=True)


def anchors_measured(
    known: Known,
    anchors: Sequence[Saliency],
    metrics: Mapping[str, Metric],
    mask: np.ndarray,
    places: np.ndarray,
    untrained: Callable[[int], nn.Module],
) -> pd.DataFrame:
    """Return what each metric, by its label, says of each anchor: see `truemap.metrics._measure.measured_table`."""
    parts = []
    for label, metric in metrics.items():
        for anchor in anchors:
            asked = known.decoder, known.batches, anchor, known.context, metric
            part = measured_table(*asked, mask, places, known.memory, untrained)
            parts.append(made_by(part, method=anchor.name, metric=label))
    measured = pd.concat(parts, ignore_index=True)
    null = measured["value"].isna().sum()
    log.info("%d anchors, %d maps, %d values, %d null", len(anchors), len(places), len(measured), null)
    return measured
