"""The commands of ``run_all_services.py``: parse, ask the supervisor or become it, print, return an exit code.

Imports stay light so that ``status`` is fast; what only a running supervisor needs is imported when one starts. Exit codes:
docs/operator-guide.md.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bgpdrift import settings as bgpdrift_settings
from bgpdrift.attention import Attention
from bgpdrift.detector_registry import find
from bgpdrift.errors import AlreadyRunningError, BgpdriftError, InputError, NothingHereError, SettingsError
from bgpdrift.formatting import escape_control, escape_json
from bgpdrift.settings import FILE_NAME, Settings
from supervisor.services import BGPDRIFT, System
from supervisor.status import (
    EXIT_ALREADY_RUNNING,
    EXIT_NOT_READY,
    EXIT_NOT_RUNNING,
    EXIT_OK,
    EXIT_USAGE,
    Status,
    attend_to_services,
    build_stopped_status,
    format_table,
)

if TYPE_CHECKING:
    from supervisor.client import ControlClient

SUPERVISOR = "supervisor"
PROGRAM = "run_all_services.py"
Attend = Callable[[Settings, Status], Attention]


def main(argv: Sequence[str], system: System = BGPDRIFT, attend: Attend | None = None, program: str = PROGRAM) -> int:
    """Run one command; returns the exit code.

    Parameters
    ----------
    argv : sequence of str
        The arguments.
    system : System
        The services.
    attend : callable, optional
        Decides what needs a person, by the settings and the status of the services; ``status`` shows it and exits with its
        code. By default only the services count.
    program : str
        Name of the program in messages.
    """
    options = _parser(system, program).parse_args(argv)
    options.program = program
    if attend is None or getattr(options, "services", False):
        attend = _attend_to_services
    options.attend = attend
    if options.config:
        os.environ["BGPDRIFT_CONFIG"] = str(Path(options.config).absolute())
    elif not os.environ.get("BGPDRIFT_CONFIG") and Path(FILE_NAME).is_file():
        os.environ["BGPDRIFT_CONFIG"] = str(Path(FILE_NAME).absolute())
    from supervisor.client import NotRunningError

    try:
        result: int = options.run(options, bgpdrift_settings.load(), system)
        return result
    except SettingsError as error:
        return _print_error(program, error, EXIT_USAGE)
    except (NotRunningError, NothingHereError) as error:
        return _print_error(program, error, EXIT_NOT_RUNNING)
    except AlreadyRunningError as error:
        return _print_error(program, error, EXIT_ALREADY_RUNNING)
    except BgpdriftError as error:
        return _print_error(program, error, EXIT_NOT_READY)


def _parser(system: System, program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=program, description="Start, stop and show the services of bgpdrift.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--config", metavar="FILE", help=f"settings file; default $BGPDRIFT_CONFIG, then {FILE_NAME}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(run=run)
        return command

    def named(command: argparse.ArgumentParser, *more: str) -> None:
        command.add_argument(
            "name",
            nargs="?",
            metavar="NAME",
            type=partial(_find_service, (*system.names, *more)),
            help=f"{', '.join(system.names)}; a detector also by the name of its model",
        )

    start = add("start", _start, "start all services; returns when all are ready")
    start.add_argument(
        "--foreground",
        action="store_true",
        help="stay in the foreground and log to standard output (systemd, containers)",
    )
    named(start)
    stop = add("stop", _stop, "stop all services and the supervisor, or one service until it is started again")
    stop.add_argument("--now", action="store_true", help="kill the services instead of waiting for them")
    named(stop)
    restart = add("restart", _restart, "start new processes for all services, one after the other, or for one service")
    named(restart)
    add(
        "reload", _reload, "apply changed settings and restart the services that use them; invalid settings are refused"
    )
    status = add("status", _status, "show the state of the supervisor and all services")
    status.add_argument(
        "--services",
        action="store_true",
        help="judge the services alone, not data, models and incidents; for health checks of containers",
    )
    status.add_argument("--json", action="store_true", help="print one JSON object, or one a line with --watch")
    status.add_argument(
        "--watch", nargs="?", type=float, const=2.0, metavar="SECONDS", help="repeat every SECONDS (2) until Ctrl-C"
    )
    logs = add("logs", _logs, "show the last log lines of all services, or of one")
    logs.add_argument("-f", "--follow", action="store_true", help="show new lines as they arrive")
    logs.add_argument("-n", "--lines", type=int, default=20, metavar="N", help="number of lines; default 20")
    form = logs.add_mutually_exclusive_group()
    form.add_argument("--console", action="store_true", help="format lines for people; the default on a terminal")
    form.add_argument("--raw", action="store_true", help="show lines as they are in the files; the default elsewhere")
    named(logs, SUPERVISOR)
    return parser


def _find_service(names: Sequence[str], text: str) -> str:
    """Find a service by its name, or a detector's by the name of its model."""
    if text in names:
        return text
    with contextlib.suppress(InputError):
        if (service := find(text).service) in names:
            return service
    raise argparse.ArgumentTypeError(f"no service is named {text!r}; the services are {', '.join(names)}")


