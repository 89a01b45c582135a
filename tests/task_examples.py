"""Tasks that workers can import: they wait, fail, or kill the process they run in."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path


def square(task):
    """After a while; a task (number, seconds)."""
    number, seconds = task
    time.sleep(seconds)
    return {"square": number**2, "process": os.getpid()}


def dies_once(task):
    """The number, from the second try on: the first kills its process. A task (number, mark)."""
    number, mark = task
    if mark is not None and not Path(mark).exists():
        Path(mark).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def dies(task):
    """Always."""
    os.kill(os.getpid(), signal.SIGKILL)


def refuses(task):
    """A task that cannot be done."""
    if task == 2:
        raise ValueError("`task` must not be 2")
    return task
