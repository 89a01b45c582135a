"""The published closed forms of (eta, xi), phase by phase, as the linear program must find them."""

from __future__ import annotations

import math

import numpy as np

DECAYING_LINE = (3 + math.sqrt(5)) / 4

PHASES = ("Ia", "Ib", "Ic", "II", "III", "IVa", "IVb")


def points(phase: str, count: int, seed: int) -> np.ndarray:
    """Random (alpha, beta) inside a phase, shape (count, 2), away from rounding of its edges."""
    random = np.random.default_rng([seed, PHASES.index(phase)])
    iv_line = 1 - 1 / math.sqrt(2)
    box = {
        "Ia": ((0.5, 3.0), (0.0, 0.5)),
        "Ib": ((0.0, 0.5), (0.0, 0.5)),
        "Ic": ((0.0, 0.25), (0.5, 3.0)),
        "II": ((0.5, 3.0), (0.5, 3.0)),
        "III": ((0.5, 3.0), (0.5, 6.0)),
        "IVa": ((iv_line, 0.5), (0.5, 3.0)),
        "IVb": ((0.25, iv_line), (0.5, 3.0)),
    }[phase]
    found: list[np.ndarray] = []
    while len(found) < count:
        a, b = (low + (high - low) * random.random() for low, high in box)
        inside = {
            "Ia": a + b > 0.501,
            "Ib": a + b > 0.501,
            "II": b < a - 1e-3,
            "III": b > a + 1e-3,
        }.get(phase, True)
        edges = (a - box[0][0], box[0][1] - a, b - box[1][0], box[1][1] - b)
        if inside and min(edges) > 1e-3 and min(abs(a - 0.75), abs(a - DECAYING_LINE)) > 1e-3:
            found.append(np.array([a, b]))
    return np.array(found)


def closed_form(phase: str, name: str, a: float, b: float) -> tuple[float, float]:
    """(eta, xi) by the tables."""
    rho = 2 * a + 2 * b - 1
    if phase == "Ib":
        return a + b - 0.5, 0.5
    if phase == "Ic":
        bottom = 3 * a + 2 * b - 2 * a * b - 1
        return a * rho / bottom, rho / (2 * bottom)
    if phase == "IVa":
        return a, 0.5
    if phase == "IVb":
        bottom = 2 * b - a - 2 * a * b
        return (1 - 2 * a) * rho / (2 * bottom), (b - a) / bottom
    return {"sgd": _sgd, "dana-constant": _constant, "dana-decaying": _decaying}[name](
        phase, a, b, rho
    )


def _sgd(phase: str, a: float, b: float, rho: float) -> tuple[float, float]:
    if phase == "Ia":
        return rho / (2 * a + 1), 1 / (2 * a + 1)
    if phase == "II":
        return rho / (2 * (a + b)), b / (a + b)
    return 1 - 1 / (4 * a), 0.5


def _constant(phase: str, a: float, b: float, rho: float) -> tuple[float, float]:
    if phase == "Ia":
        return 2 * rho / (2 * a + 3), 2 / (2 * a + 3)
    if a > 0.75:
        return 4 * a / (2 * a + 3), 2 / (2 * a + 3)
    if phase == "II":
        return rho / (a + 3 * b), 2 * b / (a + 3 * b)
    return 1 - 1 / (4 * a), 0.5


def _decaying(phase: str, a: float, b: float, rho: float) -> tuple[float, float]:
    top, bottom = 4 * a - 1, 4 * a * a + 4 * a - 1
    if phase == "Ia":
        return rho * top / bottom, top / bottom
    if a > DECAYING_LINE:
        return 2 * a * top / bottom, top / bottom
    if phase == "II":
        return rho * top / (2 * (b * top + 2 * a * a)), b * top / (b * top + 2 * a * a)
    return top**2 / (2 * a * (6 * a - 1)), top / (6 * a - 1)
