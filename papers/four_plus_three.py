"""The 4+3 phases of SGD: the table of exponents, and how finite size enters."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.scaling.law import scaling_law
from hidim.studies import Recipe, envelope, measure_exponent, run_ladder
from hidim.studies.ladder import sizes_between
from papers.report import Section, markdown_table

TITLE = "The 4+3 phases of SGD"
SOURCE = "arXiv 2405.15074: the table of exponents, and the study of finite size."

# Point and largest size: below the line 2 alpha = 1 the powers need the largest ones.
POINTS = {
    (1.0, 0.3): 1e7, (0.4, 0.3): 1e9, (0.2, 0.8): 1e11, (1.0, 0.7): 1e7,
    (0.7, 1.2): 1e8, (0.4, 0.8): 1e11, (0.27, 0.8): 1e11,
}  # fmt: skip


def measure() -> dict[str, Any]:
    """eta and xi of exact SGD curves by half decades, and of the law with its constants."""
    rows = []
    budgets = 10 ** np.arange(4, 26, 0.125)
    for (alpha, beta), top in POINTS.items():
        ladder = run_ladder(alpha, beta, Recipe("sgd"), sizes=sizes_between(top / 3e4, top, 6))
        line = envelope(ladder.curves, budgets)
        eta = measure_exponent(line.flops, 1 / line.risk, last_decades=2).value
        xi = measure_exponent(line.flops, line.d, last_decades=2).value
        best = ladder.law.frontier(line.flops)
        later = ladder.law.frontier(10.0 ** np.array([23, 24, 59, 60]))
        drift = np.log(later.risk[[0, 2]] / later.risk[[1, 3]]) / np.log(10)
        rows.append([alpha, beta, line.flops, line.risk, line.d, eta, xi, best.risk, drift])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """The table, and the ratio of exact risk to the law's estimate."""
    cells = []
    for alpha, beta, flops, risk, _, eta, xi, estimate, drift in found["rows"]:
        law = scaling_law(alpha, beta, "sgd")
        ratio = np.array(risk) / np.array(estimate)
        cells.append(
            (law.phase, f"({alpha:g}, {beta:g})", f"{law.eta:.4f}", f"{eta:.4f}", f"{law.xi:.4f}",
             f"{xi:.4f}", f"{flops[-1]:.0e}", f"{drift[0]:.4f}", f"{drift[1]:.4f}",
             f"{ratio.min():.2f}..{ratio.max():.2f}")
        )  # fmt: skip
    header = ("phase", "(α, β)", "η", "measured", "ξ", "measured", "flops up to", "law at 1e24",
              "law at 1e60", "exact / law")  # fmt: skip
    text = (
        "Exact SGD curves, γ₂ tr K = 1/2, v = ∞ above the line 2α = 1 and v = 4d below it; powers "
        "over the last two decades of flops. The columns *law* give the local η of the law with "
        "its constants at far larger budgets. In IVb two nearly parallel terms and the floor stay "
        "of one size for tens of decades: exact curves and the law agree on an η above its limit "
        "there, and only the law reaches budgets where the limit shows.\n\n"
    )
    return Section(
        text + markdown_table(header, cells), {"four_plus_three": ("Exact over law", _draw(found))}
    )


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for alpha, beta, flops, risk, _, _, _, estimate, _ in found["rows"]:
            law = scaling_law(alpha, beta, "sgd")
            ax.semilogx(
                flops,
                np.array(risk) / np.array(estimate),
                label=f"{law.phase} ({alpha:g}, {beta:g})",
            )
        ax.axhline(1, color="#888888", linewidth=0.8)
        ax.set_xlabel("flops")
        ax.set_ylabel("exact / law, at the compute optimum of each")
        ax.legend(frameon=False, fontsize="x-small", ncols=2)

    return draw
