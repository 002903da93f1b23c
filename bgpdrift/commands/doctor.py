"""`bgpdrift doctor`: run every check, print what was found and how to mend it.

Decides the order of checks, that one which raises is a failure and not the end, and the exit status: 1 if any failed.
"""

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from bgpdrift.commands.doctor_checks import Finding
    from bgpdrift.settings import Settings

    Check = Callable[[Settings], Finding]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON object a check, for machines.")
@click.option("--migrate", is_flag=True, help="First bring the database's schema up to date, creating it if need be.")
def command(as_json: bool, migrate: bool) -> None:
    """Check settings, store, directories, disk, feed and clock; say how to mend what is wrong."""
    findings = examine(migrate)
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(findings)).decode())
    else:
        _print(findings)
    sys.exit(1 if any(finding.level == "fail" for finding in findings) else 0)


def examine(migrate: bool = False) -> "list[Finding]":
    """Run all checks; settings that cannot be read leave nothing else to check."""
    from bgpdrift import settings
    from bgpdrift.commands import doctor_checks as checks
    from bgpdrift.commands.doctor_feed import check_feed
    from bgpdrift.errors import BgpdriftError

    try:
        loaded, sources = settings.load_with_sources()
    except BgpdriftError as error:
        return [checks.Finding("settings", "fail", str(error), "correct it; `bgpdrift config check` reads it again")]
    findings = [checks.settings_finding(None, sources)]
    if migrate:
        findings += run_checks([_check_migration], loaded)
    all_checks: list[Check] = [
        checks.check_directories,
        checks.check_disk,
        checks.check_store,
        check_feed,
        checks.check_collector,
        checks.check_supervisor,
        checks.check_web_port,
        checks.check_clock,
        checks.check_versions,
    ]
    return findings + run_checks(all_checks, loaded)


def run_checks(checks: "Iterable[Check]", loaded: "Settings") -> "list[Finding]":
    """Run checks; one that raises is a failed check, and the rest goes on."""
    from bgpdrift.commands.doctor_checks import Finding

    findings = []
    for check in checks:
        name = check.__name__.removeprefix("check_").lstrip("_").replace("_", " ")
        try:
            findings.append(check(loaded))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            findings.append(Finding(name, "fail", text, "the check itself failed; report this line"))
    return findings


def _check_migration(loaded: "Settings") -> "Finding":
    from bgpdrift.commands.doctor_checks import Finding
    from bgpdrift.errors import BgpdriftError
    from bgpdrift.store import migrate

    try:
        return Finding("schema", "ok", f"the database is {migrate(loaded.store_url)}")
    except BgpdriftError as error:
        return Finding("schema", "fail", str(error), "see the message; nothing was changed")


def _print(findings: "list[Finding]") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
    for finding in findings:
        told = Text(finding.found)
        if finding.mend and finding.level != "ok":
            told.append(f"\n→ {finding.mend}", style="bold")
        table.add_row(Text(finding.level.upper(), style=styles[finding.level]), finding.check, told)
    Console().print(table)
