"""Wishes that were flagged, and the runs that answer flags: started, watched, and known by what they leave behind.

Nothing here is remembered in memory alone. What came of a wish is read from its flag, its claim and the event its run
wrote, so that a monitor that was killed at any point is followed by one that goes on. Flags of anybody are answered:
dropped by hand, by the API, by us. One run at a time; one that cannot begin, or dies before it took its flag, is tried
again after a growing pause; a flag that went through three runs is given up, and that is said. What an end means
`bgpdrift.monitor.request_states` decides.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.errors import TransientError
from bgpdrift.models import flags
from bgpdrift.models.flags import Flag
from bgpdrift.models.model_registry import ModelRegistry
from bgpdrift.monitor.request_progress import MAX_ATTEMPTS, Evidence, Progress, RunEnd, assess_progress
from bgpdrift.monitor.request_states import REQUEST_LIFECYCLE
from bgpdrift.monitor.retrainer_process import Over, Runner, at_work, progress_path
from bgpdrift.monitor.retraining_requests import MONITOR, ActiveVersions, loop_cursor
from bgpdrift.monitor.safeguards import HOUR_S
from bgpdrift.process.identity import ProcessIdentity, is_alive
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store
from bgpdrift.store.retrain_requests import TriggerRow

RUNNING = "retrainer"
"""Name of the row of ``cursors`` that tells of the run going on; details are empty when there is none."""
EVENTS_LOOKED_AT = 50
FIRST_PAUSE_S, LONGEST_PAUSE_S = 5.0, 600.0
LOCKED_PAUSE_S = 30.0
INTERRUPTED = (130, 143)
AN_END = (0, 3, 4, 6)
"""Exit codes of a run that came to its own end, whatever that was."""
NO_ATTEMPT = (5, *INTERRUPTED)
"""Exit codes that are no fault of the flag: another run was at work, somebody asked it to stop."""


class RetrainingRuns:
    """Follows flags.

    Parameters
    ----------
    settings, store, clock
        Of the monitor.
    runner : Runner
        Starts retrainers.
    active_versions : ActiveVersions
        Versions.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, runner: Runner, active_versions: ActiveVersions
    ) -> None:
        self._settings, self._store, self._clock, self._runner = settings, store, clock, runner
        self._folder, self._active_versions, self._log = settings.artifacts_path, active_versions, logs.get_logger()
        self._pauses: dict[str, tuple[float, float]] = {}
        """By model: monotonic time before which nothing is started, and the pause after the next failure."""
        self._child: tuple[str, ProcessIdentity] | None = None
        self._unrecorded: Cursor | None = None

    def step(self, at: int) -> bool:
        """See what became of runs and wishes; True if something moved."""
        self._reap(at)
        for model in flags.requeue_dead(self._folder):
            self._log.warning("retrain.requeued", model=model, reason="the retrainer that worked on it is gone")
            self._pause(model)
        moved = False
        for row in reversed(self._store.triggers(states=("flagged", "claimed"))):
            moved |= self._follow(row, at)
        for model in flags.waiting(self._folder):
            self._check_flag(model, at)
        return moved

    def start_next(self, at: int) -> bool:
        """Start the run for the flag that waits longest, unless a run goes on; True if one was started."""
        if self._child is not None:
            self._record_run()
            self._end_overdue(*self._child)
            return False
        recorded = self._recorded()
        if recorded is not None:
            self._end_overdue(*recorded)
            return False
        if at_work(self._folder) is not None:
            return False
        self._forget_run(at)
        now = self._clock.monotonic()
        waiting = [
            (flag.requested_at, model, flag)
            for model in MODELS
            if self._pauses.get(model, (0.0, 0.0))[0] <= now
            and flags.held(self._folder, model) is None
            and (flag := flags.peek(self._folder, model)) is not None
            and flag.attempts < MAX_ATTEMPTS
        ]
        if not waiting:
            return False
        _, model, flag = min(waiting, key=lambda entry: entry[:2])
        try:
            owner = self._runner.start(model)
        except TransientError as error:
            self._pause(model)
            self._log.error("retrain.not_started", model=model, reason=str(error))
            return False
        self._child = (model, owner)
        self._log.info("retrain.started", model=model, pid=owner.pid, wish=flag.details.get("trigger_id"))
        details = {
            "model": model,
            "owner": msgspec.to_builtins(owner),
            "started_at": self._clock.now(),
            "trigger_id": flag.details.get("trigger_id"),
            "attempts": flag.attempts,
            "progress": str(progress_path(self._settings.logs_path, model)),
        }
        self._unrecorded = Cursor(RUNNING, at, details)
        self._record_run()
        return True

    def drop(self, row: TriggerRow) -> None:
        """Drop the flag of a wish."""
        reason = row["reason"]
        kept = ("check_id", "severity", "change_point", "report_path", "version", "consented")
        details = {"trigger_id": row["id"], **{name: reason[name] for name in kept if reason.get(name) is not None}}
        flag = Flag(
            str(reason.get("reason") or "drift"),
            str(row["requested_by"]),
            requested_at=self._clock.now(),
            details=details,
            attempts=int(reason.get("attempts") or 0),
        )
        flags.drop(self._folder, str(row["model"]), flag)

    # What became of a wish.

    def _follow(self, row: TriggerRow, at: int) -> bool:
        seen, event = self._evidence(row)
        found = assess_progress(row["state"], seen)
        if not found.events:
            if found.drops_flag:
                self.drop(row)
            return False
        reason = {**row["reason"], **_noted(found, seen, event, at)}
        state = REQUEST_LIFECYCLE.next_state(row["state"], *found.events)
        cursor, notices, said = None, [], seen.run_end.reason if seen.run_end else ""
        if state in ("done", "failed"):
            cursor = Cursor(loop_cursor(row["model"]), at, {"because": "an automatic run", "trigger_id": row["id"]})
            notices = [self._notice(row, state, seen.run_end or RunEnd(None))]
        changed = self._store.change_trigger(
            row["id"],
            row["state"],
            state,
            reason=reason,
            refused_because="" if state in ("done", "claimed") else said,
            cursor=cursor,
            notices=notices,
        )
        if not changed:
            return False
        self._log.info(f"retrain.{state}", model=row["model"], wish=row["id"], because=said)
        if found.counts_attempt:
            self._pause(str(row["model"]))
        if found.drops_flag:
            self.drop({**row, "state": state, "reason": reason})
        if state == "done" and event is not None and event["finished_at"] is None:
            self._close(event)
        return True

    def _evidence(self, row: TriggerRow) -> tuple[Evidence, dict[str, Any] | None]:
        model, number, reason = str(row["model"]), row["id"], row["reason"]
        flag = flags.peek(self._folder, model)
        claim = flags.held(self._folder, model)
        event = self._event_of(model, number, int(reason.get("after_event") or 0))
        goes_on = self._goes_on(model)
        claim_lives = claim is not None and is_alive(claim.owner)
        ended = _ended(event, self._active_versions(model), goes_on or claim_lives)
        promoted = ended is not None and ended.promoted
        flag_ours = flag is not None and flag.details.get("trigger_id") == number
        claim_ours = claim is not None and claim_lives and claim.flag.details.get("trigger_id") == number
        seen = Evidence(
            flag_exists=flag is not None,
            flag_is_ours=flag_ours
            and not promoted,  # killed between the publication and its word: nothing is left to do
            claim_exists=claim is not None,
            claim_is_ours=claim_ours and not promoted,
            run_is_active=goes_on,
            run_end=ended,
            attempts=int(reason.get("attempts") or 0),
        )
        return seen, event

    def _event_of(self, model: str, number: int, since: int) -> dict[str, Any] | None:
        """The last run that names a wish, of those begun after it was flagged."""
        for event in self._store.retrain_events(model, EVENTS_LOOKED_AT):
            if event["id"] <= since:
                return None
            if event["kind"] == "retrain" and trigger_of(event) == number:
                return event
        return None

    def _notice(self, row: Mapping[str, Any], state: str, ended: RunEnd) -> dict[str, Any]:
        model = str(row["model"])
        if state == "done":
            key, severity = f"retrained:{model}:{ended.version or row['id']}", "low"
            title = f"{model} was retrained: version {ended.version or '?'} is in force, on probation"
        elif ended.exit_code == 3:
            key, severity = f"rejected:{model}:{row['id']}", "medium"
            title = f"{model}: the new version was not good enough, the old one stays"
        else:
            key, severity = f"retrain_failed:{model}:{row['id']}", "high"
            title = f"{model} could not be retrained"
        notice = {"at": self._clock.now(), "key": key, "severity": severity, "title": title}
        return {**notice, "body": ended.reason, "state": "pending"}

    def _close(self, event: Mapping[str, Any]) -> None:
        """Finish the event of a run that was killed when its version had come into force."""
        notes = f"killed; version {event['version']} had come into force"
        done = {"finished_at": int(self._clock.now()), "exit_code": 1, "promoted": True, "notes": notes}
        self._store.finish_retrain_event(int(event["id"]), done)
        ModelRegistry(self._folder, self._store, self._clock).reconcile(str(event["model"]))

    def _check_flag(self, model: str, at: int) -> None:
        """Take away a flag that killed too many runs, and one whose wish was dealt with."""
        flag = flags.peek(self._folder, model)
        if flag is None:
            return
        number = flag.details.get("trigger_id")
        row = next((row for row in self._store.triggers(model) if row["id"] == number), None) if number else None
        if flag.attempts >= MAX_ATTEMPTS:
            self._give_up(model, flag, row, at)
        elif row is not None and row["state"] not in ("flagged", "claimed") and flag.requested_by == MONITOR:
            flags.withdraw(self._folder, model)

    def _give_up(self, model: str, flag: Flag, row: TriggerRow | None, at: int) -> None:
        # The row first: should we die here, the flag is still there to be taken away by the next monitor.
        ended = RunEnd(1, reason=f"given up: {flag.attempts} runs died of this request, see retrain_{model}.log")
        if row is not None and row["state"] in ("flagged", "claimed"):
            state = REQUEST_LIFECYCLE.next_state(
                row["state"], *(("claim", "fail") if row["state"] == "flagged" else ("fail",))
            )
            self._store.change_trigger(
                row["id"],
                row["state"],
                state,
                reason={**row["reason"], "ended_at": at, "exit_code": 1, "attempts": flag.attempts},
                refused_because=ended.reason,
                cursor=Cursor(loop_cursor(model), at, {"because": "an automatic run", "trigger_id": row["id"]}),
                notices=[self._notice(row, "failed", ended)],
            )
        elif row is None:
            who = {"model": model, "id": f"flag:{int(flag.requested_at)}"}
            self._store.notify([self._notice(who, "failed", ended)])
        flags.withdraw(self._folder, model)
        self._pauses.pop(model, None)
        self._log.error("retrain.given_up", model=model, reason=ended.reason, requested_by=flag.requested_by)

    # Runs.

    def _reap(self, at: int) -> None:
        over = self._runner.over()
        if over is None:
            return
        self._child = None
        self._log.info("retrain.over", model=over.model, exit_code=over.exit_code)
        if over.exit_code in AN_END:
            self._pauses.pop(over.model, None)
        elif over.exit_code in NO_ATTEMPT:
            self._pauses[over.model] = (self._clock.monotonic() + LOCKED_PAUSE_S, FIRST_PAUSE_S)
        else:
            self._note_failure(over)
        self._forget_run(at)

    def _note_failure(self, over: Over) -> None:
        """A run that died before it took its flag counts against the flag; of one that took it, its claim tells."""
        before_claim = flags.held(self._folder, over.model) is None and self._unfinished(over.model)
        if before_claim:
            attempts = flags.count_attempt(self._folder, over.model)
            if attempts:
                self._log.error("retrain.died", model=over.model, exit_code=over.exit_code, attempts=attempts)
        self._pause(over.model)

    def _unfinished(self, model: str) -> bool:
        """Whether the flag that waits is the one the run was started for, and not one that came during it."""
        cursor = self._store.read_cursor(RUNNING)
        started = float(cursor.details.get("started_at") or 0.0) if cursor else 0.0
        flag = flags.peek(self._folder, model)
        return flag is not None and flag.requested_at <= started

    def _goes_on(self, model: str) -> bool:
        found = (self._child, self._recorded(), at_work(self._folder))
        return any(run is not None and run[0] == model for run in found)

    def _recorded(self) -> tuple[str, ProcessIdentity] | None:
        """The run that this or an earlier monitor started, if it still runs."""
        cursor = self._store.read_cursor(RUNNING)
        if cursor is None or not cursor.details.get("owner"):
            return None
        try:
            owner = msgspec.convert(cursor.details["owner"], ProcessIdentity)
        except msgspec.ValidationError:
            return None
        return (str(cursor.details["model"]), owner) if is_alive(owner) else None

    def _record_run(self) -> None:
        """Write down which run goes on; where the store was away, as soon as it is back."""
        if self._unrecorded is not None:
            self._store.write_scores([], self._unrecorded)
            self._unrecorded = None

    def _forget_run(self, at: int) -> None:
        self._unrecorded = None
        cursor = self._store.read_cursor(RUNNING)
        if cursor is not None and cursor.details:
            self._store.write_scores([], Cursor(RUNNING, at, {}))

    def _end_overdue(self, model: str, owner: ProcessIdentity) -> None:
        if self._runner.end_if_overdue(owner):
            self._log.error("retrain.killed", model=model, pid=owner.pid, reason="outlived retrain.time_limit_s by far")

    def _pause(self, model: str) -> None:
        _, pause = self._pauses.get(model, (0.0, FIRST_PAUSE_S))
        self._pauses[model] = (self._clock.monotonic() + pause, min(2.0 * pause, LONGEST_PAUSE_S))


