"""Claims about reports: planted laws come back, with honest intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.lab import Settings, Shape
from hidim.lab.reports.comparisons import flops_to
from hidim.lab.reports.figures import plot_option, swept_option
from hidim.lab.reports.frontiers import frontiers, shared_floor
from hidim.lab.reports.groups import best_groups
from hidim.lab.reports.measured import consolidate, measured_runs, query
from hidim.lab.reports.report import report
from hidim.lab.reports.tails import tail
from hidim.lab.training.store import RunFolder, to_json


def plant(folder, settings, loss_of_tokens, *, status="ok"):
    """A finished run whose validation loss is a formula of the tokens."""
    shape = Shape(settings.model, 256, settings.width)
    run = RunFolder(folder)
    run.path.mkdir(parents=True)
    size = {"parameters": shape.parameters, "flops_per_token": shape.flops_per_token}
    run.write_config({"settings": settings.to_dict(), "text": {}, "threads": 1, **size})
    lines = []
    for step in np.unique(np.geomspace(1, settings.steps, 40).astype(int)).tolist():
        tokens = step * settings.tokens_per_step
        row = {"step": step, "tokens": tokens, "train_loss": 1.0, "lr": settings.lr,
               "tokens_per_second": 1e4,
               "validation_loss": float(loss_of_tokens(tokens))}  # fmt: skip
        lines.append(to_json(row))
    run.metrics.write_text("\n".join(lines) + "\n")
    run.write_result({"status": status, "tokens_per_second": 1e4, **size, "step": settings.steps})


@pytest.fixture
def ladder(tmp_path):
    """Two optimizers at three sizes with three seeds; the second needs half the tokens."""
    for optimizer, speed in (("sgd", 1.0), ("dana-decaying", 2.0)):
        for width in (16, 32, 64):
            for seed in range(3):
                noise = 1 + 0.002 * (seed - 1)

                def loss(tokens, speed=speed, width=width, noise=noise):
                    return noise * (1.0 + 20 * (speed * tokens) ** -0.3 + 4.0 / width)

                settings = Settings(optimizer=optimizer, width=width, lr=1.0, seed=seed)
                plant(tmp_path / f"{optimizer}-{width}-{seed}", settings, loss)
    return tmp_path


def test_planted_exponents_and_savings_come_back(ladder):
    answer = report(measured_runs(ladder))
    assert len(answer["groups"]) == 6
    for row in answer["groups"]:
        assert row["exponent_tokens"].mean == pytest.approx(0.3, abs=1e-4)
        assert row["seeds"] == 3
        saved = row["compute_saved"]
        if row["optimizer"] == "sgd":
            assert saved is None
        else:
            # Interpolated log-log between evaluations a fifth of a step apart.
            assert saved.mean == pytest.approx(0.5, abs=0.01)
    # Noise of 0.2 % between seeds: 1.96 to 4.3 standard errors of it.
    half = answer["groups"][0]["loss"].half_width / answer["groups"][0]["loss"].mean
    assert half == pytest.approx(4.303 * 0.002 / 3**0.5, rel=1e-3)


def test_the_envelope_is_the_best_size_at_every_budget(ladder):
    runs = measured_runs(ladder)
    (one, two) = frontiers(best_groups(runs))
    assert {one.label, two.label} == {"sgd", "dana-decaying"}
    for found in (one, two):
        own = [r for r in runs if r.label == found.label and r.settings.seed == 0]
        for flops, loss in zip(found.flops[::9], found.losses[0][::9], strict=True):
            best = min(np.interp(flops, run.flops, run.loss) for run in own if run.flops[0] < flops)
            assert loss == pytest.approx(best, rel=5e-3)
    answer = report(runs)
    sgd = next(row for row in answer["frontiers"] if row["optimizer"] == "sgd")
    assert sgd["steeper_than_baseline"] is None
    assert sgd["slope"].half_width > 0


def test_the_tuned_rate_with_the_most_seeds_counts(tmp_path):
    for lr, level in ((0.5, 2.0), (1.0, 1.5), (2.0, 1.8)):
        short = Settings(optimizer="sgd", lr=lr, steps=50, seed=9)
        plant(tmp_path / f"tune-{lr}", short, lambda t, level=level: level)
    for seed in range(2):
        full = Settings(optimizer="sgd", lr=1.0, steps=100, seed=seed)
        plant(tmp_path / f"final-{seed}", full, lambda t: 1.2)
    plant(tmp_path / "lucky", Settings(optimizer="sgd", lr=2.0, steps=100), lambda t: 0.1)
    (group,) = best_groups(measured_runs(tmp_path))
    assert (group.lr, len(group.runs), group.edge) == (1.0, 2, False)


def test_the_best_option_is_named_at_every_size(tmp_path):
    for width, best in ((16, 0.5), (32, 0.7)):
        for kappa in (0.5, 0.7, 0.9):
            settings = Settings(width=width, options={"kappa_3": kappa})
            level = 2.0 + abs(kappa - best)
            plant(tmp_path / f"{width}-{kappa}", settings, lambda t, level=level: level)
    runs = measured_runs(tmp_path)
    rows = report(runs, baseline="dana-decaying kappa_3=0.5")["best_options"]
    named = [(row["parameters"], row["best"]) for row in rows]
    assert named == [
        (Shape("lstm", 256, 16).parameters, "dana-decaying kappa_3=0.5"),
        (Shape("lstm", 256, 32).parameters, "dana-decaying kappa_3=0.7"),
    ]
    assert rows[0]["lead"] == pytest.approx(0.2)


def test_a_swept_option_is_drawn_over_the_baseline(tmp_path):
    matplotlib = pytest.importorskip("matplotlib.figure")
    for width in (16, 32):
        plant(tmp_path / f"sgd-{width}", Settings(optimizer="sgd", width=width), lambda t: 2.0)
        for kappa in (0.5, 0.7, 0.9):
            settings = Settings(width=width, options={"kappa_3": kappa})
            level = 2.0 + abs(kappa - 0.7) - 0.1
            plant(tmp_path / f"{width}-{kappa}", settings, lambda t, level=level: level)
    groups = best_groups(measured_runs(tmp_path))
    assert swept_option(groups) == ("dana-decaying", "kappa_3")
    ax = plot_option(groups, matplotlib.Figure().add_subplot(), baseline="sgd")
    lines = [c.lines[0] for c in ax.containers]
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0].get_ydata(), [0.1, -0.1, 0.1])
    assert swept_option([group for group in groups if group.label == "sgd"]) is None


def test_a_diverged_run_is_counted_and_never_the_best(tmp_path):
    plant(tmp_path / "a", Settings(optimizer="sgd", lr=9.0), lambda t: 0.1, status="diverged")
    plant(tmp_path / "b", Settings(optimizer="sgd", lr=1.0), lambda t: 2.0)
    (group,) = best_groups(measured_runs(tmp_path))
    assert group.lr == 1.0
    assert group.edge


def test_a_loss_never_reached_is_no_saving(ladder):
    run = measured_runs(ladder)[0]
    assert flops_to(run, 0.5) is None
    assert flops_to(run, float(run.loss[-1])) == pytest.approx(run.flops[-1])


def test_the_command_prints_draws_and_answers_questions(ladder, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    pytest.importorskip("duckdb")
    figures, csv = tmp_path / "figures", tmp_path / "table.csv"
    assert main(["report", str(ladder), "--figures", str(figures), "--csv", str(csv)]) == 0
    out = capsys.readouterr().out
    assert "compute saved against sgd" in out
    assert "steeper than sgd" in out
    assert {path.name for path in figures.iterdir()} == {"tokens.png", "flops.png", "windows.png"}
    assert csv.read_text().count("\n") == 7
    assert main(["report", str(ladder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["groups"]) == 6
    names, rows = query(ladder, "select count(distinct run) as runs from metrics where seed = 1")
    assert (names, rows) == (["runs"], [(6,)])
    assert main(["report", str(ladder), "--sql", "select nothing"]) == 2
    assert main(["report", str(ladder), "--baseline", "sdg"]) == 2
    assert "Did you mean 'sgd'" in capsys.readouterr().err


def test_one_floor_for_all_gives_planted_powers_back(tmp_path):
    """Two optimizers that differ by their power in compute and share the entropy of the text."""
    for optimizer, power in (("sgd", 0.2), ("dana-decaying", 0.3)):
        for width in (16, 64):
            flops = Shape("lstm", 256, width).flops_per_token
            settings = Settings(optimizer=optimizer, width=width)
            law = lambda t, power=power, flops=flops: 1.1 + 300.0 * (t * flops) ** -power  # noqa: E731
            plant(tmp_path / f"{optimizer}-{width}", settings, law)
    found = shared_floor(frontiers(best_groups(measured_runs(tmp_path))))
    # Log-log interpolation of 40 points per curve bends the envelope by some 1e-4.
    assert found.floors[0] == pytest.approx(1.1, abs=0.01)
    assert found.powers["sgd"][0] == pytest.approx(0.2, abs=0.005)
    assert found.powers["dana-decaying"][0] == pytest.approx(0.3, abs=0.005)


def test_slopes_differ_by_what_was_planted(tmp_path):
    for optimizer, power in (("sgd", 0.2), ("dana-decaying", 0.3)):
        for seed in range(3):
            settings = Settings(optimizer=optimizer, seed=seed)
            plant(tmp_path / f"{optimizer}-{seed}", settings, lambda t, b=power: t**-b)
    rows = {row["optimizer"]: row for row in report(measured_runs(tmp_path))["groups"]}
    assert rows["sgd"]["slope_tokens"].mean == pytest.approx(0.2)
    assert rows["sgd"]["steeper_than_baseline"] is None
    assert rows["dana-decaying"]["steeper_than_baseline"].mean == pytest.approx(0.1)


def test_momentum_stands_beside_sgd_at_the_matched_rate(tmp_path):
    for seed in range(2):
        plain = Settings(optimizer="sgd", lr=5.0, seed=seed)
        plant(tmp_path / f"sgd-{seed}", plain, lambda t: 2.0 + 1 / t)
        for lr, options in ((0.5, {"momentum": 0.9}), (1.0, {"momentum": 0.8}), (0.7, {})):
            momentum = Settings(optimizer="sgd-momentum", lr=lr, options=options, seed=seed)
            plant(tmp_path / f"m{lr}-{seed}", momentum, lambda t: (2.0 + 1 / t) * 1.01)
    rows = report(measured_runs(tmp_path))["matched_momentum"]
    assert [(row["lr"], row["seeds"]) for row in rows] == [(0.5, 2), (1.0, 2)]
    for row in rows:
        assert row["largest_gap"].mean == pytest.approx(0.01)
        assert row["loss_over_sgd"].mean == pytest.approx(0.02, rel=1e-3)


def test_the_baseline_rate_is_compared_at_the_length_most_optimizers_ran(tmp_path):
    """Tuned on 50 steps, trained on 100: at SGD's rate, others ran the short length alone."""
    for lr, level in ((1.0, 2.0), (2.0, 1.5)):
        for name, better in (("sgd", 0.0), ("dana-decaying", 0.1), ("dana-constant", -0.2)):
            settings = Settings(optimizer=name, lr=lr, steps=50, seed=9)
            plant(tmp_path / f"{name}-{lr}", settings, lambda t, x=level - better: x)
    plant(tmp_path / "sgd", Settings(optimizer="sgd", lr=2.0, steps=100), lambda t: 1.4)
    plant(tmp_path / "dana", Settings(lr=1.0, steps=100), lambda t: 1.4)
    rows = report(measured_runs(tmp_path))["at_baseline_rate"]
    assert {(row["lr"], row["steps"]) for row in rows} == {(2.0, 50)}
    over = {row["optimizer"]: round(row["over_baseline"].mean, 6) for row in rows}
    assert over == {"sgd": 0.0, "dana-decaying": -0.1, "dana-constant": 0.2}


