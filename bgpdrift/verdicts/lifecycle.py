"""The life cycle of an incident: which state follows which event."""

from collections.abc import Mapping
from typing import Literal, get_args

from bgpdrift.process.transitions import TransitionTable

State = Literal["", "open", "updated", "closed", "reopened"]
"""``""`` is the state of an incident that does not exist yet."""
Event = Literal[
    "anomaly",  # a verdict belongs to the incident
    "quiet",  # no verdict for ``quiet_minutes``
    "merged",  # the incident was merged with another
]

INCIDENT_LIFECYCLE: TransitionTable[State, Event] = TransitionTable(
    "incident",
    get_args(State),
    get_args(Event),
    {
        ("", "anomaly"): "open",
        ("open", "anomaly"): "updated",
        ("updated", "anomaly"): "updated",
        ("reopened", "anomaly"): "updated",
        ("closed", "anomaly"): "reopened",
        ("open", "quiet"): "closed",
        ("updated", "quiet"): "closed",
        ("reopened", "quiet"): "closed",
        ("open", "merged"): "closed",
        ("updated", "merged"): "closed",
        ("reopened", "merged"): "closed",
        ("closed", "merged"): "closed",
    },
    initial="",
)
RECORDED: Mapping[State, str] = {"open": "opened", "updated": "updated", "closed": "closed", "reopened": "reopened"}
"""The kind of row in ``incident_events`` that records a new state."""
