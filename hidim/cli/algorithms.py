"""Which algorithm a command is about: each flag is the parameter's name.

Rates left out come from `hidim.recommend`; a learning-rate schedule multiplies in.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import hidim
from hidim.algorithms import NAMED
from hidim.cli.problems import flag, read_columns
from hidim.support.checks import choice, finite_array, hyphenated

PARAMETERS: dict[str, str] = {
    "gamma": "learning rate of stochastic-nesterov and schedule-free-sgd",
    "gamma_2": "rate of the gradient step",
    "gamma_3": "rate of the momentum step",
    "delta": "forgetting: delta / (delta + t); for sgd-momentum the constant share in (0, 1]",
    "kappa_1": "gamma_2 falls as d^-kappa_1 (general-momentum)",
    "kappa_2": "gamma_3 falls as d^-kappa_2 (general-momentum)",
    "kappa_3": "gamma_3 falls as (1 + t)^-kappa_3",
    "kappa_4": "forgetting falls as d^-kappa_4 (general-momentum)",
    "kappa_5": "forgetting falls as (1 + t)^-kappa_5 (general-momentum)",
    "gamma_short": "short step of accelerated-sgd",
    "gamma_long": "long step of accelerated-sgd",
    "mixing": "weight of the short-step point in accelerated-sgd",
    "averaging": "weight of the gradient point in the long step of accelerated-sgd",
    "interpolation": "gradient point of schedule-free-sgd, 0 to 1",
    "weight_offset": "schedule-free-sgd averages with weight 1 / (t + weight_offset)",
}

SCHEDULES = ("constant", "cosine", "wsd")


def add_algorithm_flags(parser: argparse.ArgumentParser) -> None:
    """Add --algorithm and one flag per parameter of the family."""
    group = parser.add_argument_group("algorithm (rates left out are recommended ones)")
    group.add_argument(
        "--algorithm", metavar="NAME", default="dana-decaying", help=f"{', '.join(NAMED)}"
    )
    for name, text in PARAMETERS.items():
        group.add_argument(flag(name), type=float, metavar="X", help=text)


def add_schedule_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a learning-rate schedule, which multiplies the rates."""
    group = parser.add_argument_group("learning-rate schedule, a factor on the rates")
    group.add_argument(
        "--schedule",
        metavar="NAME",
        default="constant",
        help="constant, cosine, wsd, or a .csv with columns step,factor (linear in between)",
    )
    group.add_argument("--warmup", type=float, metavar="N", help="linear warm-up over N steps")
    group.add_argument(
        "--final", type=float, metavar="X", help="factor at the end of cosine and wsd (0)"
    )
    group.add_argument(
        "--decay-fraction", type=float, metavar="X", help="share of the steps wsd decays (0.2)"
    )


def algorithm_from(args: argparse.Namespace, problem: Any) -> hidim.Momentum:
    """The algorithm that --algorithm and its parameter flags describe.

    Raises:
        ValueError: unknown name, a flag the algorithm does not have, a value out of range.
    """
    given = {name: getattr(args, name) for name in PARAMETERS if getattr(args, name) is not None}
    return build(args.algorithm, given, problem, args, spell=flag)


def algorithm_from_text(text: str, args: argparse.Namespace, problem: Any) -> hidim.Momentum:
    """The algorithm written as `name` or `name:gamma_2=0.1,kappa_3=0.5`."""
    name, _, listing = text.partition(":")
    given: dict[str, float] = {}
    for item in filter(None, listing.split(",")):
        key, _, value = item.partition("=")
        try:
            given[key.strip().replace("-", "_")] = float(value)
        except ValueError:
            raise ValueError(
                f"cannot read {item!r} in {text!r}: write NAME:parameter=number,..., for example "
                "dana-decaying:kappa_3=0.5"
            ) from None
    return build(name, given, problem, args, spell=str)


def build(
    name: str,
    given: Mapping[str, float],
    problem: Any,
    args: argparse.Namespace,
    *,
    spell: Callable[[str], str],
) -> hidim.Momentum:
    """Construct the algorithm `name` from `given`; what is left out is recommended."""
    name = choice("algorithm", hyphenated(name), NAMED)
    constructor: Any = NAMED[name]
    known = inspect.signature(constructor).parameters
    own = [parameter for parameter in known if parameter != "d"]
    for parameter in given:
        if parameter not in own:
            raise ValueError(
                f"{name} has no {spell(parameter)}; it takes {', '.join(map(spell, own))}."
            )
    needed = [p for p in own if known[p].default is inspect.Parameter.empty]
    missing = [parameter for parameter in needed if parameter not in given]
    values = dict(given)
    if missing:
        kappas = given if _only_kappas(name, given) else {}
        recommended = _recommend(name, problem, args, kappas)
        if len(kappas) == len(given):
            return _scheduled(recommended, args)
        values = {**_parameters(recommended, missing, spell), **given}
    if "d" in known:
        values["d"] = _dimension(problem, args)
    return _scheduled(constructor(**values), args)


