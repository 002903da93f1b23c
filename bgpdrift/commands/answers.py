"""Answers to approval requests, for `bgpdrift approve` and `bgpdrift reject`."""

from bgpdrift.monitor.approvals import Answer
from bgpdrift.terminal import echo, echo_json


def write_answer(approval_id: int, given: Answer, by: str | None) -> None:
    """Write an answer, or raise an error that states why it is not possible."""
    from bgpdrift.commands.label import read_user_name
    from bgpdrift.errors import InputError
    from bgpdrift.monitor.approvals import describe_answer
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store

    settings = load_existing()
    name = read_user_name() if by is None else by
    if len(name) > 64:
        raise InputError(f"--by: expected at most 64 characters, found {len(name)}")
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        meaning = describe_answer(store.approval_request(approval_id), approval_id, given)
        if not store.answer_approval(approval_id, given, name, (store.newest_window_start() or 0) + 60):
            # Another person answered in between: this raises the error that names them.
            describe_answer(store.approval_request(approval_id), approval_id, given)
    echo(f"approval request {approval_id} {given}: {meaning}")


def list_requests(every: bool, as_json: bool) -> None:
    """Print the pending approval requests, or all of them."""
    import msgspec

    from bgpdrift.formatting import format_time
    from bgpdrift.monitor.approvals import PENDING
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store

    settings = load_existing()
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        approvals = store.approval_requests(None if every else PENDING)
    for approval in approvals:
        if as_json:
            echo_json(msgspec.json.encode(approval))
        else:
            by = f" by {approval.answered_by}" if approval.answered_by else ""
            at = format_time(approval.requested_at)
            echo(f"{approval.id:>5}  {at} UTC  {approval.state}{by}  {approval.summary}")
    if not approvals and not as_json:
        echo("there are no approval requests" if every else "no approval request is pending")
