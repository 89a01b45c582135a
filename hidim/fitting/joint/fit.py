"""Which one law describes runs of several sizes under several schedules?

`fit_joint(runs, params)` fits floor, amplitudes and response of all sizes at once. Its refits draw
the priors anew and weigh quarters of runs at random, so that their spread holds both what the runs
leave open and what is assumed; every run, and the largest size, are predicted from the rest.
Limits: one data set and batch size; two sizes do not say how the floor goes on, the prior does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim._version import __version__
from hidim.fitting.joint.form import JointForm, Prior
from hidim.fitting.joint.law import JointLaw, JointUnits
from hidim.fitting.joint.order import check_order
from hidim.fitting.joint.search import Sized, prior_means, search_joint
from hidim.fitting.logs.inputs import as_runs
from hidim.fitting.logs.runs import Run
from hidim.fitting.robust import HUBER
from hidim.fitting.schedules.clock import feel_alike
from hidim.fitting.schedules.laws import START, of_a_size, schedule_law
from hidim.fitting.schedules.misfit import check_fit
from hidim.fitting.schedules.plausible import check_runs
from hidim.fitting.schedules.search import log_ratio, points_of, settled
from hidim.support.checks import finite_array, listed, positive, whole
from hidim.support.progress import Progress

# Two runs of one configuration differ by about this fraction of the loss; the error grows by about
# this much per unit of log time where it could not be measured (hidim.fitting.schedules.fit).
RUN_TO_RUN = 1e-3
_GROWTH = 4e-3
# Per unit of log size beyond the largest: where no third size says, what refits do not explain of
# sizes four times larger on 60 ladders of known truth (docs/log.md, 2026-11-27); and at least.
_SIZE_GROWTH = 1e-2
_LEAST_SIZE_GROWTH = 2.5e-3
_BLOCKS = 4
_MOST_LEFT_OUT = 12
_Z90 = 1.6449
_FEWEST = 12


def fit_joint(
    curves: Any,
    params: Any = None,
    law: str = "fsl",
    *,
    warmup_steps: float = 0.0,
    tokens_per_step: float | None = None,
    prior: Prior | None = None,
    refits: int = 24,
    seed: int = 0,
    delta: float = HUBER,
    force: bool = False,
    progress: bool | None = None,
) -> JointLaw:
    """Fit one law over sizes and schedules to runs of at least two sizes.

    Args:
        curves: runs with loss, as `fit` takes them, of one data set and batch size.
        params: parameters of each run's model, shape (runs,), positive; of Curves by default
            their dimension.
        law: of schedules: "fsl", "fsl-7" or "mpl".
        warmup_steps: linear warm-up that logs leave out.
        tokens_per_step: batch size in tokens, which plans for budgets need.
        prior: what is assumed of sizes; a usual one by default.
        refits: behind the bands.
        seed: of the refits.
        delta: Huber scale of log residuals.
        force: fit curves the law does not describe, with warnings.
        progress: show a progress line; None means on a terminal.

    Raises:
        ValueError: fewer than two sizes, one size per run missing, or what `fit` refuses.

    >>> steps = np.arange(100.0, 3000, 50)
    >>> lr = np.where(steps < 2000, 1e-3, 3e-4)
    >>> runs = [Run(steps, lr, f + (steps / 1000) ** -0.5, label=str(f)) for f in (2.0, 1.8)]
    >>> found = fit_joint(runs, [1e6, 4e6], "mpl", refits=2)
    >>> bool(found.at(4e6).predict(runs[1])[-1] < found.at(1e6).predict(runs[0])[-1])
    True
    """
    if params is None:
        params = _dimensions(curves)
    given = as_runs(curves, warmup_steps)
    sizes = _sizes(params, len(given))
    schedule = schedule_law(law)
    if "release" not in schedule.names or schedule.response != "power":
        raise ValueError(f"`law` must be fsl, fsl-7 or mpl for a joint law, got {law!r}.")
    form = JointForm(of_a_size(schedule), prior or Prior())
    runs = check_runs(given, schedule, force=force)
    units = JointUnits.of(runs, sizes)
    points = [_points(run, n, units) for run, n in zip(runs, sizes, strict=True)]
    refits = int(whole("refits", refits))
    left_out = range(len(runs)) if len(runs) <= _MOST_LEFT_OUT else ()
    with Progress(refits + len(left_out) + 3, f"fitting {law} over sizes", enabled=progress) as bar:
        best = search_joint(form, points, delta=delta)
        bar.advance()
        errors = [_errors(form, best, run, n, units) for run, n in zip(runs, sizes, strict=True)]
        size = np.abs(np.concatenate([error for _, error in errors]))
        noise = max(RUN_TO_RUN, float(np.quantile(size, 0.9)) / _Z90)
        warnings = check_order(runs, sizes)
        warnings += check_fit(runs, errors, noise, schedule, params=sizes, force=force)
        replicas = []
        rng = np.random.default_rng(seed)
        for _ in range(refits):
            replicas.append(_refit(form, points, best, delta, rng))
            bar.advance()
        holdout = {}
        for i in left_out:
            rest = [one for j, one in enumerate(points) if j != i]
            if len({one.size for one in rest}) > 1:
                vector = search_joint(form, rest, near=best, delta=delta)
                holdout[runs[i].label] = _misfit(form, vector, [points[i]])
            bar.advance()
        growth = _stopped_half_way(form, runs, sizes, units, best, delta)
        bar.advance()
        size_growth, told = _without_largest(form, points, sizes, best, noise, delta)
        bar.advance()
    in_sample = {r.label: _misfit(form, best, [p]) for r, p in zip(runs, points, strict=True)}
    return JointLaw(
        form,
        best,
        units,
        np.array(replicas).reshape(-1, len(best)),
        noise,
        growth,
        size_growth,
        _reach(runs, sizes, units),
        holdout | told,
        in_sample,
        _provenance(runs, sizes, tokens_per_step, delta, seed),
        tuple(warnings),
    )


def _points(run: Run, size: float, units: JointUnits) -> Sized:
    """The bins of a run after its transient; a run stopped early has that of a whole one."""
    found = points_of(run, units.at(size))
    late = found.steps >= START * units.steps
    if np.count_nonzero(late) >= _FEWEST:
        found = found.where(late)
    return Sized(units.log_size(size), found)


def _dimensions(curves: Any) -> list[float]:
    given = listed("curves", curves, "runs, or the paths of their logs")
    found = [getattr(curve, "dimension", None) for curve in given]
    if not found or any(d is None for d in found):
        raise ValueError("`params` is needed: the parameters of each run's model, one per run.")
    return [float(d) for d in found if d is not None]


def _sizes(params: Any, count: int) -> list[float]:
    array = finite_array("params", params, ndim=1)
    if len(array) != count:
        raise ValueError(f"`params` has {len(array)} values for {count} runs: give one per run.")
    if len(array) and array.min() <= 0:
        raise ValueError(f"`params` must be positive, got {array.min():g}.")
    if len(np.unique(array)) < 2:
        raise ValueError(
            "`params` holds one size: a joint law needs runs of two sizes at least, and of three "
            "to say how the floor goes on. For one size use fit."
        )
    return [float(n) for n in array]


def _refit(
    form: JointForm,
    points: Sequence[Sized],
    best: np.ndarray,
    delta: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """The parameters for priors drawn anew and quarters of runs weighted at random: in the linear
    limit a draw from their distribution given the runs."""
    weights = []
    for one in points:
        count = len(one.points.steps)
        block = np.minimum(np.arange(count) * _BLOCKS // max(count, 1), _BLOCKS - 1)
        weights.append(rng.exponential(1.0, _BLOCKS)[block])
    widths = np.array([p.prior[1] if p.prior else 0.0 for p in form.parameters])
    means = prior_means(form) + widths * rng.standard_normal(len(widths))
    low = np.array([p.bounds[0] for p in form.parameters])
    means = np.where(widths > 0, np.maximum(means, low), means)
    return search_joint(form, points, near=best, delta=delta, weights=weights, means=means)


def _misfit(form: JointForm, vector: np.ndarray, points: Sequence[Sized]) -> float:
    errors = [_log_errors(form, vector, one) for one in points]
    return float(np.mean(np.abs(np.expm1(np.concatenate(errors)))))


def _log_errors(form: JointForm, vector: np.ndarray, one: Sized) -> np.ndarray:
    value = form.evaluate(vector, one.size, one.points.clock)[0]
    return log_ratio(value, np.exp(one.points.log_loss))


def _errors(
    form: JointForm, vector: np.ndarray, run: Run, size: float, units: JointUnits
) -> tuple[np.ndarray, np.ndarray]:
    """Steps after the transient, at most 5,000 of them, and log of predicted over measured loss."""
    rows = np.flatnonzero(run.steps >= settled(run))
    if len(rows) > 5000:
        rows = rows[np.linspace(0, len(rows) - 1, 5000).astype(np.int64)]
    clock = units.at(size).clock(run.rate, run.steps[rows])
    value = form.evaluate(vector, units.log_size(size), clock)[0]
    return run.steps[rows], log_ratio(value, run.measured()[rows])


def _stopped_half_way(
    form: JointForm,
    runs: Sequence[Run],
    sizes: Sequence[float],
    units: JointUnits,
    near: np.ndarray,
    delta: float,
) -> float:
    """Growth of the error with log time when every run stops half-way and the rest is predicted."""
    stopped, later, whole = [], [], []
    for run, n in zip(runs, sizes, strict=True):
        half = float(run.steps[-1]) / 2
        if np.count_nonzero(run.steps <= half) < _FEWEST:
            return _GROWTH
        stopped.append(_points(run.until(half), n, units))
        rest = points_of(run, units.at(n))
        whole.append(rest.clock)
        later.append((half, Sized(units.log_size(n), rest.where(rest.steps > half))))
    if not feel_alike((one.points.clock for one in stopped), whole):
        return _GROWTH
    vector = search_joint(form, stopped, near=near, delta=delta)
    error = np.concatenate([_log_errors(form, vector, one) for _, one in later])
    x = np.concatenate([np.log(one.points.steps / half) for half, one in later])
    return float(np.sqrt(np.sum(error**2) / np.sum(x**2))) if np.any(x > 0) else _GROWTH


def _without_largest(
    form: JointForm,
    points: Sequence[Sized],
    sizes: Sequence[float],
    near: np.ndarray,
    noise: float,
    delta: float,
) -> tuple[float, dict[str, float]]:
    """Growth of the error with log size, and the error on the largest size from the smaller ones.

    With fewer than three smaller sizes the prior and not the runs is what is tested, so that only
    the excess over what the prior explains counts.
    """
    largest = max(sizes)
    small = [p for p, n in zip(points, sizes, strict=True) if n < largest]
    large = [p for p, n in zip(points, sizes, strict=True) if n == largest]
    if len({p.size for p in small}) < 2:
        return _SIZE_GROWTH, {}
    vector = search_joint(form, small, near=near, delta=delta)
    error = np.concatenate([_log_errors(form, vector, one) for one in large])
    below, width = max(p.size for p in small), form.prior.floor_exponent[1]
    moved = []
    for sign in (-1.0, 1.0):
        means = prior_means(form)
        means[form.names.index("floor_exponent")] += sign * width
        again = search_joint(form, small, near=vector, delta=delta, means=means)
        moved.append(np.concatenate([_log_errors(form, again, one) for one in large]) - error)
    explained = _Z90 * np.sqrt(noise**2 + (moved[1] - moved[0]) ** 2 / 4)
    excess = float(np.sqrt(np.mean(error**2)) - np.sqrt(np.mean(explained**2)))
    growth = max(excess / (large[0].size - below), _LEAST_SIZE_GROWTH)
    label = f"size {largest:.3g} from the smaller ones"
    return float(growth), {label: float(np.mean(np.abs(np.expm1(error))))}


def _reach(runs: Sequence[Run], sizes: Sequence[float], units: JointUnits) -> dict[str, float]:
    peaks = [units.at(n).rate for n in sizes]
    return {
        "first_step": START * units.steps,
        "last_step": max(float(r.steps[-1]) for r in runs),
        "lowest_rate": min(r.rate.lowest / p for r, p in zip(runs, peaks, strict=True)),
        "smallest": min(sizes),
        "largest": max(sizes),
    }


def _provenance(
    runs: Sequence[Run],
    sizes: Sequence[float],
    tokens_per_step: float | None,
    delta: float,
    seed: int,
) -> dict[str, Any]:
    if tokens_per_step is not None:
        tokens_per_step = positive("tokens_per_step", tokens_per_step)
    return {
        "hidim": __version__,
        "huber_delta": delta,
        "seed": seed,
        "tokens_per_step": tokens_per_step,
        "curves": [
            {
                "label": run.label,
                "params": n,
                "rows": len(run.steps),
                "last_step": float(run.steps[-1]),
                "warmup_steps": float(run.warmup_steps),
                "ready_step": run.rate.ready_step,
                "peak": run.rate.peak,
                "lowest_rate": run.rate.lowest,
                "notes": list(run.notes),
            }
            for run, n in zip(runs, sizes, strict=True)
        ],
    }
