"""Who holds this folder? One process at a time, and nobody once it has died.

The lock is the system's own, on a file: when a process ends, however it ends, the system lets go.
A mark on the disk in its place would outlive a kill, so a file system without locks is refused.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from hidim.support.extras import require


def take(path: Path, *, wait: bool) -> Any | None:
    """Hold the lock file `path`; None if another holds it and we do not `wait`.

    Returns:
        What is held until its `release()`.

    Raises:
        MissingExtra: filelock is not installed.
        OSError: the file cannot be written, or its file system has no locks.
    """
    filelock: Any = require("filelock", "lab")
    lock = filelock.FileLock(
        path, blocking=wait, poll_interval=0.02, thread_local=False, fallback_to_soft=False
    )
    try:
        lock.acquire()
    except filelock.Timeout:
        return None
    except OSError as error:
        if error.errno == errno.ENOSYS:
            raise OSError(errno.ENOSYS, "its file system has no locks") from None
        raise
    return lock


def holds(lock: Any) -> bool:
    """Whether the file that is held is still the one that others would ask for."""
    try:
        mine = os.fstat(lock._context.lock_file_fd)
    except (OSError, TypeError, AttributeError):  # not said: the lock itself is trusted
        return True
    try:
        now = os.stat(lock.lock_file)
    except FileNotFoundError:
        return False
    return (mine.st_ino, mine.st_dev) == (now.st_ino, now.st_dev)
