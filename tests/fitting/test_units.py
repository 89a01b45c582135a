"""What is counted in another unit is read by what its name or its cells say, or is named."""

from __future__ import annotations

import bz2
import json
import lzma
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hidim import Table, read_schedule
from hidim.cli.main import main
from hidim.fitting import (
    FittedLaw,
    Run,
    best_schedule,
    fit,
    read_run,
    read_runs,
    read_sizes,
    so_far,
)
from hidim.fitting.logs.names import unit_of
from hidim.fitting.schedules.alike import changes_unit, counts_otherwise, what_differs

STEPS = np.arange(1000, 24001, 250).astype(float)


@pytest.fixture(scope="module")
def law(synthetic: Callable[..., Run], tmp_path_factory: pytest.TempPathFactory) -> str:
    """The file of a law fitted to a constant run and one with a drop, from step 1,000 on."""
    path = tmp_path_factory.mktemp("law") / "law.json"
    fit([synthetic(name, steps=STEPS) for name in ("constant", "stage")], "mpl").save(path)
    return str(path)


def table(path: Path, run: Run, cell: Callable[[float], object] = float, **named: str) -> Path:
    """A log with cells of the step, and names of the columns, as told."""
    names = {"step": "step", "lr": "lr", "loss": "loss"} | named
    rows = zip(run.steps, run.lr, run.measured(), strict=True)
    lines = [f"{cell(x)},{rate:.8g},{loss:.8g}" for x, rate, loss in rows]
    path.write_text("\n".join([",".join(names.values()), *lines]))
    return path


def test_steps_in_thousands_and_perplexities_are_read(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    short = read_run(table(tmp_path / "a.csv", run, lambda x: f"{x / 1000:g}k"))
    assert np.array_equal(short.steps, STEPS)
    other = Run(run.steps, run.lr, np.exp(run.measured()))
    found = read_run(table(tmp_path / "b.csv", other, loss="train/ppl"))
    assert np.allclose(found.measured(), run.measured(), rtol=1e-6)
    assert any("logarithm of 'train/ppl'" in note for note in found.notes)


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress])
def test_other_archives_are_read(
    pack: Callable[[bytes], bytes], synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    path = tmp_path / "run.csv.x"
    path.write_bytes(pack(table(tmp_path / "run.csv", run).read_bytes()))
    assert np.allclose(read_run(path).measured(), run.measured())


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04" + bytes(300), "ZIP archive or a workbook.*CSV"),
        (b"\x80\x04\x95" + bytes(300), "pickle.*CSV"),
        (b"SQLite format 3\0" + bytes(300), "SQLite.*CSV"),
        (b"<!DOCTYPE html><table><tr><td>1</td></tr></table>", "HTML.*CSV"),
        (b"run.csv" + bytes(250) + b"ustar" + bytes(300), "tar archive: unpack"),
        (b"step,lr,loss\n(it),(1),(nats)\n1,1,1\n", "units"),
        (b"step,lr,loss\n[-],[1],[nats]\n1,1,1\n", r"'\[-\]'.*units\? Leave it out"),
        (b'step,lr,loss\n"1,000",1,3\n', "write 1000"),
        (b"step,lr,loss\n1,10%,3\n", "0.1 for 10%"),
        (b"step,lr,loss\n1,0.1,3 nats\n", "without its unit"),
        (b"tokens,lr,loss\n1,0.1,3\n", "--columns step=tokens"),
        (b"tokens (B),lr,loss\n1,0.1,3\n", r"--columns 'step=tokens \(B\)'\."),
    ],
)
def test_what_is_no_log_says_what_it_is(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=told):
        read_run(path)


@pytest.mark.parametrize(
    ("of", "told"),
    [
        (lambda nats: nats / np.log(2), "bits"),
        (lambda nats: 100 * nats, "percent"),
        (lambda nats: 8 * nats, "8 accumulation steps"),
        (np.exp, "perplexity"),
        (lambda nats: 1.3 * nats, "another unit"),
        (lambda nats: nats, ""),
    ],
)
def test_two_runs_of_one_rate_have_one_loss(
    of: Callable[[np.ndarray], np.ndarray], told: str, synthetic: Callable[..., Run]
) -> None:
    one, two = (synthetic(name, steps=STEPS) for name in ("constant", "stage"))
    said = what_differs([one, Run(two.steps, two.lr, of(two.measured()), 1000.0, "other")])
    assert bool(said) == bool(told)
    assert told in said
    assert not told or "other lies" in said


