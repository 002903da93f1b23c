"""The status table on a terminal: one line per service, whole names, whatever the width."""

import io

import pytest
from rich.console import Console

from bgpdrift.attention import Action, Attention
from supervisor.status import ServiceStatus, Status, SupervisorStatus
from supervisor.status_table import fit_screen, print_table

NOTHING = Attention("Nothing needs you", 0)
LONG = "connected to wss://ris-live.ripe.net/v1/ws/, 2,140 frames/s, lag 1.2 s, rrc00, rrc01, rrc03, rrc04 and others"
STATUS = Status(
    SupervisorStatus(11, "degraded", 80.0),
    (
        ServiceStatus("isolation_forest_detector", "crashloop", None, 12, 0.0, 0, "crashloop (6 in 14 s): exit 1"),
        ServiceStatus("ris_live_collector", "ready", 32_768, 0, 264_000.0, 431_457_280, LONG, 12.5),
    ),
)


def draw(width):
    stream = io.StringIO()
    print_table(STATUS, NOTHING, Console(file=stream, width=width))
    return stream.getvalue().splitlines()


@pytest.mark.parametrize("width", [80, 100, 109, 110, 160])
def test_each_service_is_one_line_with_its_whole_name_and_state(width):
    lines = draw(width)

    rows = [line for line in lines if "_" in line]
    assert [row.split()[:2] for row in rows] == [
        ["isolation_forest_detector", "crashloop"],
        ["ris_live_collector", "ready"],
    ]
    assert max(map(len, lines)) <= width


def test_a_wide_terminal_shows_every_figure_and_a_narrow_one_the_message():
    assert {"pid", "restarts", "cpu"} <= set(" ".join(draw(110)).split())
    assert "pid" not in next(line for line in draw(80) if "state" in line)
    assert "connected to" in " ".join(draw(80))


def test_the_eight_services_fit_a_screen_of_24_lines():
    services = tuple(ServiceStatus(f"service_{n}", "ready", n, 0, 1.0, 1, LONG) for n in range(10))
    stream = io.StringIO()
    print_table(Status(SupervisorStatus(11, "ready", 80.0), services), NOTHING, Console(file=stream, width=80))

    assert len(stream.getvalue().splitlines()) <= 24


@pytest.mark.parametrize("count", [0, 3, 40])
def test_a_watched_status_fits_80_by_24_and_hides_no_service(count):
    services = tuple(ServiceStatus(f"service_{n}", "ready", n, 0, 1.0, 1, LONG) for n in range(8))
    actions = tuple(Action("incident", str(n), 10, f"Incident {n} is open: {LONG}") for n in range(count))
    attention = Attention(f"{count} things need you", 10, actions)
    console = Console(file=io.StringIO(), width=80, height=24)

    console.print(fit_screen(Status(SupervisorStatus(11, "ready", 80.0), services), attention, console))

    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 23
    assert {f"service_{n}" for n in range(8)} <= set(" ".join(lines).split())
    assert lines[0] == f"{count} things need you."
    if count > 20:
        assert any("more: check_drift_status lists them" in line for line in lines)
