"""One law over sizes and schedules recovers what made the runs, and says what it had to assume."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hidim
from hidim.cli.joint import size_of, sizes_of
from hidim.cli.main import main
from hidim.cli.reach import reach_text
from hidim.fitting import FittedLaw, JointLaw, Run, fit_joint, read_run
from hidim.fitting.charts import InteractionChart, PowerChart
from hidim.fitting.joint import planning
from hidim.fitting.joint.collapse import collapses
from hidim.fitting.joint.form import JointForm, Prior
from hidim.fitting.joint.law import JointUnits
from hidim.fitting.joint.order import check_order
from hidim.fitting.joint.planning import plan_budget
from hidim.fitting.joint.search import Sized, prior_means, search_joint
from hidim.fitting.schedules.late import late_floor
from hidim.fitting.schedules.laws import of_a_size, schedule_law
from hidim.fitting.schedules.search import points_of
from tests.fitting.conftest import rates

FORM = JointForm(schedule_law("mpl"), Prior())
LATE = JointForm(of_a_size(schedule_law("mpl")), Prior())
# floor limit, excess, exponent; signal, power; decay; release, power; response rate, power; shape,
# slowing
TRUTH = np.array([1.9, -0.15, 0.3, -1.4, 0.05, 0.45, -1.8, 0.1, 5.8, 0.1, -0.5, 1.0])
STEPS = np.arange(1000.0, 24001, 500)
SHAPES = ("cosine", "constant", "stage")
UNITS = JointUnits(24000.0, 23500.0, 1e8, np.log(3e-4), 0.0)


def made(size: float, name: str, *, seed: int = 0, noise: float = 5e-4) -> Run:
    """A run of a model of this size that obeys TRUTH, up to noise of the log loss."""
    lr = rates(name, STEPS)
    run = Run(STEPS, lr, np.ones(len(STEPS)), 1000.0, f"{size:g} {name}")
    clock = UNITS.at(size).clock(run.rate, STEPS)
    loss = FORM.evaluate(TRUTH, UNITS.log_size(size), clock)[0]
    jitter = noise * np.random.default_rng(seed).standard_normal(len(STEPS))
    return replace(run, loss=loss * np.exp(jitter))


def ladder(*sizes: float) -> tuple[list[Run], list[float]]:
    """Three schedules at each size, and the size of each run."""
    runs = [
        made(n, name, seed=i + 10 * j) for j, n in enumerate(sizes) for i, name in enumerate(SHAPES)
    ]
    return runs, [n for n in sizes for _ in SHAPES]


@pytest.fixture(scope="module")
def three() -> JointLaw:
    """Fitted to three sizes, the last of them stopped at a quarter."""
    runs, sizes = ladder(25e6, 100e6)
    runs.append(made(400e6, "constant", seed=7).until(6000))
    return fit_joint(runs, [*sizes, 400e6], "mpl", tokens_per_step=5e5, refits=2)


@pytest.fixture
def few_knots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans of four knots, which take a tenth of the time."""
    quick = partial(planning.best_schedule, knots=4)
    monkeypatch.setattr(planning, "best_schedule", quick)


@pytest.mark.parametrize(
    ("form", "vector"),
    [
        (FORM, TRUTH),
        (LATE, np.append(TRUTH, -0.7)),
        (
            JointForm(of_a_size(schedule_law("fsl")), Prior()),
            np.array([*TRUTH, 0.9, 0.2, 0.02, 0.8, -0.3]),
        ),
    ],
    ids=["sum", "late", "late fsl"],
)
def test_gradient_is_exact(form: JointForm, vector: np.ndarray) -> None:
    run = made(4e8, "wsd")
    clock = UNITS.at(4e8).clock(run.rate, STEPS[::8])
    clock = replace(clock, level=0.8)  # a run whose peak is below its size's
    loss, jacobian = form.evaluate(vector, 1.2, clock)
    assert np.allclose(form.law.loss(form.at(vector, 1.2), clock), loss, rtol=1e-13)
    for i in range(len(vector)):
        h = np.zeros(len(vector))
        h[i] = 1e-6
        high, low = (form.evaluate(vector + s * h, 1.2, clock)[0] for s in (1, -1))
        # central difference: rounding 1e-16 / 1e-6
        assert np.allclose(jacobian[:, i], (high - low) / 2e-6, rtol=1e-5, atol=1e-8)


