"""Alerts about incidents: decides which changes of an incident raise an alert, and its key and wording. Pure.

An incident raises one alert when it opens, when its severity changes, when it closes or is merged into another, and when it
opens again. The key names the incident and the change, so that a step which is repeated after a crash raises no alert twice.
The store writes the alerts in the transaction that writes the changes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bgpdrift.formatting import format_time
from bgpdrift.store import IncidentChanges
from bgpdrift.store.cursor_states import Severity
from bgpdrift.store.request_records import Alert

MINUTE_S = 60


def build_incident_alerts(changes: IncidentChanges, wall_now: float) -> Sequence[Alert]:
    """Build the alerts that follow from the changes of one step, in the order of the changes.

    Parameters
    ----------
    changes : IncidentChanges
        Changes of the correlation engine; each event comes with the row of its incident.
    wall_now : float
        Wall-clock time, epoch seconds.

    Examples
    --------
    >>> row = {"id": 3, "summary": "Origin hijack at collector rrc00", "collectors": ["rrc00"], "started_at": 0,
    ...        "last_seen_at": 540}
    >>> opened = {"incident_id": 3, "at": 0, "kind": "opened", "details": {"severity": "high"}}
    >>> closed = {"incident_id": 3, "at": 1440, "kind": "closed", "details": {"severity": "high"}}
    >>> for alert in build_incident_alerts(IncidentChanges([row], [], [opened, closed]), 2_000.0):
    ...     print(alert.key, alert.severity, alert.title)
    incident_opened:3 high Incident 3 opened: Origin hijack at collector rrc00
    incident_closed:3:1440 low Incident 3 closed: Origin hijack at collector rrc00
    """
    rows = {int(row["id"]): row for row in (*changes.inserts, *changes.updates)}
    alerts = (_build_alert(event, rows.get(int(event["incident_id"]), {}), wall_now) for event in changes.events)
    return [alert for alert in alerts if alert is not None]


def _build_alert(event: Mapping[str, Any], row: Mapping[str, Any], wall_now: float) -> Alert | None:
    number, at, details = int(event["incident_id"]), int(event["at"]), event["details"]
    severity: Severity = details.get("severity", "low")
    about = f": {row['summary']}" if row.get("summary") else ""
    match event["kind"]:
        case "opened":
            key, title = f"incident_opened:{number}", f"Incident {number} opened{about}"
        case "updated" if details.get("severity_before"):
            key = f"incident_severity:{number}:{severity}:{at}"
            title = f"Incident {number} is {severity}, before {details['severity_before']}{about}"
        case "reopened":
            key, title = f"incident_reopened:{number}:{at}", f"Incident {number} is open again{about}"
        case "closed":
            key, title, severity = f"incident_closed:{number}:{at}", f"Incident {number} closed{about}", "low"
        case "merged":
            key, severity = f"incident_merged:{number}:{at}", "low"
            title = f"Incident {number} was merged into incident {details['into']}{about}"
        case _:
            return None
    return Alert(at=wall_now, key=key, severity=severity, title=title, body=_describe(row, number))


def _describe(row: Mapping[str, Any], number: int) -> str:
    explain = f"`bgpdrift incidents {number}` explains it."
    if not row:
        return explain
    span = f"{format_time(row['started_at'])} to {format_time(row['last_seen_at'] + MINUTE_S)} UTC"
    collectors = ", ".join(sorted(map(str, row["collectors"])))
    return f"At {collectors}, {span}. {explain}"
