"""How does the loss depend on the whole learning-rate schedule?

Every law here is L(t) = L0 + c1 x(t)^-s - c2 sum_k (change of rate at k) w_k G_k(t): a power law
in a clock x, less what the drops of the rate have given back so far. `fsl` is the functional
scaling law integrated by parts (arXiv 2509.19189, appendix B.2) with the two refinements that
measured runs ask for: the response slows with the rate as rate**-gamma (the multi-power law's
term) and the stationary noise may be a power of the rate.
What an early drop gives back is bounded (`MEMORY`). The signal has a clock of its own, which moves
as the rate to the power c (`clock_exponent`, signal_time.py), and may begin steeper than its power,
c1 x^-s (1 + b/x) with b >= 0 (`early_time`): a clock that starts late, (x - b/s)^-s, to first order
and without its pole. `of_a_size` is such a law as laws over sizes have it at one size
(late.py). `fsl-7` is the published form with seven parameters, `mpl` the
multi-power law, `mtl` the momentum law, `intrinsic-time` and `step` are baselines. Limits: one
model, one data set and one batch size per fit.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np

from hidim.fitting.schedules.clock import MEMORY, Clock
from hidim.fitting.schedules.late import late_floor, unbuilt
from hidim.fitting.schedules.response import released
from hidim.support.checks import choice

# Rows before this share of a run are transient: the power law holds neither at step zero nor soon.
START = 0.02


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law, as the search sees it.

    Attributes:
        name: what it is called in results.
        bounds: lowest and highest value searched.
        starts: values on the grid of starts; the linear ones have none.
        prior: mean and width of the weak prior that keeps it where data say nothing, or None.
        log: the search sees its logarithm (bounds, starts and prior are logarithms too).
    """

    name: str
    bounds: tuple[float, float]
    starts: tuple[float, ...] = ()
    prior: tuple[float, float] | None = None
    log: bool = False


_FLOOR = Parameter("floor", (0.0, math.inf))
_SIGNAL = Parameter("signal", (-30.0, 30.0), log=True)
_DECAY = Parameter("decay_exponent", (0.02, 3.0), (0.25, 0.5, 0.9))
_RELEASE = Parameter("release", (-30.0, 10.0), log=True)


