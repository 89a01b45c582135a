"""How long may a block be where the dynamics grow? Short against the time of growth.

An implicit method damps an unstable mode that it steps over, and the curve would look stable. So
growth is asked for before every block: where the frozen dynamics feed back more than they lose
(`System.loop_gain` above 1), the block stays short enough that polynomials see it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from hidim.engines.collocation import Span
from hidim.systems.base import Array, Drive, System

# Growth over one block, as an exponent: polynomials of a block's degree follow it with ease.
_PER_BLOCK = 6.0
# By what factor of time, and by how many blocks at least, growth is looked for ahead, at how many
# times.
_AHEAD, _AT_LEAST, _LOOKS = 8.0, 4.0, 28


class Growth:
    """Watches one walk for growth.

    Args:
        looks_ahead: whether rates are smooth and known, so that one look serves many blocks.
        read: the system that answers on a block, where fewer nodes do; None for the system itself.
    """

    def __init__(
        self,
        *,
        looks_ahead: bool,
        read: Callable[[System, Span], System] = lambda system, _: system,
    ) -> None:
        self._calm_until = 0.0 if looks_ahead else -1.0
        self._read = read

    def limit(
        self, systems: Sequence[System], states: Sequence[Array], span: Span, end: float
    ) -> float:
        """The longest block, at most the span's, on which growth stays visible.

        Args:
            systems: drivers first.
            states: where they stand.
            end: of the walk.
        """
        if self._is_calm(systems[0], span, end):
            return span.length
        length, drive = span.length, None
        for system, x in zip(systems, states, strict=True):
            q = np.asarray(system.order(x))
            reader = self._read(system, span)
            here = _Frozen(None, None, drive) if reader.affine else _Frozen(x, q, drive)
            times = span.times[~(here.gain(reader, span.times, 0.0) < 1.0)]
            while length > 1.0 and times.size:
                if np.all(here.gain(reader, times, _PER_BLOCK / length) < 1.0):
                    break
                length *= 0.7
            drive = (np.broadcast_to(x, (1, *x.shape)), q[None])
        return length

    def _is_calm(self, system: System, span: Span, end: float) -> bool:
        """Whether nothing grows on the block; asked for some blocks ahead at a time."""
        last = min(span.start + span.length, span.last_time)
        if 0.0 <= self._calm_until < last:
            far = max(_AHEAD * span.start, span.start + _AT_LEAST * span.length)
            ahead = max(last, min(far, span.last_time, end))
            times = np.geomspace(1.0 + span.start, 1.0 + ahead, _LOOKS) - 1.0
            reader = self._read(system, replace(span, length=ahead - span.start))
            gain = _Frozen(None, None, None).gain(reader, np.clip(times, span.start, ahead), 0.0)
            if np.all(gain < 1.0):
                self._calm_until = ahead
        return last <= self._calm_until


class _Frozen(NamedTuple):
    """Where a system is linearised: nowhere in particular if it is affine."""

    x: Array | None
    q: Array | None
    drive: Drive | None

    def gain(self, system: System, times: Array, w: float) -> Array:
        """The loop gain there at the times."""
        return system.loop_gain(times, w, x=self.x, q=self.q, drive=self.drive)
