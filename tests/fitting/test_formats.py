"""One run, written as many programs would: every log gives the same rows, and says what it was."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hidim.fitting import Run, read_run, read_runs

WORDS = "wsd peak=3e-4 end=3e-5 warmup=2000 decay=4800 steps=24000"
STEPS = np.arange(400, 24_001, 400)
KNOTS = ([0, 2000, 19_200, 24_000], [0, 3e-4, 3e-4, 3e-5])
LR = np.interp(STEPS, *KNOTS)
LOSS = np.round(2.6 + 30 * STEPS**-0.5 + 200 * (LR - 3e-4), 4)
ROWS = [(int(s), float(r), float(y)) for s, r, y in zip(STEPS, LR, LOSS, strict=True)]


def lines(form: str, head: str = "") -> str:
    """A line per row: {s}, {r}, {y}, and {k} for the row's number."""
    body = [form.format(s=s, r=r, y=y, k=k) for k, (s, r, y) in enumerate(ROWS)]
    return "\n".join([*([head] if head else []), *body]) + "\n"


def records(**names: str) -> list[dict[str, object]]:
    """Records under the names given for step, lr and loss."""
    return [
        {names["step"]: s, **({names["lr"]: r} if "lr" in names else {}), names["loss"]: y}
        for s, r, y in ROWS
    ]


def jsonl(rows: list[dict[str, object]]) -> str:
    return "\n".join(map(json.dumps, rows)) + "\n"


