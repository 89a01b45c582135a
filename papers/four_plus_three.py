"""The 4+3 phases of SGD: the table of exponents, and how finite size enters."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim import frontier
from hidim.scaling.amplitudes import trace_constant
from hidim.scaling.law import ScalingLaw, scaling_law
from hidim.studies import Recipe, run_ladder
from hidim.studies.ladder import sizes_between
from papers.report import Section, markdown_table

TITLE = "The 4+3 phases of SGD"
SOURCE = "arXiv 2405.15074: the table of exponents, and the study of finite size."

STEP = 0.5  # gamma_2 in units of 1 / trace
# Point and largest size: below the line 2 alpha = 1 the powers need the largest ones.
POINTS = {
    (1.0, 0.3): 1e7, (0.4, 0.3): 1e9, (0.2, 0.8): 1e11, (1.0, 0.7): 1e7,
    (0.7, 1.2): 1e8, (0.4, 0.8): 1e11, (0.27, 0.8): 1e11,
}  # fmt: skip


def measure() -> dict[str, Any]:
    """Frontiers of exact SGD curves, and their eta and xi."""
    rows = []
    for (alpha, beta), top in POINTS.items():
        ladder = run_ladder(
            alpha, beta, Recipe("sgd", step=STEP), sizes=sizes_between(top / 3e4, top, 6)
        )
        line = frontier(ladder.curves)
        powers = [line.eta.value, line.xi.value, line.eta.drift]
        rows.append([alpha, beta, line.flops, line.risk, line.d, *powers])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """The table, and the ratio of exact risk to the law's estimate."""
    cells = []
    ratios = {}
    for alpha, beta, flops, risk, *_ in found["rows"]:
        some = np.array(flops[::8])  # a budget per decade
        estimate = _law_at_these_rates(alpha, beta).frontier(some).risk
        ratios[alpha, beta] = some, np.array(risk[::8]) / estimate
    for alpha, beta, flops, _, _, eta, xi, change in found["rows"]:
        law = _law_at_these_rates(alpha, beta)
        later = law.frontier(10.0 ** np.array([23, 24, 59, 60])).risk
        drift = np.log10(later[[0, 2]] / later[[1, 3]])
        ratio = ratios[alpha, beta][1]
        cells.append(
            (law.phase, f"({alpha:g}, {beta:g})", f"{law.eta:.4f}", f"{eta:.4f}", f"{change:+.4f}",
             f"{law.xi:.4f}",
             f"{xi:.4f}", f"{flops[-1]:.0e}", f"{drift[0]:.4f}", f"{drift[1]:.4f}",
             f"{ratio.min():.2f}..{ratio.max():.2f}")
        )  # fmt: skip
    header = ("phase", "(α, β)", "η", "measured", "drift", "ξ", "measured", "flops up to",
              "law at 1e24", "law at 1e60", "exact / law")  # fmt: skip
    text = (
        "Exact SGD curves, γ₂ tr K = 1/2, v = ∞ above the line 2α = 1 and v = 4d below it; powers "
        "in the window of flops that the frontier chooses, and the drift of η from its earlier "
        "half to its later. The columns *law* give the local η of the law with "
        "its constants at far larger budgets. In IVb two nearly parallel terms and the floor stay "
        "of one size for tens of decades: exact curves and the law agree on an η above its limit "
        "there, and only the law reaches budgets where the limit shows.\n\n"
    )
    return Section(
        text + markdown_table(header, cells), {"four_plus_three": ("Exact over law", _draw(ratios))}
    )


def _law_at_these_rates(alpha: float, beta: float) -> ScalingLaw:
    """The law with gamma_2 tr K = 1/2, as the recipe has it."""
    law = scaling_law(alpha, beta, "sgd")
    step = STEP / trace_constant(alpha, law.v_over_d)
    return scaling_law(alpha, beta, "sgd", c_2=step)


def _draw(ratios: dict[Any, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for (alpha, beta), (flops, ratio) in ratios.items():
            label = f"{scaling_law(alpha, beta, 'sgd').phase} ({alpha:g}, {beta:g})"
            ax.semilogx(flops, ratio, label=label)
        ax.axhline(1, color="#888888", linewidth=0.8)
        ax.set_xlabel("flops")
        ax.set_ylabel("exact / law, each at its optimum")
        ax.legend(frameon=False, fontsize="x-small", ncols=2)

    return draw