def test_runs_on_other_text_or_batches_are_never_mixed(tmp_path):
    for batch_size, level in ((16, 2.0), (32, 1.0)):
        settings = Settings(optimizer="sgd", batch_size=batch_size)
        plant(tmp_path / str(batch_size), settings, lambda t, level=level: level)
    groups = best_groups(measured_runs(tmp_path))
    assert {group.label for group in groups} == {"sgd batch_size=16", "sgd batch_size=32"}


def test_the_table_of_a_sweep_reports_like_its_folder(ladder, tmp_path, capsys):
    pytest.importorskip("pyarrow")
    unfinished = Settings(optimizer="sgd", lr=3.0)
    plant(ladder / "unfinished", unfinished, lambda t: 0.1)
    (ladder / "unfinished" / "result.json").unlink()
    stored = consolidate(ladder)
    assert main(["report", str(ladder)]) == 0
    of_folder = capsys.readouterr().out
    assert main(["report", str(stored)]) == 0
    assert capsys.readouterr().out == of_folder
    assert query(stored, "select count(distinct run) from metrics")[1] == [(19,)]
    other = tmp_path / "other.parquet"
    other.write_text("no table")
    assert main(["report", str(other)]) == 2
    assert "is no table of runs" in capsys.readouterr().err


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no finished run" in capsys.readouterr().err


