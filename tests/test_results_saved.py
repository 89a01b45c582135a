"""Every public result is saved, loaded and equals itself; files of other things are refused."""

import dataclasses
import importlib
import json
import math
import pkgutil
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import hidim
from hidim import fitting, measure
from hidim.curve import Curve
from hidim.engines.targets import predict_targets
from hidim.fitting import (
    FittedLaw,
    JointLaw,
    OptimalSize,
    OptimumLaw,
    PlannedSchedule,
    Run,
    SizeLaw,
    SizeTable,
)
from hidim.fitting.written import WrittenLaw
from hidim.lab.reports import frontiers as reports
from hidim.lab.reports.groups import Estimate, Group
from hidim.lab.reports.measured import MeasuredRun
from hidim.lab.training.coordinates import Coordinates
from hidim.lab.training.result import Result, from_record
from hidim.lab.training.settings import Settings
from hidim.measure import Crossing, Exponent, MeasuredFrontier, SaturatingFit
from hidim.measure.crossings import Standing, standings
from hidim.measure.tails import Tail
from hidim.rates.stability import Stability
from hidim.scaling.frontier import Frontier
from hidim.scaling.law import ScalingLaw
from hidim.scaling.schedules import ScheduleExponents, schedule_exponents
from hidim.studies import (
    Ladder,
    LadderExponents,
    OwnExponents,
    measure_ladder,
    own_exponents,
    run_ladder,
)
from hidim.support.extras import MissingExtra
from hidim.support.results import ByContent, Saved

PLRF = hidim.PLRF(1.0, 0.7, 100)  # v is infinite, and so in every provenance
SMALL = hidim.Spectrum([1.0, 0.4, 0.1], [1.0, 2.0, 3.0], 0.05)
DANA = hidim.dana_decaying(0.2, 0.05, 0.5, 6.0)
AVERAGED = hidim.schedule_free_sgd(0.2)
SIZES = [100, 200, 400, 800, 1600, 3200, 6400]
ROWS = np.random.default_rng(0).standard_normal((40, 3))

CURVES = {
    "exact": lambda: hidim.predict(PLRF, DANA, 1000),
    "ode": lambda: hidim.predict(PLRF, DANA, 1000, engine="ode"),
    "volterra": lambda: hidim.predict(PLRF, DANA, 1000, engine="volterra"),
    "asymptotic": lambda: hidim.predict(PLRF, DANA, 1000, engine="asymptotic"),
    "several targets": lambda: predict_targets([PLRF.spectrum()], DANA, [0, 10, 100])[0],
    "drawn": lambda: hidim.predict(PLRF, DANA, 100, seed=3),
    "full batch": lambda: hidim.predict(SMALL, hidim.sgd(0.1), 100, math.inf),
    "diverged": lambda: hidim.predict(SMALL, hidim.sgd(50.0), 10_000),
    "far": lambda: hidim.predict(PLRF, DANA, 1e20),
    "in any order": lambda: hidim.predict(SMALL, DANA, at=[100, 0, 7]),
    "moments": lambda: hidim.predict(SMALL, DANA, 20, moments=True),
    "sensitivity": lambda: hidim.predict(SMALL, DANA, 20, sensitivity=["gamma_2", "kappa_3"]),
    "inaccurate": lambda: hidim.predict(SMALL, DANA, 20, rtol=1e-12, engine="volterra"),
    "average": lambda: hidim.predict(SMALL, AVERAGED, 20, readout="average"),
    "no step": lambda: hidim.predict(SMALL, DANA, 0),
    "simulated": lambda: hidim.simulate(PLRF, DANA, 50, runs=3),
    "simulated raw": lambda: hidim.simulate(PLRF, DANA, 5, runs=2, method="raw"),
    "one run": lambda: hidim.simulate(SMALL, DANA, 50, runs=1),
    "simulated, diverged": lambda: hidim.simulate(SMALL, hidim.sgd(50.0), 5000, runs=2),
    "rows": lambda: hidim.simulate_rows(ROWS, ROWS.sum(axis=1), hidim.sgd(0.1), 20, runs=2),
    "rows, diverged": lambda: hidim.simulate_rows(
        ROWS, ROWS.sum(axis=1), hidim.sgd(50.0), 900, runs=2
    ),
}


