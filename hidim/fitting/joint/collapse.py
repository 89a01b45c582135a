"""Do the loss curves of a ladder of sizes collapse onto one curve?

Runs of one schedule shape, seen as (L(t) - E) / (L(T) - E) against t / T, coincide across sizes
where one law with shared exponents holds; E is the floor of each size by the joint law. What sticks
out by more than the noise of rows was trained otherwise: another tuning, other data, or a bug.
Source: Qiu et al. 2025, who normalise compute-optimal runs by one E.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hidim.fitting.joint.law import JointLaw
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.search import settled

_SHAPE = 0.02  # of the peak: schedules this alike have one shape
_POINTS = 64
_EARLY = 0.15  # share of the run that is left out: transients


@dataclass(frozen=True)
class Collapse:
    """How far the normalised curves of one schedule shape lie apart.

    Attributes:
        labels: of the runs.
        spread: root mean square distance of the normalised curves from their mean, a fraction.
        worst: label of the run that lies farthest from the others.
        worst_spread: its distance.
    """

    labels: tuple[str, ...]
    spread: float
    worst: str
    worst_spread: float

    def __str__(self) -> str:
        return (
            f"collapse of {', '.join(self.labels)}: normalised curves within {self.spread:.2%} of "
            f"their mean; farthest {self.worst}, {self.worst_spread:.2%}"
        )


def collapses(law: JointLaw, runs: Sequence[Run], params: Sequence[float]) -> list[Collapse]:
    """The collapse of every schedule shape that at least two sizes were run with.

    Args:
        law: fitted to these runs.
        runs: the runs.
        params: the size of each.
    """
    share = np.linspace(_EARLY, 1.0, _POINTS)
    groups: list[list[tuple[Run, float, np.ndarray]]] = []
    for run, size in zip(runs, params, strict=True):
        if settled(run) > _EARLY * 1.2 * run.steps[-1]:
            continue
        shape = np.interp(share * run.steps[-1], run.steps, run.lr) / run.rate.peak
        for group in groups:
            if np.mean(np.abs(group[0][2] - shape)) < _SHAPE:
                group.append((run, size, shape))
                break
        else:
            groups.append([(run, size, shape)])
    return [_collapse(law, g, share) for g in groups if len({size for _, size, _ in g}) > 1]


def _collapse(
    law: JointLaw, group: Sequence[tuple[Run, float, np.ndarray]], share: np.ndarray
) -> Collapse:
    curves = []
    for run, size, _ in group:
        steps, log_loss, _ = run.binned(_POINTS)
        loss = np.exp(np.interp(share * run.steps[-1], steps, log_loss))
        at = law.form.at(law.vector, law.units.log_size(size))
        # The floor is the limit at the peak rate, below which a run that decays ends.
        floor = float(at[0]) - float(np.exp(at[law.form.law.names.index("release")]))
        excess = loss - floor
        curves.append(np.log(excess / np.mean(excess[-4:])))
    table = np.array(curves)
    count = len(table)
    others = (table.sum(axis=0) - table) / (count - 1)
    apart = np.sqrt(np.mean((table - others) ** 2, axis=1))
    labels = tuple(run.label for run, _, _ in group)
    worst = int(np.argmax(apart))
    spread = float(np.sqrt(np.mean((table - table.mean(axis=0)) ** 2)))
    return Collapse(labels, spread, labels[worst], float(apart[worst]))
