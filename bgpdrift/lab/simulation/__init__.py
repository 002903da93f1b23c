"""A seeded simulation of the Internet that serves RIS Live frames, with incidents and drift regimes whose truth is known.

`scenario` defines what happens, `world` the ASes, peers and paths, `season` the traffic of each minute. `churn`, `sessions` and
`incidents` plan actions. `engine` applies them in time order to the routes of each peer. `frames` and `mrt_records` write what a
collector receives, `truth` the ground truth.
"""
