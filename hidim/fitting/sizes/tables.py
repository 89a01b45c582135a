"""Which finished runs, of what size and budget, does a table describe?

Reads parameters, tokens and loss, or what they follow from (derived.py), one row per run, from any
format that `hidim.fitting.logs.tables` knows. Some of its rows by conditions, or one table for each
value of a column; rows of one run by a column that names it.
Limits: repeated data (epochs beyond one) are told and not modelled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hidim.fitting.logs.marks import plain_numbers
from hidim.fitting.logs.names import logarithm_of
from hidim.fitting.logs.records import Columns
from hidim.fitting.logs.tables import read_log
from hidim.fitting.sizes.aliases import ROLES
from hidim.fitting.sizes.columns import RunColumns
from hidim.fitting.sizes.derived import params_of, tokens_of
from hidim.fitting.sizes.doubts import (
    doubted_losses,
    doubted_units,
    exact_cost,
    repeated_data,
    several_losses,
)
from hidim.fitting.sizes.rows import codes, column_of, dials, last_of_each, matching, traits
from hidim.fitting.sizes.size_table import FLOPS_PER_TOKEN, SizeTable
from hidim.fitting.sizes.unfinished import courses, of_one_size, stopped
from hidim.support.checks import choice

__all__ = ["FLOPS_PER_TOKEN", "SizeTable", "read_sizes", "read_sizes_by", "sizes_of"]


def read_table(path: str | os.PathLike[str]) -> tuple[Columns, tuple[str, ...]]:
    """The columns of a table of runs, and what of the marks in its numbers was mended.

    Raises:
        ValueError: as `read_log`.
    """
    log = read_log(path)
    plain, said = plain_numbers(log.columns)
    return plain, (*log.repairs, *said)


@dataclass(frozen=True)
class _Asked:
    """What a caller wants of a table: the options of `read_sizes`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    single: bool = False
    group: str | None = None
    last: str | None = None
    loss: bool = True
    exact: bool = False
    sweep: str | None = None


def read_sizes(
    path: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    single: bool = False,
    where: str | Sequence[str] = (),
    group: str | None = None,
    last: str | None = None,
    loss: bool = True,
    exact: bool = False,
    sweep: str | None = None,
) -> SizeTable:
    """Read a table of finished runs.

    Args:
        path: a table in any known format.
        columns: column names for "params", "tokens" or "flops", and "loss"; for a law of one
            quantity, "x" and "loss"; "epochs" or "unique_tokens" where data were repeated; "steps",
            "batch" and "context" where no column holds tokens.
        single: read one quantity "x" instead of parameters and tokens.
        where: conditions on the rows, such as "train_set=c4" or "lr<=3e-3"; all must hold.
        group: the column that names the run of a row, where runs have several rows.
        last: the column that names runs of which the row with the most tokens counts alone.
        loss: False for runs still to come: their losses are NaN.
        exact: count the flops of transformers (columns layers, width, context, and vocabulary)
            instead of 6 x parameters x tokens.
        sweep: the column of a hyperparameter whose best value is asked for: several losses of one
            size are meant, and where tokens are not told the parameters are the only input.

    Raises:
        ValueError: file, column and remedy, in one line.
    """
    table, said = read_table(path)
    keep = matching(table, where, str(path))
    asked = _Asked(columns or {}, single, group, last, loss, exact, sweep)
    return _read(table, str(path), keep, asked, said)


def sizes_of(table: Mapping[str, Any], *, single: bool = False) -> SizeTable:
    """The same of columns in memory: a dictionary of them, or a data frame."""
    columns = {str(name): list(table[name]) for name in table}
    counts = {len(column) for column in columns.values()}
    if len(counts) != 1:
        said = f"columns of {sorted(counts)} rows" if counts else "no columns"
        raise ValueError(f"`inputs` has {said}: give params, tokens and loss of each run.")
    columns, mended = plain_numbers(columns)
    rows = np.ones(counts.pop(), dtype=bool)
    return _read(columns, "inputs", rows, _Asked(single=single), mended)


