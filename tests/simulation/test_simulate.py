"""Claims about simulate(): exact in law, honest errors, divergence as a status."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

import hidim

PHASES = {"I": (1.0, 0.3), "II": (1.0, 0.7), "III": (0.7, 1.2), "IV": (0.4, 0.8)}
AT = np.unique(np.geomspace(1, 400, 10).astype(int))


def algorithms(trace):
    """Rates that stay well inside the stable range for a problem of this trace."""
    rate = 0.5 / trace
    return {
        "sgd": hidim.sgd(rate),
        "sgd-momentum": hidim.sgd_momentum(0.5 * rate, 0.05 * rate, 0.1),
        "dana-constant": hidim.dana_constant(0.5 * rate, 0.004, 6.0),
        "dana-decaying": hidim.dana_decaying(0.5 * rate, 0.1 * rate, 0.5, 6.0),
    }


def worst(measured, expected):
    return np.max(np.abs(measured.risk - expected.risk) / measured.stderr)


@pytest.mark.parametrize("name", ["sgd", "sgd-momentum", "dana-constant", "dana-decaying"])
@pytest.mark.parametrize("batch_size", [1, 4])
@pytest.mark.parametrize("phase", PHASES)
def test_mean_of_runs_is_the_exact_curve(phase, name, batch_size):
    problem = hidim.PLRF(*PHASES[phase], d=20, v=80)
    algorithm = algorithms(problem.spectrum(3).trace)[name]
    run = hidim.simulate(problem, algorithm, at=AT, batch_size=batch_size, runs=600, seed=3)
    assert worst(run, hidim.predict(problem, algorithm, at=AT, batch_size=batch_size, seed=3)) < 4


def test_refuses_what_has_no_realisation():
    with pytest.raises(ValueError, match="cannot be simulated"):
        hidim.simulate(hidim.PLRF(1.0, 0.7, 100, 400).spectrum(), hidim.sgd(0.1), 10)


def test_divergence_is_a_status():
    run = hidim.simulate(hidim.Spectrum([1.0], [1.0], 0.1), hidim.sgd(50.0), 5000, runs=3)
    assert run.status == "diverged"
    assert run.diverged_at is not None
    assert run.diverged_at < 20
    assert math.isinf(run.risk[-1])


SMALL = hidim.Spectrum([1.0, 0.4, 0.1], [1.0, 2.0, 3.0], 0.05)


@pytest.mark.parametrize("method", ["eigenbasis", "raw", "sde"])
def test_a_seed_repeats_the_runs_and_another_does_not(method):
    problem = hidim.PLRF(1.0, 0.7, d=6, v=24)
    options = {"steps": 40, "runs": 4, "method": method}
    one, two = (hidim.simulate(problem, hidim.sgd(0.2), seed=5, **options) for _ in range(2))
    other = hidim.simulate(problem, hidim.sgd(0.2), seed=6, problem_seed=5, **options)
    np.testing.assert_array_equal(one.risk, two.risk)
    assert other.risk[0] == one.risk[0]
    assert other.risk[-1] != one.risk[-1]


def test_the_steps_asked_for_do_not_change_the_runs():
    algorithm = hidim.dana_decaying(0.2, 0.05, 0.5, 6.0)
    for runs in (1, 5):
        all_steps = hidim.simulate(SMALL, algorithm, at=range(1301), runs=runs)
        few = hidim.simulate(SMALL, algorithm, at=[1300, 7, 600], runs=runs)
        # A block cut elsewhere sums the same numbers in another order.
        np.testing.assert_allclose(few.risk, all_steps.risk[[1300, 7, 600]], rtol=1e-9)


def test_one_run_follows_the_same_law_as_many():
    at, runs = [3, 30], 1500
    many = hidim.simulate(SMALL, hidim.sgd(0.3), at=at, runs=runs)
    alone = np.array(
        [hidim.simulate(SMALL, hidim.sgd(0.3), at=at, runs=1, seed=k).risk for k in range(runs)]
    )
    spread = np.hypot(many.stderr, alone.std(axis=0) / math.sqrt(runs))
    assert np.all(np.abs(alone.mean(axis=0) - many.risk) < 4 * spread)
    assert hidim.simulate(SMALL, hidim.sgd(0.3), at=at, runs=1).stderr is None


def test_a_multiplicity_stands_for_that_many_modes():
    together = hidim.Spectrum([0.5, 0.2], [3.0, 1.0], 0.1, multiplicity=[30, 1])
    at = [1, 10, 50]
    run = hidim.simulate(together, hidim.sgd(0.1), at=at, runs=1000)
    assert run.dimension == 31
    assert worst(run, hidim.predict(together, hidim.sgd(0.1), at=at)) < 4


def test_modes_without_curvature_or_members_do_not_move():
    spectrum = hidim.Spectrum([0.5, 0.3, 0.0], [1.0, 0.0, 7.0], 0.1, multiplicity=[1, 0, 2])
    run = hidim.simulate(spectrum, hidim.sgd(0.1), at=[0, 20], runs=500)
    assert run.risk[0] == spectrum.initial_risk
    expected = hidim.predict(spectrum, hidim.sgd(0.1), at=[20]).risk[0]
    assert abs(run.risk[1] - expected) < 4 * run.stderr[1]


@pytest.mark.parametrize("readout", ["gradient", "average"])
def test_the_average_of_schedule_free_is_read_where_it_is(readout):
    for b in (0.0, 0.9):
        algorithm = hidim.schedule_free_sgd(0.2, b)
        run = hidim.simulate(SMALL, algorithm, at=[1, 5, 50, 300], runs=1000, readout=readout)
        assert worst(run, hidim.predict(SMALL, algorithm, at=run.steps, readout=readout)) < 4


def test_a_noiseless_run_may_reach_zero():
    run = hidim.simulate(hidim.Spectrum([1.0], [1.0], 0.0), hidim.sgd(0.9), at=[5000], runs=3)
    assert run.status == "ok"
    assert 0 <= run.risk[0] < 1e-100


def test_no_steps_leave_the_start():
    assert hidim.simulate(SMALL, hidim.sgd(0.1), 0).risk == [SMALL.initial_risk]


def test_stochastic_nesterov_is_reported_as_divergent():
    problem = hidim.PLRF(1.0, 0.7, d=50, v=200)
    algorithm = hidim.stochastic_nesterov(0.1 / problem.trace)
    run = hidim.simulate(problem, algorithm, 20_000, runs=8, seed=1)
    expected = hidim.predict(problem, algorithm, 20_000, seed=1)
    assert run.status == expected.status == "diverged"
    # Runs differ in when they cross; growth there is exponential.
    assert run.diverged_at == pytest.approx(expected.diverged_at, rel=0.3)


BAD = {
    "`steps`": {"steps": -1},
    "`at`": {"at": [11]},
    "`batch_size`": {"batch_size": 0.5},
    "`runs`": {"runs": 0},
    "`seed`": {"seed": -1},
    "`problem_seed`": {"problem_seed": 0.5},
    "Did you mean 'raw'": {"method": "rw"},
    "`readout`": {"readout": "mean"},
    "at most 1e\\+10": {"steps": 1e12},
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_refused_in_one_line(message):
    with pytest.raises(ValueError, match=message) as caught:
        hidim.simulate(SMALL, hidim.sgd(0.1), **({"steps": 10} | BAD[message]))
    assert "\n" not in str(caught.value)


def test_methods_say_what_they_cannot_do():
    problem = hidim.PLRF(1.0, 0.7, d=5, v=20)
    with pytest.raises(ValueError, match="eigenbasis"):
        hidim.simulate(problem, hidim.dana_constant(0.1, 0.01, 6.0), 5, method="sde")
    with pytest.raises(ValueError, match="eigenbasis"):
        hidim.simulate(problem, hidim.sgd(0.1), 5, batch_size=math.inf, method="raw")


@pytest.mark.parametrize("method", ["eigenbasis", "raw", "sde"])
def test_a_problem_without_v_is_run_and_predicted_with_the_same_w(method):
    problem, rate = hidim.PLRF(1.0, 0.7, d=15, noise_variance=0.1), hidim.sgd(0.1)
    options = {"at": [5, 20], "runs": 400, "seed": 2, "problem_seed": 9, "method": method}
    run = hidim.simulate(problem, rate, **options)
    finite = hidim.simulate(hidim.PLRF(1.0, 0.7, 15, 60, 0.1), rate, **options)
    np.testing.assert_array_equal(run.risk, finite.risk)
    predicted = hidim.predict(problem, rate, at=run.steps, seed=9)
    assert run.provenance["problem"] == predicted.provenance["problem"]
    assert run.provenance["problem"]["v"] == 60
    assert run.provenance["problem"]["v_default"] == "4 d"
    assert "v_default" not in finite.provenance["problem"]
    if method != "sde":  # which is close at small rates only
        assert worst(run, predicted) < 4
    assert hidim.stability(problem, rate, 20, seed=9).spectrum == problem.spectrum(9)


def test_draw_is_another_name_of_the_seed_of_w():
    problem, rate = hidim.PLRF(1.0, 0.7, d=5, v=20), hidim.sgd(0.1)
    by_one, by_other = (
        hidim.simulate(problem, rate, 5, runs=2, seed=1, **{name: 4})
        for name in ("draw", "problem_seed")
    )
    assert by_one == by_other
    assert by_one.provenance["problem_seed"] == 4
    with pytest.raises(ValueError, match="two names"):
        hidim.simulate(problem, rate, 5, draw=1, problem_seed=2)
    with pytest.raises(ValueError, match="`draw`"):
        hidim.simulate(problem, rate, 5, draw=-1)


def test_provenance_says_how_to_repeat_it():
    run = hidim.simulate(hidim.PLRF(1.0, 0.7, d=5, v=20), hidim.sgd(0.1), 5, runs=3, seed=4)
    assert run.provenance["seed"] == run.provenance["problem_seed"] == 4
    assert run.provenance["problem"]["alpha"] == 1.0
    assert run.provenance["runs"] == 3


def test_ctrl_c_clears_the_bar_and_passes_on(monkeypatch, capsys):
    from hidim.simulation.eigenbasis import Eigenbasis

    def interrupted(self, first, count):
        raise KeyboardInterrupt

    monkeypatch.setattr(Eigenbasis, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        hidim.simulate(SMALL, hidim.sgd(0.1), 10, progress=True)
    assert "simulating" not in capsys.readouterr().err


@pytest.mark.parametrize("method", ["eigenbasis", "raw"])
def test_more_runs_than_memory_holds_are_refused_with_a_number(method):
    with pytest.raises(ValueError, match=r"`runs` is 1e\+12.*GB.*Give at most"):
        hidim.simulate(hidim.PLRF(1.0, 0.7, 50), hidim.sgd(0.1), 10, runs=10**12, method=method)


@dataclass(frozen=True)
class HeavyBall:
    """Momentum by differences of iterates: known to nobody but by its update."""

    rate: float
    held: float
    name = "heavy-ball"

    def scheduled(self, schedule):
        raise NotImplementedError

    def update(self):
        return self

    def to_dict(self):
        return {"name": self.name, "rate": self.rate, "held": self.held}

    def start(self, theta):
        return (theta.copy(),)

    def step(self, t, theta, g, state):
        return theta - self.rate * g + self.held * (theta - state[0]), (theta,)


def test_whatever_has_an_update_runs_on_drawn_samples_and_on_rows():
    problem, at = hidim.PLRF(1.0, 0.7, d=6, v=24), [0, 1, 10, 60]
    own, ours = HeavyBall(0.05, 0.8), hidim.sgd_momentum(0.0, 0.05, 0.2)
    X = np.random.default_rng(0).standard_normal((40, 3))
    for run in (
        lambda one: hidim.simulate(problem, one, at=at, runs=5, method="raw"),
        lambda one: hidim.simulate_rows(X, X[:, 0], one, 60, runs=5, at=at),
    ):
        # One recursion in two forms over 60 steps: float64 rounding.
        np.testing.assert_allclose(run(own).risk, run(ours).risk, rtol=1e-10)
    with pytest.raises(ValueError, match='method="raw"'):
        hidim.simulate(problem, own, 10, method="eigenbasis")
    assert hidim.simulate(problem, own, 10, runs=2).provenance["method"] == "raw"
    with pytest.raises(ValueError, match="`readout`"):
        hidim.simulate(problem, own, 10, method="raw", readout="average")
    with pytest.raises(ValueError, match="`algorithm`"):
        hidim.simulate(problem, 0.1, 10, method="raw")
