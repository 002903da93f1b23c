"""`bgpdrift doctor`: run every check, print what it found and what to do, and what needs a person.

This module decides the order of the checks. The exit codes are those of `bgpdrift.attention`; a check that fails counts as a
system that does not work. A check that raises an exception counts as failed; the others still run.
"""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

from bgpdrift.terminal import echo_json

if TYPE_CHECKING:
    from bgpdrift.commands.doctor_checks import Finding
    from bgpdrift.settings import Settings

    Check = Callable[[Settings], Finding]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array with one object per check.")
@click.option("--migrate", is_flag=True, help="First create or upgrade the database schema.")
def command(as_json: bool, migrate: bool) -> None:
    """Check settings, directories, disk, store, feed, services and clock; print what to do about each problem."""
    findings, exit_code = examine(migrate)
    if as_json:
        import msgspec

        echo_json(msgspec.json.format(msgspec.json.encode(findings)))
    else:
        _print(findings)
    sys.exit(exit_code)


def examine(migrate: bool = False) -> "tuple[list[Finding], int]":
    """Run all checks; return what they found, and the exit code.

    Invalid settings end the examination, because every other check needs them.
    """
    from bgpdrift import settings
    from bgpdrift.attention import EXIT_NOT_RUNNING, EXIT_UNRELIABLE, EXIT_USAGE
    from bgpdrift.commands import doctor_checks as checks
    from bgpdrift.commands.doctor_attention import find_actions
    from bgpdrift.commands.doctor_feed import check_feed
    from bgpdrift.errors import BgpdriftError

    try:
        loaded, sources = settings.load_with_sources()
    except BgpdriftError as error:
        advice = "correct the setting, then run `bgpdrift config check`"
        return [checks.Finding("settings", "fail", str(error), advice)], EXIT_USAGE
    findings = [checks.settings_finding(None, sources)]
    if migrate:
        findings += run_checks([_check_migration], loaded)
    all_checks: list[Check] = [
        checks.check_directories,
        checks.check_files,
        checks.check_disk,
        checks.check_store,
        check_feed,
        checks.check_collector,
        checks.check_clocks_of_feed,
        checks.check_supervisor,
        checks.check_web_port,
        checks.check_clock,
        checks.check_versions,
    ]
    findings += run_checks(all_checks, loaded)
    has_failed = any(finding.level == "fail" for finding in findings)
    actions, exit_code = find_actions(loaded, has_failed)
    if has_failed and exit_code != EXIT_NOT_RUNNING:
        exit_code = EXIT_UNRELIABLE
    return findings + actions, exit_code


def run_checks(checks: "Iterable[Check]", loaded: "Settings") -> "list[Finding]":
    """Run checks; one that raises an exception becomes a failed check."""
    from bgpdrift.commands.doctor_checks import Finding

    findings = []
    for check in checks:
        name = check.__name__.removeprefix("check_").lstrip("_").replace("_", " ")
        try:
            findings.append(check(loaded))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, "fail", text, "the check has a bug; please report this line"))
    return findings


def _check_migration(loaded: "Settings") -> "Finding":
    from bgpdrift.commands.doctor_checks import Finding
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import migrate

    try:
        return Finding("schema", "ok", f"the database is {migrate(loaded.store_url)}")
    except BgpdriftError as error:
        return Finding("schema", "fail", str(error), "nothing was changed")


def _print(findings: "list[Finding]") -> None:
    from rich.table import Table
    from rich.text import Text

    from bgpdrift.formatting import escape_control
    from bgpdrift.terminal import make_console

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for finding in findings:
        result = Text(escape_control(finding.found))
        if finding.advice and finding.level != "ok":
            result.append(f"\n→ {finding.advice}", style="bold")
        table.add_row(Text(finding.level.upper(), style=styles[finding.level]), finding.check, result)
    make_console().print(table)
