"""What a manager outside hears of the whole, in the words of sd_notify(3)."""

import socket

import pytest

from bgpdrift.process.sd_notify import Notifier
from supervisor.upstream import Outward


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield listener


@pytest.fixture
def outward(manager):
    found = Outward(Notifier({"NOTIFY_SOCKET": manager.getsockname()}))
    yield found
    found.notifier.close()


def heard(manager) -> list[str]:
    words = []
    while True:
        try:
            words += manager.recv(4096).decode().splitlines()
        except BlockingIOError:
            return words


def test_ready_is_said_once_when_all_are_and_status_as_it_changes(manager, outward):
    assert not outward.tell(1, 2, settled=True)
    assert outward.tell(2, 2, settled=True)
    assert not outward.tell(1, 2, settled=True)
    assert not outward.tell(2, 2, settled=True)

    words = heard(manager)
    assert words.count("READY=1") == 1
    assert [word for word in words if word == "STATUS=1 of 2 services ready"] == ["STATUS=1 of 2 services ready"] * 2


def test_a_reload_ends_with_ready_when_the_last_service_has_its_settings(manager, outward):
    outward.tell(2, 2, settled=True)
    heard(manager)

    outward.reloading(12.5)
    outward.tell(1, 2, settled=False)
    before = heard(manager)
    outward.tell(2, 2, settled=True)

    assert {"RELOADING=1", "MONOTONIC_USEC=12500000"} <= set(before)
    assert "READY=1" not in before
    assert "READY=1" in heard(manager)


def test_a_reload_before_all_were_ready_says_nothing_yet(manager, outward):
    outward.reloading(12.5)
    assert heard(manager) == []


def test_nothing_is_ready_any_more_once_it_stops(manager, outward):
    outward.stopping()
    outward.tell(2, 2, settled=True)

    words = heard(manager)
    assert "STOPPING=1" in words
    assert "READY=1" not in words
