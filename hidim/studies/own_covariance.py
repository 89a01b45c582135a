"""Which compute-optimal exponents does a covariance of one's own show?

The modes of a Spectrum take the place of the powers of `PLRF`: x_j has variance eigenvalue_j, the
optimum has coordinates sqrt(error_sq_j), and a model of size d trains d random features W^T x of
them, W drawn from a seed. A ladder of such sizes is predicted exactly and measured as any other;
the exponents of the data and of the target, read off the modes themselves, give the law beside it,

    eigenvalue_j ~ j^(-2 alpha),    eigenvalue_j error_sq_j ~ j^(-2 (alpha + beta)).

Limits: one draw of W at each size, whose scatter is in the intervals; sizes up to a quarter of the
modes. Real spectra bend: where the halves of the window differ there is no power, and no law.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.algorithms.named import lookup
from hidim.curve import Curve, log_steps
from hidim.measure import Exponent, MeasuredFrontier, frontier, measure_exponent
from hidim.measure.tails import tail
from hidim.prediction import predict
from hidim.problems.decomposition import decompose
from hidim.problems.spectrum import Spectrum
from hidim.rates.recommend import recommend
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.studies.ladder import check_sizes, sizes_between
from hidim.support.checks import given_seed, instance, positive, whole
from hidim.support.results import Saved

_SMALLEST, _SIZES = 10, 14  # of the ladder by default
_SHARE = 4  # modes for each feature of the largest size
_LONGEST = 1e15  # steps
_REPEATS = 8


@dataclass(frozen=True, eq=False)
class OwnExponents(Saved, format="hidim-own-exponents/1"):
    """Exponents of a covariance of one's own, and of an optimizer on it.

    Attributes:
        algorithm: the optimizer.
        alpha: half the power of the eigenvalues in their rank.
        beta: of the target; alpha + beta is half the power of its energy.
        ranks: first and last rank that these were read from.
        frontier: what the ladder shows, and the law of (alpha, beta) beside it.
        law: that law, or None where alpha and beta have none.
        sizes: of the ladder, shape (n,).
        curves: one per size.
    """

    algorithm: str
    alpha: Exponent
    beta: Exponent
    ranks: tuple[int, int]
    frontier: MeasuredFrontier
    law: ScalingLaw | None
    sizes: np.ndarray
    curves: tuple[Curve, ...]

    def to_dict(self) -> dict[str, Any]:
        """The exponents as plain numbers."""
        table: dict[str, Any] = {"algorithm": self.algorithm, "ranks": list(self.ranks)}
        for name in ("alpha", "beta"):
            one = getattr(self, name)
            table[name] = {k: getattr(one, k) for k in ("value", "low", "high", "drift")}
        phase = None if self.law is None else self.law.phase
        return table | {"phase": phase} | self.frontier.to_dict()


def own_exponents(
    spectrum: Spectrum,
    name: str = "sgd",
    *,
    sizes: Iterable[float] | None = None,
    batch_size: float = 1,
    reach: float = 30.0,
    seed: int = 0,
    window: tuple[int, int] | None = None,
    done: Callable[[], object] | None = None,
) -> OwnExponents:
    """Measure the compute-optimal exponents of an optimizer on a covariance of one's own.

    Args:
        spectrum: the modes, each by itself: `Spectrum.from_covariance`, `Spectrum.from_data`, or
            one made of eigenvalues and squared errors.
        name: an algorithm with recommended rates, in any spelling.
        sizes: numbers of random features; 14 from 10 to a quarter of the modes by default.
        batch_size: samples per step.
        reach: each run lasts this many times the time of its smallest eigenvalue.
        seed: of W; size number k draws from (seed, k).
        window: first and last rank that alpha and beta are read from, as in `hidim.measure.tail`.
        done: called after each size, for a progress bar.

    Raises:
        ValueError: modes that stand for several, too few modes, or a ladder without a frontier.

    >>> j = np.arange(1, 401.0)
    >>> found = own_exponents(Spectrum(j**-2.0, j**-1.4, 0.0))
    >>> round(found.alpha.value, 6), round(found.beta.value, 6), found.law.phase
    (1.0, 0.7, 'II')
    """
    record = lookup(name)
    instance("spectrum", spectrum, Spectrum, "such as Spectrum.from_data gives")
    positive("reach", reach)
    seed = given_seed("seed", seed)
    batch = whole("batch_size", batch_size, minimum=1, allow_inf=True)
    if np.any(spectrum.multiplicity != 1):
        raise ValueError(
            "`spectrum` must hold every mode by itself, not nodes that stand for many."
        )
    modes = int(np.count_nonzero(spectrum.eigenvalues))
    alpha, beta, ranks = data_exponents(spectrum, window=window)
    ladder = _sizes(sizes, modes)
    law = None
    if alpha.value > 0 and alpha.value + beta.value > 0.5:
        law = scaling_law(alpha.value, beta.value, record.name, batch_size=_finite(batch))
    curves = []
    for k, d in enumerate(ladder):
        problem = random_features(spectrum, d, np.random.default_rng([seed, k]))
        algorithm = recommend(problem, record.name, batch, alpha=alpha.value, beta=beta.value, d=d)
        rate = float(np.asarray(algorithm.gamma_2(np.zeros(1)))[0]) or 1.0
        last = reach / (min(rate, 1.0) * float(problem.eigenvalues[-1]))
        if not math.isfinite(last) or last > _LONGEST:
            last = _LONGEST
        curve = predict(problem, algorithm, batch_size=batch, at=log_steps(last))
        curves.append(replace(curve, dimension=float(d)))
        if done is not None:
            done()
    # What no size can learn is no part of the frontier.
    found = frontier(curves, law=law, floor=spectrum.risk_floor)
    sizes_ = np.array(ladder, dtype=np.float64)
    return OwnExponents(record.name, alpha, beta, ranks, found, law, sizes_, tuple(curves))


def data_exponents(
    spectrum: Spectrum, *, window: tuple[int, int] | None = None
) -> tuple[Exponent, Exponent, tuple[int, int]]:
    """alpha and beta of the modes of a spectrum, and the ranks that they were read from.

    The window is that of `hidim.measure.tail`. beta comes from the energies of the target, of
    which many may be small by chance: means over half octaves of ranks are fitted.

    >>> j = np.arange(1, 401.0)
    >>> alpha, beta, ranks = data_exponents(Spectrum(j**-2.0, j**-1.4, 0.0))
    >>> round(alpha.value, 6), round(beta.value, 3), ranks
    (1.0, 0.7, (8, 200))
    """
    found = tail(spectrum.eigenvalues, site="the spectrum", window=window)
    first, last = found.window
    j = np.arange(first, last + 1, dtype=np.float64)
    values = spectrum.eigenvalues[first - 1 : last]
    fit = measure_exponent(j, values, weights=1 / j)
    energy = values * spectrum.error_sq[first - 1 : last]
    if not np.any(energy > 0):
        raise ValueError("`spectrum` holds no error in the modes of the window: nothing to learn.")
    target = _energy_power(j, energy)
    alpha = _scaled(fit, -0.5, 0.0)
    return alpha, _scaled(target, -0.5, -alpha.value), (first, last)


def random_features(spectrum: Spectrum, d: int, rng: np.random.Generator) -> Spectrum:
    """The spectrum of d random features of a problem: W of shape (modes, d), entries N(0, 1/d).

    >>> j = np.arange(1, 101.0)
    >>> few = random_features(Spectrum(j**-2.0, j**-1.4, 0.0), 10, np.random.default_rng(0))
    >>> len(few), few.risk_floor > 0
    (10, True)
    """
    scale = np.sqrt(spectrum.eigenvalues)
    W = rng.standard_normal((len(scale), d)) / math.sqrt(d)
    target = scale * np.sqrt(spectrum.error_sq)
    eigenvalues, error_sq, floor = decompose(scale[:, None] * W, target)
    provenance = {"problem": "random features", "of": spectrum.label, "d": d}
    return Spectrum(
        eigenvalues,
        error_sq,
        floor + spectrum.risk_floor,
        label=spectrum.label,
        provenance=provenance,
        law=spectrum.law.of_nodes(),  # rows and a basis would be those of the modes
    )


def _sizes(sizes: Iterable[float] | None, modes: int) -> list[int]:
    most = modes // _SHARE
    if sizes is None:
        if most < 4 * _SMALLEST:
            raise ValueError(
                f"`spectrum` has {modes} modes; a ladder of random features needs at least "
                f"{4 * _SMALLEST * _SHARE}. Measure more features."
            )
        spread = (_SIZES - 1) / math.log10(most / _SMALLEST)
        return [int(d) for d in sizes_between(_SMALLEST, most, spread)]
    found = sorted(int(d) for d in check_sizes(sizes))
    if found[-1] >= modes:
        raise ValueError(f"`sizes` must stay below the {modes} modes, got {found[-1]}.")
    return found


def _energy_power(j: np.ndarray, energy: np.ndarray) -> Exponent:
    """The power of an energy in its rank, over the half octaves that have any.

    Where the energy follows j^-s the mean over a half octave is that at the rank at which j^-s has
    its own mean, for which s is found by repeating the fit.
    """
    place = np.floor(2 * np.log2(j / j[0])).astype(int)
    counts = np.maximum(np.bincount(place), 1)
    mean = np.bincount(place, weights=energy) / counts
    some, power = mean > 0, 1.0
    for _ in range(_REPEATS):
        share = np.bincount(place, weights=j**-power) / counts
        ranks = np.where(some, share, 1.0) ** (-1 / power)
        fit = measure_exponent(ranks[some], mean[some])
        power = max(-fit.value, 0.1)
    return fit


def _scaled(one: Exponent, factor: float, shift: float) -> Exponent:
    """The exponent factor x value + shift, with its interval and drift."""
    ends = [None if end is None else factor * end + shift for end in (one.low, one.high)]
    low, high = reversed(ends) if factor < 0 else ends
    drift = None if one.drift is None else factor * one.drift
    return replace(
        one,
        value=factor * one.value + shift,
        stderr=abs(factor) * one.stderr,
        local=factor * one.local + shift,
        low=low,
        high=high,
        drift=drift,
    )


def _finite(batch: float) -> float:
    return batch if math.isfinite(batch) else 1.0
