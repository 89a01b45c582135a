"""What does a gain that measures itself give up to the best (c, kappa_3) of a grid?

    python benchmarks/gain.py curve --alpha 1 --batch 2 --steps 1e5 --runs 16 --out FOLDER
    python benchmarks/gain.py kappa --alpha 1 --batch 2 --steps 1e5 --runs 3 --out FOLDER
    python benchmarks/gain.py random --problems 100 --steps 1e4

`curve` runs `DANADecaying(gain="measured")` on PLRF(alpha, .7, 4096) in its eigenbasis, many seeds
at once (gain_runs.py), and predicts exactly the grid and what the runs' median gain, less of it and
more, would give in the mean ("followed"); `kappa` holds the same runs, which are kappa_3="auto"
too, to a sweep of kappa_3 with c_3 = 1, what a user would type (--runs 0: the sweep alone);
`random` counts divergences of the optimizer itself over random problems. The folder keeps the drawn
spectrum, runs and predictions as they come: the same command goes on where it was.
Results: docs/benchmarks/gain.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gain_runs import COLUMNS, DELTA, gradient, marks, measured, rule_digest

import hidim
from hidim.algorithms.schedules import Schedule
from hidim.support.stores import read_result, write_result
from hidim.torch import DANADecaying

FACTORS = (0.35, 0.5, 0.7, 1.0, 1.4)  # of the measured C / N: would less or more have been better?
KAPPAS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.9)
CS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)


@dataclass(frozen=True)
class Capped(Schedule):
    """scale min(c (1+t)^-kappa, 1): the grid's momentum rate."""

    scale: float
    c: float
    kappa: float

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        return self.scale * xp.clip(self.c * (1 + xp.asarray(t)) ** -self.kappa, None, 1.0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return (self.c ** (1 / self.kappa) - 1,) if self.c > 1 else ()

    @property
    def resolution(self) -> float:
        return np.inf


@dataclass(frozen=True)
class Followed(Schedule):
    """scale min(ratio, 1), the ratio a line in the logarithms between steps: what runs measured."""

    scale: float
    steps: tuple[float, ...]
    ratios: tuple[float, ...]

    def __call__(self, t: Any, xp: Any = np) -> np.ndarray:
        place = xp.log(1 + xp.asarray(t, float))
        ratio = xp.exp(xp.interp(place, np.log(self.steps), np.log(self.ratios)))
        return self.scale * xp.clip(ratio, None, 1.0)

    @property
    def breakpoints(self) -> tuple[float, ...]:
        return tuple(step - 1 for step in self.steps)

    @property
    def resolution(self) -> float:
        return np.inf


def rate(spectrum: hidim.Spectrum, batch: int, share: float = 0.25) -> float:
    """SGD's rate with `share` of its noise returning, and at most half the first mode's edge."""
    lam = np.asarray(spectrum.eigenvalues)
    return float(min(2 * share * batch / lam.sum(), 0.5 / lam[0]))


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What the file holds, or what `make` returns, which it then holds."""
    if not path.exists():
        write_result(path, make())
    return read_result(path)


class Study:
    """One problem, batch and rate, and the folder with all that is known of it."""

    def __init__(self, arguments: argparse.Namespace, folder: Path) -> None:
        a = arguments
        self.steps, self.batch, self.folder = int(a.steps), a.batch, folder
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"alpha{a.alpha:g}.npz"
        if not file.exists():  # drawing it takes a minute
            hidim.PLRF(a.alpha, 0.7, 4096, v=8192).spectrum(seed=0).save(file)
        self.spectrum = hidim.Spectrum.load(file)
        self.gamma_2 = rate(self.spectrum, a.batch, a.share)
        self.name = f"alpha{a.alpha:g}-batch{a.batch}-share{a.share:g}"
        self.seeds = range(a.seed, a.seed + a.runs)
        self.runs_name = f"{rule_digest()}-runs{a.seed}to{a.seed + a.runs}"
        self.at = marks(self.steps)

    def runs(self) -> dict[int, np.ndarray]:
        """At each mark one row of `COLUMNS` for each seed."""
        if not self.seeds:
            return {}
        given = (self.name, self.spectrum, self.batch, self.gamma_2, self.steps, self.seeds)
        tables = [np.array(run.rows) for run in measured(self.folder, *given)]
        return {t: np.concatenate([rows[rows[:, 0] == t] for rows in tables]) for t in self.at}

    def predicted(self, name: str, gamma_3: float | Schedule) -> list[float]:
        """Expected excess at the marks, infinite where the momentum diverges; kept by `name`."""

        def make() -> list[float]:
            algorithm = hidim.Momentum(1.0, self.gamma_2, gamma_3, hidim.Forgetting(DELTA))
            found = hidim.predict(
                self.spectrum, algorithm, self.steps, batch_size=self.batch, at=self.at, rtol=1e-4
            )
            whole = [np.inf] * len(self.at)
            return [float(x) for x in found.excess] if found.status == "ok" else whole

        file = self.folder / f"{self.name}-steps{self.steps}-{name}.json"
        return list(kept(file, make))


def summary(rows: np.ndarray) -> dict[str, float]:
    """Mean over seeds with its standard error, median and middle half; typical N, C and share."""
    excess = rows[:, COLUMNS.index("excess")]
    error = float(np.std(excess, ddof=1) / np.sqrt(len(excess))) if len(excess) > 1 else np.nan
    low, median, high = (float(x) for x in np.quantile(excess, [0.25, 0.5, 0.75]))
    middle = {name: float(np.median(rows[:, COLUMNS.index(name)])) for name in COLUMNS[2:]}
    return {"mean": float(excess.mean()), "error": error, "median": median, "low": low,
            "high": high, **middle}  # fmt: skip


def curve(study: Study) -> dict[str, Any]:
    """Measured runs beside the best (c, kappa) of the grid, chosen anew at every mark."""
    tables = study.runs()
    grid = {
        (c, kappa): study.predicted(f"c{c:g}-kappa{kappa:g}", Capped(study.gamma_2, c, kappa))
        for kappa in KAPPAS
        for c in CS
    }
    sgd = study.predicted("sgd", 0.0)
    lam = np.asarray(study.spectrum.eigenvalues)
    rows = []
    for i, t in enumerate(study.at):
        best = min(grid, key=lambda given: grid[given][i])
        exact = float(np.sum(lam / (lam + DELTA / (DELTA + t) / study.gamma_2)))
        row = {"t": t, "best": grid[best][i], "c": best[0], "kappa": best[1], "sgd": sgd[i],
               "exact": exact, "best_C": min(best[0] * (1 + t) ** -best[1], 1) * exact}  # fmt: skip
        if tables:
            found = summary(tables[t])
            row |= found | {"ratio": found["mean"] / row["best"]}
        rows.append(row)
    if tables:
        ratios = [min(row["C"] / row["N"], 1.0) for row in rows]
        for factor in FACTORS:
            given = tuple(factor * ratio for ratio in ratios)
            gain = Followed(study.gamma_2, tuple(map(float, study.at)), given)
            followed = study.predicted(f"{study.runs_name}-times{factor:g}", gain)
            for row, value in zip(rows, followed, strict=True):
                row.setdefault("followed", {})[factor] = value
    return {"gamma_2": study.gamma_2, "rows": rows}


def swept(study: Study) -> dict[str, Any]:
    """kappa_3="auto" at the last step, and the exact excess of each kappa_3 of a sweep."""
    tables = study.runs()
    sweep = {}
    for kappa in np.round(np.arange(0.05, 1.01, 0.05), 2).tolist():
        power = hidim.PowerLaw(study.gamma_2, kappa)
        sweep[kappa] = study.predicted(f"power{kappa:g}", power)[-1]
    best = min(sweep, key=sweep.__getitem__)
    found: dict[str, Any] = {"sweep": sweep, "best_kappa": best, "best": sweep[best]}
    if tables:
        auto = summary(tables[study.steps])
        gain = min(auto["C"] / auto["N"], 1)
        found |= {"auto": auto, "auto_kappa": float(-np.log(gain) / np.log1p(study.steps)),
                  "ratio": auto["mean"] / sweep[best]}  # fmt: skip
    return found


def run(
    spectrum: hidim.Spectrum, batch: int, gamma_2: float, steps: int, seed: int
) -> list[dict[str, float]]:
    """Excess risk at log-spaced steps of the optimizer itself."""
    lam = np.asarray(spectrum.eigenvalues)
    root, floor = np.sqrt(lam).astype(np.float32), float(spectrum.risk_floor)
    start = np.sqrt(np.asarray(spectrum.error_sq)).astype(np.float32)
    p = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = DANADecaying([p], lr=gamma_2, delta=DELTA, gain="measured")
    error, rng = p.detach().numpy(), np.random.default_rng(seed)
    stops = set(marks(steps))
    rows: list[dict[str, float]] = []
    for t in range(steps):
        p.grad = torch.from_numpy(gradient(rng, root, error, batch, floor))
        optimizer.step()
        if t + 1 in stops:
            excess = float(0.5 * np.sum(lam * error.astype(np.float64) ** 2))
            rows.append({"t": t + 1, "excess": excess})
            if not excess < 1e6:
                break
    return rows


def random(arguments: argparse.Namespace) -> dict[str, Any]:
    """Random problems: 2 alpha from .8 to 2.5, any beta, batch, rate and floor."""
    rng = np.random.default_rng(arguments.seed)
    ends: list[float] = []
    tops: list[float] = []
    for number in range(arguments.problems):
        d, two_alpha = int(rng.choice([64, 256, 1024])), rng.uniform(0.8, 2.5)
        beta, batch = rng.uniform(0.1, 1.3), int(rng.choice([1, 2, 4, 16, 128]))
        j = np.arange(1, d + 1.0)
        floor = float(rng.choice([0.0, 1e-4, 1e-2]))
        spectrum = hidim.Spectrum(j**-two_alpha, j ** (-2 * beta), floor)
        gamma_2 = rate(spectrum, batch, rng.uniform(0.02, 0.35))
        rows = run(spectrum, batch, gamma_2, int(arguments.steps), number)
        start = 0.5 * float(np.sum(j**-two_alpha * j ** (-2 * beta)))
        ends.append(rows[-1]["excess"] / start)
        tops.append(max(row["excess"] for row in rows) / start)
        said = f"{number} 2a {two_alpha:.2f} B {batch} d {d} end {ends[-1]:.1e} top {tops[-1]:.1e}"
        print(said, file=sys.stderr, flush=True)
    return {"ends": len(ends), "above_start": sum(not end < 1 for end in ends),
            "highest_on_the_way": max(tops), "median_end": float(np.median(ends))}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("curve", "kappa", "random"))
    parser.add_argument("--alpha", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=float, default=1e5)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder that keeps what curve and kappa find")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("alpha", "batch", "steps", "runs", "seed")}
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:
        if arguments.what == "random":
            found = random(arguments)
        else:
            study = Study(arguments, arguments.out or Path(scratch))
            found = given | {"curve": curve, "kappa": swept}[arguments.what](study)
    json.dump(found | {"seconds": time.process_time() - began}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
