"""What one minute looks like: routing state, feature definitions, event-time windows.

`batch` turns messages into arrays; `routes`, `paths` and `prefix_table` hold what every peer said last; `transitions`
compares the two; `window` sums a minute; `collector` ties these together for one route collector; `aggregator` runs
event time over all of them. Nothing here opens a file or reads a clock, except `checkpoint`, which saves the state.
"""
