"""`hidim fit`, `forecast` and `plan`: from log files to a plan, without pandas."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hidim.cli.beside import beside, beside_text
from hidim.cli.main import main
from hidim.fitting import FittedLaw, read_run

STEPS = np.arange(500, 12_001, 100)


def write_run(path: Path, lr: np.ndarray, *, loss: bool = True) -> str:
    """A log of a run whose loss follows its intrinsic time, less what drops of lr give back."""
    time = 100 * np.cumsum(lr) + 0.35  # intrinsic time, with 100 steps of warm-up
    value = 2 + 0.8 * time**-0.5 - 0.1 * (1 - lr / 1e-3)
    columns, names = ([STEPS, lr, value], "step,lr,loss") if loss else ([STEPS, lr], "step,lr")
    np.savetxt(path, np.stack(columns, 1), delimiter=",", comments="", header=names)
    return str(path)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a law kept by `hidim fit` and of its logs."""
    tmp_path = tmp_path_factory.mktemp("fitted")
    share = (STEPS - 500) / 11_500
    files = [
        write_run(tmp_path / "constant.csv", np.full(len(STEPS), 1e-3)),
        write_run(tmp_path / "cosine.csv", 1e-3 * (0.1 + 0.45 * (1 + np.cos(np.pi * share)))),
        write_run(tmp_path / "stage.csv", np.where(STEPS < 6000, 1e-3, 3e-4)),
    ]
    out = tmp_path / "law.json"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(["fit", *files, "--warmup-steps", "100", "--out", str(out)]) == 0
    assert "left_out" in said.getvalue()
    assert "constant" in said.getvalue()
    return tmp_path


@pytest.fixture
def law(fitted: Path, tmp_path: Path) -> Path:
    """The law, in a folder of its own."""
    return shutil.copytree(fitted, tmp_path, dirs_exist_ok=True) / "law.json"