@pytest.mark.parametrize(
    ("steps", "loss", "told"),
    [
        (8.0, 1.0, "8 times those of constant"),
        (0.25, 1.0, "the steps of constant are 4 times its own"),
        (1.0, 0.95, ""),
        (8, 2, ""),
    ],
)
def test_micro_steps_beside_steps_are_told(
    steps: float, loss: float, told: str, synthetic: Callable[..., Run]
) -> None:
    one, two = (replace(synthetic(name, steps=STEPS), label=name) for name in ("constant", "stage"))
    warm = steps * two.warmup_steps
    other = Run(steps * two.steps, two.lr, loss * two.measured(), warm, "other")
    said = counts_otherwise(other, [one, other])
    assert bool(said) == bool(told)
    assert told in said


def test_micro_steps_are_told_without_a_warm_up_in_the_log(synthetic: Callable[..., Run]) -> None:
    one, two = (replace(synthetic(name, steps=STEPS), label=name) for name in ("constant", "stage"))
    other = Run(8 * two.steps, two.lr, two.measured(), two.warmup_steps, "other")
    assert "its steps are 8 times those of constant" in counts_otherwise(other, [one, other])
    tokens = Run(5e5 * two.steps, two.lr, two.measured(), two.warmup_steps, "other")
    assert "its steps are 500000 times those" in counts_otherwise(tokens, [one, tokens])


def test_parts_of_one_run_are_put_together(synthetic: Callable[..., Run], tmp_path: Path) -> None:
    run = synthetic("stage", steps=STEPS)
    names = {"step": "Step", "lr": "r1 - lr", "loss": "r1 - loss"}
    parts = [run.until(12_000), Run(*(x[STEPS > 12_000] for x in (STEPS, run.lr, run.measured())))]
    files = [table(tmp_path / f"{i}.csv", part, **names) for i, part in enumerate(parts)]
    (found,) = read_runs(files)
    assert np.array_equal(found.steps, STEPS)
    assert any("goes on in 1.csv" in note for note in found.notes)


