"""Quality of detectors in a store: stored scores and verdicts compared with the ground truth of a simulation.

Each minute counts with the version that scored it. Minutes of several collectors are merged: a minute has the highest score,
is an alarm if it is one at any collector, and is labelled if it is at any collector. `bgpdrift.verdicts.quality` defines the
figures.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bgpdrift.lab.labelled_sets.lines import mark_windows
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import Store
from bgpdrift.verdicts.quality import Figures, figures

ENSEMBLE = "ensemble"
StoredMinute = tuple[str, int, float | None, bool]
"""(collector, window_start, score or None without a vote, whether there is an alarm)."""


def stored_quality(
    store: Store, truth: Sequence[IncidentTruth], start: int, end: int, models: Iterable[str] = ()
) -> dict[str, Figures]:
    """Compute the figures of the ensemble, and of those requested detectors that have a vote.

    Parameters
    ----------
    store : Store
        Scores and verdicts of whole collectors are read, those of single peers are not.
    truth : sequence of IncidentTruth
        The true incidents.
    start, end : int
        ``[start, end)``, epoch seconds.
    models : iterable of str
        Names of detectors.

    Returns
    -------
    dict of str to Figures
        Empty if there is no verdict.
    """
    verdicts = [row for row in store.verdicts_between(start, end) if not row["peer"]]
    minutes: dict[str, list[StoredMinute]] = {ENSEMBLE: [_verdict(row) for row in verdicts]}
    for model in models:
        scores = [row for row in store.scores_between(start, end, model) if not row["peer"]]
        minutes[model] = [_score(row) for row in scores]
    return {
        name: compute_figures(rows, truth) for name, rows in minutes.items() if any(row[2] is not None for row in rows)
    }


def compute_figures(minutes: Sequence[StoredMinute], truth: Sequence[IncidentTruth]) -> Figures:
    """Compute figures from minutes of several collectors, in any order.

    Examples
    --------
    >>> storm = IncidentTruth("worm", 60.0, 120.0, ("rrc00", "rrc01"), ())
    >>> minutes = [("rrc00", 0, 1.0, False), ("rrc00", 60, 2.0, False), ("rrc01", 0, 1.5, False), ("rrc01", 60, 9.0, True)]
    >>> quality = compute_figures(minutes, [storm])
    >>> quality.minutes, quality.auc, quality.recall
    (2, 1.0, 1.0)
    """
    starts, row = np.unique([at for _, at, _, _ in minutes], return_inverse=True)
    score, alarms, labels = np.full(len(starts), -np.inf), np.zeros(len(starts), bool), np.zeros(len(starts), bool)
    np.maximum.at(score, row, [-np.inf if value is None else value for _, _, value, _ in minutes])
    np.logical_or.at(alarms, row, [alarm for *_, alarm in minutes])
    for collector in {name for name, *_ in minutes}:
        for incident in truth:
            labels |= mark_windows(incident, starts, collector, "")
    return figures(starts, score, alarms, labels)


def _verdict(row: Mapping[str, Any]) -> StoredMinute:
    value = float(row["combined"]) if row["p_values"] else None
    return str(row["collector"]), int(row["window_start"]), value, bool(row["is_anomaly"])


def _score(row: Mapping[str, Any]) -> StoredMinute:
    value = None if row["abstained"] else float(row["score"])
    return str(row["collector"]), int(row["window_start"]), value, bool(row["is_alarm"])
