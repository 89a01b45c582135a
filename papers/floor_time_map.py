"""Time to irreducible loss over the class (kappa_2, kappa_3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.algorithms.kappas import no_gain_line, stability_line
from hidim.scaling.law import scaling_law
from hidim.studies import Recipe, run_ladder, time_to_multiple
from papers.report import Section, markdown_table

TITLE = "Time to irreducible loss over the class (κ₂, κ₃)"
SOURCE = "Slides of 2505.16098: heat map with the stability line and the no-gain line."

ALPHA, BETA = 1.0, 0.7
# Few enough modes and small enough steps that the level is crossed: N <= 1/2.
STEP, RATIO = 0.5, 0.25
CLASS = ((0.5, 0.25), (1.5, 0.25), (0.0, 1.0), (0.0, 0.5), (1.0, 0.0))


def floor_time(kappa_2: float, kappa_3: float, sizes: tuple[float, float]) -> float:
    """The measured power of d of the time to 2.5 times the floor."""
    recipe = Recipe("general-momentum", STEP, RATIO, 8.0, kappa_2, kappa_3)
    ladder = run_ladder(ALPHA, BETA, recipe, sizes=sizes)
    times = [time_to_multiple(c, f) for c, f in zip(ladder.curves, ladder.floors, strict=True)]
    return float(np.log(times[1] / times[0]) / np.log(sizes[1] / sizes[0]))


def measure() -> dict[str, Any]:
    """A coarse map between d = 1e3 and 1e4, five members between d = 1e6 and 1e7."""
    axis_3, axis_2 = np.linspace(0, 1, 6), np.linspace(0, 2, 6)
    measured = [
        [
            floor_time(b, c, (1e3, 1e4)) if b >= stability_line(ALPHA, c) - 1e-9 else np.nan
            for c in axis_3
        ]
        for b in axis_2
    ]
    far = [floor_time(b, c, (1e6, 1e7)) for b, c in CLASS]
    return {"kappa_3": axis_3, "kappa_2": axis_2, "measured": measured, "far": far}


def report(found: dict[str, Any]) -> Section:
    """The map beside theory, and the members of the class far out."""
    rows = []
    for (kappa_2, kappa_3), value in zip(CLASS, found["far"], strict=True):
        law = scaling_law(ALPHA, BETA, "general-momentum", kappa_2=kappa_2, kappa_3=kappa_3)
        gap = value - law.floor_time
        rows.append((kappa_2, kappa_3, f"{law.floor_time:.4f}", f"{value:.4f}", f"{gap:+.4f}"))
    table = markdown_table(("κ₂", "κ₃", "theory", "measured, d = 1e6..1e7", "gap"), rows)
    text = (
        "The power of d of the time to 2.5 times the floor at α = 1, β = 0.7. Theory is "
        "min(2α, (2α + κ₂)/(2 − κ₃)) between the line of stability κ₂ = 1 − 2ακ₃ (below it, "
        "nothing converges) and the line κ₂ = 2α(1 − κ₃), above which momentum gains nothing. "
        "Near that second line the two effective times stay comparable over many decades, so at "
        "d = 1e3..1e4 (right) much of the gain has not shown yet. Members of "
        "the class at larger sizes:\n\n"
    )
    return Section(text + table, {"floor_time_map": ("Two heat maps", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        fine_3, fine_2 = np.linspace(0, 1, 81), np.linspace(0, 2, 81)
        theory = [
            [
                min(2 * ALPHA, (2 * ALPHA + b) / (2 - c)) if b >= 1 - 2 * ALPHA * c else np.nan
                for c in fine_3
            ]
            for b in fine_2
        ]
        style = {"cmap": "viridis", "vmin": 1.3, "vmax": 2.0}
        left.pcolormesh(fine_3, fine_2, theory, **style)
        known = np.array(found["measured"], dtype=float)
        image = right.pcolormesh(found["kappa_3"], found["kappa_2"], known, **style)
        figure.colorbar(image, ax=(left, right), label="power of d")
        for ax, title in ((left, "theory"), (right, "measured, d = 1e3..1e4")):
            stable = [stability_line(ALPHA, c) for c in fine_3]
            ax.plot(fine_3, stable, color="red", label="stability")
            ax.plot(fine_3, [no_gain_line(ALPHA, c) for c in fine_3], color="pink", label="no gain")
            ax.set_xlabel("κ₃")
            ax.set_ylabel("κ₂")
            ax.set_title(title, fontsize="medium", loc="left")
        left.legend(fontsize="x-small")

    return draw
