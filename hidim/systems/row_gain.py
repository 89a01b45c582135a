"""Do runs on measured rows hold? The exact gain of the loop, and the rows that carry it.

Let row i bring noise in proportion to q_i, its mean squared residual. A unit gradient kick in
modes j and k is answered by H_jk = sum_t h_j(t) h_k(t), so the noise of all rows leaves the
covariance L * A, with A = Z^T diag(q / n) Z and L = (H / B) / (1 + lambda_j lambda_k H / B)
entry by entry, and that makes the squared residuals

    q'_i = z_i^T (L * A) z_i.

A positive symmetric map of n numbers: its largest eigenvalue is the gain. Runs are stable in mean
square if and only if every mode is and the gain is below 1; 1 / gain is the factor by which noise
may still grow; its eigenvector says which rows carry it. For growth by w per step H is
sum_t (1 + w)^-(t + 1) h_j(t) h_k(t).
Source: derived for this project, docs/theory/rows.md. Limits: rates frozen at one time; the mean
over runs: just above 1 single runs may look fine for long. From a sample of rows a lower bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.problems.rows import Rows
from hidim.problems.spectrum import Spectrum
from hidim.systems.kernel_norm import mode_growth
from hidim.systems.powers import constant_rates
from hidim.systems.row_pairs import frozen_rates, pair_response

# Of the eigenvector's residual, relative: its eigenvalue errs by the square.
_RESIDUAL = 1e-3
_MOST_PRODUCTS = 120
_EDGES = 8  # of a schedule's breakpoints, those looked at
_SECTIONS, _GOLDEN = 6, 0.5 * (math.sqrt(5.0) - 1.0)
_ROUNDING = float(np.finfo(np.float64).eps)


def looks(last: float, breakpoints: Sequence[float] = ()) -> np.ndarray:
    """Times at which a run is judged: 0, 30, 300, ..., the last, and around breakpoints.

    >>> looks(1000).tolist()
    [0.0, 30.0, 300.0, 1000.0]
    """
    spaced = [0.0]
    while 30.0 * 10.0 ** (len(spaced) - 1) < last:
        spaced.append(30.0 * 10.0 ** (len(spaced) - 1))
    edges = [b for b in breakpoints if 0.0 < b < last][:_EDGES]
    beside = [t for b in edges for t in (math.floor(b), math.ceil(b))]
    return np.unique([*spaced, *beside, last])


class Gain(NamedTuple):
    """A gain and the eigenvector that carries it, (n,), adding up to 1."""

    value: float
    shares: np.ndarray

    @property
    def carriers(self) -> float:
        """How many rows carry the gain: 1 / sum of squared shares; 0 where none does."""
        return float(1.0 / np.sum(self.shares**2)) if self.shares.any() else 0.0


@dataclass(frozen=True, eq=False)
class RowLoop:
    """The loop of some rows: `gain` at any rates.

    Args:
        rows: the rows in the eigenbasis.
        eigenvalues: of their columns, (k,).

    >>> from hidim.algorithms import sgd
    >>> loop = RowLoop(Rows(np.ones((4, 1)), np.zeros((4, 1)), np.ones((1, 1)), np.arange(4), 4),
    ...                np.ones(1))
    >>> round(loop.gain(sgd(0.5), 1, 0.0).value, 12)  # gamma / (2 lambda)
    0.25
    """

    rows: Rows
    eigenvalues: np.ndarray

    def gain(
        self,
        algorithm: Momentum,
        batch_size: float,
        t: float,
        w: float = 0.0,
        start: np.ndarray | None = None,
    ) -> Gain:
        """The gain with the rates of time t, for growth by w per step.

        Args:
            start: shares to start from, those of rates nearby.

        Returns:
            Infinite, with no row named, where a mode grows by itself.
        """
        nobody = np.zeros(len(self.rows))
        if batch_size == math.inf:
            return Gain(0.0 if self._modes_hold(algorithm, t, w) else math.inf, nobody)
        product = self._product(algorithm, batch_size, t, w)
        if product is None:
            return Gain(math.inf, nobody)
        value, vector = _largest(
            product, self.energies if start is None or not start.any() else start
        )
        vector = np.abs(vector)
        total = vector.sum()
        return Gain(value, vector / total if total > 0 else nobody)

    def below(self, limit: float, batch_size: float) -> Callable[[Momentum, float], bool]:
        """Whether the gain is below a limit, at no more work than it takes to tell.

        A function of the algorithm and the time; it starts from what it last saw.
        """
        last = [self.energies]

        def holds(algorithm: Momentum, t: float) -> bool:
            if batch_size == math.inf:
                return self._modes_hold(algorithm, t, 0.0)
            product = self._product(algorithm, batch_size, t, 0.0)
            if product is None:
                return False
            value, vector = _largest(product, last[0], limit)
            last[0] = np.abs(vector)
            return value < limit

        return holds

    def largest(self, times: np.ndarray, batch_size: float) -> Callable[[Momentum], float]:
        """The largest gain over the times as a function of the algorithm.

        Infinite where a mode grows by itself. Every call starts from the shares of the one before.
        """
        known: dict[float, np.ndarray] = {}

        def highest(algorithm: Momentum) -> float:
            most = 0.0
            for t in np.asarray(times, dtype=np.float64).tolist():
                found = self.gain(algorithm, batch_size, t, start=known.get(t))
                if found.value == math.inf:
                    return math.inf
                known[t] = found.shares
                most = max(most, found.value)
            return most

        return highest

    def along(self, algorithm: Momentum, batch_size: float, times: np.ndarray) -> list[Gain]:
        """The gain at every time; one is enough where no rate moves."""
        found: list[Gain] = []
        for t in np.asarray(times, dtype=np.float64).tolist():
            if found and constant_rates(algorithm):
                found.append(found[0])
            else:
                start = found[-1].shares if found else None
                found.append(self.gain(algorithm, batch_size, t, start=start))
        return found

    def between(
        self, algorithm: Momentum, batch_size: float, looked: dict[float, Gain], limit: float
    ) -> float | None:
        """A time at which the gain reaches a limit that it keeps below at those looked at, or None.

        By golden sections in log(1 + t) around every look with a gain of at least 2/3 of the limit
        and no less than those beside it.
        """
        times, values = np.array(list(looked)), [gain.value for gain in looked.values()]
        if constant_rates(algorithm) or batch_size == math.inf or max(values) >= limit:
            return None
        x, known = np.log1p(times), dict[float, float]()
        for i, value in enumerate(values):
            beside = values[max(i - 1, 0) : i + 2]
            if value < max(*beside, limit / 1.5):
                continue
            low, high = float(x[max(i - 1, 0)]), float(x[min(i + 1, len(x) - 1)])
            for _ in range(_SECTIONS):
                width = _GOLDEN * (high - low)
                inner = [float(math.floor(math.expm1(p))) for p in (high - width, low + width)]
                for t in inner:
                    if t not in known:
                        start = looked[times[i]].shares
                        known[t] = self.gain(algorithm, batch_size, t, start=start).value
                        if known[t] >= limit:
                            return t
                rising = known[inner[0]] <= known[inner[1]]
                low, high = (high - width, high) if rising else (low, low + width)
        return None

    def told(self, gain: Gain) -> str:
        """The gain and the rows that carry it, in words."""
        if gain.value == math.inf:
            return "a mode grows by itself, whatever the rows"
        if not gain.shares.any():
            return f"the gain is {gain.value:.3g}"
        if gain.carriers > 0.5 * len(self.rows) > 2.0:
            return f"the gain is {gain.value:.3g}, spread over some {gain.carriers:.0f} rows"
        order = np.argsort(-gain.shares, kind="stable")
        # Up to three, none of them a tenth of the first or less.
        alike = int(np.count_nonzero(gain.shares > 0.1 * gain.shares[order[0]]))
        most = max(1, min(3, alike, round(gain.carriers)))
        named = [f"{self.rows.index[i]} ({gain.shares[i]:.0%})" for i in order[:most]]
        rows = "row" if most == 1 else "rows"
        some = "" if gain.carriers < most + 0.5 else f", about {gain.carriers:.0f} rows in all"
        return f"the gain is {gain.value:.3g}, carried by {rows} {', '.join(named)}{some}"

    def clipped(self, quantile: float) -> RowLoop:
        """The loop of these rows with the longest shortened to a quantile of all lengths.

        Another problem: its covariance has eigenvectors of its own.

        >>> from hidim.algorithms import sgd
        >>> z = np.array([[1.0], [1.0], [1.0], [3.0]])
        >>> loop = RowLoop(Rows(z, 0 * z, np.ones((1, 1)), np.arange(4), 4), np.array([3.0]))
        >>> [round(one.gain(sgd(0.1), 1, 0.0).value, 3) for one in (loop, loop.clipped(0.5))]
        [0.35, 0.05]
        """
        lengths = np.sqrt(self.energies)
        most = float(np.quantile(lengths, quantile))
        shorter = self.rows.features * np.minimum(1.0, most / np.maximum(lengths, most))[:, None]
        found, basis = np.linalg.eigh(shorter.T @ shorter / len(self.rows))
        seen = np.flatnonzero(found > found.max(initial=0.0) * len(found) * _ROUNDING)[::-1]
        turned = shorter @ basis[:, seen]
        nothing = np.zeros((len(turned), 1))  # what is learned from them is of no account
        index, of = self.rows.index, self.rows.of
        return RowLoop(Rows(turned, nothing, np.zeros((len(seen), 1)), index, of), found[seen])

    @cached_property
    def energies(self) -> np.ndarray:
        """Squared lengths of the rows, (n,)."""
        return np.einsum("ij,ij->i", self.rows.features, self.rows.features)

    def _product(
        self, algorithm: Momentum, batch_size: float, t: float, w: float
    ) -> Callable[[np.ndarray], np.ndarray] | None:
        """The map q -> q', or None where a mode grows by itself."""
        if not self._modes_hold(algorithm, t, w):
            return None
        pairs = pair_response(self.eigenvalues, algorithm, t, w)
        # (H / B) / (1 + lambda lambda H / B), also where H is zero or, undamped, infinite.
        with np.errstate(divide="ignore"):
            kept = 1.0 / (batch_size / pairs + np.outer(self.eigenvalues, self.eigenvalues))
        Z = self.rows.features
        shares = Z / len(self.rows)

        def passed_on(q: np.ndarray) -> np.ndarray:
            between = Z.T @ (shares * q[:, None])
            between *= kept
            return np.asarray(np.einsum("ij,ij->i", Z @ between, Z))

        return passed_on

    def _modes_hold(self, algorithm: Momentum, t: float, w: float) -> bool:
        a, b, forgetting = frozen_rates(self.eigenvalues, algorithm, t)[:3]
        return bool(np.max(mode_growth(a, b, forgetting), initial=-1.0) < max(w, 1e-300))


