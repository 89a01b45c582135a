"""Many seeds of `DANADecaying(gain="measured")` at once, kept in a folder as they go on.

In the eigenbasis, on arrays (runs, d): the measurements and C come from the optimizer's own
`gain._control`, one column a run; only the three updates are written anew, in NumPy.
`tests/torch/test_gain.py` holds them to the optimizer, step by step.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import hidim
from hidim.support.files import write_with
from hidim.torch._machine import gain

DELTA = 8.0
EVERY = 120.0  # seconds between two states on the disk
COLUMNS = ("t", "excess", "N", "C", "B", "share")
_BUFFERS = ("error", "momentum", "shadow")


def gradient(
    rng: np.random.Generator, root: np.ndarray, error: np.ndarray, batch: int, floor: float
) -> np.ndarray:
    """The mean gradient of a batch, drawn exactly from its law given the error: O(d).

    `root` are the roots of the eigenvalues; the samples' features enter through their projection
    on the error and, for what is orthogonal to it, one Gaussian vector as long as the residuals.
    """
    along = root * error
    size = math.sqrt(along @ along) + 1e-30
    along /= size
    fits = size * rng.standard_normal(batch)
    residuals = fits + math.sqrt(2 * floor) * rng.standard_normal(batch)
    free = rng.standard_normal(len(root), dtype=root.dtype.type)
    length = math.sqrt(residuals @ residuals)
    pull = (residuals @ fits) / size - length * float(along @ free)
    # Plain floats, so that arrays keep their precision.
    along *= pull / batch
    free *= length / batch
    free += along
    free *= root
    return free


def marks(steps: int) -> list[int]:
    """Steps to look at, four in a decade, the same for shorter and longer runs; and the last."""
    count = int(4 * math.log10(steps) + 1e-9)
    return sorted({*(round(10 ** (k / 4)) for k in range(4, count + 1)), steps})


@dataclass
class Run:
    """One seed: where it is, its generator, and a row of `COLUMNS` for each mark it has passed."""

    seed: int
    error: np.ndarray
    momentum: np.ndarray
    shadow: np.ndarray
    t: int = 0
    known: np.ndarray = field(default_factory=lambda: np.array(gain._START))
    rows: list[list[float]] = field(default_factory=list)
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    @classmethod
    def new(cls, seed: int, start: np.ndarray) -> Run:
        return cls(seed, start.copy(), np.zeros_like(start), np.zeros_like(start))

    def save(self, path: Path) -> None:
        arrays = {name: getattr(self, name) for name in (*_BUFFERS, "known", "seed", "t")}
        state = json.dumps(self.rng.bit_generator.state)
        rows = np.array(self.rows).reshape(-1, len(COLUMNS))
        write_with(path, lambda stream: np.savez(stream, **arrays, rows=rows, state=state))

    @classmethod
    def load(cls, path: Path) -> Run:
        with np.load(path) as kept:
            buffers = {name: kept[name] for name in (*_BUFFERS, "known")}
            run = cls(int(kept["seed"]), **buffers, t=int(kept["t"]), rows=kept["rows"].tolist())
            run.rng.bit_generator.state = json.loads(str(kept["state"]))
        return run


def advance(
    runs: list[Run],
    spectrum: hidim.Spectrum,
    batch: int,
    gamma_2: float,
    steps: int,
    save: Callable[[], None] = lambda: None,
) -> None:
    """Bring runs that stand at the same step to `steps`, all in one array.

    A run that overflows goes on without numbers and keeps the others as they are.
    """
    dtype = runs[0].error.dtype
    lam = np.asarray(spectrum.eigenvalues)
    root, floor = np.sqrt(lam).astype(dtype), float(spectrum.risk_floor)
    p, y, z = (np.stack([getattr(run, name) for run in runs]) for name in _BUFFERS)
    known = torch.from_numpy(np.stack([run.known for run in runs], axis=1))
    g, stops, saved = np.empty_like(p), set(marks(steps)), time.monotonic()

    def give_back(t: int) -> None:
        for i, run in enumerate(runs):
            run.t, run.known = t, known[:, i].numpy().copy()
            run.error, run.momentum, run.shadow = p[i], y[i], z[i]

    for t in range(runs[0].t, steps):
        for i, run in enumerate(runs):
            g[i] = gradient(run.rng, root, p[i], batch, floor)
        new, share = _step(p, y, z, g, known, float(t), gamma_2)
        known = new
        if t + 1 in stops:
            found = 0.5 * (p.astype(np.float64) ** 2 @ lam)
            columns = zip(runs, found, known.T, share, strict=True)
            for run, excess, own, part in columns:
                run.rows.append(
                    [t + 1, float(excess), float(own[3]), math.exp(own[2]),
                     float(gain.batch_of(own)), float(part)]
                )  # fmt: skip
        if time.monotonic() - saved > EVERY:
            give_back(t + 1)
            save()
            saved = time.monotonic()
    give_back(steps)
    save()


def _step(
    p: np.ndarray, y: np.ndarray, z: np.ndarray, g: np.ndarray, known: Any, t: float, gamma_2: float
) -> tuple[Any, Any]:
    """One update of (runs, d) in place: what is known then, and the noise's share of momentum."""
    forgetting = torch.tensor(DELTA / (DELTA + t), dtype=torch.float64)
    dots = [_dots(g, g), _dots(g, z), _dots(z, z), _dots(y, y), g.sum(axis=1)]
    sums = torch.from_numpy(np.stack(dots).astype(np.float64))
    share = known[0] * sums[2] / known[1].clamp(min=1e-30) / sums[3].clamp(min=1e-30)
    known, keep, push = gain._control(known, sums, forgetting, 1.0, gain._sign(t))
    z *= keep.numpy().astype(p.dtype)[:, None]
    z += push.numpy().astype(p.dtype)[:, None] * g
    y *= p.dtype.type(1 - forgetting.item())
    y += g
    gamma_3 = gamma_2 * gain.ratio({gain.KNOWN: known}, None).numpy().astype(p.dtype)
    p -= p.dtype.type(gamma_2) * g
    p -= gamma_3[:, None] * y
    return known, share


def _dots(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", a, b)


def rule_digest() -> str:
    """What distinguishes this rule's runs from those of a rule that was changed since."""
    source = "".join(map(inspect.getsource, (gain._control, gain.batch_of, gain.ratio)))
    numbers = {
        name: value for name, value in vars(gain).items() if isinstance(value, int | float | tuple)
    }
    return hashlib.sha256((source + repr(sorted(numbers.items()))).encode()).hexdigest()[:8]


def measured(
    folder: Path,
    name: str,
    spectrum: hidim.Spectrum,
    batch: int,
    gamma_2: float,
    steps: int,
    seeds: range,
) -> list[Run]:
    """The runs of these seeds up to `steps` at least, from what `folder` has of them.

    The folder keeps each run's buffers, generator and rows; those behind are brought along first.
    """
    start = np.sqrt(np.asarray(spectrum.error_sq)).astype(np.float32)
    paths = {seed: folder / f"{name}-{rule_digest()}-run{seed}.npz" for seed in seeds}
    runs = {
        seed: Run.load(path) if path.exists() else Run.new(seed, start)
        for seed, path in paths.items()
    }
    while (behind := min(run.t for run in runs.values())) < steps:
        lot = [run for run in runs.values() if run.t == behind]
        ahead = [run.t for run in runs.values() if run.t > behind]

        def save(lot: list[Run] = lot) -> None:
            for run in lot:
                run.save(paths[run.seed])

        advance(lot, spectrum, batch, gamma_2, min([*ahead, steps]), save)
    return list(runs.values())
