"""The general stochastic momentum family: four schedules, and the named members.

    y_t         = (1 - forgetting(t)) y_{t-1} + gamma_1(t) g_t
    theta_{t+1} = theta_t - gamma_2(t) g_t - gamma_3(t) y_t,      y_{-1} = 0

with g_t the mini-batch gradient at theta_t, or what a gradient of one's own makes of its samples
(gradients.py). Source: arXiv 2505.16098 (Gen-Mom-SGD).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, TypeGuard

import numpy as np

from hidim.algorithms.base import described, is_named
from hidim.algorithms.gradients import REMEDY, Gradient, checked, plain_gradient
from hidim.algorithms.schedules import (
    AverageWeight,
    Complement,
    Constant,
    Forgetting,
    NesterovWeight,
    PowerLaw,
    Schedule,
    as_schedule,
)
from hidim.algorithms.update import MomentumUpdate
from hidim.algorithms.written import written
from hidim.support import checks

Rate = float | Schedule


@dataclass(frozen=True)
class Momentum:
    """One member of the family, as data.

    Args:
        gamma_1: weight of the gradient in the momentum.
        gamma_2: rate of the gradient step.
        gamma_3: rate of the momentum step.
        forgetting: share of the momentum lost per step; 1 keeps none.
        name: hyphenated name.
        readouts: other points whose risk can be read, name -> w(t): the point is
            theta_t + w(t) y_{t-1}. As pairs, so that algorithms stay hashable.
        rates: which of the schedules a learning-rate schedule multiplies.
        gradient: what is made of the samples of a step before the momentum sees them, such as
            their clipped mean; None for the plain mean, which alone the theory of the family
            knows. See `hidim.algorithms.Gradient`.

    Raises:
        ValueError: a negative or non-finite number; a gradient that is none.

    Example:
        >>> Momentum(1.0, 0.1, PowerLaw(0.1, 0.5), Forgetting(8.0)) == dana_decaying(
        ...     0.1, 0.1, 0.5, 8.0)
        True
    """

    gamma_1: Schedule
    gamma_2: Schedule
    gamma_3: Schedule
    forgetting: Schedule
    name: str = field(default="momentum", compare=False)
    readouts: tuple[tuple[str, Schedule], ...] = field(default=(), compare=False)
    rates: tuple[str, ...] = field(default=("gamma_2", "gamma_3"), compare=False)
    gradient: Gradient | None = None

    def __init__(
        self,
        gamma_1: Rate,
        gamma_2: Rate,
        gamma_3: Rate,
        forgetting: Rate,
        *,
        name: str = "momentum",
        readouts: tuple[tuple[str, Schedule], ...] = (),
        rates: tuple[str, ...] = ("gamma_2", "gamma_3"),
        gradient: Gradient | None = None,
    ) -> None:
        for key, value in (
            ("gamma_1", gamma_1),
            ("gamma_2", gamma_2),
            ("gamma_3", gamma_3),
            ("forgetting", forgetting),
        ):
            object.__setattr__(self, key, as_schedule(key, value))
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "readouts", tuple(readouts))
        object.__setattr__(self, "rates", tuple(rates))
        object.__setattr__(self, "gradient", checked(gradient))

    @property
    def breakpoints(self) -> tuple[float, ...]:
        """Steps at which any of the schedules changes its formula, ascending."""
        parts = (self.gamma_1, self.gamma_2, self.gamma_3, self.forgetting)
        return tuple(sorted({b for part in parts for b in part.breakpoints}))

    @property
    def roots(self) -> tuple[float, ...]:
        """Those of them up to which a formula is no power series, see `Schedule.roots`."""
        parts = (self.gamma_1, self.gamma_2, self.gamma_3, self.forgetting)
        return tuple(sorted({b for part in parts for b in part.roots}))

    @property
    def has_momentum(self) -> bool:
        """Whether the momentum can ever move the parameters."""
        return self.gamma_1.constant != 0 and self.gamma_3.constant != 0

    def scheduled(self, schedule: Schedule) -> Momentum:
        """The same algorithm with its learning rates multiplied by `schedule`.

        >>> from hidim.algorithms.schedules import Warmup
        >>> float(sgd(0.5).scheduled(Warmup(10)).gamma_2(0))
        0.05
        """
        return self._replace_rates(lambda rate: rate * schedule)

    def update(self) -> MomentumUpdate:
        """The rule itself, ready to run from step 0, with what `gradient` made of the batch."""
        return MomentumUpdate(self)

    def readout(self, name: str) -> Schedule:
        """Weight w(t) of the point theta_t + w(t) y_{t-1} called `name`; "gradient" is 0."""
        table = {"gradient": Constant(0.0), **dict(self.readouts)}
        return table[checks.choice("readout", name, table)]

    def to_dict(self) -> dict[str, Any]:
        """Name, schedules and a gradient, if there is one, as text, for provenance."""
        parts = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
        table = {"name": self.name} | {part: written(getattr(self, part)) for part in parts}
        return table if self.gradient is None else table | {"gradient": described(self.gradient)}

    def _replace_rates(self, change: Any) -> Momentum:
        parts = {name: change(getattr(self, name)) for name in self.rates}
        readouts = tuple((name, change(weight)) for name, weight in self.readouts)
        return replace(self, **parts, readouts=readouts)


def is_plain(value: Any) -> TypeGuard[Momentum]:
    """Whether this is of the family and steps with the plain mean of its batch, as its theory does.

    >>> is_plain(sgd(0.1)), is_plain("sgd")
    (True, False)
    """
    return isinstance(value, Momentum) and value.gradient is None


def as_algorithm(value: Any, remedy: str = REMEDY) -> Momentum:
    """`value` itself, if it is of the family and steps with the plain mean of its batch.

    Raises:
        ValueError: it is not; `remedy` says what to do where it holds a gradient.
    """
    if isinstance(value, Momentum):
        return plain_gradient(value, remedy)
    if is_named(value):
        raise ValueError(
            f"`algorithm` must be of the momentum family here, got {value.name}, which is not."
        )
    raise ValueError(
        f"`algorithm` must be a hidim algorithm such as hidim.sgd(0.1), got {value!r}."
    )


def sgd(gamma_2: Rate) -> Momentum:
    """Stochastic gradient descent: theta <- theta - gamma_2 g.

    Args:
        gamma_2: rate, a number at least 0 or a schedule of the step.

    >>> sgd(0.1).gamma_2
    Constant(value=0.1)
    """
    return Momentum(0.0, gamma_2, 0.0, 1.0, name="sgd")


def sgd_momentum(gamma_2: Rate, gamma_3: Rate, delta: Rate) -> Momentum:
    """SGD with classical momentum, which forgets a constant share of itself at every step.

    Its risk follows SGD's at rate gamma_2 + gamma_3 / delta. torch's SGD(lr, momentum=mu) is
    gamma_2 = 0, gamma_3 = lr, delta = 1 - mu.

    Args:
        gamma_2: rate of the gradient step, at least 0, or a schedule.
        gamma_3: rate of the momentum step, at least 0, or a schedule.
        delta: share of the momentum that a step forgets, 1 - momentum; usually in (0, 1].

    >>> float(sgd_momentum(0.0, 0.1, delta=0.1).forgetting(0))
    0.1
    """
    return Momentum(1.0, gamma_2, gamma_3, delta, name="sgd-momentum")


def stochastic_nesterov(gamma: float) -> Momentum:
    """Nesterov's method on stochastic gradients: diverges on PLRF for every `gamma`.

    Source: Even et al. 2021, theorem 7, in the form of arXiv 2505.16098.
    """
    gamma = checks.non_negative("gamma", gamma)
    return Momentum(
        NesterovWeight(gamma),
        gamma,
        PowerLaw(1.0, 1.0),
        Forgetting(1.0, offset=2.0),
        name="stochastic-nesterov",
        rates=("gamma_1", "gamma_2"),
    )


def is_stochastic_nesterov(algorithm: Momentum) -> bool:
    """Whether the schedules are those of `stochastic_nesterov` at some rate, whatever the name.

    The momentum may be measured in another unit: only gamma_1 gamma_3 acts.

    >>> a = stochastic_nesterov(0.1)
    >>> same = Momentum(3.0 * a.gamma_1, a.gamma_2, (1 / 3.0) * a.gamma_3, a.forgetting)
    >>> is_stochastic_nesterov(same), is_stochastic_nesterov(sgd(0.1))
    (True, False)
    """
    rate = algorithm.gamma_2.constant
    if not rate:
        return False
    t = np.concatenate([np.arange(8.0), np.geomspace(8.0, 1e12, 40)])
    its = stochastic_nesterov(rate)
    pairs = (
        (algorithm.gamma_1(t) * algorithm.gamma_3(t), its.gamma_1(t) * its.gamma_3(t)),
        (algorithm.forgetting(t), its.forgetting(t)),
    )
    # A schedule times a number is rounded once or twice, nothing more.
    return all(np.allclose(mine, other, rtol=1e-13, atol=0.0) for mine, other in pairs)


def accelerated_sgd(
    gamma_short: float, gamma_long: float, mixing: float, averaging: float
) -> Momentum:
    """Accelerated SGD of Jain et al. 2018, read at the point where the gradient is taken.

    q = mixing w + (1 - mixing) v;  w <- q - gamma_short g;
    v <- averaging q + (1 - averaging) v - gamma_long g.

    Args:
        gamma_short: rate of the short step (their delta).
        gamma_long: rate of the long step (their gamma), at least `gamma_short`.
        mixing: weight of the short-step point in q (their alpha), in (0, 1].
        averaging: weight of q in the long-step point (their beta), in [0, 1].

    Raises:
        ValueError: a weight outside its range, or gamma_long below gamma_short.
    """
    short = checks.non_negative("gamma_short", gamma_short)
    long = checks.non_negative("gamma_long", gamma_long)
    if long < short:
        raise ValueError(f"`gamma_long` ({long}) must be at least `gamma_short` ({short}).")
    for name, value in (("mixing", mixing), ("averaging", averaging)):
        if not 0 <= checks.finite(name, value) <= 1:
            raise ValueError(f"`{name}` must lie in [0, 1], got {value!r}.")
    gamma_3 = (1.0 - mixing) * (long - short)
    forgetting = 1.0 - mixing * (1.0 - averaging)
    return Momentum(
        1.0,
        short,
        gamma_3,
        forgetting,
        name="accelerated-sgd",
        readouts=(("short-step", Constant(gamma_3)),),
    )


def dana_constant(gamma_2: Rate, gamma_3: Rate, delta: float) -> Momentum:
    """DANA-constant: a fixed momentum rate, and forgetting delta / (delta + t).

    Args:
        gamma_2: rate of the gradient step, at least 0, or a schedule.
        gamma_3: rate of the momentum step, of the order of 1/d to be stable; or a schedule.
        delta: friction, positive.

    Source: arXiv 2505.16098.

    >>> dana_constant(0.2, 0.001, delta=8.0).forgetting
    Forgetting(delta=8.0, offset=None)
    """
    return Momentum(1.0, gamma_2, gamma_3, Forgetting(delta), name="dana-constant")


def dana_decaying(gamma_2: Rate, gamma_3: float, kappa_3: float, delta: float) -> Momentum:
    """DANA-decaying: gamma_3(t) = gamma_3 (1 + t)^-kappa_3, forgetting delta / (delta + t).

    Args:
        gamma_2: rate of the gradient step, at least 0, or a schedule.
        gamma_3: rate of the momentum step at step 0, at least 0.
        kappa_3: its power of time; on PLRF 1 / (2 alpha) is the verge of stability at batch 1
            (for 2 alpha > 1).
        delta: friction, positive.

    Source: arXiv 2505.16098.

    >>> dana_decaying(0.2, 0.1, kappa_3=0.5, delta=8.0).gamma_3
    PowerLaw(scale=0.1, t_exponent=0.5)
    """
    decay = PowerLaw(
        checks.non_negative("gamma_3", gamma_3), checks.non_negative("kappa_3", kappa_3)
    )
    return Momentum(1.0, gamma_2, decay, Forgetting(delta), name="dana-decaying")


def schedule_free_sgd(
    gamma: float, interpolation: float = 0.9, weight_offset: float = 2.0
) -> Momentum:
    """Schedule-Free SGD: step `gamma`, gradient at (1 - b) z + b x, x averages z.

    Args:
        gamma: learning rate.
        interpolation: b, how far the gradient point lies towards the average, in [0, 1].
        weight_offset: the newest iterate enters the average with weight 1 / (t + offset); 2
            as in the paper.

    The curve is read at the gradient point; ``readout="average"`` reads the average.
    """
    gamma = checks.non_negative("gamma", gamma)
    if not 0 <= checks.finite("interpolation", interpolation) <= 1:
        raise ValueError(f"`interpolation` must lie in [0, 1], got {interpolation!r}.")
    if checks.positive("weight_offset", weight_offset) < 1:
        raise ValueError(f"`weight_offset` must be at least 1, got {weight_offset!r}.")
    weight = Forgetting(1.0, offset=weight_offset)
    # y_{-1} = 0, so forgetting all of it at t = 0 (offset 1) changes nothing.
    previous = AverageWeight(weight_offset - 1.0)
    return Momentum(
        1.0,
        (1.0 - interpolation) * gamma,
        (interpolation * gamma) * weight,
        previous,
        name="schedule-free-sgd",
        readouts=(("average", ((1.0 - interpolation) * gamma) * Complement(previous)),),
    )


def general_momentum(
    d: float,
    gamma_2: float,
    gamma_3: float,
    delta: float,
    kappa_1: float = 0.0,
    kappa_2: float = 0.0,
    kappa_3: float = 0.0,
    kappa_4: float = 0.0,
    kappa_5: float = 1.0,
) -> Momentum:
    """The whole DANA class, exponents of the dimension and of time apart.

    gamma_2 d^-kappa_1, gamma_3 d^-kappa_2 (1 + t)^-kappa_3, and forgetting
    delta d^-kappa_4 (1 + t)^-kappa_5; with kappa_4 = 0 and kappa_5 = 1 the forgetting is
    delta / (delta + t), which stays in (0, 1].

    Args:
        d: trained parameters.
        gamma_2: amplitude of the gradient step.
        gamma_3: amplitude of the momentum step.
        delta: friction, positive.
        kappa_1: power of d in gamma_2.
        kappa_2: power of d in gamma_3.
        kappa_3: power of time in gamma_3.
        kappa_4: power of d in the forgetting.
        kappa_5: power of time in the forgetting.

    >>> general_momentum(100, 0.1, 1.0, 8.0, kappa_2=1.0) == dana_constant(0.1, 0.01, 8.0)
    True
    """
    d = checks.positive("d", d)
    for name, value in (
        ("kappa_1", kappa_1),
        ("kappa_2", kappa_2),
        ("kappa_3", kappa_3),
        ("kappa_4", kappa_4),
        ("kappa_5", kappa_5),
    ):
        checks.finite(name, value)
    rate_2 = checks.non_negative("gamma_2", gamma_2) * d**-kappa_1
    rate_3 = checks.non_negative("gamma_3", gamma_3) * d**-kappa_2
    checks.positive("delta", delta)
    forgetting: Schedule
    if kappa_4 == 0 and kappa_5 == 1:
        forgetting = Forgetting(delta)
    else:
        forgetting = PowerLaw(delta * d**-kappa_4, kappa_5)
    decay: Schedule = Constant(rate_3) if kappa_3 == 0 else PowerLaw(rate_3, kappa_3)
    return Momentum(1.0, rate_2, decay, forgetting, name="general-momentum")
