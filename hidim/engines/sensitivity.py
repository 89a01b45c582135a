"""How does a curve answer to the numbers of its schedules? d log risk / d parameter, exactly.

Along a walk the state's derivative obeys the same equation as the state, with the explicit
dependence `slopes` as its source: the same matrices, one more right-hand side per parameter
(forward, a derivative at every asked step). Backwards, one sweep of transposed solves gives the
derivatives of one number, the risk at the last step, with respect to any number of parameters
(adjoint): `with_slopes` takes it where there are many parameters and one step.
Source: derived for this project. Limits: no driver, every mode solved by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.engines.collocation import Block, Span, respond, solve_block
from hidim.engines.control import Controlled, controlled
from hidim.engines.march import Resolution, Walk
from hidim.engines.record import Record
from hidim.engines.start import empty_record
from hidim.systems.base import Array, System

# Parameters from which one sweep backwards is cheaper than a column for each.
MANY = 8
# How far a readout is moved along a derivative: exact where it is quadratic.
_STEP = 1e-4
_HELD = 256  # single steps whose maps are held at once


def with_slopes(
    system: System,
    at: Array,
    rtol: float,
    names: Sequence[str],
    *,
    shown: str = "risk",
    moments: bool = False,
    adjoint: bool | None = None,
) -> Controlled:
    """A controlled curve with columns "d_<name>".

    Args:
        adjoint: backwards instead of forward; by default where `names` are many and `at` is one
            step.

    Raises:
        ValueError: the theory has a driver or single steps alone.
    """
    if system.driver is not None or system.stepped:
        raise ValueError(
            "`sensitivity` is not known for a theory behind a driver, as that of measured rows is "
            "behind its mean, nor for single steps. Use differences of two predictions."
        )
    for name in names:
        _refuse_what_is_not_followed(system, name)
    backwards = len(names) > MANY and len(at) == 1 if adjoint is None else adjoint
    tapes: list[Tape] = []

    def finely(system: System, at: Array, resolution: Resolution) -> Record:
        record = empty_record(system, at, keep_states=moments)
        observer = Tape(system) if backwards else Tangents(system, record, names, shown)
        if isinstance(observer, Tape):
            tapes.append(observer)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            Walk(system, record, resolution, observer=observer).run(float(record.at[-1]))
        return record

    found = controlled(system, at, rtol, shown=shown, finely=finely)
    if backwards:
        slopes = tapes[-1].gradient(names, float(at[-1]), shown)
        for name, slope in zip(names, slopes, strict=True):
            found.record.columns["d_" + name] = np.full(len(at), np.nan)
            found.record.columns["d_" + name][-1] = slope
    return found


def _refuse_what_is_not_followed(system: System, name: str) -> None:
    """A parameter of the start, the orders or the risk itself has a derivative beside these."""
    other, moved = system.moved(name, 1e-3)
    if not np.isfinite(moved) or moved == 0.0:
        raise ValueError(f"`sensitivity`: {name!r} is no finite number, so it has no derivative.")
    x, t = system.start(), np.zeros(1)
    q = np.asarray(system.order(x))
    same = np.array_equal(other.start(), x) and np.array_equal(other.order(x), q)
    risk, moved_risk = (s.readouts(t, x[None], q[None])["risk"] for s in (system, other))
    if not same or not np.array_equal(risk, moved_risk):
        raise ValueError(
            f"`sensitivity`: {name!r} enters the start, the orders or the risk of this theory, "
            "and only what change and source hold is followed. Use differences of two predictions."
        )


class Tangents:
    """Forward: the derivative of the state with respect to every parameter, (names, ...)."""

    def __init__(self, system: System, record: Record, names: Sequence[str], shown: str) -> None:
        self._system, self._record, self._names, self._shown = system, record, names, shown
        self._now = np.zeros((len(names), *system.start().shape))
        for name in names:
            record.columns["d_" + name] = np.where(record.at == 0, 0.0, np.nan)

    @property
    def carried(self) -> Array:
        """The derivatives: of modes that tell others they are told alike."""
        return self._now

    def follow(self, system: System, carried: Array) -> None:
        """Other modes are followed from here."""
        self._system, self._now = system, carried

    def stretch(self, first: float, states: Array, orders: Array) -> None:
        """Single steps."""
        for start in range(0, len(states) - 1, _HELD):
            part = slice(start, min(start + _HELD, len(states) - 1))
            self._steps(first + start, states[part], orders[part])
            path = np.concatenate([self._path, self._now[None]])[1:]
            after = slice(part.start + 1, part.stop + 1)
            times = first + np.arange(after.start, after.stop, dtype=np.float64)
            asked = np.isin(times, self._record.at)
            self._write(times[asked], states[after][asked], orders[after][asked], path[asked])

    def _steps(self, first: float, states: Array, orders: Array) -> None:
        system = self._system
        times = first + np.arange(len(states), dtype=np.float64)
        change, _, gains = system.linearised(times, states, orders)
        maps = change + np.eye(system.kinds)
        given = system.slopes(self._names, times, states, orders).transpose(1, 3, 2, 0)
        flat = system.weights.transpose(0, 2, 1).reshape(len(system.orders), self._now[0].size)
        now = np.ascontiguousarray(self._now.transpose(2, 1, 0))  # (modes, kinds, names)
        path = np.empty((len(states), *self._now.shape))
        for i in range(len(states)):
            path[i] = now.transpose(2, 1, 0)
            orders_now = flat @ now.reshape(-1, len(self._names))
            now = maps[i] @ now + gains[i] @ orders_now + given[i]
        self._path, self._now = path, now.transpose(2, 1, 0)

    def block(self, block: Block) -> None:
        """A block: one more right-hand side each, of the matrices that solved it."""
        system, span, matrix = self._system, block.span, block.solved
        assert matrix is not None
        times, x, q = span.times[1:], block.x[1:], block.q[1:]
        slopes = system.slopes(self._names, times, x, q)  # (names, stages, kinds, modes)
        right = matrix.free_columns(self._now, slopes.transpose(0, 1, 3, 2))
        full = respond(system, matrix, right)[0].transpose(2, 3, 1, 0)
        path = np.concatenate([self._now[None], full])  # (stages + 1, names, kinds, modes)
        low = np.searchsorted(self._record.at, span.start, side="right")
        high = np.searchsorted(self._record.at, span.start + span.length, side="right")
        basis = span.scheme.basis(span.places(self._record.at[low:high]))
        seen = [np.tensordot(basis, part, axes=1) for part in (block.x, block.q, path)]
        self._write(self._record.at[low:high], *seen)
        self._now = path[-1]

    def _write(self, times: Array, x: Array, q: Array, slopes: Array) -> None:
        """Columns at the asked times from states and their derivatives (times, names, ...)."""
        if not len(times):
            return
        system, shown = self._system, self._shown
        place = np.searchsorted(self._record.at, times)
        value = system.readouts(times, x, q)[shown]
        reading = system.reading(times, x, shown)
        for k, name in enumerate(self._names):
            if reading is None:
                slope = along(system, times, x, q, slopes[:, k], shown)
            else:
                slope = np.einsum("taj,taj->t", reading, slopes[:, k])
            slope = slope + explicit(system, name, times, x, q, shown)
            self._record.columns["d_" + name][place] = slope / value


@dataclass(frozen=True)
class _Stretch:
    """Single steps: where they begin, how many, from which state."""

    first: float
    count: int
    x: Array


class Tape:
    """Backwards: where every piece of the walk began, to be solved again on the way back."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._pieces: list[_Stretch | tuple[Span, Array]] = []
        self._end: tuple[float, Array] = (0.0, system.start())

    @property
    def carried(self) -> None:
        """The way back needs every mode."""
        return None

    def follow(self, system: System, carried: Array) -> None:
        """Never asked."""
        raise AssertionError("every mode is followed")

    def stretch(self, first: float, states: Array, orders: Array) -> None:
        """Single steps."""
        for start in range(0, len(states) - 1, _HELD):
            count = min(_HELD, len(states) - 1 - start)
            self._pieces.append(_Stretch(first + start, count, states[start].copy()))
        self._end = (first + len(states) - 1, states[-1].copy())

    def block(self, block: Block) -> None:
        """A block."""
        self._pieces.append((block.span, block.x[0]))
        self._end = (block.span.start + block.span.length, block.end)

    def gradient(self, names: Sequence[str], last: float, shown: str = "risk") -> Array:
        """d log of what is shown at step `last`, where the walk ended, by every parameter."""
        system = self._system
        time, x = self._end
        if time != last:
            return np.full(len(names), np.nan)  # given up on the way
        at, q = np.array([time]), np.asarray(system.order(x))[None]
        value = float(system.readouts(at, x[None], q)[shown][0])
        total = np.array([explicit(system, n, at, x[None], q, shown)[0] for n in names])
        back = _from_readout(system, time, x, shown)
        for piece in reversed(self._pieces):
            if isinstance(piece, _Stretch):
                back = self._through_steps(piece, names, back, total)
            else:
                span, x = piece
                back = self._through_block(span, x, names, back, total)
        return total / value

    def _through_steps(
        self, piece: _Stretch, names: Sequence[str], back: Array, total: Array
    ) -> Array:
        system, count = self._system, piece.count
        states, orders = system.steps(piece.first, count, piece.x)
        times = piece.first + np.arange(count, dtype=np.float64)
        change, _, gains = system.linearised(times, states[:-1], orders[:-1])
        slopes = system.slopes(names, times, states[:-1], orders[:-1])
        for i in reversed(range(count)):
            total += np.einsum("naj,aj->n", slopes[:, i], back)
            fed = np.einsum("jao,aj->o", gains[i], back)
            moved = np.einsum("jab,aj->bj", change[i], back)
            back = back + moved + np.einsum("oaj,o->aj", system.weights, fed)
        return back

    def _through_block(
        self, span: Span, x: Array, names: Sequence[str], back: Array, total: Array
    ) -> Array:
        system = self._system
        block = solve_block(system, x, span)
        matrix, stages = block.solved, span.scheme.stages
        assert matrix is not None
        orders = len(system.orders) * stages
        # The end, and what every order at every stage reads.
        seen = np.zeros((matrix.modes, system.kinds, stages, 1 + orders))
        seen[:, :, -1, 0] = back.T
        reads = seen[..., 1:].reshape(*seen.shape[:3], len(system.orders), stages)
        reads = np.einsum("jasos->jaos", reads)
        reads[...] = system.weights.transpose(2, 1, 0)[..., None]
        turned = matrix.solve_transposed(seen)  # (modes, kinds, stages, 1 + orders)
        fed = matrix.fed(turned)  # (1 + orders, orders): what each column makes of the orders
        loop, given = fed[1:], fed[0]
        w = np.linalg.solve(np.eye(orders) - loop.T, given) if orders else given
        z = turned[..., 0] + turned[..., 1:] @ w
        slopes = system.slopes(names, span.times[1:], block.x[1:], block.q[1:])
        total += span.length * np.einsum("nsaj,jas->n", slopes, z)
        first = span.shift()[1:, 0]
        return -np.einsum("jas,s->aj", z, first)


