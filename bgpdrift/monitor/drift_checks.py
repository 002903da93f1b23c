"""The hourly drift checks: when one is due, what it concludes, what follows; each recorded once.

The shell around `bgpdrift.drift`: reads what is known (`drift_facts`), has it judged, and writes check, state, wish and
question in one transaction. Decides which hours are due: those that are complete in event time and hold scores, in order, so
that neither an outage nor a clock that jumps a year makes it check hours that never were. What becomes of a wish,
`bgpdrift.monitor.model_loop` decides.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.drift import windows
from bgpdrift.drift.between_day_variance import BetweenDayVariance, estimate_between_day_variance
from bgpdrift.drift.hours import HOUR_S, Hours
from bgpdrift.drift.incident_hold import HoldPolicy, IncidentHold, apply_answer, update_hold
from bgpdrift.drift.level import TOO_FEW, assess_stability, find_level_start
from bgpdrift.drift.persistence import Persistence, count_check, mark_requested, needs_request
from bgpdrift.drift.report import Comparison, DriftReport
from bgpdrift.drift.rule import compare, decide
from bgpdrift.errors import TransientError
from bgpdrift.monitor import check_rows as drift_rows
from bgpdrift.monitor.check_inputs import DAY_S, DriftFacts, Facts, incident_row
from bgpdrift.monitor.check_signals import Signals
from bgpdrift.monitor.report_files import report_path, write_report
from bgpdrift.monitor.request_states import OPEN_STATES
from bgpdrift.settings import Settings
from bgpdrift.store import Cursor, Store
from bgpdrift.store.legacy import DriftWrite
from bgpdrift.verdicts.outcomes import NEW_NORMAL, TRUE_POSITIVE

FIRST_LOOK_S = 7 * DAY_S
"""How far back a monitor begins that never checked before."""
SILENT_S = 2 * HOUR_S
"""A detector this far behind the windows is not waited for: its last hour is judged as it is."""
BACK_S = 2 * HOUR_S
"""Event time that went back by more than this began anew."""
REPORTED = frozenset({"drift", "held"})
QUESTION = "attack_or_new_normal"


@dataclass(frozen=True, slots=True)
class Judged:
    """A check and what it makes of its model's state.

    Attributes
    ----------
    report : DriftReport
        With the verdict after holding.
    underlying : str
        The verdict were nothing to hold it.
    lasting : Persistence
        After the check.
    holding : IncidentHold
        After the check.
    wish : bool
        Whether a wish to retrain follows.
    """

    report: DriftReport
    underlying: str
    lasting: Persistence
    holding: IncidentHold
    wish: bool


def cursor_of(model: str) -> str:
    """Name of the row of ``cursors`` with a model's drift state."""
    return f"drift:{model}"


