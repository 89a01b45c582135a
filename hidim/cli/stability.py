"""`hidim stability`: which learning rates hold on a problem, and when the others diverge."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.algorithms.changed import Sign
from hidim.cli import common

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Which learning rates hold, how close these are to the edge, and when others diverge."

EXAMPLE = """\
example: how far the recommended rates of DANA-decaying are from the edge
  hidim stability --alpha 1 --beta 0.7 --d 1000 --algorithm dana-decaying --steps 1e6

rates of your own at batch size 4
  hidim stability --alpha 1 --beta 0.7 --d 1000 --algorithm sgd:gamma_2=2 --batch-size 4

what sets signSGD apart from SGD for this noise, and its best rate for a horizon
  hidim stability --alpha 1 --beta 0.7 --d 100 --v 400 --seed 0 --noise student:3:0.3 \
      --algorithm sign-sgd:eta=1e-4 --steps 1e4

on rows of your own: their gain, who carries it, and what clipping their lengths would buy
  hidim stability --data rows.csv --target price --standardize --algorithm sgd
"""

# Lengths of measured rows are clipped at these quantiles, to say what that would buy.
_CLIPPED = (0.99, 0.95)
_MOST_ROWS = 10  # printed; --json holds all


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser)
    common.add_algorithm_flags(parser)
    common.add_schedule_flags(parser)
    common.add_run_flags(parser, steps=1_000_000, at=False)
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Judge, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    started = time.perf_counter()
    problem = common.problem_from(args)
    algorithm = common.algorithm_from(args, problem)
    found = hidim.stability(
        common.drawn(problem, args), algorithm, args.steps, batch_size=args.batch_size
    )
    if args.plot is not None:
        common.write_figure(args.plot, lambda ax: draw(ax, found), size=(7.0, 4.6))
    # The edges are searched for when they are first read, which is part of the time.
    clipped = _clipped(found)
    signs = _signs(args, problem, algorithm)
    said = [*common.title(problem, algorithm, args), "", _verdict(found, clipped), ""]
    said += [*_effects(signs), _norms(found), *_rows(found)]
    provenance = common.provenance_text(found.curve, seconds=time.perf_counter() - started)
    head = {"problem": common.problem_data(problem, args), "steps_asked": args.steps}
    bought = {"clipped_gamma_2": clipped} if clipped else {}
    return common.hand_back(
        args,
        columns=_columns(found),
        answer=head
        | found.to_dict()
        | bought
        | ({} if signs is None else {"sign": signs.to_dict()}),
        text="\n".join([*said, "", provenance]),
    )


def _columns(found: Any) -> dict[str, np.ndarray]:
    columns = {"step": found.steps, "norm" if found.rows is None else "gain": found.norm}
    if found.small_step_norm is not None:
        columns["small_step_norm"] = found.small_step_norm
    return columns


def draw(ax: Axes, found: Any) -> None:
    """The figure of --plot: the exact kernel norm and the small-step one, or the gain."""
    from hidim.plots import colour_of, dress

    steps = np.asarray(found.steps, dtype=np.float64)
    colour = colour_of(found.algorithm.name)
    name = "gain of the loop" if found.rows is None else "gain of the rows"
    lines = [(name, found.norm, "-")]
    if found.small_step_norm is not None:
        name, exact = "kernel norm", ("exact kernel norm N(t)", found.norm, "-")
        lines = [exact, ("small-step", found.small_step_norm, ":")]
    # Few times where nothing moves between them, and none of them to be missed.
    steps = np.maximum(steps, 1.0) if found.rows is not None else steps
    for label, norm, style in lines:
        # Infinite where a mode is unstable by itself: nothing to draw there.
        seen = (steps > 0) & np.isfinite(norm) & (norm > 0)
        ax.plot(steps[seen], norm[seen], color=colour, linestyle=style, label=label)
    ax.set_xlim(1.0, max(float(steps[-1]), 2.0))
    ax.axhline(1.0, color="#888888", linewidth=1.0, label="edge of stability")
    title = found.verdict.partition("; ")[0].partition(", carried by")[0]
    dress(ax, x="optimizer steps", y=name, title=title)
    ax.legend(frameon=False, fontsize="small")


def _clipped(found: Any) -> dict[str, float]:
    """Largest gamma_2 with the lengths of measured rows clipped, by quantile."""
    if found.rows is None or found.largest_gamma_2 is None:
        return {}
    return {f"{quantile:g}": found.clipped_gamma_2(quantile) for quantile in _CLIPPED}


def _verdict(found: Any, clipped: dict[str, float]) -> str:
    norm = "gain" if found.small_step_norm is None else "kernel norm"
    known = [
        ("stable", "yes" if found.stable else "no"),
        ("warning", found.warning or "none"),  # before the numbers of the verdict
        ("verdict", found.verdict),
        ("diverged at step", common.step_text(found.diverged_at)),
        (f"highest {norm}", f"{np.max(found.norm):.6g}"),
    ]
    edges = [("largest rates", f"none: {found.no_edges}")] if found.no_edges else _edges(found)
    for quantile, edge in clipped.items():
        # Without end, or none to begin with: no factor to speak of.
        more = edge / found.largest_gamma_2 if 0 < found.largest_gamma_2 < np.inf else np.nan
        times = f", {more:.3g} times" if np.isfinite(more) else ""
        where = f"(rows longer than {100 * float(quantile):g} % of them shortened to that{times})"
        edges.append(("   with clipped rows", f"{edge:.6g}   {where}"))
    if found.limit_risk is not None:
        edges.append(("limit risk", f"{found.limit_risk:.6g}   (the last rates held)"))
    return "\n".join(f"{name:<21}{text}" for name, text in [*known, *edges])


def _signs(args: argparse.Namespace, problem: Any, algorithm: Any) -> Any:
    """What sets signs apart from SGD, where they are what is stepped with."""
    gradient = getattr(algorithm, "gradient", None)
    if not isinstance(gradient, Sign) or algorithm.has_momentum or args.steps < 1:
        return None
    return hidim.sign_effects(
        problem.spectrum(args.seed),
        args.steps,
        args.batch_size,
        eta=algorithm.gamma_2,
        basis=gradient.basis,
    )


def _effects(signs: Any) -> list[str]:
    if signs is None:
        return []

    def ends(values: np.ndarray) -> str:
        return f"{values[0]:.4g} .. {values[-1]:.4g}"

    conditions = "{:.4g} for {:.4g}".format(*signs.condition[::-1])
    limit = "unknown" if signs.limit_excess is None else f"{signs.limit_excess:.6g}"
    gamma = "none" if signs.best_gamma_2 is None else f"{signs.best_gamma_2:.4g}"
    known = [
        ("effective rate", f"{ends(signs.effective_rate)}   (of SGD, first and last step)"),
        ("compression", f"{ends(signs.compression)}   (1 for Gaussian noise)"),
        ("preconditioning", f"condition number {conditions}"),
        ("reshaping", f"{signs.reshaping:.4g} times the noise of SGD"),
        ("limit excess", f"{limit}   (above the floor, the last rate held)"),
        ("best rates", f"eta {signs.best_eta:.4g}, of SGD {gamma}, for {signs.steps:.4g} steps"),
        ("better", signs.verdict),
    ]
    return ["signs beside SGD", *(f"{name:<21}{text}" for name, text in known), ""]


def _edges(found: Any) -> list[tuple[str, str]]:
    def rate(value: float | None, held: str) -> str:
        return "none: no such rate here" if value is None else f"{value:.6g}   ({held} held fixed)"

    return [
        ("largest gamma_2", rate(found.largest_gamma_2, "gamma_3 / gamma_2")),
        ("largest gamma_3", rate(found.largest_gamma_3, "gamma_2")),
        ("exact SGD threshold", f"{found.sgd_threshold:.6g}"),
    ]


def _norms(found: Any) -> str:
    rows = np.unique(np.geomspace(1, len(found.steps), 10).astype(int) - 1)
    columns = {
        "step": [common.step_text(found.steps[i]) for i in rows],
        "gain" if found.small_step_norm is None else "norm N": [
            f"{found.norm[i]:.5g}" for i in rows
        ],
    }
    if found.small_step_norm is not None:
        columns["small-step"] = [f"{found.small_step_norm[i]:.5g}" for i in rows]
    return common.table(columns)


def _rows(found: Any) -> list[str]:
    """The rows that carry the largest gain, in a table."""
    if found.rows is None or not len(found.rows):
        return []
    rows, shown = found.spectrum.law.rows, slice(0, _MOST_ROWS)
    lengths = np.sqrt(np.einsum("ij,ij->i", rows.features, rows.features))
    of_row = dict(zip(rows.index.tolist(), (lengths / np.median(lengths)).tolist(), strict=True))
    summed = np.cumsum(found.shares)
    columns = {
        "row": [f"{row}" for row in found.rows[shown]],
        "share": [f"{100 * share:.1f} %" for share in found.shares[shown]],
        "in all": [f"{100 * share:.1f} %" for share in summed[shown]],
        "length": [f"{of_row[row]:.3g}" for row in found.rows[shown].tolist()],
    }
    most = min(int(np.searchsorted(summed, 0.99)) + 1, len(summed))
    about = (
        f"rows that carry the gain where it is largest, counted from 0; {most:,} of {len(rows):,} "
    )
    about += "carry 99 %; lengths in medians"
    return ["", about, common.table(columns)]
