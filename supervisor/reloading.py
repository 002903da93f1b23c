"""Which settings changed, and whom that concerns. Pure; reading and accepting settings is `settings_in_force`.

A service is compared with the settings its own process was started with, so that a change which somebody applied to one
service by ``restart NAME`` still reaches the others at the next ``reload``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bgpdrift.settings import Settings
from supervisor.services import Service

FOR_ALL = frozenset({"artifacts_dir", "logs"})
"""Settings that every service reads."""

FIXED = frozenset({"data_dir", "store.url"})
"""Settings that need ``stop`` and ``start``: the lock, the sockets and the prepared database hang on them."""

TOLD_AT_LAUNCH = frozenset({"supervisor.watchdog_s"})
"""The supervisor's own settings that a process learns when it is started."""


def changed_keys(old: Settings, new: Settings) -> frozenset[str]:
    """Name what differs, by dotted key.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> sorted(changed_keys(load(env={}), load(env={"BGPDRIFT_WEB__PORT": "80", "BGPDRIFT_DATA_DIR": "/srv"})))
    ['data_dir', 'web.port']
    """
    before, after = dict(_leaves(msgspec.to_builtins(old))), dict(_leaves(msgspec.to_builtins(new)))
    return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def is_concerned(service: Service, keys: frozenset[str]) -> bool:
    """Whether a process of this service goes by one of these settings.

    Examples
    --------
    >>> collector = Service("collector", ("c",), reads=frozenset({"feed"}))
    >>> is_concerned(collector, frozenset({"feed.url"})), is_concerned(collector, frozenset({"drift.enabled"}))
    (True, False)
    >>> is_concerned(collector, frozenset({"logs.level"})), is_concerned(collector, frozenset({"supervisor.log_keep"}))
    (True, False)
    """
    return any(key in TOLD_AT_LAUNCH or key.partition(".")[0] in service.reads | FOR_ALL for key in keys)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
