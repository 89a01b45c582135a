"""Claims about gradients as data, and about everything that must not overlook one."""

import ast
import copy
import pickle
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

import hidim
from hidim.algorithms import Gradient, named
from hidim.algorithms.parameters import moved, parameters
from hidim.cli.algorithms import algorithm_text
from hidim.engines import asymptotic, volterra
from hidim.engines.targets import predict_targets
from hidim.rates.recommend import scaled
from hidim.studies import run_ladder
from hidim.support import json
from hidim.systems import kernel_norm, row_gain, row_pairs
from hidim.systems.momentum import MomentumSystem
from tests.simulation.gradients import EXAMPLES, ClippedSamples, Noisy, Sign

SPECTRUM = hidim.Spectrum([1.0, 0.3], [1.0, 2.0], 0.05)
PROBLEM = hidim.PLRF(1.0, 0.7, d=20, v=80)
PLAIN = hidim.dana_decaying(0.1, 0.05, 0.5, 6.0)
CLIPPED = replace(PLAIN, gradient=ClippedSamples(1.5))
ONE = np.array([3.0])


def test_a_gradient_is_part_of_what_an_algorithm_is():
    assert replace(PLAIN, gradient=ClippedSamples(1.5)) == CLIPPED
    assert len({PLAIN, CLIPPED, replace(PLAIN, gradient=ClippedSamples(1.5))}) == 2
    assert CLIPPED not in (PLAIN, replace(PLAIN, gradient=ClippedSamples(2.0)))
    assert repr(CLIPPED).endswith("gradient=ClippedSamples(norm=1.5, name='clipped-samples'))")
    names = {name: getattr(hidim, name) for name in ("Constant", "Forgetting", "PowerLaw")}
    names |= {"Momentum": hidim.Momentum, "ClippedSamples": ClippedSamples}
    assert eval(repr(CLIPPED), names) == CLIPPED
    assert hidim.Momentum(1.0, 0.1, 0.0, 1.0).gradient is None


def test_it_stays_where_something_else_is_changed():
    assert CLIPPED.scheduled(hidim.Warmup(5)).gradient == CLIPPED.gradient
    assert parameters(CLIPPED) == parameters(PLAIN)
    assert moved(CLIPPED, "kappa_3", 0.1)[0].gradient == CLIPPED.gradient
    for factors in ((0.5, 0.5), (0.5, 0.25)):
        there = scaled(CLIPPED, *factors)
        assert there == replace(scaled(PLAIN, *factors), gradient=CLIPPED.gradient)
        assert (there.name, there.rates) == (PLAIN.name, PLAIN.rates)


@pytest.mark.parametrize("gradient", EXAMPLES, ids=lambda g: g.name)
def test_it_comes_back_from_text_and_bytes(gradient):
    algorithm = replace(PLAIN, gradient=gradient)
    assert json.loads(json.dumps(algorithm)) == algorithm
    assert pickle.loads(pickle.dumps(algorithm)) == copy.deepcopy(algorithm) == algorithm
    assert algorithm.to_dict() == PLAIN.to_dict() | {"gradient": repr(gradient)}
    assert json.plain(algorithm) == algorithm.to_dict()


def test_what_was_kept_without_a_gradient_has_none():
    data = json.encode(PLAIN)
    del data["gradient"]
    assert json.decode(data) == PLAIN
    assert "gradient" not in PLAIN.to_dict()
    old = PLAIN.__reduce_ex__(2)[2].copy()  # the attributes in an older pickle
    del old["gradient"]
    restored = object.__new__(hidim.Momentum)
    restored.__dict__.update(old)
    assert restored == PLAIN


@dataclass
class Unhashable:
    thresholds: list
    name: str = "unhashable"
    __call__ = Sign.__call__


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ("sign", "`gradient` must be an object with a `name` .*, got 'sign'"),
        (np.sign, "`gradient` must be"),  # its name is __name__
        (Sign, "`gradient` must be"),
        (0.5, "`gradient` must be"),
        (Unhashable([1.0]), "`gradient` 'unhashable' must be hashable"),
    ],
)
def test_what_is_no_gradient_is_refused(gradient, message):
    with pytest.raises(ValueError, match=message) as caught:
        replace(PLAIN, gradient=gradient)
    assert "\n" not in str(caught.value)


