"""The constants of the drift decision: meaning, unit and source of each.

A value that an operator may change is a setting (`bgpdrift.settings_sections.DriftSettings`), not a constant. Quoted
section titles and points are those of docs/drift.md, [n] is a source listed there. "Simulation" means chosen on
simulated streams and confirmed on other seeds by ``python -m benchmarks bench_drift``. "Lives" means the simulated
weeks of docs/lives.md.
"""

import math

HOUR_S = 3_600
DAY_H = 24
DAY_S = DAY_H * HOUR_S

# Season ("The rule", point 2).

REFERENCE_QUANTILES = (*(step / 20 for step in range(1, 20)), 0.975, 0.99, 0.995)
"""Shares of the reference at which it is cut into groups. Finer above 95 %, where alarms are raised. Simulation."""
HEAVY_BIN_SHARE = 0.05
"""Share of the reference from which a single value has a group of its own: as much as one group of 5 % holds."""
MIN_WEEKEND_REFERENCE_D = 14
"""Days of reference from which weekends have strata of their own: each then holds two weekends."""

# Dependence between hours and days ("The rule", point 3).

MAX_LAG_H = 24
"""Hours over which hourly differences may depend on each other. Longer dependence is variance between days. Simulation.
"""
MAX_AUTOCORRELATION = 0.97
"""Bound of the lag-1 autocorrelation in Andrews' bandwidth [2], which diverges at 1."""
ANDREWS_BARTLETT = 1.1447
"""Factor of the bandwidth of Bartlett's kernel in Andrews [2], equation 6.2."""
DAY_VARIANCE_PRIOR_D = 36.0
"""Days of reference that weigh as much as the prior belief that days differ no more than their hours imply. Simulation.
"""
CLEAR_DAY_VARIANCE = 2.45
"""Excess of the variance of whole days, times the root of their number, that chance gives in one of 16 references."""
MAX_DAY_DISTANCE_D = 7
"""Distance in days up to which days are compared. Beyond it the level is taken to differ no further. Simulation."""
MAX_INFLATION = 4.0
"""Largest inflation of the variance by differences between days. Ranks are bounded, so a larger one would hide any
change.
"""
HISTORY_PRIOR_D = 7.0
"""Days of history that weigh as much as the same prior belief, when a longer history is known. Simulation."""
HISTORY_DOUBT = 1.0
"""Share of the learned variance, times the root of the days, that is attributed to chance. Simulation."""
MIN_DAY_PAIRS = 3
"""Pairs of days at one distance below which that distance is not used."""
MIN_DAY_HOURS = 12
"""Hours that a day must hold to count as a whole day."""
MAD_TO_SD = 1.4826
"""Standard deviation of a normal variable divided by its median absolute deviation [6]."""

# The test ("The rule", point 4).

NULL_DRAWS = 2_000
"""Draws of the null distribution of one comparison. p-values far below 1 in 2,000 stay accurate: the radius is
integrated.
"""
SCREENING_DRAWS = 200
"""The same for `bgpdrift.drift.rule.screen`, which explains and does not decide."""
MIN_P = 1e-12
"""Smallest p-value given."""

# Materiality ("The rule", point 5) and the smallest detectable shift.

NOMINAL_TAIL_SHARE = 0.05
"""Share above the 95 % point of the reference. A change of the tail is relative to at least this."""
DETECTION_POWER = 0.8
"""Probability with which the smallest detectable shift is found. Customary in the design of experiments."""
MAX_SHIFT_BINS = 926
"""Largest shift tried, in bins of 1 %: twice a hundredfold on the logarithm."""

# Stability of a comparison ("The rule", point 6).

STABLE_P = 0.05
"""p-value that the change must keep without its most extreme hours. Simulation."""
SMOOTHING_H = 4
"""Hours that are averaged to decide whether a level fades."""
FADED_FROM_PEAK = 0.85
"""Share of its peak below which a fading level lies."""
FADED_FROM_PREVIOUS = 0.95
"""Share of its value half a smoothing span earlier below which a fading level lies."""
ALMOST_OVER = 0.25
"""Share of its peak below which a level is over, whether it still falls or not."""
CLEAR_FADE_SD = 4.0
"""Fall from the peak in standard deviations of the difference of two 4-hour means of the reference; the peak is a
maximum.
"""

# Change point.

MIN_LEVEL_H = 6
"""Hours that a level must last."""
CLEAR_SPLIT_F = 20.0
"""Ratio F by which two levels must fit better than one: a value that the best of many splits rarely reaches by chance.
"""

# Stability of a level under an open incident ("Attack or new normal?").

