"""What an operator may say, and of what: labels of incidents and of ranges that were missed.

Decides which labels there are, whether they call a range anomalous, and which are refused. Who asks is the command line
or, later, the API; where it is kept is the store's affair.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bgpdrift.errors import InputError

TRUE_POSITIVE, FALSE_POSITIVE, NEW_NORMAL, MISSED = "true_positive", "false_positive", "new_normal", "missed"
IS_ANOMALY: Mapping[str, bool] = {TRUE_POSITIVE: True, MISSED: True, FALSE_POSITIVE: False, NEW_NORMAL: False}
"""Whether something was wrong there. A new normal is real, but nothing to be woken for: an alarm on it is a false one."""
OF_INCIDENTS = (TRUE_POSITIVE, FALSE_POSITIVE, NEW_NORMAL)
LENGTH_S = 60
LONGEST_MISSED_S = 7 * 86_400
"""Nobody overlooks a week of anomaly by the minute; such a range is a mistyped date."""


@dataclass(frozen=True, slots=True)
class Word:
    """Who says it, and why."""

    by: str = ""
    notes: str = ""


def of_incident(incident: Mapping[str, Any], label: str, word: Word) -> dict[str, Any]:
    """Make the label of an incident, a row of ``outcomes``.

    It covers what the incident was when the operator looked: from its first to its last anomalous minute.

    Raises
    ------
    InputError
        No such label, or the incident was merged into another.

    Examples
    --------
    >>> incident = {"id": 3, "started_at": 60, "last_seen_at": 240, "merged_into": None, "collectors": ["rrc00"]}
    >>> row = of_incident(incident, "true_positive", Word("ann"))
    >>> row["starts_at"], row["ends_at"], row["collector"]
    (60, 300, 'rrc00')
    """
    if label not in OF_INCIDENTS:
        raise InputError(f"label {label!r}: one of {', '.join(OF_INCIDENTS)} expected for an incident")
    if incident["merged_into"] is not None:
        raise InputError(f"incident {incident['id']} is one with incident {incident['merged_into']}; label that one")
    collectors = list(incident["collectors"])
    return {
        "incident_id": incident["id"],
        "starts_at": int(incident["started_at"]),
        "ends_at": int(incident["last_seen_at"]) + LENGTH_S,
        "collector": collectors[0] if len(collectors) == 1 else "",
        "label": label,
        **_word(word),
    }


def of_missed(
    start: float, end: float, collector: str, word: Word, *, newest: int | None, labels: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Make the label of a range that should have alarmed, a row of ``outcomes``; whole minutes that it touches.

    Parameters
    ----------
    start, end : float
        Epoch seconds, event time.
    collector : str
        Where; "" is everywhere.
    word : Word
        Who says so.
    newest : int or None
        Start of the newest window there is.
    labels : sequence of mapping
        Labels there are that touch the range.

    Raises
    ------
    InputError
        The range is empty, longer than a week, beyond the data, or somebody labelled part of it as missed already.

    Examples
    --------
    >>> row = of_missed(90.0, 200.0, "rrc00", Word("ann"), newest=6000, labels=[])
    >>> row["starts_at"], row["ends_at"], row["label"]
    (60, 240, 'missed')
    """
    if end <= start:
        raise InputError(f"label missed: --to after --from expected, {end - start:g} s between them found")
    if end - start > LONGEST_MISSED_S:
        raise InputError(f"label missed: at most 7 days expected, {(end - start) / 86_400:.1f} found")
    if newest is None or start >= newest + LENGTH_S:
        raise InputError("label missed: a range with windows expected; the store has none at or after --from")
    for other in labels:
        if other["label"] == MISSED and (not other["collector"] or not collector or other["collector"] == collector):
            raise InputError(
                f"label missed: label {other['id']} already covers part of this range; "
                f"take it back first: bgpdrift label --undo {other['id']}"
            )
    return {
        "incident_id": None,
        "starts_at": int(start // LENGTH_S) * LENGTH_S,
        "ends_at": -int(-end // LENGTH_S) * LENGTH_S,
        "collector": collector,
        "label": MISSED,
        **_word(word),
    }


def overlapping(incidents: Sequence[Mapping[str, Any]], start: int, end: int, collector: str) -> list[int]:
    """Incidents that touch a range at a collector: what lies within them was not missed.

    Examples
    --------
    >>> rows = [{"id": 7, "started_at": 60, "last_seen_at": 120, "collectors": ["rrc00"], "merged_into": None}]
    >>> overlapping(rows, 120, 600, ""), overlapping(rows, 180, 600, ""), overlapping(rows, 60, 600, "rrc01")
    ([7], [], [])
    """
    return [
        int(row["id"])
        for row in incidents
        if row["merged_into"] is None
        and row["started_at"] < end
        and row["last_seen_at"] + LENGTH_S > start
        and (not collector or collector in row["collectors"])
    ]


def _word(word: Word) -> dict[str, str]:
    if len(word.by) > 64:
        raise InputError(f"--by: at most 64 characters expected, {len(word.by)} found")
    return {"labelled_by": word.by, "notes": word.notes}
