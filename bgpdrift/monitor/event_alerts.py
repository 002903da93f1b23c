"""What a person is told when the supervisor saw something. Pure: an event in, rows of ``notifications`` out.

A key says the same thing once: a crash loop is told when it begins and when it is over, however many attempts lie between;
hangs and memory at most once an hour a service. Who sends notices is not decided here.
"""

from collections.abc import Mapping
from typing import Any

HOUR_S = 3600


def notices_of(event: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the notices that follow from an event.

    Parameters
    ----------
    event : mapping
        A row of ``service_events`` as the supervisor writes them.

    Examples
    --------
    >>> loop = {"at": 90.0, "service": "lstm_detector", "event": "crashloop", "details": {"since": 30.0, "message": "exit 1"}}
    >>> [(notice["severity"], notice["key"], notice["title"]) for notice in notices_of(loop)]
    [('critical', 'crashloop:lstm_detector:30', 'lstm_detector is in a crash loop')]
    >>> notices_of({"at": 90.0, "service": "lstm_detector", "event": "ready", "details": {}})
    []
    """
    at, service, details = float(event["at"]), str(event["service"]), event["details"]
    since = int(details.get("since") or at)
    hour = int(at) // HOUR_S
    told: tuple[str, str, str]
    match event["event"]:
        case "crashloop":
            severity = "critical" if details.get("required", True) else "high"
            told = (severity, f"crashloop:{service}:{since}", f"{service} is in a crash loop")
        case "recovered":
            told = ("low", f"recovered:{service}:{since}", f"{service} works again")
        case "aborting":
            told = ("medium", f"aborting:{service}:{hour}", f"{service} hung, or was never ready, and is restarted")
        case "recycling":
            told = ("medium", f"recycling:{service}:{hour}", f"{service} held too much memory and is restarted")
        case "degraded":
            told = ("medium", f"degraded:{service}:{hour}", f"{service} cannot do all of its work")
        case "was_killed":
            told = ("high", f"was_killed:{int(at)}", "the supervisor was killed, and is back")
        case "disk_reserved":
            told = ("critical", f"disk_reserved:{int(at)}", "the disk is full but for the database's reserve")
        case "disk_low":
            told = ("high", f"disk_low:{int(at)}", "the disk is low on space")
        case "disk_plenty":
            told = ("low", f"disk_plenty:{int(at)}", "the disk has room again")
        case _:
            return []
    severity, key, title = told
    body = str(details.get("message") or "")
    return [{"at": at, "key": key, "severity": severity, "title": title, "body": body, "state": "pending"}]