def test_a_floor_turns_on_between_the_sum_and_the_larger_of_both() -> None:
    signal = np.geomspace(1e-3, 10, 9)
    plain = late_floor(np.log(0.4), np.log(signal), 0.0).value
    assert np.allclose(plain, signal, rtol=1e-12)
    late = late_floor(np.log(0.4), np.log(signal), -0.5).value
    larger = late_floor(np.log(0.4), np.log(signal), -6.0).value
    assert np.allclose(larger, np.maximum(signal - 0.4, 0.0), atol=1e-3)
    assert np.all((larger <= late + 1e-12) & (late < plain))


def test_a_truncated_spectrum_has_the_floor_that_theory_says() -> None:
    """Modes lambda_j = j^-2, b_j = j^-1.8, d of them: s = .4, and the floor turns on late."""
    j = np.arange(1.0, 2e6 + 1)
    rate, weight = j**-2.0, j**-1.8
    x = np.geomspace(30.0, 3e4, 12)
    d = 100
    decays = np.exp(-rate[:d, None] * x)
    exact = weight[:d] @ decays  # what is added to the floor of d modes
    excess = weight[d:].sum()
    # sum over all modes as an integral: gamma(s) / 2 x^-s
    signal = 0.5 * math.gamma(0.4) * x**-0.4
    late, plain = (
        np.abs(late_floor(np.log(excess), np.log(signal), log_eta).value - exact).max() / excess
        for log_eta in (math.log(0.4 / 1.4), 0.0)
    )
    assert late < 0.1
    assert plain > 0.9


@pytest.mark.parametrize("exponent", [0.05, 0.4, 1.5])
def test_the_coordinates_of_floors_lead_back_with_exact_slopes(exponent: float) -> None:
    at = (FORM.names.index("floor_limit"), 1, 2)
    chart = PowerChart(at, UNITS.log_size(25e6), UNITS.log_size(4e8))
    vector = TRUTH.copy()
    vector[2] = exponent
    found = chart.inside(vector)
    again, slope = chart.outside(found)
    assert np.allclose(again, vector, rtol=1e-12)
    for i in range(len(found)):
        h = np.zeros(len(found))
        h[i] = 1e-6
        high, low = (chart.outside(found + s * h)[0] for s in (1, -1))
        # central difference: rounding 1e-16 / 1e-6
        assert np.allclose(slope[:, i], (high - low) / 2e-6, rtol=1e-5, atol=1e-8)


def test_the_coordinates_of_an_interaction_lead_back_and_keep_value_and_slopes() -> None:
    names = LATE.names
    at = (names.index("floor_excess"), names.index("signal"), names.index("interaction"))
    floors = PowerChart((0, 1, 2), UNITS.log_size(25e6), UNITS.log_size(4e8))
    chart = InteractionChart(floors, at)
    vector = np.append(TRUTH, -0.7)
    found = chart.inside(vector)
    again, slope = chart.outside(found)
    assert np.allclose(again, vector, rtol=1e-12)
    seen = []
    for i in range(len(found)):
        h = np.zeros(len(found))
        h[i] = 1e-6
        high, low = (chart.outside(found + s * h)[0] for s in (1, -1))
        # central difference: rounding 1e-16 / 1e-6
        assert np.allclose(slope[:, i], (high - low) / 2e-6, rtol=1e-5, atol=1e-8)
    for log_eta in (-1.5, -0.7, 0.0):
        found[at[2]] = log_eta
        excess, signal, _ = chart.outside(found)[0][list(at)]
        late = late_floor(excess, np.array([signal]), log_eta)
        seen.append([math.exp(excess) + late.value[0], late.by_signal[0]])
    assert np.allclose(seen, seen[0], rtol=1e-12)


def test_a_refit_of_two_sizes_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """In E, A and a as they stand some took 200 and had not arrived."""
    runs, sizes = ladder(25e6, 100e6)
    units = JointUnits.of(runs, sizes)
    points = [
        Sized(units.log_size(n), points_of(run, units.at(n)))
        for run, n in zip(runs, sizes, strict=True)
    ]
    best = search_joint(FORM, points)
    calls: list[float] = []
    plain = JointForm.evaluate

    def counted(*args: Any) -> tuple[np.ndarray, np.ndarray]:
        calls.append(1.0)
        return plain(*args)

    monkeypatch.setattr(JointForm, "evaluate", counted)
    means = prior_means(FORM)
    means[FORM.names.index("floor_exponent")] = 0.75
    moved = search_joint(FORM, points, near=best, means=means)
    assert moved[2] == pytest.approx(0.75, abs=0.1)
    assert len(calls) < 40 * len(points)


