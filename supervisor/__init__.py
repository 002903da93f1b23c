"""The process manager: it keeps the services running and knows nothing of BGP.

``services`` names what runs and in which order; ``lifecycle`` and ``restart_budget`` decide (pure); ``supervised`` is
one service's life; ``child``, ``procfs``, ``orphans``, ``notify_socket`` and ``log_capture`` are the thin shell of
processes, sockets and files; ``loop`` turns the wheel; ``control`` answers commands; ``cli`` asks them.
"""
