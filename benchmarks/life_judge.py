"""How good a life's detectors were, minute by minute against the ground truth.

Reads scores and verdicts as they were stored, by whichever version was in force, and hands them to
`bgpdrift.verdicts.quality`. With several collectors a minute is as unusual as where it is most unusual.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bgpdrift.features.labelled_lines import TrueIncident
from bgpdrift.models.places import MODELS
from bgpdrift.store import Store
from bgpdrift.verdicts.quality import Figures, figures
from retrainers.judging import ENSEMBLE, Judged, joined


def truth_of(world_truth: Mapping[str, Any]) -> list[TrueIncident]:
    """Incidents of a ground truth."""
    return [
        TrueIncident(
            str(item["kind"]), float(item["start"]), float(item["end"]), tuple(item["collectors"]), tuple(item["peers"])
        )
        for item in world_truth["incidents"]
    ]


def quality(store: Store, truth: Sequence[TrueIncident], start: int, end: int) -> dict[str, Figures]:
    """Figures of the ensemble and of each detector on ``[start, end)``; a detector that said nothing has none.

    Parameters
    ----------
    store : Store
        Of the life.
    truth : sequence of TrueIncident
        What really happened.
    start, end : int
        Event time, epoch seconds.
    """
    verdicts = store.verdicts_between(start, end)
    rows = [
        (r["collector"], r["window_start"], r["combined"] if r["p_values"] else None, r["is_anomaly"]) for r in verdicts
    ]
    found = {ENSEMBLE: _judged(rows, truth)}
    for model in MODELS:
        scores = store.scores_between(start, end, model)
        said = [
            (r["collector"], r["window_start"], None if r["abstained"] else r["score"], r["is_alarm"]) for r in scores
        ]
        if any(score is not None for _, _, score, _ in said):
            found[model] = _judged(said, truth)
    return found


def _judged(rows: Sequence[tuple[str, int, float | None, bool]], truth: Sequence[TrueIncident]) -> Figures:
    groups: list[Judged] = []
    labels: dict[int, bool] = {}
    for collector in sorted({row[0] for row in rows}):
        own = sorted({row[1]: row for row in rows if row[0] == collector}.values(), key=lambda row: row[1])
        starts = np.array([row[1] for row in own], np.int64)
        score = np.array([-np.inf if row[2] is None else row[2] for row in own], np.float64)
        groups.append(Judged(starts, score, np.zeros(len(own)), np.array([bool(row[3]) for row in own])))
        marked = np.logical_or.reduce([np.zeros(len(starts), bool), *(t.marks(starts, collector, "") for t in truth)])
        for at, is_true in zip(starts.tolist(), marked.tolist(), strict=True):
            labels[at] = labels.get(at, False) or is_true
    both = joined(groups)
    return figures(
        both.window_start, both.score, both.alarms, np.array([labels[at] for at in both.window_start.tolist()])
    )
