"""The frontier figure of the lecture notes, and which (alpha, beta) give d* = 400 at 5e6 flops."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.plots import dress
from hidim.studies import Recipe, envelope, run_ladder
from hidim.studies.ladder import sizes_between
from papers.report import Section, markdown_table

TITLE = "The frontier of the lecture notes: d* = 400 at 5·10⁶ flops"
SOURCE = "Lecture notes: a power law touches SGD curves of growing d; (α, β) are not named there."

ALPHAS = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5)
BETAS = (0.2, 0.3, 0.4, 0.6, 0.7, 0.8, 1.0, 1.3)
SCALE = (0.5, 0.5)  # gamma_2 in units of 1 / trace, gamma_3 in units of gamma_2
BUDGET = 5e6
SHOWN = (1.25, 0.7)  # the drawn: d* is 410 there


def measure() -> dict[str, Any]:
    """d* of exact SGD at the budget over the plane, and the curves at one point that fits."""
    sizes = sizes_between(30, 6000, 6)
    best = []
    for alpha in ALPHAS:
        ladders = run_ladder(alpha, list(BETAS), Recipe("sgd", *SCALE), sizes=sizes, reach=1)
        row = []
        for ladder in ladders:
            line = envelope(ladder.curves, [BUDGET])
            row.append(float(line.d[0]) if len(line.d) else np.nan)
        best.append(row)
    shown = run_ladder(*SHOWN, Recipe("sgd", *SCALE), sizes=[50, 100, 200, 400, 800, 1600], reach=1)
    line = envelope(
        run_ladder(*SHOWN, Recipe("sgd", *SCALE), sizes=sizes, reach=1).curves,
        10 ** np.arange(4, 9, 0.25),
    )
    return {
        "best": best,
        "curves": [[c.flops[1:], c.risk[1:]] for c in shown.curves],
        "frontier": [line.flops, line.risk],
    }


def report(found: dict[str, Any]) -> Section:
    """The table of d*, those near 400 in bold."""
    rows = []
    near = []
    for alpha, row in zip(ALPHAS, found["best"], strict=True):
        cells = []
        for beta, d in zip(BETAS, row, strict=True):
            fits = d is not None and 360 <= d <= 440
            near += [f"({alpha:g}, {beta:g})"] if fits else []
            cells.append("-" if d is None else f"**{d:.0f}**" if fits else f"{d:.0f}")
        rows.append((f"α = {alpha:g}", *cells))
    table = markdown_table(("", *(f"β = {b:g}" for b in BETAS)), rows)
    text = (
        "d* of exact SGD curves at 5·10⁶ flops with γ₂ tr K = 1/2, batch 1, v = ∞. Within 10% of "
        f"400: {', '.join(near) or 'none of these points'}. The notes do not name theirs, nor the "
        "rate; a smaller rate moves the whole table to smaller d.\n\n"
    )
    return Section(text + table, {"lecture_frontier": ("SGD curves and frontier", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for k, (flops, risk) in enumerate(found["curves"]):
            ax.plot(
                flops, risk, color=f"{0.75 - 0.12 * k:.2f}", linewidth=1, label=f"d = {50 * 2**k}"
            )
        ax.plot(*found["frontier"], color="#c2203a", label="frontier")
        ax.axvline(BUDGET, color="#2f5fa8", linestyle=":", linewidth=1)
        dress(ax, x="flops", y=f"risk P, (α, β) = {SHOWN}")
        ax.set_xlim(1e3, 1e9)
        ax.set_ylim(1e-6, 2)
        ax.legend(frameon=False, fontsize="x-small")

    return draw
