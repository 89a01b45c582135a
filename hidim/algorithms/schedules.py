"""How a hyperparameter moves in time, as data: printable, hashable, comparable.

A schedule maps a step t >= 0 to a value. Engines evaluate it at real t between the steps,
so each is a smooth formula between its `breakpoints`. Schedules multiply: a learning-rate
schedule is a factor like any other, ``0.1 * Warmup(100) * Cosine(10_000)``.

Each formula is written once, against the array library `xp` that is to evaluate it: NumPy in
theory and simulation, torch and jax.numpy where an optimizer's step is compiled (see arrays.py).
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hidim.algorithms.arrays import (
    as_time,
    at_least,
    at_most,
    beside,
    filled,
    interpolate,
    last_index,
)
from hidim.algorithms.schedule_classes import register
from hidim.support import checks


class Schedule:
    """Base of all schedules: implement `__call__` and, where it has kinks, `breakpoints`.

    ``__call__(self, t)`` with NumPy is enough for theory, simulation and eager optimizers. One
    that torch captures or compiles, or JAX traces without a call to the host, takes the array
    library as a second argument, ``__call__(self, t, xp=numpy)``, and asks it for its functions.

    Written as a frozen dataclass of plain fields, a schedule of one's own goes everywhere, into
    the checkpoints of `hidim.torch` too: there it is read back once its module is imported.

    An engine takes many steps at once and reads a schedule at few of them, so a schedule says
    where its formula changes (`breakpoints`) and how finely it must be read in between
    (`resolution`). One that says neither is looked at more closely, at every step of a block of up
    to 16,381 and at 16,381 places of a longer one: at step t, features narrower than about
    t / 4000 steps may then be stepped over.
    """

    _takes_xp: ClassVar[bool] = True

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__call__" in vars(cls) and "constant" not in vars(cls):
            # A child with a formula of its own: what its parent says of the old one does not hold.
            cls.constant = Schedule.constant  # type: ignore[method-assign]
        # Once for the class, and not at every step of an optimizer.
        cls._takes_xp = "xp" in inspect.signature(cls.__call__).parameters
        register(cls)

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        """Value at step(s) `t`, any shape.

        Args:
            xp: the library that `t` is of and that evaluates the formula: numpy (in float64),
                torch (in the type of the tensor) or jax.numpy (in its default float).
        """
        raise NotImplementedError

    @property
    def numpy_only(self) -> Schedule | None:
        """The part that knows no library but NumPy, this schedule or a factor; None without one."""
        return None if self._takes_xp else self

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Steps at which the formula changes, ascending: no block of steps may span one."""
        return ()

    @property
    def resolution(self) -> float:
        """Width in steps of the narrowest feature between breakpoints; 0 if it is not known.

        math.inf for a formula without any, smooth in t or in log t, as hidim's own are: it costs
        engines nothing. A finite width is honoured at any step, at two readings per width. A class
        of one's own, below one of hidim's too, is unknown until it says otherwise.
        """
        return math.inf if type(self).__module__.startswith("hidim.") else 0.0

    @property
    def roots(self) -> tuple[float, ...]:
        """Breakpoints up to which the formula is no power series, as a root that ends at its zero.

        Polynomials lose their accuracy there however slowly all moves, so engines come close by
        ever shorter blocks.
        """
        return ()

    @property
    def constant(self) -> float | None:
        """The value if it never changes, otherwise None."""
        return None

    def __mul__(self, other: Any) -> Schedule:
        return product(self, as_schedule("factor", other))

    def __rmul__(self, other: Any) -> Schedule:
        return product(as_schedule("factor", other), self)


@dataclass(frozen=True)
class Constant(Schedule):
    """The same value at every step; zero is legal.

    >>> Constant(0.5)([0, 10])
    array([0.5, 0.5])
    """

    value: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "value", checks.non_negative("value", self.value))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return filled(self.value, t, xp)

    @property
    def constant(self) -> float | None:
        return self.value


@dataclass(frozen=True)
class PowerLaw(Schedule):
    """scale * (1 + t)^-t_exponent.

    >>> PowerLaw(2.0, 0.5)([0, 3])
    array([2., 1.])
    """

    scale: float
    t_exponent: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.non_negative("scale", self.scale))
        object.__setattr__(self, "t_exponent", checks.finite("t_exponent", self.t_exponent))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return self.scale * (1.0 + as_time(t, xp)) ** -self.t_exponent

    @property
    def constant(self) -> float | None:
        return self.scale if self.t_exponent == 0 or self.scale == 0 else None


