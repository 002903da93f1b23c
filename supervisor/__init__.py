"""The process manager: it keeps the services running and knows nothing of BGP.

What decides is pure: ``services`` names what runs and in which order, ``lifecycle`` what may follow what,
``restart_budget`` how often and when a failed one is tried again, ``going_down`` and ``rolling`` whose turn it is to end or
to be restarted, ``reloading`` whom changed settings concern, ``disk_watch`` how the disk is, ``status`` how all of it
reads. ``supervised`` is one service's life. The shell of processes, sockets and files is ``child``, ``procfs``,
``orphans``, ``notify_socket``, ``log_capture`` and ``log_files``, held together by ``hands``; ``loop`` turns the wheel,
``housekeeping`` looks around, ``control`` and ``commands`` answer, ``cli`` and ``client`` ask.
"""
