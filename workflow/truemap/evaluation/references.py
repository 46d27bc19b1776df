"""Scores of references: what maps agree with the truth that know nothing of a network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from truemap.data.background import Background
from truemap.data.rows import by_target, choose_explained, subject_blocks
from truemap.evaluation.agreement import score_block
from truemap.evaluation.scores import ScoreInputs
from truemap.references._contract import Reference

#: Values of maps held at a time.
LIMIT = 20_000_000


def score_reference(
    reference: Reference,
    given: ScoreInputs,
    background: Background,
    seed: int,
    explained: int | None = None,
) -> list[pd.DataFrame]:
    """Return the agreement of a reference's map for every test map and class, in blocks.

    Parameters
    ----------
    reference : Reference
    explained : int, optional
        See `truemap.data.rows.choose_explained`.

    Returns
    -------
    list of DataFrame
        As `truemap.evaluation.agreement.score_block`, with signs and without.
    """
    classes = sorted(background.means["all"])
    background = replace(background, shape=given.volumes.shape)
    blocks = []
    for block in subject_blocks(choose_explained(given.volumes.table, explained, seed)):
        subject = block["subject"].iloc[0]
        own = given.own(subject)
        size = max(1, LIMIT // (len(classes) * int(np.prod(given.volumes.shape))))
        for start in range(0, len(block), size):
            part = block.iloc[start : start + size]
            x = given.volumes.take(part.index).reshape(len(part), -1)
            rows = by_target(part, classes)
            for conditions in background.means:
                if (subject, conditions) in given.truths:
                    maps = reference.refer(part, x, background, conditions, reference.options, seed).reshape(
                        len(rows), -1
                    )
                    truths = {(subject, conditions): given.truths[subject, conditions]}
                    blocks.append(score_block(rows, maps, truths, given.inside, own, True, given.chosen))
    return blocks