def read_sizes_by(
    path: str | os.PathLike[str],
    by: str,
    *,
    columns: Mapping[str, str] | None = None,
    single: bool = False,
    where: str | Sequence[str] = (),
    group: str | None = None,
    last: str | None = None,
    exact: bool = False,
    sweep: str | None = None,
) -> dict[str, SizeTable]:
    """A table for each value of the column `by`; everything else as in `read_sizes`."""
    source = str(path)
    table, said = read_table(path)
    keep = matching(table, where, source)
    cells = column_of(table, by, source)
    kinds = dict.fromkeys(str(cell) for cell, kept in zip(cells, keep, strict=True) if kept)
    asked = _Asked(columns or {}, single, group, last, True, exact, sweep)
    out = {}
    for kind in kinds:
        rows = keep & np.array([str(cell) == kind for cell in cells])
        out[kind] = _read(table, f"{source} ({by}={kind})", rows, asked, said)
    return out


def _read(
    table: dict[str, Any], source: str, keep: np.ndarray, asked: _Asked, said: tuple[str, ...]
) -> SizeTable:
    for role in asked.columns:
        choice("columns", role, ROLES)
    if asked.last is not None:
        ends = _ends(table, source, keep, asked)
        said = (*said, f"the last row of each {asked.last}, {ends.sum()} of {keep.sum()}")
        return _read(table, source, ends, replace(asked, last=None), said)
    column = RunColumns(table, source, asked.columns, keep, [asked.group])
    loss = column("loss") if asked.loss else np.full(int(keep.sum()), np.nan)
    assert loss is not None
    notes = said if keep.all() else (*said, f"{np.count_nonzero(keep)} of {len(keep)} rows")
    if asked.loss and (also := ", ".join(map(repr, column.other_losses()))):
        notes = (*notes, f"the loss is {column.name('loss')!r}; also {also}: --columns loss=NAME")
    inputs, cost, by_tokens, told = _inputs(column, asked)
    if len(inputs) > 1 and (also := ", ".join(map(repr, column.other_params()))):
        taken = column.name("params")
        notes = (*notes, f"the parameters are {taken!r}; also {also}: --columns params=NAME")
    warnings = repeated_data(column, inputs[-1])
    if len(inputs) == 2:
        flops = column("flops", needed=False, tolerant=True) if by_tokens else None
        warnings += doubted_units(inputs[0], inputs[1], flops, cost, by_flops=not by_tokens)
        warnings += doubted_losses(inputs[0], inputs[1], loss)
    notes = (*notes, *told, *column.said)
    kept = {name: [c for c, k in zip(v, keep, strict=True) if k] for name, v in table.items()}
    swept: tuple[str, ...] = ()
    if len(inputs) == 2 and asked.loss and not asked.sweep:
        others = {name: cells for name, cells in kept.items() if name not in column.used}
        swept = several_losses(inputs, loss, others)
    runs = None if asked.group is None else codes(column_of(kept, asked.group, source))[0]
    alone = asked.group is None and asked.loss
    sorts, found, doubted = _families(column, kept, inputs, alone=alone, swept=bool(swept))
    if asked.loss:
        doubted += stopped(kept, source)
    dial, values, told = _dialled(column, asked.sweep)
    warnings = (*warnings, *doubted, *swept)
    notes = (*notes, *found, *told)
    return SizeTable(inputs, loss, notes, runs, sorts, warnings, cost, dial, values)


def _ends(table: dict[str, Any], source: str, keep: np.ndarray, asked: _Asked) -> np.ndarray:
    """Which rows are the last ones of their runs, shape (n,)."""
    assert asked.last is not None
    cells = column_of(table, asked.last, source)
    tokens = _inputs(RunColumns(table, source, asked.columns, keep), asked)[0][-1]
    rows = np.flatnonzero(keep)
    last = np.zeros(len(keep), dtype=bool)
    last[rows[last_of_each([cells[i] for i in rows], tokens)]] = True
    return last


