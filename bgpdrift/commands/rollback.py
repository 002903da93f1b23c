"""`bgpdrift rollback`: an earlier version of a model comes back in force, under the same protocol as a new one."""

import click


@click.command("rollback", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model")
@click.option("--to", help="Version to go back to; without it, the newest backup that was not rolled back itself.")
@click.option("--reason", default="by hand", show_default=True, help="Recorded with the version that goes.")
def command(model: str, to: str | None, reason: str) -> None:
    """Put an earlier version of MODEL (heuristic, isolation_forest, lstm) back in force."""
    from bgpdrift.commands.model_moves import open_moves
    from bgpdrift.models.places import checked
    from bgpdrift.settings import load

    checked(model, to or "1")
    with open_moves(load()) as moves:
        done = moves.roll_back(model, reason, to)
    click.echo(f"{model}: version {done.version} is in force again, {done.parent_version or 'none'} is set aside")
