"""Rates and thresholds of clipped SGD that leave least at a horizon, and the criteria's numbers.

What `hidim.clipping` (clipping.py) sets side by side is searched here: one rate, a rate with one
threshold, and the schedule c*(R_t) of one parameter.
Limits: SGD on Gaussian rows; a search stops within some percent of the best rate, at which what is
left is flat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hidim.algorithms.changed import clipped
from hidim.algorithms.momentum import Momentum, sgd
from hidim.algorithms.schedules import Table
from hidim.curve import Curve, log_spaced_steps
from hidim.engines.march import march
from hidim.engines.solve import solve
from hidim.problems.law import DataLaw
from hidim.problems.noise import Gaussian, Mixture, Sample
from hidim.problems.rows import Rows
from hidim.problems.spectrum import Spectrum
from hidim.rates.searches import check_start, least_in_log, log_left
from hidim.systems.builders import system_of
from hidim.systems.clipped import ClippedSystem
from hidim.systems.momentum import MomentumSystem, with_floor
from hidim.systems.thresholds import best_at, clip_numbers

_PER_DECADE = 4  # rows of the table of thresholds
_REWEIGHTED = 100  # times, until Huber's optimum has three digits


def as_gaussian(spectrum: Spectrum) -> Spectrum:
    """Measured rows as Gaussian ones of their covariance, with their residuals as the noise.

    Raises:
        ValueError: several outputs, or elliptical rows.
    """
    law, rows = spectrum.law, spectrum.law.rows
    if rows is None:
        if law.gaussian:
            return spectrum
        raise ValueError(
            f"clipping is predicted for Gaussian rows, not with {', '.join(law.described)}: leave "
            "the kurtosis out, or run it by hidim.simulate."
        )
    if rows.outputs > 1:
        raise ValueError(
            f"clipping takes one residual per sample, and these rows have {rows.outputs} targets: "
            "give them one by one."
        )
    left = rows.residual[:, 0]
    noise = Sample(tuple(left.tolist())) if np.any(left) else None
    return Spectrum(
        spectrum.eigenvalues,
        spectrum.error_sq,
        0.0,
        spectrum.multiplicity,
        label=spectrum.label,
        provenance=spectrum.provenance,
        law=DataLaw(noise=noise),
    )


def huber_excess(rows: Rows, threshold: float, kind: str) -> float:
    """How far above least squares the risk is where clipped gradients of these rows add up to 0.

    Clipped descent on a finite table goes there, by weighted least squares.

    >>> left = np.array([[2.0], [-1.0], [-1.0]])
    >>> rows = Rows(np.ones((3, 1)), left, np.ones((1, 1)), np.arange(3), 3)
    >>> round(huber_excess(rows, 0.5, "residual"), 3), huber_excess(rows, 5.0, "residual")
    (0.281, 0.0)
    """
    Z, e = rows.features, rows.residual[:, 0]
    unit = 1.0 if kind == "residual" else np.maximum(np.sqrt(np.einsum("ij,ij->i", Z, Z)), 1e-300)
    moved = np.zeros(Z.shape[1])
    for _ in range(_REWEIGHTED):
        size = np.maximum(np.abs(e - Z @ moved) * unit, 1e-300)
        root = np.sqrt(np.minimum(1.0, threshold / size))
        if np.all(root == 1.0):
            break
        moved = np.linalg.lstsq(Z * root[:, None], e * root, rcond=None)[0]
    return 0.5 * float(np.mean((Z @ moved) ** 2))  # residuals are orthogonal to the features


@dataclass
class Search:
    """The search on one problem."""

    spectrum: Spectrum
    steps: float
    batch_size: float
    kind: str

    def __post_init__(self) -> None:
        spectrum = self.spectrum
        noise = spectrum.law.noise or Gaussian(0.0)
        self.law: Mixture = noise.mixture.wider(2.0 * spectrum.risk_floor)
        self.variance = noise.variance + 2.0 * spectrum.risk_floor
        # What a theory counts as the floor, which a noise without a variance is no part of.
        self.floor = with_floor(spectrum).risk_floor
        self.start = spectrum.initial_risk - spectrum.risk_floor
        check_start(spectrum)
        self.rate = 1.0 / (spectrum.trace / self.batch_size + float(spectrum.eigenvalues[0]))
        self.unit = 1.0 if self.kind == "residual" else math.sqrt(spectrum.trace)

    def curve(self, algorithm: Momentum) -> Curve:
        return solve(self.spectrum, algorithm, self.steps, batch_size=self.batch_size)

    def _at(self, algorithm: Momentum) -> float:
        system = system_of(self.spectrum, algorithm, self.batch_size)
        return log_left(system, self.steps, self.floor)

    def unclipped(self) -> Momentum:
        return sgd(least_in_log(lambda gamma: self._at(sgd(gamma)), self.rate, within=0.02))

    def constant(self, moving: Curve, gamma: float) -> Momentum:
        """The best constant threshold and its rate, from where the schedule ends.

        In turn, the rate as gamma mu / nu at that end: then how far a run gets hardly depends on
        the threshold, and neither of the two undoes what the other found.
        """
        end = max(float(moving.excess[-1]), 1e-300)
        c = best_at(self.law, self.variance, end).threshold
        c = min(c, 10.0 * math.sqrt(2.0 * self.start))  # infinite where it helps on the way alone

        def at(gamma: float, c: float) -> Momentum:
            mu, nu, _ = (float(v[0]) for v in clip_numbers(self.law, *_one(2.0 * end, c)))
            return clipped(sgd(gamma * self._unit(end) * mu / nu), c * self.unit, self.kind)

        for factor, within in ((2.0, 0.2), (1.4, 0.08)):
            held = c
            gamma = least_in_log(
                lambda g, c=held: self._at(at(g, c)),  # type: ignore[misc]
                gamma,
                factor=factor,
                within=within,
            )
            here = gamma
            c = least_in_log(
                lambda c, g=here: self._at(at(g, c)),  # type: ignore[misc]
                c,
                factor=factor,
                within=within,
                most=12,
            )
        return at(gamma, c)

    def _unit(self, excess: float) -> float:
        """What nu is measured in: 2P or, without a variance, what it is at the start over mu."""
        if math.isfinite(self.variance):
            return self.variance + 2.0 * excess
        first = best_at(self.law, self.variance, self.start)
        return first.nu / first.mu

    def _system(self, gamma: float) -> ClippedSystem:
        """The schedule of one parameter; without a variance its rate is that of the start."""
        algorithm = clipped(sgd(gamma), "best", self.kind)
        unit = None if math.isfinite(self.variance) else self._unit(self.start)
        moments = MomentumSystem(with_floor(self.spectrum), sgd(gamma), self.batch_size)
        return ClippedSystem(self.spectrum, moments, algorithm.gradient, unit)  # type: ignore[arg-type]

    def schedule(self) -> tuple[Momentum, float]:
        """The best of them, written out at the risks that it passes, and its one parameter."""
        gamma = least_in_log(
            lambda g: log_left(self._system(g), self.steps, self.floor), self.rate, within=0.05
        )
        system = self._system(gamma)
        at = log_spaced_steps(self.steps).astype(float)
        excess = march(system, at).columns["risk"] - self.floor
        best = [best_at(self.law, self.variance, max(R, 1e-300)) for R in excess.tolist()]
        unit = [self._unit(R) for R in excess.tolist()]
        rates = [gamma * one.mu * u / one.nu for one, u in zip(best, unit, strict=True)]
        # Where clipping stops to help the threshold is one that nothing passes.
        most = 1e3 * math.sqrt(2.0 * self.start + min(self.variance, 1e300))
        bounds = [min(one.threshold, most) * self.unit for one in best]
        times = tuple(at.tolist())
        run = clipped(sgd(Table(times, tuple(rates))), Table(times, tuple(bounds)), self.kind)
        return run, gamma

    def gain(self, start: float, curve: Curve | None) -> float:
        ends = start if curve is None else min(float(curve.excess.min()), start)
        grid = np.geomspace(max(ends, 1e-12 * start), start, 9)
        return max(best_at(self.law, self.variance, R).gain for R in grid.tolist())

    def table(self, lowest: float) -> dict[str, np.ndarray]:
        """The numbers of the best threshold, from the start down."""
        lowest = max(lowest, 1e-12 * self.start)
        count = 2 + round(_PER_DECADE * math.log10(max(self.start / lowest, 1.0)))
        excess = np.geomspace(self.start, lowest, count)
        best = [best_at(self.law, self.variance, R) for R in excess.tolist()]
        mu, nu = (np.array([getattr(one, name) for one in best]) for name in ("mu", "nu"))
        known = np.array([fisher_information(self.law, 2.0 * R) for R in excess.tolist()])
        return {
            "excess": excess,
            "thresholds": np.array([one.threshold for one in best]) * self.unit,
            "mu": mu,
            "larger_rate": mu * (2.0 * excess + self.variance) / nu,
            "gain": np.array([one.gain for one in best]),
            "share": mu**2 / nu / known,
        }


def gain_map(spectrum: Spectrum, excess: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """2P mu^2 / nu at every excess and threshold of residuals, (excess, thresholds).

    Over that of the best threshold where the noise has no variance.

    >>> found = gain_map(Spectrum([1.0], [1.0], 0.5), np.array([0.5]), np.array([0.1, 1e3]))
    >>> found.round(3).tolist()
    [[0.66, 1.0]]
    """
    spectrum = as_gaussian(spectrum)
    noise = spectrum.law.noise or Gaussian(0.0)
    law = noise.mixture.wider(2.0 * spectrum.risk_floor)
    variance = noise.variance + 2.0 * spectrum.risk_floor
    R, c = np.meshgrid(excess, thresholds, indexing="ij")
    mu, nu, _ = clip_numbers(law, 2.0 * R.ravel(), c.ravel())
    found = (mu**2 / nu).reshape(R.shape)
    if math.isfinite(variance):
        return np.asarray(found * (2.0 * R + variance))
    best = [best_at(law, variance, one) for one in np.asarray(excess, dtype=float).tolist()]
    return np.asarray(found / np.array([one.mu**2 / one.nu for one in best])[:, None])


def fisher_information(law: Mixture, excess: float) -> float:
    """E (p'/p)^2 of a residual: the largest (E psi')^2 / E psi^2 of any weighting of residuals.

    Args:
        law: a centred mixture; of others NaN.
        excess: twice the excess risk.

    >>> round(fisher_information(Gaussian(3.0).mixture, 1.0), 9)
    0.25
    """
    if law.means.any():
        return math.nan
    spread = excess + law.variances
    # From well inside the narrowest to where nothing is left, even in the logarithm.
    u = np.linspace(0.0, 16.0, 1601)
    e = math.sqrt(float(spread.min())) * np.sinh(u)
    density = np.exp(-0.5 * np.minimum(e[:, None] ** 2 / spread, 1400.0)) / np.sqrt(
        2.0 * math.pi * spread
    )
    p = density @ law.weights
    slope = e * (density @ (law.weights / spread))
    inside = p > 1e-290
    height = slope[inside] ** 2 / p[inside]
    per_u = math.sqrt(float(spread.min())) * np.cosh(u[inside])
    return float(2.0 * np.trapezoid(height * per_u, u[inside]))


def _one(excess: float, c: float) -> tuple[np.ndarray, np.ndarray]:
    return np.array([excess]), np.array([c])