def chinchilla():
    n, d = np.meshgrid(np.geomspace(1e7, 1e10, 4), np.geomspace(1e9, 1e11, 4))
    return [n.ravel(), d.ravel()], (1.7 + 400 * n**-0.35 + 400 * d**-0.3).ravel()


def unfinished():
    run = measured_run()
    law = fitting.fit(run, "intrinsic-time", progress=False)
    return fitting.so_far(law, run, run)


def isoflop():
    n, c = np.meshgrid(np.geomspace(1e6, 1e9, 9), [1e18, 1e19, 1e20])
    best = 0.1 * c**0.5 / np.sqrt(10)
    loss = np.exp(0.7 + 0.05 * np.log(n / best) ** 2)
    return fitting.isoflop(n.ravel(), c.ravel(), loss.ravel(), bootstrap=3)


def sums_of_powers():
    t = np.geomspace(1, 1e7, 60)
    return [(n, n * t, n**-0.5 + t**-0.5) for n in np.geomspace(100, 1e4, 6)]


def measured_run():
    steps = np.arange(100.0, 4000.0, 100.0)
    return Run(
        steps, 1e-3 * hidim.Cosine(4000)(steps), 2 + 9 * steps**-0.3, label="a", notes=("b",)
    )


def lab_run():
    row = np.array([1.0, 2.0])
    curve = Curve([1, 2], row, dimension=100, columns={"tokens": row, "flops": row})
    return MeasuredRun("a", "sgd", Settings(), curve, 1e3)


@pytest.fixture(scope="module")
def fitted():
    return fitting.fit([measured_run()], "step")


@pytest.fixture(scope="module")
def ladder():
    return run_ladder(1.0, 0.7, "dana-decaying", sizes=[100, 300, 1000, 3000], reach=3.0)


def optimum_law():
    n, lr = np.meshgrid(np.geomspace(1e7, 1e9, 5), np.geomspace(1e-4, 1e-1, 9))
    loss = np.exp(1 + 0.02 * np.log(lr / (3e-3 * (n / 1e8) ** -0.3)) ** 2)
    return fitting.fit_optimum("lr", lr.ravel(), n.ravel(), loss.ravel())


def joint_law():
    steps = np.arange(100.0, 3000, 100)
    lr = np.where(steps < 2000, 1e-3, 3e-4)
    runs = [Run(steps, lr, f + (steps / 1000) ** -0.5, label=str(f)) for f in (2.0, 1.8)]
    return fitting.fit_joint(runs, [1e6, 4e6], "mpl", refits=2)


