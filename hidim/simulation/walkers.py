"""Who walks? For every method of `simulate` the bundles of runs, and what is known of their start.

Each builder takes (problem, algorithm, batch_size, runs, seed, problem_seed) and refuses in one
line what its method cannot run. Equations and sources in eigenbasis.py, raw.py, diffusion.py and
row_walk.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hidim.algorithms.base import Algorithm
from hidim.algorithms.gradients import asks_for_basis, basis_of
from hidim.algorithms.momentum import Momentum, is_plain
from hidim.problems import as_spectrum
from hidim.problems.coordinates import coordinates_of, unknown
from hidim.problems.law import DataLaw
from hidim.problems.matrix import MatrixLeastSquares
from hidim.problems.power_law import PLRF
from hidim.problems.rows import Rows
from hidim.problems.spectrum import Spectrum
from hidim.simulation.diffusion import Homogenized
from hidim.simulation.eigenbasis import Eigenbasis
from hidim.simulation.matrix import MatrixWalk
from hidim.simulation.raw import Raw
from hidim.simulation.row_walk import RowWalk
from hidim.simulation.walk import Walk, bundles


class Setup(NamedTuple):
    """Runs that are ready to go.

    Attributes:
        walkers: bundles of runs.
        start: risk at step 0.
        dimension: trained parameters.
        problem: what the provenance says of it.
        floor: risk at the optimum, where it is known.
        finite_floor: the part of it that the walkers' risks hold where the floor is infinite.
    """

    walkers: Sequence[Walk]
    start: float
    dimension: float
    problem: Any
    floor: float | None
    finite_floor: float = 0.0


def rows_of(problem: Any) -> Rows | None:
    """The measured rows of a problem, or None where it has none."""
    rows = problem.law.rows if isinstance(problem, Spectrum) else None
    return rows if isinstance(rows, Rows) else None


def _realisable(problem: Any, problem_seed: int) -> tuple[Spectrum, np.ndarray, np.ndarray]:
    """The spectrum, and its moving modes one by one: eigenvalues and initial errors."""
    given = isinstance(problem, Spectrum)
    spectrum = as_spectrum(problem, None if given else problem_seed)
    counts = spectrum.counts
    if np.any(counts < 0) or np.any(counts != np.floor(counts)):
        raise ValueError(
            "this Spectrum cannot be simulated: its `multiplicity` holds numbers that are not "
            "whole (a deterministic equivalent or a compressed spectrum). Simulate the problem "
            "itself, or problem.spectrum(seed=0)."
        )
    repeats = np.where(spectrum.eigenvalues > 0, counts, 0).astype(np.int64)
    per_mode = np.sqrt(spectrum.error_sq / np.maximum(counts, 1.0))
    return spectrum, np.repeat(spectrum.eigenvalues, repeats), np.repeat(per_mode, repeats)


def _eigenbasis(
    problem: Any,
    algorithm: Momentum,
    batch_size: float,
    runs: int,
    seed: int,
    problem_seed: int,
    kind: Any = Eigenbasis,
) -> Setup:
    spectrum, eigenvalues, error = _realisable(problem, problem_seed)
    walkers = [
        kind(
            eigenvalues,
            error,
            spectrum.risk_floor,
            spectrum.law,
            algorithm,
            batch_size,
            runs=size,
            seed=seed,
            bundle=bundle,
        )
        for bundle, size in enumerate(bundles(runs, len(eigenvalues)))
    ]
    name = spectrum.provenance or spectrum.label or "Spectrum"
    return Setup(walkers, spectrum.initial_risk, spectrum.dimension, name, spectrum.risk_floor)


def _on_rows(
    problem: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    runs: int,
    seed: int,
    problem_seed: int,
) -> Setup:
    rows = rows_of(problem)
    assert rows is not None
    modes, outputs = rows.start.shape
    along = problem.eigenvalues[:modes]
    drawn = 1 if math.isinf(batch_size) else int(batch_size)
    walkers = [
        RowWalk(
            rows,
            along,
            problem.risk_floor,
            algorithm,
            batch_size,
            runs=size,
            seed=seed,
            bundle=bundle,
        )
        for bundle, size in enumerate(bundles(runs, modes * (outputs + drawn)))
    ]
    name = problem.provenance or problem.label or "Spectrum"
    return Setup(walkers, problem.initial_risk, problem.dimension, name, problem.risk_floor)


def _sde(
    problem: Any,
    algorithm: Momentum,
    batch_size: float,
    runs: int,
    seed: int,
    problem_seed: int,
) -> Setup:
    if algorithm.has_momentum or algorithm.readouts:
        raise ValueError(
            f'`method`="sde" integrates homogenized SGD, which has no momentum; '
            f'{algorithm.name} needs method="eigenbasis".'
        )
    return _eigenbasis(problem, algorithm, batch_size, runs, seed, problem_seed, Homogenized)


def _drawn_in_modes(
    problem: Spectrum, algorithm: Algorithm, batch_size: float, runs: int, seed: int
) -> Setup:
    """Samples of a spectrum: in its own coordinates where it knows them, else in its modes."""
    if math.isinf(batch_size):
        raise ValueError(
            '`batch_size`=inf has no samples to draw by method="raw": give a whole number.'
        )
    basis = basis_of(algorithm)
    known = None if basis is not None else coordinates_of(problem.law.basis)
    if known is None:
        if basis is None and asks_for_basis(algorithm):
            raise ValueError(unknown(algorithm.name, problem.provenance))
        spectrum, eigenvalues, error = _realisable(problem, 0)
        features = np.diag(np.sqrt(eigenvalues))
        if basis == "generic":
            rng = np.random.default_rng(seed)
            features = features @ np.linalg.qr(rng.standard_normal(features.shape))[0]
        target = np.sqrt(eigenvalues) * error  # <x, theta*> along each mode
    else:
        spectrum, K = problem, known.covariance
        if K.ndim == 1:
            features = np.diag(np.sqrt(np.maximum(K, 0.0)))
        else:
            along, vectors = np.linalg.eigh(K)
            features = np.sqrt(np.maximum(along, 0.0))[:, None] * vectors.T
        target = features @ known.optimum
    noise = 2.0 * spectrum.risk_floor
    one = np.ones(len(features))
    walker = Raw(
        features,
        one,
        target,
        noise,
        spectrum.law,
        algorithm,
        int(batch_size),
        runs=runs,
        seed=seed,
        bundle=0,
    )
    name = spectrum.provenance or spectrum.label or "Spectrum"
    floor = spectrum.risk_floor + spectrum.law.noise_risk
    start = float(walker.risk(0.0).mean())
    return Setup([walker], start, spectrum.dimension, name, floor, spectrum.risk_floor)


def _matrix(
    problem: MatrixLeastSquares,
    algorithm: Algorithm,
    batch_size: float,
    runs: int,
    seed: int,
    problem_seed: int,
) -> Setup:
    if math.isinf(batch_size):
        raise ValueError(
            "`batch_size`=inf has no samples to draw on a matrix: give a whole number."
        )
    basis = basis_of(algorithm)
    if basis is None and asks_for_basis(algorithm) and coordinates_of(problem.law.basis) is None:
        raise ValueError(unknown(algorithm.name, problem.spectrum.provenance))
    walker = MatrixWalk(
        problem,
        algorithm,
        int(batch_size),
        runs=runs,
        seed=seed,
        problem_seed=problem_seed,
        basis=basis,
    )
    floor = problem.risk_floor + problem.law.noise_risk
    start = float(walker.risk(0.0).mean())
    return Setup([walker], start, problem.dimension, problem.provenance, floor, problem.risk_floor)


def _raw(
    problem: Any,
    algorithm: Algorithm,
    batch_size: float,
    runs: int,
    seed: int,
    problem_seed: int,
) -> Setup:
    walks = is_plain(algorithm)
    if isinstance(problem, MatrixLeastSquares):
        return _matrix(problem, algorithm, batch_size, runs, seed, problem_seed)
    if isinstance(problem, Spectrum):
        return _drawn_in_modes(problem, algorithm, batch_size, runs, seed)
    if not isinstance(problem, PLRF):
        raise ValueError(
            f'`method`="raw" needs a problem with its W, such as hidim.PLRF(...), or a Spectrum; '
            f"a {type(problem).__name__} is neither. Give rows to simulate_rows."
        )
    if math.isinf(batch_size):
        remedy = 'use method="eigenbasis"' if walks else "give a whole number of samples"
        raise ValueError(f'`batch_size`=inf has no samples to draw by method="raw": {remedy}.')
    W = problem.draw(problem_seed)
    j = np.arange(1, len(W) + 1, dtype=np.float64)
    options = {"runs": runs, "seed": seed, "bundle": 0}
    noise = float(problem.noise_variance)
    law = DataLaw(problem.kurtosis, problem.noise_kurtosis, problem.noise)
    scale, target = j**-problem.alpha, j**-problem.beta
    walker = Raw(W, scale, target, noise, law, algorithm, int(batch_size), **options)
    start = float(walker.risk(0.0).mean())
    # The floor of this W needs the decomposition that this method is a check of: only where the
    # excess is all there is to report.
    endless = math.isinf(law.noise_risk)
    known = problem.spectrum(seed=problem_seed).risk_floor if endless else 0.0
    floor = math.inf if endless else None
    told = problem.draw_provenance(problem_seed)
    return Setup([walker], start, float(W.shape[1]), told, floor, known)


WALKERS: dict[str, Callable[..., Setup]] = {
    "eigenbasis": _eigenbasis,
    "raw": _raw,
    "sde": _sde,
    "rows": _on_rows,
}
