"""What is a schedule, and how do schedules multiply?

A schedule maps a step t >= 0 to a value, as data: printable, hashable, comparable. Engines evaluate
it at real t between the steps, so each is a smooth formula between its `breakpoints`. A
learning-rate schedule is a factor like any other, ``0.1 * Warmup(100) * Cosine(10_000)``.

Each formula is written once, against the array library `xp` that is to evaluate it: NumPy in
theory and simulation, torch and jax.numpy where an optimizer's step is compiled (see arrays.py).
Here are the base and what products fold, constants and powers; the other shapes stand in shapes.py
and risk_matched.py, and all of them are imported from schedules.py.
"""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hidim.algorithms.arrays import as_time, filled
from hidim.algorithms.schedule_classes import register
from hidim.support import checks

KEPT_AS = "hidim.algorithms.schedules"  # what files call the classes of this module


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
