"""`hidim phase`: which phase a power-law problem is in, why, and what each optimizer reaches."""

from __future__ import annotations

import argparse
from typing import Any

from hidim.algorithms.named import GENERAL, names
from hidim.cli.output import add_output_flags, check_outputs, print_json, table, write_csv
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.scaling.phases import Boundary
from hidim.scaling.terms import VARIANTS

SUMMARY = "Which phase a power-law problem is in and why, and the loss exponent of each optimizer."
EXAMPLE = """example:
  hidim phase --alpha 1 --beta 0.7
  hidim phase --alpha 1 --beta 0.7 --kappa-2 0.5 --kappa-3 0.25 --json"""

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
    problem.add_argument("--alpha", type=float, required=True, help="data exponent, positive")
    problem.add_argument("--beta", type=float, required=True, help="target exponent")
    problem.add_argument(
        "--variant", choices=VARIANTS, default=VARIANTS[0], help=f"the law ({VARIANTS[0]})"
    )
    general = parser.add_argument_group("a further optimizer of the class, and the batch")
    general.add_argument("--kappa-1", type=float, metavar="K", help="gamma_2 ~ d^-K")
    general.add_argument("--kappa-2", type=float, metavar="K", help="gamma_3 ~ d^-K")
    general.add_argument("--kappa-3", type=float, metavar="K", help="gamma_3 ~ t^-K")
    general.add_argument(
        "--kappa-b", type=float, metavar="K", default=0.0, help="batch ~ d^K (default: 0)"
    )
    add_output_flags(parser, plot=False)


def run(args: argparse.Namespace) -> int:
    """Print the phase and the table of exponents."""
    check_outputs(args)
    common = {"kappa_b": args.kappa_b, "variant": args.variant}
    laws = [scaling_law(args.alpha, args.beta, name, **common) for name in names(fixed=True)]
    if any(k is not None for k in (args.kappa_1, args.kappa_2, args.kappa_3)):
        kappas = {"kappa_1": args.kappa_1, "kappa_2": args.kappa_2, "kappa_3": args.kappa_3}
        laws.append(scaling_law(args.alpha, args.beta, GENERAL, **kappas, **common))
    if args.csv is not None:
        write_csv(args.csv, {key: [_row(law)[key] for law in laws] for key in _row(laws[0])})
    if args.json:
        print_json(_answer(laws))
    else:
        print(_text(laws))
    return 0


def _row(law: ScalingLaw) -> dict[str, Any]:
    return {
        "algorithm": law.name,
        "eta": law.eta,
        "xi": law.xi,
        "floor_time": law.floor_time,
        "balance": " = ".join(law.balance),
        "kappa_1": law.kappas.kappa_1,
        "kappa_2": law.kappas.kappa_2,
        "kappa_3": law.kappas.kappa_3,
    }


def _answer(laws: list[ScalingLaw]) -> dict[str, Any]:
    first = laws[0]
    return {
        "alpha": first.alpha,
        "beta": first.beta,
        "phase": first.phase,
        "why": _WHY[first.phase],
        "terms": list(first.terms),
        "boundaries": [
            {"line": b.line, "to": _other(b, first.phase), "distance": b.distance}
            for b in first.boundaries
        ],
        "algorithms": {law.name: law.to_dict() for law in laws},
        "gain": {
            law.name: {
                "eta": law.eta - first.eta,
                "outscales_sgd": law.eta > first.eta + 1e-9,
                "flops_power": first.eta / law.eta if law.eta > 0 else None,
            }
            for law in laws[1:]
        },
    }


def _text(laws: list[ScalingLaw]) -> str:
    first = laws[0]
    head = f"alpha = {first.alpha:g}, beta = {first.beta:g}: phase {first.phase}"
    lines = [head, f"  {_WHY[first.phase]}"]
    if first.terms:
        lines.append(f"  risk ~ {' + '.join(first.terms)}   ({first.variant})")
    lines += [f"  {_boundary_text(b, first.phase)}" for b in first.boundaries[:2]]
    if first.phase == "trivial":
        return "\n".join([*lines, "  no optimizer of the class has a power law here"])
    columns: dict[str, list[str]] = {
        "optimizer": [law.name for law in laws],
        "P* ~ flops^-": [f"{law.eta:.4f}" for law in laws],
        "d* ~ flops^": [_xi_text(law) for law in laws],
        "floor after d^": [f"{law.floor_time:.4f}" for law in laws],
        "equal at the optimum": [" = ".join(law.balance) for law in laws],
    }
    return "\n".join([*lines, "", table(columns), "", *map(_gain_text, laws[1:], [first] * 9)])


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


def _gain_text(law: ScalingLaw, sgd: ScalingLaw) -> str:
    if law.eta > sgd.eta + 1e-9:
        power = sgd.eta / law.eta
        return (
            f"  {law.name} outscales sgd: eta + {law.eta - sgd.eta:.4f}; a risk that costs sgd "
            f"F flops costs it ~F^{power:.3f}"
        )
    if law.eta < sgd.eta - 1e-9:
        return f"  {law.name} scales worse than sgd: eta - {sgd.eta - law.eta:.4f}"
    if law.floor_time < sgd.floor_time - 1e-9:
        return f"  {law.name} has sgd's eta, and only its floor comes sooner"
    return f"  {law.name} has sgd's exponents"
