"""Follows each retraining request whose flag file was dropped to its end, by the traces in the files and the store.

The state of a request is derived from its flag, its claim and the event that its run recorded, never from memory. A monitor that
is killed at any point is therefore continued by the next one. A flag for which three runs died is removed, and an alert
reports it. `bgpdrift.monitor.request_progress` decides which events the evidence stands for.
"""

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.models import flags
from bgpdrift.models.flags import DriftCause, Flag
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.request_progress import (
    ENDED_WITHOUT_RESULT,
    MAX_ATTEMPTS,
    Evidence,
    Progress,
    RunEnd,
    assess_progress,
)
from bgpdrift.monitor.request_situation import MONITOR
from bgpdrift.monitor.request_states import REQUEST_LIFECYCLE, Event
from bgpdrift.monitor.retraining_runs import RetrainingRuns
from bgpdrift.monitor.safeguards import AUTOMATIC_RUN_ENDED, HOUR_S
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import CooldownState, cooldown_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.model_records import RetrainEvent
from bgpdrift.store.request_records import Alert, RequestReason, RetrainRequest

MAX_EVENTS_READ = 50


class FlaggedRequests:
    """Follows requests.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor.
    runs : RetrainingRuns
        Active runs and pauses.
    active_versions : ActiveVersions
        Active version of each model.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, runs: RetrainingRuns, active_versions: ActiveVersions
    ) -> None:
        self._folder, self._store, self._clock, self._runs = settings.artifacts_path, store, clock, runs
        self._active_versions, self._log = active_versions, logs.get_logger()

    def step(self, at: int) -> bool:
        """Update each flagged request and check each flag file; return whether a request changed."""
        changed = False
        for request in reversed(self._store.retrain_requests(states=("flagged", "claimed"))):
            changed |= self._follow(request, at)
        for model in flags.list_requested(self._folder):
            self._check_flag(model, at)
        return changed

    def drop_flag(self, request: RetrainRequest) -> None:
        """Drop the flag file of a request."""
        reason = request.reason
        cause = DriftCause(
            request_id=request.id,
            check_id=reason.check_id,
            severity=reason.severity,
            change_point=reason.change_point,
            report_path=reason.report_path,
            version=reason.model_version,
            consented=reason.consented,
        )
        flag = Flag(
            reason.summary or "drift",
            request.requested_by,
            requested_at=self._clock.now(),
            cause=cause,
            attempts=reason.attempts,
        )
        flags.drop(self._folder, request.model, flag)

    def _follow(self, request: RetrainRequest, at: int) -> bool:
        evidence, event = self._read_evidence(request)
        progress = assess_progress(request.state, evidence)
        if not progress.events:
            if progress.drops_flag:
                self.drop_flag(request)
            return False
        reason = _update_reason(request.reason, progress, evidence, event, at)
        state = REQUEST_LIFECYCLE.next_state(request.state, *progress.events)
        run_end = evidence.run_end or RunEnd(None)
        has_ended = state in ("done", "failed")
        if state == "done" and event is not None and event.finished_at is None:
            self._finish_event(event)  # first, since a request that is done is not followed any more
        changed = self._store.change_retrain_request(
            request.id,
            request.state,
            state,
            reason=reason,
            refusal_reason="" if state in ("done", "claimed") else run_end.reason,
            cursor=_begin_cooldown(request, at) if has_ended else None,
            alerts=[self._build_alert(request.model, request, state, run_end)] if has_ended else [],
        )
        if not changed:
            return False
        self._log.info(f"retrain.{state}", model=request.model, request_id=request.id, reason=run_end.reason)
        if progress.counts_attempt:
            self._runs.pause(request.model)
        if progress.drops_flag:
            self.drop_flag(replace(request, state=state, reason=reason))
        return True

    def _read_evidence(self, request: RetrainRequest) -> tuple[Evidence, RetrainEvent | None]:
        model = request.model
        flag, claim = flags.read_flag(self._folder, model), flags.read_claim(self._folder, model)
        event = self._find_event(request)
        run_is_active = self._runs.is_active(model)
        claim_is_live = claim is not None and flags.is_live(self._folder, claim)
        run_end = _read_end(event, self._active_versions.get(model), run_is_active or claim_is_live)
        # A run that was killed after the publication leaves its flag or claim behind; the request is done.
        is_promoted = run_end is not None and run_end.promoted
        flag_is_ours = flag is not None and flag.cause.request_id == request.id
        claim_is_ours = claim is not None and claim_is_live and claim.flag.cause.request_id == request.id
        evidence = Evidence(
            flag_exists=flag is not None,
            flag_is_ours=flag_is_ours and not is_promoted,
            claim_exists=claim is not None,
            claim_is_ours=claim_is_ours and not is_promoted,
            run_is_active=run_is_active,
            run_end=run_end,
            attempts=request.reason.attempts,
        )
        return evidence, event

    def _find_event(self, request: RetrainRequest) -> RetrainEvent | None:
        """Find the last run that names a request and started after its flag was dropped."""
        for event in self._store.retrain_events(request.model, MAX_EVENTS_READ):
            if event.id <= request.reason.after_event_id:
                return None
            if event.kind == "retrain" and event.reason.request_id == request.id:
                return event
        return None

    def _build_alert(self, model: str, request: RetrainRequest | Flag, state: str, run_end: RunEnd) -> Alert:
        """Build the alert about the end of a run for a request, or for the flag of a person."""
        now, body = self._clock.now(), run_end.reason
        is_first = isinstance(request, RetrainRequest) and request.reason.is_first
        subject = request.id if isinstance(request, RetrainRequest) else f"flag:{int(request.requested_at)}"
        if state == "done":
            key, version = f"retrained:{model}:{run_end.version or subject}", run_end.version
            what = "has its first model" if is_first else "was retrained"
            title = f"{model} {what}: {f'version {version}' if version else 'the new version'} is on probation"
            return Alert(at=now, key=key, severity="low", title=title, body=body)
        if run_end.exit_code == 3:
            rest = "the detector still has no model" if is_first else "the active version stays"
            title = f"{model}: the gate rejected the {'first' if is_first else 'new'} version, {rest}"
            return Alert(at=now, key=f"rejected:{model}:{subject}", severity="medium", title=title, body=body)
        key, title = f"retrain_failed:{model}:{subject}", f"{model} could not be {'' if is_first else 're'}trained"
        return Alert(at=now, key=key, severity="high", title=title, body=body)

    def _finish_event(self, event: RetrainEvent) -> None:
        """Complete the event of a run that was killed after its version had become active."""
        ModelRegistry(self._folder, self._store, self._clock).reconcile(event.model)
        notes = _describe_late_kill(event.version)
        completed = replace(event, finished_at=int(self._clock.now()), exit_code=1, promoted=True, notes=notes)
        self._store.record_retrain_event(completed)

    def _check_flag(self, model: str, at: int) -> None:
        """Remove a flag for which too many runs died, and a flag of the monitor whose request has ended."""
        flag = flags.read_flag(self._folder, model)
        if flag is None:
            return
        request_id = flag.cause.request_id
        requests = self._store.retrain_requests(model) if request_id else []
        request = next((request for request in requests if request.id == request_id), None)
        if flag.attempts >= MAX_ATTEMPTS:
            self._give_up(model, flag, request, at)
        elif request is not None and request.state not in ("flagged", "claimed") and flag.requested_by == MONITOR:
            flags.withdraw(self._folder, model)

    def _give_up(self, model: str, flag: Flag, request: RetrainRequest | None, at: int) -> None:
        # The row is written first: if the monitor dies here, the next one finds the flag and removes it.
        run_end = RunEnd(1, reason=f"given up: {flag.attempts} runs of this request died, see retrain_{model}.log")
        if request is not None and request.state in ("flagged", "claimed"):
            events: tuple[Event, ...] = ("claim", "fail") if request.state == "flagged" else ("fail",)
            self._store.change_retrain_request(
                request.id,
                request.state,
                REQUEST_LIFECYCLE.next_state(request.state, *events),
                reason=replace(request.reason, ended_at=at, exit_code=1, attempts=flag.attempts),
                refusal_reason=run_end.reason,
                cursor=_begin_cooldown(request, at),
                alerts=[self._build_alert(model, request, "failed", run_end)],
            )
        elif request is None:
            self._store.raise_alerts([self._build_alert(model, flag, "failed", run_end)])
        flags.withdraw(self._folder, model)
        self._runs.end_pause(model)
        self._log.error("retrain.given_up", model=model, reason=run_end.reason, requested_by=flag.requested_by)


def _begin_cooldown(request: RetrainRequest, at: int) -> StateCursor[CooldownState]:
    state = CooldownState(reason=AUTOMATIC_RUN_ENDED, request_id=request.id)
    return StateCursor(cooldown_cursor(request.model), at, state)


def _update_reason(
    reason: RequestReason, progress: Progress, evidence: Evidence, event: RetrainEvent | None, at: int
) -> RequestReason:
    run_end, last = evidence.run_end, progress.events[-1]
    if "claim" in progress.events:
        reason = replace(reason, claimed_at=at)
    if progress.counts_attempt:
        reason = replace(reason, attempts=evidence.attempts + 1)
    if event is not None and run_end is not None:
        reason = replace(reason, after_event_id=event.id)
    if last in ("finish", "fail", "postpone") and run_end is not None:
        reason = replace(reason, ended_at=at, exit_code=run_end.exit_code, new_version=run_end.version)
    if last == "postpone":
        until = max(event.reason.not_before if event else 0, at + HOUR_S)
        cause = run_end.reason if run_end else ""
        reason = replace(reason, postponed_until=until, not_before=until, not_before_reason=cause)
    return reason


def _describe_late_kill(version: str) -> str:
    return f"killed after version {version} had become active"


def _read_end(event: RetrainEvent | None, active_version: str, run_is_active: bool) -> RunEnd | None:
    if event is None:
        return None
    version = event.version
    if event.finished_at is not None:
        return RunEnd(event.exit_code, event.promoted, event.notes, version)
    if version and version == active_version:
        return RunEnd(1, True, _describe_late_kill(version), version)
    return None if run_is_active else RunEnd(None, reason=ENDED_WITHOUT_RESULT, version=version)