def _start(options: argparse.Namespace, settings: Settings, system: System) -> int:
    if options.name:
        return _ask_and_wait(settings, system, "start", name=options.name)
    from supervisor.starting import start_background, start_foreground

    if options.foreground:
        return start_foreground(settings, system)
    return _print_result(start_background(settings, system), settings)


def _stop(options: argparse.Namespace, settings: Settings, system: System) -> int:  # noqa: ARG001 - all commands have one signature
    from supervisor.client import connect_also_while_starting

    limit_s = 3 * settings.supervisor.stop_grace_s + 30.0
    client = connect_also_while_starting(settings.data_path / "run", limit_s)
    if client is None:
        print("stopped: the supervisor ended before its services started")
        return EXIT_OK
    with client:
        if options.name:
            client.ask("stop", name=options.name)
            wait_s = settings.supervisor.stop_grace_s + 5.0
            client.ask("wait", wait_s=wait_s, timeout_s=wait_s, name=options.name)
            print(f"stopped: {options.name}; `start {options.name}` starts it again")
            return EXIT_OK
        client.ask("stop", now=options.now)
        if not client.wait_for_end(limit_s):
            raise BgpdriftError(f"the supervisor (pid {client.pid}) has not ended after {limit_s:.0f} s")
    print(f"stopped: supervisor pid {client.pid} and all services")
    return EXIT_OK


def _restart(options: argparse.Namespace, settings: Settings, system: System) -> int:
    return _ask_and_wait(settings, system, "restart", name=options.name)


def _reload(options: argparse.Namespace, settings: Settings, system: System) -> int:  # noqa: ARG001
    from supervisor.client import ControlClient

    with ControlClient(settings.data_path / "run") as client:
        reply = client.ask("reload")
        changed, restarting = reply["changed"], reply["restarting"]
        print(f"changed: {', '.join(changed) or 'nothing'}; restarting: {', '.join(restarting) or 'nothing'}")
        return _wait(client, settings, system, None) if restarting else EXIT_OK


def _ask_and_wait(settings: Settings, system: System, command: str, name: str | None) -> int:
    from supervisor.client import ControlClient

    with ControlClient(settings.data_path / "run") as client:
        client.ask(command, name=name)
        return _wait(client, settings, system, name)


def _wait(client: "ControlClient", settings: Settings, system: System, name: str | None) -> int:
    """Wait for the end of a restart and report it; in a rolling restart each service has its own time limit."""
    from supervisor.starting import start_timeout_s

    wait_s = start_timeout_s(settings) if name else min(600.0, start_timeout_s(settings) * len(system.services))
    return _print_result(client.ask("wait", wait_s=wait_s, timeout_s=wait_s, name=name), settings)


def _status(options: argparse.Namespace, settings: Settings, system: System) -> int:
    from supervisor.client import NotRunningError

    if options.watch:
        return _watch(options, settings, system)
    try:
        status = _ask_status(settings)
    except NotRunningError as error:
        if not options.json:
            _print_error(options.program, error, EXIT_NOT_RUNNING)
        status = build_stopped_status(system.names)
    attention = options.attend(settings, status)
    if options.json:
        print(_encode_status(status, attention))
    elif sys.stdout.isatty():
        from supervisor.status_table import print_table

        print_table(status, attention)
    else:
        print("\n".join(format_table(status, attention)))
    return int(attention.exit_code)


