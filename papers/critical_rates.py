"""The largest stable gamma_3 against the line kappa_2 = 1 - 2 alpha kappa_3."""

from __future__ import annotations

from typing import Any

from hidim.studies.critical import critical_kappa_2
from papers.report import Section, markdown_table

TITLE = "The stability line κ₂ = 1 − 2ακ₃"
SOURCE = "Slides of 2505.16098 (the red line), found by bisection on the exact dynamics."

POINTS = ((1.0, 0.7), (0.7, 1.2))
SIZES = (1e3, 1e5)


def measure() -> dict[str, Any]:
    """Critical amplitudes at d = 1e3 and 1e5."""
    rows = []
    for alpha, beta in POINTS:
        for share in (0.0, 0.25, 0.5, 0.75, 1.0):
            kappa_3 = share / (2 * alpha)
            amplitudes, powers = critical_kappa_2(alpha, beta, kappa_3, sizes=SIZES)
            rows.append([alpha, beta, kappa_3, 1 - share, powers[0], *amplitudes])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """The table."""
    cells = [
        (f"({a:g}, {b:g})", f"{k:.4f}", f"{line:.2f}", f"{power:.4f}", f"{low:.3g}", f"{high:.3g}")
        for a, b, k, line, power, low, high in found["rows"]
    ]
    header = ("(α, β)", "κ₃", "κ₂, theory", "measured", "largest γ₃, d = 1e3", "d = 1e5")
    gap = max(abs(row[4] - row[3]) for row in found["rows"])
    text = (
        "γ₃(t) = A (1+t)^-κ₃ counts as unstable when the risk rises tenfold above its lowest so "
        f"far. Largest distance from the line: {gap:.4f}.\n\n"
    )
    return Section(text + markdown_table(header, cells))
