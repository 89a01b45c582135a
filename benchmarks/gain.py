"""What does a gain that measures itself give up to the best (c, kappa_3) of a grid?

    python benchmarks/gain.py curve --alpha 1 --batch 2 --steps 1e5 [--write FOLDER]
    python benchmarks/gain.py kappa --alpha 1 --batch 2 --steps 1e5 --runs 3
    python benchmarks/gain.py random --problems 100 --steps 1e4

`curve` runs `DANADecaying(gain="measured")` on PLRF(alpha, .7, 4096) in its eigenbasis and predicts
the grid exactly; `kappa` holds kappa_3="auto" to a sweep of kappa_3 with c_3 = 1, what a user would
type (--runs 0: the sweep alone); `random` counts divergences over random problems. Gradients of a
batch are drawn exactly from their law given the residuals, at O(d) a step. Results:
docs/benchmarks/gain.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

import hidim
from hidim.algorithms.schedules import Schedule
from hidim.torch import DANADecaying
from hidim.torch._machine import gain

DELTA = 8.0


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


def gradients(spectrum: hidim.Spectrum, batch: int, seed: int) -> Any:
    """A function of the error that draws a batch's gradient, in the eigenbasis."""
    rng = np.random.default_rng(seed)
    lam = np.asarray(spectrum.eigenvalues)
    root = np.sqrt(lam).astype(np.float32)
    floor = float(spectrum.risk_floor)

    def draw(error: np.ndarray) -> np.ndarray:
        along = root * error
        size = float(np.sqrt(along @ along)) + 1e-30
        along /= size
        fits = size * rng.standard_normal(batch)
        residuals = fits + np.sqrt(2 * floor) * rng.standard_normal(batch)
        free = rng.standard_normal(len(root), dtype=np.float32)
        length = np.sqrt(residuals @ residuals)
        pull = (residuals @ fits) / size - length * (along @ free)
        return root * (along * np.float32(pull) + free * np.float32(length)) / np.float32(batch)

    return draw


def run(
    spectrum: hidim.Spectrum, batch: int, gamma_2: float, steps: int, seed: int, **options: Any
) -> list[dict[str, float]]:
    """Excess risk, measured N beside the exact one, and C, at log-spaced steps."""
    lam = np.asarray(spectrum.eigenvalues)
    start = np.sqrt(np.asarray(spectrum.error_sq)).astype(np.float32)
    p = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = DANADecaying([p], lr=gamma_2, delta=DELTA, **options)
    error, draw = p.detach().numpy(), gradients(spectrum, batch, seed)
    marks = set(np.unique(np.geomspace(10, steps, 9).astype(int)))
    rows: list[dict[str, float]] = []
    for t in range(steps):
        p.grad = torch.from_numpy(draw(error))
        optimizer.step()
        if t + 1 in marks:
            excess = float(0.5 * np.sum(lam * error.astype(np.float64) ** 2))
            known = optimizer.param_groups[0].get(gain.KNOWN, gain._START)
            exact = float(np.sum(lam / (lam + DELTA / (DELTA + t) / gamma_2)))
            rows.append(
                {"t": t + 1, "excess": excess, "N": known[3], "exact": exact,
                 "C": float(np.exp(known[2])), "B": gain.batch_of(known)}
            )  # fmt: skip
            if not excess < 1e6:
                break
    return rows


def rate(spectrum: hidim.Spectrum, batch: int, share: float = 0.25) -> float:
    """SGD's rate with `share` of its noise returning, and at most half the first mode's edge."""
    lam = np.asarray(spectrum.eigenvalues)
    return float(min(2 * share * batch / lam.sum(), 0.5 / lam[0]))


def problem(arguments: argparse.Namespace) -> hidim.Spectrum:
    """The one drawn problem of this alpha."""
    if arguments.spectrum:  # drawing one takes minutes: kept by `hidim.Spectrum.save`
        return hidim.Spectrum.load(arguments.spectrum)
    return hidim.PLRF(arguments.alpha, 0.7, 4096, v=8192).spectrum(seed=0)


