"""First training requests: makes the request for a model without a version once there is enough clean data.

A model without a version has neither a current file nor a backup. The rules have a packaged model, which works before any
training, so that they need no first training. The clean data is read
once an hour of event time. What each model waits for is stored (`FirstTrainingState`), so that services and status commands
state it. `bgpdrift.monitor.first_training` decides when the data suffices, `bgpdrift.monitor.safeguards` whether the request
becomes a flag file.
"""

from collections.abc import Mapping

from bgpdrift import logs
from bgpdrift.detector_registry import BY_NAME
from bgpdrift.detectors.interface import CLEAN_MARKS, EXCLUDED, MINUTE_S
from bgpdrift.models.excluded_intervals import find_excluded_intervals
from bgpdrift.models.paths import backup_paths, current_path
from bgpdrift.monitor.first_training import DAY_S, HOUR_S, Assessment, CollectorData, DataPolicy, assess_data
from bgpdrift.monitor.request_situation import MONITOR
from bgpdrift.monitor.request_states import OPEN_STATES
from bgpdrift.monitor.safeguards import REJECTION_HOLD_H, SafeguardPolicy, find_switched_off
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import CooldownState, FirstTrainingState, cooldown_cursor, first_training_cursor
from bgpdrift.store.database import StateCursor
from bgpdrift.store.request_records import RequestReason, RetrainRequest

SUMMARY = "first training: there is enough clean data"
MARKS = tuple(mark for mark in CLEAN_MARKS if mark != EXCLUDED)
"""Quality marks that keep a window out of training."""


class FirstTrainingRequests:
    """Makes the requests.

    Parameters
    ----------
    settings, store
        Settings and store of the monitor.
    policies : mapping of str to SafeguardPolicy
        Safeguards by model.
    """

    def __init__(self, settings: Settings, store: Store, policies: Mapping[str, SafeguardPolicy]) -> None:
        retrain = settings.retrain
        self._data_policy = DataPolicy(retrain.days, retrain.min_windows, retrain.held_out_share)
        self._margin_s, self._store, self._folder = retrain.incident_margin_s, store, settings.artifacts_path
        self._warming_s = settings.windows.warming_minutes * MINUTE_S
        self._policies, self._log = policies, logs.get_logger()
        self._hour, self._assessment = -1, Assessment(False)

    def step(self, at: int) -> bool:
        """Make the request of each model that is due; return whether one was made."""
        made = [self._step_model(model, at) for model in self._policies if self._is_without_version(model)]
        return any(made)

    def _is_without_version(self, model: str) -> bool:
        if BY_NAME[model].default_model:
            return False
        return not current_path(self._folder, model).exists() and not backup_paths(self._folder, model)

    def _step_model(self, model: str, at: int) -> bool:
        newest = next(iter(self._store.retrain_requests(model, limit=1)), None)
        state = self._find_state(model, newest, at)
        if state.phase == "training" and not (newest and newest.state in OPEN_STATES):
            if not self._add_request(model, newest, at):
                return False
            self._write_state(model, state, at)
            return True
        self._write_state(model, state, at)
        return False

    def _find_state(self, model: str, newest: RetrainRequest | None, at: int) -> FirstTrainingState:
        if newest is not None and newest.state in OPEN_STATES:
            return FirstTrainingState(phase="training", expected_at=at, reason=newest.refusal_reason)
        switched_off = find_switched_off(model, self._policies[model], is_first=True)
        if switched_off is not None:
            return FirstTrainingState(phase="off", reason=switched_off.reason)
        paused_until = self._find_pause_end(model, newest, at)
        if paused_until > at:
            reason = newest.refusal_reason if newest is not None else ""
            return FirstTrainingState(phase="paused", expected_at=paused_until, reason=reason)
        assessment = self._assess(at)
        if not assessment.is_ready:
            return FirstTrainingState(expected_at=assessment.expected_at, reason=assessment.reason)
        return FirstTrainingState(phase="training", expected_at=at)

    def _find_pause_end(self, model: str, newest: RetrainRequest | None, at: int) -> int:
        """Find the end of the pause after a run without a model, or after a rejection by a person; 0 for none."""
        cooldown = self._store.read_state(cooldown_cursor(model), CooldownState)
        end = 0 if cooldown is None else cooldown.position + round(self._policies[model].cooldown_h * HOUR_S)
        if newest is not None and newest.state == "refused" and newest.reason.safeguard == "approval":
            end = max(end, (newest.reason.answered_at or at) + round(REJECTION_HOLD_H * HOUR_S))
        return end

    def _assess(self, at: int) -> Assessment:
        hour = at // HOUR_S
        is_due = 0 < self._assessment.expected_at <= at and not self._assessment.is_ready
        if hour != self._hour or is_due:
            self._hour = hour
            since = self._store.warming_since(at, self._warming_s)
            warming_until = max((start + self._warming_s for start in since.values()), default=0)
            self._assessment = assess_data(self._read_data(at), at, self._data_policy, warming_until=warming_until)
        return self._assessment

    def _read_data(self, at: int) -> list[CollectorData]:
        """Read the clean minutes of each collector, without incidents and labelled anomalies."""
        start = at - self._data_policy.days * DAY_S
        minutes = self._store.clean_minutes(start, at, MARKS)
        incidents = self._store.incidents_between(start, at)
        excluded = find_excluded_intervals(incidents, self._store.outcomes_between(start, at), at)
        for interval in excluded:
            begin, end = interval.start - self._margin_s, interval.end + self._margin_s
            for collector in interval.collectors or minutes.keys():
                hours = minutes.get(collector, {})
                for hour in [hour for hour in hours if hour < end and hour + HOUR_S > begin]:
                    covered_s = min(end, hour + HOUR_S) - max(begin, hour)
                    hours[hour] = max(0, hours[hour] - round(covered_s / MINUTE_S))
        return [
            CollectorData(collector, {hour: count for hour, count in hours.items() if count})
            for collector, hours in sorted(minutes.items())
        ]

    def _add_request(self, model: str, newest: RetrainRequest | None, at: int) -> bool:
        reason = RequestReason(summary=SUMMARY, is_first=True, repeats_request_id=newest.id if newest else None)
        request = RetrainRequest(model=model, requested_at=at, requested_by=MONITOR, reason=reason)
        request_id = self._store.add_retrain_request(request, newest=newest.id if newest else 0)
        if request_id is not None:
            self._log.info("retrain.first_requested", model=model, request_id=request_id)
        return request_id is not None

    def _write_state(self, model: str, state: FirstTrainingState, at: int) -> None:
        stored = self._store.read_state(first_training_cursor(model), FirstTrainingState)
        if state.phase == "training" and stored is not None and stored.state.phase == "training":
            state = FirstTrainingState(phase="training", expected_at=stored.state.expected_at, reason=state.reason)
        if stored is None or stored.state != state:
            self._store.put_cursor(StateCursor(first_training_cursor(model), at, state))