def test_the_start_of_a_larger_model_gives_the_rest(three: JointLaw) -> None:
    for name in ("cosine", "stage", "wsd"):
        score = three.at(4e8).score(made(4e8, name, seed=20))
        assert score["mean_relative_error"] < 2e-3
        assert score["band_coverage"] > 0.8
    assert three.parameters["floor_exponent"] == pytest.approx(0.3, abs=0.08)
    assert any(label.startswith("size 4e+08") for label in three.holdout)


def test_reach_is_that_of_the_runs_of_one_size(three: JointLaw) -> None:
    """The largest size was seen at its peak to step 6,000, the others whole."""
    cosine = made(4e8, "cosine")
    far, near = (three.at(size).extrapolation(cosine) for size in (4e8, 1e8))
    assert (far["steps"], near["steps"], near["size_steps"]) == (1.0, 1.0, 1.0)
    assert far["size_steps"] == pytest.approx(4)
    assert far["size_lowest_rate"] == pytest.approx(10)
    assert far["lowest_rate"] == near["size_lowest_rate"] == pytest.approx(1, rel=0.01)
    assert "steps of the runs of this size 4 x" in reach_text(far)
    assert reach_text(near) == "inside what the fitted runs cover"
    assert "size_steps" not in three.at(2e8).extrapolation(cosine)
    low = three.at(4e8).extrapolation(hidim.Constant(3e-5), STEPS)
    assert low["low_peak"] == pytest.approx(10)
    again = FittedLaw.from_dict(three.at(4e8).to_dict())
    assert again.extrapolation(cosine) == far


def test_two_sizes_say_what_is_assumed_and_their_band_holds_the_truth() -> None:
    runs, sizes = ladder(25e6, 100e6)
    law = fit_joint(runs, sizes, "mpl", refits=12)
    at = law.at(4e8)
    assert any("two sizes" in warning and "prior 0.4 +- 0.2" in warning for warning in at.warnings)
    assert any("falls between them" in warning for warning in law.at(5e7).warnings)
    assert not law.at(25e6).warnings
    # Half-way between two sizes a factor of 4 apart counts as log(4) / 4 beyond one.
    widened = np.hypot(law.noise, law.size_growth * np.log(4) / 4)
    assert law.at(5e7).noise == pytest.approx(widened)
    assert law.at(1e8).noise == pytest.approx(law.noise)
    between = made(5e7, "cosine", noise=0.0)
    assert law.at(5e7).score(between)["band_coverage"] == 1.0
    truth = made(4e8, "cosine", noise=0.0)
    low, high = at.band(truth, STEPS[10:])
    assert np.all((low < truth.measured()[10:]) & (truth.measured()[10:] < high))
    assert np.all(high / low < 1.1)
    # What a size beyond the fitted ones adds is no noise of rows: the curve has it, too.
    ends = [one.band(4e8, truth, STEPS[-1:], of="curve") for one in (law, replace(law, growth=0.0))]
    bare = replace(law, size_growth=0.0).band(4e8, truth, STEPS[-1:], of="curve")
    assert (ends[0][1] / ends[0][0])[0] == pytest.approx((high / low)[-1], rel=2e-3)
    assert (ends[1][1] / ends[1][0])[0] > 1.005 * (bare[1] / bare[0])[0]
    told = fit_joint(runs, sizes, "mpl", refits=12, prior=Prior((0.3, 0.02)))
    # beside what no third size says, which is no part of the refits
    wide, narrow = (
        replace(one, size_growth=0.0).at(4e8).band(truth, STEPS[-1:]) for one in (law, told)
    )
    assert (narrow[1] - narrow[0])[0] < 0.5 * (wide[1] - wide[0])[0]


def test_sizes_may_have_peaks_of_their_own() -> None:
    runs, sizes = ladder(25e6, 100e6)
    own = [replace(run, lr=run.lr * (n / 1e8) ** -0.3) for run, n in zip(runs, sizes, strict=True)]
    law = fit_joint(own, sizes, "mpl", refits=0)
    assert law.units.rate_power == pytest.approx(-0.3, abs=1e-6)
    assert max(law.in_sample.values()) < 1e-3
    assert law.at(4e8).units.rate == pytest.approx(3e-4 * 4**-0.3)


