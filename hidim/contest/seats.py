"""Who starts the process of seats, and how does one talk with it? (seat.py is its other side.)"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from hidim.contest.refusals import Broken, Refused, Silent

PATIENCE = 120.0  # seconds for one step: a busy machine is no cheat


class Seats:
    """The process that forks a seat for every run."""

    def __init__(self) -> None:
        if not hasattr(os, "fork"):
            raise ValueError("a contest needs Linux or macOS: every run is a forked process.")
        path = os.pathsep.join(filter(None, [*sys.path, os.getcwd()]))
        one = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hidim.contest.seat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | one | {"PYTHONPATH": path},
            start_new_session=True,
        )
        self._buffer = b""
        self.hear(PATIENCE)  # that it is ready

    @property
    def open(self) -> bool:
        """Whether it still works."""
        return self._process.poll() is None

    def tell(self, **message: Any) -> None:
        """Send a message."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # the next `hear` says so
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    def hear(self, seconds: float) -> dict[str, Any]:
        """The next message.

        Raises:
            Silent: none came in time.
            Broken: the process has died, or says what is no message.
        """
        stream = self._process.stdout
        assert stream is not None
        until = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            ready = select.select([stream], [], [], max(until - time.monotonic(), 0.0))[0]
            if not ready:
                raise Silent(f"no answer in {seconds:g} s")
            part = os.read(stream.fileno(), 65536)
            if not part:
                raise Broken("its process died")
            self._buffer += part
        line, _, self._buffer = self._buffer.partition(b"\n")
        try:
            heard = json.loads(line)
        except ValueError:
            heard = None
        if not isinstance(heard, dict):
            raise Broken("it wrote to the harness's own pipe")
        return heard

    def pushed_back(self, message: dict[str, Any]) -> None:
        """Hear it once more."""
        self._buffer = json.dumps(message).encode() + b"\n" + self._buffer

    def left(self) -> bool:
        """Whether the one who was refused has left by itself, and another may sit."""
        try:
            while "exit" not in self.hear(1.0):
                pass
        except Refused:
            return False
        return True

    def close(self) -> None:
        """End the process and whatever it forked."""
        end, kill = getattr(os, "killpg", os.kill), getattr(signal, "SIGKILL", signal.SIGTERM)
        with suppress(ProcessLookupError, PermissionError):
            end(self._process.pid, kill)
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait()


_open: list[Seats] = []


def seats_here() -> Seats:
    """This process's, started anew where it has died."""
    while _open and not _open[0].open:
        _open.pop().close()
    if not _open:
        _open.append(Seats())
    return _open[0]


@atexit.register
def leave() -> None:
    """End it; the next run starts another."""
    while _open:
        _open.pop().close()
