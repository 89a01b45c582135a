"""What was measured: the steps, learning rate and loss of one training run, checked.

Limits: rows must increase in step; nothing is reordered or filled in silently, because a log
of two mixed or resumed runs would then be fitted as if it were one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, cast

import numpy as np

from hidim.algorithms.schedules import Schedule
from hidim.algorithms.words import read_words, with_warmup
from hidim.curve import Curve
from hidim.fitting.logs.known_rates import rate_of
from hidim.fitting.logs.rates import Rate, rate_from_log, rate_from_schedule
from hidim.support.checks import finite_array, non_negative
from hidim.support.results import Saved

POINTS = 512  # a curve with more points is averaged into this many bins before a fit
_ZERO = 1e-12  # of the highest rate: what is smaller is rounding


@dataclass(frozen=True, eq=False)
class Run(Saved, format="hidim-run/1"):
    """One measured or planned training run.

    Args:
        steps: optimizer steps, increasing, shape (n,).
        lr: learning rate at each step, shape (n,).
        loss: loss at each step, positive, shape (n,); None for a planned run.
        warmup_steps: linear warm-up from zero that the rows leave out.
        label: name for tables and figures.
        notes: what a reader did to the file (rows dropped, columns chosen).
        schedule: what `lr` was read off, where that is known: the rate between rows is then its,
            and no straight line.

    Raises:
        ValueError: shapes differ, steps do not increase, a loss is not positive and finite.

    >>> Run([0, 100], [0.1, 0.1], [2.0, 1.5], label="a").rate.peak
    0.1
    """

    steps: np.ndarray
    lr: np.ndarray
    loss: np.ndarray | None = None
    warmup_steps: float = 0.0
    label: str = ""
    notes: tuple[str, ...] = ()
    _: KW_ONLY
    schedule: Schedule | None = None
    rate: Rate = field(init=False, repr=False, compare=False)

    def __repr__(self) -> str:
        loss = "planned" if self.loss is None else f"loss {self.loss[0]:.4g} to {self.loss[-1]:.4g}"
        last = f"{len(self.steps)} rows to step {self.steps[-1]:,.6g}"
        return f"Run({self.label or 'unnamed'}, {last}, rate at most {self.rate.peak:.4g}, {loss})"

    def __post_init__(self) -> None:
        steps = _checked_steps(self.steps, self.label)
        rate = self._rate(steps)
        object.__setattr__(self, "steps", steps)
        lr = finite_array("lr", self.lr, ndim=1)
        if self.schedule is not None:  # rounding leaves 1e-36 where a cosine ends at zero
            lr = np.where(np.abs(lr) < _ZERO * np.max(np.abs(lr)), 0.0, lr)
        object.__setattr__(self, "lr", lr)
        object.__setattr__(self, "rate", rate)
        if self.loss is not None:
            loss = finite_array("loss", self.loss, ndim=1)
            if loss.shape != steps.shape:
                raise ValueError(f"`loss` has {len(loss)} values for {len(steps)} steps.")
            if np.any(loss <= 0):
                raise ValueError(
                    f"`loss` must be positive{_of(self.label)}, got {loss.min():g}"
                    f"{_from_where(steps, loss)}"
                )
            object.__setattr__(self, "loss", loss)

    def _rate(self, steps: np.ndarray) -> Rate:
        if self.schedule is None:
            return rate_from_log(steps, self.lr, warmup_steps=self.warmup_steps, label=self.label)
        lr = finite_array("lr", self.lr, ndim=1)
        told, least = self.schedule(steps), _ZERO * np.max(np.abs(lr), initial=0.0)
        if lr.shape != steps.shape or not np.allclose(told, lr, rtol=1e-6, atol=least):
            raise ValueError(
                f"`lr` is not what `schedule` says{_of(self.label)}: give one of them."
            )
        return rate_from_schedule(self.schedule, steps[-1], warmup_steps=self.warmup_steps)

    @classmethod
    def of(
        cls,
        curve: Curve,
        *,
        lr: float | None = None,
        warmup_steps: float = 0.0,
        loss: str | None = None,
    ) -> Run:
        """A Curve as fits see it: its steps in order, each once, with their rate and loss.

        The rate is the column "lr"; without one, gamma_2 of the algorithm that the provenance
        names, as it is in the curves of `hidim.predict` and `hidim.simulate`, and known between the
        steps too; without either, `lr`. None is made up.

        The loss is the risk; of a run of `hidim train` that logged its training loss at more steps
        than it was evaluated at, that training loss, which is a mean since the row before.

        Args:
            curve: measured, predicted or simulated; a diverged one is refused.
            lr: a constant rate, for a curve that says none.
            warmup_steps: linear warm-up that a column "lr" leaves out.
            loss: the column to fit, such as "train"; default the risk.

        Raises:
            ValueError: it diverged, its rate is unknown, it is moved by momentum alone, or it has
                no such column.

        >>> import hidim
        >>> curve = hidim.predict(hidim.Spectrum([1.0], [1.0], 0.1), hidim.sgd(0.2), steps=9)
        >>> Run.of(curve).rate.peak
        0.2
        """
        if not isinstance(curve, Curve):
            raise ValueError(f"`curve` must be a Curve, got {type(curve).__name__}.")
        name = f"curve {curve.label!r}" if curve.label else "a curve"
        if curve.status == "diverged":
            raise ValueError(f"{name} diverged, and a diverged run has no law: leave it out.")
        curve, logged = _as_logged(curve) if loss is None else (curve, ())
        values = curve.risk if loss is None else _column(curve, loss, name)
        _, places = np.unique(curve.steps, return_index=True)
        if loss is not None:  # a training loss begins with the first step
            places = places[~np.isnan(values[places])]
        steps = np.asarray(curve.steps, dtype=np.float64)[places]
        rates, schedule, notes = rate_of(curve, name, lr)
        given = "lr" in curve.columns and schedule is None
        notes = (*notes, *logged)
        if curve.status != "ok":
            error = curve.provenance.get("error")
            about = f" by up to {error:.1e}" if isinstance(error, float) else ""
            notes = (*notes, f"the curve is {curve.status}{about}")
        return cls(
            steps,
            rates[places],
            values[places],
            warmup_steps if given else 0.0,
            curve.label,
            notes,
            schedule=schedule,
        )

    def measured(self) -> np.ndarray:
        """The loss, shape (n,).

        Raises:
            ValueError: the run is planned and has none.
        """
        if self.loss is None:
            raise ValueError(f"this needs a loss column{_of(self.label)}, and there is none.")
        return self.loss

    def until(self, step: float) -> Run:
        """The rows up to and including `step`, as if the run had been stopped there."""
        keep = self.steps <= step
        loss = None if self.loss is None else self.loss[keep]
        return replace(self, steps=self.steps[keep], lr=self.lr[keep], loss=loss, notes=())

    def binned(self, points: int = POINTS) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps, mean log loss and row counts of at most `points` bins of equal width in step."""
        log_loss = np.log(self.measured())
        if len(self.steps) <= points:
            return self.steps, log_loss, np.ones(len(self.steps))
        edges = np.linspace(self.steps[0], self.steps[-1], points + 1)
        which = np.clip(np.searchsorted(edges, self.steps, side="right") - 1, 0, points - 1)
        count = np.bincount(which, minlength=points)
        some = count > 0
        step = np.bincount(which, self.steps, points)[some] / count[some]
        mean = np.bincount(which, log_loss, points)[some] / count[some]
        return step, mean, count[some].astype(np.float64)