def _only_kappas(name: str, given: Mapping[str, float]) -> bool:
    """Whether `given` are exponents for which the general class has recommended rates."""
    return name == "general-momentum" and set(given) <= {"kappa_1", "kappa_2", "kappa_3"}


def _recommend(
    name: str, problem: Any, args: argparse.Namespace, kappas: Mapping[str, float]
) -> hidim.Momentum:
    hints: dict[str, Any] = dict(kappas)
    if isinstance(problem, hidim.Spectrum):
        hints |= {"alpha": args.alpha, "beta": args.beta, "d": _dimension(problem, args)}
    return hidim.recommend(problem, name, batch_size=args.batch_size, **hints)


def _dimension(problem: Any, args: argparse.Namespace) -> float:
    return args.d if args.d is not None else problem.dimension


def _parameters(
    algorithm: hidim.Momentum, missing: list[str], spell: Callable[[str], str]
) -> dict[str, float]:
    """The recommended values of `missing`, read back from the algorithm's schedules."""
    if algorithm.name == "general-momentum":
        raise ValueError(
            f"general-momentum: give {', '.join(map(spell, missing))} too, or only kappas."
        )
    schedules: dict[str, Any] = {
        "gamma_2": algorithm.gamma_2.constant,
        "gamma_3": getattr(algorithm.gamma_3, "scale", algorithm.gamma_3.constant),
        "kappa_3": getattr(algorithm.gamma_3, "t_exponent", 0.0),
        "delta": getattr(algorithm.forgetting, "delta", algorithm.forgetting.constant),
    }
    if algorithm.name == "schedule-free-sgd":
        # gamma_2 = (1 - interpolation) gamma, at the default interpolation.
        interpolation = inspect.signature(hidim.schedule_free_sgd).parameters["interpolation"]
        schedules["gamma"] = float(algorithm.gamma_2(0)) / (1 - interpolation.default)
    values = {name: schedules[name] for name in missing if schedules.get(name) is not None}
    unknown = [spell(name) for name in missing if name not in values]
    if unknown:
        raise ValueError(f"{algorithm.name}: give {', '.join(unknown)} too, or no rate at all.")
    return values


def _scheduled(algorithm: hidim.Momentum, args: argparse.Namespace) -> hidim.Momentum:
    """Multiply the rates by the schedule that the flags describe, if they describe one."""
    kind = getattr(args, "schedule", "constant")
    extra = {key: getattr(args, key, None) for key in ("final", "decay_fraction")}
    allowed = {"cosine": ("final",), "wsd": ("final", "decay_fraction")}.get(kind, ())
    for key, value in extra.items():
        if value is not None and key not in allowed:
            raise ValueError(f"{flag(key)} does not go with --schedule {kind}.")
    options = {key: value for key, value in extra.items() if value is not None}
    factor: Any = None
    warmup = getattr(args, "warmup", None)
    if kind.lower().endswith(".csv"):
        factor = _table(kind)
    elif choice("schedule", kind, SCHEDULES) == "cosine":
        factor = hidim.Cosine(args.steps, **options)
    elif kind == "wsd":
        return algorithm.scheduled(hidim.WSD(args.steps, warmup=warmup or 0, **options))
    if warmup:
        factor = hidim.Warmup(warmup) if factor is None else hidim.Warmup(warmup) * factor
    return algorithm if factor is None else algorithm.scheduled(factor)


def _table(path: str) -> hidim.Table:
    """A learning-rate factor from a CSV with the columns step and factor."""
    try:
        columns = read_columns(path)
        if not {"step", "factor"} <= set(columns):
            raise ValueError("it must have columns step,factor")
        steps = finite_array("step", columns["step"]).tolist()
        factors = finite_array("factor", columns["factor"]).tolist()
        return hidim.Table(tuple(steps), tuple(factors))
    except OSError as error:
        raise ValueError(f"cannot read {path!r}: {error.strerror or error}.") from None
    except ValueError as error:
        raise ValueError(f"cannot read a schedule from {path!r}: {error}") from None


def algorithm_text(algorithm: hidim.Momentum) -> str:
    """The algorithm in one line, its four schedules in numbers."""
    parts = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
    listing = ", ".join(f"{part}={_short(getattr(algorithm, part))}" for part in parts)
    return f"{algorithm.name}: {listing}"


def _short(schedule: Any) -> str:
    if schedule.constant is not None:
        return f"{schedule.constant:.6g}"
    if isinstance(schedule, hidim.PowerLaw):
        return f"{schedule.scale:.6g} (1+t)^-{schedule.t_exponent:.4g}"
    if isinstance(schedule, hidim.Forgetting):
        offset = schedule.delta if schedule.offset is None else schedule.offset
        return f"{schedule.delta:.6g}/({offset:.6g}+t)"
    factors = getattr(schedule, "factors", None)
    if factors:
        return " * ".join(_short(factor) for factor in factors)
    if isinstance(schedule, hidim.Table):
        return f"table of {np.size(schedule.steps)} steps"
    return repr(schedule)
