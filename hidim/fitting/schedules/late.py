"""What of a loss is not there from the start, but turns on late?

Of a model with d of its data's modes the loss without noise is
    sum_{j>d} b_j + sum_{j<=d} b_j e^(-lambda_j x) = c x^-s + sum_{j>d} b_j (1 - e^(-lambda_j x)),
c x^-s being the sum over all modes: what the size adds to the floor, A, turns on only as x nears
1 / lambda_d. Its sharp edge gives c x^-s + O((A / (c x^-s))^(1 + 1/s)) c x^-s before that, and
    (A^(1/eta) + (c x^-s)^(1/eta))^eta,  0 < eta <= 1,
the same with eta = s / (1 + s); 1 is the sum, 0 the larger of both. Likewise the noise that a rate
sheds when it falls builds up when it rises, from the start on: of its limit it lacks (1 + x)^-g.
Limits: nothing of the transient of a warm-up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class LateFloor:
    """Signal and the excess of a floor together, less that excess, and its slopes, each (n,).

    Attributes:
        value: what is added to the limit of the loss.
        by_floor: slope in the logarithm of the excess.
        by_signal: slope in the logarithm of the signal.
        by_interaction: slope in log eta.
    """

    value: np.ndarray
    by_floor: np.ndarray
    by_signal: np.ndarray
    by_interaction: np.ndarray


def late_floor(log_floor: float, log_signal: np.ndarray, log_eta: float) -> LateFloor:
    """(A^(1/eta) + signal^(1/eta))^eta - A, with A = e^`log_floor`.

    Args:
        log_floor: log of the excess A.
        log_signal: log of the signal, shape (n,).
        log_eta: log of the interaction exponent.

    >>> late_floor(0.0, np.log([2.0]), 0.0).value.round(12)
    array([2.])
    """
    eta, excess = math.exp(log_eta), math.exp(log_floor)
    u, v = log_floor / eta, log_signal / eta
    both = np.logaddexp(u, v)
    together, share = np.exp(eta * both), np.exp(u - both)  # share of the excess
    return LateFloor(
        together - excess,
        share * together - excess,
        (1.0 - share) * together,
        eta * (both - share * u - (1.0 - share) * v) * together,
    )


def unbuilt(
    value: dict[str, float], time: np.ndarray, level: float
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Share of the noise of a run's highest rate that has not built up, (n,), and its slopes.

    Args:
        value: parameters of a law whose response is a power.
        time: intrinsic time in the unit of the fit, shape (n,).
        level: highest rate of the run over that of the fit.
    """
    log_level, g = math.log(level), math.exp(value["response_exponent"])
    x = time * math.exp(value["response_rate"] - value.get("slowing_exponent", 0.0) * log_level)
    log_1x = np.log1p(x)
    left = np.exp(value.get("noise_exponent", 1.0) * log_level - g * log_1x)
    by_rate = -g * x / (1.0 + x) * left
    return left, {
        "response_rate": by_rate,
        "slowing_exponent": -log_level * by_rate,
        "response_exponent": -g * log_1x * left,
        "noise_exponent": log_level * left,
    }
