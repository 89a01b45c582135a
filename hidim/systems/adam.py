"""How do Adam and the sign of momentum move? As SGD with momentum on the modes of signs.

In the modes of sign_modes.py, coordinates in units of their standard deviation, with the numbers
a and b(C) of running.py and v the expected mean square of a coordinate's gradient,

    v+ = beta_2 v + (1 - beta_2) 2P / B,

Adam moves like SGD with momentum beta_1 on the eigenvalues omega at the rate eta / sqrt(v), its
drift times a, and with b(correlations of K) for the correlations in the noise; v is one more state,
so that a second moment slower than the run is followed too. Signum has the drift a / sqrt(2P / B)
and the noise b, as signs have theirs.
Source: arXiv 2411.12135, whose authors put this for Adam; derived and checked for this project,
docs/theory/adam.md. Limits: Gaussian rows and noise; signals small in every coordinate, as under
signs; memories 1 / (1 - beta_1) short beside the run; a and b are those of a memory that is full,
and a caution says where the first steps, whose is not, matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.algorithms.adaptive import Adam, Signum
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.schedules import Constant, Schedule
from hidim.problems.noise import Gaussian
from hidim.problems.spectrum import Spectrum
from hidim.systems.base import Array, Drive, System
from hidim.systems.coefficients import Coefficients
from hidim.systems.moment_steps import ERROR
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.running import Running, adam_numbers, signum_numbers
from hidim.systems.sign import modes_of
from hidim.systems.sign_drift import chi_mean
from hidim.systems.sign_modes import SignModes
from hidim.systems.transformed import Transformed

# Largest B (K r)_i^2 / (K_ii 2P) at which a drift linear in it is good to some percent, and the
# same of all samples that a momentum remembers, of which a sign sees less.
_SIGNAL, _REMEMBERED = 0.1, 0.25
_TINY = 1e-300
# Share of the excess, by which the first steps may be off, that is told; memories and steps that
# count as the first.
_TOLD, _MEMORIES, _FIRST = 0.025, 20.0, 1e5


@dataclass(frozen=True, eq=False)
class SignumSystem(Transformed):
    """The moments under signs of momentum.

    Args:
        modes: what coordinates in units of their size see of the problem.
        numbers: drift and noise of the method.
        memory: how many samples' worth of signal a step adds up, over the batch.
    """

    modes: SignModes
    numbers: Running
    memory: float

    @property
    def error_sq(self) -> Array:
        """In these modes."""
        return self.modes.error_sq

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """omega, a omega, n and a^2 omega^2."""
        omega = self.modes.omega
        drift = self.numbers.drift * omega
        return omega, drift, self.modes.noise, drift**2

    def _seen(self, q: Array) -> Array:
        """2P / B at these orders, the mean square of a coordinate's gradient."""
        excess = np.maximum(q[:, 0], 0.0)
        return np.asarray(np.maximum(2.0 * self.floor + excess, _TINY) / self.moments.batch_size)

    def rate(self, t: Array, q: Array) -> Array:
        """What multiplies eta."""
        return self.held(t, 1.0 / np.sqrt(self._seen(q)))

    def _at(self, t: Array, q: Array) -> tuple[Coefficients, tuple[Array, Array, Array]]:
        t, q = np.asarray(t, dtype=np.float64), np.asarray(q)
        c, rate, seen = Coefficients.at(self.moments.followed, t), self.rate(t, q), self._seen(q)
        scaled = Coefficients(c.gamma_1, c.gamma_3 * rate, c.total * rate, c.keep, c.forget)
        # A sign's square is 1 with its mean in it; of a momentum the mean comes on top.
        kappa = np.full_like(seen, 0.0 if self.kinds == 1 else 1.0)
        return scaled, (np.ones_like(seen), seen, kappa)

    def scalars(self, t: Array, excess: Array) -> tuple[Array, Array, Array]:
        """Everything is in the rate, but for the size of the noise."""
        return self._at(t, excess[:, None])[1]

    def steps(
        self, first: float, count: int, x: Array, drive: Drive | None = None
    ) -> tuple[Array, Array]:
        """As of any system, for the same reason as below."""
        return System.steps(self, first, count, x, drive)

    def linearised(
        self, t: Array, x: Array, q: Array, drive: Drive | None = None
    ) -> tuple[Array, Array | None, Array]:
        """As of any system: here the rate moves with the orders."""
        return System.linearised(self, t, x, q, drive)

    def parameters(self) -> tuple[str, ...]:
        """The rate, where it is a number; the betas are in more than the momentum."""
        return () if self._eta.constant is None else ("eta",)

    def moved(self, name: str, by: float) -> tuple[System, float]:
        """At another rate."""
        if name not in self.parameters():
            raise ValueError(f"no parameter {name!r}: this theory has eta alone, where a number.")
        value = float(self._eta(0.0))
        size, beta = by * (value or 1.0), 1.0 - float(self.moments.algorithm.forgetting(0.0))
        plain = _averaged(Constant(value + size), beta)
        return replace(self, moments=replace(self.moments, algorithm=plain)), size

    @property
    def _eta(self) -> Schedule:
        plain = self.moments.algorithm
        return plain.gamma_3 if plain.has_momentum else plain.gamma_2

    def caution(self, last: float) -> str:
        """Whether some coordinate's signal is too large at the start, or modes are too few."""
        return _told(self.modes, self.moments, self.memory)


