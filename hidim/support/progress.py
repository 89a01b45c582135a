"""One progress line on standard error for long work; silent when nobody is watching."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TextIO, TypeVar

T = TypeVar("T")


class Progress:
    """A bar that shows itself only after half a second, and only on a terminal.

    Args:
        total: amount of work, in the unit that `advance` counts.
        label: what is being done.
        enabled: force on or off; None means "when standard error is a terminal".
    """

    def __init__(self, total: float, label: str, *, enabled: bool | None = None) -> None:
        self._stream: TextIO = sys.stderr
        self._total = max(float(total), 1e-300)
        self._label = label
        self._enabled = self._stream.isatty() if enabled is None else enabled
        self._start = time.monotonic()
        self._shown_at = self._start + 0.4
        self._before = self._done = 0.0

    def begin(self, before: float) -> None:
        """Count from `before`, done at no cost: the time left is judged by the rest alone."""
        self._before = self._done = before

    def advance(self, amount: float = 1.0) -> None:
        """Count `amount` more as done."""
        self.to(self._done + amount)

    def to(self, done: float) -> None:
        """Set the amount done so far."""
        self._done = done
        now = time.monotonic()
        if self._enabled and now - self._shown_at > 0.1:
            self._shown_at = now
            self._draw(now)

    def _draw(self, now: float) -> None:
        share = min(max(self._done / self._total, 0.0), 1.0)
        elapsed = now - self._start
        now_done, rest = self._done - self._before, self._total - self._before
        known = now_done > 0.01 * rest
        left = f"{elapsed * (rest - now_done) / now_done:.0f} s left" if known else "..."
        bar = "#" * round(24 * share)
        self._stream.write(f"\r\x1b[2K{self._label} [{bar:<24}] {share:4.0%} {left}")
        self._stream.flush()

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._enabled and self._shown_at > self._start + 0.45:
            self._stream.write("\r\x1b[2K")
            self._stream.flush()


def track(work: Sequence[T], label: str, *, enabled: bool | None = None) -> Iterator[T]:
    """Each item in turn, counted on a bar as the next one is asked for.

    >>> list(track("ab", "letters"))
    ['a', 'b']
    """
    with Progress(len(work), label, enabled=enabled) as bar:
        for item in work:
            yield item
            bar.advance()
