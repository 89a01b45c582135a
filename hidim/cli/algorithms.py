"""Which algorithms a command is about: `--algorithm NAME[:key=value,...]`, everywhere.

A key is the parameter's name in Python. Rates left out come from `hidim.recommend`; a learning-rate
schedule multiplies in. The flags of version 0.1, one per parameter, go on working unseen.
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import hidim
from hidim.algorithms.base import require
from hidim.algorithms.named import lookup, names
from hidim.cli.numbers import count, number
from hidim.cli.problems import flag
from hidim.rates.configure import configure, parameters_of
from hidim.support.checks import choice, hyphenated, nearest, whole

if TYPE_CHECKING:
    from hidim.scaling.law import ScalingLaw

# Parameters that have a flag of their own. No more are added: new ones are keys.
_FLAGS = (
    *("gamma", "gamma_2", "gamma_3", "delta", "kappa_1", "kappa_2", "kappa_3", "kappa_4"),
    *("kappa_5", "gamma_short", "gamma_long", "mixing", "averaging", "interpolation"),
    "weight_offset",
)
_DEFAULT = "dana-decaying"
# Parameters of algorithms that may be words.
_WORDS = ("basis", "drift", "kind", "threshold")
_SWITCHES = ("bias_correction", "nesterov")
_YES_OR_NO = dict.fromkeys(("yes", "true", "on"), True) | dict.fromkeys(
    ("no", "false", "off"), False
)
_KEYS = """\
gamma_2: rate of the gradient step; gamma_3: of the momentum step, times (1 + t)^-kappa_3;
delta: forgetting delta / (delta + t), for sgd-momentum a constant share in (0, 1]"""
_FORM = "NAME:key=number,..., for example dana-decaying:kappa_3=0.5"

SCHEDULES = ("constant", "cosine", "wsd")


LAW_KEYS = ("kappa_1", "kappa_2", "kappa_3", "c_2", "c_3", "delta")  # parameters of a law


class Asked(NamedTuple):
    """An algorithm as the command line names it.

    Attributes:
        name: hyphenated, one of the known names.
        given: the parameters that were given.
        label: name and parameters, for a table.
        spell: how the user writes a parameter.
    """

    name: str
    given: dict[str, Any]
    label: str
    spell: Callable[[str], str] = str


def add_algorithm_flags(
    parser: argparse.ArgumentParser, *, several: str = "", keys: Sequence[str] = ()
) -> None:
    """Add --algorithm, and unseen the flags of single parameters.

    Args:
        parser: the command's.
        several: what the command takes if none is named, as the help says it; empty where it
            takes one algorithm.
        keys: what may follow a name, where that is not the parameters of the algorithm itself.
    """
    known = _table_of_laws(keys) if keys else _table_of_names()
    group = parser.add_argument_group("algorithm", known)
    action: Any = group.add_argument(
        "--algorithm",
        nargs="+",
        action="extend",
        metavar="NAME[:key=value,...]",
        help=f"({several or _DEFAULT}); what is left out is the recommended value",
    )
    action.several = bool(several)  # so the help shows it once or with dots
    group.add_argument(
        "--algorithms", dest="algorithm", nargs="+", action="extend", help=argparse.SUPPRESS
    )
    if not several:
        for name in _FLAGS:
            group.add_argument(flag(name), type=number, help=argparse.SUPPRESS)


def add_schedule_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of a learning-rate schedule, which multiplies the rates."""
    group = parser.add_argument_group("learning-rate schedule, a factor on the rates")
    group.add_argument(
        "--schedule",
        metavar="NAME",
        default="constant",
        help="constant, cosine, wsd, or a .csv with columns step,factor (linear in between)",
    )
    group.add_argument("--warmup", type=count, metavar="N", help="linear warm-up over N steps")
    group.add_argument(
        "--final", type=number, metavar="X", help="factor at the end of cosine and wsd, 0 to 1 (0)"
    )
    group.add_argument(
        "--decay-fraction", type=number, metavar="X", help="share of the steps wsd decays (0.2)"
    )


