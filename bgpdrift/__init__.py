"""bgpdrift watches the Internet's routing (BGP) for anomalies and maintains its detectors automatically.

This package is what the system knows; it starts no process. Who starts them is `supervisor`, who trains models is
`retrainers`. Importing it costs nothing: every part is imported where it is used.
"""

__version__ = "0.1.0"