def test_forecast_reports_errors_as_fractions_where_the_loss_is_known(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    decay = np.where(STEPS < 9000, 1e-3, 1e-3 * 0.1 ** ((STEPS - 9000) / 3000))
    plan = write_run(law.parent / "wsd.csv", decay)
    assert main(["forecast", str(law), plan, "--warmup-steps", "100", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["mean_relative_error"] < answer["max_relative_error"] < 0.05
    assert abs(answer["final_error"]) < 0.05
    assert len(answer["predictions"]) == len(answer["bands"]["low"]) == len(STEPS)
    assert answer["extrapolation"]["steps"] == pytest.approx(1)


def test_a_long_log_is_forecast_part_by_part_and_scored_like_a_short_one(
    law: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = str(law.parent / "stage.csv")
    answers = []
    for rows in (1_000_000, 17):
        monkeypatch.setattr("hidim.cli.forecast._AT_ONCE", rows)
        assert main(["forecast", str(law), plan, "--warmup-steps", "100", "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out))
    run = read_run(plan, warmup_steps=100)
    score = FittedLaw.load(law).score(run)
    for answer in answers:
        both = score.keys() & answer.keys()
        assert len(both) >= 4
        assert {k: answer[k] for k in both} == pytest.approx({k: score[k] for k in both}, rel=1e-9)
    assert answers[0]["bands"]["low"] == pytest.approx(answers[1]["bands"]["low"], rel=1e-9)


def test_forecast_of_a_plan_without_loss_has_no_errors(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = write_run(law.parent / "plan.csv", np.full(len(STEPS), 5e-4), loss=False)
    assert main(["forecast", str(law), plan, "--warmup-steps", "100", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "mean_relative_error" not in answer
    assert np.all(np.diff(answer["predictions"]) < 0)
    assert main(["forecast", str(law), plan, "--warmup-steps", "100"]) == 0
    assert "beyond the fitted runs: peak learning rate below theirs 2 x" in capsys.readouterr().out


def test_plan_gives_a_falling_schedule_at_least_as_good_as_the_usual_ones(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = law.parent / "schedule.csv"
    command = ["plan", str(law), "--steps", "12000", "--warmup-steps", "100", "--csv", str(out)]
    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["loss"] <= min(answer["compared"].values())
    lr = np.loadtxt(out, delimiter=",", skiprows=1)[:, 1]
    assert np.all(np.diff(lr) <= 1e-15)


def test_sizes_are_fitted_and_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    params, tokens = np.meshgrid(np.geomspace(1e8, 1e10, 8), np.geomspace(1e9, 1e11, 6))
    loss = 1.8 + 480 * params**-0.35 + 2000 * tokens**-0.37
    rows = np.stack([params.ravel(), 6 * (params * tokens).ravel(), loss.ravel()], 1)
    np.savetxt(tmp_path / "r.csv", rows, delimiter=",", comments="", header="N,C,final")
    out = str(tmp_path / "sizes.json")
    command = ["fit", "--law", "Chinchilla", str(tmp_path / "r.csv"), "--bootstrap", "20"]
    assert main([*command, "--columns", "params=N,flops=C,loss=final", "--out", out]) == 0
    assert "ordered hold-out" in capsys.readouterr().out
    assert main(["plan", out, "--flops", "1e21", "--json"]) == 0
    text = capsys.readouterr().out
    assert main(["plan", out, "--budget", "1e21", "--json"]) == 0
    assert capsys.readouterr().out == text
    data = json.loads(Path(out).read_text())
    damages = ({"vector": [1.0]}, {"vector": [1e6] * 5}, {"units": [1.0]}, {"reach": {}})
    for change in (*damages, {"parameters": {}}):
        Path(out).write_text(json.dumps(data | change))
        assert main(["plan", out, "--flops", "1e21"]) == 2
        assert "damaged" in capsys.readouterr().err
    row = json.loads(text)["rows"][0]
    assert row["params"] * row["tokens"] * 6 == pytest.approx(1e21)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "none.csv"], "no file"),
        (["forecast", "none.json", "none.csv"], "no file"),
        (["plan", "none.json", "--steps", "10"], "no file"),
        (["fit", "--law", "fls", "none.csv"], "fsl"),
    ],
)
def test_mistakes_are_one_line_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.strip().count("\n") == 0


def test_reading_csv_needs_neither_pandas_nor_autodiff(law: Path) -> None:
    code = (
        "import sys; from hidim.cli.main import main; "
        f"main(['forecast', {str(law)!r}, {str(law.parent / 'cosine.csv')!r}, '--json']); "
        "bad = {'pandas', 'pyarrow', 'jax', 'torch', 'matplotlib'} & set(sys.modules); "
        "sys.exit(', '.join(bad) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


WORDS = "cosine peak=1e-3 end=10% warmup=100 steps=12000"


def test_what_was_understood_of_a_log_is_printed_before_the_fit(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.loadtxt(law.parent / "cosine.csv", delimiter=",", skiprows=1)
    log = law.parent / "main.log"
    log.write_text("".join(f"iter {s:.0f}: loss {y:.5f}, time 9.1ms\n" for s, _, y in rows))
    assert main(["fit", str(log), "--schedule", WORDS, "--law", "intrinsic-time"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()[:3]
    assert first == "main: log of nanoGPT, 116 rows, steps 500 to 12,000, every 100"
    assert "loss 'loss', 3." in second
    read = "cosine peak=0.001 end=0.0001 warmup=100 steps=12000"
    assert f"lr of the schedule {WORDS!r}, read as {read}; warm-up to step 99" in second
    assert third == "  nothing mended"
    assert main(["fit", str(log), "--schedule", WORDS, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["understood"][0][0] == first
    assert main(["fit", str(log)]) == 2
    assert "--schedule" in capsys.readouterr().err


def test_a_schedule_in_words_is_forecast_with_the_warm_up_of_the_law(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finals = {}
    for words in (WORDS, WORDS.replace("warmup=100 ", ""), WORDS.replace("=100", "=0")):
        assert main(["forecast", str(law), "--schedule", words, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        finals[words] = answer["predictions"][-1]
        assert ("as in the fitted runs" in str(answer["notes"])) == ("warmup" not in words)
    said, unsaid, none = finals.values()
    assert said == pytest.approx(unsaid, rel=1e-4)
    assert none != pytest.approx(said, rel=1e-5)
    measured = np.loadtxt(law.parent / "cosine.csv", delimiter=",", skiprows=1)[-1, 2]
    assert said == pytest.approx(measured, rel=5e-3)
    assert main(["forecast", str(law), "--schedule", WORDS, "--warmup-steps", "9"]) == 2
    assert "differ: say it once" in capsys.readouterr().err
    assert main(["forecast", str(law), "--schedule", "constant peak=1e-3"]) == 2
    assert "how long" in capsys.readouterr().err
    assert main(["forecast", str(law)]) == 2
    assert "--schedule" in capsys.readouterr().err


def test_a_plan_sets_schedules_in_words_beside_it(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["cosine peak=1e-3 end=10%", "wsd peak=1e-3 end=1e-4 decay=20% warmup=100 steps=12000"]
    assert main(["plan", str(law), "--steps", "12000", "--schedule", *words, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)["schedules"]
    for text in words:
        full = text if "steps" in text else f"{text} warmup=100 steps=12000"
        assert main(["forecast", str(law), "--schedule", full, "--json"]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert said[text]["loss"] == pytest.approx(answer["predictions"][-1], rel=1e-6)
        assert said[text]["high"] == pytest.approx(answer["bands"]["high"][-1], rel=1e-6)


@pytest.mark.parametrize(
    ("words", "step", "said"),
    [
        ("cosine peak=1e-3 end=1e-4 steps=24000", 12_000, "cut at the plan's step 12,000"),
        ("0.001 * Cosine(steps=24000, final=0.1)", 12_000, "it runs to 24,000, 2 x as long"),
        ("cosine peak=1e-3 end=1e-4 steps=6000", 6000, "at its own end, step 6,000: it has 0.5"),
        ("0.001 * Cosine(steps=6000)", 6000, "at its own end"),
        ("cosine peak=2e-3 end=1e-4", 12_000, "its peak is 0.002, that of the plan 0.001"),
        ("cosine peak=2e-3 end=1e-4", 12_000, "peak learning rate 2 x"),
        ("cosine peak=1e-4 end=1e-5", 12_000, "peak learning rate below theirs 10 x"),
        ("cosine peak=1e-3 end=1e-4 warmup=3000", 12_000, "warm-up ends at step 2999"),
        ("cosine 1e-3 peak, 100 warmup", 12_000, "read as cosine peak=0.001 end=0 warmup=100"),
        ("cosine peak=1e-3 end=1e-4", 12_000, "end=0.0001 warmup=100 steps=12000"),
        ("cosine peak=1e-3 end=3e-4 warmup=100 steps=12000", 12_000, ""),
    ],
)
def test_a_schedule_beside_a_plan_says_where_it_is_another(
    words: str, step: float, said: str, law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = FittedLaw.load(law)
    found = beside(kept, [words], 12_000, 100.0, 1e-3)
    assert found[words]["step"] == step
    line = beside_text(found)[0]
    assert said in line
    assert bool(said) == (";" in line)
    with pytest.raises(ValueError, match="another unit"):
        beside(kept, ["cosine peak=1"], 12_000, 100.0, 1e-3)


def test_every_log_may_have_a_schedule_of_its_own(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = ["fit", "--law", "intrinsic-time"]
    words = {"cosine": WORDS, "constant": "constant peak=1e-3 warmup=100"}
    given = []
    for name in words:
        rows = np.loadtxt(law.parent / f"{name}.csv", delimiter=",", skiprows=1)
        (law.parent / f"{name}.log").write_text(
            "".join(f"step {s:.0f} | loss {y:.5f}\n" for s, _, y in rows)
        )
        given.append(str(law.parent / f"{name}.log"))
    each = [word for text in words.values() for word in ("--schedule", text)]
    assert main([*quick, *given, *each]) == 0
    text = capsys.readouterr().out
    assert all(f"lr of the schedule {one!r}" in text for one in words.values())
    stage = str(law.parent / "stage.csv")
    assert main([*quick, *given, stage, *each, "--schedule", "-", "--warmup-steps", "100"]) == 0
    assert "lr 'lr', at most 0.001, 0.0003 at the end" in capsys.readouterr().out
    assert main([*quick, *given, given[0], *each]) == 2
    assert "2 times for 3 run(s)" in capsys.readouterr().err


def test_runs_of_one_export_have_a_schedule_each(tmp_path, capsys):
    steps = np.arange(100, 10_001, 50.0)
    decayed = 2.9 + 4 * steps**-0.35 - 0.15 * (1 - np.cos(np.pi * steps / 10_000)) / 2
    table = tmp_path / "wb.csv"
    rows = zip(steps, decayed, 2.9 + 4 * steps**-0.35, strict=True)
    lines = ["Step,cos-a - loss,flat-b - loss", *(f"{s:.0f},{a:.6f},{b:.6f}" for s, a, b in rows)]
    table.write_text("\n".join(lines))
    words = ["cosine peak=6e-4 end=6e-5 warmup=500 steps=10000", "constant peak=6e-4 warmup=500"]
    given = [flag for one in words for flag in ("--schedule", one)]
    assert main(["fit", str(table), *given]) == 0
    said = capsys.readouterr().out
    assert all(f"lr of the schedule {one!r}" in said for one in words)


def test_losses_and_rates_in_two_files_are_one_run(
    law: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = np.loadtxt(law.parent / "cosine.csv", delimiter=",", skiprows=1)
    for name, column in (("lr", 1), ("loss", 2)):
        text = "".join(f"{row[0]:.0f},{row[column]!r}\n" for row in rows.tolist())
        (law.parent / f"{name}.csv").write_text(f"Step,fog-1 - train/{name}\n{text}")
    files = [str(law.parent / f"{name}.csv") for name in ("loss", "lr")]
    assert main(["fit", "--law", "mtl", *files, "--warmup-steps", "100"]) == 0
    assert "1 curve(s)" in capsys.readouterr().out
    assert main(["fit", files[0], "--warmup-steps", "100"]) == 2
    assert main(["fit", str(law.parent / "cosine.csv"), "--lr", "1e-3"]) == 2
    assert "--columns lr=-" in capsys.readouterr().err