def _as_logged(curve: Curve) -> tuple[Curve, tuple[str, ...]]:
    """A run of the lab with every row it logged, and a note; any other curve as it is."""
    logged = curve.provenance.get("train")
    if not (isinstance(logged, Mapping) and {"steps", "loss", "lr"} <= set(logged)):
        return curve, ()
    steps, loss, lr = (np.array(logged[key], dtype=np.float64) for key in ("steps", "loss", "lr"))
    use = np.isfinite(loss)
    rest = {key: value for key, value in curve.provenance.items() if key != "train"}
    finer = replace(
        curve, steps=steps[use], risk=loss[use], columns={"lr": lr[use]}, provenance=rest
    )
    few = len(curve.steps)
    return finer, (f"the loss is that of training: of {len(steps)} rows {few} were evaluated",)


def as_rate(schedule: Any, steps: np.ndarray, warmup_steps: float = 0.0) -> Rate:
    """The rate behind what names a schedule: a Run, a Curve, a Rate, a callable, (steps, lr), or
    words (`hidim.read_schedule`)."""
    if isinstance(schedule, str):
        words, warmup_steps = with_warmup(read_words(schedule), warmup_steps)
        schedule = words.schedule
    if isinstance(schedule, Curve):
        schedule = Run.of(schedule, warmup_steps=warmup_steps)
    if isinstance(schedule, Run):
        return schedule.rate
    if isinstance(schedule, Rate):
        return schedule
    if callable(schedule):
        call = cast("Callable[[np.ndarray], Any]", schedule)
        return rate_from_schedule(call, float(np.max(steps)), warmup_steps=warmup_steps)
    if isinstance(schedule, Sequence | np.ndarray) and len(schedule) == 2:
        return rate_from_log(schedule[0], schedule[1], warmup_steps=warmup_steps)
    raise ValueError(
        "`schedule` must be a Run, a Curve, a schedule such as hidim.Cosine(...), words such as "
        f"'cosine peak=3e-4 steps=24000', or a pair (steps, lr); got {type(schedule).__name__}."
    )