MEASURED = hidim.Spectrum.from_data([[1.0, 0.0], [0.0, 1.0], [1.0, 2.0]], [1.0, 2.0, 0.0])

# Every reader of the four schedules that knows nothing but the plain mean.
READERS = {
    "predict": lambda a: hidim.predict(SPECTRUM, a, 10),
    "predict, drawn": lambda a: hidim.predict(PROBLEM, a, 10, seed=0),
    "ode": lambda a: hidim.predict(PROBLEM, a, 10, engine="ode"),
    "volterra": lambda a: hidim.predict(PROBLEM, a, 10, engine="volterra"),
    "asymptotic": lambda a: hidim.predict(PROBLEM, a, 10, engine="asymptotic"),
    "sensitivity": lambda a: hidim.predict(PROBLEM, a, 10, sensitivity=["gamma_2"]),
    "stability": lambda a: hidim.stability(SPECTRUM, a, 10),
    "eigenbasis": lambda a: hidim.simulate(PROBLEM, a, 10, method="eigenbasis"),
    "sde": lambda a: hidim.simulate(PROBLEM, a, 10, method="sde"),
    "MomentumSystem": lambda a: MomentumSystem(SPECTRUM, a, 1),
    "predict_targets": lambda a: predict_targets([SPECTRUM], a, [1]),
    "kernel_norm": lambda a: kernel_norm.kernel_norm(SPECTRUM, a, 1, ONE),
    "small_step_norm": lambda a: kernel_norm.small_step_norm(SPECTRUM, a, 1, ONE),
    "growth_rate": lambda a: kernel_norm.growth_rate(SPECTRUM, a, 1, 3.0),
    "grows_faster": lambda a: kernel_norm.grows_faster(SPECTRUM, a, 1, 3.0, 0.1),
    "gain": lambda a: kernel_norm.gain(SPECTRUM, a, 1, ONE),
    "loop_gain": lambda a: kernel_norm.loop_gain(SPECTRUM, a, 1, ONE),
    "transfers": lambda a: kernel_norm.transfers(SPECTRUM.eigenvalues, a, ONE),
    "frozen_rates": lambda a: row_pairs.frozen_rates(SPECTRUM.eigenvalues, a, 3.0),
    "pair_response": lambda a: row_pairs.pair_response(SPECTRUM.eigenvalues, a, 3.0, 0.0),
    "RowLoop": lambda a: row_gain.loop_of(MEASURED).gain(a, 1, 3.0),
    "clipped": lambda a: hidim.clipped(a, 1.0),
    "signed": lambda a: hidim.signed(a),
    "noisy": lambda a: hidim.noisy(a, 1.0),
    "forcing": lambda a: volterra.forcing(SPECTRUM, a, 1, [3]),
    "kernel": lambda a: volterra.kernel(SPECTRUM, a, 1, [3]),
    "renewal_series": lambda a: volterra.renewal_series(SPECTRUM, a, 1, [3], 2),
    "effective_time": lambda a: asymptotic.effective_time(a, ONE),
    "torch": lambda a: _converted("torch", a),
    "optax": lambda a: _converted("optax", a),
}
# They take an algorithm of the family and read no theory out of its schedules, or are reached
# through one of the above alone.
CARRIERS = {
    "hidim.algorithms.momentum": {"is_stochastic_nesterov"},
    "hidim.algorithms.parameters": {"parameters", "moved"},
    "hidim.algorithms.update": {"MomentumUpdate"},
    "hidim.rates.clip_search": {"Search"},
    "hidim.rates.edges": {"Edges", "is_constant", "where_gain_is_one"},
    "hidim.rates.pair_diffusion": {"Diffusion"},
    "hidim.simulation.diffusion": {"Homogenized"},
    "hidim.simulation.eigenbasis": {"Eigenbasis"},
    "hidim.simulation.row_walk": {"RowWalk"},
    "hidim.studies.plane_tasks": {"Task"},
    "hidim.studies.rungs": {"Rung"},
    "hidim.systems.coefficients": {"Coefficients"},
    "hidim.systems.powers": {"constant_rates", "states_by_powers"},
}


