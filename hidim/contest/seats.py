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
        self._own, theirs = os.pipe()  # by which the process that forks speaks, and no method
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hidim.contest.seat", str(theirs)],
            pass_fds=(theirs,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=os.environ | one | {"PYTHONPATH": path},
            start_new_session=True,
        )
        os.close(theirs)
        self._buffers = {stream: b"" for stream in (self._heard_from, self._own)}
        self._pushed: list[dict[str, Any]] = []
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
        if self._pushed:
            return self._pushed.pop()
        until = time.monotonic() + seconds
        # What a method said comes before the news that it has left.
        while not (whole := [s for s, held in self._buffers.items() if b"\n" in held]):
            left = max(until - time.monotonic(), 0.0)
            ready = select.select(list(self._buffers), [], [], left)[0]
            if not ready:
                raise Silent(f"no answer in {seconds:g} s")
            for stream in ready:
                part = os.read(stream, 65536)
                if not part:
                    raise Broken("its process died")
                self._buffers[stream] += part
        line, _, self._buffers[whole[0]] = self._buffers[whole[0]].partition(b"\n")
        try:
            heard = json.loads(line)
        except ValueError:
            heard = None
        spoken = isinstance(heard, dict) and not (
            whole[0] != self._own and {"ready", "exit"} & heard.keys()
        )
        if not spoken:
            raise Broken("it wrote to the harness's own pipe")
        found: dict[str, Any] = heard
        return found

    @property
    def _heard_from(self) -> int:
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def pushed_back(self, message: dict[str, Any]) -> None:
        """Hear it once more."""
        self._pushed.append(message)

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
        os.close(self._own)
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
