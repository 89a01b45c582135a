"""What is the expected risk after 1e12 steps at constant rates? Powers of the full map, exactly.

All second moments of all modes, and a 1 for the floor, move by one matrix; its powers of two come
by squaring in decimals of 60 digits, of which 1e12 steps cost 12. No sum cancels and no phase is
lost, at (3 modes + 1)^3 operations per squaring.
"""

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext

import numpy as np

import hidim

DIGITS = 60


def power_risks(
    spectrum: hidim.Spectrum,
    algorithm: hidim.Momentum,
    batch_size: float,
    at: Iterable[int],
    readout: str = "gradient",
) -> np.ndarray:
    """Risk at the steps `at`, float64; the rates and the readout's weight must be constant."""
    with localcontext() as context:
        context.prec, context.Emax, context.Emin = DIGITS, MAX_EMAX, MIN_EMIN
        lam = _decimals(spectrum.eigenvalues)
        change, modes = _step(spectrum, algorithm, batch_size), len(lam)
        weight = Decimal(algorithm.readout(readout).constant)
        state = np.full(3 * modes + 1, Decimal(0), dtype=object)
        state[:modes], state[-1] = _decimals(spectrum.error_sq), Decimal(1)
        states = dict.fromkeys((int(t) for t in at), state)
        for k in range(max(states).bit_length()):
            if k:
                change = change @ change
            for t in states:
                if t >> k & 1:
                    states[t] = change @ states[t]
        found = []
        for t in at:
            rr, ry, yy = states[int(t)][:-1].reshape(3, modes)
            excess = lam @ (rr + 2 * weight * ry + weight**2 * yy)
            found.append(float(Decimal(spectrum.risk_floor) + excess / 2))
    return np.array(found)


def _step(spectrum: hidim.Spectrum, algorithm: hidim.Momentum, batch_size: float) -> np.ndarray:
    """One step of (E r^2, E r y, E y^2 of every mode, 1)."""
    parts = (algorithm.gamma_1, algorithm.gamma_2, algorithm.gamma_3, algorithm.forgetting)
    gamma_1, gamma_2, gamma_3, forgetting = (Decimal(part.constant) for part in parts)
    keep, total = 1 - forgetting, gamma_2 + gamma_1 * gamma_3
    inverse = 1 / Decimal(batch_size)  # 1 / Infinity is 0
    lam, counts = _decimals(spectrum.eigenvalues), _decimals(spectrum.multiplicity)
    modes = len(lam)
    change = np.full((3 * modes + 1, 3 * modes + 1), Decimal(0), dtype=object)
    change[-1, -1] = Decimal(1)
    variance = (total**2, -total * gamma_1, gamma_1**2)  # of b b^T
    for j in range(modes):
        a, b, c, d = 1 - total * lam[j], -gamma_3 * keep, gamma_1 * lam[j], keep
        rows = (a * a, 2 * a * b, b * b), (a * c, a * d + b * c, b * d), (c * c, 2 * c * d, d * d)
        for i, row in enumerate(rows):
            for k, entry in enumerate(row):
                change[i * modes + j, k * modes + j] = entry
            change[i * modes + j, j] += variance[i] * inverse * lam[j] ** 2
            feed = variance[i] * inverse * counts[j] * lam[j]
            change[i * modes + j, :modes] += feed * lam
            change[i * modes + j, -1] += feed * 2 * Decimal(spectrum.risk_floor)
    return change


def _decimals(numbers: np.ndarray) -> np.ndarray:
    return np.array([Decimal(float(number)) for number in numbers], dtype=object)
