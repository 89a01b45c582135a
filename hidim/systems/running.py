"""How far do Adam and Signum lean on a gradient, and how noisy are they, at fixed betas?

With p = |f| x the gradient of a coordinate in units of its standard deviation, x normal and |f|^2
chi^2_B / B, and memory that is short beside the run,

    Adam:    v_t = (1 - b2) sum_l b2^l p_{t-l}^2,
             a = (1 - b1) sum_l b1^l E[p_{t-l}^2 / sqrt(v_t)],
             b(C) = E[A^i A^j],   A = (1 - b1) sum_l b1^l p_0 / sqrt(v_l);
    Signum:  a = sqrt(2 / pi) E[sum_l b^l f_l^2 / sqrt(sum_l b^2l f_l^2)],
             b(C) = (2 / pi) sum_k E arcsin(C kappa_k),

kappa_k the correlation of the momenta k steps apart given all |f|, C that of two coordinates: the
drift is a times the gradient over its standard deviation, and b(C) what the steps of two
coordinates add up to. The a are integrals (inverse_root.py); the b are means over one long run of
fixed seed, against controls that are exact at b1 = b2 = 0 and at b2 = 1, to about .1 %.
Source: after the research code of arXiv 2411.12135, derived and checked for this project,
docs/theory/adam.md. Limits: Gaussian residuals, small signals.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np

from hidim.systems.inverse_root import inverse_root, remembered

Array = np.ndarray

# log x, for means over a normal x.
_LOG_X = np.arange(-40.0, 3.8, 0.1)
_DENSITY = 0.1 * math.sqrt(2.0 / math.pi) * np.exp(_LOG_X - 0.5 * np.exp(2.0 * _LOG_X))
_SAMPLES = 400_000
_CORRELATIONS = np.array([0.2, 0.45, 0.7, 0.9, 1.0])
_POWERS = (0.0, 0.25, 0.5, 1.0, 1.5)
_LAGS = 4000


class Running:
    """Drift and noise of a method with a memory.

    Args:
        drift: a.
        noise_at: correlation -> (b there, how much of it is like an arcsine).
        arcsine: that share, where it is known.
    """

    def __init__(
        self,
        drift: float,
        noise_at: Callable[[float], tuple[float, float]],
        arcsine: float | None = None,
    ) -> None:
        self.drift, self._noise_at, self._arcsine = drift, noise_at, arcsine

    @cached_property
    def alone(self) -> float:
        """b(1)."""
        return self._noise_at(1.0)[0]

    @cached_property
    def _fitted(self) -> tuple[float, Array]:
        """b(C) = arcsine (2 / pi) arcsin C + sum_k powers_k C^(2k+1)."""
        found = [self._noise_at(C) for C in _CORRELATIONS[:-1].tolist()]
        arcsine = self._arcsine
        if arcsine is None:  # of the strongest correlation
            arcsine = float(np.clip(found[-1][1], 0.0, 1.0))
        values = np.array([*(value for value, _ in found), self.alone])
        rest = values - arcsine * (2.0 / math.pi) * np.arcsin(_CORRELATIONS)
        design = np.stack([_CORRELATIONS ** (2 * k + 1) for k in range(3)], axis=1)
        powers = np.linalg.lstsq(design, rest, rcond=None)[0]
        return arcsine, powers

    def noise(self, correlation: Array) -> Array:
        """b(C)."""
        arcsine, powers = self._fitted
        square, found = correlation**2, np.zeros_like(correlation)
        for power in powers[::-1].tolist():
            found = found * square + power
        return np.asarray(arcsine * (2.0 / math.pi) * np.arcsin(correlation) + found * correlation)

    @property
    def slope(self) -> float:
        """db/dC at 0."""
        arcsine, powers = self._fitted
        return float(arcsine * 2.0 / math.pi + powers[0])


@lru_cache(maxsize=64)
def adam_numbers(beta_1: float, beta_2: float, batch: float) -> Running:
    """Those of Adam, the second moment forgetting at the rate 1 - beta_2.

    >>> round(adam_numbers(0.0, 0.0, 1.0).drift * np.pi / 2, 9)
    1.0
    >>> round(adam_numbers(0.8, 0.95, 1.0).drift, 2)
    0.93
    """
    return Running(_adam_drift(beta_1, beta_2, batch), _AdamRun(beta_1, beta_2, batch).noise_at)


@lru_cache(maxsize=64)
def signum_numbers(beta: float, batch: float) -> Running:
    """Those of the sign of a momentum m = beta m + g; a in units of a gradient, beta < 1.

    >>> [round(v, 3) for v in (signum_numbers(0.5, 1.0).drift, signum_numbers(0.0, 1.0).drift)]
    [1.409, 0.637]
    """

    def transform(s: Array) -> tuple[Array, Array]:
        base = 1.0 + 2.0 * s / batch
        return -0.5 * batch * np.log(base), 1.0 / base

    drift = math.sqrt(2.0 / math.pi) * inverse_root(transform, beta, beta**2)
    return Running(drift, _SignumRun(beta, batch).noise_at, 1.0)


def _adam_drift(beta_1: float, beta_2: float, batch: float) -> float:
    def transform(s: Array) -> tuple[Array, Array]:
        log_phi, psi = np.empty(len(s)), np.empty(len(s))
        square = np.exp(2.0 * _LOG_X)
        for i, value in enumerate(s.tolist()):
            base = 1.0 + (2.0 * value / batch) * square
            power = base ** (-0.5 * batch)
            mean = float(_DENSITY @ power)
            log_phi[i] = math.log1p(-float(_DENSITY @ -np.expm1(-0.5 * batch * np.log(base))))
            psi[i] = float(_DENSITY @ (square * power / base)) / mean
        return log_phi, psi

    # v_t = (1 - b2) sum: its root comes out of the integral.
    return (1.0 - beta_1) / math.sqrt(1.0 - beta_2) * inverse_root(transform, beta_1, beta_2)


class _AdamRun:
    """One long run of Adam's memory at a fixed seed."""

    def __init__(self, beta_1: float, beta_2: float, batch: float) -> None:
        self._betas, self._batch = (beta_1, beta_2), batch

    @cached_property
    def _samples(self) -> tuple[Array, Array, Array, slice]:
        beta_1, beta_2 = self._betas
        rng = np.random.default_rng(1)
        size = np.sqrt(rng.chisquare(self._batch, _SAMPLES) / self._batch)
        one, other = rng.standard_normal((2, _SAMPLES))
        burn = min(max(200, int(8.0 / (1.0 - beta_2))), _SAMPLES // 4)
        tail = min(max(20, int(40.0 / (1.0 - beta_1))), _SAMPLES // 4)
        return size, one, other, slice(burn, _SAMPLES - tail)

    def _memory(self, squares: Array) -> Array:
        beta_2 = self._betas[1]
        return remembered(beta_2, (1.0 - beta_2) * squares, 1.0)  # a full memory at first

    def _steps(self, p: Array) -> tuple[Array, Array]:
        """A of every sample, and how far the squares before and behind it are from their mean."""
        beta_1 = self._betas[0]
        v = self._memory(p**2)
        back = remembered(beta_1, (1.0 - beta_1) / np.sqrt(v[::-1]))[::-1]
        around = np.zeros_like(p)
        around[1:] += v[:-1] - 1.0
        around[:-1] += self._memory(p[::-1] ** 2)[::-1][1:] - 1.0
        return p * back, around

    @cached_property
    def _first(self) -> tuple[Array, Array]:
        size, one, _, _ = self._samples
        return self._steps(size * one)

    def noise_at(self, C: float) -> tuple[float, float]:
        """b(C), against controls of known means, and the weight of the signs among these."""
        size, one, other, kept = self._samples
        x = C * one + math.sqrt(max(1.0 - C**2, 0.0)) * other
        first, near = self._first
        second, close = self._first if C == 1.0 else self._steps(size * x)
        product, along = (first * second)[kept], (size**2 * one * x)[kept]
        around = (near + close)[kept]  # of other samples: independent of this one, in the mean 0
        controls = np.empty((len(_POWERS) + 2, len(along)))
        sign, long = np.sign(along), np.abs(along)
        root = np.sqrt(long)  # whole powers of the fourth root take no logarithm
        for row, power in zip(
            controls, (1.0, np.sqrt(root), root, long, long * root), strict=False
        ):
            np.multiply(sign, power, out=row)
        np.multiply(controls[[0, 3]], around, out=controls[-2:])
        for row, s in zip(controls, _POWERS, strict=False):
            row -= _known(s, C, self._batch)
        mean, weights = _controlled(product, controls)
        return mean, float(weights[0])


def _controlled(values: Array, controls: Array) -> tuple[float, Array]:
    """The mean of values, given others, in rows, whose means are known to be 0; their weights."""
    means, mean, count = controls.mean(axis=1), float(values.mean()), len(values)
    inner = controls @ controls.T - count * np.outer(means, means)
    weights = np.linalg.lstsq(inner, controls @ (values - mean), rcond=1e-12)[0]
    return mean - float(means @ weights), weights


def _known(s: float, correlation: float, batch: float) -> float:
    """E sign(p q) |p q|^s of two coordinates."""
    from scipy.special import hyp2f1

    half = 0.5 * (1.0 - s)
    normal = 2.0 ** (s + 1.0) * math.gamma(1.0 + 0.5 * s) ** 2 / math.pi * correlation
    normal *= float(hyp2f1(half, half, 1.5, correlation**2))
    log_size = math.lgamma(0.5 * batch + s) - math.lgamma(0.5 * batch)
    return normal * (2.0 / batch) ** s * math.exp(log_size)


class _SignumRun:
    """Many short runs of a momentum, given the sizes of its samples, at a fixed seed."""

    def __init__(self, beta: float, batch: float) -> None:
        self._beta, self._batch = beta, batch

    @cached_property
    def _angles(self) -> tuple[Array, Array]:
        """kappa at lags 1, 2, ... of every run, and controls of mean 0."""
        beta, batch, rng = self._beta, self._batch, np.random.default_rng(1)
        lags = min(_LAGS, math.ceil(14.0 / -math.log(beta)))
        runs = max(200, 1_200_000 // lags)
        burn = math.ceil(18.0 / -math.log(beta))
        before = rng.chisquare(batch, (runs, min(burn, _LAGS))) / batch
        now = before @ beta ** (2.0 * np.arange(before.shape[1]))  # N_0 = sum_l beta^2l f_-l^2
        ahead = rng.chisquare(batch, (runs, lags)) / batch
        new = remembered(beta**2, ahead)
        # m_k = beta^k m_0 + what is new: the tangent of the angle whose sine is kappa_k.
        kept = beta ** np.arange(1.0, lags + 1.0)
        tangent = kept * np.sqrt(now[:, None] / new)
        gap = now - 1.0 / (1.0 - beta**2)
        later = kept**2 * now[:, None] + new - 1.0 / (1.0 - beta**2)
        variance = 2.0 / batch / (1.0 - beta**4)
        controls = [gap, gap**2 - variance, later @ kept, later @ kept**0.5]
        return tangent / np.sqrt(1.0 + tangent**2), np.stack(controls)

    def noise_at(self, C: float) -> tuple[float, float]:
        """b(C): the arcsine of the step itself, and of steps before and behind."""
        own = (2.0 / math.pi) * math.asin(C)
        if self._beta == 0.0:
            return own, 1.0
        kappa, controls = self._angles
        mean, _ = _controlled(2.0 * np.arcsin(C * kappa).sum(axis=1), controls)
        # Behind the last lag kappa falls like beta^k, and the arcsine is its argument.
        beyond = 2.0 * C * self._beta / (1.0 - self._beta) * float(kappa[:, -1].mean())
        return own + (2.0 / math.pi) * (mean + beyond), 1.0
