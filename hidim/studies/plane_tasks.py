"""What does one task of a plane do? A few recipes on a row of beta, at one alpha and size.

The row shares its spectra's nodes and the solver's matrices; a task takes seconds, so a worker that
is killed loses no more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hidim.algorithms.momentum import Momentum
from hidim.curve import log_steps
from hidim.engines.targets import predict_targets
from hidim.problems.power_law import spectra_at
from hidim.studies.recipes import Recipe
from hidim.studies.rungs import Rung
from hidim.support.files import write_with
from hidim.support.inputs import read_npz
from hidim.support.stores import Store, task_name

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

    def rung(self, r: int) -> Rung:
        """The row under one of the recipes."""
        known = self.known[r] if self.known else None
        return Rung(
            *(self.alpha, self.betas, self.recipes[r], self.d),
            *(self.v_over_d, self.batch_size, self.reach, known),
        )

    def for_others(self) -> Task:
        """The same task for a fresh process, which knows the built-in names only."""
        known = tuple(self.rung(r).for_others().known for r in range(len(self.recipes)))
        return replace(self, known=known) if any(known) else self

    @property
    def name(self) -> str:
        """Of its file."""
        return task_name(f"alpha{self.alpha:g}_d{self.d:g}", self)


def solve(task: Task) -> Row:
    """Predict the curves of a task."""
    spectra = spectra_at(task.alpha, task.betas, task.d, task.v_over_d)
    trace = spectra[0].trace
    steps = np.full((len(task.recipes), task.points), np.nan)
    risk = np.full((len(task.recipes), len(task.betas), task.points), np.nan)
    for r in range(len(task.recipes)):
        algorithm, last = task.rung(r).run(trace)
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
