"""What `bgpdrift approve` and `bgpdrift reject` share: the answer written once, and the list of questions."""

import click

from bgpdrift.monitor.approvals import Answer


def answer(number: int, said: Answer, by: str | None) -> None:
    """Write an answer, or say why it cannot be given."""
    from bgpdrift.commands.label import _user
    from bgpdrift.errors import InputError
    from bgpdrift.monitor.approvals import checked_answer
    from bgpdrift.settings import load
    from bgpdrift.store import open_store

    settings = load()
    name = _user() if by is None else by
    if len(name) > 64:
        raise InputError(f"--by: at most 64 characters expected, {len(name)} found")
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        meaning = checked_answer(store.approval(number), number, said)
        if not store.answer_approval(number, said, name, (store.newest_window_start() or 0) + 60):
            checked_answer(store.approval(number), number, said)  # somebody was quicker: says who
    click.echo(f"question {number} {said}: {meaning}")


def show(every: bool, as_json: bool) -> None:
    """Print the questions that wait, or all of them."""
    import msgspec

    from bgpdrift.formatting import format_time
    from bgpdrift.monitor.approvals import PENDING, question
    from bgpdrift.settings import load
    from bgpdrift.store import open_store

    settings = load()
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        rows = store.approvals(None if every else PENDING)
    for row in rows:
        if as_json:
            click.echo(msgspec.json.encode(row).decode())
        else:
            by = f" by {row['answered_by']}" if row["answered_by"] else ""
            click.echo(f"{row['id']:>5}  {format_time(row['asked_at'])} UTC  {row['state']}{by}  {question(row)}")
    if not rows and not as_json:
        click.echo("nothing was asked" if every else "nothing waits for an answer")
