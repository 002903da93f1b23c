"""`bgpdrift models`: the versions of each model, with state, age and figures."""

from typing import TYPE_CHECKING, Any

import click

from bgpdrift.terminal import echo, echo_json

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bgpdrift.store.model_records import ModelVersion

FIGURES = (("f1", "F1"), ("auc", "AUC"), ("injected_mean", "recall"), ("drift_psi", "PSI"))


@click.command("models", context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--json", "as_json", is_flag=True, help="One JSON object with every file and version.")
def command(as_json: bool) -> None:
    """List the models: active versions, backups and candidates."""
    import msgspec

    from bgpdrift.clock import SystemClock
    from bgpdrift.commands.model_registry import open_store_if_available
    from bgpdrift.settings import load_existing

    settings = load_existing()
    folder = settings.artifacts_path
    with open_store_if_available(settings) as store:
        versions = store.model_versions() if store else []
    overviews = [build_overview(folder, model, versions) for model in _list_models(folder, versions)]
    if as_json:
        echo_json(msgspec.json.encode({"folder": str(folder), "models": overviews}))
    elif not overviews:
        from bgpdrift.detector_registry import DETECTORS

        packaged = ", ".join(record.name for record in DETECTORS if record.default_model)
        echo(f"no models in {folder}; the services publish packaged models ({packaged}), retrainers train the others")
    else:
        _print_table(overviews, SystemClock().now())


def build_overview(folder: "Path", model: str, versions: "list[ModelVersion]") -> dict[str, Any]:
    """Build the JSON object of one model: the files decide, the store adds states and times."""
    import msgspec

    from bgpdrift.models.model_files import ModelFile, list_model_files

    files = list_model_files(folder, model)
    recorded = {version.version: version for version in versions if version.model == model}

    def describe(file: ModelFile) -> dict[str, Any]:
        return {
            "version": file.version,
            "file": file.path.name,
            "state": recorded[file.version].state if file.version in recorded else "",
            "created_at": file.created_at or None,
            "metrics": msgspec.to_builtins(file.metrics),
            "training": msgspec.to_builtins(file.training),
            **({"problem": file.problem} if file.problem else {}),
            **({"reason": file.reason} if file.reason else {}),
        }

    current = files.current
    active = recorded.get(files.active_version)
    unrecorded = "active" if files.active_version else "damaged" if current else "none"
    return {
        "model": model,
        "version": files.active_version,
        "state": active.state if active else unrecorded,
        "activated_at": active.activated_at if active else None,
        "parent_version": (current.parent_version if current else "") or None,
        "current": describe(current) if current else None,
        "backups": [describe(file) for file in files.backups],
        "candidates": [describe(file) for file in files.candidates],
        "rejected": [describe(file) for file in files.rejected],
        "versions": [
            {name: getattr(version, name) for name in ("version", "state", "created_at", "activated_at", "state_at")}
            for version in recorded.values()
        ],
    }


def _list_models(folder: "Path", versions: "list[ModelVersion]") -> list[str]:
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.models.model_files import list_model_files

    recorded = {version.model for version in versions}
    return [model for model in MODELS if model in recorded or list_model_files(folder, model).has_any]


def _print_table(overviews: list[dict[str, Any]], now: float) -> None:
    from rich.table import Table

    from bgpdrift.formatting import format_duration
    from bgpdrift.terminal import make_console

    table = Table(box=None, padding=(0, 1, 0, 0))
    for name in ("model", "version", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("age", "trained on", "rows"):
        table.add_column(name, no_wrap=True, justify="right" if name != "trained on" else "left")
    table.add_column("figures", overflow="fold")
    table.add_column("files", no_wrap=True, justify="right")
    for overview in overviews:
        current = overview["current"] or {"training": {}, "metrics": {}, "created_at": None}
        training = current["training"]
        table.add_row(
            overview["model"],
            overview["version"] or "–",
            overview["state"],
            format_duration(now - current["created_at"]) if current["created_at"] else "–",
            _format_span(training),
            f"{training['rows']:,}" if training.get("rows") else "–",
            format_figures(current["metrics"]).replace(" / ", "\n"),
            f"{len(overview['backups'])} + {len(overview['candidates'])}",
        )
    make_console().print(table)
    for overview in overviews:
        if overview["current"] and overview["current"].get("problem"):
            echo(f"{overview['model']}: {overview['current']['problem']}")
    echo("files: backups (for `bgpdrift rollback`) + candidates (for `bgpdrift promote`)")


def format_figures(metrics: "Mapping[str, Any]") -> str:
    """Format the first two figures of `FIGURES` that there are.

    Examples
    --------
    >>> format_figures({"auc": 0.99712, "drift_psi": 0.05})
    'AUC 0.997 / PSI 0.05'
    """
    figures = [f"{label} {metrics[name]:.3g}" for name, label in FIGURES if metrics.get(name) is not None]
    return " / ".join(figures[:2]) or "–"


def _format_span(training: "Mapping[str, Any]") -> str:
    from datetime import UTC, datetime

    if not training.get("end"):
        return "–"
    return "…".join(datetime.fromtimestamp(training[name], UTC).strftime("%m-%d") for name in ("start", "end"))
