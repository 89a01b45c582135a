"""What does a power-law random-features problem look like to an optimizer?

Data x_j ~ N(0, j^(-2 alpha)), target b_j = j^(-beta), j = 1..v; the model sees d random
features W^T x, W_ij ~ N(0, 1/d), and minimises

    P(theta) = 1/2 E[(<W^T x, theta> - <x, b> - noise)^2].

`spectrum(seed)` is one draw of W; `spectrum()` its deterministic equivalent, of the same
cost at any d and v (see resolvent and equivalent). A draw has finitely many rows: where v is
infinite, it has 4 d of them.
Source: arXiv 2505.16098, arXiv 2405.15074; conventions in docs/notation.md, the equivalent derived
in docs/theory/equivalent.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.problems.coordinates import Coordinates, Drawn
from hidim.problems.decomposition import decompose
from hidim.problems.equivalent.power_sums import power_sum
from hidim.problems.law import DataLaw
from hidim.problems.spectrum import Spectrum
from hidim.support import checks

if TYPE_CHECKING:
    from hidim.problems.equivalent.nodes import Equivalent

# Entries of W: 2 GB, and at most a quarter of an hour of decomposition on one core.
_LARGEST_SAMPLE = 2.5e8

# Far beyond any data; steeper powers under- and overflow.
MOST_EXPONENT = 20.0
MOST_PARAMETERS = 1e20
MOST_POWER = 1e250  # of d^(2 alpha): eigenvalues this far apart leave float64
# Some 1e-9 of the risk; 1e-5 at worst, momentum on spectra that fall faster than j^-2.
_ROW_NODES_PER_OCTAVE = 10


@dataclass(frozen=True)
class PLRF:
    """Power-law random features: exponents of data and target, parameters, latent dimension.

    Args:
        alpha: data exponent, positive; the covariance eigenvalues are j^(-2 alpha).
        beta: target exponent, any real; the target is b_j = j^(-beta).
        d: number of parameters, at least 1.
        v: latent dimension, at least d; None or ``math.inf`` for the limit, which needs
            2*alpha > 1 and alpha + beta > 1/2. A drawn W has v = 4 d there.
        noise_variance: variance of independent label noise; half of it adds to the floor.
        kurtosis: E s^4 of elliptical data x = s z, z Gaussian with E s^2 = 1; 1 is Gaussian. What
            the features miss of the target is scaled by s with the rest.
        noise_kurtosis: E e^2 s^2 / E e^2 of the label noise e alone; 1 for noise that is
            independent of s.
        noise: a law of label noise in place of `noise_variance`, such as
            ``hidim.noise.StudentT(3, 0.3)``.

    Raises:
        ValueError: an exponent or size outside the ranges above.

    Example:
        >>> problem = PLRF(alpha=1.0, beta=0.7, d=1000)
        >>> spectrum = problem.spectrum()
        >>> len(spectrum) < 1000, round(spectrum.dimension, 6)
        (True, 1000.0)
    """

    alpha: float
    beta: float
    d: int
    v: float | None = None
    noise_variance: float = 0.0
    kurtosis: float = field(default=1.0, kw_only=True)
    noise_kurtosis: float = field(default=1.0, kw_only=True)
    noise: Any = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        alpha = checks.positive("alpha", self.alpha)
        beta = checks.finite("beta", self.beta)
        d = checks.whole("d", self.d, minimum=1)
        v = math.inf if self.v is None else checks.whole("v", self.v, allow_inf=True)
        if v < d:
            raise ValueError(
                f"`v` must be at least d, got v={v:g} with d={d:g}. Give v, for example v=4*d."
            )
        if v == math.inf and 2 * alpha <= 1:
            raise ValueError(
                f"`v` must be finite when 2*alpha <= 1 (alpha={alpha}): the trace diverges. "
                "Give v, for example v=4*d."
            )
        if v == math.inf and alpha + beta <= 0.5:
            raise ValueError(
                f"`v` must be finite when alpha + beta <= 1/2 (alpha={alpha}, beta={beta}): "
                "the initial risk diverges. Give v, for example v=4*d."
            )
        for name, exponent in (("alpha", alpha), ("beta", beta)):
            if abs(exponent) > MOST_EXPONENT:
                raise ValueError(
                    f"`{name}` must be at most {MOST_EXPONENT:g} in size, got {exponent:g}: its "
                    "powers leave float64."
                )
        if d > MOST_PARAMETERS or 2 * alpha * math.log10(d) > math.log10(MOST_POWER):
            raise ValueError(
                f"`d` must be at most {MOST_PARAMETERS:g}, and d^(2 alpha) at most {MOST_POWER:g}, "
                f"got d={d:g} with alpha={alpha:g}: its eigenvalues leave float64."
            )
        noise = checks.non_negative("noise_variance", self.noise_variance)
        law = DataLaw(self.kurtosis, self.noise_kurtosis, self.noise)
        if self.noise is not None and noise:
            raise ValueError(
                "`noise` is the law of the label noise and `noise_variance` a Gaussian one: give "
                "one of the two."
            )
        accepted = {"alpha": alpha, "beta": beta, "d": d, "v": v, "noise_variance": noise}
        accepted |= {"kurtosis": law.kurtosis, "noise_kurtosis": law.noise_kurtosis}
        for name, value in accepted.items():
            object.__setattr__(self, name, value)

    @property
    def label(self) -> str:
        """Name for tables and legends."""
        noise = [f"noise_variance={self.noise_variance:g}"] if self.noise_variance else []
        rest = "".join(f", {one}" for one in (*noise, *self._tails.described))
        return f"PLRF(alpha={self.alpha:g}, beta={self.beta:g}, d={self.d:g}, v={self.v:g}{rest})"

    @property
    def trace(self) -> float:
        """Expected trace of the Hessian, sum_{j<=v} j^(-2 alpha)."""
        return power_sum(2 * self.alpha, self._v)

    @property
    def initial_risk(self) -> float:
        """Risk at theta = 0, with the 1/2: half of sum_{j<=v} j^(-2(alpha+beta)) plus noise."""
        return 0.5 * (power_sum(2 * (self.alpha + self.beta), self._v) + self.noise_variance)

    @property
    def risk_floor(self) -> float:
        """Risk no theta goes below, with the 1/2, in the deterministic equivalent."""
        return self._equivalent.floor(self.beta) + 0.5 * self.noise_variance

    @property
    def edges(self) -> tuple[float, float]:
        """Lowest and highest eigenvalue of the deterministic equivalent's support."""
        return self._equivalent.resolvent.edges

    def m(self, z: Any) -> np.ndarray:
        """m(z) of the deterministic equivalent diag(1 / (j^(-2 alpha) m(z) - z)).

        Args:
            z: complex, any shape. Real z are taken as the limit from the upper half plane.

        Returns:
            m, the same shape, complex; m(conj(z)) = conj(m(z)).
        """
        z = np.asarray(z, dtype=np.complex128)
        if not np.all(np.isfinite(z)):
            raise ValueError("`z` must be finite, got NaN or infinity.")
        return self._equivalent.resolvent.m_of(z)

    def density(self, x: Any) -> np.ndarray:
        """Fraction of the d eigenvalues per unit of eigenvalue at x (integrates to 1).

        Args:
            x: eigenvalues, any shape, positive.

        Returns:
            Density of the deterministic equivalent, the same shape, 0 in its gaps.
        """
        return self._equivalent.resolvent.density(checks.finite_array("x", x))

    def spectrum(self, seed: int | None = None) -> Spectrum:
        """Eigenvalues with the error that starts in each: one draw of W, or the equivalent.

        Args:
            seed: ``numpy.random.default_rng(seed).standard_normal((v, d)) / sqrt(d)`` is W,
                with v = 4 d where v is infinite, as `provenance` then says; None for the
                deterministic equivalent, some hundreds of nodes at any d and v.

        Raises:
            ValueError: a W too large to decompose.

        >>> spectrum = PLRF(alpha=1.0, beta=0.7, d=10).spectrum(seed=0)
        >>> spectrum.provenance["v"], spectrum.provenance["v_default"]
        (40, '4 d')
        """
        seed = checks.seed("seed", seed)
        if seed is None:
            usual = self._nodes(0)
            assert usual is not None
            return usual
        return self.drawn()._sampled(seed, self.draw_provenance(seed))

    @classmethod
    def of_ratio(cls, alpha: float, beta: float, d: float, ratio: float) -> PLRF:
        """The problem at d with v = ratio x d, rounded to a whole number.

        >>> PLRF.of_ratio(0.4, 0.7, 101, 2.7).v
        273
        """
        v = math.inf if math.isinf(ratio) else round(ratio * d)
        return cls(alpha, beta, int(d), v)

    def drawn(self) -> PLRF:
        """The problem that a drawn W belongs to: this one, or with v = 4 d where v is infinite."""
        return self if math.isfinite(self._v) else replace(self, v=4 * self.d)

    def draw(self, seed: int) -> np.ndarray:
        """The W of a seed, shape (v, d) of `drawn`; every simulation and prediction uses it.

        Raises:
            ValueError: no seed, or a W too large to draw.
        """
        seed = checks.given_seed("seed", seed)
        v, d = int(self.drawn()._v), int(self.d)
        if v * d > _LARGEST_SAMPLE:
            raise ValueError(
                f"W of shape ({v:g}, {d:g}) is too large to draw and decompose. Use seed=None for "
                "the deterministic equivalent, or a smaller v*d."
            )
        return np.random.default_rng(seed).standard_normal((v, d)) / math.sqrt(d)

    def draw_provenance(self, seed: int) -> dict[str, Any]:
        """What reproduces a draw; `v_default` is there when v was not given but chosen."""
        chosen = {} if math.isfinite(self._v) else {"v_default": "4 d"}
        return self.drawn()._provenance(seed) | chosen

    @property
    def _v(self) -> float:
        assert self.v is not None  # None became math.inf in __post_init__
        return self.v

    @property
    def _equivalent(self) -> Equivalent:
        from hidim.problems.equivalent.nodes import equivalent

        return equivalent(self.alpha, float(self.d), float(self._v))

    def _provenance(self, seed: int | None) -> dict[str, Any]:
        return (
            {
                "problem": "PLRF",
                "alpha": self.alpha,
                "beta": self.beta,
                "d": self.d,
                "v": self._v,
                "noise_variance": self.noise_variance,
                "seed": seed,
            }
            | self._tails.numbers
            | ({} if self.noise is None else {"noise": repr(self.noise)})
        )

    @property
    def _tails(self) -> DataLaw:
        return DataLaw(self.kurtosis, self.noise_kurtosis, self.noise)

    def _law(self, risk_floor: float) -> DataLaw:
        """The law with the noise's kurtosis of the whole floor: what features miss has x's own."""
        noise = self.noise_variance
        missed = max(2.0 * risk_floor - noise, 0.0)
        if missed + noise == 0:
            return self._tails
        whole = self.kurtosis * missed + self.noise_kurtosis * noise
        return DataLaw(self.kurtosis, whole / (missed + noise), self.noise)

    def _nodes(self, level: int) -> Spectrum | None:
        """The equivalent at one of the `RESOLUTIONS` of its quadrature, None beyond them."""
        from hidim.problems.equivalent.nodes import RESOLUTIONS

        if level not in RESOLUTIONS:
            return None
        equivalent = self._equivalent
        eigenvalues, error_sq, multiplicity = equivalent.nodes(self.beta, RESOLUTIONS[level])
        floor = equivalent.floor(self.beta) + 0.5 * self.noise_variance
        spectrum = Spectrum(
            eigenvalues,
            error_sq,
            floor,
            multiplicity,
            label=self.label,
            provenance=self._provenance(None),
            law=self._law(floor),
        )
        # A bound method is small and travels to other processes with the spectrum.
        object.__setattr__(spectrum, "_resolution", (self._nodes, level))
        return spectrum

    def _sampled(self, seed: int, provenance: dict[str, Any]) -> Spectrum:
        A, target = self._features(seed)
        eigenvalues, error_sq, floor = decompose(A, target)
        floor += 0.5 * self.noise_variance
        return Spectrum(
            eigenvalues,
            error_sq,
            floor,
            label=self.label,
            provenance=provenance,
            law=replace(self._law(floor), basis=Drawn(self, seed)),
        )

    def coordinates(self, seed: int) -> Coordinates:
        """Covariance of the features W^T x of a draw, and the parameters that are best there."""
        A, target = self.drawn()._features(checks.given_seed("seed", seed))
        return Coordinates(A.T @ A, np.linalg.lstsq(A, target, rcond=None)[0])

    def _features(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """D W, (v, d), and D b, (v,)."""
        W = self.draw(seed)
        j = np.arange(1, len(W) + 1, dtype=np.float64)
        return W * (j**-self.alpha)[:, None], j ** -(self.alpha + self.beta)


def spectra_at(
    alpha: float, betas: Sequence[float] | np.ndarray, d: float, ratio: float
) -> list[Spectrum]:
    """Compressed equivalents for a row of beta, all on the same nodes."""
    problems = [PLRF.of_ratio(alpha, float(beta), d, ratio) for beta in betas]
    if len(problems) > 1:
        problems[0]._equivalent.prepare([problem.beta for problem in problems])
    return [
        problem.spectrum().compress(nodes_per_octave=_ROW_NODES_PER_OCTAVE) for problem in problems
    ]