def test_a_run_lost_at_once_has_no_numbers_and_stops_no_report(tmp_path):
    """Not a row of it has a loss: it is counted as diverged, and nothing is measured on it."""
    pytest.importorskip("matplotlib")
    for seed in range(2):
        nothing = plant_of(tmp_path, "adam", seed, lambda t: np.nan, status="diverged")
        assert nothing.finished
        plant_of(tmp_path, "sgd", seed, lambda t: 2.0 + 1 / t)
    runs = measured_runs(tmp_path)
    for answer in (report(runs), report(runs, baseline="adam")):
        lost, fine = answer["groups"]
        assert (lost["optimizer"], lost["diverged"]) == ("adam", 2)
        assert not np.isfinite(lost["slope_tokens"].mean)
        assert lost["compute_saved"] is None
        assert fine["compute_saved"] is None
    assert main(["report", str(tmp_path), "--figures", str(tmp_path / "figures")]) == 0


def plant_of(folder, optimizer, seed, loss, **how):
    settings = Settings(optimizer=optimizer, seed=seed, lr=1.0)
    plant(folder / f"{optimizer}-{seed}", settings, loss, **how)
    return RunFolder(folder / f"{optimizer}-{seed}")


def test_a_run_that_diverged_late_lends_no_slope(tmp_path):
    plant_of(tmp_path, "sgd", 0, lambda t: 2.0 + 1 / t)
    plant_of(tmp_path, "sgd", 1, lambda t: 2.0 + t, status="diverged")
    (row,) = report(measured_runs(tmp_path))["groups"]
    assert row["diverged"] == 1
    for name in ("slope_tokens", "exponent_tokens"):
        assert not np.isfinite(row[name].mean)


