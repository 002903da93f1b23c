"""Decides from all that is known what needs a person now. Pure.

This is the one decision behind ``run_all_services.py status``, ``check_drift_status`` and ``bgpdrift doctor``. `actions` has
the rule of each kind of action; this module decides on which state of the drift monitor and of the data they are based.
"""

import msgspec

from bgpdrift.attention import EXIT_UNRELIABLE, Attention
from bgpdrift.settings import Settings
from bgpdrift.status.actions import choose_exit_code, list_actions, write_headline
from bgpdrift.status.facts import Facts
from bgpdrift.status.snapshot import Monitor
from bgpdrift.status.supervised import Supervised

HOUR_S = 3_600


class Decision(msgspec.Struct, frozen=True):
    """What needs a person, and the state of the drift monitor on which this is based."""

    monitor: Monitor
    attention: Attention


def decide(facts: Facts, supervised: Supervised, disk_problem: str, settings: Settings, now: float) -> Decision:
    """Decide what needs a person.

    Parameters
    ----------
    facts : Facts
        Data, models, incidents and requests.
    supervised : Supervised
        The answer of the supervisor.
    disk_problem : str
        Why the disk under the data directory is too full; empty if it is not.
    settings : Settings
        Switches, limits and intervals.
    now : float
        Wall-clock time, epoch seconds.
    """
    monitor = build_monitor(facts, supervised, settings, now)
    data_span_s = 0 if facts.data_from is None else (facts.data_until or 0) - facts.data_from
    actions = list_actions(
        monitor,
        supervised,
        facts.models,
        facts.incidents,
        facts.approvals,
        facts.history,
        settings,
        data_span_s=data_span_s,
        disk_problem=disk_problem,
    )
    code, headline = choose_exit_code(actions), write_headline(actions, facts.models)
    if not actions and supervised.is_changing:
        code, headline = EXIT_UNRELIABLE, f"Not all services are ready: the supervisor is {supervised.supervisor}"
    return Decision(monitor, Attention(headline, code, actions))


def build_monitor(facts: Facts, supervised: Supervised, settings: Settings, now: float) -> Monitor:
    """Build the state of the drift monitor and of the data."""
    state, message = supervised.state, supervised.message
    max_check_age_s = 2.5 * settings.drift.check_every_h * HOUR_S
    if not settings.drift.enabled:
        state, message = "off", "switched off (drift.enabled)"
    elif state == "not_running" and facts.checked_at is not None and abs(now - facts.checked_at) < max_check_age_s:
        state, message = "elsewhere", "another program makes the checks"
    models = facts.models
    return Monitor(
        state,
        supervised.supervisor,
        message,
        supervised.pid,
        supervised.uptime_s,
        max((model.checked_at for model in models if model.checked_at is not None), default=None),
        facts.checked_at,
        min((model.next_check_at for model in models if model.next_check_at is not None), default=None),
        facts.data_until,
        None if facts.data_until is None else max(0.0, now - facts.data_until),
        None if facts.data_written_at is None else max(0.0, now - facts.data_written_at),
        facts.store,
        facts.warming_until,
        facts.collectors,
    )
