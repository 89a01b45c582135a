"""What a law adds to a plan, and how far the plan reaches beyond what the law was fitted to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hidim.fitting.logs.planned import planned
from hidim.fitting.logs.rates import Rate
from hidim.fitting.logs.readings import Reading
from hidim.fitting.logs.runs import Run
from hidim.fitting.schedules.law import FittedLaw
from hidim.support.inputs import read_json

# Beyond these multiples of what was fitted a plan is in another unit, and no extrapolation.
_LONGEST = 1e4
_RATES = 100.0
_DEEPER = 1.1  # fold below the lowest fitted rate, from which on it matters that a law is blind
_UNITS = 30.0  # and beyond this one if the warm-up is as many times as long
_ALIKE, _TWICE = 1.1, 1.9  # factors that are one, and from which on two lengths are two
_SUDDEN = 1.5  # fold beyond the largest fitted drop, from which on bands have been too narrow
_AS_LONG, _AS_WARM = 0.03, 0.06  # logs end, and reach their peak, in a row beside the step itself
_MUCH = 0.25  # of a run for a warm-up
_APART = 0.005  # of the length of the fitted runs: another warm-up than theirs


def refuse_no_law(path: str) -> None:
    """Refuse a log in the place of a law."""
    try:
        read_json(path)
    except ValueError as error:
        if "is not JSON" not in str(error):
            raise
        raise ValueError(
            f"{path!r} is no law: keep one with hidim fit LOG ... --out law.json."
        ) from None


def warmed(reading: Reading, law: FittedLaw) -> Run:
    """The plan with the warm-up of the fitted runs, where nothing says one."""
    plan = reading.run
    if reading.warmup_known:
        return plan
    of_file = reading.words is None or plan.loss is not None
    refuse_steps(law, plan.label, float(plan.steps[-1]), of_file=of_file)
    steps = known_warmup(law)
    if not steps:
        return plan
    if reading.words is not None and plan.loss is None:
        words = reading.words.text
        plan = planned(words, warmup_steps=steps, steps=float(plan.steps[-1])).run
    else:
        plan = replace(plan, warmup_steps=steps)
    note = f"warm-up of {steps:g} steps, as in the fitted runs: --warmup-steps changes it"
    if (share := steps / float(plan.steps[-1])) > _MUCH:
        note += (
            f". It is {share:.0%} of the plan: do the fitted logs count micro-steps, and the plan "
            "optimizer steps? Then fit them with --step-scale"
        )
    return replace(plan, notes=(*plan.notes, note))


def known_warmup(law: FittedLaw) -> float:
    """The warm-up of the fitted runs, or a refusal where they differ."""
    if law.warmup_steps is None:
        raise ValueError(
            "the fitted runs differ in their warm-up: say that of the plan, --warmup-steps N "
            "(0 for none)."
        )
    return law.warmup_steps


def _one_factor(law: FittedLaw, warmup: float, last: float) -> float:
    """How many times as long as the fitted runs a plan and its warm-up are, if both alike, or 1.

    A warm-up that a log holds has ended by a row, and some time since the row before."""
    known = law.warmup_steps or 0.0
    if not known or not warmup:
        return 1.0
    long, warm = last / law.units.steps, warmup / known
    curves = law.provenance.get("curves", ())
    rows = max((c["last_step"] / c["rows"] for c in curves if c.get("ready_step")), default=0.0)
    latest = _ALIKE * max(1.0, known / max(known - rows, 1e-9 * known))
    unlike = long / warm > _ALIKE or warm / long > latest or 1 / _TWICE < warm < _TWICE
    if unlike:
        return 1.0
    return long if warm > _ALIKE * long else warm


def warmup_apart(law: FittedLaw, steps: float, last: float) -> tuple[str, ...]:
    """A note where the warm-up is none that the fitted runs had: no number of reach tells it.

    Args:
        law: fitted.
        steps: at the end of the warm-up.
        last: of the plan.
    """
    curves = law.provenance.get("curves", ())
    found = [max(float(c.get(k, 0.0)) for k in ("warmup_steps", "ready_step")) for c in curves]
    if not found:
        return ()
    low, high = min(found), max(found)
    off = max(low / 1.1 - steps, steps - 1.1 * high)
    if off <= _APART * law.units.steps:
        return ()
    had = f"{low:g}" if high <= 1.1 * low else f"{low:g} to {high:g}"
    also = ""
    if (factor := _one_factor(law, steps, last)) != 1.0:
        also = (
            f"; both are {factor:.3g} times as long as there: if they count in another unit, take "
            f"them times {1 / factor:.4g} (of a file --step-scale {1 / factor:.4g})"
        )
    return (
        f"the warm-up ends at step {steps:g}, in the fitted runs at {had}: they do not say what "
        f"another one changes, and the band leaves it out{also}",
    )


def doubts_of(law: FittedLaw, plan: Run) -> tuple[str, ...]:
    """Notes on a plan that no number of reach holds."""
    return (
        *(
            counted_otherwise(law, plan.label, plan.rate.ready_step, float(plan.steps[-1]))
            or warmup_apart(law, plan.rate.ready_step, float(plan.steps[-1]))
        ),
        *unanswered(law, plan),
    )


def counted_otherwise(law: FittedLaw, label: str, warmup: float, last: float) -> tuple[str, ...]:
    """A note where a plan is a whole number of times as long or as short as a fitted run and its
    warm-up too, as optimizer steps are beside micro-steps."""
    for curve in law.provenance.get("curves", ()):
        warm = max(float(curve.get(k, 0.0)) for k in ("warmup_steps", "ready_step"))
        if not warm or not warmup:
            continue
        longer, warmer = last / float(curve["last_step"]), warmup / warm
        factor = round(max(longer, 1 / longer))
        whole = factor if longer > 1 else 1 / factor
        if factor == 1 or abs(longer / whole - 1) > _AS_LONG or abs(warmer / whole - 1) > _AS_WARM:
            continue
        if longer < 1:
            why = (
                f"shorter than {curve['label']} and its: if that log counts micro-steps, {factor} "
                f"to an optimizer step, fit it with --step-scale {1 / factor:.6g}"
            )
        else:
            why = (
                f"longer than {curve['label']} and its: if it counts micro-steps, {factor} to a "
                "step of that log, say it in those; if that log counts epochs, fit it with "
                "--step-scale N, the steps of one"
            )
        return (f"{label} and its warm-up are {factor} times {why}",)
    return ()


def unanswered(law: FittedLaw, plan: Run) -> tuple[str, ...]:
    """A note where a baseline, to which no rate matters, is asked beyond the decays it has seen."""
    if law.law.response != "none" or law.extrapolation(plan)["lowest_rate"] < _DEEPER:
        return ()
    return (
        f"law {law.law.name!r} knows no answer to a falling rate, and no fitted run falls as far: "
        "the loss ends lower than this, and the band leaves it out; fit fsl to a run with a decay",
    )


def refuse_units(
    law: FittedLaw, label: str, rate: Rate, last: float, *, of_file: bool = False
) -> None:
    """Refuse a plan so far from every fitted run that its steps or rates are in another unit."""
    refuse_steps(law, label, last, of_file=of_file)
    if of_file and (factor := _one_factor(law, rate.ready_step, last)) > _UNITS:
        raise ValueError(
            f"{label} and its warm-up are {factor:.3g} times as long as those of the fitted runs: "
            f"samples, tokens or micro-steps, where the law counts otherwise? --step-scale "
            f"{1 / factor:.6g} makes them alike."
        )
    peaks = [one.peak for one in law.schedules.values()] or [law.reach["highest_rate"]]
    if not min(peaks) / _RATES <= rate.peak <= max(peaks) * _RATES:
        fitted = (
            f"{min(peaks):g}" if min(peaks) == max(peaks) else f"{min(peaks):g} to {max(peaks):g}"
        )
        raise ValueError(
            f"the rate of {label} has its peak at {rate.peak:g}, that of the fitted runs at "
            f"{fitted}: another unit, or shares of the peak? Give rates as the fitted logs do."
        )


def refuse_steps(law: FittedLaw, label: str, last: float, *, of_file: bool = False) -> None:
    """The same of its steps, before the warm-up of the fitted runs is added in their unit."""
    longest = law.units.steps
    alike = "--step-scale {} makes them alike." if of_file else "Say them as the fitted logs do."
    if last > _LONGEST * longest:
        raise ValueError(
            f"{label} runs to step {last:g}, {last / longest:.3g} times the {longest:g} of the "
            "fitted runs: tokens, where the law counts optimizer steps? "
            + alike.format("STEPS-PER-TOKEN")
        )
    if last <= 1 and longest > _RATES:
        raise ValueError(
            f"{label} ends at step {last:g}, and the fitted runs at {longest:g}: shares of the "
            "run? " + alike.format("N, the steps of the run,")
        )
    if last * _LONGEST < longest:
        raise ValueError(
            f"{label} ends at step {last:g}, and the fitted runs at {longest:g}: epochs or "
            "optimizer steps, where the law counts tokens? " + alike.format("TOKENS-PER-STEP")
        )


def reach_text(reach: dict[str, float]) -> str:
    """How far a forecast goes beyond the fitted runs, in one line."""
    words = {
        "steps": "optimizer steps",
        "time": "intrinsic time",
        "peak_rate": "peak learning rate",
        "low_peak": "peak learning rate below theirs",
        "lowest_rate": "depth of decay",
        "sudden_fall": "fall at once",
        "size_steps": "optimizer steps of the runs of this size",
        "size_lowest_rate": "depth of decay of the runs of this size",
        "params": "size of the model",
    }
    more = {"size_steps": "steps", "size_lowest_rate": "lowest_rate"}  # said where they say more
    if not _SUDDEN < reach.get("sudden_fall", 0.0) < np.inf:  # to zero at once is to zero
        reach = {k: v for k, v in reach.items() if k != "sudden_fall"}
    beyond = [
        "decays to zero" if np.isinf(v) else f"{words[k]} {v:.3g} x"
        for k, v in reach.items()
        if v > 1.005 and v > 1.005 * reach.get(more.get(k, ""), 0.0)
    ]
    if not beyond:
        return "inside what the fitted runs cover"
    return "extrapolates beyond the fitted runs: " + ", ".join(beyond)