def test_a_last_loss_that_is_no_number_is_not_the_one_before(tmp_path):
    last = Settings().steps * Settings().tokens_per_step
    plant_of(tmp_path, "sgd", 0, lambda t: np.nan if t == last else 2.0)
    (run,) = measured_runs(tmp_path)
    assert run.status == "diverged"


def test_a_copy_of_a_run_is_no_further_seed(tmp_path):
    for folder in ("a", "b"):
        plant_of(tmp_path / folder, "sgd", 0, lambda t: 2.0 + 1 / t)
    (row,) = report(measured_runs(tmp_path))["groups"]
    assert row["seeds"] == 1


def test_heads_of_a_transformer_are_no_further_seeds(tmp_path):
    for heads, level in ((1, 2.0), (2, 1.0)):
        settings = Settings(optimizer="sgd", model="transformer", heads=heads)
        plant(tmp_path / str(heads), settings, lambda t, level=level: level)
    groups = best_groups(measured_runs(tmp_path))
    assert {group.label for group in groups} == {"sgd heads=1", "sgd heads=2"}


def test_runs_in_folders_of_one_name_stay_apart_in_the_table(tmp_path):
    pytest.importorskip("pyarrow")
    for seed in range(2):
        plant(tmp_path / str(seed) / "run", Settings(optimizer="sgd", seed=seed), lambda t: 2.0)
    runs = measured_runs(consolidate(tmp_path))
    assert [run.name for run in runs] == ["0/run", "1/run"]
    assert [len(run.loss) for run in runs] == [len(run.loss) for run in measured_runs(tmp_path)]


def test_short_runs_have_an_envelope_from_where_all_have_begun(tmp_path):
    for optimizer in ("sgd", "dana-decaying"):
        for width in (8, 12):
            settings = Settings(optimizer=optimizer, width=width, steps=20)
            plant(tmp_path / f"{optimizer}-{width}", settings, lambda t: 2.0 + 20 / t**0.5)
    for one in frontiers(best_groups(measured_runs(tmp_path))):
        assert np.all(np.isfinite(one.losses))
        assert np.all(np.isfinite(one.slopes))


def test_nesterov_is_not_taken_for_the_momentum_of_theory(tmp_path):
    plant(tmp_path / "sgd", Settings(optimizer="sgd", lr=5.0), lambda t: 2.0 + 1 / t)
    for name, options in (
        ("plain", {}),
        ("nesterov", {"nesterov": True}),
        ("one", {"momentum": 1}),
    ):
        settings = Settings(optimizer="sgd-momentum", lr=0.5, options={"momentum": 0.9, **options})
        plant(tmp_path / name, settings, lambda t: 2.0 + 1 / t)
    (row,) = report(measured_runs(tmp_path))["matched_momentum"]
    assert row["seeds"] == 1


def test_unfinished_runs_are_said_to_be_left_out(tmp_path, capsys):
    plant_of(tmp_path, "sgd", 0, lambda t: 2.0)
    plant_of(tmp_path, "sgd", 1, lambda t: 2.0).result.unlink()
    assert main(["report", str(tmp_path)]) == 0
    assert "1 run(s) not finished are left out" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "typo")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_what_is_measured_on_runs_is_saved_and_equals_itself(ladder, tmp_path):
    runs = measured_runs(ladder)
    groups = best_groups(runs)
    found = frontiers(groups)
    tails = tail(np.arange(1, 200) ** -1.5, site="head")
    for result in (runs[0], groups[0], groups[0].final, found[0], shared_floor(found), tails):
        result.save(tmp_path / "result.json")
        assert type(result).load(tmp_path / "result.json") == result
    assert runs[0] != runs[1]
    assert found[0] != found[1]
