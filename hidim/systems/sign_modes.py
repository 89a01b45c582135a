"""In which modes does signSGD move? The reduction of coordinates, or of a bare spectrum, to them.

With D = diag K the modes are the eigenvectors of A = D^(-1/4) K D^(-1/4) = Q diag(omega) Q^T:

    error_sq = (Q^T D^(1/4) theta*)^2,   R = 1/2 sum omega rho,
    n^sign = diag(Q^T D^(1/4) K_sigma D^(1/4) Q),   K_sigma = (2 / pi) arcsin(correlations of K).

Where K is diagonal, omega = sqrt(lambda); where only eigenvalues are known and they lie in no
relation to the coordinates, omega = lambda sqrt(d / tr K).
Source: arXiv 2411.12135, made symmetric for this project, docs/theory/sign.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hidim.problems.coordinates import Coordinates
from hidim.problems.spectrum import Spectrum

Array = np.ndarray

# Below this many modes' worth of trace coordinates are not alike.
_MIXED = 10.0


@dataclass(frozen=True, eq=False)
class SignModes:
    """What signs see of a problem, each array (modes,).

    Attributes:
        omega: eigenvalues of A.
        error_sq: squared errors at the start in its basis.
        noise: n^sign.
        root_trace: tr D^(1/2).
        trace_sq: tr A^2, the sum of omega^2 over all modes.
        signal: largest (K r)_i^2 / K_ii of a coordinate at the start.
        diagonal: (lambda, theta*^2, count) of every coordinate where K is diagonal, else None.
        spread: tr K / lambda_1 where coordinates lie in no relation to the modes, else infinite.
    """

    omega: Array
    error_sq: Array
    noise: Array
    root_trace: float
    trace_sq: float
    signal: float
    diagonal: tuple[Array, Array, Array] | None = None
    spread: float = math.inf

    def told(self) -> str:
        """What is to be careful about where coordinates are taken as mixed; mostly nothing."""
        if self.spread >= _MIXED:
            return ""
        return (
            'basis="generic" takes every coordinate to mix many modes, and the trace is only '
            f"{self.spread:.2g} times the largest eigenvalue: 2 % off at 11, 7 % at 4, 20 % at 1.6"
        )


class Noise(Protocol):
    """What the steps of two coordinates add up to, given the correlation of these."""

    def noise(self, correlation: Array) -> Array:
        """At every correlation."""
        ...

    @property
    def slope(self) -> float:
        """Per unit of a small correlation."""
        ...

    @property
    def alone(self) -> float:
        """Of a coordinate with itself."""
        ...


class Arcsine:
    """Of signs: (2 / pi) arcsin."""

    slope, alone = 2.0 / math.pi, 1.0

    def noise(self, correlation: Array) -> Array:
        """At every correlation."""
        return np.asarray((2.0 / math.pi) * np.arcsin(correlation))


ARCSINE = Arcsine()


def on_diagonal(
    along: Array, error_sq: Array, count: Array, noise_of: Noise = ARCSINE
) -> SignModes:
    """Modes that are the coordinates themselves.

    >>> on_diagonal(np.array([4.0]), np.array([1.0]), np.array([1.0])).omega.tolist()
    [2.0]
    """
    root = np.sqrt(along)
    each = np.maximum(np.abs(count), 1.0)
    unit = count * root
    noise = unit if noise_of.alone == 1.0 else noise_of.alone * unit
    signal = float(np.max(along * error_sq / each))
    simple = bool(np.all(count > 0) and np.all(error_sq >= 0))
    diagonal = (along, error_sq / each, count) if simple else None
    total, square = float(unit.sum()), float(count @ along)
    return SignModes(root, root * error_sq, noise, total, square, signal, diagonal)


def generic(spectrum: Spectrum, noise_of: Noise = ARCSINE) -> SignModes:
    """Modes in no relation to the coordinates, all of which have the variance tr K / d."""
    along, count = spectrum.eigenvalues, spectrum.multiplicity
    if spectrum.trace == 0.0:  # no gradients, in whatever coordinates
        return on_diagonal(along, spectrum.error_sq, count, noise_of)
    share = spectrum.trace / spectrum.dimension
    unit = math.sqrt(share)
    mixed = noise_of.slope * along / share + noise_of.alone - noise_of.slope
    return SignModes(
        along / unit,
        unit * spectrum.error_sq,
        count * unit * mixed,
        spectrum.dimension * unit,
        float(count @ along**2) / share,
        float(along**2 @ spectrum.error_sq) / spectrum.trace,
        spread=spectrum.trace / float(along[0]),
    )


def of_coordinates(known: Coordinates, noise_of: Noise = ARCSINE) -> SignModes:
    """The modes of a covariance and an optimum that are known as they are.

    >>> found = of_coordinates(Coordinates([[2.0, 1.0], [1.0, 2.0]], [1.0, 0.0]))
    >>> bool(abs(found.noise.sum() - 2 * 2**0.5) < 1e-12)
    True
    """
    if known.covariance.ndim == 1:
        ones = np.ones(len(known.optimum))
        return on_diagonal(known.covariance, known.optimum**2, ones, noise_of)
    return _turned(known.covariance, known.optimum[:, None], noise_of)


def scattered(known: Coordinates) -> SignModes:
    """The same where the optimum's parts along the eigenvectors of K point in unrelated directions.

    As along the outputs of a matrix; then each adds its own squares.
    """
    _, vectors = np.linalg.eigh(known.covariance)
    return _turned(known.covariance, vectors * (known.optimum @ vectors), ARCSINE)


def _turned(K: Array, theta: Array, noise_of: Noise) -> SignModes:
    """By a covariance and the parts of an optimum, (d, parts), whose squares add up."""
    moving = np.diag(K) > 0  # a coordinate that never varies has no gradient
    K, theta = K[np.ix_(moving, moving)], theta[moving]
    scale = np.diag(K) ** 0.25
    correlations = np.clip(K / np.outer(scale**2, scale**2), -1.0, 1.0)
    np.fill_diagonal(correlations, 1.0)  # arcsin turns a rounding there into its root
    omega, Q = np.linalg.eigh(scale[:, None] * correlations * scale)
    turned = scale[:, None] * Q  # D^(1/4) Q
    noise = np.einsum("ij,ij->j", turned, noise_of.noise(correlations) @ turned)
    return SignModes(
        np.maximum(omega, 0.0)[::-1],
        np.sum((turned.T @ theta) ** 2, axis=1)[::-1],
        noise[::-1],
        float(np.sum(scale**2)),
        float(np.sum(omega**2)),
        float(np.max(np.sum((K @ theta) ** 2, axis=1) / np.diag(K))),
    )