def test_a_resumed_export_is_joined_to_its_rates(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    twice = np.r_[0:40, 30 : len(STEPS)]
    loss = ["Step,r1 - loss", *(f"{STEPS[i]},{run.measured()[i]:.8g}" for i in twice)]
    rate = ["Step,r1 - lr", *(f"{x},{y:.8g}" for x, y in zip(STEPS, run.lr, strict=True))]
    for name, lines in (("loss.csv", loss), ("lr.csv", rate)):
        (tmp_path / name).write_text("\n".join(lines))
    files = [tmp_path / "loss.csv", tmp_path / "lr.csv"]
    with pytest.raises(ValueError, match="--resumed keep-last"):
        read_runs(files)
    (found,) = read_runs(files, resumed="keep-last")
    assert np.array_equal(found.steps, STEPS)
    assert np.allclose(found.lr, run.lr)


@pytest.mark.parametrize(
    ("knots", "told"),
    [
        ("1000,3e-4\n19200,3e-4\n24000,3e-5", ""),
        ("1k,3e-4\n19.2k,3e-4\n24k,3e-5", ""),
        ("5e8,3e-4\n1.2e10,3e-5", "tokens"),
        ("1000,3\n24000,0.3", "another unit"),
        ("1000,1\n24000,0.1", "shares of the peak"),
        ("1000,3e-8\n24000,3e-9", "another unit"),
        ("24000,3e-4", "two knots"),
        ("19200,3e-4\n1000,3e-4\n24000,3e-5", "sort the knots"),
        ("1000,3e-4\n8000,3e-4\n8000,9e-5\n24000,9e-5", "7999,0.0003"),
    ],
)
def test_a_plan_in_another_unit_is_refused(
    knots: str, told: str, law: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text(f"step,lr\n{knots}\n")
    code = main(["forecast", law, str(plan), "--json"])
    said = capsys.readouterr()
    assert code == (2 if told else 0)
    assert told in said.err
    if not told:
        meant = "wsd peak=3e-4 end=3e-5 warmup=1000 decay=4800 steps=24000"
        wanted = FittedLaw.load(law).predict(meant, [24_000])
        assert json.loads(said.out)["predictions"][-1] == pytest.approx(wanted[0], rel=1e-5)


def test_a_schedule_to_plan_is_in_the_unit_of_the_law(
    law: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, told in (
        (["--steps", "24000", "--peak", "0.3"], "another unit"),
        (["--steps", "1.2e10"], "tokens"),
        (["--steps", "240"], "must be below"),
    ):
        assert main(["plan", law, *flags]) == 2
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "scale"),
    [
        (("params_M", "tokens_B"), (1e6, 1e9)),
        (("Params (millions)", "Tokens [in billions]"), (1e6, 1e9)),
        (("params", "tokens"), (1.0, 1.0)),
    ],
)
def test_sizes_are_counted_as_their_columns_say(
    names: tuple[str, str], scale: tuple[float, float], tmp_path: Path
) -> None:
    path = tmp_path / "runs.csv"
    body = [f"{10 * 2**i},{1 + i},{3 - 0.1 * i}" for i in range(6)]
    path.write_text("\n".join([",".join((*names, "val_loss")), *body]))
    found = read_sizes(path)
    assert found.inputs[0][1] == pytest.approx(20 * scale[0])
    assert found.inputs[1][1] == pytest.approx(2 * scale[1])
    assert len([note for note in found.notes if "counts in" in note]) == 2 * (scale[0] > 1)


def test_sizes_in_cells_and_perplexities_are_read(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    body = [f"{10 * 2**i}M,1.{i}T,{np.exp(3 - 0.1 * i):.9g}" for i in range(6)]
    path.write_text("\n".join(["params,tokens,perplexity", *body]))
    found = read_sizes(path)
    assert found.inputs[0].tolist() == [10e6 * 2**i for i in range(6)]
    assert found.inputs[1].tolist() == [float(f"1.{i}e12") for i in range(6)]
    assert np.allclose(found.loss, [3 - 0.1 * i for i in range(6)])
    assert unit_of("params_m") == 1e6
    path.write_text("params,tokens,loss\n")
    with pytest.raises(ValueError, match="no rows"):
        read_sizes(path)


def test_metrics_with_steps_of_their_own_are_read(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    kept = {
        "train.loss": {"steps": STEPS.tolist(), "values": run.measured().tolist()},
        "train.lr": {"steps": STEPS[::2].tolist(), "values": run.lr[::2].tolist()},
    }
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(kept))
    found = read_run(path)
    assert np.array_equal(found.steps, STEPS)
    assert np.array_equal(found.lr[::2], run.lr[::2])


@pytest.mark.parametrize(
    ("form", "said"), [("{:.4f}", True), ("{:.0e}", True), ("{:.1e}", False), ("{:.6f}", False)]
)
def test_a_rate_that_was_rounded_to_one_digit_is_named(
    form: str, said: bool, synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    for name in ("cosine", "stage"):  # one drop to another digit is a drop
        run = synthetic(name, steps=STEPS)
        lines = [
            f"{s:g},{form.format(lr)},{y:.6g}"
            for s, lr, y in zip(run.steps, run.lr, run.measured(), strict=True)
        ]
        (tmp_path / "log.csv").write_text("\n".join(["step,lr,loss", *lines]))
        found = read_run(tmp_path / "log.csv", warmup_steps=1000)
        assert any("its only digit" in note for note in found.notes) == (said and name == "cosine")


def test_a_warm_up_hides_no_rounding_and_a_schedule_beside_it_counts(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    steps = np.arange(200.0, 24_001.0, 200.0)
    run = synthetic("cosine", steps=steps)
    lr = run.lr * np.minimum(steps / 1000, 1)
    lines = [f"{s:g},{r:.0e},{y:.6g}" for s, r, y in zip(steps, lr, run.measured(), strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["step,lr,loss", *lines]))
    assert any("its only digit" in note for note in read_run(tmp_path / "log.csv").notes)
    words = "cosine peak=3e-4 end=3e-5 warmup=1000 steps=24000"
    found = read_run(tmp_path / "log.csv", schedule=words)
    assert np.allclose(found.lr, lr, rtol=0.01)  # half a step of the warm-up
    assert any("rounded to one digit: the schedule's is taken" in note for note in found.notes)
    with pytest.raises(ValueError, match="not the schedule's"):
        read_run(tmp_path / "log.csv", schedule="linear peak=3e-4 warmup=1000 steps=24000")


def test_a_rate_logged_at_a_few_steps_is_checked_against_its_schedule(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    cells = [f"{lr:g}" if i in (0, 90) else "" for i, lr in enumerate(run.lr)]
    lines = [f"{s:g},{r},{y:.6g}" for s, r, y in zip(STEPS, cells, run.measured(), strict=True)]
    (tmp_path / "log.csv").write_text("\n".join(["step,lr,loss", *lines]))
    with pytest.raises(ValueError, match=r"has no lr at step .* say the schedule"):
        read_run(tmp_path / "log.csv")
    words = "multistep peak=3e-4 at=8000 factor=0.3 warmup=1000 steps=24000"
    assert np.allclose(read_run(tmp_path / "log.csv", schedule=words).lr[1:], run.lr[1:])
    with pytest.raises(ValueError, match="not the schedule's"):
        read_run(tmp_path / "log.csv", schedule="constant peak=3e-4 steps=24000")


def test_what_is_taken_of_a_rate_in_a_gap_is_said(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    """A cosine goes on smoothly through a gap; a drop in one is at no known step."""
    for name, said in (("stage", True), ("cosine", False), ("constant", False)):
        run = synthetic(name, steps=STEPS)
        keep = (STEPS < 6000) | (STEPS > 10_000)
        path = table(tmp_path / f"{name}.csv", Run(STEPS[keep], run.lr[keep], run.measured()[keep]))
        notes = " ".join(read_run(path).notes)
        assert "no rows between steps" in notes
        assert ("taken as straight between: --schedule says where it fell" in notes) == said


def test_the_first_of_several_resumes_is_named(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("cosine", steps=STEPS)
    order = [*range(40), *range(38, 90), *range(70, len(STEPS))]  # the second goes back farther
    lines = [f"{run.steps[i]:g},{run.lr[i]:.9g},{run.measured()[i]:.6g}" for i in order]
    (tmp_path / "log.csv").write_text("\n".join(["step,lr,loss", *lines]))
    notes = " ".join(read_run(tmp_path / "log.csv", resumed="keep-last").notes)
    assert f"resumed 2 time(s), first at step {STEPS[38]:g}: 22 earlier" in notes


def test_a_loss_that_stands_still_is_named(synthetic: Callable[..., Run], tmp_path: Path) -> None:
    run = synthetic("stage", steps=STEPS)
    frozen = np.where(STEPS > 18_000, run.measured()[68], run.measured())
    coarse = np.round(run.measured(), 2)  # many neighbours are equal, as printed
    for name, loss, said in (("a", frozen, True), ("b", run.loss, False), ("c", coarse, False)):
        found = read_run(table(tmp_path / f"{name}.csv", Run(STEPS, run.lr, loss)))
        assert any("stood still" in note for note in found.notes) == said


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("plan LAW --steps 1200000000", False),
        ("plan LAW --steps 2", False),
        ("plan LAW --steps 24000 --schedule 'cosine peak=3e-4 steps=2'", False),
        ("forecast LAW --schedule 'cosine peak=3e-4 steps=2'", False),
        ("plan LAW --steps 24000 --schedule 'cosine peak=3e-4 steps=12e9'", False),
        ("forecast LAW --schedule 'cosine peak=3e-4 warmup=1e9 steps=12e9'", False),
        ("forecast LAW PLAN", True),
    ],
)
def test_other_units_are_refused_with_what_the_command_takes(
    command: str, flag: bool, law: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("step,lr\n5e8,3e-4\n12e9,3e-5\n")
    words = [{"LAW": law, "PLAN": str(plan)}.get(word, word) for word in shlex.split(command)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert ("--step-scale" in said) == flag
    assert ("Say them as the fitted logs do" in said) != flag
    if flag:
        assert main([*words, "--step-scale", "2e-6", "--warmup-steps", "1000"]) == 0


@pytest.mark.parametrize(
    ("schedule", "told"), [("cosine peak=3e-4 end=3e-5 steps=24000", True), ("constant", False)]
)
def test_a_baseline_says_that_it_does_not_see_a_decay(
    schedule: str,
    told: bool,
    synthetic: Callable[..., Run],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = str(tmp_path / "law.json")
    fit([synthetic("constant", steps=STEPS)], "intrinsic-time").save(path)
    words = schedule if told else "constant peak=3e-4 steps=48000"
    assert main(["forecast", path, "--schedule", words]) == 0
    assert ("knows no answer to a falling rate" in capsys.readouterr().out) == told


def test_wrong_kinds_of_arguments_are_named(law: str) -> None:
    found, words = FittedLaw.load(law), "cosine peak=3e-4 steps=24000"
    run = Run(STEPS, np.full(len(STEPS), 3e-4))
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: found.predict(words, []), "`steps` is empty"),
        (lambda: found.predict(words, [[24000.0]]), "`steps` must have 0 or 1"),
        (lambda: so_far(found, run, None), "`plan` is needed"),  # type: ignore[arg-type]
        (lambda: so_far(found, run, read_schedule(words)), "where it ends"),  # type: ignore[arg-type]
        (lambda: so_far(found, "a.csv", words), "no file 'a.csv'"),
        (lambda: so_far(found, 5, words), "`log` must be a Run"),
        (lambda: so_far(law, run, words), "`law` must be a FittedLaw"),  # type: ignore[arg-type]
        (lambda: best_schedule(law, 9), "`law` must be a FittedLaw"),  # type: ignore[arg-type]
        (lambda: found.score("a.csv"), "no file 'a.csv'"),
        (lambda: found.score(5), "`run` must be a Run"),
        (lambda: read_schedule(5), "not 5"),  # type: ignore[arg-type]
        (lambda: read_run(law, schedule=5), "not 5"),  # type: ignore[arg-type]
        (lambda: read_run(None), "by its path, not None"),  # type: ignore[arg-type]
        (lambda: read_sizes(None), "by its path, not None"),  # type: ignore[arg-type]
        (lambda: found.save(None), "by its path, not None"),  # type: ignore[arg-type]
        (lambda: Run.of(None), "`curve` must be a Curve"),  # type: ignore[arg-type]
        (lambda: Table((0, 9, 5), (1, 1, 1)), "9 then 5"),
    ]
    for call, said in calls:
        with pytest.raises(ValueError, match=said):
            call()


def test_a_baseline_that_misses_a_decay_is_no_wrong_column(synthetic: Callable[..., Run]) -> None:
    found = fit([synthetic(name, steps=STEPS) for name in ("constant", "stage")], "intrinsic-time")
    told = [text for text in found.warnings if "misses" in text]
    assert told
    assert all(
        "'intrinsic-time' knows no answer to a rate that changes; fit fsl" in t for t in told
    )


def test_a_validation_loss_said_to_be_averaged_is_pointed_out(
    synthetic: Callable[..., Run], tmp_path: Path
) -> None:
    run = synthetic("stage", steps=STEPS)
    for name, said in (("val_loss", True), ("loss", False)):
        rows = np.column_stack([run.steps, run.lr, run.measured()])
        np.savetxt(tmp_path / "a.csv", rows, "%.9g", ",", header=f"step,lr,{name}", comments="")
        notes = " ".join(read_run(tmp_path / "a.csv", averaged="window").notes)
        assert ("measured at its own step" in notes) == said


def test_tokens_beside_steps_and_a_count_that_began_again_are_named(
    synthetic: Callable[..., Run],
) -> None:
    steps = np.arange(200.0, 24_001.0, 200.0)
    run, other = (
        synthetic(name, steps=steps, seed=k) for k, name in enumerate(("cosine", "stage"))
    )
    lr = run.lr * np.minimum(steps / 1000, 1)
    tokens = Run(5e5 * steps, lr, run.measured(), label="tok")
    with pytest.raises(
        ValueError, match=r"tok goes on to step 1\.2e\+10, stage to 24,000: another unit"
    ):
        fit([other, tokens])
    parts = steps <= 10_000, steps > 10_000
    first = Run(steps[parts[0]], lr[parts[0]], run.measured()[parts[0]], label="first")
    again = Run(steps[parts[1]] - 10_000, lr[parts[1]], run.measured()[parts[1]], label="again")
    told = "again begins with the rate and the loss at which first ends.* Add 10000 to its steps"
    with pytest.raises(ValueError, match=told):
        fit([first, again])
    right = Run(again.steps + 10_000, again.lr, again.measured(), label="again")
    assert max(fit([first, right]).in_sample.values()) < 2e-3


def test_a_curve_written_by_predict_is_a_log(tmp_path: Path) -> None:
    rows = [f"{s:g},{1e3 * s:g},{2 + 30 * s**-0.5:.6g}" for s in STEPS]
    (tmp_path / "curve.csv").write_text("\n".join(["step,flops,risk", *rows]))
    found = read_run(tmp_path / "curve.csv", lr=0.1)
    assert np.array_equal(found.steps, STEPS)
    assert found.measured()[0] == pytest.approx(2 + 30 * STEPS[0] ** -0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("factor", "said"),
    [
        pytest.param(
            *(4.0, "4 times below those to step 12,000, at once: summed over 4 accumulation steps"),
            marks=pytest.mark.slow,
        ),
        (0.5, "2 times above those to step 12,000, at once: summed over 2 accumulation steps"),
        (1 / np.log(2), "1.443 times below those to step 12,000, at once: nats on one side"),
    ],
)
def test_a_unit_that_changes_within_a_log_is_named_with_its_step(
    synthetic: Callable[..., Run], factor: float, said: str
) -> None:
    # sums over micro-steps, or bits, to step 12,000 and means in nats after it
    run = synthetic("cosine", steps=STEPS)
    loss = run.measured() * np.where(STEPS <= 12_000, factor, 1.0)
    mixed = Run(STEPS, run.lr, loss, run.warmup_steps, "mixed")
    with pytest.raises(ValueError, match="from step 12,250 on its losses lie " + said):
        fit(mixed)
    mended = loss / np.where(STEPS <= 12_000, factor, 1.0)
    assert fit(Run(STEPS, run.lr, mended, run.warmup_steps), "mpl").noise < 1e-2


def test_a_drop_of_the_rate_is_no_change_of_unit(synthetic: Callable[..., Run]) -> None:
    for name in ("stage", "cosine", "constant"):
        run = synthetic(name, steps=STEPS)
        noise = 0.03 * np.random.default_rng(0).standard_normal(len(STEPS))
        for loss in (run.measured(), run.measured() * np.exp(noise), run.measured() * 1.3):
            assert not changes_unit(Run(STEPS, run.lr, loss))


def test_a_run_that_goes_on_in_another_unit_is_told_where(synthetic: Callable[..., Run]) -> None:
    run = synthetic("wsd", noise=3e-3)
    early = run.steps < 12_000
    one = Run(run.steps[early], run.lr[early], run.measured()[early], 1000.0, "one")
    two = Run(run.steps[~early], run.lr[~early], run.measured()[~early] / 2, label="two")
    said = "two goes on where one ends, and from step 12,.* 2 times below .*summed over 2"
    with pytest.raises(ValueError, match=said):
        fit([one, two])


def test_a_run_so_far_in_thousands_of_steps_says_the_scale(synthetic: Callable[..., Run]) -> None:
    law = fit([synthetic(name, steps=STEPS) for name in ("constant", "stage")], "mpl")
    run = synthetic("cosine", steps=STEPS)
    log = Run(run.steps[:50] / 1000, run.lr[:50], run.measured()[:50])
    words = "cosine peak=3e-4 end=3e-5 warmup=1000 steps=24000"
    with pytest.raises(ValueError, match=r"count 1000 of the schedule's.*--step-scale 1000"):
        so_far(law, log, words)
