"""What is predicted of a case, and what its runs do: two functions, the first before the second.

Rates are `hidim.recommend(spectrum, name, batch)`, on the rows ("ours") and on their covariance
alone, `rows=False` ("theirs"). What runs is what the stored prediction holds, to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import hidim
from hidim.measure.tails import tail
from hidim.scaling.phases import phase_of
from hidim.support.json import decode, encode
from papers.real_data.sets import Case

NAMES = ("sgd", "sgd-momentum", "dana-constant", "dana-decaying")
BATCHES = (1, 16)
SEED = 1
MARKS = (10, 30, 100, 300, 1000, 3000, 10_000)
# Batches of 16 rows go to the last mark on as many modes as this, else to 1000.
FEW_MODES = 120
GRID = np.unique(np.round(10 ** np.arange(1.0, 8.001, 0.125)))
RTOL = 1e-5
TUNED = ("sgd", "dana-constant", "dana-decaying")


@dataclass(frozen=True)
class Plan:
    """How much is done.

    Attributes:
        runs: independent runs behind every mean.
        last: last step that is run, at the rates of the rows and at the covariance's.
        scales: factors on all rates for long horizons, beside 1.
        horizon: last step that is predicted.
    """

    runs: int = 64
    last: int = MARKS[-1]
    last_theirs: int = 3000
    scales: tuple[float, ...] = (0.25, 2.0**-4, 2.0**-6, 2.0**-8)
    horizon: float = 1e8

    @property
    def grid(self) -> np.ndarray:
        """The steps of a curve."""
        return GRID[self.horizon >= GRID]

    def until(self, batch: int, modes: int) -> int:
        """The last step that is run at the rates of the rows."""
        return self.last if batch == 1 or modes <= FEW_MODES else min(1000, self.last)

    def until_theirs(self, batch: int) -> int:
        """The last step that is run at the rates of the covariance."""
        return self.last_theirs if batch == 1 else min(1000, self.last_theirs)


WHOLE, QUICK = Plan(), Plan(runs=32, last=300, last_theirs=300, scales=(), horizon=1e3)


def predict_case(case: Case, plan: Plan = WHOLE) -> dict[str, Any]:
    """Spectrum, exponents, rates, gains, verdicts and curves of a case; nothing is sampled."""
    X, y = case.table()
    rows = hidim.Spectrum.from_data(X, y)
    bare = hidim.Spectrum.from_data(X, y, rows=False)
    found: dict[str, Any] = {
        "n": len(X),
        "d": X.shape[1],
        "k": int(np.count_nonzero(rows.eigenvalues)),
        "floor": rows.risk_floor,
        "start": rows.initial_risk,
        **exponents(rows),
        "cases": {},
    }
    for batch in BATCHES:
        for name in NAMES:
            found["cases"][f"{name} {batch}"] = _predicted(rows, bare, name, batch, plan)
    found["tuned"] = {name: _tuned(rows, found, name, plan) for name in TUNED}
    return found


def _predicted(rows: Any, bare: Any, name: str, batch: int, plan: Plan) -> dict[str, Any]:
    last = plan.until(batch, int(np.count_nonzero(rows.eigenvalues)))
    soon = plan.until_theirs(batch)
    ours, theirs = hidim.recommend(rows, name, batch), hidim.recommend(bare, name, batch)
    marks = [t for t in MARKS if t <= last]
    early = [t for t in MARKS if t <= soon]
    grid = plan.grid if batch == 1 else plan.grid[:0]  # optimizers are compared at batch 1
    at = np.union1d(grid, marks)
    curve = hidim.predict(rows, ours, at=at, batch_size=batch, rtol=RTOL)
    there = np.isin(at, marks)
    return {
        "ours": encode(ours),
        "theirs": encode(theirs),
        "marks": marks,
        "risk": curve.risk[there],
        "status": curve.status,
        "excess": curve.risk[np.isin(at, grid)] - rows.risk_floor,
        "risk_by_covariance": hidim.predict(bare, ours, at=marks, batch_size=batch).risk,
        "judged": _judged(rows, ours, last, batch),
        "theirs_marks": early,
        "theirs_by_covariance": hidim.predict(bare, theirs, at=early, batch_size=batch).risk,
        "theirs_judged": _judged(rows, theirs, soon, batch),
    }


def _judged(rows: Any, algorithm: Any, last: int, batch: int) -> dict[str, Any]:
    """What `stability` says before a run: the largest gain, and who carries it."""
    told = hidim.stability(rows, algorithm, last, batch)
    assert told.gain is not None
    assert told.rows is not None
    assert told.shares is not None
    return {
        "gain": float(np.max(told.gain)),
        "stable": told.stable,
        "carriers": float(1.0 / np.sum(told.shares**2)) if np.any(told.shares) else None,
        "row": int(told.rows[0]),
        "share": float(told.shares[0]),
    }


def _tuned(rows: Any, found: dict[str, Any], name: str, plan: Plan) -> dict[str, Any]:
    """Excess risk at batch 1 and smaller rates, for the best rate at every horizon."""
    ours = decode(found["cases"][f"{name} 1"]["ours"])
    curves = {"1": found["cases"][f"{name} 1"]["excess"]}
    for scale in plan.scales:
        slower = ours.scheduled(hidim.Constant(scale))
        curve = hidim.predict(rows, slower, at=plan.grid, batch_size=1, rtol=RTOL)
        curves[f"{scale:g}"] = curve.risk - rows.risk_floor
    return curves


def exponents(spectrum: Any) -> dict[str, Any]:
    """alpha and beta of lambda_j ~ j^(-2 alpha), lambda_j theta_j^2 ~ j^(-2 alpha - 2 beta).

    Over one window, that of `hidim.measure.tail`. alpha's range is the slopes of the window's
    halves. beta's interval is 95 % of Student's t about a line through the logarithms of means
    over half octaves of rank, together with alpha's range; phases are those of all corners.
    """
    seen = spectrum.eigenvalues > 0
    along, energy = spectrum.eigenvalues[seen], (spectrum.eigenvalues * spectrum.error_sq)[seen]
    try:
        fitted = tail(along)
    except ValueError:  # too few modes
        return {"alpha": None, "beta": None, "phase": None}
    low, high = sorted(half / 2 for half in fitted.halves)
    slope, error = _slope_of_means(energy, fitted.window)
    beta = [slope / 2 - fitted.alpha, (slope - error) / 2 - high, (slope + error) / 2 - low]
    corners = [(a, b) for a in (low, fitted.alpha, high) for b in beta]
    return {
        "window": list(fitted.window),
        "alpha": [fitted.alpha, low, high],
        "beta": beta,
        "phase": phase_of(fitted.alpha, beta[0]),
        "phases": sorted({phase_of(max(a, 1e-3), b) for a, b in corners}),
    }


def _slope_of_means(energy: np.ndarray, window: tuple[int, int]) -> tuple[float, float]:
    """s of energy ~ j^-s over the window, and half of its 95 % interval."""
    from scipy.stats import t as student

    first, last = window
    edges = np.unique(np.round(first * 2 ** np.arange(0, np.log2((last + 1) / first), 0.5)))
    edges = np.append(edges, last + 1).astype(int)
    if len(edges) > 3 and edges[-1] - edges[-2] < 0.3 * (edges[-2] - edges[-3]):
        edges = np.delete(edges, -2)
    pairs = list(pairwise(edges))
    x = np.array([np.mean(np.log(np.arange(a, b))) for a, b in pairs])
    y = np.array([np.log(np.mean(energy[a - 1 : b - 1])) for a, b in pairs])
    x = x - x.mean()
    slope = float(x @ y / (x @ x))
    left = y - y.mean() - slope * x
    freedom = len(x) - 2
    error = np.sqrt(left @ left / max(freedom, 1) / (x @ x))
    return -slope, float(error * student.ppf(0.975, freedom)) if freedom > 0 else float("inf")


def run_case(case: Case, predicted: dict[str, Any], plan: Plan = WHOLE) -> dict[str, Any]:
    """The runs at the rates that the prediction holds: mean risk and standard error."""
    rows = hidim.Spectrum.from_data(*case.table())
    found = {}
    for key, told in predicted["cases"].items():
        batch = int(key.split()[1])
        found[key] = {
            "ours": _run(rows, told["ours"], batch, told["marks"], plan.runs),
            "theirs": _run(rows, told["theirs"], batch, told["theirs_marks"], plan.runs),
        }
    return found


def _run(rows: Any, algorithm: Any, batch: int, marks: list[int], runs: int) -> dict[str, Any]:
    curve = hidim.simulate(
        rows, decode(algorithm), at=marks, batch_size=batch, runs=runs, seed=SEED, progress=False
    )
    return {"risk": curve.risk, "stderr": curve.stderr, "status": curve.status}
