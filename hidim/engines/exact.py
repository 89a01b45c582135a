"""The expected risk of a stochastic algorithm of the momentum family, exact and at any step.

Iterates the second moments (error, momentum, cross) of each eigenmode: step by step where
they move fast, by block collocation of the same difference equation where they move slowly,
so the cost is O(modes log steps). Exact in expectation for Gaussian data, any batch and step
size; the error of the collocation is held near 1e-9 of the risk.
Source: arXiv 2505.16098; derivation and conventions in docs/notation.md.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import Curve
from hidim.engines import powers
from hidim.engines.march import Record, empty_record, march
from hidim.problems.spectrum import Spectrum
from hidim.systems.kernel_norm import growth_rate
from hidim.systems.momentum import CROSS, ERROR, MOMENTUM

SUPPORTS = "every member of the momentum family, any batch size, any schedule, up to 1e20 steps"

# From here on the spectrum is compressed first; below, every mode is followed.
COMPRESS_ABOVE = 300
NODES_PER_OCTAVE = 12
# Periods that the least damped mode rings before it dies; compression cannot follow more.
MOST_RINGING = 8.0


def solve(
    spectrum: Spectrum,
    algorithm: Momentum,
    batch_size: float,
    at: np.ndarray,
    *,
    moments: bool = False,
    readout: str = "gradient",
) -> Curve:
    """Exact curve at the steps `at` (ascending).

    Args:
        moments: keep every mode's moments; the spectrum is then never compressed.
        readout: which point's risk to report; see `Momentum.readouts`.
    """
    alone = powers.applies(algorithm, batch_size)
    if alone and growth_rate(spectrum, algorithm, math.inf, 0.0) == 0.0:
        record = empty_record(spectrum, at, keep_moments=moments)
        record = powers.powers(spectrum, algorithm, record)
    else:
        if not moments and may_compress(spectrum, algorithm, batch_size, float(at[-1])):
            spectrum = spectrum.compress(nodes_per_octave=NODES_PER_OCTAVE)
        record = march(spectrum, algorithm, batch_size, at, keep_moments=moments)
    return curve_from_record(record, algorithm, at, readout)


def may_compress(spectrum: Spectrum, algorithm: Momentum, batch_size: float, last: float) -> bool:
    """Whether fewer nodes give the same curve: many modes, none of which rings for long.

    Neighbouring modes that ring drift out of phase, and no interpolation follows that. Memory
    that fades like 1/t is exempt: its ringing dies within a few periods of any age.
    """
    whole = np.all(spectrum.counts >= 1) and np.all(spectrum.counts == np.floor(spectrum.counts))
    if len(spectrum) <= COMPRESS_ABOVE or not whole or math.isinf(batch_size):
        return False
    t = np.geomspace(1.0, max(last, 1.0), 48)[:, None]
    memory = algorithm.forgetting(t)
    push = 2.0 * np.sqrt(algorithm.gamma_1(t) * algorithm.gamma_3(t) * spectrum.eigenvalues)
    damping = memory + algorithm.gamma_2(t) * spectrum.eigenvalues
    rings = push > 2.0 * np.pi * MOST_RINGING * damping
    return not np.any(rings & (memory * t < 1.0))


def curve_from_record(record: Record, algorithm: Momentum, at: np.ndarray, readout: str) -> Curve:
    """Turn what a walk recorded into a Curve, read at the point asked for."""
    weight = algorithm.readout(readout)(np.asarray(at, dtype=np.float64))
    twice_excess = record.sums[:, ERROR].copy()
    # A point off the iterate; left alone where the run was given up and all is infinite.
    moved = (weight != 0.0) & np.isfinite(twice_excess)
    w, sums = weight[moved], record.sums[moved]
    twice_excess[moved] += 2.0 * w * sums[:, CROSS] + w**2 * sums[:, MOMENTUM]
    outcome: dict[str, Any] = {"status": "ok", "diverged_at": None}
    if record.diverged:
        step = record.crossed_at
        whole = step is not None and step == math.floor(step)
        outcome = {"status": "diverged", "diverged_at": int(step) if whole and step else step}
    return Curve(
        steps=at,
        risk=record.floor + 0.5 * twice_excess,
        moments=record.states,
        provenance={"effort": record.effort},
        **outcome,
    )
