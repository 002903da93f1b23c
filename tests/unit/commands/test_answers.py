"""`bgpdrift approve` and `bgpdrift reject`: a question is answered once, by somebody, and the list tells what waits."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bgpdrift.cli import cli
from bgpdrift.errors import InputError
from bgpdrift.settings import load
from bgpdrift.store import Store, migrate, open_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("BGPDRIFT_DATA_DIR", str(tmp_path))
    url = load().store_url
    migrate(url)
    return open_store(url)


def run(*words: str) -> Result:
    return CliRunner().invoke(cli, list(words))


def ask(store: Store, kind: str = "retrain", subject: str = "lstm") -> int:
    row = {"kind": kind, "subject": subject, "asked_at": 1_767_225_600, "state": "pending"}
    return store.ask_approval({**row, "details": {"question": f"{kind} {subject}?"}})


@pytest.mark.parametrize(
    ("command", "kind", "state", "said"),
    [
        ("approve", "retrain", "approved", "the model will be retrained"),
        ("reject", "retrain", "rejected", "the model stays as it is"),
        ("approve", "attack_or_new_normal", "approved", "it is the new normal, and will be learned"),
        ("reject", "attack_or_new_normal", "rejected", "it is an attack, and will not be learned"),
    ],
)
def test_an_answer_is_written_and_says_what_it_means(store, command, kind, state, said):
    number = ask(store, kind)
    done = run(command, str(number), "--by", "ann")
    assert (done.exit_code, done.output) == (0, f"question {number} {state}: {said}\n")
    row = store.approval(number)
    assert (row["state"], row["answered_by"]) == (state, "ann")


def test_a_second_answer_and_one_to_nothing_are_refused(store):
    number = ask(store)
    run("approve", str(number), "--by", "ann")
    second, nothing = run("reject", str(number)), run("approve", "99")
    assert isinstance(second.exception, InputError)
    assert str(second.exception) == f"question {number} waits no more: approved by ann"
    assert str(nothing.exception) == "no question 99; `bgpdrift approve --list` lists them"
    assert store.approval(number)["state"] == "approved"


def test_the_list_shows_what_waits_and_all_of_it_when_asked(store):
    assert run("approve", "--list").output == "nothing waits for an answer\n"
    first, second = ask(store), ask(store, "attack_or_new_normal", "7")
    run("approve", str(first), "--by", "ann")
    assert run("approve", "--list").output == f"    {second}  2026-01-01 00:00 UTC  pending  attack_or_new_normal 7?\n"
    assert (
        f"    {first}  2026-01-01 00:00 UTC  approved by ann  retrain lstm?\n"
        in run("approve", "--list", "--all").output
    )
    assert f'"id":{second}' in run("approve", "--list", "--json").output


def test_either_a_number_or_the_list_is_asked_for(store):
    assert run("approve").exit_code == 2
    assert run("approve", "1", "--list").exit_code == 2
