"""Where does a function of one variable change sign, without importing a library for it?

Chandrupatla's method (1997): inverse quadratic steps where they can be trusted, bisection
where not, so it is fast on smooth functions and safe on functions that jump.
"""

from __future__ import annotations

from collections.abc import Callable


def bracketed_root(
    f: Callable[[float], float], low: float, high: float, *, xtol: float = 1e-14
) -> float:
    """A point where `f` changes sign between `low` and `high`, to within `xtol`.

    Args:
        f: finite on the interval, of opposite signs at its ends.
        xtol: absolute width of the last bracket, with 4 units of rounding on top.

    Raises:
        ValueError: `f` has the same sign at both ends.

    >>> round(bracketed_root(lambda x: x * x - 2.0, 0.0, 2.0), 12)
    1.414213562373
    """
    a, b = float(high), float(low)
    f_a, f_b = f(a), f(b)
    if f_a == 0.0 or f_b == 0.0:
        return a if f_a == 0.0 else b
    if f_a * f_b > 0:
        raise ValueError(f"no change of sign between {low!r} and {high!r}.")
    fraction = 0.5
    for _ in range(400):
        x = a + fraction * (b - a)
        f_x = f(x)
        if (f_x > 0) == (f_a > 0):
            c, f_c = a, f_a
        else:
            c, f_c, b, f_b = b, f_b, a, f_a
        a, f_a = x, f_x
        best, f_best = (a, f_a) if abs(f_a) < abs(f_b) else (b, f_b)
        width = abs(b - a)
        narrowest = 4.0 * 2.2e-16 * abs(best) + xtol
        if f_best == 0.0 or width <= 2.0 * narrowest:
            return best
        xi, phi = (a - b) / (c - b), (f_a - f_b) / (f_c - f_b)
        if phi * phi < xi and (1.0 - phi) ** 2 < 1.0 - xi:
            fraction = f_a / (f_b - f_a) * f_c / (f_b - f_c)
            fraction += (c - a) / (b - a) * f_a / (f_c - f_a) * f_b / (f_c - f_b)
        else:
            fraction = 0.5
        edge = narrowest / width
        fraction = min(1.0 - edge, max(edge, fraction))
    return best
