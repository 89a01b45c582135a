"""Do the predictions hold on these runs, and does DANA outscale SGD on these spectra?

Reads what is stored and nothing else. A point is one run's mean risk at one step; its error is
|run / predicted - 1|, Monte Carlo noise included.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.curve import DIVERGENCE_FACTOR
from papers.real_data.measure import GRID
from papers.real_data.stored import Entries

GAIN_LIMIT, CERTAIN = 0.5, 1.75
RISEN, ERRORS = 1.5, 4.0
BANDS = ("gain < 1", "1 to 1.75", "gain > 1.75")
OUTCOMES = (
    "beyond 1000 times the start",
    "above 1.5 times, by more than 4 s.e.",
    "above 1.5 times, within 4 s.e.",
    "below",
)
# Of the start: an excess below this is learned to the last digit that is kept.
_LEARNED = 1e-9


@dataclass(frozen=True)
class Run:
    """One algorithm at one batch on one case, predicted and run at the same rates.

    Attributes:
        marks, risk, stderr, predicted: the points; risk is infinite where runs are lost.
        by_covariance: what the covariance alone predicts.
        judged: gain, verdict and who carries it, said before the run.
    """

    case: str
    name: str
    batch: int
    start: float
    marks: np.ndarray
    risk: np.ndarray
    stderr: np.ndarray
    predicted: np.ndarray
    by_covariance: np.ndarray
    judged: dict[str, Any]

    @property
    def gain(self) -> float:
        """Infinite where a mode grows by itself."""
        gain = self.judged["gain"]
        return np.inf if gain is None else float(gain)

    @property
    def error(self) -> np.ndarray:
        """|run / predicted - 1| at the marks."""
        return np.abs(self.risk / self.predicted - 1.0)

    @property
    def outcome(self) -> str:
        """How far the run rose above the prediction, one of `OUTCOMES`."""
        if np.any(self.risk > DIVERGENCE_FACTOR * self.start):
            return OUTCOMES[0]
        above = self.risk - RISEN * self.predicted
        if np.any(above > ERRORS * self.stderr):
            return OUTCOMES[1]
        return OUTCOMES[2] if np.any(above > 0) else OUTCOMES[3]


def runs_at(rates: str, predicted: Entries, runs: Entries) -> Iterator[Run]:
    """The runs at the rates of the rows, "ours", or at those of the covariance, "theirs"."""
    for case, told in predicted.items():
        for key, one in told["cases"].items():
            name, batch = key.split()
            ran = runs[case][key][rates]
            ours = rates == "ours"
            alone = one["risk_by_covariance" if ours else "theirs_by_covariance"]
            yield Run(
                case, name, int(batch), told["start"],
                np.array(one["marks" if ours else "theirs_marks"]),
                _numbers(ran["risk"]), _numbers(ran["stderr"]),
                _numbers(one["risk"] if ours else alone), _numbers(alone),
                one["judged" if ours else "theirs_judged"],
            )  # fmt: skip


def _numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.inf if value is None else value for value in values])


@dataclass(frozen=True)
class Line:
    """One thing that must hold: what, whether it does, what was found, and where it fails."""

    claim: str
    held: bool
    found: str
    fails: tuple[str, ...] = ()


def lines(predicted: Entries, runs: Entries) -> list[Line]:
    """What is asked of predictions on real rows."""
    ours = list(runs_at("ours", predicted, runs))
    theirs = list(runs_at("theirs", predicted, runs))
    within = [run for run in ours if run.gain <= GAIN_LIMIT]
    errors = np.concatenate([run.error for run in within])
    median, share = 100 * np.median(errors), 100 * np.mean(errors <= 0.05)
    far = tuple(
        f"{_where(run)} at step {t}: {error:.1%} off, ± {noise:.1%}"
        for run in within
        for t, error, noise in zip(run.marks, run.error, run.stderr / run.predicted, strict=True)
        if error > 0.05
    )
    risen = tuple(_where(run) for run in ours if run.outcome in OUTCOMES[:2])
    both = [(run, "recommended from rows") for run in ours]
    both += [(run, "recommended from the covariance") for run in theirs]
    certain = [pair for pair in both if pair[0].gain > CERTAIN]
    holding = [pair for pair in both if pair[0].gain < 1.0]
    missed = [(r, w) for r, w in certain if r.judged["stable"]]
    blamed = [(r, w) for r, w in holding if not r.judged["stable"]]
    wrong = tuple(
        f"{_where(run)}, rates {words}, gain {run.gain:.3g}" for run, words in missed + blamed
    )
    return [
        Line(
            "median error at most 1 % wherever the gain is at most 1/2", bool(median <= 1.0),
            f"{median:.2f} % over {len(errors)} points of {len(within)} of {len(ours)} runs",
        ),
        Line(
            "95 % of these points within 5 %", bool(share >= 95.0),
            f"{share:.1f} %; worst {errors.max():.1%}", far,
        ),
        Line(
            "no run at the rates recommended from rows rises above 1.5 times its predicted curve "
            "by more than 4 standard errors", not risen, f"{len(risen)} of {len(ours)}", risen,
        ),
        Line(
            "every case with a gain above 1.75 is named unstable before it runs, none below 1",
            not wrong,
            f"{len(certain) - len(missed)} of {len(certain)} above are named, {len(blamed)} of "
            f"{len(holding)} below", wrong,
        ),
    ]  # fmt: skip


def _where(run: Run) -> str:
    return f"{run.case}, {run.name}, B = {run.batch}"


def confusion(predicted: Entries, runs: Entries) -> dict[str, dict[str, int]]:
    """Outcome -> band of the gain -> how many runs at the rates of the covariance."""
    table = {outcome: dict.fromkeys(BANDS, 0) for outcome in OUTCOMES}
    for run in runs_at("theirs", predicted, runs):
        band = BANDS[int(run.gain >= 1.0) + int(run.gain > CERTAIN)]
        table[run.outcome][band] += 1
    return table


def between(predicted: Entries, runs: Entries) -> list[Run]:
    """Runs at the covariance's rates that neither are lost at a gain above 1 nor hold below it."""
    return [
        run
        for run in runs_at("theirs", predicted, runs)
        if run.outcome != OUTCOMES[0 if run.gain >= 1.0 else 3]
    ]


