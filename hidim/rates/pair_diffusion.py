"""Means and variances of every mode along a run of noisy SGD, and how far a sample moves them.

Per mode, k = lambda + l2, E = (1 - g k)^(t-1-s) and V the variance of the diffusion. A run in which
one sample (a, b) was used at the step s is Gaussian at t, with the covariance base + F,

    base = E^2 (D^2 V(s) + g^2 std^2) + V(t) - E^2 V(s+1),     D = 1 - g l2,
    F = -(g/B) (a b^T + b a^T) + (g/B)^2 (a^T V a) a a^T,      b = D V a,   both times E,

and the means of two such runs differ by (g/B) E (e a - e' a'): their Renyi divergence is made of
determinants and quadratic forms of 4 x 4. Beside the sample stand, at B > 1, the others of its
batch, in D and base. A typical pair has orthogonal features whose squares are the trace's, and
residuals of the mean square of the mean path, 2P - sum lambda V: what V adds is in F already
("path"; "risk" takes 2P, and counts it twice). At small rates F is small beside V, and with 2P

    D_alpha = alpha (g/B)^2 2P(s) sum lambda E^2 / V(t)     ("mean", the difference of means alone).

Source: arXiv 2510.16687; derived for this project, docs/theory/private.md. Limits: SGD at a
constant rate on Gaussian rows; modes that are modes, each of a whole number.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import logsumexp

from hidim.algorithms.changed import Noise
from hidim.algorithms.momentum import Momentum
from hidim.engines.solve import solve
from hidim.problems.spectrum import Spectrum

FORMULAS = ("path", "risk", "mean")
_ALL = 300  # steps up to which every one is summed, and about as many places beyond
_DRAWS, _SEED = 200, 0  # pairs that tell how many have no finite divergence
_LAST = (0, 1, 3, 10, 30)  # steps before the release where that can be
_Array = np.ndarray


class Diffusion:
    """The runs of one algorithm on one problem."""

    def __init__(
        self,
        spectrum: Spectrum,
        algorithm: Momentum,
        noise: Noise,
        rate: float,
        batch: float,
        marks: _Array,
        sampling: bool,
    ) -> None:
        count = spectrum.multiplicity
        if np.any(count < 1) or np.any(count % 1 != 0) or np.any(spectrum.error_sq < 0):
            raise ValueError(
                "`problem` is a quadrature over modes, whose variances are not its nodes': draw it "
                "(seed=0)."
            )
        self.spectrum, self.noise, self.rate, self.batch = spectrum, noise, rate, batch
        self.sampling, self.count = sampling, count
        self.places = {t: _places(t) for t in marks.tolist()}
        every = np.concatenate([np.concatenate([s, s + 1, [t]]) for t, s in self.places.items()])
        self.times = np.unique(every)
        curve = solve(spectrum, algorithm, at=self.times, batch_size=batch, moments=True)
        self.twice = 2.0 * curve.risk
        assert curve.moments is not None
        self.square = np.asarray(curve.moments)[:, 0] / count  # E r^2 of one mode
        k = spectrum.eigenvalues + noise.l2
        self.fade = 1.0 - rate * k
        rest = np.where(k > 0, -noise.l2 / np.where(k > 0, k, 1.0), 0.0)
        self.mean = rest + (-1.0 - rest) * self.fade ** self.times[:, None]  # of r over theta*
        if sampling:
            spread = self.square - self.mean**2 * (spectrum.error_sq / count)
        else:
            left = self.fade ** (2.0 * self.times[:, None])
            grown = np.where(
                self.fade**2 < 1, (1.0 - left) / (1.0 - self.fade**2), self.times[:, None]
            )
            spread = noise.start_variance * left + (rate * noise.std) ** 2 * grown
        self.variance = np.maximum(spread, 0.0)

    def released(
        self, t: float, last: float, order: float, pair: Any, formula: str = FORMULAS[0]
    ) -> float:
        """eps_alpha at t."""
        s = self.places[t]
        apart = np.array(self.divergence(s, t, order, pair, formula))
        log = (order - 1.0) * apart
        terms = np.append(
            log + np.log(_weights(s, t) / last), math.log(max((last - t) / last, 1e-300))
        )
        return float(logsumexp(terms)) / (order - 1.0)

    def divergence(
        self, s: _Array, t: float, order: float, pair: Any, formula: str = FORMULAS[0]
    ) -> _Array:
        """D_alpha of the runs whose sample was used at the steps s, released at t, (s,)."""
        g, along, (i, _, end) = self.rate, self.spectrum.eigenvalues, self._at(s, t)
        size, V = g / self.batch, self.variance[i]
        if formula == "mean":
            seen = self.fade ** (2.0 * (t - 1.0 - s))[:, None] / self.variance[end]
            return order * size**2 * self.twice[i] * (seen @ (self.count * along))
        base, moved = self._moved(s, t)
        if pair is None:
            squares = [self.count * along] * 2  # of a^T X a and a'^T X a'
            held = V @ (self.count * along) if formula == "path" else 0.0  # in F already
            left = np.sqrt(np.maximum(self.twice[i] - held, 0.0))
            errors, cross = [left, left], np.zeros_like(along)
        else:
            a, b, other, label = pair
            theta = self.spectrum._signs  # type: ignore[attr-defined]
            seen = (1.0 + self.mean[i]) * theta
            errors = [seen @ a - b, seen @ other - label]
            squares, cross = [a**2, other**2], a * other
        gram, own = _gram(moved, base, squares, cross), self._own(V, squares)
        shift = np.zeros((len(s), 4))
        shift[:, 0], shift[:, 2] = errors[0] * size, -errors[1] * size
        return _renyi(gram, own, shift, order)

    def without_number(self, t: float, order: float) -> float:
        """Share of drawn pairs whose divergence at t is not finite: by their features alone."""
        places = self.places[t]
        s = places[np.unique([max(len(places) - 1 - k, 0) for k in _LAST])]
        *squares, cross = self._drawn
        V = self.variance[self._at(s, t)[0]]
        base, moved = self._moved(s, t)
        gram = _gram(moved, base, squares, cross)
        whole = _mixed(gram, self._own(V, squares), order)[1]
        return float(np.mean(~np.all(whole, axis=0)))

    @cached_property
    def _drawn(self) -> tuple[_Array, _Array, _Array]:
        """a^2, a'^2 and a a' of drawn pairs, summed over equal modes, each (pairs, modes)."""
        rng, shape = np.random.default_rng(_SEED), (_DRAWS, len(self.count))
        long, along = np.sqrt(rng.chisquare(self.count, shape)), rng.standard_normal(shape)
        rest = rng.gamma(0.5 * (self.count - 1.0), 2.0, shape)
        unit = self.spectrum.eigenvalues
        return unit * long**2, unit * (along**2 + rest), unit * long * along

    def _at(self, s: _Array, t: float) -> tuple[Any, Any, Any]:
        """Where s, s + 1 and t are in `times`."""
        i, j, end = (np.searchsorted(self.times, x) for x in (s, s + 1, t))
        return i, j, end

    def _moved(self, s: _Array, t: float) -> tuple[_Array, list[_Array]]:
        """base, and what has become of a and of V a, each (s, modes)."""
        i, j, end = self._at(s, t)
        g, B, l2 = self.rate, self.batch, self.noise.l2
        along, others = self.spectrum.eigenvalues, 1.0 - 1.0 / self.batch
        E = self.fade ** (t - 1.0 - s)[:, None]  # (s, modes)
        keep = 1.0 - g * l2 - g * others * along
        V = self.variance[i]
        kick = (g * self.noise.std) ** 2 + np.zeros_like(V)
        if self.sampling:
            drawn = along**2 * self.square[i] + along * self.twice[i][:, None]
            kick = kick + g**2 * others / B * drawn
        tail = np.maximum(self.variance[end] - E**2 * self.variance[j], 0.0)
        base = np.maximum(E**2 * (keep**2 * V + kick) + tail, 1e-300)
        return base, [E, E * keep * V]

    def _own(self, V: _Array, squares: list[_Array]) -> _Array:
        """F of both runs in terms of a and V a, (2, s, ..., 2, 2)."""
        size = self.rate / self.batch
        own = np.zeros((2, len(V), *squares[0].shape[:-1], 2, 2))
        own[..., 0, 1] = own[..., 1, 0] = -size
        own[..., 0, 0] = size**2 * np.stack([V @ w.T for w in squares])
        return own


def _gram(moved: list[_Array], base: _Array, squares: list[_Array], cross: _Array) -> _Array:
    """Products of a, V a, a' and V a' over base, (s, ..., 4, 4)."""
    gram = np.empty((len(base), *squares[0].shape[:-1], 4, 4))
    for m in range(4):
        for n in range(4):
            of = squares[m // 2] if m // 2 == n // 2 else cross
            gram[..., m, n] = (moved[m % 2] * moved[n % 2] / base) @ of.T
    return gram


def _mixed(gram: _Array, own: _Array, order: float) -> tuple[_Array, _Array]:
    """The mixed covariance over base, less the identity, and whether it is a covariance."""
    mixed = np.zeros_like(gram)
    mixed[..., :2, :2], mixed[..., 2:, 2:] = (1.0 - order) * own[0], order * own[1]
    product = mixed @ gram
    return product, np.all(np.linalg.eigvals(product).real > -1.0 + 1e-12, axis=-1)


def _renyi(gram: _Array, own: _Array, shift: _Array, order: float) -> _Array:
    """D_alpha of N(W shift, base + W_1 own_1 W_1^T) from N(0, base + W_2 own_2 W_2^T), (s,)."""
    product, whole = _mixed(gram, own, order)
    eye = np.eye(4)
    solved = gram @ np.linalg.solve(eye + product, shift[..., None])
    distance = np.einsum("si,sij->s", shift, solved)
    logs = [np.linalg.slogdet(eye[:2, :2] + c @ g)[1] for c, g in
            ((own[0], gram[:, :2, :2]), (own[1], gram[:, 2:, 2:]))]  # fmt: skip
    log = np.linalg.slogdet(eye + product)[1] - (1.0 - order) * logs[0] - order * logs[1]
    found = 0.5 * order * distance - log / (2.0 * (order - 1.0))
    return np.where(whole, np.maximum(found, 0.0), math.inf)


def _places(t: float) -> _Array:
    """Steps before t, all of a few, else dense at both ends."""
    if t <= _ALL:
        return np.arange(t)
    edge = np.geomspace(1.0, t, _ALL // 2).round() - 1.0
    return np.unique(np.clip(np.concatenate([edge, t - 1.0 - edge]), 0.0, t - 1.0))


def _weights(s: _Array, t: float) -> _Array:
    """How many of the steps 0..t-1 each place stands for, by trapezoids."""
    gaps = np.diff(s)
    weight = np.full(len(s), 0.0)
    weight[:-1] += 0.5 * gaps
    weight[1:] += 0.5 * gaps
    weight[0] += 0.5
    weight[-1] += 0.5
    return weight
