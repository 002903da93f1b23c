"""What the supervisor reports to its own manager, in the fields of sd_notify(3)."""

import socket

import pytest

from bgpdrift.process.sd_notify import Notifier
from supervisor.upstream import UpstreamNotifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listener:
        listener.bind(str(tmp_path / "notify"))
        yield listener


@pytest.fixture
def upstream(manager):
    notifier = UpstreamNotifier(Notifier({"NOTIFY_SOCKET": manager.getsockname()}))
    yield notifier
    notifier.close()


def read_fields(manager) -> list[str]:
    fields = []
    while True:
        try:
            fields += manager.recv(4096).decode().splitlines()
        except BlockingIOError:
            return fields


def test_ready_is_sent_once_when_all_services_are_up_and_status_when_it_changes(manager, upstream):
    assert not upstream.report_services(1, 2, restart_over=True)
    assert upstream.report_services(2, 2, restart_over=True)
    assert not upstream.report_services(1, 2, restart_over=True)
    assert not upstream.report_services(2, 2, restart_over=True)

    fields = read_fields(manager)
    assert fields.count("READY=1") == 1
    assert fields.count("STATUS=1 of 2 services ready") == 2


def test_a_reload_ends_with_ready_when_the_last_service_has_its_settings(manager, upstream):
    upstream.report_services(2, 2, restart_over=True)
    read_fields(manager)

    upstream.report_reloading(12.5)
    upstream.report_services(1, 2, restart_over=False)
    before = read_fields(manager)
    upstream.report_services(2, 2, restart_over=True)

    assert {"RELOADING=1", "MONOTONIC_USEC=12500000"} <= set(before)
    assert "READY=1" not in before
    assert "READY=1" in read_fields(manager)


def test_a_reload_before_all_services_were_ready_is_not_reported(manager, upstream):
    upstream.report_reloading(12.5)
    assert read_fields(manager) == []


def test_after_stopping_no_ready_is_sent(manager, upstream):
    upstream.report_stopping()
    upstream.report_services(2, 2, restart_over=True)

    fields = read_fields(manager)
    assert "STOPPING=1" in fields
    assert "READY=1" not in fields
