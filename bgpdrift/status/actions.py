"""The rules of what needs a person, the most urgent first, and the exit code that follows. Pure.

A drift that is being handled automatically needs no person. An open incident, an approval request, a drift that nothing
handles, a missing model, a full disk and a system that does not work as a whole need a person. `bgpdrift.status.decision`
applies the rules. This module loads no database library, because ``run_all_services.py status`` uses it.
"""

from collections.abc import Iterator, Sequence

from bgpdrift.attention import EXIT_ACTION, EXIT_NOT_RUNNING, EXIT_OK, EXIT_UNRELIABLE, Action, Command
from bgpdrift.detector_registry import MODELS
from bgpdrift.formatting import format_duration
from bgpdrift.settings import Settings
from bgpdrift.status.snapshot import (
    ApprovalRequest,
    Incident,
    Model,
    ModelEvent,
    Monitor,
)
from bgpdrift.status.supervised import Supervised

MAX_DATA_AGE_S = 900.0
"""Windows come every minute; after a quarter of an hour without one, the data has stopped."""
FIRST_TRAINING_S = 36 * 3_600
"""Data after which a model that was never trained is missed, unless its first training is under way."""
LATE_TRAINING_S = 5 * 86_400
"""Data after which a first training that still waits for clean data needs a person: on the fourth day all hours that come
have come."""
MAX_INCIDENTS = 3
"""Open incidents listed one by one; the rest are counted."""
MAX_ATTEMPTS = 3
RUN = "python run_all_services.py"
STOPPED_ON_PURPOSE = "stopped on purpose"
"""End of the supervisor's remark on a service that a person stopped."""
DISK = "disk:"
"""Begin of the supervisor's remark on a full disk."""
STARTUP_S = 180.0
"""The first window is written within two minutes of a start."""
HANDLED_STATES = frozenset({"ready", "elsewhere", "off", "starting", "waiting", "restarting"})
"""States of the drift monitor that need no person."""


def list_actions(
    monitor: Monitor,
    supervised: Supervised,
    models: Sequence[Model],
    incidents: Sequence[Incident],
    approvals: Sequence[ApprovalRequest],
    history: Sequence[ModelEvent],
    settings: Settings,
    *,
    data_span_s: float = 0.0,
    disk_problem: str = "",
) -> tuple[Action, ...]:
    """List what needs a person.

    Parameters
    ----------
    monitor, supervised, models, incidents, approvals, history
        The state of the system.
    settings : Settings
        Switches and intervals.
    data_span_s : float
        Seconds of event time from the oldest to the newest window.
    disk_problem : str
        Why the disk is too full; empty if it is not.
    """
    return (
        *_check_system(monitor, supervised),
        *_check_disk(disk_problem, supervised),
        *_check_delays(monitor, settings, supervised.others_down),
        *_check_incidents(incidents, monitor),
        *(_describe_approval(request, monitor) for request in approvals),
        *(action for model in models for action in _check_model(model, history, settings, data_span_s)),
    )


def choose_exit_code(actions: Sequence[Action]) -> int:
    """Choose the exit code. A system that does not work comes first, because then the rest may be out of date.

    Examples
    --------
    >>> choose_exit_code([]), choose_exit_code([Action("approval", "3", 10, ""), Action("store", "", 1, "")])
    (0, 1)
    """
    codes = {action.exit_code for action in actions}
    return next((code for code in (EXIT_NOT_RUNNING, EXIT_UNRELIABLE, EXIT_ACTION) if code in codes), EXIT_OK)


def write_headline(actions: Sequence[Action], models: Sequence[Model]) -> str:
    """Summarise the actions in one line.

    Examples
    --------
    >>> write_headline([], [])
    'Nothing needs you'
    >>> write_headline([Action("store", "", 1, "")], [])
    '1 thing needs you'
    """
    if actions:
        return f"{len(actions)} thing{'s need' if len(actions) > 1 else ' needs'} you"
    drifting = [model.model for model in models if model.verdict == "drift"]
    if drifting:
        return f"Nothing needs you; the drift of {', '.join(drifting)} is handled automatically"
    return "Nothing needs you"


def _check_system(monitor: Monitor, supervised: Supervised) -> Iterator[Action]:
    doctor = Command("bgpdrift doctor", "shows the cause and what to do")
    if monitor.store not in ("ok", "missing"):
        yield Action("store", "", EXIT_UNRELIABLE, f"The store cannot be read: {monitor.store}", (doctor,))
    elif monitor.store == "missing" and monitor.supervisor not in ("stopped", "no_answer", "starting"):
        text = "The database file was removed while the services run. Put it back, or restart all services."
        yield Action(
            "store", "", EXIT_UNRELIABLE, text, (doctor, Command(f"{RUN} restart", "begins with an empty database"))
        )
    if monitor.state in ("not_running", "stopped"):
        yield _describe_missing_monitor(monitor)
    elif monitor.state not in HANDLED_STATES:
        message = f": {monitor.message}" if monitor.message else ""
        logs = Command(f"{RUN} logs drift_monitor", "shows the cause")
        text = f"The drift monitor is {monitor.state}{message}."
        yield Action("monitor", "drift_monitor", EXIT_UNRELIABLE, text, (logs,))
    yield from _describe_remarks(supervised)


