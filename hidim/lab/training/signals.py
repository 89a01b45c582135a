"""Which signals ask a run to save and leave, and who else has a say?

A closed terminal sends HUP, a scheduler TERM, USR1, USR2 or XCPU, Ctrl-C INT, Ctrl-\\ QUIT: each is
noted, and the run saves after the step it is in. A signal that is ignored when training begins
(`nohup`, `&` in a script) stays ignored. One that somebody else handles, as submitit does to queue
its jobs again, is theirs: the run saves, and then lets them decide whether it goes on.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

# Those that this system has; Windows has few.
STOPPING = tuple(
    getattr(signal, name)
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT", "SIGXCPU")
    if hasattr(signal, name)
)
# `timeout`, or a shell that passes on what its terminal sends too, signals twice at once.
_ECHO_SECONDS = 1.0


class Caught:
    """The signals that came while a run was training.

    Attributes:
        stop: number of the first that asks to leave, or None.
        theirs: numbers of those that somebody else handles, since the last `hand_over`.
    """

    def __init__(self) -> None:
        self.stop: int | None = None
        self.theirs: list[int] = []
        self._since = 0.0
        self._before: dict[int, Any] = {}

    def watch(self, number: int) -> None:
        """Note this signal from now on, unless it is ignored."""
        before = signal.getsignal(number)
        # None is a handler in C, which could not be put back.
        if before is not None and before is not signal.SIG_IGN:
            self._before[number] = before
            signal.signal(number, self._note)

    def restore(self) -> None:
        """Put back what was there."""
        for number, before in self._before.items():
            signal.signal(number, before)

    def hand_over(self) -> None:
        """Call the handlers of others for what came; they may raise, or let the run go on."""
        while self.theirs:
            number = self.theirs.pop(0)
            self._before[number](number, None)

    def _note(self, number: int, frame: Any) -> None:
        before = self._before[number]
        if callable(before) and before is not signal.default_int_handler:
            self.theirs.append(number)
        elif self.stop is None:
            self.stop, self._since = number, time.monotonic()
        elif time.monotonic() - self._since > _ECHO_SECONDS:  # whoever asks again means it
            signal.signal(number, before)
            signal.raise_signal(number)


@contextmanager
def caught_signals() -> Iterator[Caught]:
    """Note the signals that ask to stop instead of dying of them, as long as the block lasts."""
    caught = Caught()
    # Of another thread than the main one: whoever owns that decides.
    for number in STOPPING if _in_main_thread() else ():
        caught.watch(number)
    try:
        yield caught
    finally:
        caught.restore()


@contextmanager
def passing_on(stop: Callable[[], None]) -> Iterator[list[int]]:
    """Call `stop` for every signal that asks to stop; the numbers of those that came."""
    asked: list[int] = []

    def note(number: int, frame: Any) -> None:
        asked.append(number)
        stop()

    before = {number: signal.getsignal(number) for number in STOPPING}
    ours = [n for n, handler in before.items() if handler not in (None, signal.SIG_IGN)]
    ours = ours if _in_main_thread() else []
    try:
        for number in ours:
            signal.signal(number, note)
        yield asked
    finally:
        for number in ours:
            signal.signal(number, before[number])


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
