"""Answers about an incident that holds a drift: what a person answered, and the labels that follow from it.

A label of the incident and the answer to the approval request both count. The decision becomes a label, also if it was made
without an answer, so that training and references use it.
"""

from collections.abc import Mapping
from typing import Any

from bgpdrift.drift.incident_hold import IncidentHold, apply_answer
from bgpdrift.store import Store
from bgpdrift.store.outcomes import Outcome
from bgpdrift.verdicts.outcomes import NEW_NORMAL, TRUE_POSITIVE

LABELLED_BY = "bgpdrift"
"""``labelled_by`` of a label that follows from the lack of an answer."""
MAX_MERGES = 10


class HoldAnswers:
    """Reads answers and builds labels."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def apply(self, hold: IncidentHold) -> IncidentHold:
        """Return the hold after the answers that exist now."""
        if hold.state == "free":
            return hold
        incident = self._find_incident(hold.incident_id)
        incident_id = hold.incident_id if incident is None else int(incident["id"])
        label = self._store.label_of_incident(incident_id) or self._store.label_of_incident(hold.incident_id)
        approval = self._store.approval_request(hold.approval_id) if hold.approval_id else None
        return apply_answer(hold, approval.state if approval else "", label)

    def build_labels(self, before: IncidentHold, after: IncidentHold, at: int) -> list[Outcome]:
        """Build the labels of a hold that was decided between two states."""
        if after.state == before.state or after.state not in ("new_normal", "attack"):
            return []
        incident = self._find_incident(after.incident_id)
        if incident is None:
            return []
        approval = self._store.approval_request(after.approval_id) if after.approval_id else None
        is_answered = approval is not None and approval.state in ("approved", "rejected")
        started_at = int(incident["started_at"])
        common: dict[str, Any] = {
            "ends_at": max(int(incident["last_seen_at"]) + 60, at),
            "label": NEW_NORMAL if after.state == "new_normal" else TRUE_POSITIVE,
            "labelled_by": (approval.answered_by if approval and is_answered else None) or LABELLED_BY,
            "notes": "no answer to: attack or new normal?"
            if after.answer == "silence"
            else "answer to: attack or new normal?",
        }
        labels = [Outcome(incident_id=int(incident["id"]), starts_at=started_at, **common)]
        if after.since < started_at:
            # Earlier incidents of the same group get the same label, as a time range.
            labels.append(Outcome(starts_at=after.since, **common))
        return labels

    def _find_incident(self, incident_id: int) -> Mapping[str, Any] | None:
        """Read an incident, or the one into which it was merged."""
        incident = self._store.incident(incident_id)
        for _ in range(MAX_MERGES):
            if incident is None or incident["merged_into"] is None:
                return incident
            incident = self._store.incident(int(incident["merged_into"]))
        return incident