def _told(modes: SignModes, moments: MomentumSystem, memory: float) -> str:
    """What is against a drift linear in the signal."""
    twice = 2.0 * moments.spectrum.initial_risk
    signal = memory * moments.batch_size * modes.signal / twice if twice > 0 else 0.0
    told = [modes.told()]
    if signal > (_SIGNAL if memory == 1.0 else _REMEMBERED):
        at = ".1, 20 % at .7" if memory == 1.0 else ".7, 25 % at 5"
        told.append(
            "the drift is taken as linear in the signal, which at the start is "
            f"{signal:.2g} times the noise in some coordinate: the excess is some 3 % too low at "
            f"{at}, and far off above"
        )
    return "; ".join(filter(None, told))


@dataclass(frozen=True, eq=False)
class AdamSystem(SignumSystem):
    """The moments under Adam, and its mean square as one mode more, the last.

    Args:
        adam: the algorithm; `moments` has its momentum at the rate eta.
    """

    adam: Adam

    orders = ("twice_excess", "mean_square")  # type: ignore[assignment]

    @property
    def error_sq(self) -> Array:
        """In the modes, and no square seen yet."""
        return np.append(self.modes.error_sq, 0.0)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """None of the last mode."""
        w, drift, noise, squares = (np.append(v, 0.0) for v in super().arrays())
        return w, drift, noise, squares

    def reads(self) -> Array:
        """omega, and the last mode itself."""
        square = np.zeros(len(self.error_sq))
        square[-1] = 1.0
        return np.stack([self._arrays[0], square])

    def rate(self, t: Array, q: Array) -> Array:
        """By the mean square that the step has seen, its own gradient included."""
        beta_2 = self.adam.beta_2
        mean_square = beta_2 * np.maximum(q[:, 1], 0.0) + (1.0 - beta_2) * self._seen(q)
        found = 1.0 / np.sqrt(mean_square)
        if self.adam.bias_correction:
            found = found * np.sqrt(_filled(beta_2, t)) / _filled(self.adam.beta_1, t)
        return np.asarray(found)

    def kept(self, x: Array) -> Array:
        """The modes of the problem."""
        return x[..., :-1]

    def change(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """That of momentum; the last mode forgets."""
        found = super().change(t, q, drive)
        found[:, -1, ERROR] = 0.0
        found[:, -1, ERROR, ERROR] = self.adam.beta_2 - 1.0
        return found

    def caution(self, last: float) -> str:
        """That of signs, and whether the first steps are predicted much too fast."""
        missing, told = -math.expm1(-self._unfilled(last)), super().caution(last)
        if missing <= _TOLD:
            return told
        return (told + "; " if told else "") + (
            "the first steps, whose second moment has seen few gradients, are predicted too fast: "
            f"the excess is too low by some {missing:.0%}"
        )

    def _unfilled(self, last: float) -> float:
        """By how much more the logarithm of the excess falls in the first steps than it does.

        E sqrt(mean of p^2 over n samples) is below 1 by some kappa / (8 n), kappa = var p^2, and at
        n = 1 by 1 - E |p|; so is the drift of a second moment that has seen n.
        """
        batch, beta_2, w = self.moments.batch_size, self.adam.beta_2, self.modes.omega
        n = np.arange(1.0, min(last, _MEMORIES / (1.0 - beta_2), _FIRST) + 1.0)
        seen = (1.0 + beta_2) / (1.0 - beta_2) * _filled(beta_2, n - 1.0)
        seen = seen / (1.0 + beta_2**n)  # of equal weight
        slope = 0.25 + 0.75 / batch
        offset = slope / (1.0 - math.sqrt(2.0 / (math.pi * batch)) * chi_mean(batch)) - 1.0
        full = (1.0 + beta_2) / (1.0 - beta_2)
        short = slope / (seen + offset) - slope / (full + offset)
        rate = np.asarray(self._eta(n - 1.0))
        if not self.adam.bias_correction:
            rate = rate * _filled(self.adam.beta_1, n - 1.0) / np.sqrt(_filled(beta_2, n - 1.0))
        size = math.sqrt(max(2.0 * self.moments.spectrum.initial_risk, _TINY) / batch)
        held = float(w @ self.modes.error_sq)
        pull = float(w**2 @ self.modes.error_sq) / held if held > 0 else 0.0
        # Steps that share gradients are predicted too noisy then, which undoes some (measured).
        return 2.0 * pull / size * float(rate @ short) / (1.0 + self.adam.beta_1)

    def source(self, t: Array, q: Array, drive: Drive | None = None) -> Array:
        """Noise, and what the last mode sees."""
        found = super().source(t, q, drive)
        found[:, -1, ERROR] = (1.0 - self.adam.beta_2) * self._seen(np.asarray(q))
        return found


def _filled(beta: float, t: Array) -> Array:
    """1 - beta^(t + 1), how far a mean of that memory is from zero."""
    return np.asarray(-np.expm1((t + 1.0) * math.log(beta))) if beta > 0 else np.ones_like(t)


def build(problem: Any, algorithm: Any, batch_size: float) -> System | None:
    """Adam and Signum on Gaussian rows."""
    if not isinstance(algorithm, Adam | Signum):
        return None
    law = problem.law if isinstance(problem, Spectrum) else None
    if law is None or law.rows is not None or not law.gaussian:
        return None
    if not (law.noise is None or isinstance(law.noise, Gaussian)):
        raise ValueError(
            f"{algorithm.name} is predicted for Gaussian noise alone, not {law.noise!r}: run it by "
            "hidim.simulate."
        )
    if math.isinf(batch_size):
        raise ValueError(
            f"`batch_size`=inf leaves {algorithm.name} no noise, and its theory is one of small "
            "signals in noise: give a finite batch."
        )
    floored, batch = with_floor(problem), float(batch_size)
    if isinstance(algorithm, Signum):
        numbers = signum_numbers(algorithm.beta, batch)
        modes = modes_of(problem, algorithm.basis, numbers, algorithm.name)
        moments = MomentumSystem(floored, _averaged(algorithm.eta, algorithm.beta), batch)
        memory = (1.0 + algorithm.beta) / (1.0 - algorithm.beta)
        return SignumSystem(problem, moments, modes, numbers, memory)
    beta_1, beta_2 = algorithm.beta_1, algorithm.beta_2
    if beta_1**2 >= beta_2 and beta_1 > 0:
        raise ValueError(
            f"`beta_1`^2 must be below `beta_2` to be predicted, got {beta_1:g} and {beta_2:g}: a "
            "gradient outlives its own square, and steps have no bound. hidim.simulate runs it."
        )
    numbers = adam_numbers(beta_1, beta_2, batch)
    modes = modes_of(problem, algorithm.basis, numbers, algorithm.name)
    moments = MomentumSystem(floored, _averaged(algorithm.eta, beta_1), batch)
    return AdamSystem(problem, moments, modes, numbers, 1.0, algorithm)


def _averaged(eta: Schedule, beta: float) -> Momentum:
    """Steps by a running mean of the gradients, or by the last one."""
    if beta == 0.0:
        return Momentum(0.0, eta, 0.0, 1.0)
    return Momentum(1.0 - beta, 0.0, eta, 1.0 - beta)
