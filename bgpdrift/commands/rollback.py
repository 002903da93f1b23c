"""`bgpdrift rollback`: make an earlier version of a model active again, through the publish protocol."""

import click

from bgpdrift.commands.model_argument import MODEL
from bgpdrift.terminal import echo


@click.command("rollback", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", type=MODEL)
@click.option("--to", help="Version to restore; by default the newest backup that was not rolled back itself.")
@click.option("--reason", default="by hand", show_default=True, help="Recorded with the replaced version.")
def command(model: str, to: str | None, reason: str) -> None:
    """Make an earlier version of MODEL active again."""
    from bgpdrift.commands.model_registry import open_registry
    from bgpdrift.models.paths import check_names
    from bgpdrift.settings import load_existing

    check_names(model, to or "1")
    with open_registry(load_existing()) as registry:
        publication = registry.roll_back(model, reason, to)
    parent = publication.parent_version
    echo(
        f"{model}: version {publication.version} is active again"
        + (f"; version {parent} is kept in rejected/." if parent else ".")
    )
