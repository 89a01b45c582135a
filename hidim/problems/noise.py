"""Which law does the label noise follow? `hidim.noise`: laws as data, on top of the risk floor.

A label is <x, theta*> + eps, with eps of one of these laws beside the Gaussian part that
`risk_floor` stands for. Theories that bend the residual, clipping and signs, need more of eps than
its variance; every law gives itself as a finite mixture of Gaussians for them, sum_k p_k N(m_k,
v_k), so that every functional is a finite sum of erf and exp. The variance itself is in closed form
and may be infinite: then the risk is, and the excess over it is not.
Source: Gaussian scale mixtures (Student: precision Gamma; Laplace: variance exponential), by the
trapezoidal rule in the logarithm. Limits: laws on the line, the same for every sample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from hidim.support import checks

_NODES = 400  # of a scale mixture, and of an interval


class Mixture(NamedTuple):
    """Gaussians that a law is made of, each (k,): weights, means and variances."""

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    def wider(self, variance: float) -> Mixture:
        """With an independent Gaussian of this variance added."""
        return Mixture(self.weights, self.means, self.variances + variance)


@runtime_checkable
class Law(Protocol):
    """A law of label noise: frozen and hashable data with these three."""

    @property
    def variance(self) -> float:
        """E eps^2, in closed form; infinite where there is none."""
        ...

    @property
    def mixture(self) -> Mixture:
        """Gaussians that it is made of."""
        ...

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """N(0, variance).

    >>> Gaussian(0.25).mixture.variances.tolist()
    [0.25]
    """

    variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", checks.non_negative("variance", self.variance))

    @property
    def mixture(self) -> Mixture:
        """Itself."""
        return Mixture(np.ones(1), np.zeros(1), np.array([self.variance]))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        return np.asarray(math.sqrt(self.variance) * rng.standard_normal(shape))


def _scale(value: float | None, example: str) -> float:
    if value is None:
        raise ValueError(f"`scale` is missing: a law has one, as in hidim.noise.{example}.")
    return checks.positive("scale", value)


@dataclass(frozen=True)
class StudentT:
    """`scale` times a Student t of `df` degrees of freedom; its variance is infinite up to df = 2.

    >>> StudentT(3, 0.5).variance, StudentT(2, 1.0).variance
    (0.75, inf)
    """

    df: float
    scale: float = None  # type: ignore[assignment]  # asked for in one line

    def __post_init__(self) -> None:
        object.__setattr__(self, "df", checks.positive("df", self.df))
        object.__setattr__(self, "scale", _scale(self.scale, "StudentT(3, 0.5)"))

    @property
    def variance(self) -> float:
        """scale^2 df / (df - 2)."""
        return self.scale**2 * self.df / (self.df - 2.0) if self.df > 2 else math.inf

    @property
    def mixture(self) -> Mixture:
        """scale^2 / w, w ~ Gamma(df / 2, rate df / 2)."""
        return _student(self.df, self.scale)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        return np.asarray(self.scale * rng.standard_t(self.df, shape))


@dataclass(frozen=True)
class Cauchy:
    """`scale` times a Cauchy: Student's law at one degree of freedom, without a variance.

    >>> Cauchy(2.0).variance
    inf
    """

    scale: float = None  # type: ignore[assignment]  # asked for in one line

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _scale(self.scale, "Cauchy(0.5)"))

    @property
    def variance(self) -> float:
        """Infinite."""
        return math.inf

    @property
    def mixture(self) -> Mixture:
        """That of Student's law."""
        return _student(1.0, self.scale)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        return np.asarray(self.scale * rng.standard_cauchy(shape))


@dataclass(frozen=True)
class Laplace:
    """A two-sided exponential of this variance.

    >>> round(float(Laplace(2.0).mixture.weights.sum()), 9)
    1.0
    """

    variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", checks.positive("variance", self.variance))

    @property
    def mixture(self) -> Mixture:
        """variance w, w ~ Exp(1)."""
        return _laplace(self.variance)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        return rng.laplace(0.0, math.sqrt(self.variance / 2.0), shape)


@dataclass(frozen=True)
class Rademacher:
    """Plus or minus the root of the variance.

    >>> Rademacher(4.0).mixture.means.tolist()
    [-2.0, 2.0]
    """

    variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", checks.positive("variance", self.variance))

    @property
    def mixture(self) -> Mixture:
        """Two points."""
        root = math.sqrt(self.variance)
        return Mixture(np.full(2, 0.5), np.array([-root, root]), np.zeros(2))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        return np.asarray(math.sqrt(self.variance) * (2.0 * rng.integers(2, size=shape) - 1.0))