RESULTS = {
    Stability: lambda: hidim.stability(PLRF, DANA.scheduled(hidim.Warmup(10)), 500),
    hidim.SignEffects: lambda: hidim.sign_effects(SMALL, 20, basis="generic"),
    hidim.BestRateLaw: lambda: hidim.best_rate_law(1.2, 0.8),
    hidim.Clipping: lambda: hidim.clipping(SMALL, 50),
    hidim.privacy.PairDivergence: lambda: hidim.privacy.pair_divergence(
        SMALL, hidim.noisy(hidim.sgd(0.1), 0.2), 9
    ),
    hidim.privacy.PrivacyFrontier: lambda: hidim.privacy.frontier(
        SMALL, rates=[0.1], stds=[0.2, 1.0], steps=[9], accountant="one-pass", clip=1.0
    ),
    "unstable": lambda: hidim.stability(SMALL, hidim.sgd(50.0), 100, math.inf),
    ScalingLaw: lambda: hidim.scaling_law(1.0, 0.7, "dana-decaying"),
    "sgd's law": lambda: hidim.scaling_law(0.4, 0.8, "sgd", v_over_d=4.0),  # kappa_2 is infinite
    "trivial law": lambda: hidim.scaling_law(0.2, 0.1),  # floor_time is infinite
    Frontier: lambda: hidim.scaling_law(1.0, 0.7).frontier(1e12),
    "frontiers": lambda: hidim.scaling_law(1.0, 0.7).frontier([1e10, 1e12]),
    ScheduleExponents: lambda: schedule_exponents(1.0, 0.3, "wsd"),
    Exponent: lambda: measure.measure_exponent(np.array([1.0, 10.0]), np.array([1.0, 0.1])),
    SaturatingFit: lambda: measure.saturating_fit(np.arange(1, 9), 1.0 / np.arange(1, 9)),
    Crossing: lambda: measure.first_crossing([1, 10], [1.0, 0.1], 0.5, stderr=[0.1, 0.01]),
    "no crossing": lambda: measure.first_crossing([1, 10], [1.0, 0.1], 0.05),
    OwnExponents: lambda: own_exponents(
        hidim.Spectrum(np.arange(1, 401.0) ** -2, np.arange(1, 401.0) ** -0.6, 0.0),
    ),
    "frontier": lambda: measure.frontier(sums_of_powers(), law=hidim.scaling_law(1.0, 0.7)),
    OptimalSize: isoflop,
    SizeTable: lambda: SizeTable((np.ones(3), np.arange(3.0)), np.ones(3), ("read",)),
    Run: measured_run,
    "run of a curve": lambda: Run.of(hidim.predict(SMALL, DANA, 20)),
    PlannedSchedule: lambda: PlannedSchedule(
        np.array([0.0, 9.0]), np.array([0.1, 0.0]), 0.0, 2.5, (2.4, 2.6), {"cosine": 2.6}
    ),
    fitting.SoFar: unfinished,
    "planned run": lambda: Run([0, 100], [0.1, 0.1]),
    SizeLaw: lambda: fitting.fit_sizes(*chinchilla(), bootstrap=3),
    JointLaw: joint_law,
    OptimumLaw: optimum_law,
    "unsure law of sizes": lambda: fitting.fit_sizes(*chinchilla(), bootstrap=0),
    Standing: lambda: standings([hidim.predict(SMALL, DANA, 20)] * 2)[1],
    Coordinates: lambda: Coordinates(
        "width", (8, 16), ("logits",), (0, 1), *np.ones((2, 1, 2, 1, 2)), np.ones(1), np.ones(1)
    ),
    Tail: lambda: Tail("layer", np.array([1.0, 0.5]), (1, 2), 1.0, (0.9, 1.1)),
    Estimate: lambda: Estimate.of([1.0, 2.0, 3.0]),
    "one seed": lambda: Estimate.of([1.0]),
    MeasuredRun: lab_run,
    Group: lambda: Group("sgd", 100, 0.1, (lab_run(),), True),
    reports.Frontier: lambda: reports.Frontier(
        "sgd", 3, np.array([1.0, 2.0]), np.ones((1, 2)), (0,), np.ones(1), np.array([np.nan])
    ),
    reports.SharedFloor: lambda: reports.SharedFloor({0: 1.5}, {"sgd": {0: 0.2}}),
    Result: lambda: Result("diverged", 3, 96, math.nan, None, 0.5, 1000, 6000),
}


@pytest.mark.parametrize("suffix", [".json", ".npz"])
@pytest.mark.parametrize("name", CURVES)
def test_a_curve_of_any_engine_comes_back_equal(name, suffix, tmp_path):
    curve = CURVES[name]()
    back = saved_and_loaded(curve, tmp_path / f"a{suffix}")
    assert back.steps.dtype == curve.steps.dtype
    assert back.provenance["algorithm"] == curve.provenance["algorithm"]
    json.dumps(curve.to_dict(), allow_nan=False)


@pytest.mark.parametrize("name", RESULTS, ids=str)
def test_a_result_comes_back_equal(name, tmp_path):
    saved_and_loaded(RESULTS[name](), tmp_path / "a.json")


