"""What a problem is, once the basis is chosen: curvatures, errors to remove, and a floor.

    risk = risk_floor + 1/2 sum_j eigenvalues_j error_sq_j

Any high-dimensional quadratic reduces to this, and every engine reads nothing else.
"""

from __future__ import annotations

import functools
import math
import os
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hidim.problems.compress import onto_fewer_nodes
from hidim.problems.coordinates import Coordinates
from hidim.problems.law import DataLaw
from hidim.problems.measured import spectrum_parts
from hidim.problems.rows import KEEP_ROWS
from hidim.support import checks
from hidim.support.results import ByContent

# How much faster a ringing each level of a quadrature resolves; and levels between `finer` ones.
LEVEL, _FINER = 1.2, 4

# Of the risk at the start and of the trace: engines compare with multiples and form products.
_LARGEST = 1e150

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@dataclass(frozen=True, eq=False)
class Spectrum(ByContent):
    """Eigenvalues of the Hessian with the squared error that starts in each of them.

    Two spectra are equal when everything they hold is, label and provenance included.

    Args:
        eigenvalues: shape (modes,), curvature of each mode or quadrature node, none negative.
        error_sq: shape (modes,), initial squared distance to the optimum, summed over the
            modes that sit at that eigenvalue. Quadrature nodes may carry negative weight.
        risk_floor: risk at the optimum, with the one half.
        multiplicity: shape (modes,), how many modes each entry stands for; real-valued, even
            negative, for a quadrature node. 1 by default, as None is. Gradient noise enters a
            node in proportion to it.
        label: name for tables and legends.
        provenance: what reproduces the spectrum.
        kurtosis: E s^4 of elliptical rows s z, z Gaussian and E s^2 = 1; 1 for Gaussian rows.
        noise_kurtosis: E e^2 s^2 / E e^2 of what `risk_floor` stands for, e; 1 if e and s are
            independent, `kurtosis` if s scales e.
        noise: law of label noise on top of the floor, for theories that read it.
        law: all of this and more as one `DataLaw`, in place of these three.

    Raises:
        ValueError: lengths differ, a number is not finite, or the risk would be negative.

    Example:
        >>> spectrum = Spectrum([1.0, 0.25], [1.0, 4.0], 0.1)
        >>> spectrum.initial_risk, spectrum.trace, spectrum.dimension
        (1.1, 1.25, 2.0)
    """

    eigenvalues: np.ndarray
    error_sq: np.ndarray
    risk_floor: float
    multiplicity: np.ndarray
    label: str
    provenance: dict[str, Any]
    law: DataLaw

    # (make, level), with make(level) -> Spectrum | None; set by problems whose nodes are a
    # quadrature. Not content: a copy with other numbers, and what is read from a file, has none.
    _resolution: ClassVar[Any] = None

    # Written out because what is given may be a list, or None, and what is kept is an array.
    def __init__(
        self,
        eigenvalues: ArrayLike,
        error_sq: ArrayLike,
        risk_floor: float,
        multiplicity: ArrayLike | None = None,
        label: str = "",
        provenance: dict[str, Any] | None = None,
        *,
        kurtosis: float = 1.0,
        noise_kurtosis: float = 1.0,
        noise: Any = None,
        law: DataLaw | None = None,
    ) -> None:
        given = DataLaw(kurtosis, noise_kurtosis, noise)
        if law is not None and given != DataLaw():
            raise ValueError(
                f"`law` holds the kurtosis and the noise: give {', '.join(given.described)} there, "
                "or leave `law` out."
            )
        eigenvalues = np.atleast_1d(checks.finite_array("eigenvalues", eigenvalues))
        error_sq = np.atleast_1d(checks.finite_array("error_sq", error_sq))
        floor = checks.non_negative("risk_floor", risk_floor)
        if eigenvalues.size == 0:
            raise ValueError("`eigenvalues` is empty: a spectrum has at least one mode.")
        if eigenvalues.ndim != 1:
            raise ValueError(f"`eigenvalues` must be one row, got shape {eigenvalues.shape}.")
        if multiplicity is None:
            count = np.ones_like(eigenvalues)
        else:
            count = np.atleast_1d(checks.finite_array("multiplicity", multiplicity))
        if not eigenvalues.shape == error_sq.shape == count.shape:
            raise ValueError(
                "`eigenvalues`, `error_sq` and `multiplicity` must have one length, got "
                f"{eigenvalues.shape}, {error_sq.shape} and {count.shape}."
            )
        if np.any(eigenvalues < 0):
            raise ValueError(f"`eigenvalues` must not be negative, got {eigenvalues.min():g}.")
        with np.errstate(over="ignore", invalid="ignore"):
            _check_counts(count, eigenvalues)
        simple = (count > 0) & (count == np.floor(count))
        if np.any(error_sq[simple] < 0):
            raise ValueError(f"`error_sq` must not be negative, got {error_sq[simple].min():g}.")
        order = np.argsort(-eigenvalues, kind="stable")
        for name, array in (
            ("eigenvalues", eigenvalues),
            ("error_sq", error_sq),
            ("multiplicity", count),
        ):
            sorted_copy = array[order]
            sorted_copy.setflags(write=False)
            object.__setattr__(self, name, sorted_copy)
        object.__setattr__(self, "risk_floor", floor)
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "provenance", {} if provenance is None else provenance)
        object.__setattr__(self, "law", given if law is None else law)
        with np.errstate(over="ignore"):
            start, trace = self.initial_risk, float(count @ eigenvalues)
        if start < 0:
            raise ValueError(f"the initial risk is negative ({start:g}).")
        for what, size in (("risk at the start", start), ("trace of the Hessian", trace)):
            if not size <= _LARGEST:
                raise ValueError(
                    f"the {what} is {size:g}, which leaves float64 on the way: it must be at most "
                    f"{_LARGEST:g}. Measure in other units."
                )

    def __len__(self) -> int:
        return len(self.eigenvalues)

    def __repr__(self) -> str:
        top, bottom = self.eigenvalues[0], self.eigenvalues[-1]
        return (
            f"Spectrum({self.label or 'unnamed'}: {len(self)} nodes for {self.dimension:g} modes, "
            f"eigenvalues {bottom:.3g}..{top:.3g}, risk {self.initial_risk:.4g} -> floor "
            f"{self.risk_floor:.4g}{''.join(f', {part}' for part in self.law.described)})"
        )

    @property
    def counts(self) -> np.ndarray:
        """The same as `multiplicity`, shape (modes,): its name in version 0.1."""
        return self.multiplicity

    @property
    def dimension(self) -> float:
        """Number of modes, d; whole where quadrature weights add up to whole but for rounding."""
        total = float(np.sum(self.multiplicity))
        return float(round(total)) if abs(total - round(total)) < 1e-9 * abs(total) else total

    @property
    def trace(self) -> float:
        """Trace of the Hessian: the sum of all eigenvalues."""
        return float(self.multiplicity @ self.eigenvalues)

    @property
    def initial_risk(self) -> float:
        """Risk at theta = 0, with the one half."""
        return self.risk_floor + 0.5 * float(self.eigenvalues @ self.error_sq)

    @functools.cached_property
    def coarser(self) -> Spectrum | None:
        """The same problem at a lower resolution of its quadrature, made on first use.

        The largest distance of two predictions up to a step measures the error of this one there,
        mostly from above (docs/log.md), but for some 1e-11 that both share. None where modes are
        the modes themselves or were compressed, and at the lowest resolution.

        >>> import hidim
        >>> spectrum = hidim.PLRF(1.0, 0.7, 1000).spectrum()
        >>> len(spectrum.coarser) < len(spectrum) < len(spectrum.finer)
        True
        """
        return self._at(-1)

    @functools.cached_property
    def finer(self) -> Spectrum | None:
        """The same problem at twice the resolution, for momentum that rings long; else None."""
        return self._at(1 if self._level < 0 else _FINER - self._level % _FINER)

    def resolving(self, faster: float) -> Spectrum | None:
        """The same problem on nodes that resolve a ringing so many times as fast, or None.

        >>> import hidim
        >>> spectrum = hidim.PLRF(1.0, 0.7, 1000).spectrum()
        >>> spectrum.resolving(1.0) == spectrum, len(spectrum.resolving(1.4)) > len(spectrum)
        (True, True)
        """
        return self._at(math.ceil(math.log(faster) / math.log(LEVEL) - 1e-9))

    @property
    def _level(self) -> int:
        return 0 if self._resolution is None else int(self._resolution[1])

    def _at(self, step: int) -> Spectrum | None:
        """So many levels above."""
        if self._resolution is None:
            return None
        make, level = self._resolution
        neighbour: Spectrum | None = make(level + step)
        return neighbour

    def spectrum(self, seed: int | None = None) -> Spectrum:
        """Itself: a Spectrum is a problem already reduced, and draws nothing from a seed."""
        return self

    def compress(self, *, nodes_per_octave: int = 16) -> Spectrum:
        """The same curves from fewer nodes: at most `nodes_per_octave` per factor of two.

        Each eigenvalue hands its weight to Chebyshev nodes in log eigenvalue by Lagrange
        interpolation, so sums over modes of smooth functions are kept to the order of the
        interpolation. Octaves with few eigenvalues stay as they are. Node weights may be
        negative: a compressed spectrum predicts curves and cannot be simulated.

        Good for the curves of power laws, to 1e-9 or so; not for a risk that falls by many
        decades without a floor, nor for momentum that rings for long (problems/compress.py).
        Prediction needs none of it: `predict` follows every mode at this price.

        >>> many = Spectrum(np.geomspace(1, 1e-3, 2000), np.ones(2000), 0.0)
        >>> few = many.compress()
        >>> len(few) < 200, abs(few.trace / many.trace - 1) < 1e-12
        (True, True)
        """
        order = checks.whole("nodes_per_octave", nodes_per_octave, minimum=2)
        eigenvalues, (error_sq, counts) = onto_fewer_nodes(
            self.eigenvalues, np.stack([self.error_sq, self.multiplicity]), int(order)
        )
        return Spectrum(
            eigenvalues,
            error_sq,
            self.risk_floor,
            counts,
            label=self.label,
            provenance=self.provenance | {"nodes_per_octave": int(order)},
            law=self.law.of_nodes(),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the spectrum whole or not at all; the suffix picks .json, .npz or .csv.

        `load` gives back an equal one; a .csv keeps the numbers, without label and provenance.

        Raises:
            ValueError: another suffix, a place that cannot be written, or a law of the data that
                such a file cannot keep.
        """
        from hidim.problems import spectrum_files  # on use: it needs archives

        spectrum_files.write_parts(
            path, {one.name: getattr(self, one.name) for one in fields(self)}
        )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Spectrum:
        """Read a Spectrum from a .json object, an .npz archive, or a .csv with a header row.

        Each holds `eigenvalues`, `error_sq` and, if known, `risk_floor`, `multiplicity`,
        `kurtosis` and `noise_kurtosis`.

        Raises:
            ValueError: the file is missing, of another kind, or holds another name, which is
                answered with the nearest known one.
        """
        from hidim.problems import spectrum_files

        parts = spectrum_files.read_parts(path)
        try:
            return cls(**parts)
        except ValueError as error:
            raise ValueError(f"cannot read a spectrum from {str(path)!r}: {error}") from None

    @classmethod
    def from_covariance(
        cls,
        K: Any,
        target: Any,
        noise_variance: float = 0.0,
        *,
        label: str = "covariance",
        noise: Any = None,
    ) -> Spectrum:
        """Least squares with feature covariance `K` and optimum `target`, started at zero.

        With one output both are kept as they are in `law.basis`, for signs, which depend on them.

        Args:
            K: (d, d) symmetric positive semi-definite, or (d,) for a diagonal.
            target: (d,) or (d, outputs), the parameters that minimise the risk.
            noise_variance: variance of the label around its prediction, summed over outputs.
            noise: a law of label noise in place of it, of `hidim.noise`.

        Raises:
            ValueError: shapes that do not fit, or a K that is not a covariance.

        >>> Spectrum.from_covariance([[2.0, 0.0], [0.0, 1.0]], [1.0, 1.0]).initial_risk
        1.5
        """
        K = checks.finite_array("K", K, ndim=(1, 2))
        target = checks.finite_array("target", target, ndim=(1, 2))
        variance = checks.non_negative("noise_variance", noise_variance)
        if noise is not None and variance:
            raise ValueError(
                "`noise` is the law of the label noise and `noise_variance` a Gaussian one: give "
                "one of the two."
            )
        if (K.ndim == 2 and K.shape[0] != K.shape[1]) or len(target) != len(K):
            raise ValueError(
                f"`K` must be (d, d) and `target` of length d, got {K.shape} and {target.shape}."
            )
        if K.ndim == 1:
            eigenvalues, modes = K, target
        else:
            if not np.allclose(K, K.T, rtol=1e-10, atol=1e-12 * np.abs(K).max(initial=0)):
                raise ValueError("`K` must be symmetric.")
            eigenvalues, vectors = np.linalg.eigh(0.5 * K + 0.5 * K.T)
            modes = vectors.T @ target
        tolerance = 1e-10 * np.abs(eigenvalues).max(initial=0)
        if np.any(eigenvalues < -tolerance):
            raise ValueError(f"`K` has a negative eigenvalue ({eigenvalues.min():g}).")
        with np.errstate(over="ignore"):
            error_sq = np.sum(modes.reshape(len(modes), -1) ** 2, axis=1)
        if not np.isfinite(error_sq).all():
            raise ValueError("the squares of `target` leave float64. Measure in other units.")
        single = target.ndim == 1 or target.shape[1] == 1
        basis = Coordinates(K, target.reshape(len(K))) if single else None
        law = DataLaw(noise=noise, basis=basis)
        return cls(np.maximum(eigenvalues, 0.0), error_sq, 0.5 * variance, label=label, law=law)

    @classmethod
    def from_data(
        cls,
        X: Any,
        y: Any,
        *,
        label: str = "data",
        rows: bool = KEEP_ROWS,
        center: bool = False,
        standardize: bool = False,
        intercept: bool = False,
    ) -> Spectrum:
        """Least squares on measured rows, drawn with replacement, started at zero.

        With rows drawn from the data with replacement the population is the data itself, so
        curvature, optimum and floor are exact, and predictions, stability and recommended rates
        are those of these rows (docs/theory/rows.md). Without the rows a theory assumes that
        gradients have a Gaussian's fourth moments.

        Args:
            X: (rows, d) features: an array or a data frame.
            y: (rows,) or (rows, outputs) targets; the outputs' risks are summed.
            label: name for tables and legends.
            rows: keep the rows in the eigenbasis, as `law.rows`, which is the default; of more
                than 2e7 entries a random subset, while curvature, optimum and floor are of all.
                Without them the covariance and the optimum are kept, for signs, of one output and
                up to 2048 columns.
            center: subtract every column's mean from X; y stays as it is.
            standardize: center, and divide every column by its standard deviation. A column that
                never changes becomes 0 and stands in the provenance as "constant".
            intercept: append a column of ones, after centering, as parameter d + 1.

        Raises:
            ValueError: a cell that is missing, infinite or text, named; shapes that do not fit, or
                features that never change.

        >>> X = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]])
        >>> Spectrum.from_data(X, X @ [1.0, -1.0]).risk_floor < 1e-30
        True
        >>> Spectrum.from_data(X, [1.0, 2.0, 0.0]).law.rows
        Rows(3 rows, 2 features)
        """
        return cls(
            **spectrum_parts(
                X,
                y,
                label=label,
                rows=rows,
                center=center,
                standardize=standardize,
                intercept=intercept,
            )
        )


def _check_counts(count: np.ndarray, eigenvalues: np.ndarray) -> None:
    """Refuse multiplicities that neither modes nor the nodes of a quadrature can have."""
    total = float(np.sum(count))
    if total <= 0:
        raise ValueError(
            f"`multiplicity` must add up to a positive number of modes, got {total:g}."
        )
    # Weights of a quadrature may be negative, and then they are not all whole.
    if np.all(count == np.floor(count)) and np.any(count < 0) and np.abs(count).max() < 2**52:
        raise ValueError(
            f"`multiplicity` counts modes, so none may be negative, got {count.min():g}."
        )
    trace, size = float(count @ eigenvalues), float(np.abs(count) @ eigenvalues)
    if trace < -1e-9 * size:
        raise ValueError(
            f"`multiplicity` makes the trace of the Hessian negative ({trace:g}): leave out modes "
            "that are not there."
        )


def spectrum_from_data(X: Any, y: Any, label: str = "data") -> Spectrum:
    """`Spectrum.from_data`, by its name in version 0.1."""
    return Spectrum.from_data(X, y, label=label)
