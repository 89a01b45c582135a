"""Stop, look or go on: what does a comparison of a run with its law, and with another run, say?"""

from __future__ import annotations

from typing import Any

import numpy as np

from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.departures import ALIKE, OUT, RUN_TO_RUN, other_rates, row_noise


def beside_of(log: Run, match: Run) -> dict[str, float]:
    """How far the log lies from another run at the same steps."""
    last = min(log.steps[-1], match.steps[-1])
    first = max(log.steps[0], match.steps[0], 0.75 * last)
    both = (log.steps >= first) & (log.steps <= last)
    if np.count_nonzero(both) < OUT:
        raise ValueError(
            f"the run to match has too few rows at the steps of the log, which are "
            f"{log.steps[0]:g} to {log.steps[-1]:g}."
        )
    own = np.log(log.measured()[both])
    its = np.interp(log.steps[both], match.steps, np.log(match.measured()))
    apart = own - its
    error = row_noise(apart) / np.sqrt(len(apart)) + RUN_TO_RUN
    tail = max(len(match.steps) // 50, 1)
    apart_in_rate = [first for first, _ in other_rates(log.until(last), match.rate)]
    rates = {"lr_since": float(apart_in_rate[0])} if apart_in_rate else {}
    return rates | {
        "difference": float(np.expm1(np.mean(apart))),
        "error": float(error),
        "end": float(np.median(match.measured()[-tail:])),
        "end_step": float(match.steps[-1]),
    }


_OTHER_LAW = (
    "A law of another model, data or batch? Fit one to runs like this, or judge it by --match LOG; "
    "its band is widened by what was seen"
)
_WHY = {
    "above": "a spike that has not recovered, a wrong rate or batch, or harder data",
    "below": "data repeated, easier data, or another model",
}


def verdict_of(
    found: dict[str, Any],
    last: float,
    beside: dict[str, float] | None,
    otherwise: bool,
    others: tuple[tuple[float, float], ...],
    diverged: bool,
) -> tuple[str, tuple[str, ...]]:
    """The verdict and its reasons.

    Args:
        found: fields of a SoFar.
        last: last step of the log.
        beside: what `beside_of` says, or None.
        otherwise: its loss answers to the rate otherwise than the law says.
        others: first and last step of each stretch whose rate is not the schedule's.
        diverged: it lies beyond any law of its model.
    """
    reasons = []
    verdict = "go on"
    stop = found["lr_since"] is not None
    if stop:
        reasons.append(
            f"the rate is not the schedule's from step {found['lr_since']:,.0f} on: the end "
            "expected is that of the schedule from here on"
        )
    for first, final in others[: -1 if stop else None]:
        verdict = "look"
        reasons.append(
            f"the rate was not the schedule's at steps {first:,.0f} to {final:,.0f}: the run is "
            "judged by the rate that was logged"
        )
    if found["state"] != "inside":
        verdict = "look"
        since = f"{found['state']} its band since step {found['since']:,.0f}"
        if found["law_fits"]:
            why = _WHY[found["state"]]
        elif found["lr_since"] is not None:
            why = "the law does not fit this log at the rate it was run at"
        elif otherwise:
            why = f"its loss answers to the rate otherwise than the law says. {_OTHER_LAW}"
        else:
            why = f"the law does not fit this log from its first row on. {_OTHER_LAW}"
        reasons.append(f"{since}, by {found['offset']:+.2%} at the end: {why}")
    for first, final, most in found["departures"]:
        verdict = "look"
        where = "above" if most > 0 else "below"
        reasons.append(
            f"it was {where} its band at steps {first:,.0f} to {final:,.0f}, by {most:+.2%} at "
            "most, and is back: another rate, batch or other data for a while"
        )
    for first, final in found["spikes"]:
        over = final < last
        reasons.append(
            f"a spike at steps {first:,.0f} to {final:,.0f}" + ("" if over else ", not over")
        )
        verdict = verdict if over else "look"
    if stop:
        verdict = "stop"
    if beside is not None and abs(beside["difference"]) > 3 * beside["error"]:
        verdict = "look" if verdict == "go on" else verdict
        reasons.append(
            f"it does not match: {beside['difference']:+.2%} beside the run it should repeat, "
            f"{beside['error']:.2%} being chance"
        )
    if beside is not None and "lr_since" in beside:
        verdict = "look" if verdict == "go on" else verdict
        reasons.append(
            f"the run to match was run at another rate from step {beside['lr_since']:,.0f} on"
        )
    late = found["state"] == "above" and found["law_fits"]
    if diverged:
        verdict = "stop"
        reasons.append(f"it has diverged, beyond {ALIKE:g} times its law")
    elif late and found["band"][0] > found["planned_band"][1]:
        verdict = "stop"
        reasons.append("it will end above the band of its schedule")
    if not reasons:
        reasons.append("inside its band")
    return verdict, tuple(reasons)
