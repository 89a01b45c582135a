"""How far off is a fitted law on each of its curves, and when that curve was left out?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw


def errors_by_curve(law: FittedLaw, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Mean relative error of every curve, as a fraction; one row each.

    Args:
        law: fitted to these runs.
        runs: the runs.

    Returns:
        Rows of "curve", "rows", "last_step", "in_fit" and "left_out" (None where no fit without
        that curve was possible); hold-outs that are no single curve, such as the second half of
        all runs, follow with the first three numbers None.
    """
    rows: list[dict[str, Any]] = [
        {
            "curve": one.label,
            "rows": len(one.steps),
            "last_step": float(one.steps[-1]),
            "in_fit": law.in_sample[one.label],
            "left_out": law.holdout.get(one.label),
        }
        for one in runs
    ]
    for label, error in law.holdout.items():
        if label not in law.in_sample:
            empty = {"curve": label, "rows": None, "last_step": None, "in_fit": None}
            rows.append({**empty, "left_out": error})
    return rows