def _inputs(
    column: RunColumns, asked: _Asked
) -> tuple[tuple[np.ndarray, ...], np.ndarray | None, bool, tuple[str, ...]]:
    """The quantities of a law, exact flops per token, whether a column holds tokens, and notes."""
    if asked.single:
        x = column("x")
        assert x is not None
        return (x,), None, False, ()
    params = None if column.told("params") else params_of(column)
    params = column("params") if params is None else params
    assert params is not None
    if asked.sweep and _untold(column):
        return (
            (params,),
            None,
            False,
            ("no tokens are told: those of a size are taken to be alike",),
        )
    cost, said = exact_cost(column, params, column.source, asked.exact)
    by_flops = "flops" in asked.columns and "tokens" not in asked.columns
    tokens = None if by_flops or column.by_ratio else column("tokens", needed=False)
    by_tokens = tokens is not None
    if tokens is None:
        tokens = _tokens(column, params, cost)
    return (params, tokens), cost, by_tokens, said


def _dialled(
    column: RunColumns, name: str | None
) -> tuple[str | None, np.ndarray | None, tuple[str, ...]]:
    """Name and values of the hyperparameter of a sweep, (n,), of its logarithm too, and a note."""
    if name is None:
        return None, None, ()
    column_of(column.table, name, column.source)
    values = column.cells(name)
    log = logarithm_of(name)
    if log is None:
        return name, values, ()
    base, of = log
    if not base:
        raise ValueError(f"column {name!r} does not say its base: rename it log10_{of} or ln_{of}.")
    return of, np.asarray(base**values), (f"{name!r} is a logarithm, read as {of}",)


def _untold(column: RunColumns) -> bool:
    """Whether no column says tokens, flops, their ratio or the steps of a batch."""
    named = [column.name(role, needed=False) for role in ("tokens", "flops")]
    if column.by_ratio or any(named) or column.ratio(np.ones(0)) is not None:
        return False
    said = list(column.said)
    try:
        return tokens_of(column) is None
    except ValueError:  # steps of a batch that may count anything
        return True
    finally:
        column.said = said


def _families(
    column: RunColumns,
    kept: dict[str, list[Any]],
    inputs: tuple[np.ndarray, ...],
    *,
    alone: bool,
    swept: bool,
) -> tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]:
    """Columns that sort the rows, as numbers 0, 1, ..., what to note and what to warn of them."""
    # Read for the count of flops alone, these may part the rows as any other column does.
    counted = [column.name(role, needed=False) for role in ("context", "vocabulary")]
    used = [name for name in column.used if name not in counted]
    sorts = {name: codes(cells)[0] for name, cells in traits(kept, used).items()}
    named = {name: kinds for name, kinds in sorts.items() if of_one_size(kinds, inputs)}
    notes, warnings = courses(named, inputs) if alone else ((), ())
    sorts = {name: kinds for name, kinds in sorts.items() if name not in named}
    notes += tuple(
        f"column {name!r} holds {kinds.max() + 1} values; one law over all of them (--by, --where)"
        for name, kinds in sorts.items()
    )
    numbers = {} if swept else dials(kept, used, inputs)
    return sorts | {name: codes(cells)[0] for name, cells in numbers.items()}, notes, warnings


def _tokens(column: RunColumns, params: np.ndarray, cost: np.ndarray | None) -> np.ndarray:
    """Tokens by the flops, by their ratio to the parameters, or by steps."""
    flops = None if column.by_ratio else column("flops", needed=False)
    if flops is not None:
        each = "6 x parameters" if cost is None else "exact flops per token"
        column.said.append(f"tokens = flops / ({each})")
        tokens: np.ndarray = flops / (FLOPS_PER_TOKEN * params if cost is None else cost)
        return tokens
    found = column.ratio(params)
    found = tokens_of(column) if found is None else found
    if found is None:
        raise ValueError(
            f"{column.source!r} has neither tokens nor training flops: name one with --columns "
            "tokens=NAME or flops=NAME, or columns from which they follow: steps, batch "
            "(sequences) and context, or steps and batch_tokens."
        )
    return found