def along(system: System, t: Array, x: Array, q: Array, slope: Array, shown: str) -> Array:
    """Derivative of a readout along a derivative of the state, (times,)."""
    size = np.max(np.abs(slope), axis=(1, 2)) + 1e-300
    scale = _STEP * (np.max(np.abs(x), axis=(1, 2)) + 1e-300) / size
    moved = scale[:, None, None] * slope
    turned = np.einsum("oaj,taj->to", system.weights, moved)
    above = system.readouts(t, x + moved, q + turned)[shown]
    below = system.readouts(t, x - moved, q - turned)[shown]
    return np.asarray((above - below) / (2.0 * scale))


def explicit(system: System, name: str, t: Array, x: Array, q: Array, shown: str) -> Array:
    """Derivative of a readout at a fixed state: it may hold a parameter itself."""
    if shown == "risk":
        return np.zeros(len(t))
    (above, up), (below, down) = system.moved(name, 1e-5), system.moved(name, -1e-5)
    gap = above.readouts(t, x, q)[shown] - below.readouts(t, x, q)[shown]
    return np.asarray(gap / (up - down))


def _from_readout(system: System, time: float, x: Array, shown: str) -> Array:
    """Derivative of a readout by every entry of the state, (kinds, modes)."""
    known = system.reading(np.array([time]), x[None], shown)
    if known is not None:
        return known[0]
    kinds, modes = x.shape
    found = np.empty((kinds, modes))
    rows = max(1, (1 << 22) // x.size)
    size = _STEP * (np.max(np.abs(x)) + 1e-300)
    for a in range(kinds):
        for start in range(0, modes, rows):
            part = np.arange(start, min(start + rows, modes))
            moved = np.zeros((len(part), kinds, modes))
            moved[np.arange(len(part)), a, part] = size
            at = np.full(len(part), time)
            values = [
                system.readouts(at, x + sign * moved, np.asarray(system.order(x + sign * moved)))[
                    shown
                ]
                for sign in (1.0, -1.0)
            ]
            found[a, part] = (values[0] - values[1]) / (2.0 * size)
    return found
