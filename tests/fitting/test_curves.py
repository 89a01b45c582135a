"""Claims about Curves as runs: a fit knows the schedule of each, or says that it does not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.algorithms.schedules import Schedule
from hidim.curve import Curve
from hidim.fitting import Run, SizeTable, envelope, fit, fit_sizes, read_run

SPECTRUM = hidim.Spectrum([1.0, 0.25], [1.0, 1.0], 0.01)
STEPS = np.arange(0, 4001, 100)


@dataclass(frozen=True)
class Steep(Schedule):
    """A schedule of one's own."""

    height: float

    def __call__(self, t):
        return self.height / (1.0 + np.asarray(t, dtype=np.float64))


def predicted(schedule: object, **how: object) -> Curve:
    return hidim.predict(SPECTRUM, hidim.sgd(schedule), 4000, **how)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_predicted_curve_is_fitted_at_the_schedule_it_was_made_with(tmp_path, suffix):
    """Two points a decade know nothing of a drop at step 1234, and the run does."""
    drop = 0.2 * hidim.Table([0, 1234], [1.0, 0.1], "previous")
    curve = predicted(drop, at=[0, 100, 1000, 4000])
    run = Run.of(curve)
    assert run.schedule == drop
    np.testing.assert_allclose(run.lr, [0.2, 0.2, 0.2, 0.02], rtol=1e-15)
    at = np.array([1234.0, 4000.0])
    np.testing.assert_allclose(run.rate.time(at), [246.8, 246.8 + 0.02 * 2766], rtol=1e-12)
    curve.save(tmp_path / f"drop{suffix}")
    again = read_run(tmp_path / f"drop{suffix}")
    assert (again.label, again.schedule) == ("drop", drop)
    np.testing.assert_array_equal(again.measured(), curve.risk)


def test_a_fit_of_curves_is_the_fit_of_their_runs():
    shapes = {"cosine": hidim.Cosine(4000, final=0.1), "warm": hidim.Warmup(50) * hidim.WSD(4000)}
    curves = [replace(predicted(0.2 * s, at=STEPS), label=name) for name, s in shapes.items()]
    runs = [
        Run(STEPS, 0.2 * shape(STEPS), curve.risk, label=name, schedule=0.2 * shape)
        for (name, shape), curve in zip(shapes.items(), curves, strict=True)
    ]
    law, other = (fit(given, "intrinsic-time", progress=False) for given in (curves, runs))
    np.testing.assert_array_equal(law.vector, other.vector)
    np.testing.assert_array_equal(law.predict(curves[0]), law.predict(runs[0]))
    assert law.score(curves[1]) == law.score(runs[1])
    np.testing.assert_array_equal(law.band(curves[0]), law.band(runs[0]))


def test_simulations_and_orders_of_steps_are_no_obstacle():
    shape = 0.1 * hidim.Cosine(200)
    run = hidim.simulate(SPECTRUM, hidim.sgd(shape), 200, runs=2, seed=1, at=[200, 0, 100, 100])
    found = Run.of(run)
    np.testing.assert_array_equal(found.steps, [0, 100, 200])
    np.testing.assert_allclose(found.lr, [0.1, 0.05, 0.0], atol=1e-12)
    assert found.schedule == shape


def test_a_column_of_rates_counts_before_the_provenance_and_loses_the_warm_up_it_leaves_out():
    curve = predicted(0.2, at=[100, 200, 300])
    rates = np.array([0.1, 0.1, 0.1])
    run = Run.of(replace(curve, columns={"lr": rates}), warmup_steps=50)
    assert run.schedule is None
    assert (run.rate.peak, run.warmup_steps) == (0.1, 50)
    assert Run.of(curve, warmup_steps=50).warmup_steps == 0  # its schedule has no warm-up


def test_momentum_is_noted_and_alone_it_is_refused():
    run = Run.of(hidim.predict(hidim.PLRF(1, 0.7, 20), "dana-decaying", 100))
    assert run.notes == ("lr is gamma_2 of dana-decaying",)
    alone = hidim.predict(SPECTRUM, hidim.sgd_momentum(0.0, 0.1, 0.5), 100)
    with pytest.raises(ValueError, match="momentum alone"):
        Run.of(alone)


@pytest.mark.parametrize(
    ("curve", "message"),
    [
        (Curve([0, 1], [1.0, 0.5], label="a"), "curve 'a' does not say its learning rate"),
        (Curve([0], [1.0], provenance={"algorithm": "mine"}), "does not say its learning rate"),
        (Curve([0], [1.0], provenance={"algorithm": {"gamma_2": "f(x)"}}), "column"),
        (Curve([0, 1], [1.0, 9e9], status="diverged", diverged_at=1), "diverged"),
        (Curve([0, 1], [1.0, 0.5], columns={"lr": [0.1, -0.1]}), "negative"),
        (Curve([0, 1], [1.0, np.inf], columns={"lr": [0.1, 0.1]}), "loss"),
    ],
)
def test_what_cannot_be_a_run_is_refused_in_one_line(curve, message):
    with pytest.raises(ValueError, match=message) as caught:
        Run.of(curve)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        fit(curve, "step")


