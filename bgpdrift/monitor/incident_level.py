"""The level of a detector during an open incident: where it began, whether it is stable, and which window a check uses.

A stable level at another height may be the new normal, so a person is asked about it. Waves, growing events and levels at the
height of the reference are not. `bgpdrift.drift` computes the levels.
"""

from bgpdrift.drift import windows
from bgpdrift.drift.constants import HOUR_S
from bgpdrift.drift.hours import Hours
from bgpdrift.drift.stability import TOO_FEW_HOURS, assess_stability, find_level_start
from bgpdrift.monitor.check_inputs import DAY_S, CheckInputReader, CheckInputs
from bgpdrift.settings_sections import DriftSettings

REFERENCE_H = 168
VOLUME_FEATURES = ("announced", "withdrawn")
MIN_VOLUME_HISTORY_S = 8 * DAY_S


class IncidentLevel:
    """Assesses levels; one object for each monitor."""

    def __init__(self, settings: DriftSettings, reader: CheckInputReader) -> None:
        self._settings, self._reader = settings, reader

    def choose_window_h(self, since: int | None, at: int) -> int | None:
        """Return the hours of a current window that begins with the incident; None for the window of the preset.

        A window that contains both levels finds the new one later and with less certainty, so a window that begins with
        the incident is preferred if it is shorter than the preset's and long enough.
        """
        hours = 0 if since is None else (at - since) // HOUR_S
        preset_h = windows.PRESETS[self._settings.preset].current_h
        return hours if self._settings.min_current_h <= hours < preset_h else None

    def find_start(self, inputs: CheckInputs, since: int) -> int:
        """Return the event time from which the present level holds, at or after the beginning of the incident."""
        reference = self._take_score_reference(inputs, since // HOUR_S * HOUR_S)
        return find_level_start(inputs.hours.live, reference, since, inputs.at)

    def assess(self, inputs: CheckInputs, window_s: float, is_drift: bool) -> tuple[bool, str]:
        """Return whether scores and volume are stable at another level than the reference, and why not.

        Parameters
        ----------
        inputs : CheckInputs
            With open incidents.
        window_s : float
            Newest event time to assess, seconds.
        is_drift : bool
            Whether the check finds drift; then the level has moved even if a median does not show it.
        """
        assert inputs.incidents is not None
        hours = int(-(-window_s // HOUR_S))
        began = inputs.incidents.since // HOUR_S * HOUR_S
        reference = self._take_score_reference(inputs, began)
        scores = assess_stability(inputs.hours.live, reference, inputs.at, hours)
        if not is_drift and not scores.has_moved:
            return False, scores.reason or "the scores are at the level of the reference"
        assessments = {"scores": scores}
        begin = min(began, inputs.at - MIN_VOLUME_HISTORY_S) - MIN_VOLUME_HISTORY_S
        for name in VOLUME_FEATURES:
            series = self._reader.read_series(f"feature:{name}", "", begin, inputs.at)
            reference = self._take_reference(series, inputs, began)
            assessments[name] = assess_stability(series, reference, inputs.at, hours, minutes=True)
        assessed = {name: one for name, one in assessments.items() if one.reason != TOO_FEW_HOURS}
        unstable = [f"{name}: {one.reason}" for name, one in assessed.items() if not one.is_stable]
        return bool(assessed) and not unstable, "; ".join(unstable) or ("" if assessed else TOO_FEW_HOURS)

    def _take_score_reference(self, inputs: CheckInputs, began: int) -> dict[str, Hours]:
        clean = windows.exclude_hours(_take_before(inputs.hours.live, began), inputs.hours.out)
        return windows.take_newest(windows.merge_series(inputs.hours.profile, clean), REFERENCE_H)

    def _take_reference(self, series: windows.Series, inputs: CheckInputs, began: int) -> dict[str, Hours]:
        clean = windows.exclude_hours(_take_before(series, began), inputs.hours.out)
        return windows.take_newest(clean, REFERENCE_H)


def _take_before(series: windows.Series, end: int) -> dict[str, Hours]:
    return {name: hours.between(0, end) for name, hours in series.items()}
