"""Which rows of a table are not the ends of runs?

A law of sizes is of runs that ended: under a schedule that decays, a loss on the way lies above
that of a shorter run which ended there. Rows of one run at several numbers of tokens, rows before
the last step of a run and runs that a tracker calls crashed or running are told, with the condition
that leaves them out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import quote
from typing import Any

import numpy as np

from hidim.fitting.logs.names import normal
from hidim.fitting.sizes.rows import matching
from hidim.support.checks import is_number

_LAST = ("max_steps", "total_steps", "num_steps", "planned_steps", "last_step", "n_steps")
_AT = ("step", "steps", "global_step", "train_step", "iteration", "iter")
_ENDED = ("finished", "completed", "complete", "done", "ok", "success", "succeeded")
_GOING = (
    "crashed",
    "failed",
    "killed",
    "running",
    "preempted",
    "pending",
    "diverged",
    "unfinished",
)
_ENOUGH = 0.98  # of the steps of a run


def of_one_size(kinds: np.ndarray, inputs: tuple[np.ndarray, ...]) -> bool:
    """Whether every kind has one size, so that a kind is a run and its rows are its course."""
    return len(inputs) > 1 and all(
        len(np.unique(inputs[0][kinds == kind])) == 1 for kind in np.unique(kinds)
    )


def courses(
    named: Mapping[str, np.ndarray], inputs: tuple[np.ndarray, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(notes, warnings) about columns that name runs of several rows.

    Args:
        named: the number of the run of each row, (n,), by the name of the column.
        inputs: parameters and tokens, shape (n,) each.
    """
    notes, warnings = [], []
    sizes = len(np.unique(inputs[0]))
    for name, kinds in named.items():
        count, flag = int(kinds.max()) + 1, quote(name)
        lengths = np.unique(np.column_stack([kinds, inputs[-1]]), axis=0)
        if len(lengths) == count:
            notes.append(
                f"column {name!r} names runs of several rows: --group {flag} resamples them"
            )
        elif count == sizes:
            notes.append(
                f"column {name!r} names the sizes, or runs of several rows: of runs --last {flag} "
                f"keeps the ends, and --group {flag} resamples whole ones"
            )
        else:
            warnings.append(
                f"column {name!r} names {count} runs, {len(kinds)} rows are their course: "
                f"--last {flag} keeps the end of each. On the way losses lie above those of runs "
                f"that end there, unless the rate was constant: then --group {flag} resamples them."
            )
    return tuple(notes), tuple(warnings)


def stopped(table: Mapping[str, Any], source: str) -> tuple[str, ...]:
    """What to say of rows before the last step of their run, and of runs that did not end well.

    Args:
        table: name to cells of the rows that are meant.
        source: file.
    """
    return (*_before_the_end(table, source), *_by_state(table))


def _before_the_end(table: Mapping[str, Any], source: str) -> tuple[str, ...]:
    at = next((name for name in table if normal(name) in _AT), None)
    last = next((name for name in table if normal(name) in _LAST and name != at), None)
    if at is None or last is None:
        return ()
    cells = [*table[at], *table[last]]
    if not all(cell is not None and is_number(str(cell)) for cell in cells):
        return ()
    here, end = (np.array(list(map(float, table[name]))) for name in (at, last))
    count = int(np.count_nonzero(here < _ENOUGH * end))
    if not count:
        return ()
    whole = here >= _ENOUGH * end
    condition = f"{at}={last}"
    try:
        same = np.array_equal(matching(table, condition, source), whole)
    except ValueError:  # none
        same = False
    remedy = f"--where '{condition}' leaves them out" if same else "leave them out"
    return (
        f"{count} of {len(here)} rows lie before the last step of their run ({at!r} below "
        f"{last!r}): where the rate had not decayed yet the loss is too high; {remedy}.",
    )


def _by_state(table: Mapping[str, Any]) -> tuple[str, ...]:
    for name, cells in table.items():
        said = [str(cell).strip().lower() for cell in cells]
        bad = [one in _GOING for one in said]
        if all(going or one in _ENDED for going, one in zip(bad, said, strict=True)) and any(bad):
            kept = _listed([str(c) for c, going in zip(cells, bad, strict=True) if not going])
            remedy = f": --where '{name}={kept}' leaves them out" if kept else ""
            return (f"{sum(bad)} of {len(bad)} runs did not end by column {name!r}{remedy}.",)
    return ()


def _listed(cells: Sequence[str]) -> str:
    return "|".join(dict.fromkeys(cells))
