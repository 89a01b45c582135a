"""Claims about plans over horizons: tuned, whole wherever they stop, resumed from a file."""

from __future__ import annotations

import math

import pytest
from test_report import plant

from hidim.cli.main import main
from hidim.lab import Settings
from hidim.lab.reports.measured import consolidate, measured_runs
from hidim.lab.reports.report import report
from hidim.lab.sweeps.horizons import PLANS, Horizons
from hidim.lab.sweeps.presets import ladder
from hidim.lab.sweeps.sweep import Sweep, work
from hidim.lab.training.entry import train


class Planned:
    """A sweep whose runs end at once, with the loss of a formula."""

    def __init__(self, loss):
        self.loss, self.runs = loss, {}

    def settings(self):
        return self.runs

    def finished(self):
        return {
            name: {"status": "ok", "validation_loss": self.loss(run)}
            for name, run in self.runs.items()
        }

    def rounds(self, plan, most=500):
        """What the plan wants, round by round, all of it trained in between."""
        for _ in range(most):
            wanted = [run for run in plan.stage(self) if run.fingerprint not in self.runs]
            if not wanted:
                return
            yield wanted
            self.runs |= {run.fingerprint: run for run in wanted}


def memory_of(run):
    return 1 / (1 - run.options.get("betas", [0.0, 0.0])[0])


def bowl(run):
    """Best rate 1e-3 (steps/155)^-.5, best memory 20 (steps/155)^.5; adana a tenth lower."""
    horizon = run.steps / 155
    off = math.log2(run.lr / 1e-3) + 0.5 * math.log2(horizon)
    if run.optimizer == "adamw":
        off += 1j * (math.log2(memory_of(run) / 20) - 0.5 * math.log2(horizon))
    return horizon**-0.1 * (0.9 if run.optimizer == "adana" else 1.0) * (1 + 0.01 * abs(off) ** 2)


