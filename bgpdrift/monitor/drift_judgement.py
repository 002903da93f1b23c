"""The judgement of one drift check: the report, the incident hold, the persistence, and whether a retraining is requested.

Combines the pure decisions of `bgpdrift.drift` and writes nothing. `bgpdrift.monitor.drift_checks` records the judgement.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.drift import rule, windows
from bgpdrift.drift.between_day_variance import BetweenDayVariance, estimate_between_day_variance
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.incident_hold import HoldPolicy, IncidentHold, update_hold
from bgpdrift.drift.persistence import Persistence, count_check, mark_requested, needs_request
from bgpdrift.drift.report import Comparison, DriftReport, Verdict
from bgpdrift.formatting import format_time
from bgpdrift.monitor.check_inputs import CheckInputReader, CheckInputs
from bgpdrift.monitor.check_records import from_hold_state, from_persistence_state, to_hold_state
from bgpdrift.monitor.context_signals import ContextSignals
from bgpdrift.monitor.explanatory_signals import ExplanatorySignals
from bgpdrift.monitor.hold_answers import HoldAnswers
from bgpdrift.monitor.incident_level import IncidentLevel
from bgpdrift.monitor.request_states import OPEN_STATES
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import DriftState
from bgpdrift.store.drift_records import CheckContext

COLLECTOR_SPAN_S = 24 * HOUR_S
"""A collector with scores in this span is part of a check."""

DecideRule = Callable[..., DriftReport]
"""Combines the comparisons of a check into a report, as `bgpdrift.drift.rule.decide` does."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """The judgement of a check.

    Attributes
    ----------
    report : DriftReport
        With the verdict after the incident hold.
    context : CheckContext
        Persistence, incident hold, data and settings of the check.
    persistence : Persistence
        After the check.
    hold : IncidentHold
        After the check.
    requests_retraining : bool
        Whether a retraining request follows.
    """

    report: DriftReport
    context: CheckContext
    persistence: Persistence
    hold: IncidentHold
    requests_retraining: bool


class DriftJudge:
    """Judges checks.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor; the clock serves only the signal ``lag``.
    answers : HoldAnswers
        Answers about incidents.
    decide : callable
        Combines the comparisons into a report, including the policy of the settings.
    """

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, answers: HoldAnswers, decide: DecideRule = rule.decide
    ) -> None:
        self._settings, self._drift, self._store = settings, settings.drift, store
        self._answers, self._decide = answers, decide
        self._reader = CheckInputReader(settings, store)
        self._level = IncidentLevel(settings.drift, self._reader)
        self._context_signals = ContextSignals(settings, store, clock, self._reader)
        self._explanatory_signals = ExplanatorySignals(settings, store, self._reader)
        self._hold_policy = HoldPolicy.from_settings(self._drift)
        self._rearm_after_s = HOUR_S * max(settings.retrain.cooldown_h, self._drift.persistence_checks)

    def judge(self, model: str, at: int, before: DriftState, current_h: int | None = None) -> Judgement | None:
        """Judge one model at one event time; None without scores.

        Parameters
        ----------
        model : str
            Name of the model.
        at : int
            Event time, epoch seconds.
        before : DriftState
            State after the check before.
        current_h : int, optional
            Hours of the current window, instead of those of the preset.
        """
        inputs = self._reader.read(model, at)
        if inputs is None:
            return None
        hold = self._answers.apply(from_hold_state(before.incident_hold))
        since = inputs.incidents.since if inputs.incidents else hold.since if hold.is_new_normal else None
        report = self._build_report(inputs, current_h or self._level.choose_window_h(since, at))
        if report.is_drift and since is not None:
            report = replace(report, change_point=self._level.find_start(inputs, since))
        verdict, is_drift = report.verdict, report.is_drift
        persistence = count_check(
            from_persistence_state(before.persistence),
            verdict,
            report.severity,
            inputs.version,
            at,
            self._rearm_after_s,
        )
        hold, unstable = self._update_hold(inputs, hold, is_drift)
        if is_drift and hold.holds:
            report = replace(report, verdict="held", reason=self._describe_hold(report.reason, hold, at, unstable))
        persistence, requests_retraining = self.decide_request(model, persistence, hold, report)
        context = self._build_context(inputs, persistence, hold, verdict)
        report = replace(report, context=msgspec.to_builtins(context))
        return Judgement(report, context, persistence, hold, requests_retraining)

    def decide_request(
        self, model: str, persistence: Persistence, hold: IncidentHold, report: "DriftReport | DriftState"
    ) -> tuple[Persistence, bool]:
        """Return the persistence after a verdict, and whether a retraining request follows from it."""
        is_approved = hold.is_new_normal
        if not needs_request(persistence, report.verdict, self._drift.persistence_checks, is_approved):
            return persistence, False
        persistence = mark_requested(persistence, report.at, report.severity)
        return persistence, not self._has_equal_request(model, report.model_version, is_approved)

    def _build_report(self, inputs: CheckInputs, current_h: int | None) -> DriftReport:
        pairs = windows.pair_windows(inputs.hours, self._drift, current_h)
        variance = estimate_between_day_variance(windows.collect_history(inputs.hours), pairs[0].current_span[0])
        comparisons = [self._compare(pair, variance) for pair in pairs]
        scoring = sum(bool(self._reader.find_version(model, inputs.at)) for model in MODELS)
        signals = [
            *self._context_signals.measure(inputs, comparisons),
            *self._explanatory_signals.measure(inputs, comparisons),
        ]
        return self._decide(
            comparisons,
            model=inputs.model,
            model_version=inputs.version,
            at=inputs.at,
            settings=self._drift,
            detectors=max(scoring, 1),
            signals=signals,
            anomaly_rate_shift=self._settings.detectors.of(inputs.model).anomaly_rate_shift,
        )

    def _compare(self, pair: windows.WindowPair, variance: BetweenDayVariance | None) -> Comparison:
        return rule.compare(pair, self._drift, between_day_variance=variance)

    def _update_hold(self, inputs: CheckInputs, hold: IncidentHold, is_drift: bool) -> tuple[IncidentHold, str]:
        """Return the hold after the check, and why the level is not stable; "" if it is, or was not assessed."""
        is_stable, unstable, max_hold_s = False, "", self._hold_policy.max_hold_s
        if inputs.incidents is not None and inputs.at - inputs.incidents.since >= max_hold_s:
            waited_s = inputs.at - hold.asked_at if hold.state == "asked" else 0
            is_stable, unstable = self._level.assess(inputs, max(max_hold_s, waited_s), is_drift)
        still_open = any(span.number == hold.incident_id and span.is_open for span in inputs.spans)
        policy = self._hold_policy
        return update_hold(hold, inputs.incidents, is_drift, is_stable, inputs.at, policy, still_open), unstable

    def _describe_hold(self, reason: str, hold: IncidentHold, at: int, unstable: str) -> str:
        text = f"Held: incident {hold.incident_id} has been open since {format_time(hold.since)} UTC. {reason}"
        if hold.state == "asked":
            return f"{text} A person was asked at {format_time(hold.asked_at)} UTC: attack or new normal?"
        if hold.state == "attack":
            return f"{text} A person answered that it is an attack."
        if unstable and at - hold.since >= self._hold_policy.max_hold_s:
            return f"{text} No person is asked yet, because the level is not stable: {unstable}."
        return text

    def _has_equal_request(self, model: str, version: str, is_approved: bool) -> bool:
        """Return whether an open request covers the same drift with at least the same consent."""
        reasons = [request.reason for request in self._store.retrain_requests(model, OPEN_STATES)]
        return any(reason.model_version == version and reason.consented >= is_approved for reason in reasons)

    def _build_context(
        self, inputs: CheckInputs, persistence: Persistence, hold: IncidentHold, verdict: Verdict
    ) -> CheckContext:
        settings, start = self._drift, inputs.at - COLLECTOR_SPAN_S
        waiting = [
            f"{hours}h/pinned: the window is less than half full, or the version has too few clean hours before it"
            for hours in dict.fromkeys(settings.pinned_windows_h)
            if windows.pair_pinned(inputs.hours, hours, settings.min_current_h, settings.min_reference_days) is None
        ]
        collectors = sorted(name for name, hours in inputs.hours.live.items() if len(hours.between(start, inputs.at)))
        return CheckContext(
            underlying_verdict=verdict,
            persistence_checks=persistence.checks,
            persistence_needed=settings.persistence_checks,
            armed=persistence.armed,
            incident_hold=None if hold.state == "free" else to_hold_state(hold),
            waiting=tuple(waiting),
            collectors=tuple(collectors),
            unreadable_hours=inputs.unreadable_hours,
            has_artifact_reference=bool(inputs.hours.profile),
            preset=settings.preset,
            policy=settings.policy,
            alpha=settings.alpha,
        )
