"""The phase diagram, with the region where DANA outscales SGD."""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.scaling.law import scaling_law
from hidim.scaling.phases import PHASES, phase_of
from papers.report import Section

TITLE = "The phase diagram"
SOURCE = "arXiv 2505.16098: phases, and where DANA outscales SGD."


def measure() -> dict[str, Any]:
    """Phases on a fine grid; the gain in eta on a coarser one."""
    fine_a, fine_b = np.linspace(0.005, 1.8, 181), np.linspace(0.005, 1.8, 181)
    phase = [[PHASES.index(phase_of(a, b)) for a in fine_a] for b in fine_b]
    a, b = np.linspace(0.02, 1.8, 46), np.linspace(0.02, 1.8, 46)
    gain = {
        name: [[scaling_law(x, y, name).eta - scaling_law(x, y, "sgd").eta for x in a] for y in b]
        for name in ("dana-constant", "dana-decaying")
    }
    return {"fine": [fine_a, fine_b], "phase": phase, "coarse": [a, b], "gain": gain}


def report(found: dict[str, Any]) -> Section:
    """The diagram and the two maps of the gain."""
    grid = np.array(found["coarse"][0])
    gains = {name: np.array(table) for name, table in found["gain"].items()}
    below = grid < 0.5 - 1e-9
    largest = max(float(np.abs(table[:, below]).max()) for table in gains.values())
    third = np.array([[0.5 < x < 0.75 and y > x and y > 0.5 for x in grid] for y in grid])
    same = float(np.abs(gains["dana-constant"][third]).max())
    text = (
        "Closed forms. Left: the phases; centre and right: by how much each DANA raises the loss "
        f"exponent η over SGD's. Below 2α = 1 the gain is {largest:.1g} everywhere; DANA-constant "
        f"gains {same:.1g} in phase III for α < 3/4, where only its time to the floor is shorter; "
        "DANA-decaying gains everywhere above the line."
    )
    return Section(text, {"phase_diagram": ("Phases and gains", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    places = {"Ia": (1.1, 0.25), "Ib": (0.33, 0.33), "Ic": (0.11, 1.1), "II": (1.4, 0.85),
              "III": (0.9, 1.4), "IVa": (0.39, 1.3), "IVb": (0.265, 0.8)}  # fmt: skip

    def draw(figure: Any) -> None:
        left, *others = figure.subplots(1, 3)
        a, b = found["fine"]
        left.pcolormesh(a, b, found["phase"], cmap="Pastel1", vmin=0, vmax=8)
        for name, (x, y) in places.items():
            left.text(x, y, name, ha="center", va="center", fontsize=8)
        a, b = found["coarse"]
        for ax, (name, table) in zip(others, found["gain"].items(), strict=True):
            image = ax.pcolormesh(a, b, table, cmap="Reds", vmin=0, vmax=0.35)
            ax.set_title(f"η gained by {name}", fontsize="medium", loc="left")
        figure.colorbar(image, ax=others)
        for ax in (left, *others):
            ax.plot([0, 0.5, 0.5], [0.5, 0, 0.5], color="k", linewidth=0.4)
            ax.axvline(0.5, color="k", linewidth=0.6)
            ax.axhline(0.5, color="k", linewidth=0.6)
            ax.plot([0.5, 1.8], [0.5, 1.8], color="k", linewidth=0.6)
            ax.set_xlabel("α")
            ax.set_xlim(0, 1.8)
            ax.set_ylim(0, 1.8)
        left.set_ylabel("β")

    return draw
