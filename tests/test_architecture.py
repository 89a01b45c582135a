"""What docs/architecture.md says one adds, added from outside the package."""

from __future__ import annotations

import inspect
import sys
import types
from dataclasses import dataclass

import numpy as np
import pytest

import hidim
from hidim.algorithms.schedules import Schedule
from hidim.cli import main as command
from hidim.engines import solve
from hidim.engines.control import Controlled
from hidim.engines.record import Record
from hidim.fitting.sizes import forms


@dataclass(frozen=True)
class Ellipse:
    """A problem: all it needs is `spectrum`."""

    longest: float

    def spectrum(self, seed=None):
        scale = 1.0 if seed is None else 1.0 + 0.1 * np.random.default_rng(seed).random()
        return hidim.Spectrum([self.longest * scale, 0.5, 0.1], [1.0, 1.0, 2.0], 0.01)


@dataclass(frozen=True)
class Sawtooth(Schedule):
    """A schedule: a frozen dataclass with the steps at which its formula changes."""

    height: float
    period: float
    teeth: int

    def __call__(self, t):
        time = np.asarray(t, dtype=np.float64)
        inside = time < self.period * self.teeth
        return np.where(inside, self.height * (1.0 - 0.5 * (time % self.period) / self.period), 0.1)

    @property
    def breakpoints(self):
        return tuple(self.period * k for k in range(1, self.teeth + 1))


def test_a_problem_from_outside_works_on_every_engine_and_verb():
    problem, algorithm = Ellipse(1.0), hidim.sgd(0.1)
    at = [0, 10, 100]
    truth = hidim.predict(problem.spectrum(), algorithm, at=at).risk
    for engine, rtol in (("exact", 1e-12), ("volterra", 1e-9), ("ode", 0.2), ("asymptotic", 0.5)):
        risk = hidim.predict(problem, algorithm, at=at, engine=engine).risk
        np.testing.assert_allclose(risk, truth, rtol=rtol)
    assert hidim.stability(problem, algorithm, 100).stable
    run = hidim.simulate(problem, algorithm, 100, runs=50, seed=2)
    expected = hidim.predict(problem, algorithm, 100, seed=2)
    assert abs(run.risk[-1] - expected.risk[-1]) < 4 * run.stderr[-1]
    assert hidim.recommend(problem, "sgd", alpha=1.0, d=3).gamma_2(0) > 0


def test_a_schedule_from_outside_is_followed_through_its_kinks():
    algorithm = hidim.sgd(0.1).scheduled(Sawtooth(1.0, 700.0, 5))
    spectrum = Ellipse(1.0).spectrum()
    at = [500, 701, 3500, 5000]
    exact = hidim.predict(spectrum, algorithm, at=at).risk
    slow = hidim.predict(spectrum, algorithm, at=at, engine="volterra").risk
    np.testing.assert_allclose(exact, slow, rtol=1e-6)  # the promise of the exact engine


def test_an_engine_from_outside_is_one_module_and_one_line(monkeypatch):
    module = types.ModuleType("constant_engine")

    def answer(system, at, *, rtol, shown="risk", moments=False, sensitivity=()):
        risk = system.readouts(at[:1], system.start()[None], system.order(system.start())[None])
        columns = {"risk": np.full(len(at), risk["risk"][0])}
        record = Record(at, np.array(np.inf), columns=columns, last_risk=columns["risk"][-1])
        return Controlled(record, 0.0, True)

    module.refuses = lambda system, last: "too far." if last > 10 else None
    module.solve = answer
    monkeypatch.setitem(sys.modules, "constant_engine", module)
    monkeypatch.setitem(solve.ENGINES, "constant", "constant_engine")
    problem = Ellipse(1.0)
    curve = hidim.predict(problem, hidim.sgd(0.1), at=[5, 2], engine="constant")
    assert curve.steps.tolist() == [5, 2]
    assert curve.risk.tolist() == [problem.spectrum().initial_risk] * 2
    assert curve.provenance["engine"] == "constant"
    with pytest.raises(ValueError, match=r"too far\."):
        hidim.predict(problem, hidim.sgd(0.1), at=[11], engine="constant")


def test_a_subcommand_from_outside_is_one_file_and_one_line(monkeypatch, capsys):
    module = types.ModuleType("hidim.cli.greet")
    module.SUMMARY, module.EXAMPLE = "Say hello.", "example:\n  hidim greet --name you"
    module.configure = lambda parser: parser.add_argument("--name", default="you")
    module.run = lambda args: print(f"hello {args.name}") or 0
    monkeypatch.setitem(sys.modules, "hidim.cli.greet", module)
    monkeypatch.setitem(command.COMMANDS, "greet", "say hello")
    assert command.main(["greet", "--name", "world"]) == 0
    assert capsys.readouterr().out == "hello world\n"


def test_a_divergence_is_an_outcome_and_bad_input_is_refused_before_work():
    lost = hidim.predict(Ellipse(1.0), hidim.sgd(5.0), steps=10_000)
    assert lost.status == "diverged"
    assert not np.isnan(lost.risk).any()
    with pytest.raises(ValueError, match="`steps`"):
        hidim.predict(Ellipse(1.0), hidim.sgd(0.1), steps=-1)


def test_laws_of_sizes_stand_in_one_table():
    assert set(forms.FORMS) == {
        "broken",
        "chinchilla",
        "interaction",
        "power",
        "saturating",
        "tied",
    }
    assert all(form.name == name for name, form in forms.FORMS.items())


def test_no_positional_argument_of_version_0_1_has_moved():
    promised = {
        hidim.predict: "problem algorithm steps batch_size engine seed at",
        hidim.simulate: "problem algorithm steps batch_size runs seed",
        hidim.stability: "problem algorithm steps batch_size seed",
        hidim.recommend: "problem name batch_size",
        hidim.scaling_law: "alpha beta name",
        hidim.simulate_rows: "X y algorithm steps",
        hidim.PLRF: "alpha beta d v noise_variance",
        hidim.Spectrum: "eigenvalues error_sq risk_floor multiplicity label provenance",
        hidim.Momentum: "gamma_1 gamma_2 gamma_3 forgetting",
        hidim.Curve: "steps risk stderr status diverged_at label dimension batch_size provenance "
        "moments",
    }
    for call, names in promised.items():
        parameters = inspect.signature(call).parameters.values()
        places = [p.name for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
        assert places[: len(names.split())] == names.split(), call
