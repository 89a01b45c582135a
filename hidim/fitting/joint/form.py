"""How do the parameters of a law of schedules depend on the size of the model?

    floor(N) = E + A (N / N0)^-a          signal, release, response rate ~ (N / N0)^power
and every other parameter (the exponents and the shape of the response) is shared by all sizes. Its
A (N / N0)^-a turns on late and the noise builds up (hidim.fitting.schedules.late).
Rates are taken relative to the highest of their size, so that sizes may have been run at peaks of
their own. Limits: powers of N over the sizes fitted; the prior on a, without which two sizes say
nothing of a third, and those that hold the other powers near 0, stand in `Prior` and in every
saved law.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from hidim.fitting.schedules.clock import Clock
from hidim.fitting.schedules.laws import Parameter, ScheduleLaw
from hidim.support.checks import positive

Evaluation = tuple[np.ndarray, np.ndarray]
FLOOR = ("floor_limit", "floor_excess", "floor_exponent")
SCALED = ("signal", "release", "response_rate")  # logarithms that are lines in log N


@dataclass(frozen=True)
class Prior:
    """What is assumed of sizes before any run is looked at: means and standard deviations.

    Attributes:
        floor_exponent: of floor(N) - E in N. Laws of finished runs have .35 (Chinchilla) and .23 to
            .27 (OpenLM); nine in ten lie between .07 and .73 by this prior. Ladders of hidim's own
            problems have 2 alpha + 2 beta - 1 and want it said.
        power: standard deviation about 0 of the powers of N in signal and release.
        rate: likewise of the response rate.
    """

    floor_exponent: tuple[float, float] = (0.4, 0.2)
    power: float = 0.15
    rate: float = 0.25

    def __post_init__(self) -> None:
        if not isinstance(self.floor_exponent, tuple | list) or len(self.floor_exponent) != 2:
            raise ValueError(
                "`floor_exponent` must be a mean and a standard deviation, as (0.4, 0.2); got "
                f"{self.floor_exponent!r}."
            )
        for name, value in (
            ("floor_exponent", self.floor_exponent[0]),
            ("floor_exponent", self.floor_exponent[1]),
            ("power", self.power),
            ("rate", self.rate),
        ):
            positive(f"prior {name}", value)


@dataclass(frozen=True)
class JointForm:
    """A law of schedules whose floor, amplitudes and response rate are powers of the size.

    Attributes:
        law: of schedules, at one size: `of_a_size`, or as it is in files of earlier versions.
        prior: on how it depends on the size.
    """

    law: ScheduleLaw
    prior: Prior

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """All parameters in the order of the joint vector."""
        out: list[Parameter] = []
        for p in self.law.parameters:
            if p.name == "floor":
                limit, excess, exponent = FLOOR
                out.append(Parameter(limit, (0.0, math.inf)))
                out.append(Parameter(excess, (-30.0, 30.0), log=True))
                out.append(Parameter(exponent, (0.01, 2.0), (), self.prior.floor_exponent))
                continue
            if p.name == "floor_excess":
                continue
            out.append(p)
            if p.name in SCALED:
                width = self.prior.rate if p.name == "response_rate" else self.prior.power
                out.append(Parameter(f"{p.name}_power", (-2.0, 2.0), (), (0.0, width)))
        return tuple(out)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in order."""
        return tuple(p.name for p in self.parameters)

    def at(self, vector: np.ndarray, size: float) -> np.ndarray:
        """Parameters of the law of schedules at log(N / N0) = `size`, shape (p,)."""
        value = dict(zip(self.names, vector, strict=True))
        excess = value["floor_excess"] - value["floor_exponent"] * size
        out = []
        for p in self.law.parameters:
            if p.name == "floor":
                out.append(value["floor_limit"] + math.exp(excess))
            elif p.name == "floor_excess":
                out.append(excess)
            else:
                out.append(value[p.name] + value.get(f"{p.name}_power", 0.0) * size)
        return np.array(out)

    def evaluate(self, vector: np.ndarray, size: float, clock: Clock) -> Evaluation:
        """Loss (n,) and its exact gradient in the joint parameters (n, q)."""
        value = dict(zip(self.names, vector, strict=True))
        loss, slope = self.law.evaluate(self.at(vector, size), clock)
        fall = math.exp(value["floor_excess"] - value["floor_exponent"] * size)
        columns = []
        for i, p in enumerate(self.law.parameters):
            own = slope[:, i]
            if p.name == "floor":
                by_excess = fall * own
                if self.law.sized:
                    by_excess = by_excess + slope[:, self.law.names.index("floor_excess")]
                columns += [own, by_excess, -size * by_excess]
                continue
            if p.name == "floor_excess":
                continue
            columns.append(own)
            if p.name in SCALED:
                columns.append(size * own)
        return loss, np.stack(columns, axis=1)

    def starts(self) -> list[np.ndarray]:
        """The grid of starts; what enters linearly is NaN, powers stand at their priors."""
        out = []
        for point in self.law.starts():
            start: list[float] = []
            for p, v in zip(self.law.parameters, point, strict=True):
                if p.name == "floor":
                    start += [math.nan, math.nan, self.prior.floor_exponent[0]]
                    continue
                if p.name == "floor_excess":
                    continue
                start.append(float(v))
                if p.name in SCALED:
                    start.append(0.0)
            out.append(np.array(start))
        return out