def test_a_plan_finds_the_best_point_of_every_horizon_and_finishes_it_before_the_next():
    plan, sweep = ladder("horizons-transformer"), Planned(bowl)
    assert isinstance(plan, Horizons)
    order = []
    for wanted in sweep.rounds(plan):
        order.append({(run.steps // 155, run.optimizer) for run in wanted})
    # Horizons come whole, long ones method by method, and Muon's two doublings later.
    turns = [{h * (4 if name == "muon" else 1) for h, name in cells} for cells in order]
    turns = [min(turn) for turn in turns if len(turn) == 1]
    assert len(turns) == len(order)
    finals = turns.index(128) + turns.count(128)
    assert turns[:finals] == sorted(turns[:finals])
    assert set(turns[finals:]) == {64}
    assert all(len(cells) == 1 for cells in order if min(cells)[0] > plan.searched)
    for horizon in plan.horizons:
        own = [run for run in sweep.runs.values() if run.steps == 155 * horizon]
        assert {run.optimizer for run in own} == {"adamw", "adana", "muon"}
        for optimizer in ("adamw", "adana", "muon"):
            tuning = [r for r in own if r.optimizer == optimizer and r.seed == 1000]
            finals = [r for r in own if r.optimizer == optimizer and r.seed < 1000]
            assert len(tuning) <= (plan.most if horizon <= plan.searched else 3)
            assert sorted(run.seed for run in finals) == [0, 1, 2]
            assert bowl(finals[0]) == min(map(bowl, tuning))
            if optimizer == "adamw":
                # The search moves by a factor of 2 and may stop a step beside the optimum.
                assert bowl(finals[0]) < 1.012 * horizon**-0.1
    last = {run.optimizer for run in sweep.runs.values() if run.steps == 155 * 64}
    assert last == {"adamw", "adana"}  # the baseline and the best


def test_a_plan_costs_what_it_says_and_a_dry_run_prints_it(tmp_path, capsys):
    small = ("horizons-lstm-small", "horizons-transformer-small")
    for name in small:
        plan = PLANS[name]
        sweep = Planned(bowl)
        for _ in sweep.rounds(plan):
            pass
        cost = plan.cost()
        assert len({run.fingerprint for run in plan.planned()}) == cost["runs"]
        tokens = sum(run.steps * run.tokens_per_step for run in sweep.runs.values())
        assert len(sweep.runs) <= cost["runs"], name
        assert tokens <= cost["tokens"]
        assert cost["longest_minutes"] < 6
    assert (
        sum(PLANS[f"horizons-{kind}"].cost()["core_hours"] for kind in ("lstm", "transformer")) < 5
    )
    # Ten minutes of one core, at the speed of an idle one.
    assert all(PLANS[name].cost()["core_hours"] * 60 <= 10 for name in small)
    assert main(["sweep", "--out", str(tmp_path), "--preset", small[0], "--dry-run"]) == 0
    assert "the whole plan, with as many points tried as may be" in capsys.readouterr().out


def test_schedules_end_with_the_horizon_they_belong_to():
    for plan in PLANS.values():
        sweep = Planned(bowl)
        next(sweep.rounds(plan))
        for run in plan.stage(sweep):
            assert run.warmup in (0, run.steps // 10)
            assert run.options.get("cooldown", run.steps) == run.steps
            assert run.options.get("t_0", run.steps / 10) == run.steps / 10


def test_a_rate_matched_to_the_risk_needs_a_warm_up():
    with pytest.raises(ValueError, match="`warmup` is 0"):
        Settings(schedule="risk-matched")
    rate = Settings(schedule="risk-matched", warmup=30, steps=300).rate()
    assert rate(0) < rate(15) < rate(30) == rate(299) == 1


@pytest.fixture
def tuned(tmp_path):
    """Horizons of a method whose memory is tuned with the rate, by one seed, and three finals."""
    best = {100: (0.9, 1.0), 200: (0.99, 0.5), 400: (0.99, 0.25)}
    for steps, point in best.items():
        for beta in (0.9, 0.99):
            for lr in (0.25, 0.5, 1.0):
                chosen = (beta, lr) == point
                for seed in (1000, 0, 1, 2) if chosen else (1000,):
                    settings = Settings(
                        optimizer="adamw",
                        options={"betas": [beta, beta]},
                        lr=lr,
                        steps=steps,
                        seed=seed,
                        schedule="cosine",
                        warmup=steps // 10,
                    )
                    end = steps**-0.3 * (1.0 if chosen else 1.2) * (1 + 0.01 * (seed % 3))
                    name = f"{steps}-{beta}-{lr}-{seed}"
                    plant(tmp_path / "runs" / name, settings, lambda t, end=end: end)
    return tmp_path / "runs"


def test_tuned_options_and_lengths_of_warm_ups_are_one_method(tuned, capsys):
    rows = report(measured_runs(tuned, tuned=["betas", "warmup"]), baseline="adamw betas cosine",
                  tuned=["betas"])["groups"]  # fmt: skip
    assert [(row["steps"], row["lr"], row["seeds"]) for row in rows] == [
        (100, 1.0, 3), (200, 0.5, 3), (400, 0.25, 3)]  # fmt: skip
    # Beside 1.0 at .9 there was no higher rate, beside .25 no lower one.
    assert [row["lr_at_edge"] for row in rows] == [True, False, True]
    assert len({run.label for run in measured_runs(tuned)}) == 6  # each a method of its own
    with pytest.raises(ValueError, match="beta_1"):
        measured_runs(tuned, tuned=["beta_1"])
    assert main(["report", str(tuned), "--tuned", "betas,warmup"]) == 0
    assert "adamw betas cosine" in capsys.readouterr().out


def test_a_horizon_whose_finals_are_missing_is_tuning(tuned):
    for lr in (0.25, 0.5):
        settings = Settings(optimizer="adamw", options={"betas": [0.9, 0.9]}, lr=lr, steps=800,
                            seed=1000, schedule="cosine", warmup=80)  # fmt: skip
        plant(tuned / f"800-{lr}", settings, lambda t: 0.1)
    answer = report(measured_runs(tuned, tuned=["betas", "warmup"]), tuned=["betas"],
                    baseline="adamw betas cosine")  # fmt: skip
    assert [row["steps"] for row in answer["groups"]] == [100, 200, 400]
    assert answer["counted"]["tuning"] == 2


def test_a_sweep_goes_on_from_stored_runs(small, tmp_path, monkeypatch, capsys):
    pytest.importorskip("pyarrow")
    runs = [small.replace(steps=10, seed=seed) for seed in (0, 1)]
    for run in runs:
        train(run, tmp_path / "old" / f"run-{run.seed}", threads=1)
    stored = consolidate(tmp_path / "old")
    sweep = Sweep(tmp_path / "new")
    sweep.add([small.replace(steps=10, seed=2)])
    assert main(["sweep", "--out", str(sweep.path), "--from", str(stored), "--workers", "1"]) == 0
    assert "2 finished runs" in capsys.readouterr().out
    assert len(sweep.finished()) == 3
    assert work(sweep).trained == []
    again = {run.settings.seed: run for run in measured_runs(sweep.path)}
    for run in measured_runs(tmp_path / "old"):
        assert again[run.settings.seed].final == run.final
        assert again[run.settings.seed].loss == pytest.approx(run.loss, rel=0)
    assert main(["sweep", "--out", str(sweep.path), "--from", str(tmp_path / "none")]) == 2
