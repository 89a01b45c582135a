"""How much of the row before does a moving average of losses keep, if rows are one?

With the right share undone, y = b y_before + (1 - b) x, what is left follows a law and errs row by
row; the lag of a wrong one bends the early curve. Noise that remembers errs alike, too, and does
not lag: there the losses themselves follow the law better, their errors whitened.
Source: likelihood of the law with b profiled.
Limits: of averages over rows; over steps of which few are logged it is that of one row to the next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.laws import LAWS
from hidim.fitting.schedules.search import least_loss, points_of, search, units_of

_FEWEST = 60  # rows
_MANY = 3_000_000  # rows times changes of rate, beyond which an average lags by nothing much
_ALIKE = 0.5  # estimated share from changes alone, above which it is worth a look
_LEAST, _MOST = 0.3, 0.002  # of the new row that an average takes
_COARSE, _FINE = 10, 3  # shares looked at, and times that the two around the best are halved
_SURE = 40.0  # twice the log of the likelihood over that of noise that remembers
_LAG = 0.6  # of the rows, beyond which an average says nothing of a run
_WHITE = 0.5  # correlation of neighbouring errors that an average undone has not
_HUBER = 0.02  # errors beyond are no noise
_TRUE = 1e-5  # of a loss, below which an error is rounding


@dataclass(frozen=True)
class Decay:
    """The share of the row before that a moving average keeps, as far as rows tell it.

    Attributes:
        value: the likeliest. On exact averages it is low, by up to a fifth of what a new row adds
            under light noise, and a half under heavy.
    """

    value: float

    def told(self, label: str) -> str:
        """What the rows say."""
        return (
            f"the losses of {label} lag and err alike as a moving average does that keeps about "
            f"{self.value:.3g} of the row before"
        )

    @property
    def remedy(self) -> str:
        """What to do about it."""
        return (
            "Undo it with the decay that its program has, --averaged ema:B (over rows) or "
            f"ema:B/step; ema:{self.value:.3g} is near it."
        )


def decay_of(run: Run) -> Decay | None:
    """The decay of the moving average that the losses of `run` are, or None where they are none."""
    pairs = len(run.steps) * max(len(run.rate.events().time), 1)
    if len(run.steps) < _FEWEST or pairs > _MANY or not _alike(run.measured()):
        return None
    plain = _Fit.of(run, 0.0)
    fits = [plain]
    for share in 1 - np.geomspace(_LEAST, _MOST, _COARSE):
        fits.append(_Fit.of(run, float(share), fits[-1].vector))
    if min(one.deviance for one in fits) > plain.remembering:
        return None  # averages, the decay between two of these, are far below it
    for _ in range(_FINE):
        fits.sort(key=lambda one: one.kept)
        i = min(max(fits.index(min(fits, key=lambda one: one.deviance)), 1), len(fits) - 2)
        for a, b in ((fits[i - 1], fits[i]), (fits[i], fits[i + 1])):
            share = 1 - float(np.sqrt((1 - a.kept) * (1 - b.kept)))
            fits.append(_Fit.of(run, share, fits[i].vector))
    best = min(fits, key=lambda one: one.deviance)
    lag = best.kept / (1 - best.kept)
    if best.deviance > plain.remembering - _SURE or lag > _LAG * len(best.error):
        return None
    if abs(best.correlation) > _WHITE:  # what is left is no noise, but what the law misses
        return None
    return Decay(best.kept)


def _alike(loss: np.ndarray) -> bool:
    """Whether changes from row to row are those of such noise: correlated by -(1 - b) / 2."""
    change = np.diff(np.log(loss[len(loss) // 2 :]))
    change = change - change.mean()
    power = float(change @ change)
    return power > 0 and 1 + 2 * float(change[1:] @ change[:-1]) / power > _ALIKE


@dataclass(frozen=True)
class _Fit:
    """A law of the losses behind an average.

    Attributes:
        kept: share of the row before.
        vector: parameters of the law, (p,).
        error: relative errors of single rows, (n,).
    """

    kept: float
    vector: np.ndarray | None
    error: np.ndarray

    @classmethod
    def of(cls, run: Run, kept: float, near: np.ndarray | None = None) -> _Fit:
        """The law fitted to what is left when an average that keeps this share is undone."""
        loss = run.measured()
        single = loss.copy()
        single[1:] = (loss[1:] - kept * loss[:-1]) / (1 - kept)
        if np.any(single <= 0):
            return cls(kept, near, np.full(len(loss), np.inf))
        run = Run(run.steps, run.lr, single, run.warmup_steps, schedule=run.schedule)
        law = LAWS["fsl" if len(run.rate.events().time) else "intrinsic-time"]
        units = units_of([run])
        vector = search(law, [points_of(run, units)], near=near, delta=_HUBER)
        points = points_of(run, units, most=len(run.steps))
        predicted = np.maximum(law.loss(vector, points.clock), least_loss([points]))
        return cls(kept, vector, np.exp(points.log_loss) / predicted - 1.0)

    @property
    def deviance(self) -> float:
        """Minus twice the log likelihood, if errors of single rows are independent."""
        return _deviance((1 - self.kept) * self.error)

    @property
    def correlation(self) -> float:
        """Of the errors of neighbouring rows."""
        before, after = self.error[:-1], self.error[1:]
        return float(before @ after / (self.error @ self.error + len(before) * _TRUE**2))

    @property
    def remembering(self) -> float:
        """The same if they remember those before."""
        before, after = self.error[:-1], self.error[1:]
        return _deviance(after - self.correlation * before) * len(self.error) / len(after)


def _deviance(error: np.ndarray) -> float:
    return len(error) * float(np.log(np.mean(error**2) + _TRUE**2))
