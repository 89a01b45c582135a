"""Which losses might these runs have had as well?

Whole runs are drawn as often as there are runs. That says nothing of a run that the law rests on:
where its leverage h (how much of its own loss the law repeats) is above a half its error shows less
than half of its noise, and a draw without it leaves open what it told. Such runs are in every draw
once, at the law's value with noise; so are all where there are fewer than four for a parameter.
The noise is that of the other errors, and each draw has a level of its own, as Student's t has.
Source: leverage and resampling as in Davison and Hinkley 1997, chapter 6.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.fitting.sizes.plausible import Fitted

_RESTS = 0.5  # leverage
_FEW = 0.25  # parameters a run from which on all runs are in every draw
_FAR = 3.0  # robust standard deviations at which an error counts in the noise


@dataclass(frozen=True)
class Resamples:
    """How to draw them.

    Attributes:
        runs: places of the rows of each run.
        log_loss: shape (n,).
        predicted: log of the fitted losses, shape (n,).
        rests: which rows the law rests on, shape (n,).
        noise: standard deviation of a log loss.
        free: degrees of freedom of that.
    """

    runs: Sequence[np.ndarray]
    log_loss: np.ndarray
    predicted: np.ndarray
    rests: np.ndarray
    noise: float
    free: int

    @classmethod
    def of(cls, fit: Fitted, runs: Sequence[np.ndarray]) -> Resamples:
        """The draws for a fit."""
        value, slope = fit.form.function(fit.vector, fit.logs)
        jacobian = slope / np.maximum(value, 1e-300)[:, None]
        scale = np.maximum(np.linalg.norm(jacobian, axis=0), 1e-300)
        basis, size, _ = np.linalg.svd(jacobian / scale, full_matrices=False)
        leverage = np.sum(basis[:, size > 1e-8 * size[0]] ** 2, axis=1)
        few = len(fit.vector) > _FEW * len(runs)
        rests = np.zeros(len(leverage), dtype=bool)
        for rows in runs:
            rests[rows] = few or leverage[rows].max() > _RESTS
        # A law of p parameters passes through about p of the rows, whose errors are none.
        errors = np.sort(np.abs(fit.errors))
        free = max(len(errors) - len(fit.vector), 1)
        middle = 1.4826 * float(np.median(errors[-free:]))
        noise = float(np.sqrt(np.sum(np.minimum(errors, _FAR * middle) ** 2) / free))
        predicted = fit.log_loss - fit.errors
        return cls(runs, fit.log_loss, predicted, rests, noise, free)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """How often each row counts, and log losses, both (count, n)."""
        often = np.array([self._often(rng) for _ in range(count)]).reshape(count, -1)
        loss = np.tile(self.log_loss, (count, 1))
        if self.rests.any():
            often[:, self.rests] = 1
            level = np.sqrt(self.free / rng.chisquare(self.free, count))
            for rows in self.runs:
                if self.rests[rows[0]]:
                    error = self.noise * level * rng.standard_normal(count)
                    loss[:, rows] = self.predicted[rows] + error[:, None]
        return often, loss

    def _often(self, rng: np.random.Generator) -> np.ndarray:
        drawn = rng.integers(0, len(self.runs), len(self.runs))
        rows = np.concatenate([self.runs[i] for i in drawn])
        return np.bincount(rows, minlength=len(self.log_loss))