@dataclass(frozen=True)
class Race:
    """SGD and a DANA on one spectrum at batch 1, by excess risk over the floor.

    Attributes:
        fixed: horizon -> excess of SGD over that of DANA, both at the recommended rates.
        best: the same, each at the best of its scaled rates for this horizon.
        steps: horizon T -> how many times T SGD needs for the excess that DANA has at T, best
            rates; infinite where SGD has not reached it by the last step predicted.
        ran: horizon -> `fixed` by the runs, where they reach.
        edge: horizons whose best rate of either is the smallest tried.
    """

    case: str
    name: str
    fixed: dict[int, float]
    best: dict[int, float]
    steps: dict[int, float]
    ran: dict[int, float]
    edge: tuple[int, ...]


def race(case: str, predicted: Entries, runs: Entries, name: str, at: list[int]) -> Race:
    """Excess of SGD over DANA's; 1 is a tie, NaN where both have nothing left to learn."""
    told, ran = predicted[case], runs[case]
    sgd, dana = (np.array(list(told["tuned"][each].values()), float) for each in ("sgd", name))
    least = _LEARNED * (told["start"] - told["floor"])
    best_sgd, best_dana = (np.nanmin(curves, axis=0) for curves in (sgd, dana))
    smallest = [np.nanargmin(curves, axis=0) == len(curves) - 1 for curves in (sgd, dana)]
    place = {t: int(np.argmin(np.abs(GRID - t))) for t in at}

    def ratio(top: np.ndarray, bottom: np.ndarray, i: int) -> float:
        return float(top[i] / bottom[i]) if max(top[i], bottom[i]) > least else np.nan

    marks = told["cases"]["sgd 1"]["marks"]
    excess = {
        key: np.array(ran[f"{key} 1"]["ours"]["risk"], float) - told["floor"]
        for key in ("sgd", name)
    }
    return Race(
        case, name,
        {t: ratio(sgd[0], dana[0], i) for t, i in place.items()},
        {t: ratio(best_sgd, best_dana, i) for t, i in place.items()},
        {t: _later(best_sgd, best_dana, i, least) for t, i in place.items()},
        {t: float(excess["sgd"][i] / excess[name][i]) for i, t in enumerate(marks) if t in at},
        tuple(t for t, i in place.items() if smallest[0][i] or smallest[1][i]),
    )  # fmt: skip


def _later(sgd: np.ndarray, dana: np.ndarray, i: int, least: float) -> float:
    """Steps to SGD's first excess at or below dana[i], over those at i; powers between points."""
    level = dana[i]
    if not level > least:
        return np.nan
    reached = np.flatnonzero(sgd <= level)
    if not len(reached):
        return np.inf
    j = int(reached[0])
    if j == 0:
        return float(GRID[0] / GRID[i])
    x, y = np.log(GRID[j - 1 : j + 1]), np.log(sgd[j - 1 : j + 1])
    return float(np.exp(x[0] + (x[1] - x[0]) * (np.log(level) - y[0]) / (y[1] - y[0])) / GRID[i])


def slope_of_steps(told: Race) -> float | None:
    """How the effective time grows: of log(T x steps) against log T, between T = 1e3 and 1e5."""
    first, last = told.steps[1000], told.steps[100_000]
    if not (np.isfinite(first) and np.isfinite(last)):
        return None
    return 1.0 + float(np.log(last / first) / np.log(100.0))
