"""`bgpdrift promote`: publish the best candidate whose drift is within a limit."""

import sys

import click

from bgpdrift.commands.model_argument import MODEL
from bgpdrift.terminal import echo, echo_json

EXIT_NO_CANDIDATE_PASSED = 3


@click.command("promote", context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("model", required=False, type=MODEL)
@click.option(
    "--max-drift",
    type=click.FloatRange(min=0.0),
    help="Largest `drift_…` figure of a candidate's evaluation; by default the setting retrain.max_drift.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per model.")
def command(model: str | None, max_drift: float | None, as_json: bool) -> None:
    """Publish the best candidate of MODEL, or of every model. Exit 3 if there are candidates and none is published."""
    import msgspec

    from bgpdrift.commands.model_registry import open_registry
    from bgpdrift.detector_registry import MODELS
    from bgpdrift.models.paths import candidate_paths
    from bgpdrift.settings import load_existing

    settings = load_existing()
    limit = settings.retrain.max_drift if max_drift is None else max_drift
    with_candidates = [
        name for name in ([model] if model else MODELS) if candidate_paths(settings.artifacts_path, name)
    ]
    published = 0
    with open_registry(settings) as registry:
        for name in with_candidates:
            publication, promotion = registry.promote(name, limit)
            published += publication is not None
            skipped = {skipped.version: skipped.reason for skipped in promotion.skipped}
            if as_json:
                version = publication.version if publication else None
                echo_json(msgspec.json.encode({"model": name, "published": version, "skipped": skipped}))
                continue
            for version, reason in skipped.items():
                echo(f"{name}: version {version} skipped: {reason}")
            if publication:
                parent = f"; it replaces version {publication.parent_version}" if publication.parent_version else ""
                echo(f"{name}: version {publication.version} is active{parent}.")
    if not with_candidates and not as_json:
        echo(f"{model or 'no model'}: no candidates in {settings.artifacts_path / 'candidates'}")
    sys.exit(EXIT_NO_CANDIDATE_PASSED if with_candidates and not published else 0)
