"""SGD with momentum is SGD at gamma_2 + gamma_3 / delta; Schedule-Free has SGD's law."""

from __future__ import annotations

from typing import Any

import numpy as np

import hidim
from hidim.curve import log_steps
from hidim.plots import dress
from hidim.problems.power_law import spectra_at
from papers.report import Section, markdown_table

TITLE = "Momentum with a constant memory is SGD at γ₂ + γ₃/δ"
SOURCE = "arXiv 2505.16098: SGD-M has SGD's law at the matched rate."

SETTINGS = ((0.01, 0.002, 0.1), (0.0, 0.01, 0.1), (0.05, 0.0005, 0.01))
POINTS = ((1.0, 0.7), (0.7, 1.2))
D = 1000


def measure() -> dict[str, Any]:
    """Ratios of the exact risks along the run."""
    rows = []
    for alpha, beta in POINTS:
        spectrum = spectra_at(alpha, [beta], D, np.inf)[0]
        for gamma_2, gamma_3, delta in SETTINGS:
            at = log_steps(1e8)[1:]
            momentum = hidim.predict(spectrum, hidim.sgd_momentum(gamma_2, gamma_3, delta), at=at)
            plain = hidim.predict(spectrum, hidim.sgd(gamma_2 + gamma_3 / delta), at=at)
            rows.append([alpha, beta, gamma_2, gamma_3, delta, at, momentum.risk / plain.risk])
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """Ratios at a few times."""
    cells = []
    for alpha, beta, gamma_2, gamma_3, delta, at, ratio in found["rows"]:
        picked = [np.interp(np.log(t), np.log(at), ratio) for t in (1e2, 1e4, 1e6, 1e8)]
        cells.append((f"({alpha:g}, {beta:g})", gamma_2, gamma_3, delta,
                      *(f"{x:.4f}" for x in picked)))  # fmt: skip
    header = ("(α, β)", "γ₂", "γ₃", "δ", "t = 1e2", "1e4", "1e6", "1e8")
    text = (
        "Exact risk of SGD with momentum over that of SGD at the matched rate, d = 1000. After the "
        "memory of 1/δ steps the ratio is a constant near 1: the same exponents, and nearly the "
        "same curve. It differs from 1 because momentum filters the noise of the steep modes "
        "differently.\n\n"
    )
    return Section(
        text + markdown_table(header, cells), {"same_law": ("Ratio against steps", _draw(found))}
    )


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        ax = figure.subplots()
        for alpha, beta, gamma_2, gamma_3, delta, at, ratio in found["rows"]:
            style = "-" if alpha == 1 else "--"
            ax.plot(
                at, ratio, style, label=f"({alpha:g}, {beta:g}) {gamma_2:g}, {gamma_3:g}, {delta:g}"
            )
        dress(ax, x="optimizer steps", y="SGD-M / SGD")
        ax.set_yscale("linear")
        ax.legend(frameon=False, fontsize="x-small")

    return draw