@dataclass(frozen=True)
class Forgetting(Schedule):
    """delta / (offset + t): how much of the momentum a step forgets.

    `offset` is delta by default, which keeps the value in (0, 1]; a smaller one starts
    above 1 and flips the sign of the momentum in the first steps.

    >>> Forgetting(8.0)([0, 8])
    array([1. , 0.5])
    """

    delta: float
    offset: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", checks.positive("delta", self.delta))
        if self.offset is not None:
            object.__setattr__(self, "offset", checks.positive("offset", self.offset))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        offset = self.delta if self.offset is None else self.offset
        return self.delta / (offset + as_time(t, xp))


@dataclass(frozen=True)
class NesterovWeight(Schedule):
    """scale * t (t+1) / (t+2): the gradient weight of stochastic Nesterov's momentum."""

    scale: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", checks.non_negative("scale", self.scale))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        return self.scale * (time * ((time + 1.0) / (time + 2.0)))


@dataclass(frozen=True)
class AverageWeight(Schedule):
    """1 / max(t + offset, 1): the share of the newest member in a running average."""

    offset: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "offset", checks.non_negative("offset", self.offset))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return 1.0 / at_least(as_time(t, xp) + self.offset, 1.0, xp)


@dataclass(frozen=True)
class Complement(Schedule):
    """One minus another schedule."""

    schedule: Schedule

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return 1.0 - (self.schedule(t) if xp is np else self.schedule(t, xp))

    @property
    def numpy_only(self) -> Schedule | None:
        return self.schedule.numpy_only

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.schedule.breakpoints

    @property
    def roots(self) -> tuple[float, ...]:
        return self.schedule.roots

    @property
    def resolution(self) -> float:
        return self.schedule.resolution


@dataclass(frozen=True)
class Warmup(Schedule):
    """A factor that rises linearly, (t + 1) / steps, and is 1 from step `steps` - 1 on.

    >>> Warmup(4)([0, 1, 3, 9])
    array([0.25, 0.5 , 1.  , 1.  ])
    """

    steps: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return at_most((as_time(t, xp) + 1.0) / float(self.steps), 1.0, xp)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps) - 1.0,)

    @property
    def constant(self) -> float | None:
        return 1.0 if self.steps == 1 else None


@dataclass(frozen=True)
class Cosine(Schedule):
    """A factor that falls from 1 to `final` along half a cosine over `steps`, then stays.

    >>> Cosine(10, final=0.1)([0, 5, 10, 20])
    array([1.  , 0.55, 0.1 , 0.1 ])
    """

    steps: float
    final: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "final", checks.non_negative("final", self.final))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        share = at_most(as_time(t, xp) / float(self.steps), 1.0, xp)
        # cos^2(pi x / 2) instead of (1 + cos(pi x)) / 2: no cancellation at the end.
        root = xp.cos(0.5 * math.pi * share)
        return self.final + (1.0 - self.final) * root**2

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps),)


@dataclass(frozen=True)
class WSD(Schedule):
    """Warm-up, stable, decay: up linearly, flat at 1, down to `final` at `steps`, then stays.

    Args:
        steps: step at which the decay ends.
        warmup: steps of linear warm-up, as in `Warmup`; 0 for none.
        decay_fraction: share of `steps` spent decaying, in (0, 1].
        final: factor at the end.
        shape: "linear" or "exponential" decay (the latter needs final > 0).

    >>> WSD(100, decay_fraction=0.5)([0, 50, 75, 100])
    array([1. , 1. , 0.5, 0. ])
    """

    steps: float
    warmup: float = 0
    decay_fraction: float = 0.2
    final: float = 0.0
    shape: str = "linear"

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "warmup", checks.whole("warmup", self.warmup, minimum=0))
        fraction = checks.positive("decay_fraction", self.decay_fraction)
        if fraction > 1:
            raise ValueError(f"`decay_fraction` must be at most 1, got {fraction!r}.")
        object.__setattr__(self, "decay_fraction", fraction)
        object.__setattr__(self, "final", checks.non_negative("final", self.final))
        checks.choice("shape", self.shape, ("linear", "exponential"))
        if self.shape == "exponential" and self.final == 0:
            raise ValueError("`final` must be positive for an exponential decay.")
        if self.warmup > self._decay_start:
            raise ValueError(
                f"`warmup` ({self.warmup}) must end before the decay starts at step "
                f"{self._decay_start:g}."
            )

    @property
    def _decay_start(self) -> float:
        return float(self.steps) * (1.0 - self.decay_fraction)

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        start = self._decay_start
        share = xp.clip((time - start) / (float(self.steps) - start), 0.0, 1.0)
        linear = self.shape == "linear"
        down = 1.0 - (1.0 - self.final) * share if linear else self.final**share
        if not self.warmup:
            return down
        return at_most((time + 1.0) / float(self.warmup), 1.0, xp) * down

    @property
    def breakpoints(self) -> tuple[float, ...]:
        edges = {self._decay_start, float(self.steps)}
        return tuple(sorted(edges | ({float(self.warmup) - 1.0} if self.warmup else set())))


