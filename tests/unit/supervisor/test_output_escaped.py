"""Text from services controls neither the terminal nor the markup of the table."""

import io

import pytest
from rich.console import Console

from bgpdrift.attention import Action, Attention
from supervisor.log_form import format_log_line
from supervisor.status import ServiceStatus, Status, SupervisorStatus, format_table
from supervisor.status_table import print_table

HOSTILE = "rrc00[/x] \x1b[2J\u202e"


@pytest.fixture
def status():
    service = ServiceStatus("web", "ready", 7, 0, 1.0, 0, HOSTILE, last_failure=HOSTILE)
    return Status(SupervisorStatus(1, "degraded", 1.0, (f"web: {HOSTILE}",)), (service,))


def test_the_plain_table_escapes_messages_failures_and_remarks(status):
    text = "\n".join(format_table(status))
    assert text.count("rrc00[/x] \\x1b[2J\\u202e") == 3
    assert "\x1b" not in text


def test_the_table_of_a_terminal_escapes_them_and_reads_no_markup(status):
    stream = io.StringIO()
    attention = Attention("1 thing needs you", 1, (Action("service", "", 1, HOSTILE),))
    print_table(status, attention, Console(file=stream, width=200))
    assert stream.getvalue().count("rrc00[/x] \\x1b[2J\\u202e") == 3
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "plain \x1b[2J",
        '{"event": "a.b", "error": "\\u001b[2J"}',
        '{"event": "a.b", "exception": "Traceback\\n  \\u001b[2J"}',
        '{"\x1b[2J": ',
        "[" * 3000 + "\x1b",
        '{"a":' * 3000 + "\x1b",
    ],
)
def test_a_log_line_for_people_is_escaped(line):
    assert "\x1b" not in format_log_line(line)
    assert "\\x1b" in format_log_line(line)
