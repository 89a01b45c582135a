"""Compute-optimal exponents far out, times to the floor, and the data that DANA saves."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim import frontier
from hidim.measure import measure_exponent, time_to_multiple
from hidim.plots import colour_of, dress
from hidim.studies import Recipe, run_ladder
from hidim.studies.ladder import sizes_between
from papers.report import Section, markdown_table

TITLE = "Compute-optimal exponents far out, and the data that DANA saves"
SOURCE = "arXiv 2505.16098: table of exponents; data at the compute optimum."

POINTS = {1.0: (0.3, 0.7, 1.5), 1.2: (0.8,), 1.5: (0.8,), 0.7: (1.2,)}
NAMES = ("sgd", "dana-constant", "dana-decaying")
SCALE = (0.5, 0.5)  # gamma_2 in units of 1 / trace, gamma_3 in units of gamma_2


def measure() -> dict[str, Any]:
    """Frontiers and times to 2.5 floors on ladders up to d = 1e8 (1e9 at alpha = 0.7)."""
    rows = []
    for alpha, betas in POINTS.items():
        sizes = sizes_between(1e5, 1e9 if alpha == 0.7 else 1e8, 4)
        for name in NAMES:
            for ladder in run_ladder(alpha, list(betas), Recipe(name, *SCALE), sizes=sizes):
                line = frontier(ladder.curves)
                pairs = zip(ladder.curves, ladder.floors, strict=True)
                times = np.array([time_to_multiple(curve, floor) for curve, floor in pairs])
                ok = np.isfinite(times)
                slope = np.nan
                if ok.sum() > 1:
                    slope = measure_exponent(ladder.sizes[ok], times[ok], last_decades=1).value
                last = line.flops >= line.flops[-1] / 100
                local = measure_exponent(line.flops[last], 1 / line.risk[last]).local
                rows.append(
                    {
                        "alpha": alpha,
                        "beta": ladder.beta,
                        "name": name,
                        "eta": [ladder.law.eta, line.eta.value, local[::4], line.eta.drift],
                        "xi": [ladder.law.xi, line.xi.value],
                        "floor_time": [ladder.law.floor_time, slope],
                        "frontier": [line.flops, line.d, line.risk],
                    }
                )
    return {"rows": rows}


def report(found: dict[str, Any]) -> Section:
    """The table, and steps against flops at (1, 0.7)."""
    cells = []
    for row in found["rows"]:
        slope = row["floor_time"][1]
        cells.append(
            (
                f"({row['alpha']:g}, {row['beta']:g})",
                row["name"],
                f"{row['eta'][0]:.4f}",
                f"{row['eta'][1]:.4f}",
                f"{row['eta'][3]:+.4f}",
                f"{row['xi'][0]:.4f}",
                f"{row['xi'][1]:.4f}",
                f"{row['floor_time'][0]:.4f}",
                "-" if slope is None else f"{slope:.4f}",
                f"{row['frontier'][0][-1]:.0e}",
            )
        )
    header = ("(α, β)", "optimizer", "η", "measured", "drift", "ξ", "measured", "floor after d^",
              "measured", "flops up to")  # fmt: skip
    gaps = [abs(row["eta"][1] - row["eta"][0]) for row in found["rows"]]
    slowest = found["rows"][int(np.argmax(gaps))]
    text = (
        "Powers in the window of flops that the frontier chooses, with the drift of η from its "
        "earlier half to its later, on exact curves with d from 1e5 to 1e8 (1e9 at "
        "α = 0.7). The time is that to 2.5 times the floor, over the last decade of d.\n\n"
        + markdown_table(header, cells)
        + f"\n\nThe slowest to settle is {slowest['name']} at "
        f"({slowest['alpha']:g}, {slowest['beta']:g}): its η from half decade to half decade is "
        + ", ".join(f"{x:.3f}" for x in slowest["eta"][2])
        + f", rising towards {slowest['eta'][0]:.4f}.\n\n"
        "At the compute optimum the steps are flops / d*, so a larger ξ means a larger model and "
        "less data: DANA-decaying reaches the same risk with less data than SGD (figure)."
    )
    return Section(text, {"compute_optimal": ("Frontier and data at (1, 0.7)", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for row in found["rows"]:
            if (row["alpha"], row["beta"]) != (1.0, 0.7):
                continue
            flops, d, risk = (np.array(x) for x in row["frontier"])
            colour = colour_of(row["name"])
            left.plot(flops, risk, color=colour, label=row["name"])
            right.plot(risk, flops / d, color=colour)
        dress(left, x="flops", y="compute-optimal risk")
        dress(right, x="compute-optimal risk", y="steps (samples) used")
        right.invert_xaxis()
        left.legend(frameon=False, fontsize="x-small")

    return draw
