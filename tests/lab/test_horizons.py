"""Claims about reports over horizons, windows and vocabularies: all runs are accounted for."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from test_report import plant

from hidim.cli.main import main
from hidim.cli.report_text import report_text
from hidim.lab import Settings
from hidim.lab.reports.frontiers import frontiers
from hidim.lab.reports.groups import best_groups, horizon_groups, taken
from hidim.lab.reports.measured import consolidate, measured_runs
from hidim.lab.reports.report import report
from hidim.lab.reports.windows import STARTS, pooled, window_table
from hidim.lab.training.store import RunFolder, to_json

HORIZONS = (20, 40, 80, 160, 320)


def sweep(folder, exponent=1.2, seeds=3, **changes):
    """SGD ends at T^-.3; the other where SGD ends after T^exponent steps; seeds differ by 1 %."""
    for steps in HORIZONS:
        for seed in range(seeds):
            noise = 1 + 0.01 * (seed - 1)
            for optimizer, power in (("sgd", 0.3), ("adamw", 0.3 * exponent)):
                settings = Settings(optimizer=optimizer, lr=1.0, steps=steps, seed=seed, **changes)
                per_step = settings.tokens_per_step
                plant(
                    folder / f"{optimizer}-{steps}-{seed}",
                    settings,
                    lambda t, power=power, noise=noise, per=per_step: noise * (t / per) ** -power,
                )


def test_every_horizon_is_a_group_and_no_run_is_dropped(tmp_path):
    sweep(tmp_path)
    answer = report(measured_runs(tmp_path))
    assert [(row["steps"], row["optimizer"]) for row in answer["groups"]] == [
        (steps, optimizer) for steps in HORIZONS for optimizer in ("adamw", "sgd")
    ]
    assert answer["counted"] == {"runs": 30, "shown": 30, "at_other_rates": 0, "tuning": 0}
    assert "horizons: sgd ends where" in report_text(answer)
    assert "30 runs, 30 of them above" in report_text(answer)


@pytest.mark.parametrize("exponent", [1.0, 1.2])
def test_a_planted_exponent_of_the_horizon_comes_back(exponent, tmp_path):
    sweep(tmp_path, exponent)
    rows = report(measured_runs(tmp_path))["horizons"]
    (row,) = (row for row in rows if not row["null"])
    # Between horizons the planted law is followed exactly.
    assert row["exponent"].mean == pytest.approx(exponent, abs=1e-6)
    assert row["seeds"] == 3
    assert row["horizons"] == (5 if exponent == 1.0 else 3)  # 160^1.2 is beyond what SGD ran
    assert row["windows"][0]["from_steps"] == 20
    assert len(row["windows"]) == row["horizons"] - 2
    assert list(row["by_seed"].values()) == pytest.approx([exponent] * 3)
    assert row["gain"].mean == pytest.approx(row["to_steps"] ** (exponent - 1))
    # The baseline's other seeds are a constant factor away.
    (null,) = (row for row in rows if row["null"])
    assert (null["optimizer"], null["seeds"]) == ("sgd", 3)
    assert null["exponent"].mean == pytest.approx(1.0, abs=1e-6)


def test_a_gain_is_read_between_finished_runs(tmp_path):
    """A cosine is low at its end alone: in mid-schedule no saving would be seen."""
    for steps in HORIZONS:
        for optimizer, gain in (("sgd", 1.0), ("adamw", 2.0)):
            settings = Settings(optimizer=optimizer, lr=1.0, steps=steps, schedule="cosine")
            last = steps * settings.tokens_per_step
            end = (gain * steps) ** -0.3

            def loss(tokens, last=last, end=end):
                return end if tokens == last else 3.0

            plant(tmp_path / f"{optimizer}-{steps}", settings, loss)
    rows = report(measured_runs(tmp_path), baseline="sgd cosine")["groups"]
    saved = {r["steps"]: r["compute_saved"] for r in rows if r["optimizer"] == "adamw cosine"}
    for steps in HORIZONS[1:]:
        assert saved[steps].mean == pytest.approx(0.5)
    assert saved[20] is None  # no shorter run says where
    midway = {r["steps"]: r["compute_saved_midway"] for r in rows if r["optimizer"] != "sgd cosine"}
    assert midway[40] is None
    assert midway[20] is not None


def test_shorter_runs_with_seeds_of_their_own_are_tuning_and_said(tmp_path):
    for lr in (0.5, 1.0, 2.0):
        short = Settings(optimizer="sgd", lr=lr, steps=50, seed=1000)
        plant(tmp_path / f"tune-{lr}", short, lambda t: 2.0)
    for seed in range(2):
        plant(tmp_path / f"{seed}", Settings(optimizer="sgd", lr=1.0, seed=seed), lambda t: 1.2)
    plant(tmp_path / "lone", Settings(optimizer="sgd", lr=2.0), lambda t: 1.1)
    answer = report(measured_runs(tmp_path))
    assert len(answer["groups"]) == 1
    assert answer["counted"] == {"runs": 6, "shown": 2, "at_other_rates": 1, "tuning": 3}


def test_fresh_seeds_at_every_horizon_are_horizons(tmp_path):
    for steps in (50, 100):
        for lr in (1.0, 2.0):
            for seed in (steps, steps + 1):
                settings = Settings(optimizer="sgd", lr=lr, steps=steps, seed=seed)
                plant(tmp_path / f"{steps}-{lr}-{seed}", settings, lambda t: 2.0)
    assert [group.steps for group in horizon_groups(measured_runs(tmp_path))] == [50, 100]


def test_a_run_above_guessing_is_flagged(tmp_path, capsys):
    plant(tmp_path / "a", Settings(optimizer="sgd", lr=40.0), lambda t: 14.87)
    (row,) = report(measured_runs(tmp_path))["groups"]
    assert (row["diverged"], row["above_guessing"]) == (0, 1)
    assert main(["report", str(tmp_path)]) == 0
    assert "1 above guessing" in capsys.readouterr().out


@pytest.fixture
def two_powers(tmp_path):
    """Envelopes that are parallel early and of other powers late: the sign is the window's."""
    for optimizer, sign in (("sgd", -1), ("adamw", 1)):
        for width in (16, 32, 64):
            for seed in range(3):
                settings = Settings(optimizer=optimizer, width=width, lr=1.0, steps=2000, seed=seed)

                def loss(t, sign=sign, seed=seed):
                    u = math.log(t / 1e5)
                    return math.exp(-0.1 * u + sign * (0.04 * u - 0.006 * u**2) + 1e-3 * seed)

                plant(tmp_path / f"{optimizer}-{width}-{seed}", settings, loss)
    return measured_runs(tmp_path)