CSV = lines("{s},{r!r},{y}", "step,lr,loss")
MEGATRON = (
    " [2024-01-01 12:00:00] iteration {s:8d}/   24000 | consumed samples: 999 | elapsed time per "
    "iteration (ms): 541.2 | learning rate: {r:.9E} | global batch size:   256 | lm loss: {y:.6E} "
    "| loss scale: 65536.0 | number of skipped iterations:   0 | number of nan iterations:   0 |"
)
TITAN = (
    "[titan] 2025-01-01 00:00:{k:02d},123 - root - INFO - \x1b[31mstep: {s:2}  \x1b[32mloss: "
    "{y:7.4f}  \x1b[33mgrad_norm: 1.2  memory: 3.40GiB(4.1%)  tps: 7,000  mfu: 40.1%\x1b[39m"
)
# name of the file -> its text; whether it holds the rate.
WITH_RATE: dict[str, str] = {
    "a.csv": CSV,
    "a.tsv": lines("{s}\t{r!r}\t{y}", "step\tlr\tloss"),
    "semicolons.csv": lines("{s};{r!r};{y}", "step;lr;loss"),
    "blanks.txt": lines("  {s}   {r!r}  {y}", "step  lr   loss"),
    "comments.dat": "# made by numpy\n" + lines("{s} {r!r} {y}", "# step lr loss"),
    "comments.csv": "# run 7, seed 3\n# cluster\n" + CSV,
    "crlf.csv": CSV.replace("\n", "\r\n"),
    "wandb.csv": lines(
        '"{s}","{r!r}","{y}","{y}","{y}"',
        '"Step","a-1 - train/lr","a-1 - train/loss","a-1 - train/loss__MIN",'
        '"a-1 - train/loss__MAX"',
    ),
    "metrics.csv": lines(",{r!r},{s},\n0,,{s},{y}", "epoch,lr-AdamW,step,train_loss"),
    "litgpt.csv": lines("{k},{s},{r!r},{y},0.1", "iter,step,learning_rate,loss,iter_time"),
    "a.jsonl": jsonl(records(step="step", lr="lr", loss="loss")),
    "nested.jsonl": jsonl(
        [{"step": s, "train": {"loss": y, "lr": r}, "time": {"s": 1.0}} for s, r, y in ROWS]
    ),
    "dotted.jsonl": jsonl(records(step="trainer.global_step", lr="train.lr", loss="train.loss")),
    "olmo.jsonl": jsonl(
        records(step="_step", lr="optim/learning_rate_group0", loss="train/CrossEntropyLoss")
    ),
    "texts.json": json.dumps([{"step": str(s), "lr": str(r), "loss": str(y)} for s, r, y in ROWS]),
    "columns.json": json.dumps({"step": STEPS.tolist(), "lr": LR.tolist(), "loss": LOSS.tolist()}),
    "llmc.log": lines("s:{s} trl:{y} lr:{r!r} norm:1.02"),
    "llmc.out": lines(
        "step {s:7d}/24000 | loss {y:7.6f} (+0.12z)| norm 0.31 (-0.2z)| lr {r!r} | 99.3 ms | 53%"
    ),
    "plain.out": "lr = 3e-4, steps 24,000\n" + lines("Step {s:,}, Loss: {y}, LR: {r!r}, 3.2 it/s"),
    "composer.log": lines(
        "[batch={s}/24000]:\n\t Train time/batch: {k}\n\t Train LearningRate/AdamW: {r!r}\n"
        "\t Train loss/train/total: {y}"
    ),
    "mosaic.csv": lines(
        "k1,train_loss,{y},{s}\nk1,lr,{r!r},{s}", "experimentKey,metricName,metricValue,step"
    ),
    "nemo.log": lines(
        "Training epoch 0, iteration {k}/59 | lr: {r!r} | global_batch_size: 512 | global_step: "
        "{s} | reduced_train_loss: {y} | train_step_timing in s: 3.10"
    ),
    "olmo-core.log": lines(
        "INFO\t[step={s}/24000,epoch=1,eta=3:00:00]\n    optim/LR (group 0)={r!r}\n"
        "    train/CE loss={y}\n    train/PPL=30.1"
    ),
    "pipeline.log": lines(
        "[INFO] [logging.py:96:log_dist] [Rank 0] step={s}, skipped=0, lr=[{r!r}, {r!r}]\n"
        "steps: {s} loss: {y} iter time (s): 0.930 samples/sec: 8.500"
    ),
    "np.log": lines("step {s} | loss: np.float64({y}) | lr=tensor({r!r})"),
    "brackets.txt": lines("[{s}/24000] train loss = {y} lr = {r!r}"),
    # The step last, in a record or a block: what stands before it is its own.
    "pprint.log": lines("{{'epoch': 0,\n 'loss': {y},\n 'lr': {r!r},\n 'step': {s}}}"),
    "yaml.log": lines("- loss: {y}\n  lr: {r!r}\n  step: {s}"),
    "rules.log": lines("loss: {y}\nlr: {r!r}\nstep: {s}\n----------"),
    "paragraphs.log": lines("loss = {y}\nlr = {r!r}\niteration = {s}\n"),
    # Counts beside a share, of an epoch, in thousands.
    "accelerate.log": lines(
        "Steps:   2%|# | {s}/24000 [00:12<1:00:00,  1.9it/s, lr={r!r}, step_loss={y}]"
    ),
    "openrlhf.log": lines(
        "Train epoch [1/1]:   2%|2   | {s}/24000 [00:10<01:00,  1.1it/s, gpt_loss={y}, "
        "loss_mean=9.0, lr={r!r}]"
    ),
    "thousands.log": "".join(f"step: {s / 1000:g}k, loss: {y}, lr: {r!r}\n" for s, r, y in ROWS),
    "llama-recipes.log": lines(
        "Epoch: 1/1, step {s}/24000 completed (loss: {y}):   2%|# | 9/99 [00:10<01:00], lr {r!r}"
    ),
    "arrows.log": lines("step {s} => loss => {y}, lr -> {r!r}"),
    "tensors.log": lines("step {s} loss tensor({y}, device='cuda:0') lr [{r!r}]"),
    "initial.log": "Initial loss: 10.9\n"
    + lines("step {s}\nloss {y} lr {r!r}")
    + "step 24001 saving\n",
    "in-turn.log": lines("lr: {r!r}\nstep: {s}, loss: {y}"),
    "at-step.log": lines("Loss at step {s}: {y} (lr: {r!r})"),
    "counts.log": lines("Train: [0/300][{s}/24000]\teta 0:10:00 lr {r!r}\t loss {y} (9.0)"),
    "batches.log": lines("Batch {s}/24000, Loss: {y}, LR: {r!r}"),
    "tabs.log": lines("{s}\tloss\t{y}\tlr\t{r!r}"),
    "counted.log": lines("After {s} steps: loss {y}, lr {r!r}"),
    "perplexities.log": "".join(
        f"step {s} ppl {np.exp(y)!r} lr {r!r}\n".replace("np.float64(", "").replace(")", "")
        for s, r, y in ROWS
    ),
    "bytes.log": lines("step {s} bpb {y} lr {r!r}"),
    "messages.jsonl": jsonl([{"msg": f"step {s} loss {y} lr {r!r}"} for s, r, y in ROWS]),
    "evals.log": lines("step {s} loss {y} lr {r!r}\n  eval | loss 9.0"),
    "bars.txt": lines("{s} | {y} | {r!r}", "step | loss | lr"),
    "again.csv": CSV.replace("\n800,", "\nstep,lr,loss\n800,"),
    "camel.csv": CSV.replace("step,lr,loss", "globalStep,learningRate,trainLoss"),
    "title.csv": "Run 7 of the project\nseed: 3\n\n" + CSV + "# end of the log\n",
    "sheet.csv": lines("{s},{r!r},{y},", "Run 7,,,\nstep,lr,loss,"),
    "units.csv": lines(
        "{s},{r!r},{y}", "Step [iterations],Learning rate (-),Training loss [nats/token]"
    ),
    "factors.csv": "steps (k),lr (1e-4),bits_per_byte\n"
    + "".join(f"{s / 1000!r},{r * 1e4!r},{y}\n" for s, r, y in ROWS),
    "composer.csv": lines("{s},{y},{r!r}", "time/batch,loss/train/total,lr-AdamW/group0"),
    "times.txt": lines("{s} {y} {r!r} 00:12", "step train_loss lr time"),
    "eval.json": json.dumps(
        {"log_history": [{"step": s, "eval_loss": y, "learning_rate": r} for s, r, y in ROWS]}
    ),
    "logarithms.csv": "step,log10_lr,ln_loss\n"
    + "".join(f"{s},{np.log10(r):.12f},{np.log(y):.12f}\n" for s, r, y in ROWS),
    "neptune.csv": lines("train/loss,{s},{y}\ntrain/lr,{s},{r!r}", "attribute_path,step,value"),
    "clearml.csv": lines("t,loss,{s},{y}\nt,lr,{s},{r!r}", "metric,variant,iteration,value"),
    "by_metric.json": json.dumps(
        [{"metricName": "train_loss", "metricValue": y, "step": s} for s, _, y in ROWS]
        + [{"metricName": "lr", "metricValue": r, "step": s} for s, r, _ in ROWS]
    ),
    "indented.jsonl": "\n".join(
        json.dumps({"step": s, "lr": r, "loss": y}, indent=1) for s, r, y in ROWS
    ),
    "prefixed.jsonl": lines('data: {{"step": {s}, "loss": {y}, "lr": {r!r}}}'),
    "unclosed.json": "[" + ",\n".join(map(json.dumps, records(step="step", lr="lr", loss="loss"))),
    "python.jsonl": "\n".join(str({"step": s, "lr": r, "loss": y}) for s, r, y in ROWS),
    "by_step.json": json.dumps({str(s): {"lr": r, "loss": y} for s, r, y in ROWS}),
    "pandas.json": json.dumps(
        {
            name: {str(i): row[k] for i, row in enumerate(ROWS)}
            for k, name in enumerate(("step", "lr", "loss"))
        }
    ),
    "split.json": json.dumps(
        {"columns": ["step", "lr", "loss"], "index": list(range(len(ROWS))), "data": ROWS}
    ),
    "pairs.json": json.dumps(
        {"loss": [[s, y] for s, _, y in ROWS], "lr": [[s, r] for s, r, _ in ROWS]}
    ),
    "clearml.json": json.dumps(
        {
            "train": {
                "loss": {"name": "loss", "x": STEPS.tolist(), "y": LOSS.tolist()},
                "lr": {"name": "lr", "x": STEPS.tolist(), "y": LR.tolist()},
            }
        }
    ),
    "settings.json": json.dumps(
        {
            "config": {"lr": 3e-4},
            "metrics": {"step": STEPS.tolist(), "lr": LR.tolist(), "loss": LOSS.tolist()},
        }
    ),
}
WITHOUT_RATE: dict[str, str] = {
    "loss.csv": lines("{s},{y}", "step,loss"),
    "wandb_loss.csv": lines(
        '"{s}","{y}","{y}","{y}"',
        '"Step","swift-fog-12 - train/loss","swift-fog-12 - train/loss__MIN",'
        '"swift-fog-12 - train/loss__MAX"',
    ),
    "tensorboard.csv": lines("17000000{s:06}.1,{s},{y}", "Wall time,Step,Value"),
    "nanogpt.log": "step 0: train loss 10.9312, val loss 10.9300\n"
    + lines("iter {s}: loss {y}, time 1099.34ms, mfu 15.34%"),
    "modded.log": "import torch\nclass Muon: pass\n"
    + lines("step:{s}/24000 val_loss:{y} train_time:{k}0ms step_avg:95.11ms"),
    "titan.log": lines(TITAN),
    "nanochat.log": lines(
        "step {s:05d}/24000 (0.1%) | loss: {y} | lrm: 1.00 | dt: 300.20ms | tok/sec: 1,000,000"
    ),
    "olmo.log": lines("INFO [step={s}/24000]\n    train/CrossEntropyLoss={y}\n    train/ppl=9.1"),
    "litgpt.log": lines(
        "Epoch 1 | iter {k} step {s} | loss train: {y}, val: n/a | iter time: 300 ms (step) "
        "remaining time: 1:00:00"
    ),
    "bars.log": lines("  1%|      | {s}/24000 [00:12<19:48,  8.33it/s, v_num=0, train_loss={y}]"),
    "tensorboard.json": json.dumps([[1.7e9, s, y] for s, _, y in ROWS]),
    "levanter.log": lines("Progress on:train {s}it/24.0kit rate:1.3it/s postfix:loss={y}"),
    "bars-k.log": "".join(
        f"  2%|#  | {s / 1000:g}k/24.0k [00:10<10:00, 3.1it/s, loss={y}]\n" for s, _, y in ROWS
    ),
    "build-nanogpt.txt": lines("{s} val 9.9\n{s} hella 0.2455\n{s} train {y}"),
    "carriage.log": lines("iter {s}: loss {y}, time 1ms").replace("\n", "\r"),
}


