"""Stochastic Nesterov diverges for every rate."""

from __future__ import annotations

from typing import Any

import numpy as np

import hidim
from hidim.curve import log_steps
from hidim.plots import dress
from hidim.problems.power_law import spectra_at
from papers.report import Section, markdown_table

TITLE = "Stochastic Nesterov diverges"
SOURCE = "arXiv 2505.16098; Even et al. 2021, theorem 7."

RATES = (0.5, 0.1, 0.02, 0.004, 8e-4)


def measure() -> dict[str, Any]:
    """Curves at (1, 0.7), d = 1000, for rates in units of 1 / trace."""
    spectrum = spectra_at(1.0, [0.7], 1000, np.inf)[0]
    rows = []
    for rate in RATES:
        algorithm = hidim.stochastic_nesterov(rate / spectrum.trace)
        curve = hidim.predict(spectrum, algorithm, at=log_steps(40 / rate**1.2)[1:])
        ok = np.isfinite(curve.risk) & (curve.risk < 1e6)
        rows.append([rate, curve.status, curve.diverged_at, curve.steps[ok], curve.risk[ok]])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """When each run passes 1000 times its start."""
    cells = [(rate, status, f"{at:,.0f}") for rate, status, at, _, _ in found["rows"]]
    text = (
        "γ₂ = γ, γ₃ = 1/(t+1), Δ = 1/(t+2) at (α, β) = (1, 0.7), d = 1000, batch 1: whatever the "
        "rate, the run blows up; a smaller rate only postpones it.\n\n"
    )
    table = markdown_table(("γ tr K", "outcome", "first step above 1000 × the start"), cells)
    return Section(text + table, {"nesterov": ("Risk of stochastic Nesterov", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for rate, _, _, steps, risk in found["rows"]:
            ax.plot(steps, risk, label=f"γ tr K = {rate:g}")
        dress(ax, x="optimizer steps", y="risk P")
        ax.legend(frameon=False, fontsize="x-small")

    return draw
