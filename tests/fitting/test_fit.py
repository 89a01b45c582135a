"""Fitted laws predict schedules they have not seen, within the bands they promise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.fitting import FittedLaw, Run, fit, read_run
from hidim.fitting.schedules.clock import Units
from hidim.fitting.schedules.laws import LAWS, WITHOUT
from hidim.fitting.schedules.search import points_of, search
from tests.fitting.conftest import TRUTH

Maker = Callable[..., Run]
STEPS = np.arange(1000.0, 24001.0, 128)
UNITS = Units(time=3e-4 * 23500, steps=24000.0, rate=3e-4)  # of the synthetic runs
FITTED = ("cosine_24000", "constant_24000", "wsdcon_9")
UNSEEN = (
    *("constant_72000", "cosine_72000", "wsd_20000_24000", "wsdld_20000_24000"),
    *("wsdcon_3", "wsdcon_18"),
)


@pytest.fixture(scope="module")
def law(synthetic: Maker) -> FittedLaw:
    """The law fitted to three synthetic schedules."""
    runs = [synthetic(n, seed=i) for i, n in enumerate(("cosine", "constant", "stage"))]
    return fit(runs, "fsl")


@pytest.mark.parametrize("name", LAWS)
def test_gradient_is_exact(name: str, synthetic: Maker) -> None:
    law = LAWS[name]
    start = np.nan_to_num(law.starts()[0], nan=-0.7)
    clock = Units(7.0, 24000.0, 4e-4).clock(synthetic("wsd").rate, STEPS)
    loss, jacobian = law.evaluate(start, clock)
    assert np.allclose(law.loss(start, clock), loss, rtol=1e-13)
    for i in range(len(start)):
        h = np.zeros_like(start)
        h[i] = 1e-6
        slope = (law.evaluate(start + h, clock)[0] - law.evaluate(start - h, clock)[0]) / 2e-6
        # central difference: error h^2 * third derivative plus rounding 1e-16 / h
        assert np.allclose(jacobian[:, i], slope, rtol=1e-6, atol=1e-8), law.names[i]


def test_refits_started_from_the_best_are_those_from_the_grid(
    law: FittedLaw, synthetic: Maker
) -> None:
    runs = [synthetic(n, seed=i) for i, n in enumerate(("cosine", "constant", "stage"))]
    points = [points_of(run, law.units) for run in runs]
    clock = law.units.clock(synthetic("wsd").rate, STEPS)
    for i, replica in enumerate(law.replicas):
        afresh = search(law.law, [p for j, p in enumerate(points) if j != i])
        loss, expected = (law.law.evaluate(vector, clock)[0] for vector in (replica, afresh))
        # Both minimise to 1e-8 of the sum of squares, which leaves about its root in the loss.
        assert np.allclose(loss, expected, rtol=1e-5)


def test_unseen_schedule_is_predicted_within_its_noise(law: FittedLaw, synthetic: Maker) -> None:
    unseen = synthetic("wsd", noise=0.0)
    at = unseen.steps >= 1250  # where rows are fitted
    slope = law.law.evaluate(law.vector, law.units.clock(unseen.rate, unseen.steps))[1]
    sigma = np.sqrt(np.einsum("ni,ij,nj->n", slope, law.covariance, slope)) / unseen.measured()
    error = np.abs(law.predict(unseen) / unseen.measured() - 1)
    assert np.max(error[at] / sigma[at]) < 3
    # noise 5e-4 on about 480 points and 10 parameters: the mean is known to about 1e-4
    assert np.mean(error[at]) < 1.5e-4 < 5 * np.median(sigma)


def test_band_holds_the_unseen_run(law: FittedLaw, synthetic: Maker) -> None:
    unseen = synthetic("wsd", seed=9)
    low, high = law.band(unseen)
    inside = np.mean((unseen.measured() >= low) & (unseen.measured() <= high))
    assert inside >= 0.9
    narrow = law.band(unseen, level=0.5)
    assert np.all(narrow[0] > low)
    assert np.all(narrow[1] < high)


def test_band_widens_beyond_the_fitted_runs(law: FittedLaw) -> None:
    steps = np.array([24_000.0, 240_000.0])
    low, high = law.band(hidim.Constant(3e-4), steps)
    width = np.log(high / low)
    assert width[1] > 1.5 * width[0]
    assert law.extrapolation(hidim.Constant(3e-4), steps)["steps"] == pytest.approx(10, rel=0.01)


def test_saved_law_predicts_the_same(law: FittedLaw, synthetic: Maker, tmp_path: Path) -> None:
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    run = synthetic("wsd")
    assert np.array_equal(again.predict(run), law.predict(run))
    assert np.array_equal(again.band(run), law.band(run))


@pytest.mark.parametrize("unknown", [("clock_exponent",), ("early_time", "clock_exponent")])
def test_a_law_saved_before_its_last_parameters_predicts_the_same(
    law: FittedLaw, synthetic: Maker, unknown: tuple[str, ...]
) -> None:
    first = len(law.law.names) - len(unknown)
    without = [WITHOUT[name] for name in unknown]
    data = replace(law, vector=np.array([*law.vector[:first], *without])).to_dict()
    old = data | {
        "vector": data["vector"][:first],
        "replicas": [one[:first] for one in data["replicas"]],
        "covariance": law.covariance[:first, :first].tolist(),
        "parameters": {k: v for k, v in data["parameters"].items() if k not in unknown},
    }
    again, run = FittedLaw.from_dict(old), synthetic("wsd")
    assert np.array_equal(again.predict(run), FittedLaw.from_dict(data).predict(run))
    assert again.vector[first:].tolist() == without
    assert again.covariance.shape == law.covariance.shape
    assert not again.covariance[first:].any()


def test_a_new_law_cut_short_is_no_old_one(law: FittedLaw, synthetic: Maker) -> None:
    data = law.to_dict()
    cut = {"vector": data["vector"][:-1], "replicas": [one[:-1] for one in data["replicas"]]}
    with pytest.raises(ValueError, match="11 parameters"):
        FittedLaw.from_dict(data | cut)
    with pytest.raises(ValueError, match="covariance"):
        FittedLaw.from_dict(data | {"covariance": law.covariance[:-1, :-1].tolist()})
    small = law.to_dict() | {"law": "mpl", "members": [{**data, "names": law.law.names, **cut}]}
    small |= {k: [] for k in ("replicas", "covariance")} | {"vector": data["vector"][:7]}
    with pytest.raises(ValueError, match="'fsl' has 11 parameters"):
        FittedLaw.from_dict(small | {"members": [{**small["members"][0], "weight": 0.1}]})


def test_a_start_steeper_than_the_power_is_found(synthetic: Maker) -> None:
    runs = [synthetic(n, seed=i) for i, n in enumerate(("cosine", "constant", "stage"))]
    true = np.array([*TRUTH[:-2], 0.01, 1.0])
    for i, run in enumerate(runs):
        clock = UNITS.clock(run.rate, run.steps)
        moved = np.log(LAWS["fsl"].loss(true, clock) / LAWS["fsl"].loss(TRUTH, clock))
        runs[i] = replace(run, loss=run.measured() * np.exp(moved))
    unseen = Run(STEPS, synthetic("wsd").lr, None, 1000.0, "wsd")
    loss = LAWS["fsl"].loss(true, UNITS.clock(unseen.rate, STEPS))
    found = fit(runs)
    assert found.parameters["early_time"] == pytest.approx(0.01, rel=0.5)
    power = fit(runs, "mpl", force=True)  # a power law alone
    error, alone = (np.nanmean(np.abs(f.predict(unseen) / loss - 1)) for f in (found, power))
    assert error < 0.2 * alone, (error, alone)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reach": {}}, "last_step"),
        ({"reach": 3}, "wrong"),
        ({"growth": -1.0}, "growth"),
        ({"noise": 0.0}, "noise"),
        ({"holdout": None}, "wrong"),
        ({"vector": [1.0, 2.0]}, "11 parameters"),
        ({"replicas": [[1.0, 2.0]]}, "11 parameters"),
        ({"vector": [2.5, *[1e6] * 10]}, "searched between"),
        ({"parameters": {"floor": 1.0}}, "disagree"),
        ({"units": {"time": 1.0}}, "steps"),
        ({"law": "mtl"}, "5 parameters"),
    ],
)
def test_a_damaged_law_is_refused(law: FittedLaw, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FittedLaw.from_dict(law.to_dict() | change)


def test_a_plan_from_step_zero_is_predicted_like_one_from_the_end_of_the_warm_up(
    law: FittedLaw, synthetic: Maker
) -> None:
    run = synthetic("wsd")
    early = np.array([0.0, 1.0, 500.0])
    steps, lr = np.append(early, run.steps), np.append([3e-4] * 3, run.lr)
    whole = Run(steps, lr, np.append([11.0] * 3, run.measured()), 1000.0, "whole")
    assert np.allclose(law.predict(whole)[3:], law.predict(run), rtol=1e-12)
    assert law.score(whole) == pytest.approx(law.score(run))


def test_rates_at_the_steps_asked_for_are_a_schedule(law: FittedLaw, synthetic: Maker) -> None:
    run = synthetic("wsd")
    by_pair = law.predict((run.steps, run.lr), warmup_steps=1000)
    assert np.array_equal(law.predict(run.lr, run.steps, warmup_steps=1000), by_pair)
    assert np.array_equal(law.predict(list(run.lr), run.steps, warmup_steps=1000), by_pair)


def test_callable_schedule_equals_its_log(law: FittedLaw) -> None:
    schedule = 3e-4 * hidim.Cosine(23_000)
    steps = np.arange(1000.0, 24_000.0, 100)
    dense = np.arange(1000.0, 24_001.0)
    logged = Run(dense, schedule(dense), None, 1000.0)
    by_call = law.predict(schedule, steps, warmup_steps=1000)
    # the rate is kept to 1e-4 of its peak
    assert np.allclose(by_call, law.predict(logged, steps), rtol=2e-4)


def test_lower_peak_is_the_same_as_having_shed_the_noise(law: FittedLaw) -> None:
    # A constant run at 30 % of the peak and a run dropped there early end alike in noise:
    # the share of early noise (noise_signal) leaves 0.7 %; without shedding it would be 4.5 %.
    steps = np.arange(1000.0, 200_000.0, 500)
    low = Run(steps, np.full(len(steps), 0.9e-4), None, 0.0)
    dropped = Run(steps, np.where(steps < 3000, 3e-4, 0.9e-4), None, 0.0)
    at = steps[-1:]
    gap = law.predict(low, at) / law.predict(dropped, at) - 1
    assert abs(gap[0]) < 1e-2


def test_intrinsic_time_misses_what_the_schedule_does(law: FittedLaw, synthetic: Maker) -> None:
    runs = [synthetic(n, seed=i) for i, n in enumerate(("cosine", "constant", "stage"))]
    unseen = synthetic("wsd", seed=5)
    plain = fit(runs, "intrinsic-time").score(unseen)["mean_relative_error"]
    assert plain > 4 * law.score(unseen)["mean_relative_error"]


@pytest.mark.parametrize("name", ["fsl", "mpl", "mtl"])
def test_constant_runs_alone_cannot_fit_a_schedule_law(name: str, synthetic: Maker) -> None:
    with pytest.raises(ValueError, match="learning rate changes"):
        fit([synthetic("constant")], name)


def test_one_row_is_refused() -> None:
    with pytest.raises(ValueError, match="1 row"):
        fit([Run([10.0], [1e-3], [2.0])], "step")
    rows = np.arange(5.0)
    with pytest.raises(ValueError, match="at least"):
        fit([Run(1 + rows, 1e-3 + 0 * rows, 3 - rows / 9)], "step")


def test_a_million_rows_are_averaged_and_fitted() -> None:
    steps = np.arange(1.0, 1_000_001.0)
    rng = np.random.default_rng(0)
    loss = 2 + (steps / 1000) ** -0.5 + 0.05 * rng.standard_normal(len(steps))
    lr = np.where(steps < 6e5, 1e-3, 2e-4)
    law = fit([Run(steps, lr, loss)], "step")
    assert law.predict(Run([9e5], [1e-3], None))[0] == pytest.approx(2 + 900**-0.5, rel=2e-3)


@pytest.mark.parametrize(("size", "limit"), [("25M", 0.0011)])
def test_measured_unseen_schedules(measured: Callable[..., Path], size: str, limit: float) -> None:
    runs = [read_run(measured("llm-curves", size, f"{n}.csv"), warmup_steps=2160) for n in FITTED]
    law, baseline = fit(runs, "fsl"), fit(runs, "intrinsic-time")
    unseen = [read_run(measured("llm-curves", size, f"{n}.csv"), warmup_steps=2160) for n in UNSEEN]
    scores = [law.score(run) for run in unseen]
    mean = np.mean([score["mean_relative_error"] for score in scores])
    assert np.mean([law.holdout[name] for name in FITTED]) <= 0.0018
    assert mean <= limit
    assert max(score["max_relative_error"] for score in scores) <= 0.010
    assert max(abs(score["final_error"]) for score in scores) <= 0.012
    assert 4 * mean <= np.mean([baseline.score(run)["mean_relative_error"] for run in unseen])
    rows = [len(run.steps) for run in unseen]
    cover = np.average([score["band_coverage"] for score in scores], weights=rows)
    assert 0.80 <= cover <= 0.97


@pytest.mark.parametrize("size", ["100M", "400M"])
def test_measured_curve_left_out_is_predicted(measured: Callable[..., Path], size: str) -> None:
    runs = [read_run(measured("llm-curves", size, f"{n}.csv"), warmup_steps=2160) for n in FITTED]
    law = fit(runs, "fsl")
    # two curves predict the third: harder than the promise, which is about three
    assert np.mean([law.holdout[name] for name in FITTED]) <= 0.0018


def test_schedules_that_make_no_sense_are_refused(law: FittedLaw) -> None:
    with pytest.raises(ValueError, match="schedule"):
        law.predict("cosine", [10.0])
    with pytest.raises(ValueError, match="steps"):
        law.predict(hidim.Constant(1e-3))
    with pytest.raises(ValueError, match="level"):
        law.band((STEPS, np.full(len(STEPS), 1e-3)), level=1.0)


def test_runs_that_cannot_belong_together_are_refused(synthetic: Maker) -> None:
    a, b = synthetic("cosine"), synthetic("stage")
    with pytest.raises(ValueError, match="same rows"):
        fit([a, Run(a.steps, a.lr, a.loss, 1000.0, "copy")])
    with pytest.raises(ValueError, match="called"):
        fit([a, a])
    with pytest.raises(ValueError, match="units"):
        fit([a, Run(b.steps, 1e4 * b.lr, b.loss, 1000.0, "b")])
    with pytest.raises(ValueError, match="rises"):
        fit([a, Run(b.steps, b.lr, 1 / b.measured(), 1000.0, "accuracy")])
    with pytest.raises(ValueError, match="loss column"):
        fit([a, Run(b.steps, b.lr, None, 1000.0, "planned")])


def test_wrong_column_is_not_fitted_in_silence(synthetic: Maker) -> None:
    runs = [synthetic(name, steps=STEPS[::8]) for name in ("cosine", "stage")]
    swapped = [Run(r.steps, r.measured(), r.lr, 1000.0, r.label) for r in runs]
    with pytest.raises(ValueError, match=r"wrong column|rises"):
        fit(swapped, "mtl")
    other = Run(runs[1].steps, runs[1].lr, 1.5 * runs[1].measured(), 1000.0, "other model")
    with pytest.raises(ValueError, match="another model"):
        fit([runs[0], other], "mtl")
    near = Run(runs[1].steps, runs[1].lr, 1.1 * runs[1].measured(), 1000.0, "near")
    with pytest.raises(ValueError, match="--force"):
        fit([runs[0], near], "mtl")
    assert fit([runs[0], near], "intrinsic-time", force=True).warnings


def test_losses_that_do_not_follow_the_steps_are_refused(synthetic: Maker) -> None:
    a, b, c = (synthetic(name, steps=STEPS[::4]) for name in ("cosine", "constant", "stage"))
    shuffled = np.random.default_rng(1).permutation(c.measured())
    with pytest.raises(ValueError, match=r"shuffled|rises"):
        fit([a, b, Run(c.steps, c.lr, shuffled, 1000.0, "shuffled")])
    with pytest.raises(ValueError, match="every row"):
        fit([a, b, Run(c.steps, c.lr, np.full(len(c.steps), 3.0), 1000.0, "standing")])
    with pytest.raises(ValueError, match="unit"):
        fit([a, b, Run(5e5 * c.steps, c.lr, c.loss, 1000.0, "tokens")])


def test_honest_noise_of_two_percent_is_fitted(synthetic: Maker) -> None:
    runs = [synthetic(n, noise=0.02, seed=i) for i, n in enumerate(("cosine", "constant", "stage"))]
    unseen = synthetic("wsd", noise=0.0)
    error = np.abs(fit(runs).predict(unseen) / unseen.measured() - 1)
    # 2 % on 540 rows and 9 parameters leave about 0.02 * sqrt(9 / 540)
    assert np.mean(error) < 6e-3


def test_rates_far_apart_are_refused_unless_forced(synthetic: Maker) -> None:
    a, b = synthetic("cosine"), synthetic("stage")
    for factor in (1000.0, 30.0):
        other = Run(b.steps, factor * b.lr, b.loss, 1000.0, "b")
        with pytest.raises(ValueError, match="units"):
            fit([a, other], "intrinsic-time")
    law = fit([a, other], "intrinsic-time", force=True)
    assert "same unit" in law.warnings[0]


def test_a_damaged_last_row_moves_the_law_little_and_is_told(synthetic: Maker) -> None:
    runs = [synthetic(name, steps=STEPS[::2]) for name in ("cosine", "constant", "stage")]
    whole = fit(runs)
    loss = runs[0].measured().copy()
    loss[-1] = 2.0  # the file ended inside a number
    runs[0] = Run(runs[0].steps, runs[0].lr, loss, 1000.0, "cosine")
    law = fit(runs)
    unseen = synthetic("wsd", noise=0.0)
    assert np.max(np.abs(law.predict(unseen) / whole.predict(unseen) - 1)) < 5e-4
    assert any("far from the law" in warning for warning in law.warnings)


class Frame:
    """What a data frame offers: names of columns, and a column by name."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        self.columns = list(columns)
        self._values = columns

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[name]


