"""Which optimizer is best under one budget? Tasks, methods, and a harness that counts for itself.

    from hidim.contest import Log, Method, Task

A method is one file, a task is one file: docs/how-to/contest.md. The command is `hidim contest`.
Names are loaded on first use; torch is needed for running only.
"""

from hidim.support.lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Method": "entries",
        "Task": "entries",
        "Setting": "entries",
        "Weight": "entries",
        "Log": "spaces",
        "Linear": "spaces",
        "Options": "spaces",
        "Protocol": "protocol",
    },
)
