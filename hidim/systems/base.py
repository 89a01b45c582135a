"""What does an engine read of a theory? Modes that meet only in a few order parameters.

    x_{t+1} = x_t + change(t, q_t) x_t + source(t, q_t),        q_t = sum_j weights_j x_j + offset

x holds `kinds` numbers for every mode, q the order parameters: twice the risk for least squares, a
student's norm and overlap for a single index. Everything nonlinear lives in q, so an engine solves
every mode by itself and closes on q, by one pass where change is free of q and source affine in it
(`affine`), by Newton's method otherwise. Derivation: docs/theory/moments.md.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.systems.factors import Factors, Intake

Array = np.ndarray
# Of a driver, at the same times: its state (times, kinds, modes) and orders (times, orders).
Drive = tuple[Array, Array]

STEP = 2.0**-18  # of central differences, relative: errs by 1e-10 of what is differentiated
_PROBE = 2.0**40  # makes a weight large beside the offset; a power of two is exact


class System(ABC):
    """A theory, closed. To add one:

    1. a class of frozen data with the attributes and methods below, pure functions of (t, q):
       engines call them at real t, in any order, and never across `breakpoints`;
    2. a builder ``(problem, algorithm, batch_size) -> System``, or None for what is another
       theory's, in `BUILDERS` (systems/builders.py) or, from outside the package, in
       ``hidim.register(system=builder)``;
    3. a row in tests/agreement/table.py, which runs every engine on it.

    Times come as (times,), states as (times, kinds, modes), orders as (times, orders), and so do
    the two parts of `drive`. docs/how-to/add-a-theory.md has a complete example.

    Attributes:
        kinds: numbers per mode, of the instance.
        orders: names of the order parameters.
        affine: change is free of q, and source affine in it.
        breakpoints: ascending times at which a formula changes.
        roots: those of them up to which the formula before is no power series.
        driver: a system solved first over the same steps, whose state and orders at the same time
            the methods get as `drive`; it knows nothing of this one.
        stepped: `step` alone is given (nonlinear mode by mode), so only single steps are taken.
        steady: neither change nor source depends on t.
        work_per_step: multiplications of a `step`, where these are many.
        longest: steps that a stepped system is followed for at most, where that is less than any.
        bounded: steps are bounded however large the error, so no run diverges.
        orders_tell: what is read is a function of the orders alone, so that `readouts` may get no
            states.
    """

    kinds: int
    orders: tuple[str, ...]
    affine: bool = False
    breakpoints: tuple[float, ...] = ()
    roots: tuple[float, ...] = ()
    driver: System | None = None
    stepped: bool = False
    steady: bool = False
    work_per_step: float = 0.0
    longest: float = math.inf
    bounded: bool = False
    orders_tell: bool = False

    @abstractmethod
    def start(self) -> Array:
        """State at step 0, (kinds, modes).

        Tables of many targets of the momentum family (engines/targets.py) put these on a leading
        axis: problems that share change and source, but neither start nor offset.
        """

    @abstractmethod
    def order(self, x: Array) -> Array:
        """Order parameters of states (..., kinds, modes), shape (..., orders); affine in x."""

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """The step map less the identity, (times, modes, kinds, kinds)."""
        raise NotImplementedError(f"{type(self).__name__} gives single steps alone")

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """What a step adds to every mode, (times, modes, kinds)."""
        raise NotImplementedError(f"{type(self).__name__} gives single steps alone")

    @abstractmethod
    def readouts(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> dict[str, Array]:
        """What is seen of the states at the times t, each (times, ...); "risk" is one of them."""

    # What follows works for every theory; it is there to be made faster or sharper.

    def step(self, t: float, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """The state after update t, from the state (kinds, modes) and orders (orders,) before."""
        one = None if drive is None else (drive[0][None], drive[1][None])
        times = np.array([float(t)])
        moved = np.einsum("jab,...bj->...aj", self.change(times, q[None], one)[0], x)
        return np.asarray(x + moved + self.source(times, q[None], one)[0].T)

    def increment(self, t: Array, x: Array, q: Array, drive: Drive | None = None) -> Array:
        """change x + source, (times, kinds, modes): what a step adds to the states."""
        moved = np.einsum("tjab,tbj->taj", self.change(t, q, drive), x)
        return np.asarray(moved + np.swapaxes(self.source(t, q, drive), 1, 2))

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """States and orders at steps first .. first + count, (count + 1, ...).

        Args:
            drive: of the driver at these steps, where there is one.
        """
        states, orders = [x], [self.order(x)]
        for i in range(count):
            one = None if drive is None else (drive[0][i], drive[1][i])
            states.append(self.step(first + i, states[-1], orders[-1], one))
            orders.append(self.order(states[-1]))
        return np.stack(states), np.stack(orders)

    @cached_property
    def weights(self) -> Array:
        """How states enter the orders, (orders, kinds, modes)."""
        kinds, modes = self.start().shape[-2:]
        found = np.empty((len(self.orders), kinds, modes))
        probe = np.zeros((1, kinds, modes))
        if not self.orders:
            return found
        offset = self.order(probe)[0].reshape(-1, len(self.orders))[0]
        scale = _PROBE * (1.0 + float(np.max(np.abs(offset), initial=0.0)))
        for kind in range(kinds):
            for mode in range(modes):
                probe[0, kind, mode] = scale
                found[:, kind, mode] = (self.order(probe)[0] - offset) / scale
                probe[0, kind, mode] = 0.0
        return found

    @cached_property
    def offset(self) -> Array:
        """Orders of the state 0, (..., orders)."""
        return np.asarray(self.order(np.zeros_like(self.start())))

    @cached_property
    def seen(self) -> Array:
        """Which kinds the orders read, (kinds,)."""
        return np.asarray(np.any(self.weights != 0.0, axis=(0, 2)))

    def linearised(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> tuple[Array, Array | None, Array]:
        """change and source at q, and how a unit of each order moves change x + source.

        Returns:
            (times, modes, kinds, kinds), (times, modes, kinds), (times, modes, kinds, orders).
            Where the system is affine, source is that at q = 0, None for none, and x and q are
            not read.
        """
        factors = self.factors(t) if drive is None else None
        if factors is not None:
            return factors.dense()
        if self.affine or not self.orders:
            none = np.zeros((len(t), len(self.orders)))
            source = self.source(t, none, drive)
            gains = np.empty((*source.shape, len(self.orders)))
            for k in range(len(self.orders)):
                unit = none.copy()
                unit[:, k] = 1.0
                gains[..., k] = self.source(t, unit, drive) - source
            return self.change(t, none, drive), source, gains
        gains = np.empty((len(t), x.shape[-1], self.kinds, len(self.orders)))
        for k in range(len(self.orders)):
            size = STEP * (np.abs(q[:, k]) + 1e-3 * np.max(np.abs(q), axis=1) + 1e-290)
            moved = np.zeros_like(q)
            moved[:, k] = size
            above, below = (
                np.einsum("tjab,tbj->tja", self.change(t, at, drive), x) + self.source(t, at, drive)
                for at in (q + moved, q - moved)
            )
            gains[..., k] = (above - below) / (2.0 * size[:, None, None])
        return self.change(t, q, drive), self.source(t, q, drive), gains

    def factors(self, t: Array) -> Factors | None:
        """What `linearised` gives of an affine system without a driver, as a sum of few products
        of a function of the mode and one of time; or None. Blocks are faster with it."""
        return None

    def intake(self, t: Array, drive: Drive | None = None) -> Intake | None:
        """What `linearised` gives of an affine system whose modes each take in one number: a sum
        of the orders with weights of its own, and something beside. Blocks are faster with it."""
        return None

    def loop_gain(
        self,
        t: Array,
        w: float = 0.0,
        *,
        x: Array | None = None,
        q: Array | None = None,
        drive: Drive | None = None,
    ) -> Array:
        """What a unit of an order comes back as, coefficients frozen at each time, at z = 1 + w.

        sum_j weights_j (z - 1 - change_j)^-1 d(change x + source)/dq: below 1 nothing grows by
        more than w per step; infinite where a mode does so by itself.

        Args:
            x, q: where the system is linearised, the start if left out.
        """
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        x = self.start() if x is None else x
        q = np.asarray(self.order(x) if q is None else q)
        states = np.broadcast_to(x, (len(t), *x.shape)) if not self.affine else x
        if drive is not None:
            state, orders = (np.broadcast_to(d, (len(t), *d.shape[1:])) for d in drive)
            drive = (state, orders)
        change, _, gains = self.linearised(t, states, np.broadcast_to(q, (len(t), len(q))), drive)
        alone = np.max(np.abs(1.0 + np.linalg.eigvals(change)), axis=(1, 2))
        resolved = np.linalg.solve(w * np.eye(self.kinds) - change + _tiny(change), gains)
        loop = np.einsum("oaj,tjap->top", self.weights, resolved)
        found = np.zeros(len(t))  # without an order nothing comes back
        if self.orders:
            found = np.max(np.linalg.eigvals(loop).real, axis=1)
        return np.where(alone <= 1.0 + w, found, np.inf)

    def tail_error(
        self, t: Array, x: Array, q: Array, tails: Array, drive: Drive | None = None
    ) -> float:
        """How much of what is read is in doubt on a block, relative to its smallest value there.

        Args:
            t, x, q: times, states and orders at the points of the block.
            tails: (2, ..., kinds, modes), the last two Legendre coefficients of the polynomials
                through the states, whose sizes tell how far these are from converged.
        """
        tail = size_of(tails)
        last = None if drive is None else (drive[0][-1:], drive[1][-1:])
        moved = x[-1:] + np.where(x[-1:] < 0, -tail, tail)
        order = q[-1:] + np.einsum("oaj,...aj->...o", np.abs(self.weights), tail)
        seen, doubtful = self.readouts(t, x, q, drive), self.readouts(t[-1:], moved, order, last)
        found = 0.0
        for name, value in seen.items():
            lowest = np.min(np.abs(value), axis=0) + 1e-290
            doubt = float(np.max(np.abs(doubtful[name][0] - value[-1]) / lowest))
            found = max(found, doubt if math.isfinite(doubt) else math.inf)
        return found

    @property
    def watched(self) -> Sequence[Callable[[Array], Array]]:
        """Functions of time that may do something between the points of a block (probe.py).

        By default the schedules among the fields that do not say how smooth they are; whatever
        else of change or source is narrow between `breakpoints` belongs here.
        """
        if not dataclasses.is_dataclass(self):
            return ()
        held = [getattr(self, name, None) for name in self.__dataclass_fields__]
        return [v for v in held if isinstance(v, Schedule) and v.resolution < math.inf]

    def retained(self, t: Array) -> Array:
        """1 + change of a system of one kind, (times, modes), with all the digits it can have."""
        return np.asarray(1.0 + self.change(t, np.zeros((len(t), len(self.orders))))[..., 0, 0])

    def closed(self, at: Array) -> Array | None:
        """States at the steps `at` in closed form, (n, kinds, modes), where the theory has one."""
        return None

    def sharper(self, last: float) -> System:
        """What is followed in its place up to step `last`: itself, or a system with the same
        readouts that loses less to rounding."""
        return self

    def kept(self, x: Array) -> Array:
        """States (..., kinds, modes) as a curve keeps them where every mode is asked for."""
        return x

    def coarse(self, last: float) -> System:
        """The same curves up to step `last` from fewer nodes, less exactly; itself if it has none.

        What an engine sees between the two is the error of the quadrature.
        """
        return self

    def resolving(self, faster: float, most: int) -> System:
        """The same curves from nodes that resolve a ringing so many times as fast.

        Itself where there are none, or more than `most` of them.
        """
        return self

    def as_given(self) -> System:
        """The system where its nodes are the problem, and not a quadrature of another."""
        return self

    def reading(self, t: Array, x: Array, shown: str) -> Array | None:
        """Derivative of a readout by the state, (times, kinds, modes), where it is known.

        Of a readout linear in the state it is the same at every x.
        """
        return None

    def read_at(self, readout: str, *, moments: bool = False) -> System:
        """The system that carries what this readout needs, and every moment if asked.

        Raises:
            ValueError: there is no such readout.
        """
        from hidim.support.checks import choice

        x = self.start()
        one = None if self.driver is None else _beginning(self.driver)
        known = self.readouts(np.zeros(1), x[None], self.order(x)[None], one)
        choice("readout", readout, ["gradient", *(n for n in known if n != "risk")])
        return self

    def answering(self, names: Sequence[str]) -> System:
        """The system that carries what derivatives by these parameters need."""
        return self

    def whole(self) -> System | None:
        """The system that leaves out nothing which this one closes over, stepped, with a
        `work_per_step` in multiplications; None where nothing is left out, or nobody knows it."""
        return None

    def resting(self, t: float) -> Array | None:
        """The state at which a run with the rates of step t stays, where the theory says so itself.

        Elsewhere it is looked for (rates/limits.py), but for theories of single steps.
        """
        return None

    def caution(self, last: float) -> str:
        """What is known beforehand against a run up to step `last`, in one line; mostly nothing.

        A curve with a caution has the status "inaccurate" and holds it in its provenance.
        """
        return ""

    def doubts(self, at: Array, risk: Array) -> str:
        """What a finite size may have made of a run through these risks at the steps `at`.

        It stands in the provenance, as "finite_size"; mostly nothing.
        """
        return ""

    def facts(self, last: float) -> dict[str, Any]:
        """What else a curve's provenance should say of a run up to step `last`; mostly nothing."""
        return {}

    def fewer(self) -> System:
        """Nearly the same system on fewer nodes, for who checks what that loses; or itself."""
        return self

    def parameters(self) -> tuple[str, ...]:
        """Names that `sensitivity` may ask for: here, the fields that hold a float."""
        if not dataclasses.is_dataclass(self):
            return ()
        names = []
        for field in dataclasses.fields(self):
            if field.init and _is_float(self, field):
                names.append(field.name)
        return tuple(names)

    def moved(self, name: str, by: float) -> tuple[System, float]:
        """The system with one parameter moved by about `by` of its size, and by how much it is.

        Raises:
            ValueError: there is no such parameter.
        """
        known = self.parameters()
        if name not in known:
            listed = ", ".join(known) or "none"
            raise ValueError(f"no parameter {name!r}: this theory has {listed}.")
        value = float(getattr(self, name))
        size = by * (abs(value) or 1.0)
        return dataclasses.replace(self, **{name: value + size}), size  # type: ignore[type-var]

    def slopes(
        self, names: Sequence[str], t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> Array:
        """d(change x + source)/d parameter at fixed x and q, (names, times, kinds, modes)."""
        found = np.empty((len(names), *x.shape))
        for k, name in enumerate(names):
            (above, up), (below, down) = self.moved(name, STEP), self.moved(name, -STEP)
            values = [s.increment(t, x, q, drive) for s in (above, below)]
            found[k] = (values[0] - values[1]) / (up - down)
        return found


def _is_float(system: System, field: dataclasses.Field[Any]) -> bool:
    value = getattr(system, field.name)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and (isinstance(value, float) or field.type in ("float", float))


def _tiny(change: Array) -> Array:
    """A trace of decay, so that a mode that never moves can be solved for."""
    return np.asarray(1e-300 * np.eye(change.shape[-1]))


def _beginning(system: System) -> Drive:
    x = system.start()
    return x[None], np.asarray(system.order(x))[None]


def size_of(tails: Array) -> Array:
    """One size from the last two coefficients; the last alone may vanish by symmetry."""
    return np.asarray(np.abs(tails[1]) + 0.05 * np.abs(tails[0]))


def chain(system: System) -> list[System]:
    """A system behind its driver, that one behind its own: the order in which they are solved."""
    found = [system]
    while found[0].driver is not None:
        found.insert(0, found[0].driver)
    return found
