"""What people read beside a model."""

import json
from dataclasses import replace
from pathlib import Path

from bgpdrift.models.sidecars import evaluation_metadata, write_sidecars


def test_the_evaluation_carries_every_drift_figure_by_name(artifact) -> None:
    told = replace(artifact, metrics={"auc": 0.99, "drift_psi": 0.1}, drift_cause={"psi": 0.4, "drift_detected": True})
    metadata = evaluation_metadata(told)
    assert metadata["auc"] == 0.99
    assert metadata["drift_figures"] == {"drift_psi": 0.1}
    assert (metadata["drift_cause_psi"], metadata["drift_detected"], metadata["drift_psi"]) == (0.4, True, 0.1)


def test_both_are_json_for_people_and_written_whole(tmp_path: Path, artifact) -> None:
    write_sidecars(tmp_path, artifact, 5.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["heuristic.evaluation.json", "heuristic.model.json"]
    metadata = json.loads((tmp_path / "heuristic.model.json").read_text())
    assert metadata["published_at"] == 5
    assert metadata["training"] == dict(artifact.training)
    assert metadata["feature_names"] == list(artifact.content.feature_names)
    assert "thresholds" in metadata["arrays"]
