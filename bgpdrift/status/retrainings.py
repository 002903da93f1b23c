"""How a row of ``model_retrain_events`` reads: a verdict in a word or two, why it was begun, what came of it. Pure."""

from collections.abc import Mapping
from typing import Any

from bgpdrift.status.snapshot import Retraining

ENDED = {1: "failed", 2: "failed", 3: "rejected", 4: "not enough data", 5: "another ran", 6: "timed out"}
"""What a retrainer's exit code says (docs/retraining.md)."""
MOVED = {
    "promote": "published",
    "publish_default": "packaged model",
    "rollback": "taken back",
    "reject": "rejected",
    "recover": "recovered",
}


def retraining(row: Mapping[str, Any]) -> Retraining:
    """Read an event.

    Examples
    --------
    >>> row = {"model": "lstm", "kind": "retrain", "version": "", "started_at": 0, "finished_at": 60, "promoted": False,
    ...        "reason_json": {"reason": "drift"}, "exit_code": 3, "notes": "alarms: 40 a day, at most 10"}
    >>> told = retraining(row)
    >>> told.verdict, told.because, told.result
    ('rejected', 'drift', 'alarms: 40 a day, at most 10')
    """
    reason = row["reason_json"] if isinstance(row["reason_json"], Mapping) else {}
    return Retraining(
        str(row["model"]),
        str(row["kind"]),
        str(row["version"]),
        int(row["started_at"]),
        None if row["finished_at"] is None else int(row["finished_at"]),
        _verdict(row),
        str(reason.get("reason") or ""),
        str(row["notes"]),
        row["exit_code"],
    )


def _verdict(row: Mapping[str, Any]) -> str:
    notes = str(row["notes"])
    if row["kind"] in MOVED:
        return "failed" if notes.startswith("failed") else MOVED[row["kind"]]
    if row["promoted"]:
        return "published"
    if row["finished_at"] is None:
        return "running"
    if row["exit_code"] is None:
        return "ended"
    return ENDED.get(int(row["exit_code"]), "kept as candidate" if row["exit_code"] == 0 else "failed")
