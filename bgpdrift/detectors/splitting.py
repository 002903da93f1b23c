"""Cutting a frame where nothing before matters any more, and joining what was said of the parts.

A replay of two separate years must not build a grid of all the minutes between them. Shared by all detectors.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from bgpdrift.detectors.interface import MINUTE_S, Scores, WindowFrame


def parts_of(frame: WindowFrame, history_minutes: int) -> list[WindowFrame]:
    """Cut at gaps longer than a detector looks back; parts that hold nothing to be scored are left out.

    Examples
    --------
    >>> starts = np.array([0, 60, 1_000_000])
    >>> [len(part) for part in parts_of(WindowFrame("rrc00", "", starts, {}, {}), 240)]
    [2, 1]
    """
    if not len(frame):
        return []
    gaps = np.flatnonzero(np.diff(frame.window_start) > history_minutes * MINUTE_S) + 1
    edges = [0, *gaps.tolist(), len(frame)]
    return [
        frame.rows(begin, end, max(frame.first - begin, 0))
        for begin, end in itertools.pairwise(edges)
        if end > frame.first
    ]


def joined(parts: Sequence[Scores]) -> Scores:
    """Put the scores of consecutive parts together."""
    embeddings = [part.embedding for part in parts if part.embedding is not None]
    actionable = [part.actionable for part in parts if part.actionable is not None]
    return Scores(
        np.concatenate([part.window_start for part in parts]) if parts else np.zeros(0, np.int64),
        np.concatenate([part.score for part in parts]) if parts else np.zeros(0),
        tuple(reason for part in parts for reason in part.abstained),
        tuple(fired for part in parts for fired in part.rules_fired),
        tuple(top for part in parts for top in part.top_features),
        np.concatenate(embeddings) if embeddings and len(embeddings) == len(parts) else None,
        np.concatenate(actionable) if actionable and len(actionable) == len(parts) else None,
    )
