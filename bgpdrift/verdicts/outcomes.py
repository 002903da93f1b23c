"""Defines the labels of operators and checks them: labels of incidents, and of ranges that the detectors missed.

The command line (later also the API) reads a label; the store keeps it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgpdrift.errors import InputError
from bgpdrift.store.outcomes import Outcome

TRUE_POSITIVE, FALSE_POSITIVE, NEW_NORMAL, MISSED = "true_positive", "false_positive", "new_normal", "missed"
IS_ANOMALY: Mapping[str, bool] = {TRUE_POSITIVE: True, MISSED: True, FALSE_POSITIVE: False, NEW_NORMAL: False}
"""Label → whether the range was anomalous. A new normal is real but needs no alarm: an alarm on it is a false one."""
INCIDENT_LABELS = (TRUE_POSITIVE, FALSE_POSITIVE, NEW_NORMAL)
WINDOW_S = 60
MAX_MISSED_S = 7 * 86_400
"""A missed range longer than a week is refused: it is a mistyped date."""
MAX_NAME_CHARACTERS = 64


@dataclass(frozen=True, slots=True)
class Attribution:
    """Who gives a label, and notes on the reason."""

    by: str = ""
    notes: str = ""


def label_incident(incident: Mapping[str, Any], label: str, attribution: Attribution) -> Outcome:
    """Build the label of an incident.

    The label covers the incident at this moment: from its first to its last anomalous minute.

    Raises
    ------
    InputError
        The label is unknown, or the incident was merged into another.

    Examples
    --------
    >>> incident = {"id": 3, "started_at": 60, "last_seen_at": 240, "merged_into": None, "collectors": ["rrc00"]}
    >>> outcome = label_incident(incident, "true_positive", Attribution("ann"))
    >>> outcome.starts_at, outcome.ends_at, outcome.collector
    (60, 300, 'rrc00')
    """
    if label not in INCIDENT_LABELS:
        raise InputError(f"label of an incident: expected one of {', '.join(INCIDENT_LABELS)}, found {label!r}")
    if incident["merged_into"] is not None:
        raise InputError(
            f"incident {incident['id']}: expected an incident of its own, found one merged into incident "
            f"{incident['merged_into']}; label that one"
        )
    collectors = list(incident["collectors"])
    return Outcome(
        incident_id=incident["id"],
        starts_at=int(incident["started_at"]),
        ends_at=int(incident["last_seen_at"]) + WINDOW_S,
        collector=collectors[0] if len(collectors) == 1 else "",
        label=label,
        labelled_by=_check_name(attribution.by),
        notes=attribution.notes,
    )


def label_missed_range(
    start: float,
    end: float,
    collector: str,
    attribution: Attribution,
    *,
    newest: int | None,
    labels: Sequence[Outcome],
) -> Outcome:
    """Build the label of a range without an alarm that should have had one.

    The label covers every minute that the range touches.

    Parameters
    ----------
    start, end : float
        Epoch seconds, event time.
    collector : str
        Collector; empty means all.
    attribution : Attribution
        Who gives the label.
    newest : int or None
        Start of the newest window; None without windows.
    labels : sequence of Outcome
        Existing labels that touch the range.

    Raises
    ------
    InputError
        The range is empty, longer than a week, later than the data, or part of it already has the label ``missed``.

    Examples
    --------
    >>> outcome = label_missed_range(90.0, 200.0, "rrc00", Attribution("ann"), newest=6000, labels=[])
    >>> outcome.starts_at, outcome.ends_at, outcome.label
    (60, 240, 'missed')
    """
    if end <= start:
        raise InputError(f"label missed: expected --to after --from, found {end - start:g} s between them")
    if end - start > MAX_MISSED_S:
        raise InputError(f"label missed: expected at most 7 days, found {(end - start) / 86_400:.1f}")
    if newest is None or start >= newest + WINDOW_S:
        raise InputError("label missed: expected a range with windows, found none in the store at or after --from")
    for other in labels:
        if other.label == MISSED and (not other.collector or not collector or other.collector == collector):
            raise InputError(
                f"label missed: expected an unlabelled range, found label {other.id} on part of it; "
                f"remove that label first: bgpdrift label --undo {other.id}"
            )
    return Outcome(
        starts_at=int(start // WINDOW_S) * WINDOW_S,
        ends_at=-int(-end // WINDOW_S) * WINDOW_S,
        collector=collector,
        label=MISSED,
        labelled_by=_check_name(attribution.by),
        notes=attribution.notes,
    )


def find_overlapping_incidents(
    incidents: Sequence[Mapping[str, Any]], start: int, end: int, collector: str
) -> list[int]:
    """Return the ids of incidents that touch a range at a collector; their minutes were not missed.

    Examples
    --------
    >>> rows = [{"id": 7, "started_at": 60, "last_seen_at": 120, "collectors": ["rrc00"], "merged_into": None}]
    >>> [find_overlapping_incidents(rows, start, 600, "") for start in (120, 180)]
    [[7], []]
    >>> find_overlapping_incidents(rows, 60, 600, "rrc01")
    []
    """
    return [
        int(row["id"])
        for row in incidents
        if row["merged_into"] is None
        and row["started_at"] < end
        and row["last_seen_at"] + WINDOW_S > start
        and (not collector or collector in row["collectors"])
    ]


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME_CHARACTERS:
        raise InputError(f"--by: expected at most {MAX_NAME_CHARACTERS} characters, found {len(name)}")
    return name
