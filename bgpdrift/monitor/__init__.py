"""The application of the drift monitor: fold -> check -> request -> run -> probation.

`monitor_worker` runs one step after the other. `folding` adds scores and features to hourly histograms. `drift_checks` runs the
check that `check_schedule` finds due, has it judged by `drift_judgement`, and records it. `retraining_requests` decides requests
by the `safeguards` and drops a flag file. `retraining_runs` starts the retrainer, and `flagged_requests` follows the request to
its end. `probation` examines the new version and accepts it or rolls it back, as `probation_rule` decides.
"""
