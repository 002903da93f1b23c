"""`bgpdrift incidents`: list incidents, or explain one.

This module decides which incidents are listed: every open one, and those of the last 24 hours of data, unless options
say otherwise.
"""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from bgpdrift.terminal import echo, echo_json

if TYPE_CHECKING:
    from rich.table import Table

    from bgpdrift.store import Store
    from bgpdrift.store.evidence_records import IncidentExplanation, RouteChange

DAY_S = 86_400
MAX_NAMES = 20
"""Names of one kind shown in the explanation of an incident."""
MAX_EVENT_TIME = 2**62
STATES = {"open": "open", "updated": "open", "reopened": "open again", "closed": "closed"}
"""Stored states as a person reads them; ``updated`` is an open incident that changed."""


@click.command("incidents", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("incident_id", required=False, type=int)
@click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per incident and line.")
@click.option("--all", "show_all", is_flag=True, help="List all incidents, also those merged into others.")
@click.option(
    "--since", metavar="TIME", help="List incidents that end at or after TIME (ISO 8601 or epoch seconds, UTC)."
)
@click.option("--until", metavar="TIME", help="List incidents that begin before TIME.")
@click.option("--asn", type=int, help="List incidents that name this AS, as cause or as concerned.")
@click.option("--prefix", help="List incidents that name a prefix that overlaps PREFIX.")
@click.option("--collector", help="List incidents at this collector.")
@click.option("--watch", is_flag=True, help="Print the list again every 5 seconds until Ctrl-C.")
def command(
    incident_id: int | None,
    as_json: bool,
    show_all: bool,
    since: str | None,
    until: str | None,
    asn: int | None,
    prefix: str | None,
    collector: str | None,
    watch: bool,
) -> None:
    """List open incidents and those of the last 24 hours of data, or explain the one with INCIDENT_ID."""
    from bgpdrift.settings import load_existing
    from bgpdrift.store import open_store

    settings = load_existing()
    with open_store(settings.store_url, busy_timeout_s=settings.store.busy_timeout_s) as store:
        if incident_id is not None:
            _show_one(store, incident_id, as_json)
            return
        span = (_parse_time("--since", since), _parse_time("--until", until))
        filters = _Filters(asn, prefix, collector)
        while True:
            if watch and not as_json:
                click.clear()
            _show_list(_select(store, span, show_all, filters), as_json)
            if not watch:
                return
            time.sleep(5.0)


class _Filters:
    """Which incidents are listed."""

    def __init__(self, asn: int | None, prefix: str | None, collector: str | None) -> None:
        import ipaddress

        from bgpdrift.errors import InputError

        self._asn, self._collector = asn, collector
        try:
            self._network = None if prefix is None else ipaddress.ip_network(prefix)
        except ValueError as error:
            raise InputError(f"--prefix {prefix!r}: expected a prefix such as 192.0.2.0/24: {error}") from None

    def match(self, row: dict[str, Any]) -> bool:
        """Return whether an incident names what is asked for."""
        if self._collector is not None and self._collector not in row["collectors"]:
            return False
        changes = named_changes(row)
        if self._asn is not None and self._asn not in {*row["origins"], *_asns(changes)}:
            return False
        names = [
            *row["prefixes"],
            *(name for change in changes for p in change.prefixes for name in (p.prefix, p.covering)),
        ]
        return self._network is None or any(self._overlaps(name) for name in names if name)

    def _overlaps(self, prefix: object) -> bool:
        import ipaddress

        assert self._network is not None
        try:
            other = ipaddress.ip_network(str(prefix))
        except ValueError:
            return False
        return self._network.version == other.version and self._network.overlaps(other)


def _asns(changes: "Sequence[RouteChange]") -> set[int]:
    """The ASes that caused some changes, and those whose prefixes they concern."""
    from bgpdrift.features.suspects import find_culprits

    return {
        *(asn for change in changes for asn in find_culprits(change)),
        *(asn for change in changes for p in change.prefixes for asn in (p.old_origin, p.new_origin) if asn),
    }


def _select(
    store: "Store", span: tuple[int | None, int | None], show_all: bool, filters: _Filters
) -> list[dict[str, Any]]:
    since, until = span
    if since is None:
        since = 0 if show_all or until is not None else (store.newest_window_start() or 0) - DAY_S
    rows = store.incidents_between(since, MAX_EVENT_TIME if until is None else until)
    return [row for row in rows if (show_all or row["merged_into"] is None) and filters.match(row)]


def _parse_time(option: str, text: str | None) -> int | None:
    """Parse a time option.

    Raises
    ------
    InputError
        The text is neither ISO 8601 nor epoch seconds.

    Examples
    --------
    >>> _parse_time("--since", "2026-01-01T00:00"), _parse_time("--since", "1767225600"), _parse_time("--since", None)
    (1767225600, 1767225600, None)
    """
    from datetime import UTC, datetime

    from bgpdrift.errors import InputError

    if text is None:
        return None
    if text.isdigit():
        return int(text)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{option} {text!r}: expected a time such as 2026-01-31T12:00 or epoch seconds") from None
    return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())