@dataclass(frozen=True)
class ScheduleLaw:
    """A law of the family, told apart by its parameters and by which clock and response it uses.

    Attributes:
        name: what `fit(..., law=)` calls it.
        parameters: all parameters, in the order of the parameter vector.
        clock: "time" (intrinsic) or "steps".
        response: "power", 1 - (1+x)^-g; "exponential", 1 - e^-x in steps; or "none".
        sized: of one size of a law over sizes: e^floor_excess of the floor turns on late, and the
            noise builds up from the start.
    """

    name: str
    parameters: tuple[Parameter, ...]
    clock: str = "time"
    response: str = "power"
    sized: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Parameter names in order."""
        return tuple(p.name for p in self.parameters)

    @property
    def told(self) -> int:
        """Parameters that rows must tell; the others are what they are without, until rows say."""
        return sum(name not in WITHOUT for name in self.names)

    def starts(self) -> list[np.ndarray]:
        """The grid of starts of the non-linear parameters; floor, signal and release are NaN."""
        grids = [p.starts or (math.nan,) for p in self.parameters]
        return [np.array(point) for point in product(*grids)]

    def evaluate(self, vector: np.ndarray, clock: Clock) -> tuple[np.ndarray, np.ndarray]:
        """Loss and its exact gradient in the parameters.

        Args:
            vector: parameters, shape (p,).
            clock: the run and the points asked for.

        Returns:
            Loss (n,) and Jacobian (n, p).
        """
        value = dict(zip(self.names, vector, strict=True))
        log_x, log_x_slope = self._signal_time(value, clock)
        x, s, scale = np.exp(log_x), value["decay_exponent"], math.exp(value["signal"])
        power = scale * np.exp(-s * log_x)
        b = value.get("early_time", 0.0)
        fall = power * (1.0 + b / x)
        columns = {"floor": np.ones_like(x), "signal": fall, "decay_exponent": -log_x * fall}
        columns["early_time"] = power / x
        columns["clock_exponent"] = -(s * fall + power * b / x) * log_x_slope
        if self.sized:
            late = late_floor(value["floor_excess"], np.log(fall), value["interaction"])
            # What it is by the logarithm of the signal, it is by whatever moves the signal.
            columns = {name: late.by_signal / fall * one for name, one in columns.items()}
            columns |= {"floor": np.ones_like(x), "floor_excess": late.by_floor}
            columns["interaction"], fall = late.by_interaction, late.value
        loss = value["floor"] + fall
        if self.response != "none":
            gain, slopes = self._released(value, clock)
            release = math.exp(value["release"])
            loss = loss - release * gain
            columns["release"] = -release * gain
            for name, slope in slopes.items():
                columns[name] = columns.get(name, 0.0) - release * slope
        return loss, np.stack([columns[name] for name in self.names], axis=1)

    def loss(self, vector: np.ndarray, clock: Clock) -> np.ndarray:
        """What `evaluate` says of the loss, (n,), at a quarter of its cost.

        The events of the clock may differ from point to point, (n, events): ends of n runs.
        """
        value = dict(zip(self.names, vector.tolist(), strict=True))
        x = np.exp(self._signal_time(value, clock)[0])
        signal = math.exp(value["signal"]) * x ** -value["decay_exponent"]
        if early := value.get("early_time", 0.0):
            signal *= 1.0 + early / x
        if self.sized:
            signal = late_floor(value["floor_excess"], np.log(signal), value["interaction"]).value
        loss: np.ndarray = value["floor"] + signal
        if self.response == "none":
            return loss
        q, h = value.get("noise_exponent", 1.0), value.get("noise_signal", 0.0)
        old, new = clock.events.old * clock.level, clock.events.new * clock.level
        rate = math.exp(value["response_rate"])
        if self.response == "exponential":
            felt = -np.expm1(-rate * clock.lag_steps)
        else:
            level = clock.events.level * clock.level
            slowed = rate * level ** -value.get("slowing_exponent", 0.0)
            felt = 1.0 - (1.0 + clock.lag * slowed) ** -math.exp(value["response_exponent"])
        if h:
            seen = np.maximum(clock.events.time, MEMORY * clock.time[:, None])
            felt = felt * (1.0 - h + h * np.maximum(seen, 1e-12) ** -value["decay_exponent"])
        gain = np.sum(felt * (old**q - new**q), axis=1) + (1.0 - clock.level**q)
        if self.sized:
            gain += unbuilt(value, clock.time, clock.level)[0]
        return loss - math.exp(value["release"]) * gain

    def _signal_time(
        self, value: dict[str, float], clock: Clock
    ) -> tuple[np.ndarray, np.ndarray | float]:
        """Log of the signal's clock, (n,), and its slope in `clock_exponent`."""
        if "clock_exponent" in value:
            return clock.signal.log(value["clock_exponent"])
        return np.log(clock.time if self.clock == "time" else clock.steps), 0.0

    def _released(
        self, value: dict[str, float], clock: Clock
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Sum over rate changes of weight times response, and its slopes, each (n,)."""
        exponential = self.response == "exponential"
        gain, slopes = released(
            value, clock.pairs, clock.events, clock.level, exponential=exponential
        )
        # A run whose peak is below the fit's has shed the noise in between from the start.
        q = value.get("noise_exponent", 1.0)
        below = clock.level**q
        gain = gain + (1.0 - below)
        if "noise_exponent" in slopes:
            slopes["noise_exponent"] = slopes["noise_exponent"] - below * math.log(clock.level)
        if self.sized:
            left, more = unbuilt(value, clock.time, clock.level)
            gain = gain + left
            slopes |= {name: slopes.get(name, 0.0) + slope for name, slope in more.items()}
        return gain, {name: slope for name, slope in slopes.items() if name in self.names}


def complete(names: tuple[str, ...], vectors: np.ndarray, given: Collection[str]) -> np.ndarray:
    """Vectors (..., p) of parameters `names` from a file that knows those `given`.

    Files of earlier versions do not know some of `WITHOUT`, and took them to be that.
    """
    lacks = [i for i, name in enumerate(names) if name in WITHOUT and name not in given]
    if vectors.shape[-1] != len(names) - len(lacks):
        return vectors
    for i in lacks:
        vectors = np.insert(vectors, i, WITHOUT[names[i]], axis=-1)
    return vectors


# Priors are weak and were chosen by leave-one-curve-out on fitted curves alone
# (docs/how-to/fit.md): they decide only what two or three curves leave open.
_RATE = Parameter("response_rate", (-3.0, 14.0), (3.5, 5.5), (4.6, 1.0), log=True)
_SHAPE = Parameter("response_exponent", (-3.0, 2.0), (-0.5,), (-0.5, 0.5), log=True)
_SLOWING = Parameter("slowing_exponent", (0.0, 2.0), (1.0,), (1.0, 0.3))
_NOISE = Parameter("noise_exponent", (0.4, 2.0), (0.9,), (0.9, 0.05))
_NOISE_SIGNAL = Parameter("noise_signal", (0.0, 1.0), (0.1,), (0.1, 0.05))
_EARLY = Parameter("early_time", (0.0, 0.3), (0.0,), (0.0, 0.001))
_CLOCK = Parameter("clock_exponent", (0.3, 1.5), (1.0,), (1.0, 0.2))
# What a law without these has in their place.
WITHOUT = {"early_time": 0.0, "clock_exponent": 1.0}
_POWER_LAW = (_FLOOR, _SIGNAL, _DECAY)
_EXCESS = Parameter("floor_excess", (-30.0, 30.0), log=True)
# Chosen on ladders of known truth (docs/log.md, 2026-11-27); 0 is the sum.
_INTERACTION = Parameter("interaction", (-3.0, 0.0), (0.0,), (0.0, 0.5), log=True)

LAWS: dict[str, ScheduleLaw] = {
    law.name: law
    for law in (
        ScheduleLaw(
            "fsl",
            (
                *(*_POWER_LAW, _RELEASE, _RATE, _SHAPE, _SLOWING, _NOISE, _NOISE_SIGNAL),
                *(_EARLY, _CLOCK),
            ),
        ),
        ScheduleLaw("fsl-7", (*_POWER_LAW, _RELEASE, _RATE, _SHAPE, _NOISE_SIGNAL)),
        ScheduleLaw("mpl", (*_POWER_LAW, _RELEASE, _RATE, _SHAPE, _SLOWING)),
        ScheduleLaw(
            "mtl",
            (
                *_POWER_LAW,
                _RELEASE,
                Parameter("response_rate", (-3.0, 12.0), (2.5, 4.5), (3.5, 1.5), log=True),
            ),
            response="exponential",
        ),
        ScheduleLaw("intrinsic-time", _POWER_LAW, response="none"),
        ScheduleLaw("step", _POWER_LAW, clock="steps", response="none"),
    )
}


def schedule_law(name: str) -> ScheduleLaw:
    """The law called `name`, in any case.

    Raises:
        ValueError: no such law; the nearest name is suggested.
    """
    known = name.lower() if isinstance(name, str) else name
    return LAWS[choice("law", known, LAWS)]


def of_a_size(law: ScheduleLaw) -> ScheduleLaw:
    """A law with a response as laws over sizes have it at one size, under the same name."""
    return replace(law, parameters=(*law.parameters, _EXCESS, _INTERACTION), sized=True)
