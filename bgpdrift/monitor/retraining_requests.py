"""Retraining requests before their flag file exists: which one is decided, postponed, resumed or made again, and when.

The safeguards decide each request, also that of a first training (`bgpdrift.monitor.first_training_requests`). A request whose
run failed, or that was refused, is made again while the drift persists and as soon as the safeguards allow it, so that an
unattended machine does not keep a model that no longer fits.
"""

from collections.abc import Callable

from msgspec.structs import replace

from bgpdrift import logs
from bgpdrift.clock import Clock
from bgpdrift.detector_registry import MODELS
from bgpdrift.monitor.active_versions import ActiveVersions
from bgpdrift.monitor.first_training_requests import FirstTrainingRequests
from bgpdrift.monitor.request_approvals import RequestApprovals
from bgpdrift.monitor.request_changes import RequestChanges
from bgpdrift.monitor.request_situation import MONITOR, SituationReader
from bgpdrift.monitor.safeguards import DRIFT_ENDED, SafeguardPolicy, choose_change_point, decide, may_request_again
from bgpdrift.settings import Settings
from bgpdrift.store import Store
from bgpdrift.store.request_records import RequestReason, RetrainRequest

RENEWAL_INTERVAL_S = 3_600


class RetrainingRequests:
    """Decides requests.

    Parameters
    ----------
    settings, store, clock
        Settings, store and clock of the monitor.
    active_versions : ActiveVersions
        Active version of each model.
    drop_flag : callable
        Drops the flag file of a request.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        active_versions: ActiveVersions,
        drop_flag: Callable[[RetrainRequest], None],
    ) -> None:
        self._store, self._active_versions, self._log = store, active_versions, logs.get_logger()
        self._policies = {model: SafeguardPolicy.from_settings(settings, model) for model in MODELS}
        self._situations = SituationReader(settings, store, active_versions)
        self._changes = RequestChanges(store, drop_flag)
        self._approvals = RequestApprovals(store, clock, self._situations, self._changes)
        self._first_trainings = FirstTrainingRequests(settings, store, self._policies)
        self._renewed_at = 0

    def step(self, at: int) -> bool:
        """Decide each request that waits for a decision; return whether one changed."""
        changed = self._first_trainings.step(at)
        for request in self._store.retrain_requests(states=("postponed",)):
            changed |= self._resume(request, at)
        for request in reversed(self._store.retrain_requests(states=("requested",))):
            changed |= self._decide(request, at)
        for request in self._store.retrain_requests(states=("waiting_approval",)):
            changed |= self._approvals.handle_answer(request, self._policies[request.model], at)
        if not self._renewed_at <= at < self._renewed_at + RENEWAL_INTERVAL_S:
            for model in MODELS:
                changed |= self._renew(model, at)
            self._renewed_at = at
        return changed

    def _resume(self, request: RetrainRequest, at: int) -> bool:
        """Move a postponed request back to ``requested`` at its time, with the findings of the newest check."""
        if not self._situations.has_drift(request):
            return self._changes.apply(request, "refuse", DRIFT_ENDED, at)
        if at < request.reason.postponed_until:
            return False
        newest = self._situations.update_reason(request)
        share = self._policies[request.model].held_out_share
        change_point = choose_change_point(request.reason.change_point, newest.change_point, at, share)
        resumed = replace(request, reason=replace(newest, change_point=change_point))
        return self._changes.apply(resumed, "resume", "", at)

    def _decide(self, request: RetrainRequest, at: int) -> bool:
        if request.model not in self._policies:
            return self._changes.apply(request, "refuse", f"there is no model {request.model!r}", at)
        for other in self._store.retrain_requests(request.model, ("postponed", "waiting_approval")):
            if other.id < request.id and (other.state == "postponed" or request.reason.consented):
                self._approvals.replace(other, request, at)
        decision = decide(self._situations.read(request, at), self._policies[request.model])
        match decision.outcome:
            case "flag":
                return self._changes.flag(request, at)
            case "request_approval":
                return self._approvals.request(request, decision, at)
            case "postpone":
                until = decision.until
                return self._changes.apply(request, "postpone", decision.reason, at, postponed_until=until)
        return self._changes.apply(request, "refuse", decision.reason, at, safeguard=decision.safeguard)

    def _renew(self, model: str, at: int) -> bool:
        """Make a failed or refused request again if the drift persists and the safeguards would allow it now."""
        newest = next(iter(self._store.retrain_requests(model, limit=1)), None)
        if newest is None or newest.state not in ("failed", "refused") or newest.requested_by != MONITOR:
            return False
        state, before = self._situations.read_drift(model), newest.reason
        if state is None or not state.is_persistent or state.model_version != self._active_versions.get(model):
            return False
        if before.safeguard == "approval" and not may_request_again(before.answered_at, at):
            return False
        reason = RequestReason(
            summary=before.summary,
            severity=state.severity,
            verdict=before.verdict,
            model_version=state.model_version,
            check_id=before.check_id,
            change_point=before.change_point,
            report_path=before.report_path,
            collectors=before.collectors,
            repeats_request_id=newest.id,
        )
        request = RetrainRequest(model=model, requested_at=at, requested_by=MONITOR, reason=reason)
        if decide(self._situations.read(request, at), self._policies[model]).outcome in ("postpone", "refuse"):
            return False
        request_id = self._store.add_retrain_request(request, newest=newest.id)
        if request_id is not None:
            self._log.info("retrain.renewed", model=model, request_id=request_id, repeats_request_id=newest.id)
        return request_id is not None
