"""Figure 1: single runs over the prediction, and four optimizers over ten sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

import hidim
from hidim.plots import colour_of, dress
from hidim.studies import Recipe, run_ladder
from papers.report import Section, markdown_table

TITLE = "Figure 1: loss curves of SGD, DANA and Schedule-Free SGD"
SOURCE = "arXiv 2505.16098, figure 1, left and middle. Ours: α = 1, β = 0.7 (theirs is not stated)."

NAMES = ("sgd", "dana-constant", "dana-decaying", "schedule-free-sgd")
SCALE = (0.5, 0.5)  # gamma_2 in units of 1 / trace, gamma_3 in units of gamma_2
ALPHA, BETA, SHOWN = 1.0, 0.7, 400


def measure() -> dict[str, Any]:
    """Curves at d = 100 * 2^i, and one run of each optimizer at d = 400."""
    found: dict[str, Any] = {"ladders": {}, "runs": {}}
    sizes = [100 * 2**i for i in range(1, 11)]
    for name in NAMES:
        ladder = run_ladder(ALPHA, BETA, Recipe(name, *SCALE), sizes=sizes, reach=3)
        found["ladders"][name] = {
            "curves": [[c.flops[1:], c.risk[1:]] for c in ladder.curves],
            "eta": hidim.frontier(ladder.curves).eta.value,
            "theory": ladder.law.eta,
        }
    problem = hidim.PLRF(ALPHA, BETA, SHOWN, 4 * SHOWN)
    at = np.unique(np.round(np.geomspace(1, 3e4, 60)))
    spectrum = problem.spectrum(seed=0)
    for name in NAMES[:3]:
        algorithm = Recipe(name, *SCALE).algorithm(ALPHA, BETA, SHOWN, spectrum.trace)
        run = hidim.simulate(spectrum, algorithm, runs=1, seed=1, at=at, progress=False)
        line = hidim.predict(spectrum, algorithm, at=at)
        found["runs"][name] = [at, run.risk, line.risk]
    return found


def report(found: dict[str, Any]) -> Section:
    """The figure, and the slopes of its frontiers."""
    rows = [
        (name, f"{row['theory']:.4f}", f"{row['eta']:.4f}")
        for name, row in found["ladders"].items()
    ]
    gaps = {
        name: np.abs(np.log(np.array(run) / np.array(line))).max()
        for name, (_, run, line) in found["runs"].items()
    }
    text = (
        "Left: one run of the algorithm (points) over its exact expectation (line) at d = 400. "
        f"The largest distance of a run from its expectation is {max(gaps.values()):.0%}. The "
        "momentum of DANA-constant leaves SGD near t = d (dashed). Right: exact curves at "
        "d = 100·2^i, i = 1..10; slopes of the frontiers in the windows that they choose:\n\n"
    )
    table = markdown_table(("optimizer", "η, theory", "η, measured, d ≤ 102,400"), rows)
    return Section(text + table, {"loss_curves": ("Risk against steps and flops", _draw(found))})


def _draw(found: dict[str, Any]):  # type: ignore[no-untyped-def]
    def draw(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for name, (at, run, line) in found["runs"].items():
            left.plot(at, run, ".", color=colour_of(name), markersize=4, alpha=0.6)
            left.plot(at, line, color=colour_of(name), label=name)
        left.axvline(SHOWN, color="#888888", linestyle="--", linewidth=0.8)
        dress(left, x="optimizer steps", y="risk P")
        left.legend(frameon=False, fontsize="x-small")
        for name, row in found["ladders"].items():
            for k, (flops, risk) in enumerate(row["curves"]):
                label = name if k == 0 else None
                right.plot(flops, risk, color=colour_of(name), linewidth=0.7, label=label)
        dress(right, x="flops", y="risk P")
        right.set_ylim(1e-9, 2)
        right.legend(frameon=False, fontsize="x-small")

    return draw
