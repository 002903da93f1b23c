"""`bgpdrift approve`: yes to a question about a model; also the list of questions."""

import click


@click.command("approve", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--by", metavar="NAME", help="Who says so; by default the user of this process.")
@click.option("--list", "listed", is_flag=True, help="Questions that wait for an answer.")
@click.option("--all", "every", is_flag=True, help="With --list: those that were answered, too.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one JSON object a line.")
def command(number: int | None, by: str | None, listed: bool, every: bool, as_json: bool) -> None:
    """Say yes to question ID: retrain the model; or: the incident is the new normal."""
    from bgpdrift.commands.answers import answer, show

    if listed == (number is not None):
        raise click.UsageError("either ID or --list expected")
    if number is None:
        show(every, as_json)
    else:
        answer(number, "approved", by)
