"""Converts the settings to the limits of one service and of its log files. Pure."""

from collections.abc import Collection
from operator import attrgetter

from bgpdrift.errors import SettingsError
from bgpdrift.settings import Settings
from supervisor.restart_budget import RestartPolicy
from supervisor.rotating_file import LogLimits
from supervisor.services import Service
from supervisor.supervised import Limits


def build_limits(settings: Settings, service: Service) -> Limits:
    """Build the limits of a service.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> aggregator = Service("feature_aggregator", ("a",), extra_memory_setting="windows.max_state_bytes")
    >>> common, named = load(env={}), load(env={}, overrides={"supervisor.memory_limits.feature_aggregator": 7})
    >>> build_limits(common, aggregator).memory_bytes, build_limits(common, Service("b", ("b",))).memory_bytes
    (4000000000, 2000000000)
    >>> build_limits(named, aggregator).memory_bytes
    7
    """
    section = settings.supervisor
    memory_bytes = section.memory_limits.get(service.name)
    if memory_bytes is None:
        memory_bytes = section.memory_limit_bytes
        if memory_bytes and service.extra_memory_setting:
            memory_bytes += 2 * int(attrgetter(service.extra_memory_setting)(settings))
    return Limits(section.ready_timeout_s, section.watchdog_s, section.stop_grace_s, memory_bytes=memory_bytes)


def check_service_names(settings: Settings, names: Collection[str]) -> None:
    """Refuse limits of unknown services: a misspelt name would limit nothing.

    Raises
    ------
    SettingsError
        A name is unknown.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> check_service_names(load(env={}, overrides={"supervisor.memory_limits.lstm": 1}), ["lstm_detector"])
    Traceback (most recent call last):
    bgpdrift.errors.SettingsError: supervisor.memory_limits.lstm: unknown service; expected one of lstm_detector
    """
    for name in settings.supervisor.memory_limits:
        if name not in names:
            raise SettingsError(f"supervisor.memory_limits.{name}: unknown service; expected one of {', '.join(names)}")


def build_restart_policy(settings: Settings) -> RestartPolicy:
    """Build the restart policy of all services."""
    section = settings.supervisor
    return RestartPolicy(
        section.restart_limit,
        section.restart_period_s,
        section.backoff_max_s,
        section.crashloop_retry_s,
        long_limit=section.restart_long_limit,
        long_period_s=section.restart_long_period_s,
    )


def build_log_limits(settings: Settings) -> LogLimits:
    """Build the limits of a log file."""
    section = settings.supervisor
    return LogLimits(section.log_max_bytes, section.log_keep, section.log_rotate_s)