def algorithm_from(args: argparse.Namespace, problem: Any) -> Any:
    """The one algorithm that --algorithm and the flags of its parameters describe.

    Raises:
        ValueError: several or an unknown name, a key it does not have, a value out of range.
    """
    named = asked(args, [_DEFAULT])
    if len(named) > 1:
        labels = " and ".join(one.label for one in named)
        raise ValueError(f"one --algorithm at a time, got {labels}: hidim compare takes several.")
    own = {name: getattr(args, name) for name in _FLAGS if getattr(args, name) is not None}
    twice = sorted(set(own) & set(named[0].given))
    if twice:
        raise ValueError(f"{flag(twice[0])} is given twice: {named[0].label!r} holds it too.")
    one = named[0]._replace(given=named[0].given | own, spell=flag if own else str)
    return algorithm_of(one, args, problem)


def algorithm_of(one: Asked, args: argparse.Namespace, problem: Any) -> Any:
    """The algorithm that was asked for, with its learning-rate schedule."""
    if isinstance(problem, hidim.MatrixLeastSquares):
        d, hints = problem.dimension, {}
    elif isinstance(problem, hidim.Spectrum):
        d = problem.dimension if args.d is None else args.d
        # What is not given is read off the spectrum, as where Python is given a name.
        hints = {"alpha": args.alpha, "beta": args.beta, "d": args.d}
    else:  # as where Python is given a name
        noisy = (problem.noise_variance > 0 or problem.noise is not None) and args.steps > 0
        d, hints = problem.d, {"seed": args.seed, "steps": args.steps if noisy else None}
    check_keys(one, parameters_of(one.name))
    _check_ranges(one)
    batch = args.batch_size
    built = configure(
        problem,
        one.name,
        one.given,
        batch_size=batch,
        d=d,
        hints=hints,
        spell=one.spell,
        horizon=args.steps,
    )
    return _scheduled(built, args)


def asked(args: argparse.Namespace, default: Sequence[str]) -> list[Asked]:
    """What --algorithm names, or `default`, in any spelling.

    Raises:
        ValueError: an unknown name, something that is no number, or the same one twice.
    """
    found = [_read(text) for text in args.algorithm or default]
    for index, one in enumerate(found):
        if any((one.name, one.given) == (other.name, other.given) for other in found[:index]):
            raise ValueError(f"--algorithm names {one.label!r} twice.")
    return found


def check_keys(one: Asked, known: Iterable[str], *, why: str = "") -> None:
    """Refuse a parameter that is not one of `known`."""
    names = list(known)
    for key in one.given:
        if key not in names and key in parameters_of(one.name):
            takes = ", ".join(map(one.spell, names)) or "none"
            raise ValueError(
                f"{one.name} has no {one.spell(key)} here{why}; it takes {takes}. hidim predict "
                f"takes {one.spell(key)}."
            )
        if key not in names:
            near = nearest(key, names)
            takes = f"it takes {', '.join(map(one.spell, names))}" if names else "it takes none"
            hint = f" Did you mean {one.spell(near)}?" if near else ""
            raise ValueError(f"{one.name} has no {one.spell(key)}{why}; {takes}.{hint}")


def law_of(args: argparse.Namespace, one: Asked) -> ScalingLaw:
    """The law of --alpha, --beta, --batch-size and --v-over-d for an algorithm.

    Raises:
        ValueError: a parameter that no law has, or one out of range.
    """
    from hidim.scaling.law import scaling_law

    check_keys(one, LAW_KEYS)
    options: dict[str, Any] = {"batch_size": args.batch_size, "v_over_d": args.v_over_d}
    return scaling_law(args.alpha, args.beta, one.name, **options | one.given)


def _read(text: str) -> Asked:
    name, _, listing = text.partition(":")
    if "," in name:
        raise ValueError(f"cannot read {text!r}: put spaces between names, and write {_FORM}.")
    known = lookup(name, what="algorithm").name
    given: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in listing.split(","))):
        key, _, value = item.partition("=")
        key = key.strip().lower().replace("-", "_")
        if not key:
            raise ValueError(f"cannot read {item!r} in {text!r}; write {_FORM}.")
        try:
            read = _value(key, value.strip())
        except argparse.ArgumentTypeError as error:
            reason = f": {error}" if value else ""
            raise ValueError(f"cannot read {item!r} in {text!r}{reason}; write {_FORM}.") from None
        if key in given:
            raise ValueError(f"{key} is given twice in {text!r}.")
        given[key] = read
    return Asked(known, given, f"{known}:{listing.strip()}" if given else known)


