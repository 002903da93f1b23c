"""`bgpdrift label`: label incidents and missed anomalies, and print the figures of the detectors by the labels.

`bgpdrift.verdicts.outcomes` decides which labels there are and which are refused.
"""

from typing import TYPE_CHECKING, Any

import click

from bgpdrift.terminal import echo

if TYPE_CHECKING:
    from bgpdrift.store.outcomes import Outcome


@click.command("label", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("words", nargs=-1, metavar="[INCIDENT_ID LABEL | missed]")
@click.option("--from", "begin", metavar="TIME", help="With missed: first minute, UTC date or epoch seconds.")
@click.option("--to", "end", metavar="TIME", help="With missed: end, exclusive.")
@click.option("--collector", default="", metavar="NAME", help="With missed: collector; all by default.")
@click.option("--notes", default="", metavar="TEXT", help="Reason; stored with the label.")
@click.option("--by", metavar="NAME", help="Who labels; by default the user of this process.")
@click.option("--undo", type=int, metavar="ID", help="Remove the label with this id, as in --list.")
@click.option("--list", "show", flag_value="list", help="List the labels of the last --days.")
@click.option(
    "--performance", "show", flag_value="performance", help="Print the figures of the detectors by the labels."
)
@click.option("--days", default=30, show_default=True, type=click.IntRange(1), help="For --list and --performance.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
def command(
    words: tuple[str, ...],
    begin: str | None,
    end: str | None,
    collector: str,
    notes: str,
    by: str | None,
    undo: int | None,
    show: str | None,
    days: int,
    as_json: bool,
) -> None:
    """Label incident INCIDENT_ID true_positive, false_positive or new_normal; or a time range that was missed.

    A later label of the same incident replaces an earlier one. Labels exclude anomalies from training and give the
    accuracy, precision, recall and F1 of each detector, day by day.
    """
    from bgpdrift.commands import label_tables as tables
    from bgpdrift.errors import InputError
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store
    from bgpdrift.verdicts.outcomes import Attribution

    if bool(words) + (undo is not None) + (show is not None) != 1:
        raise InputError(
            "label: expected one of INCIDENT_ID LABEL, missed --from TIME --to TIME, --undo ID, --list, --performance"
        )
    settings = load_existing()
    attribution = Attribution(read_user_name() if by is None else by, notes)
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        newest = store.newest_window_start()
        since = (newest or 0) + 60 - days * 86_400
        if show == "list":
            tables.print_labels(store.outcomes_between(since, 2**62), as_json)
        elif show == "performance":
            tables.print_performance(store.performance_between(since, 2**62), days, settings.drift.min_labels, as_json)
        elif undo is not None:
            removed = store.remove_outcome(undo, newest or 0, attribution.by)
            if removed is None:
                raise InputError(f"label: there is no label {undo}; `bgpdrift label --list` lists them")
            tables.print_written(removed, as_json, removed=True)
        else:
            outcome, notes_to_user = _build_outcome(store, words, (begin, end, collector), attribution, newest)
            written = store.record_outcome(outcome, newest or 0)
            tables.print_written(written, as_json)
            for note in notes_to_user:
                echo(note, err=True)


def _build_outcome(
    store: Any, words: tuple[str, ...], span: tuple[str | None, str | None, str], attribution: Any, newest: int | None
) -> "tuple[Outcome, list[str]]":
    """Build the label that the arguments describe, and notes for the user."""
    from bgpdrift.errors import InputError
    from bgpdrift.lab.simulation.scenario_text import parse_time
    from bgpdrift.verdicts.outcomes import MISSED, find_overlapping_incidents, label_incident, label_missed_range

    begin, end, collector = span
    if words == (MISSED,):
        if begin is None or end is None:
            raise InputError("label missed: expected --from TIME and --to TIME")
        start, stop = parse_time(begin), parse_time(end)
        labels = store.outcomes_between(int(start), int(stop))
        outcome = label_missed_range(start, stop, collector, attribution, newest=newest, labels=labels)
        if collector and not store.recent_windows(collector, "", outcome.ends_at, 1):
            raise InputError(f"label missed: collector {collector!r} has no windows before --to")
        seen = store.incidents_between(outcome.starts_at, outcome.ends_at)
        return outcome, [
            f"note: incident {number} is in this range and was not missed; label it by its id"
            for number in find_overlapping_incidents(seen, outcome.starts_at, outcome.ends_at, collector)
        ]
    if len(words) != 2 or not words[0].isdigit():
        raise InputError(f"label: expected INCIDENT_ID LABEL or missed, found {' '.join(words)!r}")
    if begin is not None or end is not None or collector:
        raise InputError(
            "label: --from, --to and --collector are allowed only with missed; an incident has its own time and collectors"
        )
    incident = store.incident(int(words[0]))
    if incident is None:
        raise InputError(f"label: there is no incident {words[0]}; `bgpdrift incidents --all` lists them")
    return label_incident(incident, words[1].replace("-", "_"), attribution), []


def read_user_name() -> str:
    """Read the name of the user of this process; "" for a user without a name, as in some containers."""
    import getpass

    try:
        return getpass.getuser()[:64]
    except (KeyError, OSError):
        return ""
