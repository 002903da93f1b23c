"""`bgpdrift evaluate --kinds`: which detector finds which kind of incident, in simulated worlds.

A detector finds an incident if an alarm begins within it, from its first to its last minute. An alarm that began earlier does not
count. The delay ends with the first minute of the alarm.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

from bgpdrift.detectors.interface import MINUTE_S
from bgpdrift.lab.evaluation.evaluation import Evaluation, evaluate, trainer
from bgpdrift.lab.evaluation.labelled_files import Options, Status
from bgpdrift.lab.evaluation.simulated_worlds import SimulatedIncident, plan, windows_of
from bgpdrift.verdicts.quality import episodes


def evaluate_worlds(count: int, options: Options, status: Status) -> list[dict[str, Any]]:
    """Simulate and evaluate `count` worlds, one for each seed from 1 on."""
    train, worlds = trainer(options.settings), []
    for seed in range(1, count + 1):
        with status(f"world {seed} of {count}") as show_status:
            show_status("simulating")
            scenario, incidents = plan(seed, options.train_minutes)
            evaluation = evaluate(
                windows_of(scenario),
                train,
                options.settings,
                train_minutes=options.train_minutes,
                seed=seed,
                names=options.rows,
                show_status=show_status,
            )
        worlds.append(as_fields(seed, options.train_minutes, incidents, evaluation))
    return worlds


def as_fields(
    seed: int, train_minutes: int, incidents: Iterable[SimulatedIncident], evaluation: Evaluation
) -> dict[str, Any]:
    """Return the result for one world as JSON fields: for each incident the minutes to the first alarm, null if not found."""
    return {
        "seed": seed,
        "train_minutes": train_minutes,
        "incidents": [
            {
                "kind": incident.kind,
                "strength": incident.strength,
                "start": incident.start,
                "end": incident.end,
                "first_alarm_minutes": {name: delay(incident, evaluation, name) for name in evaluation.detections},
            }
            for incident in incidents
        ],
        "false_alarms_per_day": {
            name: row.figures.false_alarms_per_day for name, row in evaluation.rows.items() if row.figures
        },
        "unavailable": {name: row.unavailable for name, row in evaluation.rows.items() if row.unavailable},
    }


def delay(incident: SimulatedIncident, evaluation: Evaluation, name: str) -> float | None:
    """Minutes from the start of an incident to the end of the first minute of an alarm that begins in it; None without one."""
    judged = evaluation.detections[name]
    begun = [int(judged.window_start[begin]) for begin, _ in episodes(judged.window_start, judged.alarms)]
    within = [start for start in begun if incident.start <= start < incident.end]
    return (min(within) + MINUTE_S - incident.start) / MINUTE_S if within else None


def table(worlds: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Return head and rows of the table: one row for each kind and strength, one column for each detector."""
    names = list(dict.fromkeys(name for world in worlds for name in world["false_alarms_per_day"]))
    found: dict[tuple[str, str], dict[str, list[float | None]]] = {}
    for world in worlds:
        for incident in world["incidents"]:
            row = found.setdefault((incident["kind"], incident["strength"]), {name: [] for name in names})
            for name in names:
                row[name].append(incident["first_alarm_minutes"].get(name))
    rows = [[kind, strength, *(_cell(row[name]) for name in names)] for (kind, strength), row in sorted(found.items())]
    calm = [_mean([world["false_alarms_per_day"].get(name) for world in worlds]) for name in names]
    return ["kind", "strength", *names], [*rows, ["false alarms a day", "", *calm]]


def as_markdown(worlds: Sequence[Mapping[str, Any]]) -> str:
    """Write the table for docs/quality.md."""
    head, rows = table(worlds)
    titles = [title if title in ("kind", "strength") else f"`{title}`" for title in head]
    lines = [f"| {' | '.join(titles)} |", "|---|---|" + "---|" * (len(head) - 2)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), *_notes(worlds)]) + "\n"


def as_text(worlds: Sequence[Mapping[str, Any]]) -> str:
    """Write the table for a terminal, and below it the table of each world."""
    parts = [f"found of {len(worlds)} worlds, median minutes to the first alarm", _aligned(*table(worlds))]
    if len(worlds) > 1:
        parts += [f"\nseed {world['seed']}\n{_aligned(*table([world]))}" for world in worlds]
    return "\n".join([*parts, *_notes(worlds)]) + "\n"


def _cell(delays: Sequence[float | None]) -> str:
    """Format how many incidents were found, and the median delay.

    Examples
    --------
    >>> _cell([3.0, None, 5.0]), _cell([None])
    ('2/3, 4 min', '0/1')
    """
    found = [value for value in delays if value is not None]
    return f"{len(found)}/{len(delays)}" + (f", {median(found):.0f} min" if found else "")


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.2f}" if known else "–"


def _notes(worlds: Sequence[Mapping[str, Any]]) -> list[str]:
    reasons = {(name, why) for world in worlds for name, why in world["unavailable"].items()}
    return ["", *(f"- {name}: no figures: {why}" for name, why in sorted(reasons))] if reasons else []


def _aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in [head, *rows]) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [head, *rows]
    )
