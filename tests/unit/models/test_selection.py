"""Which candidate is published and which backup is restored, and why the others are not."""

import math
from pathlib import Path

import pytest

from bgpdrift.errors import InputError
from bgpdrift.models.metadata import EvaluationMetrics
from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.selection import ROLLED_BACK_NOTE, choose_promotion, choose_rollback


def candidate(version: str, problem: str = "", **metrics: float) -> ModelFile:
    return ModelFile(Path(f"m_{version}.safetensors"), version, problem, metrics=EvaluationMetrics(**metrics))


def choose(
    *candidates: ModelFile, active: str = "1", backups: str = "", states=None, max_drift: float = 0.25, why=None
):
    files = ModelFiles(
        "m",
        ModelFile(Path("m"), active) if active else None,
        tuple(ModelFile(Path(v), v) for v in backups),
        candidates,
        (),
    )
    found = choose_promotion(files, states or {}, max_drift, why or (lambda _: ""))
    return found.chosen and found.chosen.version, {skipped.version: skipped.reason for skipped in found.skipped}


def test_without_candidates_none_is_chosen() -> None:
    assert choose() == (None, {})


def test_the_best_figure_wins_among_those_that_drift_little_enough() -> None:
    chosen, skipped = choose(
        candidate("4", auc=0.99, drift_psi=0.9),
        candidate("3", auc=0.95, drift_psi=0.1),
        candidate("2", auc=0.97, drift_psi=0.2),
    )
    assert chosen == "2"
    assert skipped == {"4": "drift_psi 0.9, at most 0.25 allowed", "3": "auc 0.95, version 2 has 0.97"}


def test_every_drift_figure_must_stay_under_the_limit_and_one_at_the_limit_does() -> None:
    chosen, skipped = choose(candidate("2", drift_psi=0.25), candidate("3", drift_psi=0.1, drift_ks=0.4))
    assert chosen == "2"
    assert skipped == {"3": "drift_ks 0.4, at most 0.25 allowed"}


def test_a_drift_figure_that_is_nan_exceeds_the_limit() -> None:
    for limit in (0.25, math.inf):
        chosen = choose(candidate("2", drift_psi=math.nan), max_drift=limit)
        assert chosen == (None, {"2": "drift_psi is not a number"})


def test_without_a_common_figure_the_least_drift_wins_and_then_the_latest() -> None:
    assert choose(candidate("3", auc=0.9, drift_psi=0.2), candidate("2", drift_psi=0.1))[0] == "2"
    assert choose(candidate("2", drift_psi=0.1), candidate("3", drift_psi=0.1)) == ("3", {"2": "version 3 is later"})


def test_a_candidate_without_drift_figures_is_not_published() -> None:
    assert choose(candidate("2", auc=1.0)) == (None, {"2": "its evaluation has no drift figures"})


def test_an_unreadable_candidate_is_skipped_with_the_problem() -> None:
    assert choose(candidate("2", problem="2 bytes")) == (None, {"2": "unreadable: 2 bytes"})


def test_the_next_best_is_chosen_if_the_best_does_not_run() -> None:
    chosen, skipped = choose(
        candidate("3", drift_psi=0.1),
        candidate("2", drift_psi=0.2),
        why=lambda file: "self-test failed" if file.version == "3" else "",
    )
    assert (chosen, skipped["3"]) == ("2", "self-test failed")


def test_a_version_that_was_decided_on_before_is_not_promoted() -> None:
    good = {"drift_psi": 0.1}
    assert choose(candidate("5", **good), states={"5": "rolled_back"})[1]["5"].endswith("(rolled_back)")
    assert choose(candidate("5", **good), backups="5")[0] is None
    assert choose(candidate("5", **good), active="5")[0] is None
    assert choose(candidate("5", **good), states={"5": "candidate"})[0] == "5"


def test_an_older_candidate_never_replaces_a_later_version() -> None:
    assert choose(candidate("3", drift_psi=0.1), active="4") == (None, {"3": "older than the active version 4"})
    assert choose(candidate("3", drift_psi=0.1), active="default-1")[0] == "3"
    assert choose(candidate("3", drift_psi=0.1), active="")[0] == "3"


def files_with_backups(active: str, backups: str, rejected=()) -> ModelFiles:
    return ModelFiles(
        "m",
        ModelFile(Path("m"), active),
        tuple(ModelFile(Path(v), v, "half" if v == "x" else "") for v in backups),
        (),
        tuple(ModelFile(Path(v), v, reason=reason) for v, reason in rejected),
    )


def rollback_versions(*arguments, **keywords) -> list[str]:
    return [file.version for file in choose_rollback(*arguments, **keywords)]


def test_the_newest_backup_is_tried_first() -> None:
    assert rollback_versions(files_with_backups("5", "432"), {}) == ["4", "3", "2"]


def test_the_active_version_is_not_restored() -> None:
    assert rollback_versions(files_with_backups("4", "4432"), {}) == ["3", "2"]


def test_a_rolled_back_or_rejected_version_is_not_restored_automatically() -> None:
    assert rollback_versions(files_with_backups("5", "432"), {"4": "rolled_back", "3": "rejected", "2": "retired"}) == [
        "2"
    ]


def test_a_person_may_name_any_backup_also_one_that_was_rolled_back() -> None:
    assert rollback_versions(files_with_backups("5", "432"), {"3": "rolled_back"}, to="3") == ["3"]
    assert rollback_versions(
        files_with_backups("5", "4", [("3", ROLLED_BACK_NOTE + "too many false alarms")]), {}, to="3"
    ) == ["3"]


def test_a_rejected_version_is_never_restored() -> None:
    files = files_with_backups("5", "4", [("3", "alarm rate over budget")])
    with pytest.raises(InputError, match="no backup of version 3"):
        choose_rollback(files, {}, to="3")
    with pytest.raises(InputError, match="no backup of version 4"):
        choose_rollback(files, {"4": "rejected"}, to="4")


@pytest.mark.parametrize(
    ("to", "message"),
    [("9", "no backup of version 9.*: 4, 3; rolled back before: 2"), ("5", "version 5 is active already")],
)
def test_the_error_names_the_versions_that_can_be_restored(to: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        choose_rollback(files_with_backups("5", "x43", [("2", ROLLED_BACK_NOTE)]), {}, to=to)


def test_without_backups_a_rollback_is_an_error() -> None:
    with pytest.raises(InputError, match=r"no version to roll back to.*none"):
        choose_rollback(files_with_backups("5", "x5"), {})
