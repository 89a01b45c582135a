"""How far do two runs lie apart whose data differ in one sample? For typical or given samples.

One pass of noisy SGD, of which the last iterate alone is released; one sample, (a, b) or (a', b'),
was used at a step that is uniform among T:

    eps_alpha(t) = log[ (1/T) sum_{s<t} e^((alpha-1) D_alpha(s)) + (T-t)/T ] / (alpha - 1),

D_alpha(s) the Renyi divergence of two Gaussians: the diffusion up to s, one real step with the
sample, the diffusion on to t. Per mode, k = lambda + l2, E = (1 - g k)^(t-1-s) and V the variance
of the diffusion, the covariance is base + F with

    base = E^2 (D^2 V(s) + g^2 std^2) + V(t) - E^2 V(s+1),     D = 1 - g l2,
    F = -(g/B) (a b^T + b a^T) + (g/B)^2 (a^T V a) a a^T,      b = D V a,   both times E,

and the means differ by (g/B) E (e a - e' a'): determinants and quadratic forms of 4 x 4. Beside
the sample stand, at B > 1, the others of its batch, in D and base. A typical pair has orthogonal
features whose squares are the trace's, and residuals of the mean square of the mean path, 2P - sum
lambda V. The squares of single pairs, and with them D, are spread like an exponential law at small
steps: one pair in ten lies above 2.3 times the typical one, one in twenty above 3.
Source: arXiv 2510.16687; derived for this project, docs/theory/private.md. **No (eps, delta)
guarantee:** it bounds nothing for the worst pair. Limits: SGD at a constant rate on Gaussian rows;
modes that are modes, each of a whole number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp

from hidim.algorithms.changed import Noise
from hidim.algorithms.momentum import Momentum
from hidim.engines.solve import asked_steps, solve
from hidim.problems import as_spectrum
from hidim.problems.coordinates import Coordinates, coordinates_of
from hidim.problems.spectrum import Spectrum
from hidim.support import checks
from hidim.support.results import Saved

NOTE = "of a typical or given pair: no (eps, delta) guarantee"
TYPICAL = "of a typical pair, single ones may be at 3 times it: no (eps, delta) guarantee"
_ALL = 300  # steps up to which every one is summed, and about as many places beyond
_Array = np.ndarray


@dataclass(frozen=True, eq=False)
class PairDivergence(Saved, format="hidim-pair-divergence/1"):
    """Renyi divergence of the last iterate between two data sets that differ in one sample.

    Attributes:
        steps: (n,) t, where the run is released.
        divergence: (n,) eps_alpha(t); infinite where the two are no longer comparable.
        order: alpha.
        pair: "typical" or "given".
        sampling_noise: whether the noise of the other samples hides it too.
        note: what this number is not.
    """

    steps: _Array
    divergence: _Array
    order: float
    pair: str
    sampling_noise: bool
    note: str = NOTE


def pair_divergence(
    problem: Any,
    algorithm: Any,
    steps: float,
    batch_size: float = 1,
    *,
    order: float = 2.0,
    at: Any = None,
    sampling_noise: bool = True,
    pair: tuple[Any, float, Any, float] | None = None,
    seed: int | None = None,
) -> PairDivergence:
    """eps_alpha(t) of noisy SGD for a typical pair of samples, or for a given one.

    Args:
        problem: a Spectrum of simple modes, such as one draw of a PLRF (`seed=0`).
        algorithm: `hidim.noisy(hidim.sgd(gamma), std, l2)`, with nothing clipped.
        steps: T, the length of the pass.
        batch_size: samples per step, finite.
        order: alpha, above 1.
        at: the t to report; about 24 a decade if left out.
        sampling_noise: whether the other samples count as noise (accountant iii) or the injected
            noise alone does (iv).
        pair: (a, b, a', b'), features in the problem's coordinates and labels; None for a typical
            pair.
        seed: of the W that is drawn.

    Raises:
        ValueError: another algorithm, quadrature nodes, or a pair on unknown coordinates.

    >>> import hidim
    >>> spectrum = hidim.Spectrum(np.full(50, 1 / 50), np.full(50, 0.02), 0.05)
    >>> found = pair_divergence(spectrum, hidim.noisy(hidim.sgd(0.1), 0.5, 0.1), 200)
    >>> bool(found.divergence[-1] > 0), found.note
    (True, 'of a typical pair, single ones may be at 3 times it: no (eps, delta) guarantee')
    """
    last = float(checks.whole("steps", steps, minimum=1))
    order = checks.positive("order", order)
    if not order > 1:
        raise ValueError(f"`order` of a Renyi divergence must be above 1 here, got {order:g}.")
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    if math.isinf(batch_size):
        raise ValueError("`batch_size`=inf has no single sample to tell: give a finite batch.")
    noise, rate = _checked(algorithm)
    spectrum = as_spectrum(problem, checks.seed("seed", seed))
    known = coordinates_of(spectrum.law.basis)
    if pair is not None:
        spectrum, pair = _turned(spectrum, known, pair)
    marks = np.unique(asked_steps(last, at)).astype(float)
    marks = marks[marks >= 1]
    if not marks.size or marks[-1] > last:
        raise ValueError(f"`at` must name steps within 1..{last:g}, the pass.")
    run = _Diffusion(spectrum, algorithm, noise, rate, float(batch_size), marks, sampling_noise)
    found = [run.released(t, last, order, pair) for t in marks.tolist()]
    kind = "typical" if pair is None else "given"
    note = TYPICAL if pair is None else NOTE
    return PairDivergence(marks, np.array(found), order, kind, sampling_noise, note)


def _checked(algorithm: Any) -> tuple[Noise, float]:
    """The noise and the rate of a run that this theory covers."""
    noise = getattr(algorithm, "gradient", None)
    plain = isinstance(algorithm, Momentum) and not algorithm.has_momentum
    rate = algorithm.gamma_2.constant if plain else None
    if not (isinstance(noise, Noise) and noise.clip is None and rate is not None):
        raise ValueError(
            "`algorithm` must be hidim.noisy(hidim.sgd(gamma), std, l2) at a constant rate: pairs "
            "are followed by its Gaussian diffusion alone."
        )
    if not noise.std > 0:
        raise ValueError("`std` is 0: nothing is injected that could hide a sample.")
    return noise, float(rate)


def _turned(
    spectrum: Spectrum, known: Coordinates | None, pair: Any
) -> tuple[Spectrum, tuple[Any, float, Any, float]]:
    """The problem mode by mode with its optimum's signs, and the pair in the same modes."""
    if known is None:
        raise ValueError(
            "`pair` is in coordinates, which this spectrum does not know: give "
            "Spectrum.from_covariance(K, target), or leave `pair` out for a typical one."
        )
    K, theta = known.covariance, known.optimum
    along, turn = (K, np.eye(len(K))) if K.ndim == 1 else np.linalg.eigh(K)
    try:
        first, b, second, other = pair
    except (TypeError, ValueError):
        raise ValueError(
            f"`pair` must be (a, b, a', b'), features and label of two samples, got "
            f"{checks.shown(pair)}."
        ) from None
    rows = [checks.finite_array("pair", one, ndim=1) for one in (first, second)]
    if any(len(row) != len(along) for row in rows):
        raise ValueError(f"`pair` must hold features of {len(along)} coordinates.")
    labels = [checks.finite("pair", one) for one in (b, other)]
    order = np.argsort(-along, kind="stable")
    theta, rows = (turn.T @ theta)[order], [(turn.T @ row)[order] for row in rows]
    found = Spectrum(np.maximum(along, 0.0)[order], theta**2, spectrum.risk_floor, law=spectrum.law)
    object.__setattr__(found, "_signs", theta)
    return found, (rows[0], labels[0], rows[1], labels[1])