def test_a_saved_law_predicts_the_same(three: JointLaw, tmp_path: Path) -> None:
    three.save(tmp_path / "law.json")
    again = JointLaw.load(tmp_path / "law.json")
    assert again == three
    run = made(2e8, "wsd")
    assert np.array_equal(again.at(2e8).predict(run), three.at(2e8).predict(run), equal_nan=True)
    data = json.loads((tmp_path / "law.json").read_text())
    for change in ({"vector": [1.0]}, {"units": {}}, {"prior": {"power": -1}}, {"parameters": {}}):
        (tmp_path / "law.json").write_text(json.dumps(data | change))
        with pytest.raises(ValueError, match="damaged"):
            JointLaw.load(tmp_path / "law.json")


def test_laws_of_earlier_versions_are_read_as_they_were(three: JointLaw, tmp_path: Path) -> None:
    old = replace(three, form=FORM, vector=TRUTH, units=UNITS, replicas=np.array([TRUTH + 0.01]))
    old.save(tmp_path / "law.json")
    again = JointLaw.load(tmp_path / "law.json")
    assert not again.form.law.sized
    run = made(4e8, "wsd", noise=0.0)
    # burn-in apart, where the law says nothing
    assert np.allclose(again.predict(4e8, run)[2:], run.measured()[2:], rtol=1e-12)


def test_the_law_of_one_size_is_saved_with_what_turns_on_late(
    three: JointLaw, tmp_path: Path
) -> None:
    law = three.at(2e8)
    law.save(tmp_path / "law.json")
    again = FittedLaw.load(tmp_path / "law.json")
    assert again.law.sized
    assert again.parameters["interaction"] == three.parameters["interaction"]
    run = made(2e8, "wsd")
    assert np.array_equal(again.predict(run), law.predict(run), equal_nan=True)


def test_a_floor_may_lie_above_runs_whose_rate_fell_early() -> None:
    """More noise than signal, and rates that fall in the first third: all medians below it."""
    vector = np.append(TRUTH, 0.0)
    vector[LATE.names.index("signal")] = -4.0
    vector[LATE.names.index("release")] = -0.8
    runs, sizes = [], [25e6] * 2 + [100e6] * 2
    for n in sizes:
        drop = 5000 + 2500 * (len(runs) % 2)
        run = Run(STEPS, np.where(drop < STEPS, 6e-5, 3e-4), np.ones(len(STEPS)), 1000.0)
        clock = UNITS.at(n).clock(run.rate, STEPS)
        loss = LATE.evaluate(vector, UNITS.log_size(n), clock)[0]
        runs.append(replace(run, loss=loss, label=f"{n:g} {drop}"))
        assert np.median(loss) < LATE.at(vector, UNITS.log_size(n))[0]
    law = fit_joint(runs, sizes, "mpl", refits=0)
    assert max(law.in_sample.values()) < 1e-4  # .003 and more below the medians


def test_what_cannot_be_a_ladder_is_refused() -> None:
    runs, sizes = ladder(25e6, 100e6)
    with pytest.raises(ValueError, match="one size"):
        fit_joint(runs[:3], sizes[:3])
    with pytest.raises(ValueError, match="5 values for 6"):
        fit_joint(runs, sizes[:5])
    with pytest.raises(ValueError, match="needed"):
        fit_joint(runs)
    with pytest.raises(ValueError, match="fsl"):
        fit_joint(runs, sizes, "step")


@pytest.mark.usefixtures("few_knots")
def test_a_plan_is_size_tokens_and_schedule(three: JointLaw) -> None:
    plan = plan_budget(three, 2e19, warmup_steps=1000)
    assert plan.params * plan.tokens * 6 == pytest.approx(2e19)
    assert plan.tokens == pytest.approx(plan.steps * 5e5)
    assert not plan.bound
    assert plan.params_interval is not None
    assert plan.params_interval[0] <= plan.params_interval[1]

    def final(size: float) -> float:
        end = 2e19 / 6 / 5e5 / size
        lr = 3e-4 * np.array([1.0, 1.0, 0.1])
        run = Run([1000.0, end - 0.2 * (end - 1000), end], lr, warmup_steps=1000.0)
        clock = UNITS.at(size).clock(run.rate, np.array([end]))
        return float(FORM.evaluate(TRUTH, UNITS.log_size(size), clock)[0][0])

    sizes = np.geomspace(5e7, 8e8, 60)
    best = min(map(final, sizes))
    assert final(plan.params) / best - 1 < 2e-3
    assert plan.schedule.loss < best * 1.005
    with pytest.raises(ValueError, match=r"leave no size .*ask for .* flops, or give a"):
        plan_budget(three, 1e25)
    with pytest.raises(ValueError, match="tokens_per_step"):
        plan_budget(replace(three, provenance={**three.provenance, "tokens_per_step": None}), 2e19)