def _value(key: str, text: str) -> Any:
    """A word, a yes or no, or a number."""
    if key in _SWITCHES and text.lower() in _YES_OR_NO:
        return _YES_OR_NO[text.lower()]
    try:
        return number(text)
    except argparse.ArgumentTypeError:
        if key in _SWITCHES:
            raise argparse.ArgumentTypeError(f"{text!r} is neither yes nor no") from None
        if key in _WORDS and text:
            return text
        raise


def _table_of_laws(keys: Sequence[str]) -> str:
    """The names that have a scaling law, and the keys of a command about laws."""
    lines = textwrap.wrap(", ".join(names(scaling=True)), 90, break_on_hyphens=False)
    return "\n".join([*lines, f"keys: {', '.join(keys)}"])


def _table_of_names() -> str:
    """Every name with the keys it takes, and what these are."""
    width = max(map(len, names()))
    rows = [f"{name:<{width}}  {', '.join(parameters_of(name))}" for name in names()]
    return "\n".join([*rows, _KEYS])


def _check_ranges(one: Asked) -> None:
    """What Python allows for experiments, and a command line refuses as a slip."""
    delta = one.given.get("delta")
    if one.name == "sgd-momentum" and delta is not None and not 0 < delta <= 1:
        raise ValueError(
            f"{one.spell('delta')} of sgd-momentum is the share of the momentum that a step "
            f"forgets, in (0, 1]; got {delta:g}."
        )


def _scheduled(algorithm: Any, args: argparse.Namespace) -> Any:
    """Multiply the rates by the schedule that the flags describe, if they describe one."""
    factor: hidim.algorithms.Schedule | None = _shape(args)
    if args.warmup is not None:
        warmup = whole("warmup", args.warmup)
        if warmup and isinstance(factor, hidim.WSD):  # which must end it before the decay
            factor = hidim.WSD(args.steps, warmup, factor.decay_fraction, factor.final)
        elif warmup:
            factor = hidim.Warmup(warmup) if factor is None else hidim.Warmup(warmup) * factor
    if factor is None:
        return algorithm
    return require(algorithm, "scheduled", "it takes no learning-rate schedule")(factor)


def _shape(args: argparse.Namespace) -> hidim.Cosine | hidim.WSD | hidim.Table | None:
    """The schedule without its warm-up."""
    is_table = args.schedule.lower().endswith(".csv")
    if "." in args.schedule and not is_table:
        raise ValueError(f"a table of a schedule must end in .csv, got {args.schedule!r}.")
    named = hyphenated(args.schedule)
    named = "constant" if named in ("none", "no", "off") else named
    kind = args.schedule if is_table else choice("schedule", named, SCHEDULES)
    allowed = {"cosine": ("final",), "wsd": ("final", "decay_fraction")}.get(kind, ())
    options = {}
    for key in ("final", "decay_fraction"):
        value = getattr(args, key)
        if value is not None and key not in allowed:
            raise ValueError(f"{flag(key)} does not go with --schedule {kind}.")
        if value is not None:
            options[key] = value
    if not 0 <= options.get("final", 0) <= 1:
        raise ValueError(
            f"--final is the factor at the end of a decay, 0 to 1; got {args.final:g}."
        )
    if is_table:
        from hidim.support.delimited import read_numbers

        table = read_numbers(kind, required=("step", "factor"))
        try:
            return hidim.Table(tuple(table["step"].tolist()), tuple(table["factor"].tolist()))
        except ValueError as error:
            raise ValueError(f"cannot read a schedule from {kind!r}: {error}") from None
    if kind == "cosine":
        return hidim.Cosine(args.steps, **options)
    return hidim.WSD(args.steps, **options) if kind == "wsd" else None


def algorithm_text(algorithm: Any) -> str:
    """The algorithm in one line, the family's four schedules in numbers."""
    if not isinstance(algorithm, hidim.Momentum):
        return f"{algorithm.name}: {algorithm!r}"
    parts = ("gamma_1", "gamma_2", "gamma_3", "forgetting")
    listing = ", ".join(f"{part}={_short(getattr(algorithm, part))}" for part in parts)
    of = algorithm.gradient
    return f"{algorithm.name}: {listing}" + ("" if of is None else f", gradient={of!r}")


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
