"""The process manager: keeps the services running. It contains no BGP code and loads neither numerical nor database libraries.

Pure decisions: `services` (which programs run, in which order), `lifecycle` (which state follows which event),
`restart_budget` (when a failed service is started again), `shutdown` and `rolling` (which service is stopped or restarted
next), `reloading` (which services changed settings concern), `status` (how all of it is shown).

`supervised` is one service with its state and process. `process_control`, `orphans`, `notify_socket`, `log_capture` and
`log_files` handle processes, sockets and files. `loop` joins them on one event loop, `operations` carries out commands,
`housekeeping` measures periodically, `control` and `commands` answer requests, and `cli` and `client` send them.
"""