def _describe_missing_monitor(monitor: Monitor) -> Action:
    never_ran = " There is no database yet: no service ran here." if monitor.store == "missing" else ""
    if monitor.supervisor == "stopped":
        start = Command(f"{RUN} start", "starts all services")
        text = f"No supervisor runs, so nothing is collected, scored or checked.{never_ran}"
        return Action("supervisor", "", EXIT_NOT_RUNNING, text, (start,))
    start = Command(f"{RUN} restart drift_monitor", "starts it")
    if monitor.supervisor == "no_answer":
        start = Command(f"{RUN} start", "starts all services")
    text = f"The drift monitor does not run, so nothing checks for drift.{never_ran}"
    return Action("monitor", "drift_monitor", EXIT_UNRELIABLE, text, (start,))


def _describe_remarks(supervised: Supervised) -> Iterator[Action]:
    all_stopped = bool(supervised.services) and supervised.stopped == supervised.services
    if all_stopped:
        text = (
            f"All {len(supervised.services)} services are stopped on purpose: nothing is collected, scored or checked."
        )
        yield Action("service", "", EXIT_UNRELIABLE, text, (Command(f"{RUN} restart", "starts them"),))
    for remark in supervised.remarks:
        is_said = all_stopped and remark.endswith(STOPPED_ON_PURPOSE)
        if not is_said and not remark.startswith("drift_monitor:"):
            yield _describe_remark(remark, supervised.services)


def _describe_remark(remark: str, services: Sequence[str]) -> Action:
    """Describe a remark of the supervisor: ``<service>: <reason>``, or a reason that concerns the whole system."""
    service = remark.partition(": ")[0]
    if service not in services:
        kind = "disk" if remark.startswith(DISK) else "supervisor"
        show = Command(f"{RUN} status", "shows all services")
        return Action(kind, "", EXIT_UNRELIABLE, f"{remark[:1].upper()}{remark[1:]}.", (show,))
    command = Command(f"{RUN} logs {service}", "shows the cause")
    if remark.endswith(STOPPED_ON_PURPOSE):
        command = Command(f"{RUN} start {service}", "starts it")
    return Action("service", service, EXIT_UNRELIABLE, f"{remark}.", (command,))


def _check_disk(problem: str, supervised: Supervised) -> Iterator[Action]:
    if problem and not any(remark.startswith(DISK) for remark in supervised.remarks):
        doctor = Command("bgpdrift doctor", "shows the limits and what to do")
        yield Action("disk", "", EXIT_UNRELIABLE, f"{problem[:1].upper()}{problem[1:]}.", (doctor,))


def _check_delays(monitor: Monitor, settings: Settings, others_down: Sequence[str]) -> Iterator[Action]:
    runs = monitor.supervisor not in ("stopped", "no_answer") or monitor.state == "elsewhere"
    has_just_started = monitor.uptime_s is not None and monitor.uptime_s < STARTUP_S
    silent_s = _measure_silence(monitor, settings)
    if runs and not has_just_started and silent_s > MAX_DATA_AGE_S:
        down = f"; not ready: {', '.join(others_down)}" if others_down else ""
        commands = (Command("bgpdrift doctor", "checks the feed"), Command(f"{RUN} status", "shows all services"))
        yield Action("data", "", EXIT_UNRELIABLE, f"No new data for {format_duration(silent_s)}{down}.", commands)
    max_delay_s = 2 * settings.drift.check_every_h * 3_600
    due, until = monitor.next_check_at, monitor.data_until
    if monitor.state == "ready" and due is not None and until is not None and until - due > max_delay_s:
        logs = Command(f"{RUN} logs drift_monitor", "shows the cause")
        text = f"The drift checks are {format_duration(until - due)} of data behind, although the drift monitor runs."
        yield Action("monitor", "drift_monitor", EXIT_UNRELIABLE, text, (logs,))


def _measure_silence(monitor: Monitor, settings: Settings) -> float:
    """Measure for how long no data has come; 0 if it comes, or if there never was any.

    The time of the data decides, unless it is a replay of the past: then the time at which the newest window was written.
    """
    age_s = monitor.data_age_s or 0.0
    if age_s <= settings.feed.replay_lag_s:
        return age_s
    return monitor.data_silent_s or 0.0


def _check_incidents(incidents: Sequence[Incident], monitor: Monitor) -> Iterator[Action]:
    waiting = [incident for incident in incidents if not incident.acknowledged_by]
    for incident in waiting[:MAX_INCIDENTS]:
        now = max(monitor.data_until or 0, incident.last_seen_at)
        duration = format_duration(now - incident.started_at)
        text = f"Incident {incident.id} ({incident.severity}) is open for {duration}: {incident.summary}"
        commands = (Command(f"bgpdrift incidents {incident.id}", "explains it"),)
        yield Action("incident", str(incident.id), EXIT_ACTION, _end_sentence(text), commands)
    rest = len(waiting) - MAX_INCIDENTS
    if rest > 0:
        commands = (Command("bgpdrift incidents", "lists them"),)
        yield Action("incident", "", EXIT_ACTION, f"{rest} more incidents are open.", commands)


