"""The readable files beside a model."""

import json
from dataclasses import replace
from pathlib import Path

import msgspec

from bgpdrift.models.flags import DriftCause
from bgpdrift.models.metadata import EvaluationMetrics
from bgpdrift.models.sidecars import build_evaluation_sidecar, write_sidecars


def test_the_evaluation_holds_the_drift_figures_and_the_cause_of_the_training(artifact) -> None:
    metrics, cause = EvaluationMetrics(auc=0.99, drift_psi=0.1), DriftCause(severity="high", request_id=7)
    sidecar = msgspec.to_builtins(build_evaluation_sidecar(replace(artifact, metrics=metrics, drift_cause=cause)))
    assert (sidecar["auc"], sidecar["drift_psi"]) == (0.99, 0.1)
    assert sidecar["drift_cause"] == {"severity": "high", "request_id": 7}


def test_both_files_are_readable_json(tmp_path: Path, artifact) -> None:
    write_sidecars(tmp_path, artifact, 5.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heuristic.evaluation.json", "heuristic.model.json"]
    sidecar = json.loads((tmp_path / "heuristic.model.json").read_text())
    assert sidecar["published_at"] == 5
    assert sidecar["training"] == msgspec.to_builtins(artifact.training)
    assert sidecar["feature_names"] == list(artifact.content.feature_names)
    assert "thresholds" in sidecar["arrays"]
