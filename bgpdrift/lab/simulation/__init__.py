"""A seeded simulated Internet that speaks RIS Live, with incidents and drift regimes whose truth is known.

`scenario` says what shall happen, `world` who there is and which paths exist, `season` how busy a minute is. `churn`,
`beacons`, `sessions` and `incidents` plan actions, `engine` carries them out in time order against the routes each peer
holds, `frames` and `mrt_records` write what a collector would have seen, `truth` what really happened.
"""
