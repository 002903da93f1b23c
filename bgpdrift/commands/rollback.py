"""`bgpdrift rollback`: an earlier version of a model comes back in force, under the same protocol as a new one."""

import click

from bgpdrift.commands.model_argument import MODEL


@click.command("rollback", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=MODEL)
@click.option("--to", help="Version to go back to; without it, the newest backup that was not rolled back itself.")
@click.option("--reason", default="by hand", show_default=True, help="Recorded with the version that goes.")
def command(model: str, to: str | None, reason: str) -> None:
    """Make an earlier version of MODEL the active one again."""
    from bgpdrift.commands.model_registry import open_registry
    from bgpdrift.models.paths import check_names
    from bgpdrift.settings import load

    check_names(model, to or "1")
    with open_registry(load()) as registry:
        done = registry.roll_back(model, reason, to)
    click.echo(f"{model}: version {done.version} is in force again, {done.parent_version or 'none'} is set aside")
