"""`hidim clip`: which threshold for heavy-tailed noise, and does clipping help at all?"""

from __future__ import annotations

import argparse
import math
import time
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.cli import common
from hidim.cli.numbers import one_of
from hidim.rates.clip_search import as_gaussian, gain_map
from hidim.rates.clipping import KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Which threshold for this noise, constant or following the risk, and what it buys SGD."

EXAMPLE = """\
example: heavy-tailed label noise
  hidim clip --alpha 1 --beta 0.7 --d 300 --noise student:2.2:0.3 --steps 1e4 --plot clip.png

noise without a variance, thresholds of the norms of samples' gradients
  hidim clip --alpha 1 --beta 0.7 --d 300 --noise cauchy:0.3 --kind norm --json

rows of your own: their residuals are the noise, and the rows are taken for Gaussian
  hidim clip --data rows.csv --target price --standardize
"""

_NAMES = {"unclipped": "no clipping", "constant": "one threshold", "scheduled": "c*(R) schedule"}
_COLOURS = {"unclipped": "#2f5fa8", "constant": "#9a7d0a", "scheduled": "#c2203a"}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    common.add_problem_flags(parser)
    common.add_run_flags(parser, steps=10_000, at=False)
    parser.add_argument(
        "--kind",
        type=one_of("kind", KINDS),
        metavar="NAME",
        default=KINDS[0],
        help=f"what is clipped of a sample: {' or '.join(KINDS)} ({KINDS[0]})",
    )
    common.add_output_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Search, print, write."""
    common.check_outputs(args)
    common.check_run(args)
    started = time.perf_counter()
    problem = common.problem_from(args)
    spectrum = problem.spectrum(args.seed)
    found = hidim.clipping(spectrum, args.steps, args.batch_size, kind=args.kind)
    if args.plot is not None:
        from hidim.cli.output import write_figures

        draws = [lambda ax: draw_curves(ax, found), lambda ax: draw_map(ax, found, spectrum)]
        write_figures(args.plot, draws, size=(6.0, 4.4))
    told = [f"caution    {found.caution}"] if found.caution else []
    said = [
        f"problem    {common.problem_text(problem, args)}",
        f"noise      {_noise(spectrum)}",
        f"batch      {args.batch_size:g}, {args.steps:.6g} steps",
        *told,
        "",
        f"does clipping help?  {found.verdict}",
        "",
        common.table(_thresholds(found)),
        "",
        common.table(_ways(found)),
        "",
        f"hidim {hidim.__version__}, {time.perf_counter() - started:.2f} s",
    ]
    return common.hand_back(
        args,
        cautions=told,
        columns=_columns(found),
        answer={"problem": common.problem_data(problem, args)} | found.to_dict(),
        text="\n".join(said),
    )


def _noise(spectrum: Any) -> str:
    spectrum = as_gaussian(spectrum)
    law, floor = spectrum.law.noise, 2.0 * spectrum.risk_floor
    gaussian = [f"Gaussian of variance {floor:.6g}"] if floor > 0 or law is None else []
    return " + ".join([*([] if law is None else [repr(law)]), *gaussian])


def _columns(found: Any) -> dict[str, np.ndarray]:
    names = ("excess", "thresholds", "mu", "larger_rate", "gain", "share")
    return {name: getattr(found, name) for name in names}


def _thresholds(found: Any) -> dict[str, list[str]]:
    rows = np.unique(np.linspace(0, len(found.excess) - 1, 9).round().astype(int))
    share = ["-" if math.isnan(x) else f"{100 * x:.1f} %" for x in found.share[rows]]
    return {
        "excess": [f"{x:.3g}" for x in found.excess[rows]],
        "best threshold": [f"{x:.4g}" for x in found.thresholds[rows]],
        "mean kept": [f"{x:.4f}" for x in found.mu[rows]],
        "rate, times": [f"{x:.4g}" for x in found.larger_rate[rows]],
        "speed, times": [f"{x:.4g}" for x in found.gain[rows]],
        "of the best weighting": share,
    }


def _ways(found: Any) -> dict[str, list[str]]:
    data = found.to_dict()
    ways = {name: data[name] for name in found.curves}
    threshold = {
        "unclipped": "-",
        "constant": "-" if found.threshold is None else f"{found.threshold:.4g}",
        "scheduled": f"{found.thresholds[0]:.3g} .. {found.thresholds[-1]:.3g}",
    }

    def times(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g}"

    return {
        "best SGD with": [_NAMES[name] for name in ways],
        "threshold": [threshold[name] for name in ways],
        "gamma_2 at step 0": [f"{way['gamma_2']:.4g}" for way in ways.values()],
        "excess at the end": [f"{way['excess']:.5g}" for way in ways.values()],
        "times lower": [times(way["times_lower"]) for way in ways.values()],
        "times sooner": [times(way["times_sooner"]) for way in ways.values()],
    }


def draw_curves(ax: Axes, found: Any) -> None:
    """Excess risk of the three."""
    from hidim.plots import dress

    for name, curve in found.curves.items():
        seen = curve.steps > 0
        style: dict[str, Any] = {"color": _COLOURS[name], "label": _NAMES[name]}
        ax.plot(
            curve.steps[seen], curve.excess[seen], ls="--" if name == "scheduled" else "-", **style
        )
    dress(ax, x="optimizer steps", y="excess risk", title="each at its best rate")
    ax.legend(frameon=False, fontsize="small")


def draw_map(ax: Axes, found: Any, spectrum: Any) -> None:
    """How much faster descent is, over thresholds and excess risks, and the best threshold."""
    from hidim.plots import dress

    unit = 1.0 if found.kind == "residual" else math.sqrt(spectrum.trace)
    low, high = float(found.excess.min()), float(found.excess.max())
    excess = np.geomspace(low / 1.01, high * 1.01, 60)
    finite = found.thresholds[np.isfinite(found.thresholds)] / unit
    middle = finite if finite.size else np.sqrt(2.0 * excess)
    c = np.geomspace(0.1 * middle.min(), 10.0 * middle.max(), 80)
    gain = gain_map(spectrum, excess, c)
    known = found.unclipped is not None
    mesh = ax.pcolormesh(c * unit, excess, gain, cmap="cividis", shading="gouraud", rasterized=True)
    bar = ax.figure.colorbar(mesh, ax=ax)
    bar.set_label("2P mu^2 / nu" if known else "mu^2 / nu over its best")
    if known and gain.min() < 1.0 < gain.max():
        ax.contour(c * unit, excess, gain, [1.0], colors="white", linewidths=1.0)
    ax.plot(found.thresholds, found.excess, color="#c2203a", label="best threshold c*(R)")
    title = "how many times faster; white: no faster" if known else "share of the best speed"
    dress(ax, x=f"threshold ({found.kind})", y="excess risk R", title=title)
    ax.set_xlim(c[0] * unit, c[-1] * unit)
    if finite.size:
        ax.legend(frameon=False, fontsize="small", labelcolor="white", loc="upper left")