def check(run: Run) -> None:
    assert np.array_equal(run.steps, STEPS)
    assert np.allclose(run.measured(), LOSS, rtol=1e-6)
    assert np.allclose(run.lr, LR, rtol=1e-3, atol=3e-7)
    assert run.rate.ready_step == pytest.approx(2000, abs=1)


@pytest.mark.parametrize("name", WITH_RATE)
def test_a_log_with_its_rate_is_read_as_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(WITH_RATE[name], newline="")
    check(read_run(tmp_path / name))


@pytest.mark.parametrize("name", WITHOUT_RATE)
def test_a_log_without_its_rate_takes_a_schedule_in_words(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(WITHOUT_RATE[name], newline="")
    check(read_run(tmp_path / name, schedule=WORDS))
    with pytest.raises(ValueError, match="--schedule"):
        read_run(tmp_path / name)


def packed(name: str) -> bytes:
    """The bytes of a log under each way to keep text."""
    if name.endswith(".gz"):
        text = WITH_RATE["a.jsonl"] if "jsonl" in name else CSV
        return gzip.compress(text.encode())
    if name.endswith(".zst"):
        return pytest.importorskip("zstandard").compress(CSV.encode())
    return CSV.encode("utf-16" if "16" in name else "utf-8-sig")


@pytest.mark.parametrize(
    "name", ["a.csv.gz", "a.jsonl.gz", "log.gz", "a.csv.zst", "16.csv", "bom.csv"]
)
def test_packed_and_encoded_text_is_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(packed(name))
    check(read_run(tmp_path / name))


def centred(name: str, text: str, path: Path) -> Run:
    (path / name).write_text(text)
    return read_run(
        path / name, schedule=WORDS if "lr" not in text and "learn" not in text else None
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "trainer_state.json",
            json.dumps(
                {
                    "log_history": [
                        *records(step="step", lr="learning_rate", loss="loss"),
                        {"step": 24_000, "train_loss": 3.0},
                    ]
                }
            ),
        ),
        (
            "stdout.log",
            lines(
                "  3%|      | {s}/24000 [00:12<19:48,  8.33it/s]{{'loss': {y}, 'grad_norm': 1.2, "
                "'learning_rate': {r!r}, 'epoch': 0.01}}\n  3%|   | {s}/24000 [00:12<9:48, 8it/s]"
            ),
        ),
        (
            "late_bar.log",
            lines(
                "{{'loss': '{y}', 'learning_rate': '{r!r}', 'epoch': '0.01'}}\n"
                "  3%|      | {s}/24000 [00:12<19:48,  8.33it/s]"
            ),
        ),
        (
            "early_bar.log",  # one bar a row, left by a filter: each stands above its own
            lines(
                "  3%|      | {s}/24000 [00:12<19:48,  8.33it/s]\n"
                "{{'loss': '{y}', 'learning_rate': '{r!r}', 'epoch': '0.01'}}"
            ),
        ),
        ("megatron.log", lines(MEGATRON)),
        (
            "mlx.log",
            lines(
                "Iter {s}: Train loss {y}, Learning Rate {r:.6e}, It/sec 1.200, Tokens/sec 100.1"
            ),
        ),
        (
            "fairseq.log",
            lines(
                '2023-01-01 00:00:00 | INFO | train_inner | {{"epoch": 1, "update": 0.01, "loss": '
                '"{y}", "ppl": "1100", "num_updates": "{s}", "lr": "{r!r}"}}'
            ),
        ),
    ],
)
def test_means_since_the_row_before_stand_in_the_middle(
    name: str, text: str, tmp_path: Path
) -> None:
    run = centred(name, text, tmp_path)
    assert np.allclose(run.steps, STEPS - 399 / 2)
    assert np.allclose(run.measured(), LOSS, rtol=1e-6)
    fine = np.linspace(0, 23_000, 23_001)
    time = np.trapezoid(np.interp(fine, *KNOTS), fine)
    assert float(run.rate.time(np.array(23_000.0))) == pytest.approx(time, rel=1e-4)
    assert any("middle" in note for note in run.notes)
    plain = read_run(tmp_path / name, averaged="no")
    assert np.array_equal(plain.steps, STEPS)


