"""`bgpdrift store reset-time`: the way out when the event time of the data is in the future."""

import click

from bgpdrift.terminal import echo


@click.group("store")
def command() -> None:
    """Repair the store."""


@command.command("reset-time")
@click.option("--to", metavar="TIME", help="Event time, UTC date or epoch seconds. Default: the present minute.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(to: str | None, yes: bool) -> None:
    """Remove windows, scores, verdicts, incidents and drift checks after TIME, and count windows again from there.

    For a system whose event time is in the future, because clocks were wrong or a later recording was replayed. The services
    must be stopped. Earlier data, the routing state, models and labels are kept. Exit code 1 means that nothing was changed.
    """
    from bgpdrift.clock import SystemClock
    from bgpdrift.formatting import format_time
    from bgpdrift.lab.simulation.scenario_text import parse_time
    from bgpdrift.services.reset_time import describe_plan, hold_stopped, plan_reset, reset_time
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store

    settings = load_existing()
    time = -(-int(SystemClock().now() if to is None else parse_time(to)) // 60) * 60
    with (
        hold_stopped(settings),
        open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store,
    ):
        plan = plan_reset(settings, store, time)
        newest = "no time" if plan.newest is None else format_time(plan.newest)
        echo(describe_plan(plan, format_time(time), newest))
        if plan.changes_nothing:
            echo("Nothing is later: nothing was changed.")
            return
        if not yes:
            click.confirm("Remove this? It cannot be undone", abort=True)
        removed = reset_time(settings, store, time)
    echo(f"Removed {sum(removed.values()):,} rows. Start the services: python run_all_services.py start")
