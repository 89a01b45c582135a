"""Loss curves in one figure: theory as lines, measurement as points with error bars.

Everything is read from the curves; no engine is called here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hidim.curve import Curve
from hidim.measure import measure_exponent
from hidim.plots.style import colour_of, dress, new_ax
from hidim.support.checks import choice, instance, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LINES = ("-", "--", "-.", ":")
UNITS = {"steps": "optimizer steps", "flops": "flops = steps x parameters x batch"}


def plot_curves(
    curves: Sequence[Curve],
    ax: Axes | None = None,
    *,
    against: str = "steps",
    window: tuple[float, float] | None = None,
    theory: Mapping[str, float] | None = None,
    floor: float | None = None,
    ceiling: float | None = None,
    title: str = "",
) -> Axes:
    """Draw curves on log-log axes and return the ax.

    Curves without `stderr` are lines; those with it are points with bars of two standard
    errors. A diverged curve ends in a cross at the top. Step 0 has no place on a log axis.

    Args:
        curves: what to draw; the colour follows the algorithm named in `label`.
        ax: where; a new one if left out.
        against: "steps" or "flops".
        window: steps between which a slope is fitted and printed in the legend.
        theory: label of a curve -> slope that theory gives it, printed beside the fitted one.
        floor: a risk to mark by a dotted line, for example the risk floor.
        ceiling: top of the axis; measured points above it become triangles there.
        title: a title for the ax.

    Raises:
        ValueError: no curve, or an unknown `against`.
        MissingExtra: matplotlib is not installed and no ax is given.
    """
    choice("against", against, UNITS)
    curves = _curves("curves", curves)
    if not curves:
        raise ValueError("`curves` is empty: give at least one Curve.")
    ax = new_ax() if ax is None else ax
    lines = {curve.label for curve in curves if curve.stderr is None}
    drawn: Counter[str] = Counter()
    for index, curve in enumerate(curves):
        colour = colour_of(curve.label, index=index)
        label = curve.label or f"curve {index + 1}"
        if curve.stderr is None and window is not None:
            label += _slope_text(curve, window, (theory or {}).get(curve.label))
        x = np.asarray(getattr(curve, against), dtype=np.float64)
        seen = np.flatnonzero((x > 0) & np.isfinite(curve.risk) & (curve.risk > 0))
        seen = seen[np.argsort(x[seen], kind="stable")]
        if curve.stderr is None:
            alone = "o" if seen.size == 1 else None  # a line of one point is not seen
            # A second variant of one algorithm has its colour, so its dashes tell it apart.
            dashes = LINES[drawn[colour] % len(LINES)]
            drawn[colour] += 1
            style: dict[str, Any] = {"linewidth": 1.8, "label": label, "zorder": 2, "ls": dashes}
            ax.plot(x[seen], curve.risk[seen], color=colour, marker=alone, **style)
        else:
            known = "_nolegend_" if curve.label in lines else label
            above = curve.risk[seen] > (np.inf if ceiling is None else ceiling)
            lost, seen = seen[above], seen[~above]
            _points(ax, x[seen], curve.risk[seen], curve.stderr[seen], colour, known)
            top = np.full(lost.size, (ceiling or np.inf) / 1.06)
            ax.plot(x[lost], top, "^", color=colour, markersize=6, zorder=4)
        if curve.status == "diverged" and curve.stderr is None and seen.size:
            ax.plot(x[seen][-1], curve.risk[seen][-1], "x", color=colour, markersize=9, zorder=4)
    if floor:
        ax.axhline(floor, color="#888888", linewidth=1.0, linestyle=":", zorder=1)
    dress(ax, x=UNITS[against], y="risk P", title=title)
    _limit(ax, curves, ceiling)
    ax.legend(frameon=False, fontsize="small", loc="lower left")
    return ax


def _curves(name: str, given: Any) -> list[Curve]:
    """The Curves of an argument, each one."""
    many = [given] if isinstance(given, Curve) else listed(name, given, "Curves, or one")
    return [instance(name, curve, Curve, "as predict and simulate give") for curve in many]


def plot_agreement(
    measured: Sequence[Curve], predicted: Sequence[Curve], ax: Axes | None = None
) -> Axes:
    """Measured over predicted risk against steps, with bars of two standard errors.

    Args:
        measured: curves with `stderr`.
        predicted: one curve each, holding at least the same steps.
        ax: where; a new one if left out.

    Raises:
        ValueError: the two lists differ in length, or a measured step was not predicted.
    """
    measured, predicted = _curves("measured", measured), _curves("predicted", predicted)
    if len(measured) != len(predicted):
        raise ValueError(
            f"`measured` and `predicted` must have one length, got {len(measured)} and "
            f"{len(predicted)}."
        )
    ax = new_ax() if ax is None else ax
    for index, (points, line) in enumerate(zip(measured, predicted, strict=True)):
        steps, risk = line.in_time()
        place = np.searchsorted(steps, points.steps).clip(max=len(steps) - 1)
        if not np.array_equal(steps[place], points.steps):
            raise ValueError(f"`predicted` lacks some of the steps of {points.label!r}.")
        seen = (points.steps > 0) & np.isfinite(points.risk) & np.isfinite(risk[place])
        truth = risk[place][seen]
        error = np.zeros_like(truth) if points.stderr is None else points.stderr[seen] / truth
        colour = colour_of(points.label, index=index)
        x = points.steps[seen].astype(np.float64)
        _points(ax, x, points.risk[seen] / truth, error, colour, points.label)
    ax.axhline(1.0, color="#888888", linewidth=1.0, zorder=1)
    dress(ax, x=UNITS["steps"], y="measured / predicted")
    ax.set_yscale("linear")
    return ax


def fitted_slope(curve: Curve, window: tuple[float, float]) -> float:
    """Least-squares slope of log risk against log steps between the steps of `window`.

    >>> curve = Curve(steps=[1, 10, 100, 1000], risk=[1.0, 0.1, 0.01, 0.001])
    >>> round(fitted_slope(curve, (1, 1000)), 12)
    -1.0
    """
    steps = np.asarray(curve.steps, dtype=np.float64)
    inside = (steps >= max(window[0], 1)) & (steps <= window[1]) & np.isfinite(curve.risk)
    if np.count_nonzero(inside) < 2:
        raise ValueError(f"`window` {window} holds fewer than two points of {curve.label!r}.")
    return measure_exponent(steps[inside], curve.risk[inside]).value


def _slope_text(curve: Curve, window: tuple[float, float], theory: float | None) -> str:
    text = f"   slope {fitted_slope(curve, window):.3f}"
    return text if theory is None else f"{text} (theory {theory:.3f})"


def _points(
    ax: Axes, x: np.ndarray, y: np.ndarray, stderr: np.ndarray, colour: str, label: str
) -> None:
    # A bar that reaches zero has no end on a log axis: it stops at a tenth of the value.
    bars = np.stack([np.minimum(2 * stderr, 0.9 * y), 2 * stderr])
    drawn = ax.errorbar(
        x,
        y,
        yerr=bars,
        fmt="o",
        color=colour,
        markersize=3.6,
        markerfacecolor="white",
        markeredgewidth=1.1,
        elinewidth=0.9,
        capsize=0,
        label=label,
        zorder=3,
    )
    for bar in drawn[2]:
        bar.set_alpha(0.6)


def _limit(ax: Axes, curves: Sequence[Curve], ceiling: float | None) -> None:
    """Keep a diverged curve from squeezing the others: at most ten times the highest start."""
    if ceiling is None and any(curve.status == "diverged" for curve in curves):
        ceiling = 10 * max(float(curve.risk[0]) for curve in curves if len(curve))
    if ceiling is not None:
        ax.set_ylim(top=ceiling)