def test_runs_come_as_objects_files_columns_or_curves(synthetic: Maker, tmp_path: Path) -> None:
    run = synthetic("stage", steps=STEPS[::16])
    columns = (run.steps, run.lr, run.measured())
    path = tmp_path / "stage.csv"
    np.savetxt(path, np.stack(columns, 1), delimiter=",", comments="", header="step,lr,loss")
    expected = fit(run, "intrinsic-time").predict(run)
    named = dict(zip(("step", "lr", "loss"), columns, strict=True))
    frame = Frame(named)
    for given in (path, str(path), [str(path)], columns, [columns], named, frame, [frame]):
        law = fit(given, "Intrinsic-Time", warmup_steps=1000)
        assert np.allclose(law.predict(run), expected, rtol=1e-9)
    curve = hidim.Curve(steps=np.arange(0, 5000, 10), risk=2 + (1 + np.arange(0, 5000, 10)) ** -0.5)
    assert fit(curve, "step", lr=1.0).predict(lambda t: 0 * t + 1, [40_000])[0] == pytest.approx(
        2.005, abs=1e-3
    )
    for law in ("fsl", "step"):  # no rate is made up
        with pytest.raises(ValueError, match="does not say its learning rate"):
            fit(curve, law)
    with pytest.raises(ValueError, match="curves"):
        fit([3], "fsl")
