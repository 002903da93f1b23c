"""What needs a person now, most urgent first, each with what to type; and the exit code that follows. Pure.

Decides what is worth waking somebody for. A drift that the loop is dealing with is not; a question, a drift that nothing
deals with, and a system that cannot see are.
"""

from collections.abc import Iterator, Sequence

from bgpdrift.detector_registry import MODELS
from bgpdrift.monitor.approvals import ATTACK_OR_NEW_NORMAL
from bgpdrift.monitor.request_states import OPEN_STATES
from bgpdrift.settings import Settings
from bgpdrift.status.snapshot import (
    EXIT_BLIND,
    EXIT_DRIFT,
    EXIT_OK,
    Command,
    Model,
    Monitor,
    Question,
    Retraining,
    ToDo,
)
from bgpdrift.status.spark import span

STALE_DATA_S = 900.0
"""Windows come every minute; a quarter of an hour without one is no hiccup."""
RUN = "python run_all_services.py"
MOST_ATTEMPTS = 3
MISSING = "missing"
"""`Monitor.store` where there is no database yet: the first start makes it."""


def todo_of(
    monitor: Monitor,
    models: Sequence[Model],
    questions: Sequence[Question],
    history: Sequence[Retraining],
    settings: Settings,
    others_down: Sequence[str] = (),
) -> tuple[ToDo, ...]:
    """Say what needs a person.

    Parameters
    ----------
    monitor, models, questions, history
        What was found.
    settings : Settings
        For switches and intervals.
    others_down : sequence of str
        Other services that are not ready.
    """
    return (
        *_blind(monitor, settings, others_down),
        *(_asked(question, monitor) for question in questions),
        *(item for model in models for item in _of_model(model, history, settings)),
    )


def exit_code_of(todo: Sequence[ToDo]) -> int:
    """Give the exit code: blindness first, since then nothing else that is shown can be relied on.

    Examples
    --------
    >>> exit_code_of([]), exit_code_of([ToDo("question", "3", 10, ""), ToDo("store", "", 1, "")])
    (0, 1)
    """
    codes = {item.exit_code for item in todo}
    return next((code for code in (EXIT_BLIND, EXIT_DRIFT) if code in codes), EXIT_OK)


def headline_of(todo: Sequence[ToDo], models: Sequence[Model], problem: str) -> str:
    """Say it in one line.

    Examples
    --------
    >>> headline_of([], [], "")
    'nothing needs you'
    >>> headline_of([ToDo("store", "", 1, "")], [], "away")
    '1 thing needs you'
    """
    if todo:
        return f"{len(todo)} thing{'s need' if len(todo) > 1 else ' needs'} you"
    busy = [model.model for model in models if model.verdict == "drift"]
    return (
        f"nothing needs you; {', '.join(busy)} drifts and is dealt with"
        if busy and not problem
        else "nothing needs you"
    )


def _blind(monitor: Monitor, settings: Settings, others_down: Sequence[str]) -> Iterator[ToDo]:
    if monitor.store not in ("ok", MISSING):
        mend = Command("bgpdrift doctor", "says what is wrong and how to mend it")
        yield ToDo("store", "", EXIT_BLIND, f"The store cannot be read: {monitor.store}", (mend,))
    if monitor.state in ("not_running", "stopped"):
        never = " There is no database yet: nothing ever ran here." if monitor.store == MISSING else ""
        sentence = f"Nothing checks for drift: the drift monitor does not run.{never}"
        again = Command(f"{RUN} start", "starts all services")
        if monitor.supervisor not in ("stopped", "no_answer"):
            again = Command(f"{RUN} restart drift_monitor", "starts it")
        yield ToDo("monitor", "drift_monitor", EXIT_BLIND, sentence, (again,))
    elif monitor.state not in ("ready", "elsewhere", "off", "starting", "waiting", "restarting"):
        message = f": {monitor.message}" if monitor.message else ""
        look = Command(f"{RUN} logs drift_monitor", "says why")
        yield ToDo("monitor", "drift_monitor", EXIT_BLIND, f"The drift monitor is {monitor.state}{message}.", (look,))
    yield from _late(monitor, settings, others_down)


