"""Exponents, theory against measured, along a cut of the plane through phases Ia, II, III."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim import frontier
from hidim.measure import isoflop, measure_exponent
from hidim.plots import colour_of
from hidim.scaling.law import scaling_law
from hidim.studies import Recipe, run_ladder
from hidim.studies.ladder import sizes_between
from papers.report import Section, markdown_table

TITLE = "Exponents along the cut α = 0.7 through phases Ia, II and III"
SOURCE = "arXiv 2405.15074 (the same cut for SGD) and 2505.16098 (theory against measured)."

ALPHA = 0.7
SCALE = (0.5, 0.5)  # gamma_2 in units of 1 / trace, gamma_3 in units of gamma_2
BETAS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.2, 1.4, 1.6)
NAMES = ("sgd", "dana-constant", "dana-decaying")
SIZES = sizes_between(100, 1e6, 4)


def measure() -> dict[str, Any]:
    """eta and xi by the frontier in its own window, and by isoFLOP parabolas over the same."""
    found: dict[str, Any] = {}
    for name in NAMES:
        ladders = run_ladder(ALPHA, list(BETAS), Recipe(name, *SCALE), sizes=SIZES)
        rows = []
        for ladder in ladders:
            row = [ladder.law.eta, ladder.law.xi]
            line = frontier(ladder.curves)
            row += [line.eta.value, line.xi.value]
            low, high = line.eta.window
            inner = (line.flops >= low * 0.999) & (line.flops <= high * 1.001)
            profile = isoflop(ladder.curves, line.flops[inner])
            row.append(measure_exponent(profile.flops, 1 / profile.risk).value)
            row.append(measure_exponent(profile.flops, profile.d).value)
            rows.append(row)
        found[name] = rows
    return found


def report(found: dict[str, Any]) -> Section:
    """Largest gaps, and the figure."""
    rows = []
    for name, values in found.items():
        table = np.array(values)
        gaps = np.abs(table[:, [2, 4]] - table[:, [0]]).max(axis=0)
        slow = np.abs(table[:, [3, 5]] - table[:, [1]]).max(axis=0)
        worst = BETAS[int(np.argmax(np.abs(table[:, 2] - table[:, 0])))]
        rows.append((name, *(f"{x:.3f}" for x in (*gaps, *slow)), worst))
    header = ("optimizer", "η frontier", "η IsoFLOP", "ξ frontier", "ξ IsoFLOP", "worst β for η")
    text = (
        "Lines are theory, points the frontier of exact curves with d up to 1e6 in the window of "
        "flops that it chooses. Largest distance from theory along the cut:\n\n"
        + markdown_table(header, rows)
        + "\n\nNear β = 1/2 the floor approaches its power only like d^-|2β-1|, for every "
        "optimizer. Away from it SGD is on its line; both DANAs are still below theirs at these "
        "sizes, because at α = 0.7 momentum gains little over SGD and so takes over late. The next "
        "section follows (0.7, 1.2) to d = 1e9."
    )
    return Section(text, {"exponents_along_cuts": ("Exponents against beta", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        axes = figure.subplots(1, 2)
        fine = np.linspace(0.05, 1.65, 160)
        for name, values in found.items():
            laws = [scaling_law(ALPHA, b, name) for b in fine]
            table = np.array(values)
            for ax, theory, column in ((axes[0], [x.eta for x in laws], 2),
                                       (axes[1], [x.xi for x in laws], 3)):  # fmt: skip
                ax.plot(fine, theory, color=colour_of(name), linewidth=1, label=name)
                ax.plot(BETAS, table[:, column], "o", color=colour_of(name), markersize=3)
        for ax, label in zip(axes, ("η", "ξ"), strict=True):
            ax.set_xlabel("β")
            ax.set_ylabel(label)
            for edge in (0.5, ALPHA):
                ax.axvline(edge, color="#bbbbbb", linewidth=0.7)
        axes[0].legend(frameon=False, fontsize="x-small")

    return draw
