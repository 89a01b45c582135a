"""Which finished runs, of what size and budget, does a table describe?

Reads parameters, tokens (or training flops, tokens = flops / (6 x parameters)) and loss, one row
per run, from any format that `hidim.fitting.logs.tables` knows. Some of its rows by conditions, or
one table for each value of a column; rows of one run by a column that names it.
Limits: repeated data (epochs beyond one) are told and not modelled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.tables import read_columns
from hidim.fitting.sizes.columns import ROLES, RunColumns
from hidim.fitting.sizes.doubts import (
    doubted_losses,
    doubted_units,
    exact_cost,
    of_one_size,
    repeated_data,
    several_losses,
)
from hidim.fitting.sizes.rows import codes, column_of, dials, matching, traits
from hidim.support.checks import choice
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
    """

    inputs: tuple[np.ndarray, ...]
    loss: np.ndarray
    notes: tuple[str, ...] = ()
    group: np.ndarray | None = None
    traits: dict[str, np.ndarray] | None = None
    warnings: tuple[str, ...] = ()
    flops_per_token: np.ndarray | None = None

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
        return self._rows(keep, f"{count} highest losses left out")

    def without_repeats(self) -> SizeTable:
        """The table without rows that repeat another in every number, which count once."""
        rows = np.column_stack([*self.inputs, self.loss])
        _, first = np.unique(rows, axis=0, return_index=True)
        if len(first) == len(rows):
            return self
        count = len(rows) - len(first)
        return self._rows(np.sort(first), f"{count} row(s) that repeat another left out")

    def _rows(self, keep: np.ndarray, note: str) -> SizeTable:
        return replace(
            self,
            inputs=tuple(x[keep] for x in self.inputs),
            loss=self.loss[keep],
            notes=(*self.notes, note),
            group=None if self.group is None else self.group[keep],
            flops_per_token=None if self.flops_per_token is None else self.flops_per_token[keep],
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


def read_sizes(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    single: bool = False,
    where: str | Sequence[str] = (),
    group: str | None = None,
    loss: bool = True,
    exact: bool = False,
    untold: bool = False,
) -> SizeTable:
    """Read a table of finished runs.

    Args:
        path: a table in any known format.
        columns: column names for "params", "tokens" or "flops", and "loss"; for a law of one
            quantity, "x" and "loss"; "epochs" or "unique_tokens" where data were repeated.
        single: read one quantity "x" instead of parameters and tokens.
        where: conditions on the rows, such as "train_set=c4" or "lr<=3e-3"; all must hold.
        group: the column that names the run of a row, where runs have several rows.
        loss: False for runs still to come: their losses are NaN.
        exact: count the flops of transformers (columns layers, width, context, and vocabulary)
            instead of 6 x parameters x tokens.
        untold: whether a table without tokens, flops and their ratio will do: its only input is
            the parameters.

    Raises:
        ValueError: file, column and remedy, in one line.
    """
    table = read_columns(path)
    keep = matching(table, where, str(path))
    return _read(table, str(path), columns, single, keep, group, loss, exact, untold)


def sizes_of(table: Mapping[str, Any], *, single: bool = False) -> SizeTable:
    """The same of columns in memory: a dictionary of them, or a data frame."""
    columns = {str(name): list(table[name]) for name in table}
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1:
        said = f"columns of {sorted(counts)} rows" if counts else "no columns"
        raise ValueError(f"`inputs` has {said}: give params, tokens and loss of each run.")
    return _read(columns, "inputs", None, single, np.ones(counts.pop(), dtype=bool), None)


def read_sizes_by(
    path: str | os.PathLike[str],
    by: str,
    *,
    columns: Mapping[str, str] | None = None,
    single: bool = False,
    where: str | Sequence[str] = (),
    group: str | None = None,
    exact: bool = False,
) -> dict[str, SizeTable]:
    """A table for each value of the column `by`; everything else as in `read_sizes`."""
    source, table = str(path), read_columns(path)
    keep = matching(table, where, source)
    cells = column_of(table, by, source)
    kinds = dict.fromkeys(str(cell) for cell, kept in zip(cells, keep, strict=True) if kept)
    out = {}
    for kind in kinds:
        rows = keep & np.array([str(cell) == kind for cell in cells])
        name = f"{source} ({by}={kind})"
        out[kind] = _read(table, name, columns, single, rows, group, exact=exact)
    return out


def _read(
    table: dict[str, Any],
    source: str,
    columns: Mapping[str, str] | None,
    single: bool,
    keep: np.ndarray,
    group: str | None,
    measured: bool = True,
    exact: bool = False,
    untold: bool = False,
) -> SizeTable:
    given = dict(columns or {})
    for role in given:
        choice("columns", role, ROLES)
    column = RunColumns(table, source, given, keep, [group])
    loss = column("loss") if measured else np.full(int(keep.sum()), np.nan)
    assert loss is not None
    notes: tuple[str, ...] = (
        () if keep.all() else (f"{np.count_nonzero(keep)} of {len(keep)} rows",)
    )
    if measured and (also := ", ".join(map(repr, column.other_losses()))):
        notes = (*notes, f"the loss is {column.name('loss')!r}; also {also}: --columns loss=NAME")
    if single:
        x = column("x")
        assert x is not None
        inputs: tuple[np.ndarray, ...] = (x,)
        cost, by_tokens = None, False
    elif untold and _untold(column):
        sizes = column("params")
        assert sizes is not None
        inputs, cost, by_tokens = (sizes,), None, False
        notes = (*notes, "no tokens are told: those of a size are taken to be the same")
    else:
        params = column("params")
        assert params is not None
        cost, said = exact_cost(column, params, source, exact)
        notes = (*notes, *said)
        by_flops = "flops" in given and "tokens" not in given
        tokens = None if by_flops or column.by_ratio else column("tokens", needed=False)
        by_tokens = tokens is not None
        if tokens is None:
            tokens = _from_flops(column, params, cost)
        inputs = (params, tokens)
    warnings = repeated_data(column, inputs[-1])
    if len(inputs) == 2:
        flops = column("flops", needed=False, tolerant=True) if by_tokens else None
        warnings += doubted_units(inputs[0], inputs[1], flops, cost, by_flops=not by_tokens)
        warnings += doubted_losses(inputs[0], inputs[1], loss)
    notes = (*notes, *column.said)
    kept = {name: [c for c, k in zip(v, keep, strict=True) if k] for name, v in table.items()}
    swept: tuple[str, ...] = ()
    if len(inputs) == 2 and measured:
        others = {name: cells for name, cells in kept.items() if name not in column.used}
        swept = several_losses(inputs, loss, others)
    runs = None if group is None else codes(column_of(kept, group, source))[0]
    sorts, said = _families(column, kept, inputs, grouped=group is not None, swept=bool(swept))
    return SizeTable(inputs, loss, (*notes, *said), runs, sorts, (*warnings, *swept), cost)


def _untold(column: RunColumns) -> bool:
    """Whether no column says tokens, flops or their ratio to the parameters."""
    named = [column.name(role, needed=False) for role in ("tokens", "flops")]
    return not column.by_ratio and not any(named) and column.ratio(np.ones(0)) is None


def _families(
    column: RunColumns,
    kept: dict[str, list[Any]],
    inputs: tuple[np.ndarray, ...],
    *,
    grouped: bool,
    swept: bool,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Columns that sort the rows, as numbers 0, 1, ..., and what to note of them."""
    # Read for the count of flops alone, these may part the rows as any other column does.
    counted = [column.name(role, needed=False) for role in ("context", "vocabulary")]
    used = [name for name in column.used if name not in counted]
    sorts = {name: codes(cells)[0] for name, cells in traits(kept, used).items()}
    named = [name for name, kinds in sorts.items() if of_one_size(kinds, inputs)]
    notes = [
        f"column {name!r} names runs of several rows: --group {name} resamples whole runs"
        for name in named
        if not grouped
    ]
    sorts = {name: kinds for name, kinds in sorts.items() if name not in named}
    notes += [
        f"column {name!r} holds {kinds.max() + 1} values; one law over all of them (--by, --where)"
        for name, kinds in sorts.items()
    ]
    numbers = {} if swept else dials(kept, used, inputs)
    return sorts | {name: codes(cells)[0] for name, cells in numbers.items()}, tuple(notes)


def _from_flops(column: RunColumns, params: np.ndarray, cost: np.ndarray | None) -> np.ndarray:
    """Tokens by the flops, or by their ratio to the parameters."""
    flops = None if column.by_ratio else column("flops", needed=False)
    if flops is not None:
        each = "6 x parameters" if cost is None else "exact flops per token"
        column.said.append(f"tokens = flops / ({each})")
        tokens: np.ndarray = flops / (FLOPS_PER_TOKEN * params if cost is None else cost)
        return tokens
    by_ratio = column.ratio(params)
    if by_ratio is None:
        raise ValueError(
            f"{column.source!r} has neither tokens nor training flops: name one with --columns "
            "tokens=NAME or flops=NAME, or add one of tokens: steps x sequences x context."
        )
    return by_ratio