def test_curves_of_a_ladder_collapse_and_the_odd_one_is_named() -> None:
    runs, sizes = ladder(25e6, 400e6)
    law = fit_joint(runs, sizes, "mpl", refits=0)
    found = collapses(law, runs, sizes)
    assert [len(one.labels) for one in found] == [2, 2, 2]
    assert max(one.spread for one in found) < 0.01
    late = STEPS > 12_000
    runs[4] = replace(runs[4], loss=runs[4].measured() * np.where(late, 1.02, 1.0))
    odd = max(collapses(law, runs, sizes), key=lambda one: one.spread)
    assert odd.labels == ("2.5e+07 constant", "4e+08 constant")
    assert odd.spread > 0.01


def test_sizes_of_files_are_read() -> None:
    assert size_of("400M") == 4e8
    files = ["runs/25M/a.csv", "runs/100M/a.csv", "b.csv"]
    assert sizes_of(["25M", "1e8", "0.4B"], files) == [25e6, 1e8, 4e8]
    assert sizes_of(["25M=25M", "100M/*=100M", "b.csv=400M"], files) == [25e6, 1e8, 4e8]
    named = ["gpt25M_cosine.csv", "runs/llama-100M.csv", "out/125M_b.csv"]
    assert sizes_of(["25M=25M", "100M=100M", "125M=125M"], named) == [25e6, 1e8, 125e6]
    for wrong in (["25M"], ["25M=25M"], ["*=25M", "100M=1e8", "b.csv=2"], ["x", "y", "z"]):
        with pytest.raises(ValueError, match="--params"):
            sizes_of(wrong, files)


@pytest.mark.usefixtures("few_knots")
def test_the_command_line_goes_from_logs_to_a_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = []
    for size, names in (("25M", SHAPES[1:]), ("100M", SHAPES[1:]), ("400M", ("wsd",))):
        (tmp_path / size).mkdir()
        for name in names:
            run = made(size_of(size), name)
            file = tmp_path / size / f"{name}.csv"
            rows = np.column_stack([run.steps, run.lr, run.measured()])
            np.savetxt(file, rows, delimiter=",", comments="", header="step,lr,loss")
            files.append(str(file))
    out = str(tmp_path / "law.json")
    command = ["fit", "--law", "mpl", *files[:4], "--warmup-steps", "1000", "--out", out]
    command += ["--bootstrap", "2"]
    assert main([*command, "--params", "25M=25M", "100M=100M", "--tokens-per-step", "5e5"]) == 0
    said = capsys.readouterr().out
    assert "prior 0.4 +- 0.2" in said
    assert all(f"{size} {SHAPES[1]}: table" in said for size in ("2.5e+07", "1e+08"))
    assert main(["forecast", out, files[4], "--params", "400M"]) == 0
    text = capsys.readouterr().out
    assert "4 x beyond the fitted sizes" in text
    assert main(["forecast", out, files[4]]) == 2
    assert "--params" in capsys.readouterr().err
    assert main(["plan", out, "--flops", "2e19", "--json"]) == 0
    (plan,) = json.loads(capsys.readouterr().out)["plans"]
    assert plan["band"][0] < plan["loss"] < plan["band"][1]
    one = ["plan", out, "--params", "100M", "--steps", "24000", "--json"]
    assert main(one) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["steps"][-1] == 24000
    assert plan["band"][0] < plan["loss"] < plan["band"][1]
    assert (plan["law"], plan["params"], plan["extrapolation"]["params"]) == ("mpl", 1e8, 1)
    for size in ("400M", "6.25M"):
        assert main(["plan", out, "--params", size, "--steps", "24000"]) == 0
        text = capsys.readouterr().out
        assert "fitted runs: size of the model 4 x" in text
        assert "inside what" not in text
    for more, told in (
        (["--steps", "24000"], "--params 400M"),
        (["--flops", "2e19", "--peak", "1e-3"], "--peak"),
        (["--flops", "2e19", "--schedule", "constant peak=1"], "--schedule"),
        (["--flops", "2e19", "--params", "100M"], "--flops"),
    ):
        assert main(["plan", out, *more]) == 2
        assert told in capsys.readouterr().err
    assert main(["fit", *files[:2], "--tokens-per-step", "5e5"]) == 2
    assert "--params" in capsys.readouterr().err


