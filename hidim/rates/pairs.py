"""How far do two runs lie apart whose data differ in one sample? For typical or given samples.

One pass of noisy SGD, of which the last iterate alone is released; one sample, (a, b) or (a', b'),
was used at a step that is uniform among T:

    eps_alpha(t) = log[ (1/T) sum_{s<t} e^((alpha-1) D_alpha(s)) + (T-t)/T ] / (alpha - 1),

D_alpha(s) the Renyi divergence of two Gaussians: the diffusion up to s, one real step with the
sample, the diffusion on to t (pair_diffusion.py). A typical pair stands for the mean over drawn
ones. The squares of single pairs, and with them D, are spread like an exponential law at small
steps: one pair in ten lies above 2.3 times the typical one, one in twenty above 3. At large steps
D is infinite for some: the mixed covariance of a pair with long rows is none. How many of drawn
ones is told, since the typical pair may have a number where a fifth of them have none.
Source: arXiv 2510.16687; derived for this project, docs/theory/private.md. **No (eps, delta)
guarantee:** it bounds nothing for the worst pair. Limits: SGD at a constant rate on Gaussian rows;
modes that are modes, each of a whole number.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.algorithms.changed import Noise
from hidim.algorithms.momentum import Momentum
from hidim.engines.solve import asked_steps
from hidim.problems import as_spectrum
from hidim.problems.coordinates import Coordinates, coordinates_of
from hidim.problems.spectrum import Spectrum
from hidim.rates.pair_diffusion import FORMULAS, Diffusion
from hidim.support import checks
from hidim.support.results import Saved

NOTE = "of a typical or given pair: no (eps, delta) guarantee"
TYPICAL = "of a typical pair, single ones may be at 3 times it{}: no (eps, delta) guarantee"
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
        without_number: (n,) share of drawn pairs whose divergence is infinite; None for a given
            pair, and by formula="mean", where none is.
    """

    steps: _Array
    divergence: _Array
    order: float
    pair: str
    sampling_noise: bool
    note: str = NOTE
    without_number: _Array | None = None


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
    formula: str = FORMULAS[0],
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
        formula: of a typical pair: "path", which runs confirm; "risk", with 2P for the square of
            its residual, which counts injected noise twice; "mean", the limit of small rates, with
            2P and the difference of the means alone.
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
    checks.choice("formula", formula, FORMULAS)
    if pair is not None and formula != FORMULAS[0]:
        raise ValueError(f"`formula`={formula!r} is for typical pairs: leave it or `pair` out.")
    noise, rate = _checked(algorithm)
    spectrum = as_spectrum(problem, checks.seed("seed", seed))
    known = coordinates_of(spectrum.law.basis)
    if pair is not None:
        spectrum, pair = _turned(spectrum, known, pair)
    marks = np.unique(asked_steps(last, at)).astype(float)
    marks = marks[marks >= 1]
    if not marks.size or marks[-1] > last:
        raise ValueError(f"`at` must name steps within 1..{last:g}, the pass.")
    run = Diffusion(spectrum, algorithm, noise, rate, float(batch_size), marks, sampling_noise)
    found = [run.released(t, last, order, pair, formula) for t in marks.tolist()]
    if pair is not None:
        return PairDivergence(marks, np.array(found), order, "given", sampling_noise)
    lost = None
    if formula != "mean":
        lost = np.array([run.without_number(t, order) for t in marks.tolist()])
    note = typical_note(lost)
    return PairDivergence(marks, np.array(found), order, "typical", sampling_noise, note, lost)


def typical_note(without_number: _Array | None) -> str:
    """What the number of a typical pair is not, and how many drawn ones have none.

    >>> typical_note(np.array([0.02, 0.18]))[53:107]
    'and up to 18 % of drawn ones have no finite number: no'
    """
    lost = 0.0 if without_number is None else float(np.max(without_number, initial=0.0))
    told = f", and up to {100.0 * lost:.2g} % of drawn ones have no finite number"
    return TYPICAL.format(told if lost > 0 else "")


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
