"""How is a fitted law of schedules kept in a file?

As strict JSON. Whatever a search could not have returned is refused when it is read, so that a
damaged file never predicts. Files of version 0.1, which know less of the fitted runs, are read too.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.fitting.loss_units import level_of, log_unit, scaled
from hidim.fitting.schedules import shapes
from hidim.fitting.schedules.bands import RUN_TO_RUN, Member
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import (
    START,
    WITHOUT,
    ScheduleLaw,
    complete,
    of_a_size,
    schedule_law,
)
from hidim.support.checks import finite, finite_array, non_negative, positive
from hidim.support.json import decode, encode
from hidim.support.results import refusing

if TYPE_CHECKING:
    from hidim.fitting.schedules.law import FittedLaw

FORMAT = "hidim-law/1"
_REACH = ("last_step", "lowest_rate", "highest_rate")
_MORE = ("lowest_peak", "size_steps", "size_lowest_rate")  # of one size of a law over sizes


def to_dict(law: FittedLaw) -> dict[str, Any]:
    """Plain JSON data, from which `from_dict` makes an equal law."""
    units = law.units
    return {
        "format": FORMAT,
        "law": law.law.name,
        "parameters": law.parameters,
        "vector": law.vector.tolist(),
        "units": {"time": units.time, "steps": units.steps, "rate": units.rate},
        "replicas": law.replicas.tolist(),
        "noise": law.noise,
        "growth": law.growth,
        "reach": law.reach,
        "holdout": law.holdout,
        "in_sample": law.in_sample,
        "provenance": encode(law.provenance, "`provenance`"),
        "warnings": list(law.warnings),
        "between": law.between,
        "members": [
            {
                "law": m.law.name,
                "names": list(m.law.names),
                "vector": m.vector.tolist(),
                "weight": m.weight,
            }
            for m in law.members
        ],
        "schedules": shapes.to_dict(law.schedules),
        "covariance": law.covariance.tolist(),
    }


def from_dict(data: dict[str, Any]) -> dict[str, Any]:
    """The fields of the law behind `to_dict`.

    Raises:
        ValueError: not a fitted law, or a damaged one.
    """
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ValueError(
            f"this is no fitted schedule law of format {FORMAT!r}: write one with `hidim fit`."
        )
    with refusing("the fitted law"):
        law = schedule_law(data["law"])
        if "floor_excess" in data["parameters"]:
            law = of_a_size(law)
        given = data["parameters"]
        vector = complete(law.names, finite_array("vector", data["vector"], ndim=1), given)
        replicas = complete(law.names, finite_array("replicas", data["replicas"]), given)
        units = Units(*(positive(k, data["units"][k]) for k in ("time", "steps", "rate")))
        _check_vectors(law, vector, replicas)
        for parameter, value in zip(law.parameters, vector, strict=True):
            if parameter.name in WITHOUT and parameter.name not in given:
                continue
            seen = finite(parameter.name, given[parameter.name])
            if not math.isclose(math.exp(value) if parameter.log else value, seen, rel_tol=1e-6):
                raise ValueError(f"`parameters` and `vector` disagree on {parameter.name}.")
        reach = _reach(data["reach"], units)
        return {
            "law": law,
            "vector": vector,
            "units": units,
            "replicas": replicas.reshape(-1, len(vector)),
            "noise": positive("noise", data["noise"]),
            "growth": non_negative("growth", data["growth"]),
            "reach": {k: non_negative(f"reach {k}", v) for k, v in reach.items()},
            "holdout": {str(k): non_negative("holdout", v) for k, v in data["holdout"].items()},
            "in_sample": {
                str(k): non_negative("in_sample", v) for k, v in data["in_sample"].items()
            },
            "provenance": dict(decode(data["provenance"])),
            "warnings": tuple(map(str, data["warnings"])),
            "between": positive("between", data.get("between", RUN_TO_RUN)),
            "members": tuple(_member(one) for one in data.get("members", ())),
            "schedules": shapes.from_dict(data.get("schedules", {})),
            "covariance": _covariance(data.get("covariance", []), law, given),
        }


def _reach(data: dict[str, Any], units: Units) -> dict[str, Any]:
    """What a file says of the fitted runs; those of version 0.1 do not say where they begin."""
    first = {"first_step": data.get("first_step", START * units.steps)}
    return first | {k: data[k] for k in _REACH} | {k: data[k] for k in _MORE if k in data}


def _member(data: dict[str, Any]) -> Member:
    law = schedule_law(data["law"])
    known = data.get("names", ())
    vector = complete(law.names, finite_array("members vector", data["vector"], ndim=1), known)
    _check_vectors(law, vector, np.zeros((0, len(vector))))
    return Member(law, vector, non_negative("members weight", data["weight"]))


def _covariance(data: Any, law: ScheduleLaw, given: Collection[str]) -> np.ndarray:
    matrix, count = finite_array("covariance", data), len(law.names)
    known = [i for i, n in enumerate(law.names) if n not in WITHOUT or n in given]
    if matrix.shape == (len(known), len(known)):
        # What the file does not know did not vary.
        matrix, own = np.zeros((count, count)), matrix
        matrix[np.ix_(known, known)] = own
    if matrix.size and matrix.shape != (count, count):
        raise ValueError(f"`covariance` must have shape ({count}, {count}), got {matrix.shape}.")
    return matrix if matrix.size else np.zeros((0, 0))


def _check_vectors(law: ScheduleLaw, vector: np.ndarray, replicas: np.ndarray) -> None:
    """Complain about parameters of another law, or outside what a search can return."""
    count = len(law.parameters)
    if len(vector) != count or (replicas.size and replicas.shape[1:] != (count,)):
        raise ValueError(f"law {law.name!r} has {count} parameters, the file another number.")
    for kept in (vector, *replicas):
        one = scaled(law.names, kept, -log_unit(level_of(law.names, kept)))
        for parameter, value in zip(law.parameters, one, strict=True):
            low, high = parameter.bounds
            if not low - 1e-6 <= value <= high + 1e-6:
                raise ValueError(
                    f"{parameter.name} is searched between {low:g} and {high:g}, got {value:g}."
                )
