"""`hidim privacy`: how much privacy at which loss, and by which accountant."""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.cli import common
from hidim.cli.numbers import count, counts, number, one_of, row
from hidim.rates.pair_diffusion import FORMULAS
from hidim.rates.privacy import ACCOUNTANTS
from hidim.rates.privacy_frontier import ADJACENCY
from hidim.support.checks import whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "How much privacy noisy SGD keeps at which loss, by an accountant that is named."

EXAMPLE = """\
example: batches drawn by Poisson sampling from 10,000 samples, gradients clipped at norm 1
  hidim privacy --alpha 1 --beta 0.7 --d 300 --noise-variance 0.1 --batch-size 100 \\
      --accountant poisson --samples 10000 --clip 1 --plot privacy.png

one pass over the data, at rates and noises of your own
  hidim privacy --alpha 1 --beta 0.7 --d 300 --accountant one-pass --clip 1 \\
      --rates 0.01,0.1 --stds 0.1,0.3,1 --steps 100,1000

no bound on gradients: how far a typical pair of runs lies apart, which guarantees nothing
  hidim privacy --alpha 1 --beta 0.7 --d 300 --seed 0 --accountant pair
"""

_RATES = 4.0 ** -np.arange(5.0)  # of the recommended one
_NOISES = np.array([0.1, 0.3, 1.0, 3.0, 10.0])  # of a batch's own noise at the start
_MULTIPLIERS = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
_STEPS = (100, 1000, 10_000)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser)
    group = parser.add_argument_group("privacy")
    group.add_argument(
        "--accountant",
        type=one_of("accountant", ACCOUNTANTS),
        metavar="NAME",
        required=True,
        help=f"{', '.join(ACCOUNTANTS)}; the last two give no guarantee",
    )
    group.add_argument("--clip", type=number, metavar="C", help="norm that samples are clipped at")
    group.add_argument("--samples", type=count, metavar="N", help="how many there are")
    group.add_argument("--delta", type=number, metavar="X", default=1e-5, help="(1e-5)")
    group.add_argument("--order", type=number, metavar="X", default=2.0, help="of pairs (2)")
    group.add_argument(
        "--adjacency",
        type=one_of("adjacency", ADJACENCY),
        metavar="NAME",
        default="replace",
        help=f"{' or '.join(ADJACENCY)}, for one-pass (replace)",
    )
    group.add_argument(
        "--formula",
        type=one_of("formula", FORMULAS),
        metavar="NAME",
        help=f"{', '.join(FORMULAS)}, for typical pairs ({FORMULAS[0]})",
    )
    group = parser.add_argument_group("grid of runs")
    group.add_argument("--rates", type=row, metavar="X,...", help="gamma_2 (recommended and below)")
    group.add_argument("--stds", type=row, metavar="X,...", help="noise on the mean gradient")
    group.add_argument("--steps", type=counts, metavar="N,...", help="lengths (100,1000,10000)")
    group.add_argument("--batch-size", type=count, metavar="B", default=1, help="per step (1)")
    group.add_argument("--l2", type=number, metavar="X", default=0.0, help="penalty (0)")
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Predict, account, print, write."""
    common.check_outputs(args)
    args.batch_size = whole("batch_size", args.batch_size, minimum=1)
    started = time.perf_counter()
    problem = common.problem_from(args)
    spectrum = problem.spectrum(args.seed)
    found = hidim.privacy.frontier(
        spectrum,
        rates=_rates(args, problem) if args.rates is None else args.rates,
        stds=_stds(args, spectrum) if args.stds is None else args.stds,
        steps=_lengths(args) if args.steps is None else args.steps,
        accountant=args.accountant,
        batch_size=args.batch_size,
        l2=args.l2,
        clip=args.clip,
        samples=args.samples,
        delta=args.delta,
        order=args.order,
        adjacency=args.adjacency,
        formula=args.formula,
    )
    if args.plot is not None:
        common.write_figure(args.plot, lambda ax: draw(ax, found), size=(6.6, 4.6))
    told = [f"caution     {found.caution}"] if found.caution else []
    said = [
        f"problem     {common.problem_text(problem, args)}",
        f"batch       {args.batch_size:g}, l2 {args.l2:g}",
        f"accountant  {found.accountant}: {found.note}",
        *told,
        "",
        "nothing on the grid beats these in both:" if len(found.best) else "no finite number",
        common.table(_table(found)),
        "",
        f"hidim {hidim.__version__}, {len(found.risk)} runs, {time.perf_counter() - started:.2f} s",
    ]
    return common.hand_back(
        args,
        cautions=[f"accountant  {found.accountant}: {found.note}", *told],
        columns=_columns(found),
        answer={"problem": common.problem_data(problem, args)} | found.to_dict(),
        text="\n".join(said),
    )


def _name(found: Any) -> str:
    return "epsilon" if found.guarantee else "pair_divergence"


def _columns(found: Any) -> dict[str, np.ndarray]:
    columns = {name: getattr(found, name) for name in ("gamma_2", "std", "steps", "risk")}
    on = np.isin(np.arange(len(found.risk)), found.best)
    lost = {} if found.guarantee else {"without_number": found.without_number}
    return {**columns, _name(found): found.epsilon, **lost, "best": on}


def _table(found: Any) -> dict[str, list[str]]:
    best = found.best
    lost = {}
    if not found.guarantee:
        lost = {"pairs without": [f"{100 * x:.2g} %" for x in found.without_number[best]]}
    return {
        **lost,
        found.unit: [f"{x:.4g}" for x in found.epsilon[best]],
        found.loss: [f"{x:.5g}" for x in found.risk[best]],
        "gamma_2": [f"{x:.4g}" for x in found.gamma_2[best]],
        "std": [f"{x:.4g}" for x in found.std[best]],
        "steps": [common.step_text(x) for x in found.steps[best]],
    }


def _rates(args: argparse.Namespace, problem: Any) -> list[float]:
    spectrum = problem.spectrum(args.seed)
    top = float(spectrum.eigenvalues[0])
    most = 0.375 * min(1.0 / top, args.batch_size / spectrum.trace)
    return [float(x) for x in most * _RATES]


def _stds(args: argparse.Namespace, spectrum: Any) -> list[float]:
    if args.clip is not None and args.clip > 0:
        return [float(x) for x in _MULTIPLIERS * args.clip / args.batch_size]
    start = spectrum.initial_risk
    own = math.sqrt(2.0 * start * spectrum.trace / (spectrum.dimension * args.batch_size))
    return [float(x) for x in _NOISES * own]


def _lengths(args: argparse.Namespace) -> list[int]:
    if args.accountant != "one-pass" or args.samples is None:
        return list(_STEPS)
    most = int(args.samples // args.batch_size)  # each sample once
    return [n for n in _STEPS if n < most] + [max(most, 1)]


def draw(ax: Axes, found: Any) -> None:
    """Risk against privacy: every run, and the envelope."""
    from hidim.plots import dress

    seen = np.isfinite(found.epsilon) & (found.epsilon > 0) & np.isfinite(found.risk)
    every = ax.scatter(
        found.epsilon[seen],
        found.risk[seen],
        c=np.log10(found.steps[seen]),
        s=14,
        cmap="viridis",
    )
    bar = ax.figure.colorbar(every, ax=ax)
    bar.set_label("log10 of the steps")
    best = found.best
    ax.step(found.epsilon[best], found.risk[best], where="post", color="#c2203a", label="envelope")
    what = "" if found.guarantee else "; no guarantee"
    dress(ax, x=found.unit, y=found.loss, title=f"accountant: {found.accountant}{what}")
    ax.legend(frameon=False, fontsize="small")
