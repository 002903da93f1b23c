"""Which candidate is published, and why the others are not."""

from pathlib import Path

from bgpdrift.models.model_files import ModelFile, ModelFiles
from bgpdrift.models.promotion import choose_promotion


def candidate(version: str, problem: str = "", **metrics: float) -> ModelFile:
    return ModelFile(Path(f"m_{version}.safetensors"), version, problem, metrics=metrics)


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


def test_without_candidates_nothing_is_chosen_and_nothing_skipped() -> None:
    assert choose() == (None, {})


def test_the_best_figure_wins_among_those_that_drift_little_enough() -> None:
    chosen, skipped = choose(
        candidate("4", auc=0.99, drift_psi=0.9),
        candidate("3", auc=0.95, drift_psi=0.1),
        candidate("2", auc=0.97, drift_psi=0.2),
    )
    assert chosen == "2"
    assert skipped == {"4": "drift_psi 0.9 over 0.25", "3": "auc 0.95, version 2 has 0.97"}


def test_every_drift_figure_must_stay_under_the_limit_and_one_at_the_limit_does() -> None:
    chosen, skipped = choose(candidate("2", drift_psi=0.25), candidate("3", drift_psi=0.1, drift_ks=0.4))
    assert chosen == "2"
    assert skipped == {"3": "drift_ks 0.4 over 0.25"}


def test_p_values_are_no_drift() -> None:
    assert choose(candidate("2", drift_psi=0.1, drift_ks_p_value=0.9))[0] == "2"


def test_a_figure_that_is_no_number_is_never_under_the_limit() -> None:
    assert choose(candidate("2", drift_psi=float("nan")))[0] is None


def test_without_a_figure_that_all_have_the_least_drift_wins_and_then_the_latest() -> None:
    assert choose(candidate("3", auc=0.9, drift_psi=0.2), candidate("2", drift_psi=0.1))[0] == "2"
    assert choose(candidate("2", drift_psi=0.1), candidate("3", drift_psi=0.1)) == ("3", {"2": "version 3 is later"})


def test_without_drift_figures_nothing_is_known_and_nothing_published() -> None:
    assert choose(candidate("2", auc=1.0)) == (None, {"2": "no drift figures in its evaluation"})


def test_a_damaged_candidate_is_skipped_with_what_is_wrong() -> None:
    assert choose(candidate("2", problem="2 bytes are no model")) == (None, {"2": "damaged: 2 bytes are no model"})


def test_one_that_this_program_cannot_run_makes_room_for_the_next_best() -> None:
    chosen, skipped = choose(
        candidate("3", drift_psi=0.1),
        candidate("2", drift_psi=0.2),
        why=lambda file: "self-test failed" if file.version == "3" else "",
    )
    assert (chosen, skipped["3"]) == ("2", "self-test failed")


def test_what_was_decided_on_before_is_not_decided_again() -> None:
    good = {"drift_psi": 0.1}
    assert choose(candidate("5", **good), states={"5": "rolled_back"})[1]["5"].endswith("(rolled_back)")
    assert choose(candidate("5", **good), backups="5")[0] is None
    assert choose(candidate("5", **good), active="5")[0] is None
    assert choose(candidate("5", **good), states={"5": "candidate"})[0] == "5"


def test_an_older_candidate_never_replaces_a_later_version() -> None:
    assert choose(candidate("3", drift_psi=0.1), active="4") == (None, {"3": "older than version 4, which is in force"})
    assert choose(candidate("3", drift_psi=0.1), active="default-1")[0] == "3"
    assert choose(candidate("3", drift_psi=0.1), active="")[0] == "3"
