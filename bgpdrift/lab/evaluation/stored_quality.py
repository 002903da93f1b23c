"""How good detectors were in operation, where the truth is known: stored scores and verdicts against a simulation's truth.

Whichever version was in force is judged by what it said then. Decides how minutes of several collectors become one: as
unusual as where it is most unusual, an anomaly if it is one anywhere, labelled if it is anywhere. What the figures mean is
`bgpdrift.verdicts.quality`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from bgpdrift.lab.labelled_sets.lines import mark_windows
from bgpdrift.lab.simulation.truth import IncidentTruth
from bgpdrift.store import Store
from bgpdrift.verdicts.quality import Figures, figures

ENSEMBLE = "ensemble"
Said = tuple[str, int, float | None, bool]
"""(collector, window_start, score or None without a vote, alarm)"""


def stored_quality(
    store: Store, truth: Sequence[IncidentTruth], start: int, end: int, models: Iterable[str] = ()
) -> dict[str, Figures]:
    """Figures of the ensemble, and of the detectors asked for that spoke at all.

    Parameters
    ----------
    store : Store
        Scores and verdicts of whole collectors are read; those of single peers are left out.
    truth : sequence of IncidentTruth
        What really happened.
    start, end : int
        ``[start, end)``, epoch seconds.
    models : iterable of str
        Detectors by name.

    Returns
    -------
    dict of str to Figures
        Empty if there is no verdict at all.
    """
    verdicts = [row for row in store.verdicts_between(start, end) if not row["peer"]]
    said: dict[str, list[Said]] = {ENSEMBLE: [_verdict(row) for row in verdicts]}
    for model in models:
        scores = [row for row in store.scores_between(start, end, model) if not row["peer"]]
        said[model] = [_score(row) for row in scores]
    return {name: judged(rows, truth) for name, rows in said.items() if any(row[2] is not None for row in rows)}


def judged(said: Sequence[Said], truth: Sequence[IncidentTruth]) -> Figures:
    """Judge what was said of minutes at collectors, in any order.

    Examples
    --------
    >>> storm = IncidentTruth("worm", 60.0, 120.0, ("rrc00", "rrc01"), ())
    >>> said = [("rrc00", 0, 1.0, False), ("rrc00", 60, 2.0, False), ("rrc01", 0, 1.5, False), ("rrc01", 60, 9.0, True)]
    >>> found = judged(said, [storm])
    >>> found.minutes, found.auc, found.recall
    (2, 1.0, 1.0)
    """
    starts, row = np.unique([at for _, at, _, _ in said], return_inverse=True)
    score, alarms, labels = np.full(len(starts), -np.inf), np.zeros(len(starts), bool), np.zeros(len(starts), bool)
    np.maximum.at(score, row, [-np.inf if value is None else value for _, _, value, _ in said])
    np.logical_or.at(alarms, row, [alarm for *_, alarm in said])
    for collector in {name for name, *_ in said}:
        for incident in truth:
            labels |= mark_windows(incident, starts, collector, "")
    return figures(starts, score, alarms, labels)


def _verdict(row: Mapping[str, Any]) -> Said:
    value = float(row["combined"]) if row["p_values"] else None
    return str(row["collector"]), int(row["window_start"]), value, bool(row["is_anomaly"])


def _score(row: Mapping[str, Any]) -> Said:
    value = None if row["abstained"] else float(row["score"])
    return str(row["collector"]), int(row["window_start"]), value, bool(row["is_alarm"])
