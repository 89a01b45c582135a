"""An algorithm with some of its parameters given: what is left out is recommended."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from hidim.algorithms.named import lookup
from hidim.problems.matrix import MatrixLeastSquares
from hidim.rates.horizons import SEARCHED
from hidim.rates.recommend import recommend

_KAPPAS = {"kappa_1", "kappa_2", "kappa_3"}


def configure(
    problem: Any,
    name: str,
    given: Mapping[str, float],
    *,
    batch_size: float = 1,
    d: float | None = None,
    hints: Mapping[str, Any] | None = None,
    spell: Callable[[str], str] = str,
    horizon: float | None = None,
) -> Any:
    """The algorithm `name` with the parameters `given`, the others as recommended.

    Args:
        problem: what rates are recommended for.
        name: in any spelling.
        given: parameters of its constructor by name.
        batch_size: samples per step.
        d: trained parameters, for constructors that ask; the problem's dimension if left out.
        hints: what `hidim.recommend` is told besides, such as alpha and beta of a Spectrum.
        spell: how messages write a parameter.
        horizon: steps, for names whose best rate is searched for them.

    Raises:
        ValueError: a parameter the algorithm does not have, a value out of range, or one that is
            needed and that no recommendation fixes.

    >>> from hidim.problems.power_law import PLRF
    >>> found = configure(PLRF(1.0, 0.7, 100), "dana-decaying", {"kappa_3": 0.75})
    >>> found.gamma_3
    PowerLaw(scale=0.1, t_exponent=0.75)
    """
    record = lookup(name)
    known = parameters_of(name)
    for key in given:
        if key not in known:
            takes = ", ".join(map(spell, known))
            raise ValueError(f"{record.name} has no {spell(key)}; it takes {takes}.")
    missing = [key for key, needed in known.items() if needed and key not in given]
    values = dict(given)
    matrix = isinstance(problem, MatrixLeastSquares)
    if missing and horizon and not given and (matrix or record.name in SEARCHED):
        told = {name: value for name, value in (hints or {}).items() if name == "seed"}
        return recommend(problem, record.name, batch_size, steps=horizon, **told)
    if missing and record.no_rates:
        raise ValueError(f"{record.no_rates}; give {', '.join(map(spell, missing))}.")
    if missing:
        exponents = record.takes_kappas and set(given) <= _KAPPAS
        told = {**(hints or {}), **(given if exponents else {})}
        recommended = recommend(problem, record.name, batch_size, **told)
        if exponents or not given:
            return recommended
        values = {**_read_back(recommended, missing, spell), **given}
    if "d" in inspect.signature(record.constructor).parameters:
        values["d"] = problem.spectrum().dimension if d is None else d
    return record.constructor(**values)


def parameters_of(name: str) -> dict[str, bool]:
    """The parameters of an algorithm but for the size, and whether its constructor needs them.

    >>> parameters_of("schedule-free-sgd")
    {'gamma': True, 'interpolation': False, 'weight_offset': False}
    """
    signature = inspect.signature(lookup(name).constructor)
    return {
        key: one.default is inspect.Parameter.empty
        for key, one in signature.parameters.items()
        if key != "d"
    }


def _read_back(algorithm: Any, missing: list[str], spell: Callable[[str], str]) -> dict[str, float]:
    record = lookup(algorithm.name)
    known = record.read_back(algorithm) if record.read_back else {}
    unknown = [spell(key) for key in missing if key not in known]
    if unknown:
        raise ValueError(f"{algorithm.name}: give {', '.join(unknown)} too, or no rate at all.")
    return {key: known[key] for key in missing}
