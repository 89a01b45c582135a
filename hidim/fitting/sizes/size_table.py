"""What is known of finished runs, one row each, when a law of sizes is fitted to them?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hidim.curve import Curve
from hidim.support.results import Saved

FLOPS_PER_TOKEN = 6.0  # training flops = 6 x parameters x tokens


@dataclass(frozen=True, eq=False)
class SizeTable(Saved, format="hidim-size-table/1"):
    """Finished runs, one row each.

    Attributes:
        inputs: the quantities of the law, one array (n,) each.
        loss: final loss, shape (n,).
        notes: what the reader did.
        group: number of the run that each row belongs to, shape (n,), or None: a run each.
        traits: columns that sort the rows, as numbers 0, 1, ... (n,) each.
        warnings: what about the rows deserves a look.
        flops_per_token: what a token costs in training, shape (n,), where it is not 6 x parameters.
        dial: name of the hyperparameter of a sweep, and `dialled` its values, shape (n,).
    """

    inputs: tuple[np.ndarray, ...]
    loss: np.ndarray
    notes: tuple[str, ...] = ()
    group: np.ndarray | None = None
    traits: dict[str, np.ndarray] | None = None
    warnings: tuple[str, ...] = ()
    flops_per_token: np.ndarray | None = None
    dial: str | None = None
    dialled: np.ndarray | None = None

    def __repr__(self) -> str:
        ends = (f"{low:.4g} to {high:.4g}" for low, high in ((min(x), max(x)) for x in self.inputs))
        return f"SizeTable({len(self.loss)} runs, {' by '.join(ends)})"

    @classmethod
    def of(cls, curves: Sequence[Curve]) -> SizeTable:
        """The ends of finished Curves: size, tokens (or samples: steps x batch), last risk.

        Raises:
            ValueError: a curve diverged, is unfinished, has no points or no dimension.

        >>> SizeTable.of([Curve([0, 10], [1.0, 0.5], dimension=100, batch_size=4)]).inputs
        (array([100.]), array([40.]))
        """
        if isinstance(curves, Curve):
            curves = [curves]
        ends = np.array([_end(curve) for curve in curves]).reshape(-1, 3).T
        return cls((ends[0], ends[1]), ends[2], ("the last points of curves",))

    def without_highest(self, count: int) -> SizeTable:
        """The table without the `count` highest losses."""
        if count <= 0:
            return self
        if count >= len(self.loss):
            raise ValueError(f"`drop_highest` = {count} leaves no row of {len(self.loss)}.")
        keep = np.sort(np.argsort(self.loss, kind="stable")[: len(self.loss) - count])
        return self.rows(keep, f"{count} highest losses left out")

    def without_repeats(self) -> SizeTable:
        """The table without rows that repeat another in every number, which count once."""
        rows = np.column_stack([*self.inputs, self.loss])
        _, first = np.unique(rows, axis=0, return_index=True)
        if len(first) == len(rows):
            return self
        count = len(rows) - len(first)
        return self.rows(np.sort(first), f"{count} row(s) that repeat another left out")

    def rows(self, keep: np.ndarray, note: str) -> SizeTable:
        """Some of the rows, by their places, with a note on which."""
        return replace(
            self,
            group=None if self.group is None else self.group[keep],
            flops_per_token=None if self.flops_per_token is None else self.flops_per_token[keep],
            dialled=None if self.dialled is None else self.dialled[keep],
            inputs=tuple(x[keep] for x in self.inputs),
            loss=self.loss[keep],
            notes=(*self.notes, note),
            traits={name: kinds[keep] for name, kinds in (self.traits or {}).items()},
        )


def _end(curve: Curve) -> tuple[float, float, float]:
    name = f"curve {curve.label!r}"
    if curve.status in ("diverged", "unfinished"):
        raise ValueError(f"{name} is {curve.status}: a law of sizes takes finished runs alone.")
    if curve.dimension is None or not len(curve):
        lacks = "points" if not len(curve) else "`dimension`"
        raise ValueError(f"{name} has no {lacks}, which a law of sizes needs.")
    last = int(np.argmax(curve.steps))
    samples = float(curve.steps[last]) * curve.batch_size
    tokens = curve.columns["tokens"][last] if "tokens" in curve.columns else samples
    return float(curve.dimension), float(tokens), float(curve.risk[last])
