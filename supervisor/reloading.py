"""Finds changed settings and the services that they concern. Pure; `active_settings` reads the settings.

A service is compared with the settings with which its own process was started, so that a change that ``restart NAME``
applied to one service still reaches the others at the next ``reload``.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from bgpdrift.settings import Settings
from supervisor.services import Service

COMMON_SECTIONS = frozenset({"artifacts_dir", "logs"})
"""Sections and settings that every service reads."""

FIXED_KEYS = frozenset({"data_dir", "store.url"})
"""Settings that need ``stop`` and ``start``, because the lock, the sockets and the prepared database depend on them."""

LAUNCH_KEYS = frozenset({"supervisor.watchdog_s"})
"""Settings of the supervisor that a process learns at its launch."""


def find_changed_keys(old: Settings, new: Settings) -> frozenset[str]:
    """Return the dotted keys of the settings that differ.

    Examples
    --------
    >>> from bgpdrift.settings import load
    >>> new = load(env={"BGPDRIFT_WEB__PORT": "80", "BGPDRIFT_DATA_DIR": "/srv"})
    >>> sorted(find_changed_keys(load(env={}), new))
    ['data_dir', 'web.port']
    """
    before, after = dict(_list_leaves(msgspec.to_builtins(old))), dict(_list_leaves(msgspec.to_builtins(new)))
    return frozenset(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))


def is_concerned(service: Service, keys: frozenset[str]) -> bool:
    """Whether a service reads one of these settings.

    Examples
    --------
    >>> collector = Service("collector", ("c",), reads=frozenset({"feed"}))
    >>> is_concerned(collector, frozenset({"feed.url"})), is_concerned(collector, frozenset({"drift.enabled"}))
    (True, False)
    >>> is_concerned(collector, frozenset({"logs.level"})), is_concerned(collector, frozenset({"supervisor.log_keep"}))
    (True, False)
    """
    return any(key in LAUNCH_KEYS or key.partition(".")[0] in service.reads | COMMON_SECTIONS for key in keys)


def _list_leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _list_leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
