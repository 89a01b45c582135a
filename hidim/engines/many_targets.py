"""Exact curves of many targets on one spectrum of features, for little more than one of them.

Problems that differ only in the target (`error_sq` and the floor: a row of beta at one alpha and
d) share their eigenvalues, so every block of collocation factors its matrices once and solves
for all targets. The block length follows the hardest target.
Same recursion as exact.py, at a tolerance per block of 1e-6 and with every mode solved; stability
does not depend on the target, so either all curves diverge or none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hidim.algorithms.momentum import Momentum, as_algorithm
from hidim.curve import Curve
from hidim.engines.collocation import POINTS, interpolate, solve_block
from hidim.engines.probe import seen_length, unknown_schedules
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import ERROR, followed, step_by_step

TOLERANCE = 1e-6
_SINGLE_STEPS = 128
_SHORTEST_BLOCK = 64
_OVERFLOW = 1e6  # times the largest start: given up


def predict_targets(
    spectra: Sequence[Spectrum],
    algorithm: Momentum,
    at: Sequence[float] | np.ndarray,
    *,
    batch_size: float = 1,
    tolerance: float = TOLERANCE,
) -> list[Curve]:
    """One curve per spectrum, all at the same steps.

    Args:
        spectra: problems with the same eigenvalues and multiplicities.
        algorithm: a member of the momentum family.
        at: steps to report, ascending, at least 0.
        batch_size: samples per step.
        tolerance: error allowed per block, relative to the risk.

    Raises:
        ValueError: the spectra do not share their eigenvalues.

    >>> from hidim.algorithms import sgd
    >>> spectra = [Spectrum([1.0, 0.1], [1.0, e], 0.0) for e in (1.0, 2.0)]
    >>> [round(float(c.risk[-1]), 6) for c in predict_targets(spectra, sgd(0.1), [0, 1000])]
    [0.0, 0.0]
    """
    as_algorithm(algorithm)
    first = spectra[0]
    for other in spectra[1:]:
        same = np.array_equal(other.eigenvalues, first.eigenvalues)
        if not same or not np.array_equal(other.counts, first.counts):
            raise ValueError(
                "`spectra` must share their eigenvalues and multiplicities: take PLRF problems "
                "of one alpha, d and v, or predict them one by one."
            )
    steps = np.asarray(at, dtype=np.float64)
    error_sq = np.stack([spectrum.error_sq for spectrum in spectra])
    floors = np.array([spectrum.risk_floor for spectrum in spectra])
    risk = _walk(first, error_sq, floors, algorithm, batch_size, steps, tolerance)
    found = []
    for spectrum, row in zip(spectra, risk.T, strict=True):
        over = ~(row < 1e3 * spectrum.initial_risk)
        found.append(
            Curve(
                steps=steps,
                risk=row,
                status="diverged" if over[-1] else "ok",
                diverged_at=float(steps[np.argmax(over)]) if over[-1] else None,
                label=algorithm.name,
                dimension=first.dimension,
                batch_size=batch_size,
                risk_floor=spectrum.risk_floor,
                provenance={"problem": spectrum.provenance, "algorithm": algorithm.to_dict()},
            )
        )
    return found


def _walk(
    spectrum: Spectrum,
    error_sq: np.ndarray,
    floors: np.ndarray,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    tolerance: float,
) -> np.ndarray:
    """Risks at the steps `at`, shape (len(at), targets); infinite once the run is given up."""
    state = np.zeros((3, *error_sq.shape))
    state[ERROR] = error_sq
    sums = np.full((len(at), len(floors)), np.inf)
    sums[at == 0] = error_sq @ spectrum.eigenvalues
    overflow = _OVERFLOW * float(np.max(2 * floors + error_sq @ spectrum.eigenvalues))
    edges = np.array([*algorithm.breakpoints, math.inf])
    algorithm = followed(algorithm)
    kinds = 3 if algorithm.has_momentum else 1
    unknown = unknown_schedules(algorithm)
    end, time, length = float(at[-1]), 0.0, float(_SINGLE_STEPS)
    patience = _SINGLE_STEPS
    while time < end:
        edge = edges[np.searchsorted(edges, time, side="right")]
        room = min(edge, end) - time
        if time < _SINGLE_STEPS or min(length, room) < _SHORTEST_BLOCK:
            count = int(min(patience, end - time))
            state, passed, _ = step_by_step(
                spectrum, algorithm, batch_size, state, time, count,
                overflow=overflow, floors=floors,
            )  # fmt: skip
            made = len(passed) - 1
            inside = (at > time) & (at <= time + made)
            sums[inside] = passed[(at[inside] - time).astype(int), ERROR]
            time += made
            length = max(length, 1.5 * _SHORTEST_BLOCK)
            patience = min(2 * patience, 2048)
            if not np.all(passed[-1, ERROR] < overflow):
                break
            continue
        width = min(length, room)
        width = math.floor(width) if width < 2**52 else width
        last_time = math.nextafter(edge, 0.0)
        length = seen_length(unknown, time, width, _SHORTEST_BLOCK, last_time)
        if length < width:
            continue
        block = solve_block(
            spectrum, algorithm, batch_size, state[:kinds], time, width,
            discrete=True, last_time=last_time, floors=floors,
        )  # fmt: skip
        factor = 0.9 * (tolerance / max(block.error, 1e-300)) ** (1 / (len(POINTS) - 1))
        if block.error > tolerance:
            length = width * min(max(factor, 0.1), 0.8)
            continue
        inside = (at > time) & (at <= time + width)
        sums[inside] = interpolate(block.sums, (at[inside] - time) / width)[:, ERROR]
        state[:kinds] = block.end
        time += width
        length, patience = width * min(max(factor, 0.5), 4.0), _SHORTEST_BLOCK
        if not np.all(block.sums[-1, ERROR] < overflow):
            break
    return np.asarray(floors + 0.5 * sums)
