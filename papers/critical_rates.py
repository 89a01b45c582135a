"""The largest stable gamma_3 against the line kappa_2 = 1 - 2 alpha kappa_3."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.measure import measure_exponent
from hidim.rates.critical import critical_kappa_2
from papers.report import Section, markdown_table

TITLE = "The stability line κ₂ = 1 − 2ακ₃"
SOURCE = "Slides of 2505.16098 (the red line), found by bisection on the exact dynamics."

POINTS = ((1.0, 0.7), (0.7, 1.2))
SIZES = (1e3, 1e4, 1e5, 1e6)


def measure() -> dict[str, Any]:
    """Critical amplitudes at d = 1e3 to 1e6, and the powers of d between neighbours."""
    rows = []
    for alpha, beta in POINTS:
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            kappa_3 = share / (2 * alpha)
            amplitudes, powers = critical_kappa_2(alpha, beta, kappa_3, sizes=SIZES)
            rows.append([alpha, beta, kappa_3, 1 - share, list(powers), list(amplitudes)])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """The table."""
    cells = []
    gaps = []
    for alpha, beta, kappa_3, line, powers, amplitudes in found["rows"]:
        over_all = -measure_exponent(np.array(SIZES), np.array(amplitudes)).value
        gaps.append([over_all - line, *np.subtract(powers, line)])
        cells.append(
            (f"({alpha:g}, {beta:g})", f"{kappa_3:.4f}", f"{line:.2f}", f"{over_all:.4f}",
             ", ".join(f"{power:.4f}" for power in powers), f"{amplitudes[0]:.3g}",
             f"{amplitudes[-1]:.3g}")
        )  # fmt: skip
    header = ("(α, β)", "κ₃", "κ₂, theory", "measured, d = 1e3..1e6", "from decade to decade",
              "largest γ₃, d = 1e3", "d = 1e6")  # fmt: skip
    widest = np.abs(np.array(gaps)).max(axis=0)
    text = (
        "γ₃(t) = A (1+t)^-κ₃ counts as unstable when the risk rises tenfold above its lowest so "
        f"far. Largest distance from the line: {widest[0]:.4f} over the three decades of d, "
        f"{widest[1:].max():.4f} within any one of them.\n\n"
    )
    return Section(text + markdown_table(header, cells))