def trigger_of(event: Mapping[str, Any]) -> int | None:
    """Which wish a run answered, as its event tells; None for none."""
    reason = event["reason_json"] or {}
    number = reason.get("trigger_id", (reason.get("details") or {}).get("trigger_id"))
    return number if isinstance(number, int) else None


def _noted(found: Progress, seen: Evidence, event: Mapping[str, Any] | None, at: int) -> dict[str, Any]:
    noted: dict[str, Any] = {"claimed_at": at} if "claim" in found.events else {}
    if found.counts_attempt:
        noted["attempts"] = seen.attempts + 1
    if event is not None and seen.run_end is not None:
        noted["after_event"] = event["id"]
    last = found.events[-1]
    if last in ("finish", "fail", "postpone") and seen.run_end is not None:
        noted |= {"ended_at": at, "exit_code": seen.run_end.exit_code, "version_made": seen.run_end.version}
    if last == "postpone":
        said = dict(event["reason_json"]) if event else {}
        until = max(int(said.get("not_before") or 0), at + HOUR_S)
        because = seen.run_end.reason if seen.run_end else ""
        noted |= {"until": until, "not_before": until, "not_before_because": because}
    return noted


def _ended(event: Mapping[str, Any] | None, active_version: str, goes_on: bool) -> RunEnd | None:
    if event is None:
        return None
    version = str(event["version"] or "")
    if event["finished_at"] is not None:
        return RunEnd(event["exit_code"], bool(event["promoted"]), str(event["notes"]), version)
    if version and version == active_version:
        return RunEnd(0, True, f"version {version} came into force", version)
    return None if goes_on else RunEnd(None, reason="ended without a word", version=version)