def loop_of(spectrum: Spectrum) -> RowLoop | None:
    """The loop of a problem's measured rows, or None where it has none."""
    rows = spectrum.law.rows
    if not isinstance(rows, Rows):
        return None
    return RowLoop(rows, spectrum.eigenvalues[: rows.features.shape[1]])


def _largest(
    product: Callable[[np.ndarray], np.ndarray], start: np.ndarray, limit: float | None = None
) -> tuple[float, np.ndarray]:
    """Largest eigenvalue of a symmetric map with its vector, by Lanczos' method.

    Args:
        limit: stop where it is known on which side of this it lies.
    """
    size = float(np.linalg.norm(start))
    if size == 0.0:
        return 0.0, start
    basis, diagonal = [start / size], list[float]()
    beside = list[float]()
    for _ in range(min(_MOST_PRODUCTS, len(start))):
        found = product(basis[-1])
        diagonal.append(float(found @ basis[-1]))
        for vector in (*basis, *basis):  # twice is enough
            found = found - (found @ vector) * vector
        length = float(np.linalg.norm(found))
        values, vectors = np.linalg.eigh(
            np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
        )
        # The largest eigenvalue is no less than `top`, and one lies within `doubt` of it.
        top, weights = float(values[-1]), vectors[:, -1]
        doubt = length * abs(float(weights[-1]))
        told = limit is not None and (top >= limit or top + 2.0 * doubt < limit)
        if told or doubt <= _RESIDUAL * abs(top) or length == 0.0:
            break
        beside.append(length)
        basis.append(found / length)
    return top, np.stack(basis[: len(weights)]).T @ weights