def test_a_law_of_schedules_comes_back_equal(fitted, tmp_path):
    assert isinstance(saved_and_loaded(fitted, tmp_path / "law.json"), FittedLaw)
    assert FittedLaw.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted


def test_a_ladder_and_what_is_measured_on_it_come_back_equal(ladder, tmp_path):
    back = saved_and_loaded(ladder, tmp_path / "ladder.json")
    assert isinstance(back, Ladder)
    assert back.law.frontier(1e12) == ladder.law.frontier(1e12)
    frontier = measure.envelope(ladder.curves, np.geomspace(1e4, 1e8, 20))
    assert isinstance(saved_and_loaded(frontier, tmp_path / "front.json"), MeasuredFrontier)

    exponents = measure_ladder(run_ladder(1.0, 0.7, sizes=SIZES, reach=3.0))
    assert isinstance(saved_and_loaded(exponents, tmp_path / "powers.json"), LadderExponents)


def test_every_result_of_the_package_is_among_these():
    for found in pkgutil.walk_packages(hidim.__path__, "hidim."):
        with suppress(MissingExtra, ImportError):
            if found.name != "hidim.__main__":
                importlib.import_module(found.name)
    ours = {name for kind in below(ByContent) if (name := path_of(kind)).startswith("hidim.")}
    # A problem, saved by a format of its own (tests/problems), and what results are made of.
    made_of = hidim.Spectrum, ByContent, Saved, WrittenLaw
    assert ours - set(map(path_of, made_of)) == set(map(path_of, LOADABLE))
    tried = {Curve, FittedLaw, Ladder, LadderExponents, MeasuredFrontier}  # in tests of their own
    assert set(LOADABLE) == tried | {kind for kind in RESULTS if isinstance(kind, type)}


