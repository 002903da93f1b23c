"""The life of an incident as a table: (state, event) → state. What is not in it is refused."""

from collections.abc import Mapping

from bgpdrift.errors import BgpdriftError

STATES = ("", "open", "updated", "closed", "reopened")
"""``""`` is an incident that does not exist yet."""
EVENTS = ("anomaly", "quiet", "merged")
"""anomaly: a verdict that belongs to it; quiet: nothing for ``quiet_minutes``; merged: it was one with another."""

TRANSITIONS: Mapping[tuple[str, str], str] = {
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
}
RECORDED = {"open": "opened", "updated": "updated", "closed": "closed", "reopened": "reopened"}
"""Kind of the row in ``incident_events`` that a new state leaves."""


class IllegalTransitionError(BgpdriftError):
    """An incident was asked to do what its state does not allow: a defect of the caller."""


def after(state: str, event: str) -> str:
    """State after an event.

    Examples
    --------
    >>> after("closed", "anomaly")
    'reopened'
    """
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransitionError(f"incident: {event!r} is not possible in state {state!r}") from None