def test_two_exports_of_one_run_are_joined_by_its_name(tmp_path: Path) -> None:
    head = '"Step","{0} - train/loss","b - train/loss"'
    (tmp_path / "loss.csv").write_text(lines("{s},{y},{y}", head.format("a")))
    (tmp_path / "lr.csv").write_text(lines("{s},0.1,{r!r}", '"Step","b - lr","a - lr"'))
    first, second = read_runs([tmp_path / "loss.csv", tmp_path / "lr.csv"])
    check(first)
    assert np.all(second.lr == 0.1)
    assert (first.label, second.label) == ("loss a", "loss b")


def test_a_rate_exported_at_other_steps_is_read_straight_between_them(tmp_path: Path) -> None:
    (tmp_path / "loss.csv").write_text(WITHOUT_RATE["loss.csv"])
    steps = np.arange(0, 24_001, 240)
    body = "\n".join(
        f"{s},{r!r}" for s, r in zip(steps, np.interp(steps, *KNOTS).tolist(), strict=True)
    )
    (tmp_path / "lr.csv").write_text(f"Step,run - lr\n{body}\n")
    (run,) = read_runs([tmp_path / "loss.csv", tmp_path / "lr.csv"])
    assert np.array_equal(run.steps, STEPS)
    assert np.allclose(run.lr, LR, atol=1e-5)  # it bends at step 2,000, between two of its own
    assert any("straight between" in note for note in run.notes)