def _late(monitor: Monitor, settings: Settings, others_down: Sequence[str]) -> Iterator[ToDo]:
    age = monitor.data_age_s
    if monitor.state == "ready" and age is not None and STALE_DATA_S < age <= settings.feed.replay_lag_s:
        which = f"; not ready: {', '.join(others_down)}" if others_down else ""
        commands = (Command("bgpdrift doctor", "tries the feed"), Command(f"{RUN} status", "shows all services"))
        yield ToDo("data", "", EXIT_BLIND, f"No new data for {span(age)}{which}.", commands)
    late = 2 * settings.drift.check_every_h * 3_600
    due, until = monitor.next_check_at, monitor.data_until
    if monitor.state == "ready" and due is not None and until is not None and until - due > late:
        look = Command(f"{RUN} logs drift_monitor", "says why")
        sentence = f"Checks are overdue by {span(until - due)} of data: the monitor runs, but does not get on."
        yield ToDo("monitor", "drift_monitor", EXIT_BLIND, sentence, (look,))


def _asked(question: Question, monitor: Monitor) -> ToDo:
    yes, no = "retrain it", "leave it as it is"
    if question.kind == ATTACK_OR_NEW_NORMAL:
        yes, no = "new normal: learn it", "attack: do not learn it"
    answers = (Command(f"bgpdrift approve {question.id}", yes), Command(f"bgpdrift reject {question.id}", no))
    look: tuple[Command, ...] = ()
    if question.kind == ATTACK_OR_NEW_NORMAL:
        look = (Command(f"bgpdrift incidents {question.subject}", "what it looks like"),)
    sentence = f"{_sentences(question.text)} {_silence(question, monitor)}"
    return ToDo("question", str(question.id), EXIT_DRIFT, sentence, (*look, *answers))


def _sentences(text: str) -> str:
    """Begin with a capital, also after a question mark, and end with a stop; a model keeps its own name.

    Examples
    --------
    >>> _sentences("retrain lstm? the drift is critical"), _sentences("lstm drifts: retrain it?")
    ('Retrain lstm? The drift is critical.', 'lstm drifts: retrain it?')
    """
    begun = [part if part.startswith(MODELS) else part[:1].upper() + part[1:] for part in text.strip().split("? ")]
    whole = "? ".join(begun)
    return whole if whole.endswith((".", "?", "!")) else f"{whole}."


def _silence(question: Question, monitor: Monitor) -> str:
    if question.silence_until is None:
        return "It waits until somebody answers."
    until = question.silence_until - (monitor.data_until or question.asked_at)
    when = f"In {span(until)} without an answer" if until > 0 else "Without an answer, now"
    return f"{when} {question.silence_means}."


def _of_model(model: Model, history: Sequence[Retraining], settings: Settings) -> Iterator[ToDo]:
    train = Command(f"retrain_{model.model}", "trains and publishes it if it is no worse")
    if model.file_problem:
        back = Command(f"bgpdrift rollback {model.model}", "puts the version before back")
        yield ToDo("model", model.model, EXIT_BLIND, f"{model.model}: {model.file_problem}.", (back,))
    elif model.flag is not None and model.flag.attempts >= MOST_ATTEMPTS:
        sentence = f"{model.model}: the request to retrain killed {model.flag.attempts} runs."
        look = Command(f"less {settings.logs_path}/retrain_{model.model}.log", "says why")
        yield ToDo("retraining", model.model, EXIT_DRIFT, sentence, (look,))
    if model.probation is not None and model.probation.verdict == "needs_review":
        sentence = f"{model.model} {model.version} disappoints on probation: {model.probation.reason}."
        yield ToDo("model", model.model, EXIT_DRIFT, sentence, (train,))
    if model.drifts and not _dealt_with(model):
        report = Command(f"check_drift_status --model {model.model}", "all measures")
        yield ToDo("drift", model.model, EXIT_DRIFT, _undealt(model, history, settings), (report, train))


def _dealt_with(model: Model) -> bool:
    open_wish = model.wish is not None and model.wish.state in OPEN_STATES
    return open_wish or model.flag is not None or model.state == "probation"


def _undealt(model: Model, history: Sequence[Retraining], settings: Settings) -> str:
    drifts = f"{model.model} drifts ({model.severity}), and nothing is being done"
    is_automatic = model.model not in MODELS or settings.detectors.of(model.model).auto_retrain
    if not (settings.retrain.auto and is_automatic):
        return f"{drifts}: automatic retraining is switched off."
    if model.wish is not None and model.wish.state in ("refused", "failed"):
        last = next((one for one in history if one.model == model.model and one.kind == "retrain"), None)
        why = model.wish.because or (last.result if last and model.wish.state == "failed" else "")
        said = "retraining was refused" if model.wish.state == "refused" else "the last retraining failed"
        return f"{drifts}: {said}{f' ({why})' if why else ''}."
    return f"{drifts}."