@dataclass(frozen=True)
class Uniform:
    """Uniform about 0 with this variance.

    >>> law = Uniform(1.0).mixture
    >>> round(float(law.weights @ (law.means**2 + law.variances)), 12)
    1.0
    """

    variance: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "variance", checks.positive("variance", self.variance))

    @property
    def mixture(self) -> Mixture:
        """Gaussians as wide as their distance, which add up to a level density."""
        return _uniform(self.variance)

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Independent samples."""
        half = math.sqrt(3.0 * self.variance)
        return rng.uniform(-half, half, shape)


@dataclass(frozen=True)
class Sample:
    """Measured residuals, each equally likely; as they are, their mean included.

    >>> Sample((1.0, -2.0, 1.0)).variance
    2.0
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        values: Any = self.values
        found = checks.finite_array("values", np.asarray(values).ravel())
        if found.size == 0:
            raise ValueError("`values` is empty: a sample has at least one residual.")
        object.__setattr__(self, "values", tuple(found.tolist()))

    def __repr__(self) -> str:
        return f"Sample({len(self.values)} values)"

    @property
    def variance(self) -> float:
        """Mean square."""
        return float(np.mean(np.square(self.values)))

    @property
    def mixture(self) -> Mixture:
        """Points."""
        values, counts = np.unique(np.array(self.values), return_counts=True)
        return Mixture(counts / counts.sum(), values, np.zeros(len(values)))

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Drawn with replacement."""
        return np.asarray(rng.choice(np.array(self.values), size=shape))


def parse(text: str) -> Law:
    """The law that a command line describes, such as student:3:0.3.

    Raises:
        ValueError: no such law, or numbers that it does not take.

    >>> parse("student:3:0.3"), parse("laplace:0.5")
    (StudentT(df=3.0, scale=0.3), Laplace(variance=0.5))
    """
    name, *given = text.strip().lower().split(":")
    if name not in _NAMED:
        raise ValueError(f"`noise` {text!r} is no law: write one of {', '.join(_FORMS)}.")
    law, form = _NAMED[name]
    try:
        numbers = [float(one) for one in given]
        if len(numbers) != form.count(":"):
            raise ValueError
    except ValueError:
        raise ValueError(f"`noise` {text!r} must have the form {form}, in numbers.") from None
    found: Law = law(*numbers)
    return found


def checked(noise: Any) -> Law | None:
    """`noise` itself, if it is a law or None.

    Raises:
        ValueError: it is neither.
    """
    if noise is None or (isinstance(noise, Law) and not isinstance(noise, type)):
        return noise
    raise ValueError(
        f"`noise` must be a law of hidim.noise, such as hidim.noise.Laplace(0.5), got {noise!r}."
    )


_NAMED: dict[str, tuple[Any, str]] = {
    "gaussian": (Gaussian, "gaussian:variance"),
    "student": (StudentT, "student:df:scale"),
    "cauchy": (Cauchy, "cauchy:scale"),
    "laplace": (Laplace, "laplace:variance"),
    "rademacher": (Rademacher, "rademacher:variance"),
    "uniform": (Uniform, "uniform:variance"),
}
_FORMS = tuple(form for _, form in _NAMED.values())


@lru_cache(maxsize=32)
def _student(df: float, scale: float) -> Mixture:
    log_w = np.linspace(-80.0 / df, math.log(120.0 / df + 10.0), _NODES)
    density = 0.5 * df * (math.log(0.5 * df) + log_w - np.exp(log_w)) - math.lgamma(0.5 * df)
    return _scales(np.exp(density), scale**2 * np.exp(-log_w))


@lru_cache(maxsize=32)
def _laplace(variance: float) -> Mixture:
    log_w = np.linspace(-36.0, math.log(40.0), _NODES)
    return _scales(np.exp(log_w - np.exp(log_w)), variance * np.exp(log_w))


@lru_cache(maxsize=32)
def _uniform(variance: float) -> Mixture:
    # Points of an interval blurred by their distance: the blur is taken off the interval's width.
    points = (np.arange(_NODES) + 0.5) / _NODES - 0.5
    width = math.sqrt(variance / (float(np.mean(points**2)) + 1.0 / _NODES**2))
    blur = np.full(_NODES, (width / _NODES) ** 2)
    return Mixture(np.full(_NODES, 1.0 / _NODES), width * points, blur)


def _scales(density: np.ndarray, variances: np.ndarray) -> Mixture:
    weights = density / density.sum()  # the trapezoidal rule, whose ends vanish
    return Mixture(weights, np.zeros(len(weights)), variances)
