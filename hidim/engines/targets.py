"""Exact curves of many targets on one spectrum of features, for little more than one of them.

Problems that differ only in the target (`error_sq` and the floor: a row of beta at one alpha and
d) share their eigenvalues, so every block of collocation factors its matrices once and solves for
all targets: they are the leading axis of one system. The block length follows the hardest target,
and since stability does not depend on the target, either all curves diverge or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hidim.algorithms.momentum import Momentum, as_algorithm
from hidim.curve import DIVERGENCE_FACTOR, Curve
from hidim.engines.march import Resolution, march
from hidim.problems.spectrum import Spectrum
from hidim.systems.momentum import MomentumSystem

# Leaves 1e-8 of the risk at most, where the nodes do.
TOLERANCE = 1e-7


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
        spectra: problems with the same eigenvalues, multiplicities and law of data.
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
        same = np.array_equal(other.eigenvalues, first.eigenvalues) and other.law == first.law
        if not same or not np.array_equal(other.multiplicity, first.multiplicity):
            raise ValueError(
                "`spectra` must share their eigenvalues and multiplicities: take PLRF problems "
                "of one alpha, d and v, or predict them one by one."
            )
    if first.law.constant(1) and len({s.risk_floor for s in spectra}) > 1:
        raise ValueError(
            "`spectra` of different floors are fed by different noise where `noise_kurtosis` is "
            "not `kurtosis`: predict them one by one."
        )
    steps = np.asarray(at, dtype=np.float64)
    system = MomentumSystem(first, algorithm, batch_size, targets=tuple(spectra))
    record = march(system, steps, replace(_ROUGH, tolerance=tolerance))
    found = []
    for spectrum, risk in zip(spectra, record.columns["risk"].T, strict=True):
        over = ~(risk < DIVERGENCE_FACTOR * spectrum.initial_risk)
        found.append(
            Curve(
                steps=steps,
                risk=risk,
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


# As cheap as tables of many curves want it.
_ROUGH = Resolution(TOLERANCE, stages=7, single_steps=128)