def swept(arguments: argparse.Namespace) -> dict[str, Any]:
    """kappa_3="auto" at the last step, and the exact excess of each kappa_3 of a sweep."""
    spectrum, batch, steps = problem(arguments), arguments.batch, int(arguments.steps)
    gamma_2 = rate(spectrum, batch, arguments.share)
    began = time.process_time()
    ends = [
        run(spectrum, batch, gamma_2, steps, arguments.seed + i, kappa_3="auto")[-1]
        for i in range(arguments.runs)
    ]
    sweep = {}
    for kappa in np.round(np.arange(0.05, 1.01, 0.05), 2).tolist():
        algorithm = hidim.Momentum(
            1.0, gamma_2, hidim.PowerLaw(gamma_2, kappa), hidim.Forgetting(DELTA)
        )
        found = hidim.predict(spectrum, algorithm, steps, batch_size=batch, at=[steps], rtol=1e-4)
        sweep[kappa] = float(found.excess[-1]) if found.status == "ok" else np.inf
    best = min(sweep, key=sweep.__getitem__)
    auto = [end["excess"] for end in ends]
    known = [float(-np.log(min(end["C"] / end["N"], 1)) / np.log1p(steps)) for end in ends]
    return {"alpha": arguments.alpha, "batch": batch, "steps": steps, "sweep": sweep,
            "best_kappa": best, "best": sweep[best], "auto": auto, "auto_kappa": known,
            "ratio": float(np.mean(auto)) / sweep[best] if auto else None,
            "seconds": time.process_time() - began}  # fmt: skip


def curve(arguments: argparse.Namespace) -> dict[str, Any]:
    batch, steps = arguments.batch, int(arguments.steps)
    spectrum = problem(arguments)
    gamma_2 = rate(spectrum, batch, arguments.share)
    began = time.process_time()
    runs = [
        run(spectrum, batch, gamma_2, steps, arguments.seed + i, gain="measured")
        for i in range(arguments.runs)
    ]
    rows = runs[0]
    for i, row in enumerate(rows):  # the risk of one run fluctuates: their mean is compared
        row["excess"] = float(np.mean([found[i]["excess"] for found in runs]))
    at = [int(row["t"]) for row in rows]
    best = dict.fromkeys(at, (np.inf, 0.0, 0.0))
    for kappa in (0.3, 0.4, 0.5, 0.6, 0.7, 0.9):
        for c in (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0):
            algorithm = hidim.Momentum(
                1.0, gamma_2, Capped(gamma_2, c, kappa), hidim.Forgetting(DELTA)
            )
            found = hidim.predict(spectrum, algorithm, steps, batch_size=batch, at=at, rtol=1e-4)
            if found.status == "ok":
                for t, value in zip(at, found.excess, strict=True):
                    best[t] = min(best[t], (float(value), c, kappa))
    plain = hidim.Momentum(1.0, gamma_2, 0.0, hidim.Forgetting(DELTA))
    sgd = hidim.predict(spectrum, plain, steps, batch_size=batch, at=at, rtol=1e-4).excess
    for row, without in zip(rows, sgd, strict=True):
        row["best"], row["best_c"], row["best_kappa"] = best[int(row["t"])]
        row["sgd"] = float(without)
        row["ratio"] = row["excess"] / row["best"]
    given = {name: getattr(arguments, name) for name in ("alpha", "batch", "seed", "share")}
    return given | {"gamma_2": gamma_2, "rows": rows, "seconds": time.process_time() - began}


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
        rows = run(spectrum, batch, gamma_2, int(arguments.steps), number, gain="measured")
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
    parser.add_argument("--spectrum", help="a file of Spectrum.save")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=float, default=1e5)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--problems", type=int, default=100)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    json.dump(
        {"curve": curve, "kappa": swept, "random": random}[arguments.what](arguments), sys.stdout
    )
    print()


if __name__ == "__main__":
    main()