def test_an_unfinished_or_inaccurate_curve_says_so_in_its_notes():
    curve = Curve([0, 1], [1.0, 0.5], status="unfinished", columns={"lr": [0.1, 0.1]})
    assert Run.of(curve).notes == ("the curve is unfinished",)
    curve = replace(curve, status="inaccurate", provenance={"error": 0.01})
    assert Run.of(curve).notes == ("the curve is inaccurate by up to 1.0e-02",)


def test_a_schedule_of_ones_own_is_read_back_where_its_class_is_known():
    curve = predicted(Steep(0.2), at=[0, 1, 3])
    assert Run.of(curve).schedule == Steep(0.2)
    unknown = {"algorithm": {"name": "sgd", "gamma_2": "Steeper(height=0.2)"}}
    with pytest.raises(ValueError, match=r"Steeper.*column \"lr\""):
        Run.of(replace(curve, provenance=unknown))


def test_another_column_may_be_the_loss(tmp_path: Path):
    columns = {"lr": [0.1, 0.1, 0.1], "train": [np.nan, 0.8, 0.6]}
    curve = Curve([0, 1, 2], [1.0, 0.5, 0.4], columns=columns)
    run = Run.of(curve, loss="train")
    assert (run.steps.tolist(), run.measured().tolist()) == ([1, 2], [0.8, 0.6])
    with pytest.raises(ValueError, match="no column 'tests', of its columns: lr, train"):
        Run.of(curve, loss="tests")
    curve.save(tmp_path / "a.npz")
    assert read_run(tmp_path / "a.npz", columns={"loss": "train"}).measured()[0] == 0.8
    with pytest.raises(ValueError, match="its loss alone"):
        read_run(tmp_path / "a.npz", columns={"step": "x"})


def test_curves_of_one_name_are_numbered_and_the_same_twice_is_refused():
    curves = [predicted(rate, at=STEPS) for rate in (0.1, 0.2)]
    law = fit([*curves, replace(curves[0], label="b", risk=1.1 * curves[0].risk)], "step")
    assert set(law.in_sample) == {"sgd 1", "sgd 2", "b"}
    with pytest.raises(ValueError, match="the same rows"):
        fit([curves[0], curves[0]], "step")


def ladder() -> list[Curve]:
    """Curves that obey a law of sizes, each to its own end."""
    steps = np.unique(np.geomspace(1, 1e6, 60).round())
    grid = [(n, last) for n in np.geomspace(1e3, 1e5, 7) for last in (20, 40, len(steps) - 1)]
    return [
        Curve(
            steps[: last + 1],
            1.5 + 20 * n**-0.4 + 30 * (8 * steps[: last + 1]) ** -0.3,
            dimension=n,
            batch_size=8,
        )
        for n, last in grid
    ]


def test_laws_of_sizes_take_the_ends_of_curves():
    curves = ladder()
    table = SizeTable.of(curves)
    np.testing.assert_array_equal(table.inputs[1][:1], [8 * curves[0].steps[-1]])
    laws = [
        fit_sizes(curves, bootstrap=0),
        fit_sizes(table, bootstrap=0),
        fit_sizes(table.inputs, table.loss, bootstrap=0),
    ]
    assert laws[0] == laws[1] == laws[2]
    assert laws[0].parameters["exponent_params"] == pytest.approx(0.4, abs=0.01)
    tokens = replace(curves[0], columns={"tokens": 3.0 * curves[0].steps})
    assert SizeTable.of([tokens]).inputs[1][0] == 3 * curves[0].steps[-1]
    longest = curves[2::3]
    triples = [(c.dimension, c.flops, c.risk) for c in longest]
    assert envelope(longest) == envelope(triples)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "diverged"}, "diverged"),
        ({"status": "unfinished"}, "finished runs alone"),
        ({"dimension": None}, "`dimension`"),
    ],
)
def test_ends_that_are_none_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit_sizes([replace(ladder()[0], **change)])
    with pytest.raises(ValueError, match="`loss` is needed"):
        fit_sizes([np.ones(3), np.ones(3)])


def test_a_run_keeps_its_schedule_in_files_and_when_it_is_stopped(tmp_path):
    run = Run.of(predicted(0.2 * hidim.Cosine(4000), at=STEPS))
    run.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json") == run
    at = np.array([1500.0])  # both are straight between 401 knots
    np.testing.assert_allclose(run.until(2000).rate.time(at), run.rate.time(at), rtol=1e-5)
    with pytest.raises(ValueError, match="not what `schedule` says"):
        Run([0, 1], [0.1, 0.2], schedule=hidim.Constant(0.1))
