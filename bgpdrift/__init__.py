"""bgpdrift watches the Internet's routing (BGP) for anomalies and maintains its detectors automatically.

This package is the library and the code of the services. It starts no service: `supervisor` starts the services, and
`retrainers` trains the models. The package imports nothing by itself; each module is imported where it is used.
"""

__version__ = "0.1.0"