def test_one_export_of_several_runs_comes_apart(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(
        lines("{s},{y},{r!r},{y},{r!r}", "Step,a - loss,a - lr,b - loss,b - lr")
    )
    long = "".join(f"{run},{s},{r!r},{y}\n" for run in ("a", "b") for s, r, y in ROWS)
    (tmp_path / "long.csv").write_text(f"run,step,lr,loss\n{long}")
    for name in ("wide", "long"):
        runs = read_runs(tmp_path / f"{name}.csv")
        assert [run.label for run in runs] == [f"{name} a", f"{name} b"]
        check(runs[0])
        check(read_run(tmp_path / f"{name}.csv", run="b"))
        with pytest.raises(ValueError, match="several runs"):
            read_run(tmp_path / f"{name}.csv")


@pytest.mark.parametrize("kind", ["table", "printed"])
def test_a_resumed_run_keeps_what_it_logged_last(kind: str, tmp_path: Path) -> None:
    before = [(s, r, y + 0.5 * (s > 8000)) for s, r, y in ROWS if s <= 12_000]
    rows = [*before, *(row for row in ROWS if row[0] > 8000)]
    form = "{},{!r},{}" if kind == "table" else "step {} | lr {!r} | loss {}"
    head = ["step,lr,loss"] if kind == "table" else []
    (tmp_path / "a.txt").write_text("\n".join([*head, *(form.format(*row) for row in rows)]) + "\n")
    with pytest.raises(ValueError, match="--resumed keep-last"):
        read_run(tmp_path / "a.txt")
    run = read_run(tmp_path / "a.txt", resumed="keep-last")
    check(run)
    assert "10 earlier row(s)" in run.notes[0]


def test_a_table_upside_down_is_to_be_sorted(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    rows = [f"{step},1e-3,{3 + 1 / step:.6f}" for step in range(4000, 0, -100)]
    path.write_text("\n".join(["step,lr,loss", *rows]))
    for resumed in ("refuse", "keep-last"):
        with pytest.raises(ValueError, match="Sort its rows by step"):
            read_run(path, resumed=resumed)


def test_a_counter_that_starts_again_is_no_resumed_run(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV + lines("{s},{r!r},{y}"))
    with pytest.raises(ValueError, match="starts again"):
        read_run(tmp_path / "a.csv", resumed="keep-last")


@pytest.mark.parametrize(
    ("rows", "fine"), [([20], True), ([20, 40], True), ([20, 21, 22, 23], False), ([59], False)]
)
def test_isolated_nan_are_left_out_and_counted(rows: list[int], fine: bool, tmp_path: Path) -> None:
    broken = CSV.splitlines()
    for row in rows:
        broken[row + 1] = f"{STEPS[row]},3e-4,nan"
    (tmp_path / "a.csv").write_text("\n".join(broken))
    with pytest.raises(ValueError, match="--drop-nan"):
        read_run(tmp_path / "a.csv")
    if not fine:
        with pytest.raises(ValueError, match="diverged"):
            read_run(tmp_path / "a.csv", drop_nan=True)
        return
    run = read_run(tmp_path / "a.csv", drop_nan=True)
    assert len(run.steps) == 60 - len(rows)
    assert f"{len(rows)} row(s) with NaN" in run.notes[0]


def test_ranks_and_micro_steps_of_every_step_are_averaged(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "step,lr,loss\n" + "".join(f"{s},{r!r},{y + d}\n" for s, r, y in ROWS for d in (-0.1, 0.1))
    )
    run = read_run(tmp_path / "a.csv")
    check(run)
    assert "2 losses a step" in run.notes[0]


@pytest.mark.parametrize(
    ("scale", "columns"), [({"step_scale": 0.125}, (8, 1)), ({"loss_scale": 0.125}, (1, 8))]
)
def test_steps_and_losses_are_scaled_as_told(
    scale: dict[str, float], columns: tuple[int, int], tmp_path: Path
) -> None:
    a, b = columns
    (tmp_path / "a.csv").write_text(
        "step,loss\n" + "".join(f"{a * s},{b * y:.6f}\n" for s, _, y in ROWS)
    )
    check(read_run(tmp_path / "a.csv", schedule=WORDS, **scale))
    with pytest.raises(ValueError, match=r"0\.125"):
        read_run(tmp_path / "a.csv", schedule=WORDS, vocabulary=64)


def test_rows_without_steps_are_counted_where_a_scale_says_what_a_row_is(tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(lines("{{'loss': {y}, 'learning_rate': {r!r}, 'epoch': 0.1}}"))
    with pytest.raises(ValueError, match="--step-scale"):
        read_run(tmp_path / "a.log")
    check(read_run(tmp_path / "a.log", step_scale=400, averaged="no"))


def test_printed_epochs_stand_for_steps_where_a_scale_says_how_many(tmp_path: Path) -> None:
    told = "".join(
        f"{{'loss': {y:.6f}, 'learning_rate': {r!r}, 'epoch': {s / 1000}}}\n" for s, r, y in ROWS
    )
    (tmp_path / "a.log").write_text(told)
    (tmp_path / "a.jsonl").write_text(told.replace("'", '"'))
    (tmp_path / "b.log").write_text("loss: 9.5\n" + told)  # a line of its own, without an epoch
    for name in ("a.log", "b.log", "a.jsonl"):
        with pytest.raises(ValueError, match=r"epoch.* --columns step=epoch --step-scale STEPS"):
            read_run(tmp_path / name)
        check(read_run(tmp_path / name, columns={"step": "epoch"}, step_scale=1000, averaged="no"))


@pytest.mark.parametrize("per", ["", "/step"])
def test_a_moving_average_is_undone(per: str, tmp_path: Path) -> None:
    each = 50
    steps = np.arange(1, 24_001)
    loss = 2.6 + 30 * (steps + 50.0) ** -0.5
    smooth, beta = loss.copy(), 0.99
    at = steps if per else steps[::each]
    raw = loss if per else loss[::each]
    smooth = raw.copy()
    for k in range(1, len(raw)):
        smooth[k] = beta * smooth[k - 1] + (1 - beta) * raw[k]
    pick = slice(each - 1, None, each) if per else slice(None)
    rows = "\n".join(
        f"{s},{y!r}" for s, y in zip(at[pick].tolist(), smooth[pick].tolist(), strict=True)
    )
    (tmp_path / "a.csv").write_text(f"step,loss_ema\n{rows}\n")
    run = read_run(
        tmp_path / "a.csv", lr=1e-3, averaged=f"ema:0.99{per}", columns={"loss": "loss_ema"}
    )
    exact = 2.6 + 30 * (run.steps + 50.0) ** -0.5
    late = run.steps > 2000
    assert np.max(np.abs(run.measured() - exact)[late]) < 2e-4
    plain = read_run(tmp_path / "a.csv", lr=1e-3, columns={"loss": "loss_ema"})
    assert "moving average" in plain.notes[0]


def test_a_schedule_never_replaces_a_logged_rate(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(CSV)
    check(read_run(tmp_path / "a.csv", schedule=WORDS))
    other = WORDS.replace("decay=4800", "decay=9600")
    with pytest.raises(ValueError, match=r"from step 14800 on.*--columns lr=-"):
        read_run(tmp_path / "a.csv", schedule=other)
    with pytest.raises(ValueError, match=r"would replace it.*--columns lr=-"):
        read_run(tmp_path / "a.csv", lr=3e-4)
    run = read_run(tmp_path / "a.csv", lr=3e-4, columns={"lr": "-"})
    assert np.all(run.lr == 3e-4)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    kept = [row for row in ROWS if row[0] > 6000 and not 12_000 < row[0] < 18_000]
    (tmp_path / "a.csv").write_text(
        "step,lr,loss\n" + "".join(f"{s},{r!r},{y}\n" for s, r, y in kept)
    )
    notes = " ".join(read_run(tmp_path / "a.csv").notes)
    assert "no rows between steps 12,000 and 18,000" in notes
    assert "first row is step 6,400: before it the rate is taken to be 0.0003" in notes
    assert "first row" not in " ".join(read_run(tmp_path / "a.csv", schedule=WORDS).notes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[INFO] [Rank 0] step=10, skipped=0, lr=[9.9e-06], mom=[(0.9, 0.999)]\n", "no loss"),
        ("Hello world\nthis is not a log\n", "neither a table nor a log"),
        ("", "empty"),
        ("step lr loss\n1 2\n", "neither"),
    ],
)
def test_what_is_no_log_is_refused_in_one_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_run(tmp_path / "a.log")


def test_folders_one_level_down_are_looked_into(tmp_path: Path) -> None:
    state: Callable[[int], str] = lambda last: json.dumps(  # noqa: E731
        {
            "log_history": [
                r for r in records(step="step", lr="lr", loss="loss") if r["step"] <= last
            ]
        }
    )
    for last in (8000, 24_000):
        (tmp_path / f"checkpoint-{last}").mkdir()
        (tmp_path / f"checkpoint-{last}" / "trainer_state.json").write_text(state(last))
    run = read_run(tmp_path, averaged="no")
    check(run)
    assert "checkpoint-24000" in run.notes[0]


@pytest.mark.parametrize(("column", "other"), [("phase", "val"), ("split", "Validation")])
def test_rows_of_validation_among_those_of_training_are_none_of_it(
    column: str, other: str, tmp_path: Path
) -> None:
    steps = np.arange(100, 6001, 100)
    lines = [f"step,loss,lr,{column}"]
    for s in steps:
        lines.append(f"{s},{2 + 30 / s:.6f},3e-4,train")
        if s % 500 == 0:
            lines.append(f"{s},{2.4 + 30 / s:.6f},3e-4,{other}")
    (tmp_path / "log.csv").write_text("\n".join(lines))
    run = read_run(tmp_path / "log.csv")
    assert np.allclose(run.measured(), 2 + 30 / steps, atol=1e-6)
    assert any("count as validation" in note for note in run.notes)
    held = read_run(tmp_path / "log.csv", columns={"loss": "val_loss"})
    assert np.allclose(held.measured(), 2.4 + 30 / steps[4::5], atol=1e-6)
    renamed = "\n".join(lines).replace(",train", ",fp16").replace(f",{other}", ",bf16")
    (tmp_path / "log.csv").write_text(renamed)
    with pytest.raises(ValueError, match="the step repeats"):
        read_run(tmp_path / "log.csv")


def test_records_beside_settings_are_read(tmp_path: Path) -> None:
    rows = [{"step": s, "loss": 2 + 30 / s, "lr": 3e-4} for s in range(100, 3001, 100)]
    (tmp_path / "log.json").write_text(json.dumps({"config": {"lr": 3e-4}, "history": rows}))
    assert len(read_run(tmp_path / "log.json").steps) == 30