class DriftChecks:
    """Checks every detector that speaks; one step is at most one check.

    Parameters
    ----------
    settings, store, clock
        Of the monitor; the clock is for the measure ``lag`` and for nothing else.
    """

    def __init__(self, settings: Settings, store: Store, clock: Clock) -> None:
        self._settings, self._store, self._clock = settings, store, clock
        self._drift, self._facts = settings.drift, DriftFacts(settings, store)
        self._signals = Signals(settings, store, clock, self._facts)
        self._policy = HoldPolicy.from_settings(self._drift)
        self._every_s = self._drift.check_every_h * HOUR_S
        self._rearm_after_s = 3600 * max(settings.retrain.cooldown_h, self._drift.persistence_checks)
        self._log = logs.get_logger()
        self._problem = ""
        self._looked_at: int | None = None

    def step(self) -> bool:
        """Hear what people answered, then do the oldest check that is due; True if there may be another."""
        acted = self.hear()
        now = self._store.latest_window_start()
        if now is None:
            return acted
        found = self.next_due(now + 60)
        if found is None:
            return acted
        model, at, cursor = found
        self.check(model, at, cursor)
        return True

    def status(self) -> str:
        """Last verdicts, the next check, what is waited for."""
        parts = [self._problem] if self._problem else []
        waiting = []
        for model in MODELS:
            with suppress(TransientError):
                cursor = self._store.read_cursor(cursor_of(model))
                if cursor is None or not cursor.details:
                    waiting.append(model)
                    continue
                parts.append(drift_rows.status_line(model, cursor))
        if waiting:
            parts.append(f"no check yet: {', '.join(waiting)}")
        return "; ".join(parts)

    def next_due(self, now: int) -> tuple[str, int, Cursor | None] | None:
        """Find the oldest check that is due, of any model.

        Parameters
        ----------
        now : int
            Event time, epoch seconds.
        """
        found = []
        for model in MODELS:
            cursor = self._store.read_cursor(cursor_of(model))
            cursor = cursor if cursor is not None and cursor.details else None
            position = cursor.position if cursor is not None else now // HOUR_S * HOUR_S - FIRST_LOOK_S
            if position > now + BACK_S:
                position = now // HOUR_S * HOUR_S - SILENT_S  # the clock went back: go on where it is
            first = self._store.hours_with(f"score:{model}", position - self._every_s, now)
            complete = self._complete(first, now)
            ends = (-(-(hour + HOUR_S) // self._every_s) * self._every_s for hour in first)
            at = next((end for end in ends if position < end <= complete), None)
            if at is not None:
                found.append((at, MODELS.index(model), cursor))
        if not found:
            return None
        at, number, cursor = min(found, key=lambda entry: entry[:2])
        return MODELS[number], at, cursor

    def newest_end(self, model: str) -> int | None:
        """End of the newest hour that holds scores of a model; None without any in the last day of data."""
        now = self._store.latest_window_start()
        hours = [] if now is None else self._store.hours_with(f"score:{model}", now - DAY_S, now + 60)
        return hours[-1] + HOUR_S if hours else None

    def recorded(self, model: str, cursor: Cursor) -> DriftReport | None:
        """The last recorded check of a model, as far as the store has it."""
        row = next(iter(self._store.drift_checks(model, cursor.position, cursor.position + 1)), None)
        return None if row is None else drift_rows.report_of(row, self._store.drift_signals(int(row["id"])))

    def _complete(self, hours: Sequence[int], now: int) -> int:
        """Event time up to which hours are complete: a later hour has begun, or the detector is silent."""
        newest = max(hours, default=0)
        return min(newest if now - newest < HOUR_S + SILENT_S else newest + self._every_s, now)

    def check(self, model: str, at: int, cursor: Cursor | None) -> Judged | None:
        """Check one model at one event time, and record what follows; None if another monitor did."""
        judged = self.judge(model, at, cursor)
        if judged is None:
            # Scores of the hour went with their retention, or belong to a version that vanished: nothing to say.
            details = dict(cursor.details) if cursor else {}
            self._store.record_drift(DriftWrite(cursor, Cursor(cursor_of(model), at, {**details, "at": at})))
            return None
        path = self._write_report(judged.report)
        write = self._write_of(model, at, cursor, judged, path)
        if not self._store.record_drift(write):
            return None
        self._log.log(
            30 if judged.report.verdict in REPORTED else 20,
            "drift.checked",
            model=model,
            version=judged.report.model_version,
            at=at,
            verdict=judged.report.verdict,
            severity=judged.report.severity,
            checks_running=judged.lasting.checks,
            wish=judged.wish,
            reason=judged.report.reason,
        )
        return judged

    def judge(self, model: str, at: int, cursor: Cursor | None, current_h: int | None = None) -> Judged | None:
        """Say what a check would conclude, and what would follow; writes nothing. None without scores."""
        facts = self._facts.read(model, at)
        if facts is None:
            return None
        holding = drift_rows.holding_of(cursor)
        if holding.state != "free":
            holding = self._heard(holding)
        since = facts.held.since if facts.held is not None else holding.since if holding.is_new_normal else None
        report = self._report(facts, current_h or self._window_since(since, at))
        if report.is_drift and since is not None:
            report = replace(report, change_point=self._level_since(facts, since))
        before = drift_rows.lasting_of(cursor)
        lasting = count_check(before, report.verdict, report.severity, facts.version, at, self._rearm_after_s)
        still_open = any(span.number == holding.incident_id and span.is_open for span in facts.spans)
        drifts = report.is_drift
        steady, why_not = False, ""
        if facts.held is not None and at - facts.held.since >= self._policy.max_hold_s:
            waited = at - holding.asked_at if holding.state == "asked" else 0
            steady, why_not = self._steady(facts, max(self._policy.max_hold_s, waited), drifts)
        holding = update_hold(holding, facts.held, drifts, steady, at, self._policy, still_open)
        underlying = report.verdict
        if drifts and holding.holds:
            report = replace(report, verdict="held", reason=self._held_reason(report.reason, holding, facts, why_not))
        wish = needs_request(lasting, report.verdict, self._drift.persistence_checks, holding.is_new_normal)
        if wish:
            lasting = mark_requested(lasting, at, report.severity)
            wish = not self._waits(model, facts.version, holding.is_new_normal)
        report = replace(report, context=self._context(facts, lasting, holding, underlying))
        return Judged(report, underlying, lasting, holding, wish)

    def hear(self) -> bool:
        """Act at once on what people answered since the last check; True if something followed."""
        acted = False
        for model in MODELS:
            cursor = self._store.read_cursor(cursor_of(model))
            before = drift_rows.holding_of(cursor)
            if cursor is None or before.state == "free":
                continue
            after = self._heard(before)
            if after == before:
                continue
            details = dict(cursor.details)
            lasting = drift_rows.lasting_of(cursor)
            verdict = drift_rows.verdict_in(details)
            if verdict == "held" and not after.holds:
                verdict = "drift"
            severity = drift_rows.severity_in(details)
            at = cursor.position
            wish = needs_request(lasting, verdict, self._drift.persistence_checks, after.is_new_normal)
            if wish:
                lasting = mark_requested(lasting, at, severity)
                wish = not self._waits(model, str(details.get("version")), after.is_new_normal)
            details |= {"verdict": verdict, "holding": after.as_fields(), **drift_rows.lasting_fields(lasting)}
            write = DriftWrite(
                cursor,
                Cursor(cursor.name, at, details),
                wish=drift_rows.wish(model, at, details, True) if wish else None,
                labels=self._labels(before, after, at),
                notices=drift_rows.wish_notice(model, at, details, self._clock.now()) if wish else (),
            )
            acted |= self._store.record_drift(write)
            self._log.info("drift.answered", model=model, incident=after.incident_id, answer=after.answer, wish=wish)
        return acted

    # Parts of a check.

    def _report(self, facts: Facts, current_h: int | None) -> DriftReport:
        settings = self._drift
        found = windows.pair_windows(facts.known, settings, current_h)
        usual = estimate_between_day_variance(windows.collect_history(facts.known), found[0].current_span[0])
        comparisons = [self._compared(pair, usual) for pair in found]
        speaking = sum(bool(self._facts.version_at(model, facts.at)) for model in MODELS)
        signals = self._signals.of(facts, comparisons)
        return decide(
            comparisons,
            model=facts.model,
            model_version=facts.version,
            at=facts.at,
            settings=settings,
            detectors=max(speaking, 1),
            signals=signals,
            anomaly_rate_shift=self._settings.detectors.of(facts.model).anomaly_rate_shift,
        )

    def _compared(self, pair: windows.WindowPair, usual: BetweenDayVariance | None) -> Comparison:
        return compare(
            pair.current,
            pair.reference,
            window=pair.window,
            reference_kind=pair.kind,
            current_span=pair.current_span,
            reference_span=pair.reference_span,
            settings=self._drift,
            alpha=self._drift.alpha,
            left_out=pair.left_out,
            recent=pair.recent,
            between_day_variance=usual,
        )

    def _window_since(self, since: int | None, at: int) -> int | None:
        """Hours of a current window that begins with the incident, where that is shorter than usual and long enough.

        A day that holds both levels says later that there is a new one, and says it less surely.
        """
        hours = 0 if since is None else (at - since) // HOUR_S
        longest = windows.PRESETS[self._drift.preset].current_h
        return hours if self._drift.min_current_h <= hours < longest else None

    def _level_since(self, facts: Facts, since: int) -> int:
        return find_level_start(facts.known.live, self._usual_scores(facts, since // HOUR_S * HOUR_S), since, facts.at)

    def _usual_scores(self, facts: Facts, began: int) -> dict[str, Hours]:
        known = facts.known
        clean = windows.exclude_hours(_before(known.live, began), known.out)
        return windows.take_newest(windows.merge_series(known.profile, clean), 168)

    def _waits(self, model: str, version: str, consented: bool) -> bool:
        """Whether a wish for the same is under way, that a new one would say nothing more than."""
        waiting = [row["reason"] for row in self._store.triggers(model, OPEN_STATES)]
        return any(one.get("version") == version and bool(one.get("consented")) >= consented for one in waiting)

    def _steady(self, facts: Facts, window_s: float, drifts: bool) -> tuple[bool, str]:
        """Whether scores and volume have been steady since an incident began, at the longest for a window.

        And at another level: where scores are at what was usual there is nothing to ask about.
        """
        assert facts.held is not None
        hours = int(-(-window_s // HOUR_S))
        began = facts.held.since // HOUR_S * HOUR_S
        known = facts.known
        found = {"scores": assess_stability(known.live, self._usual_scores(facts, began), facts.at, hours)}
        for name in ("announced", "withdrawn"):
            series = self._facts.series(f"feature:{name}", "", min(began, facts.at - 8 * DAY_S) - 8 * DAY_S, facts.at)
            usual = windows.take_newest(windows.exclude_hours(_before(series, began), known.out), 168)
            found[name] = assess_stability(series, usual, facts.at, hours, minutes=True)
        if not drifts and not found["scores"].has_moved:
            return False, found["scores"].reason or "scores are at what was usual"
        judged = {name: one for name, one in found.items() if one.reason != TOO_FEW}
        moves = [f"{name}: {one.reason}" for name, one in judged.items() if not one.is_stable]
        return bool(judged) and not moves, "; ".join(moves) or ("" if judged else TOO_FEW)

    def _heard(self, before: IncidentHold) -> IncidentHold:
        row = incident_row(self._store, before.incident_id)
        number = int(row["id"]) if row is not None else before.incident_id
        label = self._store.label_of_incident(number) or self._store.label_of_incident(before.incident_id)
        approval = self._store.approval(before.question_id) if before.question_id else None
        return apply_answer(before, str(approval["state"]) if approval else "", label)

    def _held_reason(self, reason: str, holding: IncidentHold, facts: Facts, why_not: str) -> str:
        since = drift_rows.said(holding.since)
        text = f"Held: incident {holding.incident_id} has been open since {since}. {reason}"
        if holding.state == "asked":
            return f"{text} Attack or new normal? Asked {drift_rows.said(holding.asked_at)}."
        if holding.state == "attack":
            return f"{text} It is an attack, says the operator."
        if why_not and facts.at - holding.since >= self._policy.max_hold_s:
            return f"{text} No question yet, its level is not steady: {why_not}."
        return text

    def _context(self, facts: Facts, lasting: Persistence, holding: IncidentHold, underlying: str) -> Mapping[str, Any]:
        start = facts.at - 24 * HOUR_S
        waits = [
            f"{hours}h/pinned waits: the window is not half full, or the version has lived too few clean hours before it yet"
            for hours in dict.fromkeys(self._drift.pinned_windows_h)
            if windows.pair_pinned(facts.known, hours, self._drift.min_current_h, self._drift.min_reference_days)
            is None
        ]
        return {
            "underlying": underlying,
            "lasting": lasting.checks,
            "needed": self._drift.persistence_checks,
            "armed": lasting.armed,
            "holding": holding.as_fields(),
            "waits": waits,
            "collectors": sorted(
                name for name, hours in facts.known.live.items() if len(hours.between(start, facts.at))
            ),
            "unreadable_hours": facts.unreadable,
            "reference_hours_of_the_artifact": bool(facts.known.profile),
            "preset": self._drift.preset,
            "policy": self._drift.policy,
            "alpha": self._drift.alpha,
        }

    def _write_report(self, report: DriftReport) -> str:
        if report.verdict not in REPORTED:
            return ""
        self._problem = ""
        try:
            return str(write_report(self._settings.artifacts_path, report, self._drift.keep_reports))
        except TransientError as error:
            # The check counts all the same, and the next one writes a report of its own.
            name = report_path(self._settings.artifacts_path, report.model, report.at).name
            self._problem = f"no report {name}: {error}"
            self._log.error("drift.report_not_written", model=report.model, at=report.at, reason=str(error))
            return ""

    def _write_of(self, model: str, at: int, cursor: Cursor | None, judged: Judged, path: str) -> DriftWrite:
        report, lasting, holding = judged.report, judged.lasting, judged.holding
        before = drift_rows.holding_of(cursor)
        details = drift_rows.state_fields(report, lasting, holding, path, self._every_s, self._drift.persistence_checks)
        notices = []
        question = None
        asks = holding.state == "asked" and (before.state != "asked" or before.incident_id != holding.incident_id)
        if asks:
            question = drift_rows.question(holding, report, QUESTION)
            notices += drift_rows.question_notice(holding, report, self._clock.now())
        answered = None
        if before.state == "asked" and (asks or holding.state != "asked") and before.question_id:
            answered = (before.question_id, "expired", "bgpdrift", at)
        if judged.wish:
            notices += drift_rows.wish_notice(model, at, details, self._clock.now())
        return DriftWrite(
            cursor,
            Cursor(cursor_of(model), at, details),
            check=drift_rows.check_row(report, self._drift.preset, path, lasting, self._drift.persistence_checks),
            signals=drift_rows.signal_rows(report),
            wish=drift_rows.wish(model, at, details, holding.is_new_normal) if judged.wish else None,
            question=question,
            answered=answered,
            labels=self._labels(before, holding, at),
            notices=notices,
        )

    def _labels(self, before: IncidentHold, after: IncidentHold, at: int) -> list[dict[str, Any]]:
        """Labels that follow from an answer or from silence, so that training and baselines know it too."""
        if after.state == before.state or after.state not in ("new_normal", "attack"):
            return []
        row = incident_row(self._store, after.incident_id)
        if row is None:
            return []
        approval = self._store.approval(after.question_id) if after.question_id else None
        by = str(approval["answered_by"] or "") if approval and approval["state"] in ("approved", "rejected") else ""
        silence = after.answer == "silence"
        label = NEW_NORMAL if after.state == "new_normal" else TRUE_POSITIVE
        notes = "nobody answered: attack or new normal?" if silence else "answer to: attack or new normal?"
        end = max(int(row["last_seen_at"]) + 60, at)
        common = {"ends_at": end, "label": label, "labelled_by": by or "bgpdrift", "notes": notes}
        found: list[dict[str, Any]] = [
            {"incident_id": int(row["id"]), "starts_at": int(row["started_at"]), "collector": "", **common}
        ]
        if after.since < int(row["started_at"]):
            # Incidents before it belong to the same episode, and are what it is.
            found.append({"incident_id": None, "starts_at": after.since, "collector": "", **common})
        return found


def _before(series: windows.Series, end: int) -> dict[str, Any]:
    return {name: hours.between(0, end) for name, hours in series.items()}
