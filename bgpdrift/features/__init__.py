"""From messages to feature windows: routing state, classification of elements, event time.

`batch` converts messages into arrays. `routes`, `paths` and `prefix_table` hold the latest route of every peer, and
`transitions` compares an element with it. `classification` combines these for one collector, `window` accumulates one minute,
`collector` assigns elements to windows, and `aggregator` runs event time over all collectors. Only `checkpoint` and
`spool_aggregation` open files.
"""
