"""`bgpdrift approve`: approve an approval request about a model, or list the requests."""

import click


@click.command("approve", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("number", metavar="[ID]", type=int, required=False)
@click.option("--by", metavar="NAME", help="Who answers; by default the user of this process.")
@click.option("--list", "listed", is_flag=True, help="List the pending approval requests.")
@click.option("--all", "every", is_flag=True, help="With --list: also the answered ones.")
@click.option("--json", "as_json", is_flag=True, help="With --list: one JSON object per line.")
def command(number: int | None, by: str | None, listed: bool, every: bool, as_json: bool) -> None:
    """Approve request ID: the model is retrained, or the incident is the new normal."""
    from bgpdrift.commands.answers import list_requests, write_answer

    if listed == (number is not None):
        raise click.UsageError("expected either ID or --list")
    if number is None:
        list_requests(every, as_json)
    else:
        write_answer(number, "approved", by)