@pytest.mark.slow
def test_400m_from_25m_and_100m(measured: Callable[..., Path]) -> None:
    def run(size: str, name: str) -> Run:
        path = measured("llm-curves", size, f"{name}.csv")
        return replace(read_run(path, warmup_steps=2160), label=f"{size} {name}")

    names = ("cosine_24000", "constant_24000", "wsdcon_9")
    runs = [run(size, name) for size in ("25M", "100M") for name in names]
    sizes = [25e6] * 3 + [1e8] * 3
    two = fit_joint(runs, sizes).at(4e8)
    part = fit_joint([*runs, run("400M", "constant_24000").until(6000)], [*sizes, 4e8]).at(4e8)
    for name in ("cosine_24000", "wsdcon_9"):
        unseen = run("400M", name)
        assert part.score(unseen)["mean_relative_error"] < 0.0035
        assert part.score(unseen)["band_coverage"] > 0.85
        assert two.score(unseen)["band_coverage"] > 0.85
        low, high = two.band(unseen, unseen.steps[-1:])
        assert (high - low)[0] / 2 < 0.05 * unseen.measured()[-1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("alpha", "beta", "noise"),
    [(1.0, 0.3, 1.0), (0.8, 0.4, 0.5), (1.2, 0.6, 0.5), (0.7, 0.2, 0.3), (0.7, 0.2, 0.1)],
)
def test_ladders_of_known_truth(alpha: float, beta: float, noise: float) -> None:
    steps = np.arange(200, 20_001, 100)
    shapes = {
        "constant": hidim.Constant(1.0),
        "cosine": hidim.Cosine(20_000, final=0.1),
        "two": hidim.Table([0, 8_000], [1.0, 0.3], "previous"),
        "wsd": hidim.WSD(20_000, final=0.1),
    }

    def run(d: int, name: str) -> Run:
        problem = hidim.PLRF(alpha=alpha, beta=beta, d=d, noise_variance=noise)
        algorithm = hidim.sgd(0.15 * shapes[name])
        curve = hidim.predict(problem, algorithm, at=steps, batch_size=4)
        return Run.of(replace(curve, label=f"{d} {name}"))

    runs = [run(d, name) for d in (100, 400) for name in ("constant", "cosine", "two")]
    runs.append(run(1600, "constant").until(5000))
    law = fit_joint(runs, [100.0] * 3 + [400.0] * 3 + [1600.0]).at(1600)
    scores = [law.score(run(1600, name)) for name in ("cosine", "two", "wsd")]
    assert np.mean([score["mean_relative_error"] for score in scores]) < 0.0035
    assert np.mean([score["band_coverage"] for score in scores]) > 0.85


def test_sizes_that_are_not_those_of_the_runs_are_named() -> None:
    runs, sizes = ladder(25e6, 100e6)
    assert not check_order(runs, sizes)
    (said,) = check_order(runs, sizes[::-1])
    assert "(1e+08 parameters) lies" in said
    assert "`params`" in said


def test_a_run_so_far_is_judged_by_a_law_over_sizes(
    three: JointLaw, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    three.save(tmp_path / "law.json")
    run = made(100e6, "cosine", seed=20).until(12_000)
    rows = np.stack([run.steps, run.lr, run.measured()], 1)
    np.savetxt(tmp_path / "log.csv", rows, "%.8g", ",", header="step,lr,loss", comments="")
    command = ["forecast", str(tmp_path / "law.json"), "--so-far", str(tmp_path / "log.csv")]
    command += ["--schedule", "cosine peak=3e-4 end=10% steps=24000", "--json"]
    assert main([*command, "--params", "100M"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "go on"
    assert told["loss"] == pytest.approx(made(100e6, "cosine", noise=0).measured()[-1], rel=0.005)
    assert main(command) == 2
    assert "--params 400M" in capsys.readouterr().err
    assert main([*command, "--params", "100M", "--tokens", "8B"]) == 2
    assert "no use for --tokens" in capsys.readouterr().err
    words = [*command[:2], "--params", "100M", *command[4:6]]
    for more in (["--lr", "0.5"], ["--step-scale", "2"], ["--columns", "loss=y"]):
        assert main([*words, *more]) == 2
        assert f"no use for {more[0]}" in capsys.readouterr().err
