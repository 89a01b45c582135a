"""At which constant rate does a method leave least after so many steps, where no rule says it?

Methods whose steps do not shrink with the gradient have no best rate of their own: it falls with
the risk to reach. Over a horizon it is searched on predicted curves, by the linear drift where the
other takes every step by itself and that is not afforded.
Limits: constant rates; Gaussian rows. Adam has the memories of torch.optim.Adam, .9 and .999 with
bias correction, Signum .9. A search stops within some percent of the best rate, where what is left
is flat.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hidim.algorithms.adaptive import adam, signum
from hidim.algorithms.changed import sign_sgd
from hidim.algorithms.momentum import Momentum, sgd
from hidim.algorithms.polar import sign_svd
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.spectrum import Spectrum
from hidim.rates.searches import check_start, least_in_log, log_left
from hidim.support import checks
from hidim.systems.builders import system_of


def _best(
    problem: Any, make: Callable[[float], Any], start: float, steps: float, batch: float
) -> Any:
    """What `make` makes of the rate that leaves least."""
    floor = problem.risk_floor + problem.law.noise_risk

    def left(rate: float) -> float:
        return log_left(system_of(problem, make(rate), batch), steps, floor)

    return least_in_log(left, start, within=0.05)


def _length(problem: Any, entries: float, steps: float) -> float:
    """Steps of so many entries of one that go as far in all as the optimum is away."""
    spectrum = problem.spectrum if isinstance(problem, MatrixLeastSquares) else problem
    far = float(np.abs(spectrum.error_sq).sum()) / entries
    return math.sqrt(max(far, 1e-300) / steps)


def _adam(problem: Spectrum, steps: float, batch: float) -> Any:
    def make(eta: float) -> Any:
        return adam(eta, 0.9, 0.999, bias_correction=True)

    return make(_best(problem, make, _length(problem, problem.dimension, steps), steps, batch))


def _signum(problem: Spectrum, steps: float, batch: float) -> Any:
    def make(eta: float) -> Any:
        return signum(eta, 0.9)

    return make(_best(problem, make, _length(problem, problem.dimension, steps), steps, batch))


def _sign(problem: Any, steps: float, batch: float) -> Momentum:
    if isinstance(problem, MatrixLeastSquares):
        start = _length(problem, problem.dimension, steps)
        return sign_sgd(_best(problem, _linear_sign, start, steps, batch))
    from hidim.rates.signs import best_sign  # on use: it imports SciPy

    return best_sign(problem, steps, batch)


def _linear_sign(eta: float) -> Momentum:
    return sign_sgd(eta, drift="linear")


def _linear_svd(eta: float) -> Any:
    return sign_svd(eta, drift="linear")


def _clipped(problem: Spectrum, steps: float, batch: float) -> Momentum:
    from hidim.rates.clipping import clipping  # on use: so does this

    found = clipping(problem, steps, batch)
    best: Momentum = found.unclipped_algorithm if found.algorithm is None else found.algorithm
    return best


def _svd(problem: MatrixLeastSquares, steps: float, batch: float) -> Any:
    rank = min(problem.outputs, problem.spectrum.dimension, batch)
    start = _length(problem, rank, steps)
    return sign_svd(_best(problem, _linear_svd, start, steps, batch))


def _sgd(problem: MatrixLeastSquares, steps: float, batch: float) -> Momentum:
    spectrum, rows = problem.spectrum, problem.outputs + 2.0
    start = 1.0 / (rows * spectrum.trace / batch + float(spectrum.eigenvalues[0]))
    return sgd(_best(problem, sgd, start, steps, batch))


# name -> (problem, steps, batch size) -> algorithm; on a spectrum, and on a matrix.
ON_SPECTRA: dict[str, Callable[[Any, float, float], Any]] = {
    "sign-sgd": _sign,
    "clipped-sgd": _clipped,
    "adam": _adam,
    "signum": _signum,
}
ON_MATRICES: dict[str, Callable[[Any, float, float], Any]] = {
    "sgd": _sgd,
    "sign-sgd": _sign,
    "sign-svd": _svd,
}
# Whose steps do not shrink with the gradient, and up to which horizon their rates are searched:
# the linear walk of Adam finds no valley at 1e15.
BOUNDED = ("sign-sgd", "adam", "signum", "sign-svd")
LONGEST = 1e12
SEARCHED = {*ON_SPECTRA, *ON_MATRICES} - {"sgd"}  # by whatever problem


def best_at_horizon(problem: Any, name: str, steps: float | None, batch_size: float) -> Any:
    """The algorithm `name` at the constant rate that leaves least after `steps`.

    Raises:
        ValueError: no horizon or one too long, a start at the optimum, or no such search on this
            problem.

    >>> matrix = MatrixLeastSquares(Spectrum([1.0, 0.5], [1.0, 1.0], 0.5), outputs=4)
    >>> 0.001 < float(best_at_horizon(matrix, "sign-svd", 100, 2).gamma_2(0)) < 0.1
    True
    """
    matrix = isinstance(problem, MatrixLeastSquares)
    known = ON_MATRICES if matrix else ON_SPECTRA
    if matrix and (steps is None or name not in known):
        raise ValueError(
            "no rates are recommended on a matrix problem but for sgd, sign-sgd and sign-svd at a "
            "horizon (`steps`): give the algorithm itself, such as hidim.sgd(0.01), or its rates."
        )
    if name not in known:
        raise ValueError(
            f"{name} steps with the polar factor of a matrix, whose `outputs` are missing: give "
            "outputs=m, its rows, to hidim.MatrixLeastSquares."
        )
    assert steps is not None  # asked for by whoever calls, where it is missing
    batch_size = checks.whole("batch_size", batch_size, minimum=1, allow_inf=True)
    check_start(problem.spectrum if matrix else problem)
    if name in BOUNDED and steps > LONGEST:
        raise ValueError(
            f"`steps` must be at most {LONGEST:g} where the best rate of {name} is searched, got "
            f"{steps:g}: give the algorithm itself, at a rate of its own."
        )
    return known[name](problem, float(steps), float(batch_size))
