"""`bgpdrift models`: which versions there are, which one is in force, how old and how good it is."""

from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FIGURES = (("f1", "F1"), ("auc", "AUC"), ("injected_mean", "found"), ("drift_psi", "PSI"))


@click.command("models", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON object with every file and version.")
def command(as_json: bool) -> None:
    """List the models: in force, to go back to, waiting."""
    import msgspec

    from bgpdrift.clock import SystemClock
    from bgpdrift.commands.model_registry import open_records
    from bgpdrift.settings import load

    settings = load()
    folder = settings.artifacts_path
    with open_records(settings) as store:
        rows = store.model_versions() if store else []
    overview = [model_overview(folder, model, rows) for model in _models(folder, rows)]
    if as_json:
        click.echo(msgspec.json.encode({"folder": str(folder), "models": overview}))
    elif not overview:
        from bgpdrift.detector_registry import DETECTORS

        packaged = ", ".join(record.name for record in DETECTORS if record.default_model)
        click.echo(
            f"no models in {folder}; the services publish packaged models ({packaged}), retrainers train the others"
        )
    else:
        _table(overview, SystemClock().now())


def model_overview(folder: "Path", model: str, rows: "list[dict[str, Any]]") -> dict[str, Any]:
    """All about one model, as JSON: files are the truth, the store adds states and times."""
    from bgpdrift.models.model_files import ModelFile, list_model_files

    files = list_model_files(folder, model)
    known = {row["version"]: row for row in rows if row["model"] == model}

    def entry(file: ModelFile) -> dict[str, Any]:
        return {
            "version": file.version,
            "file": file.path.name,
            "state": known.get(file.version, {}).get("state", ""),
            "created_at": file.created_at or None,
            "metrics": dict(file.metrics),
            "training": dict(file.training),
            **({"problem": file.problem} if file.problem else {}),
            **({"reason": file.reason} if file.reason else {}),
        }

    current = files.current
    row = known.get(files.active_version, {})
    return {
        "model": model,
        "version": files.active_version,
        "state": row.get("state") or ("active" if files.active_version else "damaged" if current else "none"),
        "activated_at": row.get("activated_at"),
        "parent_version": (current.parent_version if current else "") or None,
        "current": entry(current) if current else None,
        "backups": [entry(file) for file in files.backups],
        "candidates": [entry(file) for file in files.candidates],
        "rejected": [entry(file) for file in files.rejected],
        "versions": [
            {name: known[version][name] for name in ("version", "state", "created_at", "activated_at", "state_at")}
            for version in known
        ],
    }


def _models(folder: "Path", rows: "list[dict[str, Any]]") -> list[str]:
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.models.model_files import list_model_files

    recorded = {row["model"] for row in rows}
    return [model for model in MODELS if model in recorded or list_model_files(folder, model).has_any]


def _table(overview: list[dict[str, Any]], now: float) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("model", "version", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("age", "trained on", "rows"):
        table.add_column(name, no_wrap=True, justify="right" if name != "trained on" else "left")
    table.add_column("figures", overflow="fold")
    table.add_column("old", justify="right")
    table.add_column("new", justify="right")
    for one in overview:
        current = one["current"] or {"training": {}, "metrics": {}, "created_at": None}
        training = current["training"]
        table.add_row(
            one["model"],
            one["version"] or "–",
            one["state"],
            age_text(now - current["created_at"]) if current["created_at"] else "–",
            _span(training),
            f"{training['rows']:,}" if isinstance(training.get("rows"), int) else "–",
            figures_text(current["metrics"]).replace(" / ", "\n"),
            str(len(one["backups"])),
            str(len(one["candidates"])),
        )
    Console(highlight=False).print(table)
    for one in overview:
        if one["current"] and one["current"].get("problem"):
            click.echo(f"{one['model']}: {one['current']['problem']}")
    click.echo("old: backups to roll back to; new: candidates that wait for `bgpdrift promote`.")


def age_text(seconds: float) -> str:
    """Say an age in its largest unit.

    Examples
    --------
    >>> age_text(90), age_text(7_300), age_text(900_000)
    ('1 min', '2 h', '10 d')
    """
    for unit, length in (("d", 86_400), ("h", 3_600)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds // 60))} min"


def figures_text(metrics: "Mapping[str, Any]") -> str:
    """Say the figures that count most, two at most.

    Examples
    --------
    >>> figures_text({"auc": 0.99712, "drift_psi": 0.05, "rows": 4})
    'AUC 0.997 / PSI 0.05'
    """
    said = [
        f"{label} {metrics[name]:.3g}"
        for name, label in FIGURES
        if isinstance(metrics.get(name), int | float) and not isinstance(metrics[name], bool)
    ]
    return " / ".join(said[:2]) or "–"


def _span(training: "Mapping[str, Any]") -> str:
    from datetime import UTC, datetime

    def day(seconds: Any) -> str:
        return datetime.fromtimestamp(seconds, UTC).strftime("%m-%d")

    begin, end = training.get("from"), training.get("to")
    if not isinstance(begin, int) or not isinstance(end, int):
        return "–"
    return f"{day(begin)}…{day(end)}"