MIN_LEVEL_SCATTER = 0.1
"""Smallest scatter assumed, natural logarithm: hours that differ by a tenth are no wave, however quiet the reference
is.
"""
MAX_SCATTER_RATIO = 2.5
"""Multiple of the reference's scatter up to which a level is stable. Lives."""
MAX_TREND_RATIO = 3.0
"""Multiple of the scatter by which a stable level may rise or fall over the window. Lives."""
MAX_SURGE = 0.4
"""Growth of the relative scatter of minutes within an hour, natural logarithm: by half. Lives."""
MAX_UNMOVED_SHARE = 0.25
"""Share of an hour's minutes that may stay at the reference level while its extremes left it. Lives."""
MIN_WINDOW_SHARE = 0.75
"""Share of the window's hours that must hold data."""
MIN_LEVEL_REFERENCE_H = 48
"""Hours of reference needed to judge a level."""
NEWEST_LEVEL_H = 6
"""Newest hours whose median is the present level."""
RETURNED_SHARE = 0.25
"""Share of hours back at the reference level from which a level that had left it is intermittent. Lives."""
MAX_BURST_SHARE = 1 / 6
"""Share of the window's hours, consecutive, that may be another incident: 2 of 12. Lives."""
MIN_MOVE_RATIO = 2.0
"""Multiple of the scatter from which a level differs from the reference, so that a person is asked about it."""
CLEAR_SHIFT_RATIO = 4.0
"""Multiple of the scatter from which a level has clearly left the reference."""

# Reversion of minutes to the reference level ("Attack or new normal?").

MAX_REVERTED_SHARE = 0.08
"""Share of minutes back at the reference level from which a level comes in waves. Lives."""
MIN_REVERSION_FACTOR = 2.0
"""Factor between two levels from which reversion is judged: a doubling, or a half."""
MAX_OVERLAP_HOURS = 0.04
"""Share of the reference beyond half way to the other level up to which levels over many hours can be separated."""
MAX_OVERLAP_HOUR = 0.1
"""The same within single hours, of which the median is taken."""
HIGH_QUANTILE, LOW_QUANTILE = 0.9, 0.1
"""Quantiles that stand for the highest and the lowest minutes of an hour."""
SEASON_SMOOTHING_H = 2
"""Hours on either side that are pooled for the median at an hour of day."""

# Incidents that hold a drift ("Attack or new normal?").

MAX_GROUP_PAUSE_S = 6 * HOUR_S
"""Pause between incidents beyond which they are not one group."""
MAX_BRIEF_PAUSE_S = 2 * HOUR_S
"""Pause that never separates incidents. A longer one does if it is longer than the earlier incident lasted."""
MIN_CLOSED_INCIDENTS = 3
"""Closed incidents needed to hold a drift: one or two that are over do not."""
CROWDED_SHARE = 0.5
"""Share of a group's hours inside incidents from which closed incidents hold a drift."""

# Persistence ("The rule", point 7).

MAX_CHECK_GAP_S = DAY_S
"""Time between two checks beyond which they are not consecutive: after an outage the count begins again."""
MIN_REARM_S = HOUR_S
"""Time after a retraining request before the same drift may be requested again, whatever the cooldown setting."""

# Windows ("The rule", point 1).

PINNED_REFERENCE_H = 168
"""Clean hours of the pinned reference of a version whose artifact holds none: its first week."""

# Measures (docs/drift-report.md).

PSI_GROUPS = 10
"""Quantile groups over which KL, JS and the PSI of the textbook policies are taken. Custom in credit scoring [4]."""
PSEUDOCOUNT = 0.5
"""Added to every group on both sides, so that no group is empty and no logarithm infinite."""
EMBEDDING_GROUPS = 50
"""Groups over which the KL divergence of an embedding is taken."""
VOLUME_FACTOR = 2.0
"""Factor between the volumes of an hour from which a volume is reported as `low`."""
DAILY_GROWTH = 0.1
"""Relative growth a day from which it is reported as `low`."""
MIN_GROWTH_DAYS = 4
"""Whole days needed to give a growth."""
MAX_MODEL_AGE_D = 90.0
"""Days since the end of the training span from which a model is reported as old."""
MAX_LAG_S = 900.0
"""Seconds behind the wall clock from which data are reported as late."""
CATEGORY_BLOCK_H = 6
"""Hours that are exchanged as one block: one incident mostly fills one block."""
MIN_CATEGORY_EVENTS = 30
"""Events needed in each window to compare a mix of categories."""
MATERIAL_JS_BITS = 0.01
"""Jensen-Shannon divergence below which a change of mix has no severity, however certain it is."""

# Policies (docs/drift-report.md, "Policies").

COMBINED_WEIGHTS = {"kl": 0.3, "psi": 0.4, "accuracy": 0.3}
"""Weights of the combined score of the policy ``kl_psi_accuracy``."""
ANOMALY_RATE_SHIFT = 0.20
"""Relative change of the anomaly rate that the policy ``score_shift`` counts for a score log without a registered
detector.
"""
MAX_COMBINED_PART = 2.0
"""Multiple of its threshold up to which a part counts in the combined score."""

# Histograms.

BIN_WIDTH = 1.01
"""Ratio of the upper to the lower edge of a bin. Figures then agree with those of raw values within 1e-3."""
LOG_BIN_WIDTH = math.log(BIN_WIDTH)
MIN_MAGNITUDE = 1e-9
"""Magnitudes below this fall into the zero bin."""
