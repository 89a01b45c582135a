"""Which modes does a walk follow by themselves? Neither those asleep nor those that settled.

At every time a mode is one of three: it has hardly moved yet (asleep.py), it moves, or it has
forgotten its start and follows what drives it (settled.py). Those that move are followed, and few
for each of the two others; of 500 modes at d = 1e9, some 200. A walk asks after every block, and
where a formula changes, every mode that had settled is back.
"""

from __future__ import annotations

import numpy as np

from hidim.engines.asleep import Asleep
from hidim.engines.many_modes import Smooth
from hidim.engines.settled import FEWEST, Settled
from hidim.systems.base import Array, System

# Share of what a block may leave in doubt that all the modes told by others may; at first, a share
# of that.
_SHARE, _EARLY = 3e-4, 1e-2
# How many times longer than a mode's memory at least, and by what factor more is tried.
_AGES, _TRIES = 16.0, 6
# Time passes by this factor until more settled modes are looked for.
_PATIENCE = 3.0
# Steps larger than this make a mode answer within its octave as no polynomial does.
_SMALL_STEP = 0.2
_WORTH = 0.2  # share of those followed that is saved at least
_MANY = 128  # modes asleep that are worth finding out which they are
_NOTHING = 1e-290

Chosen = tuple[System, Array]


