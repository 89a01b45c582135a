"""Laws of the best learning rate: powers inside their intervals, bends told, bounds left out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hidim.cli.main import main
from hidim.fitting.sizes.optima import fit_optimum, sentence

RATES = np.geomspace(2e-4, 3e-2, 8)


def sweep(
    seed: int = 0, *, bend: float = 0.0, noise: float = 1e-3, ratios: tuple[float, ...] = (10, 40)
) -> dict[str, np.ndarray]:
    """Runs of six sizes, some tokens per parameter, eight rates; best ~ N^-.25 D^.12."""
    rng = np.random.default_rng(seed)
    n, ratio, lr = (
        x.ravel() for x in np.meshgrid(np.geomspace(2e7, 2e9, 6), ratios, RATES, indexing="ij")
    )
    x = np.log(n / 2e8)
    best = np.log(3e-3) - 0.25 * x + 0.12 * np.log(ratio * n / 8e9) + bend * x**2
    loss = 3 * np.exp(0.015 * (np.log(lr) - best) ** 2 + noise * rng.standard_normal(len(n)))
    return {"params": n, "tokens": ratio * n, "lr": lr, "loss": loss}


def law_of(rows: dict[str, np.ndarray]):  # type: ignore[no-untyped-def]
    return fit_optimum("lr", rows["lr"], rows["params"], rows["loss"], tokens=rows["tokens"])


def test_intervals_of_powers_hold_the_truth() -> None:
    held = [
        (law.low[0] <= -0.25 <= law.high[0], law.low[1] <= 0.12 <= law.high[1])
        for law in (law_of(sweep(seed)) for seed in range(60))
    ]
    # 60 sweeps at 90 %: three binomial standard errors are .12
    assert np.all(np.abs(np.mean(held, axis=0) - 0.9) <= 0.12)


def test_a_bend_is_told_and_none_is_not() -> None:
    straight, bent = law_of(sweep()), law_of(sweep(bend=0.05))
    assert straight.bend_low["params"] < 0 < straight.bend_high["params"]
    assert bent.bend_low["params"] > 0.02
    assert any("bends upward" in line for line in sentence(bent))


def test_two_sizes_tell_the_power_of_tokens_and_one_line_neither() -> None:
    rows = sweep(ratios=(5.0, 20.0, 80.0, 320.0))
    sizes = np.unique(rows["params"])
    two = {key: value[np.isin(rows["params"], sizes[[0, 5]])] for key, value in rows.items()}
    law = law_of(two)
    assert law.inputs == ("params", "tokens")
    assert law.low[1] < 0.12 < law.high[1]
    assert any("two values of params alone" in line for line in sentence(law))
    few = {key: value[np.isin(two["tokens"] / two["params"], [20.0])] for key, value in two.items()}
    with pytest.raises(ValueError, match=r"2 cell\(s\) .* or more sizes"):
        law_of(few)


def test_tokens_tied_to_parameters_are_no_second_quantity() -> None:
    law = law_of(sweep(ratios=(20.0,)))
    assert law.inputs == ("params",)
    assert law.powers[0] == pytest.approx(-0.13, abs=0.03)
    middle, low, high = law.best(params=2e8)
    assert low < middle < high
    with pytest.raises(ValueError, match="`params`"):
        law.best(tokens=1e9)


def test_a_best_value_at_the_end_is_left_out_and_said() -> None:
    rows = sweep()
    keep = (rows["params"] < 1e9) | (rows["lr"] > 3e-3)
    law = law_of({key: column[keep] for key, column in rows.items()})
    assert len(law.cells) == 10
    assert all("a bound" in why for why in law.refused)
    few = rows["lr"] > 6e-3
    with pytest.raises(ValueError, match="both sides"):
        law_of({key: column[few] for key, column in rows.items()})


def test_the_lowest_loss_over_other_settings_counts() -> None:
    rows = sweep(noise=0.0)
    worse = {key: np.tile(column, 2) for key, column in rows.items()}
    worse["loss"][len(rows["loss"]) :] *= 1.1
    assert law_of(worse).powers == pytest.approx(law_of(rows).powers)


def test_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = sweep()
    table = tmp_path / "sweep.csv"
    names = ",".join(rows)
    np.savetxt(table, np.column_stack([*rows.values()]), delimiter=",", header=names, comments="")
    assert main(["fit", "--law", "best:lr", str(table), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["low"][0] < -0.25 < answer["high"][0]
    assert main(["fit", "--law", "best:batch", str(table)]) == 2
    assert "no column 'batch'" in capsys.readouterr().err


def test_the_command_line_asks_a_law_for_its_best_value(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, law, asked = (str(tmp_path / name) for name in ("sweep.csv", "best.json", "asked.csv"))
    rows = sweep()
    np.savetxt(
        table,
        np.column_stack(list(rows.values())),
        delimiter=",",
        comments="",
        header=",".join(rows),
    )
    assert main(["fit", "--law", "best:lr", table, "--out", law]) == 0
    capsys.readouterr()
    Path(asked).write_text("n_params,tokens\n2e8,8e9\n2e10,8e11\n")
    assert main(["forecast", law, asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    x = np.log(100)
    assert np.allclose(said["best lr"], 3e-3 * np.exp([0.0, -0.25 * x + 0.12 * x]), rtol=0.03)
    assert np.all(np.array(said["low"]) < said["best lr"])
    assert said["beyond"] == pytest.approx([1, 10])
    assert main(["forecast", law, "--params", "20B", "--tokens", "800B", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["best lr"] == pytest.approx(said["best lr"][1:])
    for command, told in (
        (["forecast", law], "--params 8B --tokens 8B"),
        (["forecast", law, "--params", "8B"], "give --tokens 8B too."),
        (["forecast", law, asked, "--params", "8B"], "no use for --params"),
        (["forecast", law, asked, "--schedule", "constant peak=1"], "--schedule"),
        (["forecast", law, asked, "--step-scale", "2"], "no use for --step-scale"),
        *(
            (["forecast", law, "--params", "8B", "--tokens", "8B", *more], f"no use for {more[0]}")
            for more in (["--columns", "loss=y"], ["--drop-nan"], ["--resumed", "keep-last"])
        ),
        (["plan", law, "--flops", "1e20"], "hidim forecast"),
    ):
        assert main(command) == 2
        assert told in capsys.readouterr().err


def test_losses_that_do_not_depend_on_a_value_have_no_best_one() -> None:
    rows = sweep(noise=1e-3)
    flat = 3 * np.exp(1e-3 * np.random.default_rng(1).standard_normal(len(rows["loss"])))
    with pytest.raises(ValueError, match="the losses bend in lr by no more than noise"):
        law_of(rows | {"loss": flat})


def test_a_diverged_run_is_none_of_the_parabola() -> None:
    rows = sweep()
    loss = rows["loss"].copy()
    top = (rows["lr"] == RATES[-1]) & (rows["params"] < 3e7)
    loss[top] = 11.0
    law = law_of(rows | {"loss": loss})
    assert law.low[0] <= -0.25 <= law.high[0]
    assert law.scatter < 0.05
    assert len(law.cells) == 12
    cliff = rows["loss"].copy()
    cliff[(rows["lr"] > 2e-3) & (rows["params"] > 1.9e9)] = 11.0
    law = law_of(rows | {"loss": cliff})
    assert any("largest tried that did not diverge" in why for why in law.refused)
