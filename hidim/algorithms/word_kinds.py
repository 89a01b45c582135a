"""How is the schedule of one kind of words built from its numbers?

Kinds share peak, warmup, steps, end and decay, and `Said` checks what these say of each other. The
rate rises linearly from zero over the warm-up, but that of `onecycle`, which rises from `initial`.
A fall ends with the run, or at `until`, from where on its last rate stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hidim.algorithms.decays import RISES, PowerFall, PowerTail, Rise, Tail
from hidim.algorithms.schedules import Constant, Schedule, Table, Warmup
from hidim.algorithms.spellings import a_kind


class Said:
    """The numbers of one schedule, with the checks that all kinds share."""

    def __init__(self, kind: str, given: Mapping[str, Any]) -> None:
        self.kind, self.given = kind, given
        self.peak = float(given["peak"])
        self.given = given = _complete(kind, given)
        self.steps = float(given.get("steps", math.inf))
        self.until = float(given.get("until", self.steps))
        self.warmup = float(given.get("warmup", 0.0))
        self.end = float(given.get("end", 0.0))
        if not self.peak > 0 or not math.isfinite(self.peak):
            raise ValueError(f"peak={self.peak:g} must be a positive rate.")
        if self.end > self.peak:
            raise ValueError(
                f"end={self.end:g} must not exceed peak={self.peak:g}; a share of the peak is "
                "end=10% or end=0.1x."
            )
        if not self.steps >= 1:
            raise ValueError(f"steps={self.steps:g} must be at least 1.")
        last = min(self.steps, self.until)
        if self.warmup >= last:
            name = "steps" if last == self.steps else "until"
            raise ValueError(f"warmup={self.warmup:g} must be below {name}={last:g}.")

    def rising(self, factor: Schedule | None = None) -> Schedule:
        """Peak, warm-up and what follows it."""
        found: Schedule = Constant(self.peak)
        if self.warmup >= 1:
            found = found * Warmup(round(self.warmup))
        return found if factor is None else found * factor

    def fall(self, start: float, *, level: float = 1.0, shape: str = "linear") -> Schedule:
        """A tail from `start` to the end, from `level` times the peak down to the end rate."""
        shape = str(self.given.get("shape", shape))
        if shape == "exponential" and self.end == 0:
            raise ValueError("shape=exponential needs end=, a positive rate.")
        return Tail(start, self.until, min(self.end / (level * self.peak), 1.0), shape)

    def decay_start(self) -> float:
        """Where the tail begins."""
        decay = float(self.given["decay"])
        if not math.isfinite(self.until):
            raise ValueError("'decay=' needs 'steps=', the length of the whole run.")
        start = self.until - decay
        if decay <= 0 or start < self.warmup:
            raise ValueError(
                f"decay={decay:g} must be positive and begin after the warm-up: at most "
                f"{self.until - self.warmup:g} of {self.until:g} steps."
            )
        return start


def _complete(kind: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """The numbers with what a kind takes for granted where nothing is said."""
    out = dict(given)
    if "until" in given and "steps" not in given:
        out["steps"] = given["until"]
    if kind == "wsd":
        return _with_tail(out)
    if kind in ("cosine", "linear", "polynomial") or "decay" in given:
        out.setdefault("end", 0.0)
    if kind == "polynomial":
        out.setdefault("exponent", 1.0)
    if kind == "onecycle":
        out.setdefault("warmup", float(round(0.3 * out["steps"])))
        out.setdefault("initial", out["peak"] / out.pop("div_factor", 25.0))
        out.setdefault("end", out["initial"] / out.pop("final_div_factor", 1e4))
        out.setdefault("shape", "cosine")
    return out


def _with_tail(out: dict[str, Any]) -> dict[str, Any]:
    """A `wsd` schedule with its steps and its decay, two of which may come as stable= or start=."""
    given = dict(out)
    out.setdefault("end", 0.0)
    if "stable" in out:
        out["start"] = out.pop("stable") + out.get("warmup", 0.0)
        if "start" in given:
            raise ValueError("'stable=' and 'start=' both say where the decay begins: give one.")
    if "start" in out and "steps" not in out and "decay" in out:
        out["steps"] = out["start"] + out["decay"]
    if "start" in out and "steps" in out and "decay" not in out:
        out["decay"] = out["steps"] - out["start"]
    for name in ("steps", "decay"):
        if name not in out:
            raise ValueError(f"a wsd schedule needs '{name}=', as in {example('wsd')!r}.")
    if "start" in out and abs(out["start"] + out["decay"] - out["steps"]) > 0.5:
        raise ValueError(
            f"the decay begins at step {out['start']:g} and takes {out['decay']:g} of "
            f"{out['steps']:g} steps: these do not add up."
        )
    return out


def _tailed(said: Said) -> None:
    """Refuse an end that no tail leads to."""
    if "end" in said.given and "decay" not in said.given and said.end != said.peak:
        raise ValueError("end= needs decay=, the steps of the tail that leads there.")


def constant(said: Said) -> Schedule:
    _tailed(said)
    return said.rising(said.fall(said.decay_start()) if "decay" in said.given else None)


def wsd(said: Said) -> Schedule:
    return said.rising(said.fall(said.decay_start()))


def cosine(said: Said) -> Schedule:
    return said.rising(said.fall(said.warmup, shape="cosine"))


def linear(said: Said) -> Schedule:
    return said.rising(said.fall(said.warmup))


def polynomial(said: Said) -> Schedule:
    power = float(said.given["exponent"])
    return said.rising(PowerTail(said.warmup, said.until, said.end / said.peak, power))


def one_cycle(said: Said) -> Schedule:
    first = float(said.given["initial"])
    shape = str(said.given["shape"])
    if first > said.peak:
        raise ValueError(f"initial={first:g} must not exceed peak={said.peak:g}.")
    if not said.warmup >= 1 or shape not in RISES:
        raise ValueError(
            f"a onecycle schedule rises over warmup={said.warmup:g} steps and has the shape "
            f"{shape!r}: at least one step, cosine or linear."
        )
    rise = Rise(said.warmup, first / said.peak, shape)
    return Constant(said.peak) * rise * said.fall(said.warmup)


def multistep(said: Said) -> Schedule:
    at = list(said.given["at"])
    factors, rates = said.given.get("factor"), said.given.get("rates")
    if (factors is None) == (rates is None):
        raise ValueError("a multistep schedule needs factor= or rates=, and one of them.")
    if rates is not None:
        levels = [rate / said.peak for rate in rates]
        if len(levels) == len(at) + 1 and math.isclose(levels[0], 1.0):
            levels = levels[1:]  # the peak told as the first of them
    else:
        each = list(factors or ())
        each = each * len(at) if len(each) == 1 else each
        levels = np.cumprod(each).tolist()
    if len(levels) != len(at):
        what = "factor" if rates is None else "rates"
        raise ValueError(
            f"{what}= has {len(levels)} values for {len(at)} steps in at=: one after each of them, "
            "the peak before the first."
        )
    if at != sorted(set(at)) or at[0] <= said.warmup or at[-1] >= said.steps:
        raise ValueError("at= must ascend, after the warm-up and before the last step.")
    return said.rising(Table((0.0, *at), (1.0, *levels), "previous"))


def power(said: Said) -> Schedule:
    exponent = float(said.given.get("exponent", 0.5))
    start = float(said.given.get("start", said.warmup))
    if not start >= 1:
        raise ValueError(
            f"{a_kind(said.kind)} schedule needs warmup= or start=, from where it falls."
        )
    _tailed(said)
    if "decay" not in said.given:
        return said.rising(PowerFall(start, exponent))
    until = said.decay_start()
    if until <= start:
        raise ValueError(f"the tail begins at step {until:g}, before the fall at {start:g}.")
    level = (until / start) ** -exponent
    if said.end > level * said.peak:
        raise ValueError(
            f"end={said.end:g} lies above the rate where the tail begins, which is "
            f"{level * said.peak:.4g} at step {until:g}."
        )
    return said.rising(PowerFall(start, exponent, until) * said.fall(until, level=level))


_Kind = tuple[Callable[[Said], Schedule], tuple[str, ...], tuple[str, ...]]
# Kind -> how it is built, the numbers it needs, and those it may have.
KINDS: dict[str, _Kind] = {
    "constant": (constant, ("peak",), ("warmup", "steps", "decay", "end", "shape", "until")),
    "cosine": (cosine, ("peak", "steps"), ("end", "warmup", "until")),
    "linear": (linear, ("peak", "steps"), ("end", "warmup", "until")),
    "polynomial": (polynomial, ("peak", "steps"), ("exponent", "end", "warmup", "until")),
    "wsd": (
        wsd,
        ("peak",),
        ("steps", "decay", "stable", "start", "end", "warmup", "shape", "until"),
    ),
    "multistep": (multistep, ("peak", "at"), ("factor", "rates", "warmup", "steps")),
    "inverse-sqrt": (
        power,
        ("peak",),
        ("warmup", "start", "steps", "decay", "end", "shape", "until"),
    ),
    "power": (
        power,
        ("peak", "exponent"),
        ("warmup", "start", "steps", "decay", "end", "shape", "until"),
    ),
    "onecycle": (
        one_cycle,
        ("peak", "steps"),
        ("warmup", "initial", "end", "shape", "div_factor", "final_div_factor"),
    ),
}
_SAMPLES = {
    "peak": "peak=3e-4",
    "steps": "steps=24000",
    "decay": "decay=4800",
    "at": "at=8000,16000 factor=0.3",
    "exponent": "exponent=0.5 warmup=2000",
}


def example(kind: str) -> str:
    """How a schedule of this kind is written."""
    needed = ("peak", "steps", "decay") if kind == "wsd" else KINDS[kind][1]
    words = [_SAMPLES.get(name, f"{name}=...") for name in needed]
    return " ".join([kind, *words])