class _Diffusion:
    """Means and variances of every mode along a run, and what a sample does to them."""

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

    def released(self, t: float, last: float, order: float, pair: Any) -> float:
        """eps_alpha at t."""
        s = self.places[t]
        apart = np.array(self.divergence(s, t, order, pair))
        log = (order - 1.0) * apart
        terms = np.append(
            log + np.log(_weights(s, t) / last), math.log(max((last - t) / last, 1e-300))
        )
        return float(logsumexp(terms)) / (order - 1.0)

    def divergence(self, s: _Array, t: float, order: float, pair: Any) -> _Array:
        """D_alpha of the runs whose sample was used at the steps s, released at t, (s,)."""
        i, j, end = (np.searchsorted(self.times, x) for x in (s, s + 1, t))
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
        if pair is None:
            weight = np.stack([self.count * along] * 2)  # of a^T X a and a'^T X a'
            # Of the mean path: what V adds to a residual's square is in F already.
            spread = V @ (self.count * along)
            left = np.sqrt(np.maximum(self.twice[i] - spread, 0.0))
            errors, cross = np.stack([left, left]), np.zeros_like(along)
        else:
            a, b, other, label = pair
            theta = self.spectrum._signs  # type: ignore[attr-defined]
            seen = (1.0 + self.mean[i]) * theta
            errors = np.stack([seen @ a - b, seen @ other - label])
            weight, cross = np.stack([a**2, other**2]), a * other
        moved = [E, E * keep * V]  # of a and of V a
        gram = np.empty((len(s), 4, 4))
        for m in range(4):
            for n in range(4):
                of = weight[m // 2] if m // 2 == n // 2 else cross
                gram[:, m, n] = (moved[m % 2] * moved[n % 2] / base) @ of
        own = np.zeros((2, len(s), 2, 2))
        own[:, :, 0, 1] = own[:, :, 1, 0] = -g / B
        own[:, :, 0, 0] = (g / B) ** 2 * np.stack([V @ w for w in weight])
        shift = np.zeros((len(s), 4))
        shift[:, 0], shift[:, 2] = errors[0] * g / B, -errors[1] * g / B
        return _renyi(gram, own, shift, order)


def _renyi(gram: _Array, own: _Array, shift: _Array, order: float) -> _Array:
    """D_alpha of N(W shift, base + W_1 own_1 W_1^T) from N(0, base + W_2 own_2 W_2^T), (s,)."""
    mixed = np.zeros_like(gram)
    mixed[:, :2, :2], mixed[:, 2:, 2:] = (1.0 - order) * own[0], order * own[1]
    product = mixed @ gram
    whole = np.all(np.linalg.eigvals(product).real > -1.0 + 1e-12, axis=1)
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
