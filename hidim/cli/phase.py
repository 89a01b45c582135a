"""`hidim phase`: which phase a power-law problem is in, why, and what each optimizer reaches."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from hidim.algorithms.named import GENERAL, lookup, names
from hidim.cli.algorithms import Asked, add_algorithm_flags, asked, check_keys
from hidim.cli.numbers import number, one_of
from hidim.cli.output import add_output_flags, check_outputs, hand_back, table
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.scaling.phases import Boundary
from hidim.scaling.terms import VARIANTS

SUMMARY = "Which phase a power-law problem is in and why, and the loss exponent of each optimizer."
EXAMPLE = """example:
  hidim phase --alpha 1 --beta 0.7
  hidim phase --alpha 1 --beta 0.7 --json \\
      --algorithm sgd dana-decaying general-momentum:kappa_2=0.5,kappa_3=0.25"""

KEYS = ("kappa_1", "kappa_2", "kappa_3")

# A phase closer than this to a line shows its exponents only at sizes few people reach.
NEAR = 0.1

_WHY = {
    "trivial": "alpha + beta <= 1/2: the target's energy lies in modes that no finite size reaches",
    "Ia": "2 beta < 1 < 2 alpha: unlearned target modes, then the floor",
    "Ib": "2 beta < 1, 2 alpha < 1: unlearned target modes, then the floor",
    "Ic": "2 beta > 1, alpha < 1/4: unlearned target modes, then the floor",
    "II": "2 beta > 1, 1 < 2 alpha, beta < alpha: target modes, then energy that W spread out",
    "III": "2 beta > 1, 1 < 2 alpha, beta > alpha: gradient noise, then energy that W spread out",
    "IVa": "2 beta > 1, 1 - 1/sqrt(2) < alpha < 1/2: target modes, gradient noise, the floor",
    "IVb": "2 beta > 1, 1/4 < alpha < 1 - 1/sqrt(2): target modes, then gradient noise",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `hidim phase`."""
    problem = parser.add_argument_group("problem")
    problem.add_argument(
        "--alpha", type=number, metavar="X", required=True, help="data exponent, positive"
    )
    problem.add_argument("--beta", type=number, metavar="X", required=True, help="target exponent")
    problem.add_argument(
        "--variant",
        type=one_of("variant", VARIANTS),
        metavar="NAME",
        default=VARIANTS[0],
        help=f"the law: {', '.join(VARIANTS)} ({VARIANTS[0]})",
    )
    add_algorithm_flags(parser, several="all but general-momentum", keys=KEYS)
    parser.add_argument(
        "--kappa-b", type=number, metavar="K", default=0.0, help="batch ~ d^K (default: 0)"
    )
    for key in KEYS:  # a further optimizer of the general class, as in version 0.1
        parser.add_argument(f"--{key.replace('_', '-')}", type=number, help=argparse.SUPPRESS)
    add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Print the phase and the table of exponents."""
    check_outputs(args)
    named = asked(args, names(fixed=True))
    kappas = {key: value for key in KEYS if (value := getattr(args, key)) is not None}
    if kappas:  # for the general class where it is named without its own, else a further row
        bare = [lookup(one.name).takes_kappas and not one.given for one in named]
        named = [o._replace(given=kappas) if b else o for o, b in zip(named, bare, strict=True)]
        named += [] if any(bare) else [Asked(GENERAL, kappas, GENERAL)]
    laws = {}
    for one in named:
        check_keys(one, KEYS if lookup(one.name).takes_kappas else ())
        alone = [other.name for other in named].count(one.name) == 1
        laws[one.name if alone else one.label] = _law(args, one.name, **one.given)
    rows = [_row(label, law) for label, law in laws.items()]
    sgd = _law(args, "sgd")
    return hand_back(
        args,
        columns={key: [row[key] for row in rows] for key in rows[0]},
        answer=_answer(laws, sgd),
        text=_text(laws, sgd),
    )


def _law(args: argparse.Namespace, name: str, **kappas: float) -> ScalingLaw:
    options: dict[str, Any] = {"kappa_b": args.kappa_b, "variant": args.variant, **kappas}
    return scaling_law(args.alpha, args.beta, name, **options)


def _row(label: str, law: ScalingLaw) -> dict[str, Any]:
    return {
        "algorithm": label,
        "eta": law.eta,
        "xi": law.xi,
        "floor_time": law.floor_time,
        "balance": " = ".join(law.balance),
        "kappa_1": law.kappas.kappa_1,
        "kappa_2": law.kappas.kappa_2,
        "kappa_3": law.kappas.kappa_3,
    }


def _answer(laws: Mapping[str, ScalingLaw], sgd: ScalingLaw) -> dict[str, Any]:
    return {
        "alpha": sgd.alpha,
        "beta": sgd.beta,
        "phase": sgd.phase,
        "why": _WHY[sgd.phase],
        "terms": list(sgd.terms),
        "boundaries": [
            {"line": b.line, "to": _other(b, sgd.phase), "distance": b.distance}
            for b in sgd.boundaries
        ],
        "algorithms": {label: law.to_dict() for label, law in laws.items()},
        "gain": {
            label: {
                "eta": law.eta - sgd.eta,
                "outscales_sgd": law.eta > sgd.eta + 1e-9,
                "flops_power": sgd.eta / law.eta if law.eta > 0 else None,
            }
            for label, law in laws.items()
            if label != "sgd"
        },
    }


def _text(laws: Mapping[str, ScalingLaw], sgd: ScalingLaw) -> str:
    head = f"alpha = {sgd.alpha:g}, beta = {sgd.beta:g}: phase {sgd.phase}"
    lines = [head, f"  {_WHY[sgd.phase]}"]
    if sgd.terms:
        lines.append(f"  risk ~ {' + '.join(sgd.terms)}   ({sgd.variant})")
    lines += [f"  {_boundary_text(b, sgd.phase)}" for b in sgd.boundaries[:2]]
    if sgd.phase == "trivial":
        return "\n".join([*lines, "  no optimizer of the class has a power law here"])
    columns: dict[str, list[str]] = {
        "optimizer": list(laws),
        "P* ~ flops^-": [f"{law.eta:.4f}" for law in laws.values()],
        "d* ~ flops^": [_xi_text(law) for law in laws.values()],
        "floor after d^": [f"{law.floor_time:.4f}" for law in laws.values()],
        "equal at the optimum": [" = ".join(law.balance) for law in laws.values()],
    }
    gains = [_gain_text(label, law, sgd) for label, law in laws.items() if label != "sgd"]
    return "\n".join([*lines, "", table(columns), "", *gains])


def _other(edge: Boundary, phase: str) -> str:
    return edge.between[0] if edge.between[1] == phase else edge.between[1]


def _boundary_text(edge: Boundary, phase: str) -> str:
    to = _other(edge, phase)
    if edge.distance < 1e-9:
        return f"on the boundary {edge.line} to phase {to}: logarithms correct the powers"
    slow = ", so exponents settle slowly" if edge.distance < NEAR else ""
    return f"boundary {edge.line} to phase {to} is {edge.distance:.3g} away{slow}"


def _xi_text(law: ScalingLaw) -> str:
    low, high = law.xi_range
    return f"{low:.4f}" if high - low < 1e-9 else f"{low:.4f}..{high:.4f}"


def _gain_text(label: str, law: ScalingLaw, sgd: ScalingLaw) -> str:
    if law.eta > sgd.eta + 1e-9:
        power = sgd.eta / law.eta
        return (
            f"  {label} outscales sgd: eta + {law.eta - sgd.eta:.4f}; a risk that costs sgd "
            f"F flops costs it ~F^{power:.3f}"
        )
    if law.eta < sgd.eta - 1e-9:
        return f"  {label} scales worse than sgd: eta - {sgd.eta - law.eta:.4f}"
    if law.floor_time < sgd.floor_time - 1e-9:
        return f"  {label} has sgd's eta, and only its floor comes sooner"
    return f"  {label} has sgd's exponents"
