"""Alerts about events of the supervisor: decides which events raise an alert, and how often. Pure.

A key limits how often the same fact is reported: a crash loop once when it begins and once when it is over, hangs and
memory at most once an hour for each service.
"""

from bgpdrift.store.cursor_states import Severity
from bgpdrift.store.request_records import Alert, ServiceEvent

HOUR_S = 3600


def build_alerts(event: ServiceEvent) -> list[Alert]:
    """Return the alerts that follow from an event of the supervisor.

    Examples
    --------
    >>> details = {"since": 30.0, "message": "exit 1"}
    >>> loop = ServiceEvent(at=90.0, service="lstm_detector", event="crashloop", details=details)
    >>> [(alert.severity, alert.key, alert.title) for alert in build_alerts(loop)]
    [('critical', 'crashloop:lstm_detector:30', 'lstm_detector is in a crash loop')]
    >>> build_alerts(ServiceEvent(at=90.0, service="lstm_detector", event="ready"))
    []
    """
    at, service, details = event.at, event.service, event.details
    since, hour = int(details.get("since") or at), int(at) // HOUR_S
    severity: Severity
    match event.event:
        case "crashloop":
            severity = "critical" if details.get("required", True) else "high"
            key, title = f"crashloop:{service}:{since}", f"{service} is in a crash loop"
        case "recovered":
            severity, key, title = "low", f"recovered:{service}:{since}", f"{service} works again"
        case "aborting":
            severity, key = "medium", f"aborting:{service}:{hour}"
            title = f"{service} hung, or was never ready, and is restarted"
        case "recycling":
            severity, key = "medium", f"recycling:{service}:{hour}"
            title = f"{service} used too much memory and is restarted"
        case "degraded":
            severity, key, title = "medium", f"degraded:{service}:{hour}", f"{service} cannot do all of its work"
        case "was_killed":
            severity, key, title = "high", f"was_killed:{int(at)}", "the supervisor was killed and runs again"
        case "disk_reserved":
            severity, key = "critical", f"disk_reserved:{int(at)}"
            title = "the disk is full except for the reserve of the database"
        case "disk_low":
            severity, key, title = "high", f"disk_low:{int(at)}", "the disk is low on space"
        case "disk_plenty":
            severity, key, title = "low", f"disk_plenty:{int(at)}", "the disk has enough space again"
        case _:
            return []
    return [Alert(at=at, key=key, severity=severity, title=title, body=str(details.get("message") or ""))]
