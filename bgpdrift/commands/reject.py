"""`bgpdrift reject`: reject an approval request about a model."""

import click


@click.command("reject", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("number", metavar="ID", type=int)
@click.option("--by", metavar="NAME", help="Who answers; by default the user of this process.")
def command(number: int, by: str | None) -> None:
    """Reject request ID (see `bgpdrift approve --list`): no retraining, or the incident is an attack."""
    from bgpdrift.commands.answers import write_answer

    write_answer(number, "rejected", by)