def _converted(room, algorithm):
    if room == "torch":
        torch = pytest.importorskip("torch")
        from hidim.torch import from_algorithm

        return from_algorithm(algorithm, [torch.nn.Parameter(torch.zeros(2))])
    pytest.importorskip("optax")
    from hidim.optax import from_algorithm

    return from_algorithm(algorithm)


@pytest.mark.parametrize("reader", READERS)
def test_a_reader_of_plain_gradients_refuses_others_and_says_what_runs_them(reader):
    sgd = hidim.sgd(0.1)
    READERS[reader](sgd)
    # Nothing was built yet that could be run.
    remedy = "hidim.sgd" if reader in ("clipped", "signed", "noisy") else 'method="raw"'
    with pytest.raises(ValueError, match=rf"sgd .*'noisy'.*{remedy}") as caught:
        READERS[reader](replace(sgd, gradient=Noisy(0.1)))
    assert "\n" not in str(caught.value)


def test_no_function_that_takes_an_algorithm_of_the_family_is_forgotten():
    root = Path(hidim.__file__).parent
    found = set()
    for path in root.rglob("*.py"):
        module = ".".join(("hidim", *path.relative_to(root).with_suffix("").parts))
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body if "Momentum" in text else ():  # parsing all is slow
            kinds = (ast.FunctionDef, ast.ClassDef)
            if isinstance(node, kinds) and not node.name.startswith("_") and _takes_one(node):
                found.add((module, node.name))
    carriers = {(module, name) for module, names in CARRIERS.items() for name in names}
    assert carriers <= found
    names = {"from_algorithm": "torch"}
    missing = {n for _, n in found - carriers if names.get(n, n) not in READERS}
    assert not missing, f"{missing} must refuse a gradient (plain_gradient), with a row in READERS"


def _takes_one(node):
    """Whether a function, or anything of a class, has an argument or field that is a Momentum."""
    held = [p.annotation for p in ast.walk(node) if isinstance(p, ast.arg | ast.AnnAssign)]
    inside = [n for one in held if one is not None for n in ast.walk(one)]
    return any(isinstance(n, ast.Name) and n.id == "Momentum" for n in inside)


@dataclass(frozen=True)
class _Named:
    """Makes the constructor of a registered algorithm whose gradient is not plain."""

    gradient: Gradient

    def __call__(self, rate):
        return hidim.Momentum(0.0, rate, 0.0, 1.0, name="other", gradient=self.gradient)


@pytest.fixture
def recorded(monkeypatch):
    monkeypatch.setattr(named, "RECORDS", dict(named.RECORDS))
    build = _Named(Sign())
    record = hidim.Named(
        "sign-steps",
        build,
        exponents=named.lookup("sgd").exponents,
        amplitudes=lambda setting: named.Amplitudes(0.01 * setting.rate),
        member=lambda a, kappas, d: build(a.gamma_2),
    )
    hidim.register(algorithm=record)
    return record


def test_a_name_may_stand_for_an_algorithm_with_a_gradient(recorded):
    chosen = hidim.recommend(PROBLEM, "sign steps")
    assert (chosen.name, chosen.gradient) == ("sign-steps", Sign())
    run = hidim.simulate(PROBLEM, "sign-steps", 20, runs=2, seed=1)
    assert (run.provenance["method"], run.label) == ("raw", "sign-steps")
    assert algorithm_text(chosen).endswith(", forgetting=1, gradient=Sign(name='sign')")


def test_laws_and_searches_of_the_family_refuse_its_gradient(recorded):
    for ask in (
        lambda: hidim.scaling_law(1.0, 0.7, "sign-steps"),
        lambda: run_ladder(1.0, 0.7, "sign-steps", sizes=[100]),
        lambda: hidim.recommend(PROBLEM, "sign-steps", steps=100),
        lambda: hidim.predict(PROBLEM, "sign-steps", 100),
        lambda: hidim.stability(PROBLEM, "sign-steps", 100),
    ):
        with pytest.raises(ValueError, match=r"gradient 'sign'.*method=\"raw\"") as caught:
            ask()
        assert "\n" not in str(caught.value)
