"""`bgpdrift approve` and `bgpdrift reject`: each approval request takes one answer, and the list shows what is pending."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bgpdrift.cli import cli
from bgpdrift.errors import InputError
from bgpdrift.settings import load
from bgpdrift.store import Store, migrate, open_store
from bgpdrift.store.request_records import ApprovalRequest, HoldApproval, RetrainApproval


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path))
    url = load().store_url
    migrate(url)
    return open_store(url)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def request_approval(store: Store, kind: str = "retrain", subject: str = "lstm") -> int:
    details = RetrainApproval() if kind == "retrain" else HoldApproval()
    return store.request_approval(
        ApprovalRequest(kind=kind, subject=subject, requested_at=1_767_225_600, details=details)
    )


@pytest.mark.parametrize(
    ("command", "kind", "state", "meaning"),
    [
        ("approve", "retrain", "approved", "the model will be trained"),
        ("reject", "retrain", "rejected", "the model stays as it is"),
        ("approve", "attack_or_new_normal", "approved", "it is the new normal, and the models will be trained on it"),
        ("reject", "attack_or_new_normal", "rejected", "it is an attack, and no model will be trained on it"),
    ],
)
def test_an_answer_is_written_and_its_meaning_is_printed(store, command, kind, state, meaning):
    approval_id = request_approval(store, kind)
    done = run(command, str(approval_id), "--by", "ann")
    assert (done.exit_code, done.output) == (0, f"approval request {approval_id} {state}: {meaning}\n")
    approval = store.approval_request(approval_id)
    assert (approval.state, approval.answered_by) == (state, "ann")


def test_a_second_answer_and_an_unknown_number_are_refused(store):
    approval_id = request_approval(store)
    run("approve", str(approval_id), "--by", "ann")
    second, unknown = run("reject", str(approval_id)), run("approve", "99")
    assert isinstance(second.exception, InputError)
    assert str(second.exception) == f"approval request {approval_id} is not pending: approved by ann"
    assert str(unknown.exception) == "approval request 99 does not exist; `bgpdrift approve --list` lists them"
    assert store.approval_request(approval_id).state == "approved"


def test_the_list_shows_pending_approval_requests_and_all_of_them_on_request(store):
    assert run("approve", "--list").output == "no approval request is pending\n"
    first, second = request_approval(store), request_approval(store, "attack_or_new_normal", "7")
    run("approve", str(first), "--by", "ann")
    pending = f"    {second}  2026-01-01 00:00 UTC  pending  incident 7: attack or new normal?\n"
    assert run("approve", "--list").output == pending
    answered = f"    {first}  2026-01-01 00:00 UTC  approved by ann  retrain lstm?\n"
    assert answered in run("approve", "--list", "--all").output
    assert f'"id":{second}' in run("approve", "--list", "--json").output


def test_either_a_number_or_the_list_is_required(store):
    assert run("approve").exit_code == 2
    assert run("approve", "1", "--list").exit_code == 2