def test_what_was_taken_of_several_horizons_and_rates_is_said(tmp_path, capsys):
    for i, width in enumerate((8, 12, 16, 24, 32, 48, 64)):
        for steps, rates in ((200, (1.0,)), (400 * (1 + i % 3), (0.5, 1.0))):
            for lr in rates:
                settings = Settings(optimizer="sgd", width=width, lr=lr, steps=steps)

                def loss(t, lr=lr, width=width):
                    return lr + 1.0 + 2e3 / t + 5.0 / width

                plant(tmp_path / f"{width}-{steps}-{lr}", settings, loss)
    runs = measured_runs(tmp_path)
    horizons, rates = taken(runs, best_groups(runs))
    longest = "runs of 400, 800, 1,200 steps, the longest of each size (there are 200, 400, 800, "
    assert horizons == longest + "1,200)"
    assert rates == "7 of 21 runs: at each size those at its best learning rate"
    same = [run for run in runs if run.settings.steps == 200]
    assert not taken(same, best_groups(same))
    command = ["fit", "--law", "chinchilla", str(tmp_path), "--force", "--bootstrap", "2", "--json"]
    assert main(command) == 0
    assert horizons in json.loads(capsys.readouterr().out)["notes"]
    main(["frontier", "--runs", str(tmp_path)])
    assert horizons in capsys.readouterr().err


def test_every_window_of_an_envelope_is_shown_and_a_sign_that_depends_is_said(two_powers, tmp_path):
    groups = best_groups(two_powers)
    table = window_table(groups, frontiers(groups), "sgd")
    (row,) = table["rows"]
    assert len(row["steeper"]) == len(STARTS)
    means = [one.mean for one in row["steeper"]]
    assert means[0] < 0 < means[3]
    assert row["sign_holds"] is False
    matplotlib = pytest.importorskip("matplotlib.figure")
    from hidim.lab.reports.figures import plot_windows

    ax = plot_windows(table, matplotlib.Figure().add_subplot(), baseline="sgd")
    np.testing.assert_allclose(ax.containers[0].lines[0].get_ydata(), means)