class Few:
    """The modes of a system, of which few are followed.

    Args:
        system: with every mode.
        tolerance: error allowed per block.

    Attributes:
        allowed: share of the risk by which those that are told may be told wrongly.
    """

    def __init__(self, system: System, tolerance: float) -> None:
        assert isinstance(system, Smooth)
        self._whole, self._smooth = system, system
        self.allowed = _SHARE * tolerance
        # What no order reads, as a momentum, is told by what it does to the others.
        self._seen = np.flatnonzero(np.any(system.weights, axis=(0, 2)))
        self._start = system.start()[..., self._seen[0], :]
        self._since, self._next, self._ages = 0.0, 0.0, _AGES
        self._settled: Settled | None = None
        self._asleep: Asleep | None = None
        self._lay_out()

    @property
    def since(self) -> float:
        """When the formula began under which modes settle."""
        return self._since

    def begin(self, steps: int, state: Array) -> Chosen | None:
        """Leave those asleep that will hardly have moved after so many steps; None for none.

        Args:
            state: (..., kinds, modes), the start; what is carried beside it is zero.
        """
        start, smooth = self._whole.start(), self._smooth
        if len(self._seen) > 1 or np.any(np.delete(start, self._seen, axis=-2)):
            return None
        stiffness = float(np.max(smooth.stiffness(np.arange(0.0, steps + 1.0, 16.0))))
        fast = max(1, int(np.count_nonzero(stiffness * steps * smooth.places > 1.0)))
        positive = int(np.count_nonzero(smooth.places > 0))
        size = self._start @ smooth.places
        while positive - fast > _MANY:
            asleep = Asleep.choose(smooth, slice(fast, positive), self._start)
            assert asleep is not None
            alone = smooth.at_places(asleep.places[::2], np.zeros(len(asleep.counts)))
            unit = np.zeros((*start.shape[:-1], len(asleep.counts)))
            unit[..., self._seen, :] = 1.0
            moved = alone.steps(0.0, steps, unit)[0][-1][..., self._seen[0], :]
            if np.all(asleep.bent(moved) <= _EARLY * self.allowed * size):
                self._asleep = asleep
                nodes = np.zeros((*state.shape[:-1], len(asleep.places)))
                of_start = asleep.state(np.stack([unit, 0.0 * unit], axis=-1))
                nodes[... if state.ndim == start.ndim else 0] = of_start
                return self._chosen(state, nodes)
            fast = asleep.next
        return None

    def sleep(self, state: Array) -> bool:
        """Whether those asleep still do."""
        if self._asleep is None:
            return True
        doubt = self._asleep.doubt(self._parts(state)[1])
        return bool(np.all(doubt <= self.allowed * (np.abs(state) @ self._places + _NOTHING)))

    def wake(self, state: Array) -> Chosen:
        """Follow the fastest of those asleep by themselves."""
        asleep, smooth = self._asleep, self._smooth
        assert asleep is not None
        full, nodes = self._full(state)
        full[..., asleep.modes] = asleep.full(nodes, self._start, smooth.counts)
        self._asleep = Asleep.choose(smooth, slice(asleep.next, asleep.modes.stop), self._start)
        if self._asleep is not None:
            nodes = self._asleep.state(asleep.units_at(nodes, self._asleep))
        return self._chosen(full, nodes)

    def again(self, state: Array, time: float) -> Chosen | None:
        """Another choice at this time, and its state; None where it stays.

        Args:
            state: (..., kinds, modes followed) at the time.
        """
        settled = self._settled
        if settled is not None and not self._still_told(settled, state):
            self._ages *= 2.0
            return self._back(state, time)
        if time < self._next:
            return None
        self._next = self._since + _PATIENCE * (time - self._since)
        full, nodes = self._full(state)
        found = self._look(full, time)
        if found is None:
            return None
        self._settled = found
        return self._chosen(full, nodes)

    def restart(self, state: Array, time: float) -> Chosen | None:
        """Every mode that had settled by itself again, where there are; time counts from now."""
        self._since, self._ages = time, _AGES
        return self._back(state, time)

    def _back(self, state: Array, time: float) -> Chosen | None:
        self._next = time
        if self._settled is None:
            return None
        full, nodes = self._full(state)
        self._settled = None
        return self._chosen(full, nodes)

    def _look(self, full: Array, time: float) -> Settled | None:
        """Modes that others tell, as many as do."""
        smooth, step = self._smooth, self._smooth.stiffness(np.array([time]))
        awake = len(smooth.places) if self._asleep is None else self._asleep.modes.start
        ages = step * smooth.places[:awake] * (time - self._since)
        first = int(np.count_nonzero(step * smooth.places[:awake] > _SMALL_STEP))
        told = 0 if self._settled is None else len(self._settled.spread) - FEWEST
        seen = full[..., self._seen, :awake]
        allowed = self.allowed * (np.abs(seen) @ smooth.places[:awake] + _NOTHING)
        for least in self._ages * 2.0 ** np.arange(_TRIES):
            modes = slice(first, int(np.count_nonzero(ages > least)))
            more = modes.stop - modes.start - FEWEST - told
            if more <= _WORTH * (awake - told) or not np.all(smooth.counts[modes]):
                return None
            found = Settled.choose(smooth, modes)
            if np.all(found.untold(smooth, seen) <= allowed):
                self._ages = least
                return found
        return None

    def _still_told(self, settled: Settled, state: Array) -> bool:
        """Whether the witnesses are what the nodes say."""
        seen = state[..., self._seen, :]
        witnesses = seen[..., self._by] / self._smooth.counts[settled.witnesses]
        gap = settled.unseen(seen[..., self._at] / settled.counts, witnesses)
        return bool(np.all(gap <= self.allowed * (np.abs(seen) @ self._places + _NOTHING)))

    # A state holds the modes awake, and after the faster ones of them the nodes of those asleep.

    def _lay_out(self) -> None:
        """Which modes are awake, and where the nodes of those that settled are in a state."""
        smooth, settled, asleep = self._smooth, self._settled, self._asleep
        awake = np.ones(len(smooth.places), dtype=bool)
        if settled is not None:
            awake[settled.modes] = False
            awake[settled.nodes] = awake[settled.witnesses] = True
        if asleep is not None:
            awake[asleep.modes] = False
        self._awake = np.flatnonzero(awake)
        counts = smooth.counts.astype(np.float64)
        if settled is not None:
            # Those asleep are slower, hence behind.
            self._at = np.searchsorted(self._awake, settled.nodes)
            self._by = np.searchsorted(self._awake, settled.witnesses)
            counts[settled.nodes] = settled.counts
        places, counts = smooth.places[self._awake], counts[self._awake]
        self._before, self._inside = len(self._awake), 0
        if asleep is not None:
            self._before = int(np.searchsorted(self._awake, asleep.modes.start))
            self._inside = len(asleep.places)
            places = np.insert(places, self._before, asleep.places)
            counts = np.insert(counts, self._before, asleep.carried)
        self._places, self._counts = places, counts

    def _parts(self, state: Array) -> tuple[Array, Array]:
        """The modes awake, and the nodes of those asleep."""
        end = self._before + self._inside
        awake = np.concatenate([state[..., : self._before], state[..., end:]], axis=-1)
        return awake, state[..., self._before : end]

    def _full(self, state: Array) -> tuple[Array, Array]:
        """The state of every mode but those asleep, which is unset, and the nodes of these."""
        awake, nodes = self._parts(state)
        full = np.empty((*state.shape[:-1], len(self._smooth.places)))
        settled = self._settled
        if settled is not None:
            values = awake[..., self._at] / settled.counts
            told = (values @ settled.spread.T) * self._smooth.counts[settled.modes]
            full[..., settled.modes] = told
            alone = np.delete(np.arange(len(self._awake)), self._at)
            full[..., self._awake[alone]] = awake[..., alone]
        else:
            full[..., self._awake] = awake
        return full, nodes

    def _chosen(self, full: Array, nodes: Array) -> Chosen:
        """The system of what is followed now, and its state."""
        self._lay_out()
        state, settled = full[..., self._awake], self._settled
        if settled is not None:
            state[..., self._at] *= settled.counts / self._smooth.counts[settled.nodes]
        if self._asleep is not None:
            before, after = state[..., : self._before], state[..., self._before :]
            state = np.concatenate([before, nodes, after], axis=-1)
        if state.shape[-1] == len(self._smooth.places) and self._asleep is None:
            return self._whole, state
        return self._smooth.at_places(self._places, self._counts), state
