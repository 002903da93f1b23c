"""What becomes of wishes to retrain before a flag lies there: safeguards, questions, waiting, asking again.

The shell around `bgpdrift.monitor.safeguards`: gathers the situation from store and files, writes what was decided. The
trigger's row is written first, the flag is dropped after it; should we die in between, `bgpdrift.monitor.retraining_runs`
drops it. A wish whose run failed, or that was refused, is made again while the drift lasts and as soon as the safeguards
would let it pass, so that a machine left alone for a year does not stay with a model that no longer fits.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.drift.report import SEVERITIES, Severity
from bgpdrift.models.artifact import identity_of
from bgpdrift.models.paths import current_path
from bgpdrift.models.publication import active_version
from bgpdrift.monitor import approvals
from bgpdrift.monitor.request_states import OPEN_STATES, REQUEST_LIFECYCLE
from bgpdrift.monitor.safeguards import (
    DAY_S,
    Decision,
    SafeguardPolicy,
    Situation,
    choose_change_point,
    decide,
    is_consent_by_timeout,
    may_request_again,
)
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.retrain_requests import TriggerRow

MONITOR = "drift_monitor"
BY_ITSELF = "bgpdrift"
"""Who answers a question that nobody answered."""
OVER = ("none", "immaterial")
"""Verdicts that end a drift, once no check running says otherwise."""
RENEW_EVERY_S = 3_600


def loop_cursor(model: str) -> str:
    """Name of the row of ``cursors`` with the end of the last automatic run, or of a rollback, in event time."""
    return f"loop:{model}"


class ActiveVersions:
    """Which version of a model is in force; a file is read again only when it changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, tuple[Any, str]] = {}

    def __call__(self, model: str) -> str:
        """Its version; "" if none can be read."""
        try:
            identity = identity_of(current_path(self._folder, model).stat())
        except OSError:
            return ""
        if model not in self._known or self._known[model][0] != identity:
            self._known[model] = (identity, active_version(self._folder, model))
        return self._known[model][1]


