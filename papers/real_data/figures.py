"""The page's two figures: predicted curves with the runs on them, and gains beside outcomes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hidim.plots import colour_of, dress
from hidim.support.files import write_with
from papers.real_data.judge import CERTAIN, OUTCOMES, runs_at
from papers.real_data.measure import GRID, NAMES
from papers.real_data.stored import Entries

# Heavy and light tails, steep and flat spectra.
SHOWN = ("tumours relu:100", "digits grey-relu:300", "photographs centred", "trigrams centred")
_LAST = 1e6
_HIGHEST = 1e6  # the ratio at which a run that is lost is drawn
_COLOURS = ("#c0392b", "#e08a1e", "#8a8a8a", "#2c7fb8")


def draw(folder: Path, predicted: Entries, runs: Entries) -> None:
    """Write both into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "real-data-curves.png", (8.6, 6.4), lambda f: _curves(f, predicted, runs))
    _write(folder / "real-data-gains.png", (8.6, 4.0), lambda f: _gains(f, predicted, runs))


def _write(file: Path, size: tuple[float, float], paint: Callable[[Any], None]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    paint(figure)
    write_with(file, lambda stream: figure.savefig(stream, format="png", dpi=110))


def _curves(figure: Any, predicted: Entries, runs: Entries) -> None:
    """Risk over steps at batch 1; the floor dashed, error bars of two standard errors."""
    shown = [case for case in SHOWN if case in predicted] or list(predicted)[:4]
    for ax, case in zip(np.ravel(figure.subplots(2, 2)), shown, strict=False):
        told = predicted[case]
        for name in NAMES:
            one, colour = told["cases"][f"{name} 1"], colour_of(name)
            ran = runs[case][f"{name} 1"]["ours"]
            at = GRID[: len(one["excess"])]
            kept = at <= _LAST
            excess = np.array(one["excess"], float)[kept]
            ax.plot(at[kept], told["floor"] + excess, color=colour, linewidth=1.1, label=name)
            ax.errorbar(
                one["marks"], ran["risk"], yerr=2 * np.array(ran["stderr"]), fmt="o",
                color=colour, markersize=3.5, linewidth=0.9,
            )  # fmt: skip
        ax.axhline(told["floor"], color="#888888", linestyle="--", linewidth=0.8)
        dress(ax, x="optimizer steps", y="risk P")
        ax.set_title(f"{case}, B = 1", fontsize="small")
        ax.legend(frameon=False, fontsize="x-small")


def _gains(figure: Any, predicted: Entries, runs: Entries) -> None:
    """Left: gains of every case. Right: how far runs rose above the curve of the covariance."""
    left, right = figure.subplots(1, 2, width_ratios=(1.35, 1))
    cases = list(predicted)
    both = {rates: list(runs_at(rates, predicted, runs)) for rates in ("ours", "theirs")}
    for rates, colour, words in (
        ("theirs", "#c0392b", "rates from the covariance"),
        ("ours", "#2c7fb8", "rates from the rows"),
    ):
        x = [run.gain for run in both[rates]]
        y = [cases.index(run.case) + (0.2 if run.batch == 16 else -0.2) for run in both[rates]]
        left.plot(x, y, ".", color=colour, markersize=5, label=words)
    left.axvline(1.0, color="#444444", linewidth=0.8)
    dress(left, x="exact gain (upper: B = 1, lower: B = 16)", y="")
    left.set_yscale("linear")
    left.set_yticks(range(len(cases)), cases, fontsize="xx-small")
    left.invert_yaxis()
    left.legend(frameon=False, fontsize="x-small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    for outcome, colour in zip(OUTCOMES, _COLOURS, strict=True):
        mine = [run for run in both["theirs"] if run.outcome == outcome]
        highest = [min(float(np.max(run.risk / run.predicted)), _HIGHEST) for run in mine]
        right.plot(
            [run.gain for run in mine], highest, "o", color=colour, markersize=4, label=outcome
        )
    for gain, style in ((1.0, "-"), (CERTAIN, ":")):
        right.axvline(gain, color="#444444", linewidth=0.8, linestyle=style)
    dress(right, x="exact gain, rates from the covariance", y="run / its curve, at most")
    right.legend(frameon=False, fontsize="xx-small", loc="upper left")