def check_steps(steps: Any) -> np.ndarray:
    """Steps at which a prediction is asked for: finite, not negative, shape (n,)."""
    steps = np.atleast_1d(finite_array("steps", steps, ndim=(0, 1)))
    if not steps.size:
        raise ValueError("`steps` is empty: give at least one step to predict.")
    non_negative("steps", float(steps.min()))
    return steps


def _checked_steps(steps: Any, label: str) -> np.ndarray:
    steps = finite_array("steps", steps, ndim=1)
    if len(steps) == 0:
        raise ValueError(f"a run needs at least one row{_of(label)}.")
    if steps[0] < 0:
        raise ValueError(f"`steps` must not be negative{_of(label)}, got {steps[0]:g}.")
    back = np.flatnonzero(np.diff(steps) <= 0)
    if len(back):
        i = int(back[0])
        what = "repeats" if steps[i + 1] == steps[i] else "goes back"
        raise ValueError(
            f"the step {what} at row {i + 2}{_of(label)} ({steps[i]:g} then {steps[i + 1]:g}): "
            "a resumed, shuffled or mixed log. Keep one row per step, in order."
        )
    return steps


def _from_where(steps: np.ndarray, loss: np.ndarray) -> str:
    """What losses that are not positive may be: zeros after a NaN are what some programs print."""
    zero = np.flatnonzero(loss == 0)
    if not len(zero) or loss.min() < 0 or zero[0] == 0:
        return ". Is this the loss column?"
    first = steps[zero[0]]
    if len(zero) == len(loss) - zero[0]:
        return (
            f" from step {first:,g} on: a run that diverged, whose NaN are printed as 0? End its "
            "log before that step."
        )
    return (
        f" in {len(zero)} row(s), the first at step {first:,g}: a NaN that is printed as 0, or a "
        "row of another kind? Leave such rows out."
    )


def _column(curve: Curve, loss: str, name: str) -> np.ndarray:
    if loss not in curve.columns:
        known = ", ".join(curve.columns) or "none"
        raise ValueError(f"{name} has no column {loss!r}, of its columns: {known}.")
    return curve.columns[loss]


def _of(label: str) -> str:
    return f" in {label}" if label else ""