class Wishes:
    """Decides on wishes.

    Parameters
    ----------
    settings, store, clock
        Of the monitor.
    active_versions : ActiveVersions
        Versions.
    drop : callable
        Drops the flag of a wish, given its row.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        active_versions: ActiveVersions,
        drop: Callable[[TriggerRow], None],
    ) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._active_versions, self._drop, self._log = active_versions, drop, logs.get_logger()
        self._policies = {model: SafeguardPolicy.from_settings(settings, model) for model in MODELS}
        self._renewed_at = 0

    def step(self, at: int) -> bool:
        """Look at every wish that waits for a decision; True if one moved."""
        moved = False
        for row in self._store.triggers(states=("postponed",)):
            moved |= self._resume(row, at)
        for row in reversed(self._store.triggers(states=("requested",))):
            moved |= self._decide(row, at)
        for row in self._store.triggers(states=("waiting_approval",)):
            moved |= self._hear(row, at)
        if not self._renewed_at <= at < self._renewed_at + RENEW_EVERY_S:
            self._renewed_at = at
            for model in MODELS:
                moved |= self._renew(model, at)
        return moved

    def _resume(self, row: TriggerRow, at: int) -> bool:
        if not self._lasts(row):
            return self._change(row, "refuse", "the drift has ended", at)
        if at < int(row["reason"].get("until") or 0):
            return False
        known = self._known_now(row)
        if "change_point" in known:
            share = self._policies[str(row["model"])].held_out_share
            wanted = row["reason"].get("change_point")
            known["change_point"] = choose_change_point(wanted, known["change_point"], at, share)
        return self._change(row, "resume", "", at, **known)

    def _decide(self, row: TriggerRow, at: int) -> bool:
        model = str(row["model"])
        if model not in self._policies:
            return self._change(row, "refuse", f"there is no model {model!r}", at)
        for other in self._store.triggers(model, ("postponed", "waiting_approval")):
            if other["id"] < row["id"] and (other["state"] == "postponed" or _consented(row)):
                self._replace(other, row, at)
        decision = decide(self.situation(row, at), self._policies[model])
        match decision.outcome:
            case "flag":
                return self._flag(row, at)
            case "request_approval":
                return self._ask(row, decision, at)
            case "postpone":
                return self._change(row, "postpone", decision.reason, at, until=decision.until)
        return self._change(row, "refuse", decision.reason, at, safeguard=decision.safeguard)

    def _hear(self, row: TriggerRow, at: int) -> bool:
        model = str(row["model"])
        policy, asked = self._policies[model], self._question(row)
        if asked is None:
            return self._change(row, "refuse", "the question about it is gone", at)
        number, state = int(asked["id"]), str(asked["state"])
        over = (number, approvals.EXPIRED, BY_ITSELF, at)
        if state == approvals.REJECTED:
            said = f"{asked['answered_by'] or 'somebody'} said no"
            return self._change(row, "refuse", said, at, safeguard="approval", answered_at=asked["answered_at"])
        if not self._lasts(row):
            return self._change(row, "refuse", "the drift has ended", at, answered=over)
        consents = state in (approvals.APPROVED, approvals.EXPIRED)
        if not consents and not is_consent_by_timeout(int(asked["asked_at"]), at, policy):
            return False
        agreed = {**row, "reason": {**row["reason"], "consented": True}}
        decision = decide(self.situation(agreed, at), policy)
        if decision.outcome == "refuse":
            return self._change(agreed, "refuse", decision.reason, at, safeguard=decision.safeguard, answered=over)
        if decision.outcome == "postpone":
            return self._change(agreed, "postpone", decision.reason, at, until=decision.until, answered=over)
        return self._flag(agreed, at, answered=over)

    def _renew(self, model: str, at: int) -> bool:
        """Make a wish again that came to nothing, if the drift lasts and nothing stands in its way any more."""
        newest = next(iter(self._store.triggers(model, limit=1)), None)
        if newest is None or newest["state"] not in ("failed", "refused") or newest["requested_by"] != MONITOR:
            return False
        cursor = self._store.read_cursor(f"drift:{model}")
        now = cursor.details if cursor else {}
        lasts = now.get("verdict") == "drift" and int(now.get("lasting") or 0) >= int(now.get("needed") or 1)
        if not lasts or now.get("version") != self._active_versions(model):
            return False
        before = newest["reason"]
        if before.get("safeguard") == "approval" and not may_request_again(before.get("answered_at"), at):
            return False
        kept = ("check_id", "verdict", "change_point", "reason", "report_path", "collectors")
        reason = {name: before[name] for name in kept if name in before}
        reason |= {
            "severity": _severity(now.get("severity")),
            "version": now.get("version"),
            "again_after": newest["id"],
        }
        row = {"model": model, "requested_at": at, "requested_by": MONITOR, "reason": reason, "state": "requested"}
        if decide(self.situation({**row, "id": 0}, at), self._policies[model]).outcome not in (
            "flag",
            "request_approval",
        ):
            return False
        number = self._store.add_trigger(row, newest=int(newest["id"]))
        if number is not None:
            self._log.info("retrain.wanted_again", model=model, wish=number, after=newest["id"])
        return number is not None

    def situation(self, row: Mapping[str, Any], at: int) -> Situation:
        """Gather what the safeguards ask for."""
        model, reason = str(row["model"]), row["reason"]
        change_point = reason.get("change_point")
        cursor = self._store.read_cursor(loop_cursor(model))
        start = max(at - self._settings.retrain.days * DAY_S, int(change_point or 0))
        groups = self._store.window_groups(start, at)
        others = [other for other in self._store.triggers(model, OPEN_STATES) if other["id"] != row["id"]]
        busy = [int(other["id"]) for other in others if other["state"] != "requested" or other["id"] < row["id"]]
        return Situation(
            model,
            at,
            severity=self._severity_now(row),
            collectors=tuple(map(str, reason.get("collectors") or ())),
            drifted_version=str(reason.get("version") or ""),
            active_version=self._active_versions(model),
            drift_persists=self._lasts(row),
            open_request_id=busy[0] if busy and row["id"] else None,
            cooldown_since=cursor.position if cursor else None,
            cooldown_cause=str(cursor.details.get("because") or "an automatic run") if cursor else "",
            windows=sum(count for _, _, count in groups),
            change_point=None if change_point is None else int(change_point),
            not_before=int(reason.get("not_before") or 0),
            not_before_reason=str(reason.get("not_before_because") or ""),
            consented=_consented(row),
        )

    def _known_now(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the last check says of the same drift: a wish that waited knows better since when there is a new level."""
        cursor = self._store.read_cursor(f"drift:{row['model']}")
        now = cursor.details if cursor else {}
        if now.get("verdict") != "drift" or now.get("version") != row["reason"].get("version"):
            return {}
        names_now = ("severity", "change_point", "reason", "report_path", "collectors")
        return {name: now[name] for name in names_now if name in now}

    def _severity_now(self, row: Mapping[str, Any]) -> Severity:
        """What the last check says, where it is about the same version; else what the wish says."""
        cursor, wanted = self._store.read_cursor(f"drift:{row['model']}"), _severity(row["reason"].get("severity"))
        if cursor is None or cursor.details.get("verdict") != "drift":
            return wanted
        same = cursor.details.get("version") == row["reason"].get("version")
        return _severity(cursor.details.get("severity")) if same else wanted

    def _lasts(self, row: Mapping[str, Any]) -> bool:
        """False once checks of the version it is about say that nothing drifts; a wish by hand needs no drift."""
        cursor = self._store.read_cursor(f"drift:{row['model']}")
        if cursor is None or row["requested_by"] != MONITOR:
            return True
        return not (cursor.details.get("verdict") in OVER and not cursor.details.get("lasting"))

    def _question(self, row: TriggerRow) -> dict[str, Any] | None:
        asked = self._store.approvals(kind=approvals.RETRAIN, subject=str(row["model"]))
        return next((one for one in asked if one["details"].get("trigger_id") == row["id"]), None)

    def _flag(self, row: TriggerRow, at: int, answered: tuple[int, str, str, int] | None = None) -> bool:
        newest = self._store.retrain_events(str(row["model"]), 1)
        reason = {**row["reason"], "flagged_at": at, "attempts": 0, "after_event": newest[0]["id"] if newest else 0}
        state = REQUEST_LIFECYCLE.next_state(row["state"], "flag")
        if not self._store.change_trigger(
            row["id"], row["state"], state, reason=reason, refused_because="", answered=answered
        ):
            return False
        self._log.info("retrain.flagged", model=row["model"], wish=row["id"], reason=str(reason.get("reason") or ""))
        self._drop({**row, "state": state, "reason": reason})
        return True

    def _ask(self, row: TriggerRow, decision: Decision, at: int) -> bool:
        model, reason = str(row["model"]), row["reason"]
        question = f"retrain {model}? {decision.reason}"
        details = {"trigger_id": row["id"], "question": question}
        details |= {name: reason[name] for name in ("severity", "reason", "report_path", "version") if name in reason}
        asked = {"kind": approvals.RETRAIN, "subject": model, "asked_at": at, "state": approvals.PENDING}
        notice = {
            "at": self._clock.now(),
            "key": f"retrain_approval:{row['id']}",
            "severity": "critical",
            "title": f"{model} drifts critically: may it be retrained?",
            "body": f"{reason.get('reason') or ''} `bgpdrift approve --list` shows the question.".strip(),
            "state": "pending",
        }
        state = REQUEST_LIFECYCLE.next_state(row["state"], "request_approval")
        moved = self._store.change_trigger(
            row["id"],
            row["state"],
            state,
            refused_because=decision.reason,
            asked={**asked, "details": details},
            notices=[notice],
        )
        if moved:
            self._log.warning("retrain.asked", model=model, wish=row["id"], question=question)
        return moved

    def _replace(self, older: TriggerRow, newer: TriggerRow, at: int) -> None:
        asked = self._question(older) if older["state"] == "waiting_approval" else None
        answered = (int(asked["id"]), approvals.EXPIRED, BY_ITSELF, at) if asked else None
        self._change(older, "refuse", f"wish {newer['id']} took its place", at, answered=answered)

    def _change(
        self,
        row: TriggerRow,
        event: Any,
        sentence: str,
        at: int,
        answered: tuple[int, str, str, int] | None = None,
        **noted: Any,
    ) -> bool:
        state = REQUEST_LIFECYCLE.next_state(row["state"], event)
        reason = {**row["reason"], **noted} | ({"ended_at": at} if state == "refused" else {})
        if not self._store.change_trigger(
            row["id"], row["state"], state, reason=reason, refused_because=sentence, answered=answered
        ):
            return False
        self._log.info(f"retrain.{state}", model=row["model"], wish=row["id"], because=sentence)
        return True


def _consented(row: Mapping[str, Any]) -> bool:
    return bool(row["reason"].get("consented"))


def _severity(value: object) -> Severity:
    return next((severity for severity in SEVERITIES if severity == value), "none")
