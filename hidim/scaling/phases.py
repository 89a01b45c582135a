"""Which phase of the (alpha, beta) plane is this, and how far is the nearest boundary?

A phase is the set of terms of the risk that matter when every optimizer of the class runs:

    trivial  alpha + beta <= 1/2               the risk does not fall by a power
    Ia       2 beta < 1 < 2 alpha              F_pp, F_0
    Ib       2 beta < 1, 2 alpha < 1           F_pp, F_0
    Ic       2 beta > 1, alpha < 1/4           F_pp, F_0
    II       2 beta > 1, 2 alpha > 1, b < a    F_pp, F_ac, F_0
    III      2 beta > 1, 2 alpha > 1, b > a    K_pp, F_ac, F_0
    IVa      2 beta > 1, 1 - 1/sqrt(2) < alpha < 1/2   F_pp, K_pp, F_0
    IVb      2 beta > 1, 1/4 < alpha < 1 - 1/sqrt(2)   F_pp, K_pp, F_0

Sources: arXiv 2405.15074 (the seven phases of SGD), arXiv 2505.16098 (I to IV for momentum).
Limits: on a boundary two phases share their exponents up to logarithms of d; the label is then
the one that the table in `phase_of` names. Below alpha = 1/4 phase Ib is a conjecture.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from hidim.support.checks import finite, positive

PHASES = ("trivial", "Ia", "Ib", "Ic", "II", "III", "IVa", "IVb")

PHASE_IV_LINE = 1 - 1 / math.sqrt(2)
"""The value of alpha between IVb (F_pp meets K_pp) and IVa (K_pp meets F_0)."""

# A point closer than this to a line is on it: the exponents of both sides agree to rounding.
ON_LINE = 1e-12


@dataclass(frozen=True)
class Boundary:
    """One line of the phase diagram, seen from a point.

    Attributes:
        line: its equation, for example "alpha = beta".
        between: the two phases it separates at the nearest of its points.
        distance: Euclidean distance from the point in the (alpha, beta) plane, at least 0.
    """

    line: str
    between: tuple[str, str]
    distance: float


# Each line as (equation, phases it separates, start, end); an end may lie at infinity, which
# _FAR stands for: a coordinate no user types.
_FAR = 1e9
_EDGES: tuple[tuple[str, tuple[str, str], tuple[float, float], tuple[float, float]], ...] = (
    ("alpha + beta = 1/2", ("trivial", "Ib"), (0.0, 0.5), (0.5, 0.0)),
    ("alpha + beta = 1/2", ("trivial", "Ia"), (0.5, 0.0), (_FAR, 0.5 - _FAR)),
    ("2 beta = 1", ("Ib", "Ic"), (0.0, 0.5), (0.25, 0.5)),
    ("2 beta = 1", ("Ib", "IVb"), (0.25, 0.5), (PHASE_IV_LINE, 0.5)),
    ("2 beta = 1", ("Ib", "IVa"), (PHASE_IV_LINE, 0.5), (0.5, 0.5)),
    ("2 beta = 1", ("Ia", "II"), (0.5, 0.5), (_FAR, 0.5)),
    ("2 alpha = 1", ("Ib", "Ia"), (0.5, 0.0), (0.5, 0.5)),
    ("2 alpha = 1", ("IVa", "III"), (0.5, 0.5), (0.5, _FAR)),
    ("alpha = beta", ("II", "III"), (0.5, 0.5), (_FAR, _FAR)),
    ("alpha = 1/4", ("Ic", "IVb"), (0.25, 0.5), (0.25, _FAR)),
    ("alpha = 1 - 1/sqrt(2)", ("IVb", "IVa"), (PHASE_IV_LINE, 0.5), (PHASE_IV_LINE, _FAR)),
)


def phase_of(alpha: float, beta: float) -> str:
    """Name the phase of a power-law problem.

    On a line the label is the phase on the side of smaller beta, then of smaller alpha:
    2 beta = 1 counts as phase I, alpha = beta as III, 2 alpha = 1 as Ib or IVa.

    Args:
        alpha: exponent of the data, eigenvalues j^(-2 alpha); positive.
        beta: exponent of the target, coefficients j^(-beta); any finite number.

    Raises:
        ValueError: alpha is not positive, or one of them is not finite.

    >>> phase_of(1.0, 0.7), phase_of(0.7, 1.2), phase_of(0.27, 0.8)
    ('II', 'III', 'IVb')
    """
    alpha, beta = positive("alpha", alpha), finite("beta", beta)
    if alpha + beta <= 0.5 + ON_LINE:
        return "trivial"
    below_line = 2 * alpha <= 1 + ON_LINE
    if 2 * beta <= 1 + ON_LINE:
        return "Ib" if below_line else "Ia"
    if not below_line:
        return "II" if beta < alpha - ON_LINE else "III"
    if alpha <= 0.25 + ON_LINE:
        return "Ic"
    return "IVb" if alpha <= PHASE_IV_LINE + ON_LINE else "IVa"


def boundaries(alpha: float, beta: float) -> tuple[Boundary, ...]:
    """List the boundaries of the phase that holds the point, the nearest first.

    Args:
        alpha: exponent of the data; positive.
        beta: exponent of the target; finite.

    Raises:
        ValueError: alpha is not positive, or one of them is not finite.

    >>> boundaries(1.0, 0.7)[0].line, round(boundaries(1.0, 0.7)[0].distance, 3)
    ('2 beta = 1', 0.2)
    """
    phase = phase_of(alpha, beta)
    found = [
        Boundary(line, between, _distance((alpha, beta), start, end))
        for line, between, start, end in _EDGES
        if phase in between or _distance((alpha, beta), start, end) <= ON_LINE
    ]
    return tuple(sorted(found, key=lambda edge: edge.distance))


def _distance(
    point: tuple[float, float], start: tuple[float, float], end: tuple[float, float]
) -> float:
    """Distance from a point to a segment, the foot clipped to the segment."""
    along = (end[0] - start[0], end[1] - start[1])
    offset = (point[0] - start[0], point[1] - start[1])
    length_sq = along[0] ** 2 + along[1] ** 2
    foot = min(max((offset[0] * along[0] + offset[1] * along[1]) / length_sq, 0.0), 1.0)
    if 0 < foot < 1:  # the cross product keeps digits that start + foot * along would lose
        return abs(offset[0] * along[1] - offset[1] * along[0]) / math.sqrt(length_sq)
    ends = (start, end)[int(foot)]
    return math.hypot(point[0] - ends[0], point[1] - ends[1])
