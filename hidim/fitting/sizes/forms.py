"""Which formula ties loss to size, tokens, compute or any other one quantity?

chinchilla  L = E + A N^-a + B D^-b            (Hoffmann et al. 2022, approach 3)
tied        L = E + A N^-a + B D^-a            (one exponent: Gadre et al. 2024)
interaction L = E + [(A N^-a)^(1/k) + (B D^-b)^(1/k)]^k
saturating  y = E + A x^-a                     power  y = A x^-a
broken      y = E + A x^-a (1 + (x/x_break)^(1/f))^(-c f)   (Caballero et al. 2022, one break)
Every form gives its value and exact gradient; positive scales are searched as logarithms.
In the interaction form k = 1 is Chinchilla's sum, k = b the coupling of Kaplan et al. 2020, and
k -> 0 the larger of the two terms alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hidim.fitting.schedules.laws import Parameter

Evaluation = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class SizeForm:
    """A formula of one or two positive quantities.

    Attributes:
        name: what `fit_sizes(..., law=)` calls it.
        inputs: names of its quantities, in order.
        parameters: its parameters; "floor" and scales are linear, the others are searched.
        linear: indices of the parameters that enter linearly, with the floor first if any.
        function: vector and inputs over their units to value (n,) and gradient (n, p).
    """

    name: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    linear: tuple[int, ...]
    function: Callable[[np.ndarray, np.ndarray], Evaluation]

    @property
    def sized(self) -> bool:
        """Whether it is a law of parameters and tokens, which has a compute-optimal size."""
        return self.inputs == ("params", "tokens")

    def exponents(self, vector: np.ndarray) -> tuple[float, float, float]:
        """(a, b, k) of a law of parameters and tokens; k is 1 where the terms are added."""
        if self.name == "tied":
            return float(vector[3]), float(vector[3]), 1.0
        k = math.exp(vector[5]) if self.name == "interaction" else 1.0
        return float(vector[3]), float(vector[4]), k

    @property
    def names(self) -> tuple[str, ...]:
        """Parameter names in order."""
        return tuple(p.name for p in self.parameters)


# Forms take vectors (..., p) and log inputs (n, inputs) to values (..., n) and slopes (..., n, p).
def _parts(vector: np.ndarray) -> list[np.ndarray]:
    """The parameters one by one, each (..., 1)."""
    return [vector[..., i : i + 1] for i in range(vector.shape[-1])]


def _slopes(*columns: np.ndarray) -> np.ndarray:
    """Slopes side by side, (..., n, p), of columns that may lack leading axes."""
    return np.stack(np.broadcast_arrays(*columns), axis=-1)


def _chinchilla(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    floor, log_a, log_b, a, b = _parts(vector)
    n, d = log_inputs.T
    by_params, by_tokens = np.exp(log_a - a * n), np.exp(log_b - b * d)
    slopes = _slopes(np.ones_like(n), by_params, by_tokens, -n * by_params, -d * by_tokens)
    return floor + by_params + by_tokens, slopes


def _tied(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    value, slope = _chinchilla(np.concatenate([vector, vector[..., 3:4]], axis=-1), log_inputs)
    both = slope[..., 3:4] + slope[..., 4:5]
    return value, np.concatenate([slope[..., :3], both], axis=-1)


def _interaction(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    floor, log_a, log_b, a, b, log_k = _parts(vector)
    n, d = log_inputs.T
    k = np.exp(log_k)
    u, v = (log_a - a * n) / k, (log_b - b * d) / k
    together = np.logaddexp(u, v)
    fall, share = np.exp(k * together), np.exp(u - together)  # of the parameters' term
    slopes = _slopes(
        np.ones_like(n),
        share * fall,
        (1 - share) * fall,
        -n * share * fall,
        -d * (1 - share) * fall,
        k * (together - share * u - (1 - share) * v) * fall,
    )
    return floor + fall, slopes


def _saturating(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    floor, log_a, a = _parts(vector)
    x = log_inputs[:, 0]
    fall = np.exp(log_a - a * x)
    return floor + fall, _slopes(np.ones_like(x), fall, -x * fall)


def _power(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    whole = np.concatenate([np.zeros_like(vector[..., :1]), vector], axis=-1)
    value, slope = _saturating(whole, log_inputs)
    return value, slope[..., 1:]


def _broken(vector: np.ndarray, log_inputs: np.ndarray) -> Evaluation:
    floor, log_a, a, log_break, change, log_width = _parts(vector)
    x = log_inputs[:, 0]
    width = np.exp(log_width)
    z = (x - log_break) / width
    soft = np.logaddexp(0.0, z)  # log(1 + (x/x_break)^(1/width))
    share = np.exp(z - soft)
    fall = np.exp(log_a - a * x - change * width * soft)
    slopes = _slopes(
        np.ones_like(x),
        fall,
        -x * fall,
        change * share * fall,
        -width * soft * fall,
        -change * width * (soft - z * share) * fall,
    )
    return floor + fall, slopes


_FLOOR = Parameter("floor", (0.0, math.inf))
_EXPONENT = (0.01, 4.0)


def _scale(name: str) -> Parameter:
    return Parameter(name, (-60.0, 60.0), log=True)


FORMS: dict[str, SizeForm] = {
    form.name: form
    for form in (
        SizeForm(
            "chinchilla",
            ("params", "tokens"),
            (
                _FLOOR,
                _scale("scale_params"),
                _scale("scale_tokens"),
                Parameter("exponent_params", _EXPONENT, tuple(np.linspace(0.1, 1.2, 12))),
                Parameter("exponent_tokens", _EXPONENT, tuple(np.linspace(0.1, 1.2, 12))),
            ),
            (0, 1, 2),
            _chinchilla,
        ),
        SizeForm(
            "tied",
            ("params", "tokens"),
            (
                _FLOOR,
                _scale("scale_params"),
                _scale("scale_tokens"),
                Parameter("exponent", _EXPONENT, tuple(np.linspace(0.05, 1.25, 49))),
            ),
            (0, 1, 2),
            _tied,
        ),
        SizeForm(
            "interaction",
            ("params", "tokens"),
            (
                _FLOOR,
                _scale("scale_params"),
                _scale("scale_tokens"),
                Parameter("exponent_params", _EXPONENT),
                Parameter("exponent_tokens", _EXPONENT),
                # decides only where the table has no runs far from its usual tokens per parameter
                Parameter("interaction", (-3.0, 1.5), (), (0.0, 1.0), log=True),
            ),
            (0,),
            _interaction,
        ),
        SizeForm(
            "saturating",
            ("x",),
            (
                _FLOOR,
                _scale("scale"),
                Parameter("exponent", _EXPONENT, tuple(np.geomspace(0.03, 2.5, 24))),
            ),
            (0, 1),
            _saturating,
        ),
        SizeForm(
            "power",
            ("x",),
            (
                _scale("scale"),
                Parameter("exponent", (-4.0, 4.0), tuple(np.linspace(-2, 2, 21))),
            ),
            (0,),
            _power,
        ),
        SizeForm(
            "broken",
            ("x",),
            (
                _FLOOR,
                _scale("scale"),
                Parameter("exponent", (0.0, 4.0), (0.1, 0.3, 0.6, 1.2)),
                Parameter("break", (-30.0, 30.0), (-3.0, -1.5, -0.5, 0.5, 1.5, 3.0), log=True),
                Parameter("change", (-4.0, 4.0), (-0.5, -0.15, 0.15, 0.5)),
                # the transition may not be wider than the data can show
                Parameter("width", (-3.0, 1.0), (-1.0,), (-1.0, 1.0), log=True),
            ),
            (0, 1),
            _broken,
        ),
    )
}
