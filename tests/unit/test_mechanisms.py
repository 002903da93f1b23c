"""Each mechanism has one home: only `bgpdrift.process` creates processes and locks files, except where a reason is given."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOME = "bgpdrift/process/"
MECHANISMS = frozenset(
    {
        "subprocess",
        "multiprocessing",
        "os.fork",
        "os.forkpty",
        "os.posix_spawn",
        "os.posix_spawnp",
        "os.system",
        "os.popen",
        "asyncio.create_subprocess_exec",
        "asyncio.create_subprocess_shell",
        "fcntl.flock",
        "fcntl.lockf",
    }
)
EXEMPT = {
    (
        "bgpdrift/lab/demo/feed.py",
        "subprocess",
    ): "the demo reads the address from the feed's output while the feed runs",
    (
        "supervisor/daemon.py",
        "os.fork",
    ): "a daemon continues in the process that was started; it cannot be spawned anew",
}
"""Uses outside the home, each with its reason."""


def list_uses(source: str) -> Iterator[str]:
    """Yield the mechanisms that a module uses, by the names of `MECHANISMS`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MECHANISMS)
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
            yield from names & MECHANISMS
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            name = f"{node.value.id}.{node.attr}"
            if name in MECHANISMS:
                yield name


def test_processes_and_locks_have_one_home() -> None:
    found = {
        (str(path.relative_to(ROOT)), use)
        for folder in ("bgpdrift", "supervisor", "retrainers")
        for path in (ROOT / folder).rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(HOME)
        for use in list_uses(path.read_text(encoding="utf-8"))
    }
    assert found == set(EXEMPT)


@pytest.mark.parametrize(
    ("source", "use"),
    [
        ("import subprocess", "subprocess"),
        ("from subprocess import run", "subprocess"),
        ("from os import fork", "os.fork"),
        ("import os\nif os.fork(): pass", "os.fork"),
        ("import fcntl\nfcntl.flock(3, fcntl.LOCK_EX)", "fcntl.flock"),
    ],
)
def test_each_form_of_a_use_is_found(source: str, use: str) -> None:
    assert list(list_uses(source)) == [use]


def test_commands_print_by_the_functions_that_escape_control_characters() -> None:
    """`bgpdrift.terminal.echo` and `echo_json`; a console of `make_console` escapes too."""
    found = set()
    for path in (ROOT / "bgpdrift" / "commands").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "click.echo",
                "click.secho",
                "Console",
            ):
                found.add((path.name, node.lineno))
    assert found == set()
