"""What does one task of a plane do? A few recipes on a row of beta, at one alpha and size.

The row shares its spectra's nodes and the solver's matrices; a task takes seconds, so a worker that
is killed loses no more.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hidim._version import __version__
from hidim.algorithms.momentum import Momentum
from hidim.algorithms.named import lookup
from hidim.algorithms.records import BUILT_IN
from hidim.curve import log_steps
from hidim.engines.targets import predict_targets
from hidim.problems.power_law import spectra_at
from hidim.studies.ladder import Recipe, steps_to_watch
from hidim.support.files import write_with
from hidim.support.inputs import read_npz
from hidim.support.stores import Store

TOGETHER = 2  # recipes in a task; one takes up to three seconds on a row of forty


class Row(NamedTuple):
    """What a task finds.

    Attributes:
        steps: (recipes, points); NaN after the last of a short run.
        risk: (recipes, betas, points).
        floor: (betas,).
    """

    steps: np.ndarray
    risk: np.ndarray
    floor: np.ndarray


@dataclass(frozen=True)
class Task:
    """Some recipes on a row of beta at one alpha and size."""

    alpha: float
    betas: tuple[float, ...]
    recipes: tuple[Recipe, ...]
    d: float
    points: int
    reach: float
    batch_size: float
    v_over_d: float
    # Per recipe the algorithm and the last step, where other processes do not know its name.
    known: tuple[tuple[Momentum, float] | None, ...] = ()

    def run(self, r: int, trace: float) -> tuple[Momentum, float]:
        """The algorithm of recipe `r` and the last step it is followed to."""
        if self.known and (known := self.known[r]) is not None:
            return known
        recipe = self.recipes[r]
        algorithm = recipe.algorithm(
            self.alpha,
            max(self.betas),
            self.d,
            trace,
            v_over_d=self.v_over_d,
            batch_size=self.batch_size,
        )
        laws = [recipe.law(self.alpha, beta) for beta in self.betas]
        return algorithm, self.reach * max(
            steps_to_watch(law, recipe, self.d, trace) for law in laws
        )

    def for_others(self) -> Task:
        """The same task for a fresh process, which knows the built-in names only."""
        own = [lookup(recipe.name) in BUILT_IN for recipe in self.recipes]
        if all(own):
            return self
        trace = spectra_at(self.alpha, self.betas[:1], self.d, self.v_over_d)[0].trace
        known = [None if here else self.run(r, trace) for r, here in enumerate(own)]
        return replace(self, known=tuple(known))

    @property
    def name(self) -> str:
        """Of its file: a readable beginning, and a hash of everything it depends on."""
        text = json.dumps([asdict(self), __version__], sort_keys=True, default=str)
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return f"alpha{self.alpha:g}_d{self.d:g}_{digest}"


def solve(task: Task) -> Row:
    """Predict the curves of a task."""
    spectra = spectra_at(task.alpha, task.betas, task.d, task.v_over_d)
    trace = spectra[0].trace
    steps = np.full((len(task.recipes), task.points), np.nan)
    risk = np.full((len(task.recipes), len(task.betas), task.points), np.nan)
    for r in range(len(task.recipes)):
        algorithm, last = task.run(r, trace)
        at = log_steps(last, points=task.points)
        curves = predict_targets(spectra, algorithm, at, batch_size=task.batch_size)
        steps[r, : len(at)] = at
        risk[r, :, : len(at)] = [curve.risk for curve in curves]
    return Row(steps, risk, np.array([spectrum.risk_floor for spectrum in spectra]))


def rows_in(folder: Path) -> Store[Row]:
    """Where finished tasks are kept, as arrays."""
    return Store(folder, ".npz", _write, _read)


def _write(path: Path, row: Row) -> None:
    write_with(path, lambda stream: np.savez_compressed(stream, **row._asdict()))


def _read(path: Path) -> Row:
    return Row(**read_npz(path, Row._fields))
