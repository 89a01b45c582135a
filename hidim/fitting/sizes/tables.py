"""Which finished runs, of what size and budget, does a table describe?

Reads parameters, tokens (or training flops, tokens = flops / (6 x parameters)) and loss, one row
per run, from any format that `hidim.fitting.logs.tables` knows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.readers import find_column, numbers
from hidim.fitting.logs.tables import read_columns
from hidim.support.checks import choice
from hidim.support.results import Saved

FLOPS_PER_TOKEN = 6.0  # training flops = 6 x parameters x tokens
REMEDY = "A run that diverged has no place among others: leave its rows out."
ALIASES: dict[str, tuple[str, ...]] = {
    "params": ("params", "parameters", "n_params", "model size", "model_size", "num_params"),
    "tokens": ("tokens", "training tokens", "n_tokens", "train_tokens"),
    "flops": ("flops", "training flop", "training flops", "training_flops", "flops_6nd", "compute"),
    "loss": ("loss", "final_loss", "train_loss", "validation_loss"),
    "x": ("x",),
}
ROLES = tuple(ALIASES)


@dataclass(frozen=True, eq=False)
class SizeTable(Saved, format="hidim-size-table/1"):
    """Finished runs, one row each.

    Attributes:
        inputs: the quantities of the law, one array (n,) each.
        loss: final loss, shape (n,).
        notes: what the reader did.
    """

    inputs: tuple[np.ndarray, ...]
    loss: np.ndarray
    notes: tuple[str, ...] = ()

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
        note = f"{count} highest losses left out"
        return SizeTable(tuple(x[keep] for x in self.inputs), self.loss[keep], (*self.notes, note))


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


def read_sizes(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    single: bool = False,
) -> SizeTable:
    """Read a table of finished runs.

    Args:
        path: a table in any known format.
        columns: column names for "params", "tokens" or "flops", and "loss"; for a law of one
            quantity, "x" and "loss".
        single: read one quantity "x" instead of parameters and tokens.

    Raises:
        ValueError: file, column and remedy, in one line.
    """
    given = dict(columns or {})
    for role in given:
        choice("columns", role, ROLES)
    source = str(path)
    table = read_columns(path)

    def column(role: str, *, needed: bool = True) -> np.ndarray | None:
        name = find_column(table, role, given, source, needed=needed, aliases=ALIASES)
        if name is None:
            return None
        values = numbers(table[name], name, source, remedy=REMEDY)
        blank = np.flatnonzero(np.isnan(values))
        if len(blank):
            raise ValueError(f"row {blank[0] + 2} of {source!r} has no {name!r}.")
        return values

    loss = column("loss")
    assert loss is not None
    if single:
        x = column("x")
        assert x is not None
        return SizeTable((x,), loss)
    params = column("params")
    assert params is not None
    tokens = None if "flops" in given and "tokens" not in given else column("tokens", needed=False)
    if tokens is not None:
        return SizeTable((params, tokens), loss)
    flops = column("flops", needed=False)
    if flops is None:
        raise ValueError(
            f"{source!r} has neither tokens nor training flops: name one with --columns "
            "tokens=NAME or flops=NAME."
        )
    note = "tokens = flops / (6 x parameters)"
    return SizeTable((params, flops / (FLOPS_PER_TOKEN * params)), loss, (note,))