def _show_list(rows: list[dict[str, Any]], as_json: bool) -> None:
    import msgspec

    from bgpdrift.terminal import make_console

    if as_json:
        for row in rows:
            echo_json(msgspec.json.encode(row))
    elif not rows:
        echo("No incident is open, and no incident of the requested time matches.")
    else:
        make_console().print(_list_table(rows))
        echo("`bgpdrift incidents ID` explains one.")


def _list_table(rows: list[dict[str, Any]]) -> "Table":
    from rich.table import Table
    from rich.text import Text

    from bgpdrift.formatting import escape_control, format_time

    table = Table("id", "state", "severity", "kind", box=None, pad_edge=False)
    table.add_column("who")
    table.add_column("began (UTC)", no_wrap=True)
    table.add_column("min", justify="right", no_wrap=True)
    table.add_column("at")
    for row in rows:
        cells = (
            str(row["id"]),
            STATES.get(row["state"], row["state"]),
            row["severity"],
            row["kind"],
            f"AS{row['origins'][0]}" + (f" +{len(row['origins']) - 1}" if len(row["origins"]) > 1 else "")
            if row["origins"]
            else "",
            format_time(row["started_at"]),
            str((row["last_seen_at"] + 60 - row["started_at"]) // 60),
            " ".join(sorted(row["collectors"])),
        )
        table.add_row(*(Text(escape_control(cell)) for cell in cells))
    return table


def _show_one(store: "Store", incident_id: int, as_json: bool) -> None:
    import msgspec

    from bgpdrift.errors import InputError

    row = store.incident(incident_id)
    if row is None:
        raise InputError(f"no incident {incident_id}; `bgpdrift incidents --all` lists them")
    events = store.incident_events(incident_id)
    if as_json:
        echo_json(msgspec.json.encode({**row, "events": events}))
    else:
        _explain(row, events)


def named_changes(row: dict[str, Any]) -> "list[RouteChange]":
    """Return the route changes that make up an incident, each merged over its collectors; none for most kinds of storm."""
    from bgpdrift.features.suspects import merge_collectors
    from bgpdrift.verdicts.explanation import kinds_of_change
    from bgpdrift.verdicts.footprint import is_named

    changes = row["explanation"].changes
    merged = []
    for kind in kinds_of_change(row["kind"]):
        own = [change for change in changes if change.change == kind]
        if own and is_named(change := merge_collectors(own)):
            merged.append(change)
    return merged


def _explain(row: dict[str, Any], events: list[dict[str, Any]]) -> None:
    from bgpdrift.formatting import escape_control
    from bgpdrift.terminal import make_console

    console, explanation = make_console(), row["explanation"]
    for line in _head_lines(row):
        console.print(escape_control(line))
    for change in named_changes(row):
        for line in _change_lines(row, change):
            console.print(escape_control(line))
    if explanation.rules_fired:
        console.print(_rules_table(explanation))
    if explanation.top_features:
        console.print(_features_table(explanation))
    for line in (*_vote_lines(explanation), *_name_lines(row), *_event_lines(events)):
        console.print(escape_control(line))


def _change_lines(row: dict[str, Any], change: "RouteChange") -> Iterator[str]:
    """Who, since when, what from what to what, seen by whom."""
    from bgpdrift.features.suspects import exclusiveness, find_culprits
    from bgpdrift.formatting import format_time
    from bgpdrift.verdicts.explanation import describe_change

    culprits = find_culprits(change)
    for suspect in change.suspects:
        if suspect.asn not in culprits:
            continue
        if change.change in ("second_origin", "sub_prefix"):
            yield f"Who: AS{suspect.asn} announces {suspect.changed} of the prefixes"
        else:
            yield (
                f"Who: AS{suspect.asn} is on {suspect.changed:,} of {change.n_routes:,} changed routes; "
                f"{100 * exclusiveness(suspect):.0f} % of the routes through it changed"
            )
    if not culprits:
        yield "Who: the changed routes have no AS in common"
    yield f"Since: {format_time(change.first_at or row['started_at'])} UTC"
    yield f"What: {change.n_prefixes:,} prefixes"
    for prefix in change.prefixes[:MAX_NAMES]:
        yield f"  {describe_change(prefix)}, {prefix.peers} peers"
    shown = min(len(change.prefixes), MAX_NAMES)
    if change.n_prefixes > shown:
        yield f"  and {change.n_prefixes - shown:,} more"
    peers = [f"{peer.address} (AS{peer.asn})" if peer.asn else peer.address for peer in change.peers[:MAX_NAMES]]
    rest = f" and {change.n_peers - len(peers)} more" if change.n_peers > len(peers) else ""
    yield f"Seen by: {change.n_peers} peers: {', '.join(peers)}{rest}"


def _head_lines(row: dict[str, Any]) -> Iterator[str]:
    from bgpdrift.formatting import format_time

    yield f"Incident {row['id']}: {row['summary']}"
    state = STATES.get(row["state"], row["state"])
    span = f"{format_time(row['started_at'])} to {format_time(row['last_seen_at'] + 60)} UTC"
    yield f"State: {state}. Severity: {row['severity']}. Time: {span}. Peak surprisal: {row['peak']:.1f} (−log10 p)."
    if row["merged_into"] is not None:
        yield f"This incident was merged into incident {row['merged_into']}."


def _rules_table(explanation: "IncidentExplanation") -> "Table":
    from rich.table import Table

    from bgpdrift.formatting import escape_control

    minutes = explanation.rule_minutes
    table = Table(title="Rules that fired, at their maximum", title_justify="left")
    for name in ("rule", "value", "baseline", "threshold", "minutes", "meaning"):
        table.add_column(name)
    for rule in explanation.rules_fired:
        meaning = rule.meaning + (f" Explained by {rule.explained_by}." if rule.explained_by else "")
        figures = (f"{value:g}" for value in (rule.value, rule.baseline, rule.threshold))
        table.add_row(escape_control(rule.rule), *figures, str(minutes.get(rule.rule, 0)), escape_control(meaning))
    return table


def _features_table(explanation: "IncidentExplanation") -> "Table":
    from rich.table import Table

    table = Table(title="Features that contributed most", title_justify="left")
    for name in ("detector", "feature", "value", "baseline", "weight"):
        table.add_column(name)
    for entry in explanation.top_features:
        figures = (f"{value:g}" for value in (entry.present, entry.baseline, entry.weight))
        table.add_row(entry.detector, entry.feature, *figures)
    return table


def _vote_lines(explanation: "IncidentExplanation") -> Iterator[str]:
    for name, p_value in explanation.p_values.items():
        yield f"{name}: p = {p_value:.2g}"
    for name, reason in explanation.abstaining.items():
        yield f"{name}: abstains ({reason})"


def _name_lines(row: dict[str, Any]) -> Iterator[str]:
    has_changes = bool(named_changes(row))
    for kind in ("collectors",) if has_changes else ("collectors", "peers", "origins", "prefixes"):
        names = [str(name) for name in row[kind]]
        if names:
            rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
            yield f"{kind}: {', '.join(names[:MAX_NAMES])}{rest}"


def _event_lines(events: list[dict[str, Any]]) -> Iterator[str]:
    from bgpdrift.formatting import format_time

    for event in events:
        if event["kind"] == "labelled":
            yield f"{format_time(event['at'])} labelled {_describe_label(event['details'])}"
        elif event["kind"] != "updated":
            yield f"{format_time(event['at'])} {event['kind']}"


def _describe_label(details: dict[str, Any]) -> str:
    label = details["label"] or f"no longer {details['was']}"
    by = f" by {details['labelled_by']}" if details["labelled_by"] else ""
    return f"{label}{by}" + (f": {details['notes']}" if details.get("notes") else "")
