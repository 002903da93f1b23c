"""The `bgpdrift` command: names its sub-commands and loads only the one that runs.

A sub-command ``foo-bar`` is the Click command ``command`` in ``bgpdrift/commands/foo_bar.py``. Every `BgpdriftError` ends
here, in one line without a traceback.
"""

import importlib
import sys

import click

from bgpdrift import __version__
from bgpdrift.errors import BgpdriftError, InputError, SettingsError

COMMANDS = {
    "approve": "say yes to a question: retrain this model, or learn this new normal; --list lists them",
    "check": "whether the detectors still fit, from the store; --once does what the drift monitor would",
    "check-file": "drift of anybody's scores, from CSV files; no store, no model, no service",
    "config": "show, check or write the settings",
    "decode": "print every BGP message of files, one JSON object a line",
    "demo": "run everything on a simulated Internet and judge what was found",
    "doctor": "check settings, store, directories, disk, feed and clock; say how to mend what is wrong",
    "evaluate": "judge the detectors on labelled minutes they were not trained on",
    "features": "print the feature windows of files, one JSON object a line",
    "incidents": "list incidents, or explain one",
    "label": "say of an incident what it was, or of a range that it was missed; figures that follow",
    "models": "which model versions there are, which one is in force, and how good they are",
    "promote": "publish the best candidate that drifts little enough",
    "reject": "say no to a question: do not retrain, or this incident is an attack",
    "replay": "serve files as a RIS Live server",
    "report": "a page on one model's drift, with plots, for a browser or for paper",
    "rollback": "put an earlier version of a model back in force",
    "simulate": "a simulated Internet with incidents and drift, as a RIS Live server or to a file",
}
"""Name and one line of help; here, so that `--help` loads no command."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - Click's signature
        """Names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the module of a command."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"bgpdrift.commands.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """List the commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgpdrift")
def cli() -> None:
    """Watch the Internet's routing (BGP) for anomalies, with detectors that keep themselves fit."""


def main() -> None:
    """Run the command line; bad input and bad settings exit 2, other errors 1."""
    try:
        cli()
    except (InputError, SettingsError) as error:
        click.echo(f"bgpdrift: {error}", err=True)
        sys.exit(2)
    except BgpdriftError as error:
        click.echo(f"bgpdrift: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        sys.stderr.close()  # the reader (head, less) has enough
        sys.exit(0)


if __name__ == "__main__":
    main()
