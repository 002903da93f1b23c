"""The `bgpdrift` command: one record for each sub-command, of which only the one that runs is imported.

Every `BgpdriftError` ends here, as one line without a traceback; any other exception in `bgpdrift.entry_point`.
"""

import importlib
import sys
from dataclasses import dataclass

import click

from bgpdrift import __version__
from bgpdrift.entry_point import print_line, run_program
from bgpdrift.errors import BgpdriftError, InputError, SettingsError


@dataclass(frozen=True, slots=True)
class Command:
    """One sub-command.

    Attributes
    ----------
    name : str
        Name on the command line.
    help : str
        One line in the list of commands.
    module : str
        Module whose attribute ``command`` is the Click command.
    """

    name: str
    help: str
    module: str


SUPERVISE = "bgpdrift.commands.supervise"
"""Module of the commands that ``run_all_services.py`` carries out."""

_RECORDS = (
    Command("approve", "approve a request: retrain a model, or learn a new normal level", "bgpdrift.commands.approve"),
    Command("check", "check the scores in the store for drift", "bgpdrift.commands.check"),
    Command("check-file", "check scores in CSV files for drift; needs no store", "bgpdrift.commands.check_file"),
    Command("config", "show, check or write the settings", "bgpdrift.commands.config"),
    Command("decode", "print every BGP message in files, one JSON object a line", "bgpdrift.commands.decode"),
    Command("demo", "run the whole system on a simulated Internet and evaluate it", "bgpdrift.commands.demo"),
    Command("doctor", "check settings, store, directories, disk, feed and clock", "bgpdrift.commands.doctor"),
    Command("evaluate", "evaluate the detectors on labelled minutes", "bgpdrift.commands.evaluate"),
    Command("features", "print the feature windows of files, one JSON object a line", "bgpdrift.commands.features"),
    Command("feed", "show the feed: rate, lag, clocks, silent collectors", "bgpdrift.commands.feed"),
    Command("incidents", "list incidents, or explain one", "bgpdrift.commands.incidents"),
    Command("label", "label incidents and missed times, and show the figures that follow", "bgpdrift.commands.label"),
    Command("logs", "show the last log lines of all services, or of one", SUPERVISE),
    Command("models", "list the versions of all models, their states and figures", "bgpdrift.commands.models"),
    Command("promote", "publish the best candidate whose drift is within the limit", "bgpdrift.commands.promote"),
    Command(
        "reject", "reject a request: do not retrain, or treat an incident as an attack", "bgpdrift.commands.reject"
    ),
    Command("reload", "apply changed settings; restart the services that use them", SUPERVISE),
    Command("replay", "serve files as a RIS Live server", "bgpdrift.commands.replay"),
    Command("report", "write a page on the drift of a model, with plots", "bgpdrift.commands.report"),
    Command("restart", "start new processes for all services, or for one", SUPERVISE),
    Command("rollback", "make an earlier version of a model the active one", "bgpdrift.commands.rollback"),
    Command("simulate", "simulate an Internet with incidents and drift", "bgpdrift.commands.simulate"),
    Command("store", "repair the store: reset an event time that is in the future", "bgpdrift.commands.store"),
    Command("start", "start all services, or one", SUPERVISE),
    Command("status", "show what needs you, and the state of all services", SUPERVISE),
    Command("stop", "stop all services, or one", SUPERVISE),
)
COMMANDS = {record.name: record for record in _RECORDS}
"""Every sub-command by name. The help texts are here, so that `--help` imports no command."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """List the names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name].module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted((record.name, record.help) for record in COMMANDS.values()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgpdrift")
def cli() -> None:
    """Watch the Internet's routing (BGP) for anomalies, with detectors that are retrained automatically when they drift."""


def main() -> None:
    """Run the command line. Exit code 2 means bad input or settings, 1 any other error."""
    sys.exit(run_program("bgpdrift", _run))


def _run() -> int:
    try:
        cli()
    except (InputError, SettingsError) as error:
        print_line("bgpdrift", str(error))
        return 2
    except BgpdriftError as error:
        print_line("bgpdrift", str(error))
        return 1
    return 0


if __name__ == "__main__":
    main()
