"""Which runs of which sizes does a file hold, with their loss against compute?

One table of several runs: a column for the size, one for the compute (or tokens, which cost
6 x parameters each; or steps, which cost parameters each), one for the loss, and, where there are
several optimizers, one that names them. A run is what has one name and one size, and one number in
a column "run" or "seed" where there is one. A folder of saved Curves is read curve by curve.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.fitting.logs.names import unit_of
from hidim.fitting.logs.readers import find_column, numbers
from hidim.fitting.logs.tables import read_columns
from hidim.fitting.sizes.aliases import ALIASES, REMEDY
from hidim.fitting.sizes.tables import FLOPS_PER_TOKEN
from hidim.support.checks import choice

_ALIASES: dict[str, tuple[str, ...]] = ALIASES | {
    "params": (*ALIASES["params"], "size", "d", "n"),
    "tokens": (*ALIASES["tokens"], "tokens_seen", "token"),
    "steps": ("step", "steps", "global_step", "iteration"),
    "loss": ("loss", "risk", "validation_loss", "val_loss", "train_loss", "final_loss"),
    "optimizer": ("optimizer", "algorithm", "label", "method"),
    "run": ("run", "run_id", "seed"),
}
ROLES = ("params", "tokens", "flops", "loss", "steps", "optimizer", "run")
UNNAMED = "runs"  # of an optimizer that nothing names
Ladders = dict[str, list[Any]]  # name of the optimizer -> Curves or (size, compute, loss)


def read_ladders(
    path: str | os.PathLike[str], *, columns: Mapping[str, str] | None = None
) -> Ladders:
    """The runs of a table, or of a folder of saved Curves, by the name of their optimizer.

    Args:
        path: a table in any format that `hidim.fitting.read_sizes` reads, or a folder with .json
            and .npz files that `Curve.save` wrote.
        columns: names of the columns for "params", "flops", "tokens" or "steps", "loss",
            "optimizer" and "run" where they differ from the usual ones.

    Raises:
        ValueError: file, column, row and remedy, in one line.
    """
    given = dict(columns or {})
    for role in given:
        choice("columns", role, ROLES)
    target = Path(path)
    if target.is_dir():
        return _saved_curves(target)
    source, table = str(path), read_columns(path)

    def column(role: str, *, needed: bool = False) -> str | None:
        others = {name for other, name in given.items() if other != role}
        free = {name: cells for name, cells in table.items() if name not in others}
        return find_column(free, role, given, source, needed=needed, aliases=_ALIASES)

    size = _numbers(table, column("params", needed=True), source)
    loss = _numbers(table, column("loss", needed=True), source)
    compute = _compute(table, {r: column(r) for r in ("flops", "tokens", "steps")}, size, source)
    kept = np.isfinite(size) & np.isfinite(loss) & np.isfinite(compute) & (compute > 0)
    names, runs = (column("optimizer"), column("run"))
    ladders: Ladders = {}
    cells: dict[tuple[str, str, float], list[int]] = {}
    for i in np.flatnonzero(kept):
        name = UNNAMED if names is None else str(table[names][i])
        run = "" if runs is None else str(table[runs][i])
        cells.setdefault((name, run, float(size[i])), []).append(int(i))
    for (name, _, one), rows in cells.items():
        order = sorted(rows, key=lambda i: float(compute[i]))
        ladders.setdefault(name, []).append((one, compute[order], loss[order]))
    if not ladders:
        raise ValueError(f"no row of {source!r} has a size, compute and a loss.")
    for runs_ in ladders.values():
        _check(runs_, source)
    return ladders


def _compute(
    table: Mapping[str, Any], named: Mapping[str, str | None], size: np.ndarray, source: str
) -> np.ndarray:
    for role, price in (("flops", 1.0), ("tokens", FLOPS_PER_TOKEN * size), ("steps", size)):
        if named[role] is not None:
            return _numbers(table, named[role], source) * price
    raise ValueError(
        f"{source!r} has no compute: name its column by the role flops, tokens or steps, as in "
        "--columns tokens=D."
    )


def _numbers(table: Mapping[str, Any], name: str | None, source: str) -> np.ndarray:
    assert name is not None
    return numbers(table[name], name, source, remedy=f"{REMEDY}.", counts=True) * unit_of(name)


def _check(runs: list[Any], source: str) -> None:
    """Refuse finished runs of one row each, and runs that are mixed up."""
    if all(len(compute) == 1 for _, compute, _ in runs):
        raise ValueError(
            f"{source!r} holds one row per run: a frontier needs whole curves. Finished runs at "
            "several budgets go to hidim.fitting.isoflop, or to hidim fit --law chinchilla."
        )
    for size, compute, _ in runs:
        if np.any(np.diff(compute) == 0):
            raise ValueError(
                f"{source!r} has two rows of size {size:g} at one compute: several runs? Name the "
                "column that tells them apart with --columns run=NAME."
            )


def _saved_curves(folder: Path) -> Ladders:
    ladders: Ladders = {}
    for file in sorted((*folder.glob("*.json"), *folder.glob("*.npz"))):
        curve = Curve.load(file)
        ladders.setdefault(curve.label or UNNAMED, []).append(curve)
    if not ladders:
        raise ValueError(f"folder {str(folder)!r} holds no saved curves (.json or .npz).")
    return ladders