def test_sizes_that_share_their_seeds_count_once_a_seed(tmp_path):
    """Of 3 seeds and 4 sizes whose differences come from the seed alone, three are independent."""
    gains = {0: 0.10, 1: 0.12, 2: 0.14}
    for width in (8, 16, 32, 64):
        for seed, gain in gains.items():
            for optimizer, loss in (("sgd", 2.0), ("adamw", 2.0 - gain)):
                settings = Settings(optimizer=optimizer, width=width, lr=1.0, seed=seed)
                plant(tmp_path / f"{optimizer}-{width}-{seed}", settings, lambda t, at=loss: at)
    (row,) = pooled(best_groups(measured_runs(tmp_path)), "sgd")
    assert (row["sizes"], row["seeds"]) == (4, 3)
    assert row["over_baseline"].mean == pytest.approx(-0.12)
    assert row["over_baseline"].half_width == pytest.approx(4.303 * 0.02 / 3**0.5, rel=1e-3)
    assert row["by_size"].half_width == pytest.approx(0.0, abs=1e-12)


def with_text(folder, **text):
    """Give a planted run what it knows of its text."""
    run = RunFolder(folder)
    run.write_config({**run.read_config(), "text": text})


def test_vocabularies_compare_by_bytes(tmp_path, capsys):
    """The same model in other tokens, four bytes each, saves nothing; its nats are four times as
    many."""
    pytest.importorskip("pyarrow")
    law = lambda t: 1.0 + (t / 2048) ** -0.5  # noqa: E731
    overlap = {"windows": 100, "windows_found": 5, "near_windows": 90, "near_windows_found": 9,
               "lines": 40, "lines_found": 4, "near_lines": 30, "near_lines_found": 6,
               "documents": 7, "near_documents": 1}  # fmt: skip
    known = {"fingerprint": "f", "validation_bytes": 4000, "overlap": overlap, "vocabulary": 500}
    for seed in range(2):
        plant(tmp_path / "r" / f"byte-{seed}", Settings(optimizer="sgd", lr=1.0, seed=seed), law)
        pairs = Settings(optimizer="sgd", lr=1.0, seed=seed, tokens="bpe:500")
        plant(tmp_path / "r" / f"bpe-{seed}", pairs, lambda t: 4 * law(t))
        with_text(tmp_path / "r" / f"bpe-{seed}", validation_tokens=1000, **known)
    runs = measured_runs(tmp_path / "r")
    byte, pair = (f"sgd tokens={kind}" for kind in ("byte", "bpe:500"))
    for source in (runs, measured_runs(consolidate(tmp_path / "r"))):
        rows = {r["optimizer"]: r for r in report(source, baseline=byte)["groups"]}
        assert rows[pair]["loss"].mean == pytest.approx(4 * rows[byte]["loss"].mean)
        per_byte = [row["bits_per_byte"].mean for row in rows.values()]
        assert per_byte[0] == pytest.approx(per_byte[1])
        assert rows[pair]["compute_saved"].mean == pytest.approx(0.0, abs=1e-9)
    assert main(["report", str(tmp_path / "r"), "--baseline", byte]) == 0
    shown = capsys.readouterr().out
    assert "bits/byte" in shown
    assert "5.0%" in shown
    assert "1 of 7" in shown


def test_losses_of_unknown_bytes_are_not_compared(tmp_path):
    plant(tmp_path / "a", Settings(optimizer="sgd", lr=1.0), lambda t: 2.0 + 1 / t)
    chars = Settings(optimizer="sgd", lr=1.0, tokens="char")
    plant(tmp_path / "b", chars, lambda t: 2.0)
    rows = report(measured_runs(tmp_path), baseline="sgd tokens=byte")["groups"]
    (row,) = (row for row in rows if row["optimizer"] == "sgd tokens=char")
    assert row["compute_saved"] is row["bits_per_byte"] is None


def test_a_run_killed_before_its_text_was_read_is_no_trouble(tmp_path):
    plant(tmp_path / "a", Settings(optimizer="sgd"), lambda t: 2.0)
    claimed = RunFolder(tmp_path / "b")
    claimed.path.mkdir()
    claimed.config.write_text(to_json({"settings": Settings().to_dict(), "threads": 1}))
    assert len(measured_runs(tmp_path)) == 1