def _attend_to_services(settings: Settings, status: Status) -> Attention:  # noqa: ARG001 - an `Attend`
    return attend_to_services(status)


def _encode_status(status: Status, attention: Attention) -> str:
    return escape_json(msgspec.json.encode(msgspec.to_builtins(status) | msgspec.to_builtins(attention)).decode())


def _ask_status(settings: Settings) -> Status:
    from supervisor.client import ControlClient

    with ControlClient(settings.data_path / "run") as client:
        return msgspec.convert(client.ask("status")["status"], Status)


def _watch(options: argparse.Namespace, settings: Settings, system: System) -> int:
    """Show the status repeatedly, also while no supervisor runs; ends with Ctrl-C."""
    from supervisor.client import NoAnswerError, NotRunningError

    def statuses() -> Iterator[tuple[Status, Attention]]:
        while True:
            try:
                status = _ask_status(settings)
            except (NotRunningError, NoAnswerError):
                status = build_stopped_status(system.names)
            yield status, options.attend(settings, status)

    def wait() -> None:
        time.sleep(max(0.1, options.watch))

    try:
        if sys.stdout.isatty() and not options.json:
            from supervisor.status_table import watch_table

            watch_table(statuses(), wait)
        for status, attention in statuses():
            as_json = options.json
            text = _encode_status(status, attention) if as_json else "\n".join(format_table(status, attention)) + "\n"
            print(text, flush=True)
            wait()
    except KeyboardInterrupt:
        pass
    return EXIT_OK


def _logs(options: argparse.Namespace, settings: Settings, system: System) -> int:
    from supervisor.log_reading import follow_logs, merge_logs, read_last_lines

    names = (options.name,) if options.name else (*system.names, SUPERVISOR)
    paths = [(name, settings.logs_path / f"{name}.log") for name in names]
    bgpdrift_settings.load_existing()
    if not options.follow and not any(path.exists() for _, path in paths):
        raise BgpdriftError(f"no log files of {', '.join(names)} in {settings.logs_path}: they have not run yet")
    width = max(len(name) for name in names)

    colour = sys.stdout.isatty()
    for_people = options.console or (colour and not options.raw)

    def show(name: str, line: str) -> None:
        if for_people:
            from supervisor.log_form import format_log_line

            line = format_log_line(line, colour)
        else:
            line = escape_json(line)
        print(line if options.name else f"{name:<{width}} | {line}", flush=options.follow)

    if options.follow:
        lines = follow_logs(paths)  # opened first, so that lines that arrive during the output below are not missed
    for name, line in merge_logs([(name, read_last_lines(path, options.lines)) for name, path in paths], options.lines):
        show(name, line)
    if options.follow:
        for name, line in lines:
            show(name, line)
    return EXIT_OK


def _print_result(reply: dict[str, Any], settings: Settings) -> int:
    """Print the result of a start or restart: one line, and for each service that is not ready the reason."""
    status = msgspec.convert(reply["status"], Status)
    ready = sum(service.state == "ready" for service in status.services)
    print(
        f"{ready} of {len(status.services)} services ready; supervisor pid {status.supervisor.pid}, "
        f"up {status.supervisor.uptime_s:.1f} s; logs in {settings.logs_path}"
    )
    failed = {problem["name"] for problem in reply["problems"]}
    for remark in status.supervisor.remarks:
        if remark.partition(":")[0] not in failed:
            print(f"! {escape_control(remark)}")
    if reply["not_restarted"]:
        print(f"restart aborted: {', '.join(reply['not_restarted'])} kept their old processes", file=sys.stderr)
    for problem in reply["problems"]:
        state, message = problem["state"], problem["message"]
        reason = message if message.startswith(state) else f"{state}: {message}"
        print(f"\n{problem['name']} is not ready: {escape_control(reason)}", file=sys.stderr)
        for line in problem["log"]:
            print(f"    {escape_control(line)}", file=sys.stderr)
    return EXIT_OK if reply["ready"] else EXIT_NOT_READY


def _print_error(program: str, error: BgpdriftError, code: int) -> int:
    for line in str(error).split("\n"):
        print(escape_control(line if line.startswith(" ") else f"{program}: {line}"), file=sys.stderr)
    return code