@dataclass(frozen=True)
class CoolDown(Schedule):
    """A factor u / (u + u_0), u = 1 - t / steps: near 1 for long, a half at u = u_0, 0 at the end.

    For the momentum's rate: late in a run momentum carries more noise than signal.

    Args:
        steps: updates of the run; the factor stays 0 afterwards.
        u_0: share of the run that is left when the factor is a half.

    >>> CoolDown(100, 0.1)([0, 90, 100, 200]).round(3)
    array([0.909, 0.5  , 0.   , 0.   ])
    """

    steps: float
    u_0: float = 0.1

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", checks.whole("steps", self.steps, minimum=1))
        object.__setattr__(self, "u_0", checks.positive("u_0", self.u_0))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        left = at_least(1.0 - as_time(t, xp) / float(self.steps), 0.0, xp)
        return left / (left + self.u_0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.steps),)


@dataclass(frozen=True)
class RiskMatched(Schedule):
    """A rate that rises to `cap` at step `length` so that every step injects the same noise.

    rate^2 risk is constant while the risk falls as (1 + eigenvalue tau)^-s in the intrinsic time
    tau, the sum of the rates; the start of the best schedule of SGD where the early risk falls
    steeply. Before `length` the rate grows as (1 + c t)^(s / (2 - s)), linearly at s = 1 and
    exponentially at s = 2.

    Args:
        cap: rate from `length` on; 1 makes it a factor.
        length: steps of the rise.
        s: power at which the risk falls, beyond its floor.
        eigenvalue: the largest, times the largest rate where `cap` is 1.

    >>> RiskMatched(1.0, 100, s=1.0)([0, 50, 100, 200]).round(3)
    array([0.132, 0.566, 1.   , 1.   ])
    """

    cap: float
    length: float
    s: float
    eigenvalue: float = 1.0
    _rise: ClassVar[float]  # log(cap / first rate)

    def __post_init__(self) -> None:
        object.__setattr__(self, "cap", checks.positive("cap", self.cap))
        object.__setattr__(self, "length", checks.whole("length", self.length, minimum=1))
        object.__setattr__(self, "s", checks.positive("s", self.s))
        object.__setattr__(self, "eigenvalue", checks.positive("eigenvalue", self.eigenvalue))
        # Kept, so that a compiled step need not solve for it: no field, as it follows from them.
        object.__setattr__(self, "_rise", _risk_matched_rise(self.s, self._log_span()))

    def _log_span(self) -> float:
        """log(eigenvalue cap length), in the range in which every rate is a number."""
        if not 1e-12 <= self.s <= 1e12:
            raise ValueError(f"`s` must lie in [1e-12, 1e12], got {self.s!r}; 1 is usual.")
        factors = (self.eigenvalue, self.cap, float(self.length))
        span = sum(math.log(factor) for factor in factors)  # the product itself may overflow
        if abs(span) > _LARGEST_LOG_SPAN:
            raise ValueError(
                f"`eigenvalue` times cap times length must lie in [1e-280, 1e280], got "
                f"{self.eigenvalue!r} * {self.cap!r} * {self.length!r}; bring them nearer 1."
            )
        return span

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        bend, rise = 2.0 / self.s - 1.0, self._rise
        x = at_most(as_time(t, xp) / float(self.length), 1.0, xp)
        if bend == 0:
            return self.cap * xp.exp(rise * (x - 1.0))
        end = rise * bend
        # log(1 - x + x exp(end)), the first form without cancellation where `end` is small.
        log = xp.log1p(x * math.expm1(end)) if end > -1 else xp.log(1.0 - x + x * math.exp(end))
        return self.cap * xp.exp(log / bend - rise)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (float(self.length),)


_LARGEST_LOG_SPAN = 280.0 * math.log(10.0)