def _describe_approval(request: ApprovalRequest, monitor: Monitor) -> Action:
    yes, no = "retrain it", "keep the active version"
    if request.is_first:
        yes, no = "train it", "leave the detector without a model"
    show: tuple[Command, ...] = ()
    if request.kind == "attack_or_new_normal":
        yes, no = "new normal: learn it", "attack: do not learn it"
        show = (Command(f"bgpdrift incidents {request.subject}", "explains the incident"),)
    answers = (Command(f"bgpdrift approve {request.id}", yes), Command(f"bgpdrift reject {request.id}", no))
    text = f"{_end_sentence(_capitalise(request.message))} {_describe_expiry(request, monitor)}"
    return Action("approval", str(request.id), EXIT_ACTION, text, (*show, *answers))


def _capitalise(text: str) -> str:
    """Begin each sentence with a capital letter; names of models stay as they are.

    Examples
    --------
    >>> _capitalise("retrain lstm? the drift is critical"), _capitalise("lstm drifts: retrain it?")
    ('Retrain lstm? The drift is critical', 'lstm drifts: retrain it?')
    """
    sentences = text.strip().split("? ")
    return "? ".join(part if part.startswith(MODELS) else part[:1].upper() + part[1:] for part in sentences)


def _end_sentence(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _describe_expiry(request: ApprovalRequest, monitor: Monitor) -> str:
    if request.expires_at is None:
        return "It waits for an answer without a limit."
    left_s = request.expires_at - (monitor.data_until or request.requested_at)
    when = f"Without an answer within {format_duration(left_s)}" if left_s > 0 else "Without an answer, now"
    return f"{when}, {request.on_expiry}."


def _check_model(
    model: Model, history: Sequence[ModelEvent], settings: Settings, data_span_s: float
) -> Iterator[Action]:
    train = Command(f"retrain_{model.model}", "trains it; publishes it if the gate accepts it")
    if model.file_problem:
        rollback = Command(f"bgpdrift rollback {model.model}", "returns to the version before")
        yield Action("model", model.model, EXIT_UNRELIABLE, f"{model.model}: {model.file_problem}.", (rollback,))
    elif model.state == "none" and data_span_s >= FIRST_TRAINING_S and not _is_training_under_way(model, data_span_s):
        text = f"{model.model} has no model, although there are {format_duration(data_span_s)} of data. It abstains."
        if model.first_training is not None and model.first_training.reason:
            text += _end_sentence(f" First training: {model.first_training.reason}")
        yield Action("model", model.model, EXIT_ACTION, text, (train,))
    elif model.flag is not None and model.flag.attempts >= MAX_ATTEMPTS:
        text = f"{model.model}: {model.flag.attempts} retrainings for one flag file failed."
        log = Command(f"less {settings.logs_path}/retrain_{model.model}.log", "shows the cause")
        yield Action("retraining", model.model, EXIT_ACTION, text, (log,))
    if model.probation is not None and model.probation.verdict == "needs_review":
        text = f"{model.model} {model.version} fails its probation: {model.probation.reason}."
        yield Action("model", model.model, EXIT_ACTION, text, (train,))
    if model.has_persistent_drift and not _is_handled(model):
        report = Command(f"check_drift_status --model {model.model}", "shows all measures")
        text = _describe_unhandled_drift(model, history, settings)
        yield Action("drift", model.model, EXIT_ACTION, text, (report, train))


def _is_training_under_way(model: Model, data_span_s: float) -> bool:
    """Return whether the first training is requested, or waits for data that is on its way."""
    first = model.first_training
    if model.flag is not None or first is None:
        return model.flag is not None
    is_expected = first.phase == "collecting" and first.expected_at is not None and data_span_s < LATE_TRAINING_S
    return first.phase == "training" or is_expected


def _is_handled(model: Model) -> bool:
    request = model.retrain_request
    return (request is not None and request.is_open) or model.flag is not None or model.state == "probation"


def _describe_unhandled_drift(model: Model, history: Sequence[ModelEvent], settings: Settings) -> str:
    text = f"{model.model} drifts ({model.severity}), and nothing is being done"
    is_automatic = model.model not in MODELS or settings.detectors.of(model.model).auto_retrain
    if not (settings.retrain.auto and is_automatic):
        return f"{text}: automatic retraining is switched off."
    request = model.retrain_request
    if request is not None and request.state in ("refused", "failed"):
        last = next((event for event in history if event.model == model.model and event.kind == "retrain"), None)
        reason = request.reason or (last.result if last and request.state == "failed" else "")
        what = "retraining was refused" if request.state == "refused" else "the last retraining failed"
        return f"{text}: {what}{f' ({reason})' if reason else ''}."
    return f"{text}."
