"""Logs are read right or refused with the row and the remedy: never quietly misread."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import read_run, read_sizes
from hidim.fitting.logs.readers import parse_columns

ROWS = [(100 * i, 1e-3, 3.0 - 0.01 * i) for i in range(1, 30)]


def csv(path: Path, rows: list[tuple[object, ...]], header: str = "step,lr,loss") -> Path:
    lines = [header, *(",".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_csv(tmp_path: Path) -> None:
    run = read_run(csv(tmp_path / "a.csv", ROWS), warmup_steps=50)
    assert run.label == "a"
    assert run.steps[0] == 100
    assert run.measured()[-1] == pytest.approx(2.71)
    assert run.notes == ()


def test_every_format_gives_the_same_run(tmp_path: Path) -> None:
    expected = read_run(csv(tmp_path / "a.csv", ROWS))
    records = [{"step": s, "learning_rate": r, "loss": y} for s, r, y in ROWS]
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, records)))
    state = {"log_history": [*records, {"step": 3000, "eval_loss": 2.0}]}
    (tmp_path / "trainer_state.json").write_text(json.dumps(state))
    (tmp_path / "c.tsv").write_text(
        "step\tlr\tloss\n" + "\n".join(f"{s}\t{r}\t{y}" for s, r, y in ROWS)
    )
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    lines = [json.dumps({"step": s, "lr": r, "train_loss": y, "tokens": 9}) for s, r, y in ROWS]
    (folder / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 30')
    write_events(tmp_path / "events.out.tfevents.1", ROWS)
    wandb = [(i, s, r, y, y - 1, y + 1) for i, (s, r, y) in enumerate(ROWS)]
    csv(
        tmp_path / "wandb.csv",
        wandb,
        '"","Step","a - lr","a - train/loss","a - train/loss__MIN","a - train/loss__MAX"',
    )
    names = ("b.jsonl", "trainer_state.json", "c.tsv", "run", "events.out.tfevents.1", "wandb.csv")
    for name in names:
        run = read_run(tmp_path / name, averaged="no")
        assert np.array_equal(run.steps, expected.steps), name
        # TensorBoard keeps float32
        assert np.allclose(run.measured(), expected.measured(), rtol=1e-6), name
        assert np.allclose(run.lr, expected.lr, rtol=1e-6), name


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    steps, lr, loss = zip(*ROWS, strict=True)
    parquet.write_table(
        arrow.table({"_step": steps, "lr": lr, "train/loss": loss}), tmp_path / "a.parquet"
    )
    assert read_run(tmp_path / "a.parquet").measured()[0] == pytest.approx(2.99)


def write_events(path: Path, rows: list[tuple[float, float, float]]) -> None:
    """A TensorBoard file by the format's definition: framed protocol-buffer messages."""

    def varint(n: int) -> bytes:
        out = b""
        while n > 127:
            out, n = out + bytes([n & 127 | 128]), n >> 7
        return out + bytes([n])

    def block(field: int, data: bytes) -> bytes:
        return varint(field << 3 | 2) + varint(len(data)) + data

    with path.open("wb") as stream:
        for step, lr, loss in rows:
            values = b""
            for tag, number in (("lr", lr), ("train/loss", loss)):
                scalar = varint(2 << 3 | 5) + struct.pack("<f", number)
                values += block(1, block(1, tag.encode()) + scalar)
            event = varint(1 << 3 | 1) + struct.pack("<d", 0.0)
            event += varint(2 << 3) + varint(int(step)) + block(5, values)
            stream.write(struct.pack("<Q", len(event)) + b"\0" * 4 + event + b"\0" * 4)


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (list(reversed(ROWS)), "step,lr,loss", "goes back"),
        (ROWS + ROWS, "step,lr,loss", "starts again"),
        ([*ROWS, (2900, 1e-3, 1.0)], "step,lr,loss", "repeats"),
        ([*ROWS[:9], (1000, 1e-3, "nan"), *ROWS[10:]], "step,lr,loss", "row 11"),
        ([*ROWS, (3000, 1e-3)], "step,lr,loss", "truncated"),
        ([*ROWS, (3000, "1e-3x", 2.0)], "step,lr,loss", "not a number"),
        ([*ROWS, *((3000 + 100 * i, "", 2.0) for i in range(5))], "step,lr,loss", "no lr at step"),
        ([], "step,lr,loss", "no rows"),
        (ROWS, "1,2,3", "no header"),
        (ROWS, "step,lr,accuracy", "no column for the loss"),
        (ROWS, "step,rate,loss", "no column for the learning rate"),
        (ROWS, "epoch,lr,loss", "no column for the optimizer step"),
        (ROWS, "step,loss,loss", "twice"),
        ([(s, r, -y) for s, r, y in ROWS], "step,lr,loss", "positive"),
        ([(s, -r, y) for s, r, y in ROWS], "step,lr,loss", "negative"),
        ([(s, 0, y) for s, r, y in ROWS], "step,lr,loss", "positive somewhere"),
    ],
)
def test_hostile_file_is_refused(
    tmp_path: Path, rows: list[tuple[object, ...]], header: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read_run(csv(tmp_path / "a.csv", rows, header))


def test_shuffled_rows_are_refused(tmp_path: Path) -> None:
    order = np.random.default_rng(0).permutation(len(ROWS))
    with pytest.raises(ValueError, match="goes back"):
        read_run(csv(tmp_path / "a.csv", [ROWS[i] for i in order]))


def test_exact_repeats_and_rows_without_loss_are_left_out_and_told(tmp_path: Path) -> None:
    rows = [*ROWS[:5], ROWS[4], *ROWS[5:], (3000, 1e-3, "")]
    run = read_run(csv(tmp_path / "a.csv", rows))
    assert len(run.steps) == len(ROWS)
    assert len(run.notes) == 2
    late = read_run(csv(tmp_path / "b.csv", [*ROWS, (3000, "", 2.0)]))
    assert len(late.steps) == len(ROWS)
    assert "before or after all rates" in late.notes[0]


def test_a_trainers_steps_are_preferred_to_those_of_the_logger(tmp_path: Path) -> None:
    records = [
        {"_step": i, "train/global_step": s, "lr": r, "train/loss": y}
        for i, (s, r, y) in enumerate(ROWS)
    ]
    path = tmp_path / "history.jsonl"
    path.write_text("\n".join(map(json.dumps, records)))
    run = read_run(path)
    assert run.steps[0] == 100
    assert "not '_step'" in run.notes[0]
    assert read_run(path, columns={"step": "_step"}).steps[0] == 0


def test_blank_losses_of_a_run_to_predict_are_left_out(tmp_path: Path) -> None:
    rows = [(s, r, "" if s == 500 else y) for s, r, y in ROWS]
    run = read_run(csv(tmp_path / "a.csv", rows), loss="optional")
    assert len(run.measured()) == len(ROWS) - 1
    assert len(run.notes) == 1
    blank = [(s, r, "") for s, r, _ in ROWS]
    run = read_run(csv(tmp_path / "b.csv", blank), loss="optional")
    assert run.loss is None
    assert len(run.steps) == len(ROWS)


def test_several_runs_in_one_export_are_refused(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", [(1, 2, 3, 4)], "Step,a - lr,a - loss,b - loss")
    with pytest.raises(ValueError, match="several"):
        read_run(path)


@pytest.mark.parametrize("second", [1, 8])
def test_two_runs_sorted_into_one_log_are_refused(tmp_path: Path, second: int) -> None:
    steps = np.arange(2160, 24_000, 128)
    cosine = 1.65e-4 + 1.35e-4 * np.cos(np.pi * steps / 24_000)
    rows = [(s, r, 3.0) for s, r in zip(steps, cosine, strict=True)]
    rows += [(s + 16, 3e-4, 3.1) for s in steps[::second]]
    with pytest.raises(ValueError, match="several runs in one file"):
        read_run(csv(tmp_path / "a.csv", sorted(rows)))


def test_restarts_and_cycles_are_one_run(tmp_path: Path) -> None:
    steps = np.arange(1, 401)
    saw, wave = 1e-3 * (1 - steps % 40 / 50), np.where(steps // 10 % 2, 1e-3, 1e-4)
    for lr in (saw, wave, 1e-3 * np.abs(np.sin(steps / 20))):
        run = read_run(
            csv(tmp_path / "a.csv", [(s, r, 3.0) for s, r in zip(steps, lr, strict=True)])
        )
        assert len(run.rate.events().steps) < 10_000


def test_missing_empty_and_foreign_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file"):
        read_run(tmp_path / "none.csv")
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(ValueError, match="empty"):
        read_run(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_bytes(bytes(range(128, 256)))
    with pytest.raises(ValueError, match="not a text file"):
        read_run(tmp_path / "b.csv")
    (tmp_path / "trainer_state.json").write_text('{"log_history": [{"step": 1')
    with pytest.raises(ValueError, match="truncated"):
        read_run(tmp_path / "trainer_state.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="no metrics"):
        read_run(tmp_path / "folder")


def test_column_names_can_be_given(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", ROWS, "it,rate,ppl")
    columns = parse_columns("step=it,lr=rate,loss=ppl")
    assert len(read_run(path, columns=columns).steps) == len(ROWS)
    with pytest.raises(ValueError, match="no column 'x'"):
        read_run(path, columns={**columns, "lr": "x"})
    with pytest.raises(ValueError, match="two roles"):
        read_run(path, columns={**columns, "lr": "ppl"})
    with pytest.raises(ValueError, match="must read"):
        parse_columns("it,rate")


def test_rows_before_the_end_of_the_warm_up_follow_it(tmp_path: Path) -> None:
    late = read_run(csv(tmp_path / "a.csv", ROWS[4:]), warmup_steps=500)
    for first in ([(0, 1e-3, 9.0)], [(1, 1e-3, 9.0)], ROWS[:4]):
        run = read_run(csv(tmp_path / "b.csv", [*first, *ROWS[4:]]), warmup_steps=500)
        at = np.array([0.0, 100.0, 700.0, 2900.0])
        assert np.allclose(run.rate.time(at), late.rate.time(at), rtol=1e-12)
        assert run.rate.ready_step == 500
        assert "follow the warm-up" in run.notes[0]


def test_a_log_that_holds_its_warm_up_gets_no_second_one(tmp_path: Path) -> None:
    rows = [(s, r * min(s / 500, 1), y) for s, r, y in ROWS]
    # Of several logs one may hold the warm-up that the flag tells the others.
    run = read_run(csv(tmp_path / "a.csv", rows))
    told = read_run(csv(tmp_path / "a.csv", rows), warmup_steps=500)
    assert np.allclose(told.rate.time(told.steps), run.rate.time(run.steps))
    with pytest.raises(ValueError, match="warmup_steps"):
        read_run(csv(tmp_path / "a.csv", rows), warmup_steps=800)
    with pytest.raises(ValueError, match="warmup_steps"):
        read_run(csv(tmp_path / "a.csv", [(0, 0.0, 9.0), *ROWS[4:]]), warmup_steps=500)


def test_sizes_from_flops(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", [(1e9, 6e19, 3.0), (2e9, 6e19, 2.9)], "params,flops,loss")
    table = read_sizes(path)
    assert table.inputs[1][0] == pytest.approx(1e10)
    assert len(table.without_highest(1).loss) == 1
    with pytest.raises(ValueError, match="tokens"):
        read_sizes(csv(tmp_path / "b.csv", [(1, 2)], "params,loss"))


def test_a_hidim_run_brings_its_rate_and_takes_another_loss(tmp_path: Path) -> None:
    rows = [
        {"step": t, "tokens": 9 * t, "train_loss": 5 - t / 500, "validation_loss": 3.0, "lr": r}
        for t, r in ((0, 0.05), (1, 0.1), (10, 0.5), (100, 0.49), (500, 0.25), (1000, 0.0))
    ]
    (tmp_path / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run = read_run(tmp_path)
    assert list(run.lr) == [row["lr"] for row in rows]
    run = read_run(tmp_path, columns={"loss": "validation_loss"})
    assert np.all(run.measured() == 3.0)


def test_a_count_that_restarts_is_told_at_once_and_not_sent_to_keep_last(tmp_path: Path) -> None:
    rows = [(s if i < 15 else s - ROWS[14][0], r, y) for i, (s, r, y) in enumerate(ROWS)]
    for how in ("refuse", "keep-last"):
        with pytest.raises(ValueError, match=r"starts again.*steps of the whole run") as error:
            read_run(csv(tmp_path / "a.csv", rows), resumed=how)
        assert "keep-last" not in str(error.value)


def test_rows_of_every_step_are_counted_by_a_scale_of_one(tmp_path: Path) -> None:
    bare = csv(tmp_path / "a.csv", [(r, y) for _, r, y in ROWS], "lr,loss")
    with pytest.raises(ValueError, match="--step-scale N"):
        read_run(bare)
    assert np.array_equal(read_run(bare, step_scale=1).steps, np.arange(1, len(ROWS) + 1))


def test_means_over_epochs_stand_in_the_middle_of_them_whatever_the_scale(tmp_path: Path) -> None:
    rows = [(i, r, y) for i, (_, r, y) in enumerate(ROWS)]
    log = csv(tmp_path / "a.csv", rows, "epoch,lr,loss")
    middle = np.arange(len(ROWS)) + 0.5
    assert np.array_equal(read_run(log).steps, middle)
    assert np.array_equal(read_run(log, step_scale=400).steps, 400 * middle)
