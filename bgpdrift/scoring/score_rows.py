"""What a detector said, as rows of the table ``scores``. Pure: one group, one model version, one instant.

Decides what is an alarm (a p-value within the budget, and something to act on) and what the row of an abstention
contains: score 0, p-value 1, the reason.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from bgpdrift.detectors.interface import FloatArray, Scores
from bgpdrift.errors import ArtifactError

EMBEDDING_DIGITS = 5


def score_rows(
    scores: Scores,
    p_values: FloatArray,
    wanted: npt.NDArray[np.bool_],
    *,
    group: tuple[str, str],
    model: str,
    version: str,
    limit_p: float,
    scored_at: float,
) -> list[dict[str, Any]]:
    """Make the rows.

    Parameters
    ----------
    scores : Scores
        Of one group.
    p_values : ndarray of float
        Of the scores, calibrated.
    wanted : ndarray of bool
        Which of them are asked for.
    limit_p : float
        P-value at or below which a minute is an alarm.

    Raises
    ------
    ArtifactError
        A score is no number: the model, not the window, is at fault.
    """
    has_vote = np.array([not reason for reason in scores.abstained], bool)
    if not np.isfinite(scores.score[has_vote]).all() or not np.isfinite(p_values[has_vote]).all():
        raise ArtifactError(f"{model} {version}: a score of a live window is NaN or infinite")
    rows = []
    for i in np.flatnonzero(wanted).tolist():
        votes = bool(has_vote[i])
        row: dict[str, Any] = {
            "window_start": int(scores.window_start[i]),
            "collector": group[0],
            "peer": group[1],
            "model": model,
            "model_version": version,
            "score": float(scores.score[i]) if votes else 0.0,
            "p_value": float(p_values[i]) if votes else 1.0,
            "is_alarm": scores.may_alarm(i) and bool(p_values[i] <= limit_p),
            "abstained": scores.abstained[i],
            "rules_fired": scores.rules_fired[i],
            "top_features": scores.top_features[i],
            "alarm_p": limit_p,
            "scored_at": scored_at,
        }
        if scores.embedding is not None and votes:
            row["embedding"] = [round(value, EMBEDDING_DIGITS) for value in scores.embedding[i].tolist()]
        rows.append(row)
    return rows
