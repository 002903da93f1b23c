"""The fleets of eight small programs that every process manager runs. Its imports are few, because commands import it."""

import sys
from pathlib import Path

CHILD = Path(__file__).parent / "manager_child.py"
_SEVEN = dict.fromkeys((f"child{number}" for number in range(1, 8)), "lives")

FLEETS: dict[str, dict[str, str]] = {
    "plain": _SEVEN | {"child8": "lives"},
    "hard": _SEVEN | {"child7": "ignores_term", "child8": "parent"},
    "exits": _SEVEN | {"child8": "exits"},
}
"""Behaviour by name, see `benchmarks.manager_child`."""


def command_of(name: str, behaviour: str) -> tuple[str, ...]:
    """Build the command line of one program."""
    return (sys.executable, "-S", str(CHILD), name, behaviour)
