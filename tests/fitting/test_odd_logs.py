"""Logs and tables of few rows, small losses and odd spellings are read, or say what is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim.algorithms.words import read_words
from hidim.cli.main import main
from hidim.fitting import FittedLaw, Run, fit, fit_joint, fit_sizes, read_run
from hidim.fitting.logs.planned import planned
from hidim.fitting.sizes.tables import SizeTable, read_sizes
from tests.fitting.conftest import make_run

HEADER = "step,lr,loss\n"
ROWS = [(400 * k, 3e-4 - 5e-6 * k, 4.0 - 0.02 * k) for k in range(1, 41)]


def short(rows: int, kind: str) -> Run:
    """A cosine run of so many rows that diverges in one way or another."""
    run = make_run("cosine", steps=np.linspace(1000.0, 24_000.0, rows), seed=1)
    loss, first = run.measured().copy(), int(0.6 * rows)
    count = np.arange(1, rows - first + 1)
    if kind == "blows up":
        loss[first:] = loss[first] * 1.5**count
    elif kind == "guesses":
        loss[first:] = 10.8
    elif kind == "climbs":
        loss[first:] += 0.05 * count
    else:
        loss[-1] = 11.0
    return replace(run, loss=loss, label=kind)


@pytest.mark.parametrize("rows", [14, 24])
@pytest.mark.parametrize("kind", ["blows up", "guesses", "climbs", "one row"])
def test_a_short_log_that_diverges_is_told_to_end_before(rows: int, kind: str) -> None:
    where = "in its last row, step 24,000" if kind == "one row" else "from (step .* to its end|its)"
    with pytest.raises(ValueError, match=rf"rises by [\d.]+% {where}.*diverged.*End its log"):
        fit(short(rows, kind), "mpl")


def test_a_short_run_among_others_is_told_so_too() -> None:
    others = [make_run(n, steps=np.linspace(1000.0, 24_000.0, 24)) for n in ("stage", "constant")]
    with pytest.raises(ValueError, match=r"misses climbs .*diverged.*End its log at step 13,545"):
        fit([short(12, "climbs"), *others], "mpl")


def test_eighteen_rows_are_enough_for_the_usual_law() -> None:
    run = make_run("cosine", steps=np.linspace(1000.0, 24_000.0, 18))
    assert np.isfinite(fit(run).predict(run)).all()


def test_a_rate_that_ends_at_zero_is_zero_there() -> None:
    run = planned("cosine peak=3e-4 end=0 steps=24000").run
    assert run.lr[-1] == replace(run, label="again").lr[-1] == 0.0 < run.lr[-2]


def test_losses_of_any_size_are_fitted_alike() -> None:
    run = make_run("stage", steps=np.linspace(1000.0, 24_000.0, 60))
    usual = fit(run)
    for scale in (1e-10, 1e6, 1e10):
        found = fit(replace(run, loss=scale * run.measured()))
        # The weak priors are the same; what is left is where the search ends.
        assert np.allclose(found.predict(run) / scale, usual.predict(run), rtol=1e-5)
        assert "floor" not in found.undetermined
        assert [m.weight for m in found.members] == pytest.approx(
            [m.weight for m in usual.members], abs=0.02
        )
        kept = FittedLaw.from_dict(found.to_dict())
        assert np.array_equal(kept.predict(run), found.predict(run))


def test_losses_of_any_size_are_fitted_alike_over_sizes() -> None:
    steps = np.linspace(1000.0, 24_000.0, 40)
    runs = [make_run(n, steps=steps, seed=i) for i, n in enumerate(("stage", "cosine"))]

    def ends(scale: float) -> np.ndarray:
        given = [
            replace(r, loss=scale * k * r.measured()) for k, r in zip((1.1, 1.0), runs, strict=True)
        ]
        law = fit_joint(given, [1e6, 4e6], "mpl", refits=0)
        return law.predict(2e6, runs[0]) / scale

    for scale in (1e-10, 1e10):
        assert np.allclose(ends(scale), ends(1.0), rtol=1e-4)


def test_losses_of_any_size_are_fitted_alike_by_laws_of_sizes() -> None:
    params, tokens = np.meshgrid(np.geomspace(1e7, 1e9, 4), np.geomspace(3e8, 3e10, 4))
    loss = 1.7 + 400 * params**-0.34 + 410 * tokens**-0.34
    loss *= np.exp(1e-3 * np.random.default_rng(0).standard_normal(loss.shape))
    table = SizeTable((params.ravel(), tokens.ravel()), loss.ravel())
    usual = fit_sizes(table, law="tied", bootstrap=20)
    for scale in (1e-10, 1e10):
        found = fit_sizes(replace(table, loss=scale * table.loss), law="tied", bootstrap=20)
        assert found.predict(1e10, 1e11) / scale == pytest.approx(usual.predict(1e10, 1e11), 1e-4)
        assert found.warnings == usual.warnings


def test_losses_that_no_text_has_are_named(tmp_path: Path) -> None:
    text = "".join(f"{s},{r!r},{y / 50_257:.9f}\n" for s, r, y in ROWS)
    (tmp_path / "a.csv").write_text(HEADER + text)
    assert any("divided by the vocabulary" in note for note in read_run(tmp_path / "a.csv").notes)


@pytest.mark.parametrize("blank", ["#N/A", "<NA>", "nil", "--", "?", "."])
def test_cells_of_nothing_are_blank(blank: str, tmp_path: Path) -> None:
    text = "".join(f"{s},{r!r},{y if k % 5 else blank}\n" for k, (s, r, y) in enumerate(ROWS))
    (tmp_path / "a.csv").write_text(HEADER + text)
    assert len(read_run(tmp_path / "a.csv").steps) == 32


@pytest.mark.parametrize("form", ["{}/16000", "{} / 16000", "{} of 16000"])
def test_a_step_of_all_steps_is_a_step(form: str, tmp_path: Path) -> None:
    text = "".join(f"{form.format(s)},{r!r},{y}\n" for s, r, y in ROWS)
    (tmp_path / "a.csv").write_text(HEADER + text)
    assert np.array_equal(read_run(tmp_path / "a.csv").steps, [s for s, _, _ in ROWS])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER + "100,1e-3,3 ± .1\n200,1e-3,2 ± .1\n", "without its error"),
        (HEADER + "100,1e-3,3(1)\n200,1e-3,2(1)\n", "without its error"),
        ("step,lr,loss,loss\n100,1e-3,3,3\n", "rename or drop one"),
        ("step & lr & loss \\\\\n100 & 1e-3 & 3 \\\\\n", "table of LaTeX"),
        (HEADER + "100,0,3\n200,0,2\n", "given in words"),
    ],
)
def test_what_is_written_otherwise_is_told_how(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path / "a.csv")


def test_a_trainer_that_counts_current_steps_is_read(tmp_path: Path) -> None:
    names = ("current_steps", "lr", "loss")
    records = [dict(zip(names, row, strict=True)) | {"total_steps": 16_000} for row in ROWS]
    (tmp_path / "trainer_log.jsonl").write_text("\n".join(map(json.dumps, records)))
    assert read_run(tmp_path / "trainer_log.jsonl").steps[-1] == 16_000


def mlflow(folder: Path, **lines: list[str]) -> Path:
    """The folder of an MLflow run with these lines beside those of ROWS."""
    (folder / "metrics" / "train").mkdir(parents=True)
    (folder / "meta.yaml").write_text("run_id: abc\n")
    for name, place, every in (("train/loss", 2, 1), ("lr", 1, 1), ("val_loss", 2, 10)):
        rows = [f"{10**12 + row[0]} {row[place]!r} {row[0]}\n" for row in ROWS[::every]]
        (folder / "metrics" / name).write_text("".join(lines.get(name.split("/")[-1], rows)))
    return folder


def lines_of(place: int, rows: list[tuple[int, float, float]] = ROWS, more: str = "") -> list[str]:
    return [
        f"{10**12 + 400 * (k + 1)} {row[place]!r} {row[0]}{more}\n" for k, row in enumerate(rows)
    ]


def test_the_folder_of_an_mlflow_run_is_read(tmp_path: Path) -> None:
    plain = mlflow(tmp_path / "0" / "a")
    five = mlflow(tmp_path / "b", loss=lines_of(2, more=" data 1f"), lr=lines_of(1))
    for folder in (plain, plain / "metrics", tmp_path / "0", five):
        run = read_run(folder)
        assert np.array_equal(np.column_stack([run.steps, run.lr, run.measured()]), ROWS)
    assert "the only run" in read_run(tmp_path / "0").notes[0]
    for folder in (tmp_path / "0", tmp_path):
        mlflow(folder / "c")
        (folder / "meta.yaml").write_text("experiment_id: 0\n")
        with pytest.raises(ValueError, match=r"holds [24] MLflow runs .*one folder each"):
            read_run(folder)


@pytest.mark.parametrize("end", ["17000", "1700016400 2.", "1700016400 2.5 1640", "1 2.5 16"])
def test_a_last_line_of_mlflow_that_was_cut_is_left_out(end: str, tmp_path: Path) -> None:
    run = read_run(mlflow(tmp_path / "a", loss=[*lines_of(2), end]))
    assert len(run.steps) == 40
    assert any("line 41 of metric 'loss', the last, was cut" in note for note in run.notes)


def test_a_resumed_run_of_mlflow_is_mended_as_others_are(tmp_path: Path) -> None:
    rows = [*ROWS[:30], *[(s, r, y + 0.5) for s, r, y in ROWS[20:]]]
    twice = [*ROWS[:20], (ROWS[19][0], ROWS[19][1], 9.0), *ROWS[20:]]
    for name, wrong, message, kept in (
        ("a", rows, "the step goes back at row", rows[:20] + rows[30:]),
        ("b", twice, "the step repeats at row", twice[:19] + twice[20:]),
    ):
        folder = mlflow(tmp_path / name, loss=lines_of(2, wrong), lr=lines_of(1, wrong))
        with pytest.raises(ValueError, match=f"{message}.*--resumed keep-last"):
            read_run(folder)
        run = read_run(folder, resumed="keep-last")
        assert np.array_equal(np.column_stack([run.steps, run.lr, run.measured()]), kept)


def test_a_folder_of_several_runs_names_them(tmp_path: Path) -> None:
    for name in "abcdef":
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.jsonl").write_text("")
    with pytest.raises(ValueError, match=r"several logs \(.*runs/a, .*runs/d, and 2 more\): give"):
        read_run(tmp_path)


@pytest.mark.parametrize("names", ["params,tokens,loss", "Model Size,Training FLOP,loss,steps"])
def test_a_table_of_sizes_is_sent_to_its_laws(names: str, tmp_path: Path) -> None:
    row = ",".join("3" for _ in names.split(","))
    (tmp_path / "a.csv").write_text(f"{names}\n{row}\n{row}\n")
    with pytest.raises(ValueError, match=r"finished runs.*--law chinchilla") as error:
        read_run(tmp_path / "a.csv")
    assert "step=tokens" not in str(error.value)


def test_what_is_wrong_with_a_folder_of_mlflow_is_told(tmp_path: Path) -> None:
    lines = lines_of(2)
    for name, wrong, message in (
        ("a", [*lines[:7], "17 2.5\n", *lines[7:]], r"line 8 of '.*loss' reads '17 2.5'"),
        ("b", [*lines[:7], lines[8], lines[7], *lines[9:]], "several wrote at once.*sort -s -n"),
        ("c", [f"17 {y} 0\n" for _, _, y in ROWS], "every step in it is 0.*--step-scale N"),
    ):
        with pytest.raises(ValueError, match=message):
            read_run(mlflow(tmp_path / name, loss=wrong))
    zero = mlflow(
        tmp_path / "d",
        loss=[f"17 {y} 0\n" for _, _, y in ROWS],
        lr=[f"17 {r} 0\n" for _, r, _ in ROWS],
    )
    assert np.array_equal(read_run(zero, step_scale=400).steps, [s for s, _, _ in ROWS])
    empty = read_run(mlflow(tmp_path / "f", val_loss=[]))
    assert "metric 'val_loss' is empty" in empty.notes
    (tmp_path / "e").mkdir()
    with pytest.raises(ValueError, match="MLflow"):
        read_run(tmp_path / "e")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1e8,2e9,3.1 +- .01", "without its error"),
        ("10/1000,2e9,3.1", "'10/1000', not a number: one of how many"),
        ("1e8,10 of 1000,3.1", "one of how many"),
        ("1e8,2e9,3/5", "one of how many"),
    ],
)
def test_a_table_of_sizes_is_told_about_its_cells(row: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"params,tokens,loss\n{row}\n")
    with pytest.raises(ValueError, match=message):
        read_sizes(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("words", "plain"),
    [
        ("wsd peak=3e-4 end=10% decay=20%", "wsd peak=3e-4 end=3e-5 decay=4800"),
        ("wsd 3e-4 peak, 20% decay, 5% warmup", "wsd peak=3e-4 end=0 decay=4800 warmup=1200"),
        ("linear peak=3e-4 until=80% end=.1x", "linear peak=3e-4 until=19200 end=3e-5 steps=24k"),
        ("multistep peak=3e-4 at=50%,75% factor=30%", "multistep 3e-4 peak at=12k,18k factor=.3"),
        ("constant peak=3e-4 decay=.1", "constant peak=3e-4 decay=2400 end=0"),
    ],
)
def test_a_plan_takes_shares_as_it_takes_steps(
    words: str, plain: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: Path
) -> None:
    command = ["plan", str(kept), "--steps", "24000", "--schedule", words, plain, "--json"]
    assert main(command) == 0
    said = json.loads(capsys.readouterr().out)["schedules"]
    for key in ("loss", "low", "high", "step"):
        assert said[words][key] == pytest.approx(said[plain][key], rel=1e-12)
    assert main([*command[:5], "cosine peak=100%"]) == 2
    assert "--peak 3e-4" in capsys.readouterr().err


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, synthetic: Callable[..., Run]) -> Path:
    """A law in a file."""
    path = tmp_path_factory.mktemp("law") / "law.json"
    few = np.linspace(1000.0, 24_000.0, 60)
    fit([synthetic(name, steps=few) for name in ("cosine", "stage")], "mpl").save(path)
    return path


def test_an_unfinished_archive_is_no_short_log(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    text = (HEADER + "".join(f"{s},{r!r},{y}\n" for s, r, y in ROWS)).encode()
    packed = zstandard.ZstdCompressor().compress(text)
    halves = [zstandard.ZstdCompressor().compress(part) for part in (text[:90], text[90:])]
    for whole in (packed, b"".join(halves)):
        (tmp_path / "a.csv.zst").write_bytes(whole)
        assert len(read_run(tmp_path / "a.csv.zst").steps) == len(ROWS)
    for size in (20, len(packed) - 3):
        (tmp_path / "a.csv.zst").write_bytes(packed[:size])
        with pytest.raises(ValueError, match="damaged or unfinished zstd"):
            read_run(tmp_path / "a.csv.zst")
    (tmp_path / "plain.csv.gz").write_bytes(text)  # unpacked, and not renamed
    assert len(read_run(tmp_path / "plain.csv.gz").steps) == len(ROWS)


def test_a_line_of_a_hundred_thousand_letters_is_passed_at_once(tmp_path: Path) -> None:
    lines = "".join(f"step {s} loss {y} lr {r!r}\n" for s, r, y in ROWS)
    (tmp_path / "a.log").write_text("x" * 200_000 + "\n" + lines)
    assert len(read_run(tmp_path / "a.log").steps) == len(ROWS)
    (tmp_path / "a.csv").write_text(
        "step,lr,loss,text\n" + "".join(f"{s},{r!r},{y},{'y' * 140_000}\n" for s, r, y in ROWS[:4])
    )
    assert len(read_run(tmp_path / "a.csv").steps) == 4


KERAS = "{n}/400 [====>.....] - ETA: 5:00 - loss: {y}"


def test_bars_of_keras_count_where_an_epoch_ends(tmp_path: Path) -> None:
    means = [KERAS.format(n=n, y=9.0) for n in range(100, 400, 100)]
    epochs = ["\r".join([*means, KERAS.format(n=400, y=y)]) for _, _, y in ROWS]
    (tmp_path / "a.log").write_text("\n".join(epochs))
    run = read_run(tmp_path / "a.log", step_scale=400, lr=3e-4)
    assert run.loss is not None
    assert np.allclose(run.loss, [y for _, _, y in ROWS])
    (tmp_path / "a.log").write_text("\r".join(means))
    with pytest.raises(ValueError, match="CSVLogger"):
        read_run(tmp_path / "a.log", step_scale=400, lr=3e-4)


@pytest.mark.parametrize(
    ("asked", "remedy"),
    [
        (["--steps", "24,000"], "write 24000"),
        (["--steps", "10%"], "a share is written 0.1"),
        (["--flops", "100PF-days"], "write 8.64e+21"),
        (["--flops", "1e21,1e22"], "parted by blanks"),
    ],
)
def test_numbers_in_other_dress_are_told_how_to_be_written(
    asked: list[str], remedy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "law.json", *asked]) == 2
    assert remedy in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        "StepLR(step_size=8, gamma=0.1) peak=3e-4 steps=24000",
        "ExponentialLR gamma=0.9 peak=3e-4 steps=24000",
        "runs/plan.csv",
        "constant peak=3e-4 end=3e-5 steps=24000",
    ],
)
def test_schedules_that_are_said_otherwise_are_told_how(words: str) -> None:
    with pytest.raises(ValueError, match=r"multistep peak|file:|needs decay="):
        read_words(words)


def test_a_log_without_a_rate_has_the_warm_up_of_its_law(
    kept: Path, synthetic: Callable[..., Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = synthetic("constant", seed=5)
    assert run.loss is not None
    half = len(run.steps) // 2
    rows = list(zip(run.steps[:half], run.loss[:half], strict=True))
    (tmp_path / "a.csv").write_text("step,loss\n" + "".join(f"{s},{y}\n" for s, y in rows))
    schedule = "wsd peak=3e-4 end=10% decay=20% steps=24000"
    command = ["forecast", str(kept), "--schedule", schedule, "--so-far", str(tmp_path / "a.csv")]
    assert main(command) == 0
    assert "rate is not the schedule's" not in capsys.readouterr().out
    (tmp_path / "b.csv").write_text("step,loss,lr\n" + "".join(f"{s},{y},3.0\n" for s, y in rows))
    assert main([*command[:-1], str(tmp_path / "b.csv")]) == 2
    assert "another unit" in capsys.readouterr().err


def test_a_log_in_the_place_of_a_law_is_told_how_to_keep_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "100,1e-3,3\n")
    for command in (
        ["forecast", "--schedule", "constant peak=1 steps=9"],
        ["plan", "--steps", "9"],
    ):
        assert main([command[0], str(tmp_path / "a.csv"), *command[1:]]) == 2
        assert "keep one with hidim fit" in capsys.readouterr().err


def test_logarithms_of_rates_say_their_base(tmp_path: Path) -> None:
    rows = "".join(f"{s},{np.log(r)},{y}\n" for s, r, y in ROWS)
    (tmp_path / "a.csv").write_text("step,log_lr,loss\n" + rows)
    with pytest.raises(ValueError, match="rename it log10_lr or ln_lr"):
        read_run(tmp_path / "a.csv")


def test_a_column_has_no_second_role(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "".join(f"{s},{r},{y}\n" for s, r, y in ROWS))
    with pytest.raises(ValueError, match="no column for the learning rate"):
        read_run(tmp_path / "a.csv", columns={"loss": "lr"})


def test_letters_cut_in_two_do_not_make_a_log_unreadable(tmp_path: Path) -> None:
    lines = "".join(f"step {s} loss {y} lr {r!r}\n" for s, r, y in ROWS)
    (tmp_path / "a.log").write_bytes(lines.encode() + b"a sample: \xe6\n")
    assert len(read_run(tmp_path / "a.log").steps) == len(ROWS)


def test_printed_decimals_with_a_comma_are_refused(tmp_path: Path) -> None:
    lines = "".join(f"step {s} loss {y} lr {r!r}\n".replace(".", ",") for s, r, y in ROWS)
    (tmp_path / "a.log").write_text(lines)
    with pytest.raises(ValueError, match="write decimals with a point"):
        read_run(tmp_path / "a.log")


def test_braces_of_a_sample_swallow_no_rows(tmp_path: Path) -> None:
    lines = [f"step {s} loss {y} lr {r!r}\n" for s, r, y in ROWS]
    lines.insert(9, "sample: while (true) {\n")
    lines.insert(15, "} else nothing\n")
    (tmp_path / "a.log").write_text("".join(lines))
    assert len(read_run(tmp_path / "a.log").steps) == len(ROWS)


@pytest.mark.parametrize("cell", ["[{:g}]", '"[{0:g}, {0:g}]"'])
def test_rates_in_brackets_are_of_groups_alike(cell: str, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text(HEADER + "".join(f"{a},{cell.format(b)},{c}\n" for a, b, c in ROWS))
    assert np.allclose(read_run(log).lr, [row[1] for row in ROWS])
    log.write_text(HEADER + "".join(f'{a},"[{b}, 1]",{c}\n' for a, b, c in ROWS))
    with pytest.raises(ValueError, match="one value of each group"):
        read_run(log)


def test_a_folder_of_tables_names_them(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text(HEADER)
    (tmp_path / "two.csv.gz").write_bytes(b"")
    with pytest.raises(ValueError, match=r"one\.csv, two\.csv\.gz: give the files"):
        read_run(tmp_path)


def test_schedules_after_one_flag_are_told_apart_from_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n" + "".join(f"{a},{c}\n" for a, _, c in ROWS))
    words = ["cosine peak=3e-4 steps=16000", "constant peak=3e-4"]
    assert main(["fit", str(log), str(log), "--schedule", *words]) == 2
    assert "'constant peak=3e-4' is a schedule and no log" in capsys.readouterr().err


@pytest.mark.parametrize("other", [20.0, 1.0])
def test_rates_of_other_groups_are_named(other: float, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [{"step": a, "lr/group0": b, "lr/group1": other * b, "loss": c} for a, b, c in ROWS]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = any("'lr/group1' is the rate of other" in note for note in read_run(log).notes)
    assert told == (other != 1)
    chosen = read_run(log, columns={"lr": "lr/group1"})
    assert chosen.lr[0] == pytest.approx(other * ROWS[0][1])
    assert not any("other parameters" in note for note in chosen.notes)


def test_values_before_their_names_are_told_as_such(tmp_path: Path) -> None:
    lines = [
        f"{s:5d} 310.21 ms run, {3 - s / 1e3:5.4f} loss, 0.000300 LR" for s in range(0, 900, 100)
    ]
    (tmp_path / "run.txt").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"values come before their names, as in '0\.000300 LR'"):
        read_run(tmp_path / "run.txt")


def german(number: float, digits: int = 5) -> str:
    """As a German spreadsheet writes it."""
    return f"{number:,.{digits}f}".translate(str.maketrans(",.", ".,"))


@pytest.mark.parametrize(
    "text",
    [
        "step;lr;loss\n"
        + "".join(f"{german(s, 0)};{german(r, 6)};{german(y)}\n" for s, r, y in ROWS),
        "step\tlr\tloss\n"  # French
        + "".join(
            f"{s:,}\t{german(r, 6)}\t{german(y)}\n".replace(",", "\u202f", s > 999)
            for s, r, y in ROWS
        ),
        '"step", "lr", "loss"\n' + "".join(f'"{s}", "{r!r}", "{y}"\n' for s, r, y in ROWS),
        HEADER + "".join(f"{s:,},{r!r},{y}\n".replace(",", "'", s > 999) for s, r, y in ROWS),
    ],
)
def test_marks_in_numbers_are_read_where_they_can_be_nothing_else(
    text: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(text)
    run = read_run(tmp_path / "a.csv")
    assert np.array_equal(run.steps, [s for s, _, _ in ROWS])
    assert np.allclose(run.lr, [r for _, r, _ in ROWS], rtol=1e-12)
    assert np.allclose(run.measured(), [y for _, _, y in ROWS], rtol=1e-12)


def test_three_decimals_beside_a_list_stay_decimals(tmp_path: Path) -> None:
    rows = "".join(f'{s},{r!r},{y:.3f},"1,2"\n' for s, r, y in ROWS)
    (tmp_path / "a.csv").write_text("step,lr,loss,seeds\n" + rows)
    assert read_run(tmp_path / "a.csv").measured()[0] == pytest.approx(3.98)


@pytest.mark.parametrize("how", ["refuse", "keep-last"])
def test_steps_within_epochs_are_named_and_a_run_begun_anew_is_not(
    how: str, tmp_path: Path
) -> None:
    """Forty rows in four epochs; then five rows of a run that was started again."""
    text = [f"{(k - 1) // 10},{(k - 1) % 10 + 1},{r!r},{y}" for k, (_, r, y) in enumerate(ROWS, 1)]
    (tmp_path / "a.csv").write_text("\n".join(["epoch," + HEADER.strip(), *text]))
    with pytest.raises(ValueError, match="Add the steps of an epoch, 10 or somewhat more"):
        read_run(tmp_path / "a.csv", resumed=how)
    text = [f"0,{s},{r!r},{y}" for s, r, y in [*ROWS[:5], *ROWS]]
    (tmp_path / "b.csv").write_text("\n".join(["epoch," + HEADER.strip(), *text]))
    if how == "keep-last":
        assert len(read_run(tmp_path / "b.csv", resumed=how).steps) == len(ROWS)
    else:
        with pytest.raises(ValueError, match="keep-last"):
            read_run(tmp_path / "b.csv", resumed=how)


@pytest.mark.parametrize(
    ("zero", "message"),
    [
        (range(30, 40), r"from step 12,400 on: a run that diverged.*End its log before"),
        ([20], r"in 1 row\(s\), the first at step 8,400"),
        (range(40), "Is this the loss column"),
    ],
)
def test_zeros_among_losses_say_where_they_begin(zero: list[int], message: str) -> None:
    steps, lr, loss = map(np.array, zip(*ROWS, strict=True))
    loss[list(zero)] = 0.0
    with pytest.raises(ValueError, match=message):
        Run(steps, lr, loss)


def test_one_damaged_row_is_named_and_the_law_is_that_of_the_others() -> None:
    runs = [make_run(name, noise=3e-3) for name in ("cosine", "constant")]
    loss = runs[0].measured().copy()
    loss[90] = 65504.0  # half precision at its end
    law = fit([replace(runs[0], loss=loss), runs[1]])
    step = f"{runs[0].steps[90]:g}"
    assert any(
        f"1 row(s) of cosine lie far from the law, the first at step {step}" in w
        for w in law.warnings
    )
    unseen = make_run("wsd", noise=0.0)
    assert law.score(unseen)["mean_relative_error"] < 2e-3


@pytest.mark.parametrize("gone", [[20, 31], range(30, 40)])
def test_losses_of_zero_are_nan_that_a_program_wrote(tmp_path: Path, gone: list[int]) -> None:
    rows = [(s, r, 0.0 if k in gone else y) for k, (s, r, y) in enumerate(ROWS)]
    path = tmp_path / "log.csv"
    path.write_text(HEADER + "\n".join(f"{s},{r:.6g},{y}" for s, r, y in rows))
    first = f"row {gone[0] + 2} of .*step {ROWS[gone[0]][0]}: column 'loss' is 0"
    with pytest.raises(ValueError, match=first + ".*--drop-nan"):
        read_run(path)
    if len(gone) > 2:
        with pytest.raises(ValueError, match=r"10 in a row.*diverged"):
            read_run(path, drop_nan=True)
    else:
        run = read_run(path, drop_nan=True)
        assert len(run.steps) == len(ROWS) - 2
        assert run.notes == ("2 row(s) with NaN left out, the first at step 8400",)


def test_one_damaged_row_is_named_and_no_wrong_column() -> None:
    run = make_run("cosine")
    loss = run.measured().copy()
    loss[120] *= 10
    law, whole = fit(replace(run, loss=loss)), fit(run)
    assert any("1 row(s) of cosine lie far from the law" in one for one in law.warnings)
    wide, usual = (np.log(np.divide(*one.band(run)[::-1]))[-1] for one in (law, whole))
    assert wide < 1.5 * usual
    last = run.steps[-1]
    assert law.predict(run, [last])[0] == pytest.approx(float(run.measured()[-1]), rel=2e-3)