def path_of(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def below(kind):
    return {kind}.union(*map(below, kind.__subclasses__()))


def saved_and_loaded(result, path):
    """What comes back, after the claims that hold for every result."""
    result.save(path)
    back = type(result).load(path)
    assert back == result
    assert hash(back) == hash(result)
    assert repr(back) == repr(result)
    if path.suffix == ".json":
        json.loads(path.read_text(), parse_constant=refuse)
    for field in dataclasses.fields(result):
        if field.compare and field.init:
            assert_another_value_is_not_equal(result, field.name)
    return back


def assert_another_value_is_not_equal(result, name):
    value = getattr(result, name)
    if isinstance(value, float) and math.isfinite(value):
        assert dataclasses.replace(result, **{name: value + 1.0}) != result
    elif isinstance(value, str) and name in ("label", "verdict"):
        assert dataclasses.replace(result, **{name: value + "x"}) != result


def refuse(token):
    raise AssertionError(token)


def test_a_loaded_stability_finds_the_same_edges(tmp_path):
    report = hidim.stability(SMALL, DANA, 200)
    report.save(tmp_path / "s.json")
    back = Stability.load(tmp_path / "s.json")
    assert back.largest_gamma_2 == report.largest_gamma_2
    assert back.norm_gamma_3 == report.norm_gamma_3
    assert back.to_dict() == report.to_dict()


def test_a_loaded_law_answers_the_same(tmp_path):
    law = hidim.scaling_law(1.0, 0.7, "dana-constant")
    law.save(tmp_path / "law.json")
    back = ScalingLaw.load(tmp_path / "law.json")
    assert back.risk(1000, 1e4) == law.risk(1000, 1e4)
    assert back.algorithm(1000) == law.algorithm(1000)


def test_the_record_of_a_training_run_is_its_result():
    result = Result("ok", 3, 96, 2.5, 2.75, 0.5, 1000, 6000)
    assert from_record(json.loads(json.dumps(result.to_dict()))) == result


LOADABLE = [
    Crossing,
    Curve,
    Estimate,
    Exponent,
    FittedLaw,
    Frontier,
    Group,
    Ladder,
    LadderExponents,
    MeasuredFrontier,
    MeasuredRun,
    OptimalSize,
    OptimumLaw,
    OwnExponents,
    JointLaw,
    PlannedSchedule,
    Result,
    Run,
    SaturatingFit,
    ScalingLaw,
    ScheduleExponents,
    SizeLaw,
    SizeTable,
    fitting.SoFar,
    Stability,
    hidim.BestRateLaw,
    hidim.Clipping,
    hidim.SignEffects,
    hidim.privacy.PairDivergence,
    hidim.privacy.PrivacyFrontier,
    Standing,
    Coordinates,
    Tail,
    reports.Frontier,
    reports.SharedFloor,
]
FOREIGN = {
    "empty": "",
    "cut": '{"format": "hidim-exponent/1", "val',
    "null": "null",
    "list": "[1, 2]",
    "object": "{}",
    "another format": '{"format": "somebody/7", "value": 1}',
    "deep": "[" * 100_000,
    "binary": "\x00\x01",
}


@pytest.mark.parametrize("cls", LOADABLE, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("text", FOREIGN)
def test_files_of_other_things_are_refused_in_one_line(cls, text, tmp_path):
    (tmp_path / "a.json").write_text(FOREIGN[text])
    assert_refused(cls, tmp_path / "a.json")
    assert_refused(cls, tmp_path / "none.json")
    assert_refused(cls, tmp_path)


def test_a_result_of_another_kind_is_refused(tmp_path):
    hidim.predict(SMALL, DANA, 3).save(tmp_path / "a.json")
    for cls in LOADABLE:
        if cls is not Curve:
            assert_refused(cls, tmp_path / "a.json")
    RESULTS[Exponent]().save(tmp_path / "b.json")
    assert_refused(Curve, tmp_path / "b.json")


@pytest.mark.parametrize(
    "kind", [Exponent, ScalingLaw, Run, SizeLaw, Stability, SizeTable, Frontier]
)
def test_a_missing_or_impossible_field_is_refused(kind, tmp_path):
    path = tmp_path / "a.json"
    RESULTS[kind]().save(path)
    table = json.loads(path.read_text())
    missing = dataclasses.MISSING
    optional = {one.name for one in dataclasses.fields(kind) if one.default is not missing}
    derived = {"standard_errors", "intervals"} if kind is SizeLaw else set()
    for name in set(table) - optional - derived - {"format"}:
        path.write_text(json.dumps({key: table[key] for key in table if key != name}))
        assert_refused(kind, path)
        if kind is not Frontier:  # its fields are numbers or arrays
            path.write_text(json.dumps(table | {name: [None]}))
            assert_refused(kind, path)
    if kind is not SizeLaw:
        path.write_text(json.dumps(table | {"extra": 1}))
        assert_refused(kind, path)


@pytest.mark.parametrize("suffix", [".json", ".npz"])
def test_a_curve_file_cut_anywhere_is_refused(suffix, tmp_path):
    path = tmp_path / f"a{suffix}"
    hidim.simulate(SMALL, DANA, 20, runs=2).save(path)
    whole = path.read_bytes()
    for kept in np.unique(np.linspace(0, len(whole) - 2, 40).astype(int)):
        path.write_bytes(whole[:kept])
        assert_refused(Curve, path)


def test_a_flipped_byte_in_an_archive_is_refused_or_harmless(tmp_path):
    path = tmp_path / "a.npz"
    curve = hidim.predict(SMALL, DANA, 20)
    curve.save(path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 61):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(ValueError):
            assert Curve.load(path) == curve


def test_archives_of_other_things_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", X=np.ones(3))
    np.savez(tmp_path / "b.npz", header=np.array("[]"), steps=[0], risk=[1.0])
    np.savez(tmp_path / "c.npz", header=np.array({"a": 1}, dtype=object))
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("readme", "hello")
    np.save(tmp_path / "e.npy", np.ones(3))
    (tmp_path / "e.npy").rename(tmp_path / "e.npz")
    for name in "abcde":
        assert_refused(Curve, tmp_path / f"{name}.npz")


def assert_refused(cls, path):
    with pytest.raises(ValueError) as caught:
        cls.load(path)
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)


FIRST_VERSION = {
    "label": "sgd",
    "status": "diverged",
    "diverged_at": 7,
    "dimension": 3.0,
    "batch_size": None,
    "steps": [0, 1, 10],
    "risk": [1.0, 2.0, None],
    "stderr": [0.0, 0.5, None],
    "provenance": {"hidim": "0.1.0", "batch_size": "inf", "seed": None},
}


def test_curves_of_version_0_1_load(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(FIRST_VERSION))
    columns = ("steps", "risk", "stderr")
    header = {key: value for key, value in FIRST_VERSION.items() if key not in columns}
    arrays = {
        "steps": np.array([0, 1, 10]),
        "risk": np.array([1.0, 2.0, math.inf]),
        "stderr": np.array([0.0, 0.5, math.inf]),
    }
    np.savez(tmp_path / "a.npz", header=np.array(json.dumps(header)), **arrays)
    for name in ("a.json", "a.npz"):
        curve = Curve.load(tmp_path / name)
        assert curve.batch_size == math.inf
        assert curve.risk.tolist() == [1.0, 2.0, math.inf]
        assert curve.stderr.tolist() == [0.0, 0.5, math.inf]
        assert curve.provenance == FIRST_VERSION["provenance"]
        assert curve.steps.dtype == np.int64
        assert curve.risk_floor is None


few = settings(max_examples=40, derandomize=True, deadline=None)
some = st.text(max_size=5)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | some | st.floats().map(np.float64),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(some, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def curves(draw):
    n = draw(st.integers(0, 6))
    last = draw(st.sampled_from([9, 2**53, 10**19]))
    kind = np.int64 if last < 2**60 else np.uint64
    steps = draw(hnp.arrays(kind, n, elements=st.integers(0, last)))
    level = st.floats(0, math.inf)
    row = hnp.arrays(np.float64, n, elements=level)
    names = some.filter(lambda name: name.isprintable() and name not in ("", "step", "risk"))
    return Curve(
        steps=steps,
        risk=draw(row),
        stderr=draw(st.none() | hnp.arrays(np.float64, n, elements=st.floats(0))),
        status=draw(st.sampled_from(["ok", "diverged", "inaccurate"])),
        diverged_at=draw(st.none() | st.integers(0, 2**60) | st.floats(0)),
        label=draw(some),
        dimension=draw(st.none() | st.floats(0) | st.integers(0, 2**70)),
        batch_size=draw(st.sampled_from([1, 4.0, math.inf, np.int64(3)])),
        provenance=draw(st.dictionaries(some, values, max_size=4)),
        moments=draw(st.none() | hnp.arrays(np.float64, (n, 3, 2))),
        risk_floor=draw(st.none() | level),
        columns=draw(st.dictionaries(names, hnp.arrays(np.float64, n), max_size=2)),
    )


@few
@given(curve=curves(), suffix=st.sampled_from([".json", ".npz"]))
def test_any_curve_comes_back_equal(curve, suffix, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / f"any{suffix}"
    curve.save(path)
    assert Curve.load(path) == curve


def test_a_provenance_that_no_file_can_keep_is_refused_before_the_file_is_touched(tmp_path):
    curve = Curve([0], [1.0], provenance={"rule": len})
    for name in ("a.json", "a.npz"):
        with pytest.raises(ValueError, match=r"provenance`\['rule'\]"):
            curve.save(tmp_path / name)
    with pytest.raises(ValueError, match=r"\.json"):
        RESULTS[Exponent]().save(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_results_are_keys_and_members_by_content():
    one, two = (hidim.predict(SMALL, DANA, 5) for _ in range(2))
    assert one == two
    assert {one: 1}[two] == 1
    assert one != hidim.predict(SMALL, DANA, 6)
    assert one != "a curve"
    nan = Result("ok", 0, 0, math.nan, None, 0.0, 1, 1)
    assert nan in {nan, dataclasses.replace(nan)}
