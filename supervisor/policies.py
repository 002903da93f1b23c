"""What the settings mean for one service and for its log files. Pure."""

from collections.abc import Collection
from operator import attrgetter

from bgpdrift.errors import SettingsError
from bgpdrift.settings import Settings
from supervisor.restart_budget import RestartPolicy
from supervisor.rotating_file import LogLimits
from supervisor.services import Service
from supervisor.supervised import Limits


def limits_of(settings: Settings, service: Service) -> Limits:
    """How long a service may take, and how much it may hold.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> aggregator = Service("feature_aggregator", ("a",), memory_on_top="windows.max_state_bytes")
    >>> common, named = load(env={}), load(env={}, overrides={"supervisor.memory_limits.feature_aggregator": 7})
    >>> limits_of(common, aggregator).memory_bytes, limits_of(common, Service("b", ("b",))).memory_bytes
    (6000000000, 2000000000)
    >>> limits_of(named, aggregator).memory_bytes
    7
    """
    given = settings.supervisor
    memory_bytes = given.memory_limits.get(service.name)
    if memory_bytes is None:
        memory_bytes = given.memory_limit_bytes
        if memory_bytes and service.memory_on_top:
            memory_bytes += 2 * int(attrgetter(service.memory_on_top)(settings))
    return Limits(given.ready_timeout_s, given.watchdog_s, given.stop_grace_s, memory_bytes=memory_bytes)


def require_known_names(settings: Settings, names: Collection[str]) -> None:
    """Refuse limits of services there are not: a name that is misspelt limits nothing.

    Raises
    ------
    SettingsError
        See above.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> require_known_names(load(env={}, overrides={"supervisor.memory_limits.lstm": 1}), ["lstm_detector"])
    Traceback (most recent call last):
    bgpdrift.errors.SettingsError: supervisor.memory_limits.lstm: unknown service; expected one of lstm_detector
    """
    for name in settings.supervisor.memory_limits:
        if name not in names:
            raise SettingsError(f"supervisor.memory_limits.{name}: unknown service; expected one of {', '.join(names)}")


def policy_of(settings: Settings) -> RestartPolicy:
    """How often it is started again."""
    given = settings.supervisor
    return RestartPolicy(given.restart_limit, given.restart_period_s, given.backoff_max_s, given.crashloop_retry_s)


def log_limits_of(settings: Settings) -> LogLimits:
    """When its log is cut."""
    given = settings.supervisor
    return LogLimits(given.log_max_bytes, given.log_keep, given.log_rotate_s)