def _risk_matched_rise(s: float, log_span: float) -> float:
    """log(cap / first rate), z of (exp(z b) - 1) exp(z) = span (1 - s / 2), b = 2 / s - 1."""
    half, bend = 1.0 - s / 2.0, 2.0 / s - 1.0

    def over(z: float) -> bool:
        steep = z if bend == 0 else math.expm1(min(z * bend, 700.0)) / half
        return steep > 0 and math.log(steep) + z > log_span

    high = 1.0
    while not over(high):
        high *= 2.0
    low = 0.0
    for _ in range(200):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if over(middle) else (middle, high)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class Table(Schedule):
    """Any measured or designed schedule: values at given steps, held beyond both ends.

    Args:
        steps: strictly ascending steps, at least one.
        values: one value each, none negative.
        interpolation: "linear" between the points, or "previous" for a staircase whose
            value changes at each given step.

    >>> Table([0, 10], [1.0, 0.0])([5, 20])
    array([0.5, 0. ])
    """

    steps: tuple[float, ...]
    values: tuple[float, ...]
    interpolation: str = "linear"

    def __post_init__(self) -> None:
        steps = checks.finite_array("steps", self.steps, ndim=1)
        values = checks.finite_array("values", self.values, ndim=1)
        checks.choice("interpolation", self.interpolation, ("linear", "previous"))
        if steps.size == 0 or steps.shape != values.shape:
            raise ValueError(
                f"`steps` and `values` must have one length of at least 1, got {steps.size} "
                f"and {values.size}."
            )
        if np.any(np.diff(steps) <= 0) or steps[0] < 0:
            raise ValueError("`steps` of a Table must ascend strictly from a step >= 0.")
        if np.any(values < 0):
            raise ValueError("`values` of a Table must not be negative.")
        object.__setattr__(self, "steps", tuple(steps.tolist()))
        object.__setattr__(self, "values", tuple(values.tolist()))
        # Arrays beside the hashable tuples: a long measured table is looked up often.
        object.__setattr__(self, "_arrays", (steps, values))

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        time = as_time(t, xp)
        if xp is np:
            steps, values = self._arrays  # type: ignore[attr-defined]
        else:
            steps, values = beside(self.steps, time, xp), beside(self.values, time, xp)
        if self.interpolation == "linear":
            return interpolate(time, steps, values, xp)
        return values[last_index(steps, time, xp)]

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return self.steps

    @property
    def constant(self) -> float | None:
        return self.values[0] if len(set(self.values)) == 1 else None


@dataclass(frozen=True)
class Product(Schedule):
    """The product of schedules; made by `*`."""

    factors: tuple[Schedule, ...]

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        value: Any = None
        for factor in self.factors:  # one's own factor may know NumPy alone
            one = factor(t) if xp is np else factor(t, xp)
            value = one if value is None else value * one
        return value

    @property
    def numpy_only(self) -> Schedule | None:
        for factor in self.factors:  # a loop: torch.compile cannot follow a generator
            if factor.numpy_only is not None:
                return factor.numpy_only
        return None

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return tuple(sorted({b for factor in self.factors for b in factor.breakpoints}))

    @property
    def roots(self) -> tuple[float, ...]:
        return tuple(sorted({b for factor in self.factors for b in factor.roots}))

    @property
    def resolution(self) -> float:
        return min(factor.resolution for factor in self.factors)

    @property
    def constant(self) -> float | None:
        values = [factor.constant for factor in self.factors]
        if any(v == 0 for v in values):
            return 0.0
        return None if any(v is None for v in values) else math.prod(v or 0.0 for v in values)


def product(first: Schedule, second: Schedule) -> Schedule:
    """`first` times `second`, folding constants so that equal schedules compare equal.

    Classes derived from those here are left as they are: their formula may be another.
    """
    factors: list[Schedule] = []
    scale = 1.0
    for schedule in (first, second):
        for factor in schedule.factors if type(schedule) is Product else (schedule,):
            if type(factor) is Constant:
                scale *= factor.value
            else:
                factors.append(factor)
    if not factors or scale == 0:
        return Constant(scale)
    if scale != 1.0 and type(factors[0]) is PowerLaw:
        factors[0] = PowerLaw(scale * factors[0].scale, factors[0].t_exponent)
    elif scale != 1.0:
        factors.insert(0, Constant(scale))
    return factors[0] if len(factors) == 1 else Product(tuple(factors))


def as_schedule(name: str, value: Any) -> Schedule:
    """`value` itself if it is a schedule, otherwise a `Constant` of a non-negative number."""
    if isinstance(value, Schedule):
        return value
    return Constant(checks.non_negative(name, value))
