"""The situation of a retraining request, read from the store and the artifact folder for `bgpdrift.monitor.safeguards`.

This module decides which check counts for a request: the newest one of the version that the request is about.
"""

from msgspec.structs import replace

from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.request_states import OPEN_STATES
from bgpdrift.monitor.safeguards import DAY_S, Situation
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.cursor_states import CooldownState, DriftState, Severity, cooldown_cursor
from bgpdrift.store.request_records import RequestReason, RetrainRequest

MONITOR = "drift_monitor"
"""``requested_by`` of the requests that the drift monitor makes; a request by a person needs no drift."""
_CLEAR_VERDICTS = ("none", "immaterial")


class SituationReader:
    """Reads situations.

    Parameters
    ----------
    settings : Settings
        Length of the training span.
    store : Store
        Checks, cooldowns, requests, windows.
    active_versions : ActiveVersions
        Active version of each model.
    """

    def __init__(self, settings: Settings, store: Store, active_versions: ActiveVersions) -> None:
        self._settings, self._store, self._active_versions = settings, store, active_versions

    def read(self, request: RetrainRequest, at: int) -> Situation:
        """Read the situation of a request at an event time; a request with the id 0 is not in the store yet."""
        model, reason = request.model, request.reason
        cooldown = self._store.read_state(cooldown_cursor(model), CooldownState)
        start = max(at - self._settings.retrain.days * DAY_S, reason.change_point or 0)
        return Situation(
            model,
            at,
            severity=self._read_severity(request),
            collectors=reason.collectors,
            drifted_version=reason.model_version,
            active_version=self._active_versions.get(model),
            drift_persists=self.has_drift(request),
            open_request_id=self._find_open_request(request),
            cooldown_since=cooldown.position if cooldown else None,
            cooldown_cause=cooldown.state.reason if cooldown else "",
            windows=max((n for _, peer, n in self._store.window_groups(start, at) if not peer), default=0),
            change_point=reason.change_point,
            not_before=reason.not_before,
            not_before_reason=reason.not_before_reason,
            consented=reason.consented,
            is_first=reason.is_first,
        )

    def has_drift(self, request: RetrainRequest) -> bool:
        """Return whether the drift of a request persists; a first training and a request by a person need no drift."""
        if request.reason.is_first:
            return True
        state = self.read_drift(request.model)
        if state is None or request.requested_by != MONITOR:
            return True
        return state.verdict not in _CLEAR_VERDICTS or state.persistence.checks > 0

    def read_drift(self, model: str) -> DriftState | None:
        """Read the state of a model's last drift check; None before the first one."""
        cursor = self._store.read_drift_state(model)
        return cursor.state if cursor else None

    def update_reason(self, request: RetrainRequest) -> RequestReason:
        """Return the reason of a request with the findings of the newest check of the same drift."""
        state = self.read_drift(request.model)
        if state is None or not _is_same_drift(state, request):
            return request.reason
        return replace(
            request.reason,
            severity=state.severity,
            change_point=state.change_point,
            summary=state.reason,
            report_path=state.report_path,
            collectors=state.collectors,
        )

    def _read_severity(self, request: RetrainRequest) -> Severity:
        state = self.read_drift(request.model)
        return state.severity if state is not None and _is_same_drift(state, request) else request.reason.severity

    def _find_open_request(self, request: RetrainRequest) -> int | None:
        """Find another open request of the model; of two that are ``requested`` the earlier one comes first."""
        if not request.id:
            return None
        others = self._store.retrain_requests(request.model, OPEN_STATES)
        return next(
            (
                other.id
                for other in others
                if other.id != request.id and (other.state != "requested" or other.id < request.id)
            ),
            None,
        )


def _is_same_drift(state: DriftState, request: RetrainRequest) -> bool:
    return state.verdict == "drift" and state.model_version == request.reason.model_version
