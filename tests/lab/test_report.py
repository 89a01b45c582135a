"""Claims about reports: planted laws come back, with honest intervals."""

from __future__ import annotations

import json

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.lab import Settings, Shape
from hidim.lab.measured import measured_runs, query
from hidim.lab.report import best_groups, flops_to, frontiers, report
from hidim.lab.store import RunFolder, to_json


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
    assert {path.name for path in figures.iterdir()} == {"tokens.png", "flops.png"}
    assert csv.read_text().count("\n") == 7
    assert main(["report", str(ladder), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["groups"]) == 6
    names, rows = query(ladder, "select count(distinct run) as runs from metrics where seed = 1")
    assert (names, rows) == (["runs"], [(6,)])
    assert main(["report", str(ladder), "--sql", "select nothing"]) == 2
    assert main(["report", str(ladder), "--baseline", "sdg"]) == 2
    assert "Did you mean 'sgd'" in capsys.readouterr().err


def test_a_folder_without_runs_is_refused(tmp_path, capsys):
    assert main(["report", str(tmp_path)]) == 2
    assert "holds no finished run" in capsys.readouterr().err
