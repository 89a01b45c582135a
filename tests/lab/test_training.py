"""Claims about one training run: it learns, it repeats itself, it resumes to the bit."""

from __future__ import annotations

import math
import os
import signal
import time

import pytest
import torch
from forks import fork
from torch import nn

from hidim.fitting import read_run
from hidim.lab import RunFolder, Shape, train
from hidim.lab.text.batches import Batches
from hidim.lab.training.entry import load_tokens
from hidim.lab.training.models import build, check_bfloat16_lstm, next_token_loss
from hidim.lab.training.result import evaluation_steps
from hidim.lab.training.store import load_checkpoint


def losses(folder):
    """Step, train loss and validation loss of every row."""
    rows = RunFolder(folder).rows()
    return [(row["step"], row["train_loss"], row["validation_loss"]) for row in rows]


def test_the_validation_loss_falls_and_a_run_repeats_itself(small, tmp_path):
    first = train(small, tmp_path / "a")
    train(small, tmp_path / "b")
    rows = losses(tmp_path / "a")
    assert rows == losses(tmp_path / "b")
    assert first.status == "ok"
    assert first.validation_loss < rows[0][2] - 0.3
    assert [step for step, _, _ in rows] == evaluation_steps(small.steps, small.evaluation_growth)


def test_the_loop_is_the_plain_loop(small, tmp_path):
    """torch.nn.LSTM and torch's SGD written out by hand give the same losses."""
    settings = small.replace(optimizer="sgd", steps=5, clip=0.0)
    train(settings, tmp_path / "run")
    tokens = load_tokens(settings)
    config = RunFolder(tmp_path / "run").read_config()
    shape = load_checkpoint(RunFolder(tmp_path / "run").checkpoint)["shape"]
    model = build(Shape(**shape), seed=settings.seed)
    assert sum(p.numel() for p in model.parameters()) == config["parameters"]
    optimizer = torch.optim.SGD(model.parameters(), lr=settings.lr)
    batches = Batches(tokens.train, context=settings.context, seed=settings.seed)
    plain = []
    for step in range(settings.steps):
        windows = torch.from_numpy(batches.windows(step * 8, 8))
        logits = model(windows[:, :-1])
        loss = nn.functional.cross_entropy(logits.transpose(1, 2), windows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        plain.append(loss.item())
    measured = [loss for step, loss, _ in losses(tmp_path / "run") if step]
    # The same arithmetic up to the fused kernel's rounding.
    assert measured == pytest.approx(plain, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["dana-decaying", "adamw", "adana"])
def test_a_stopped_run_resumes_to_the_bit(optimizer, small, tmp_path):
    settings = small.replace(optimizer=optimizer, lr=0.01 if optimizer[:1] == "a" else 1.0)
    train(settings, tmp_path / "whole")

    def terminate(row):
        if row["step"] == 18:
            os.kill(os.getpid(), signal.SIGTERM)

    stopped = train(settings, tmp_path / "cut", loggers=[terminate])
    assert (stopped.status, stopped.signal) == ("stopped", signal.SIGTERM)
    assert 18 <= stopped.step < 40
    assert not RunFolder(tmp_path / "cut").finished
    end = train(None, tmp_path / "cut", resume=True)
    assert end.status == "ok"
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    whole, cut = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("whole", "cut"))
    for name, weights in whole["model"].items():
        assert torch.equal(weights, cut["model"][name]), name


def killed_and_resumed(settings, folder, kills, random):
    """Kill the run `kills` times at random moments, and let it finish."""
    for _ in range(kills):
        child = fork(lambda: train(settings, folder, resume=True, save_seconds=0.0))
        time.sleep(random.uniform(0.0, 0.25))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return train(settings, folder, resume=True)


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_changes_no_number(kills, small, tmp_path):
    import random

    settings = small.replace(steps=60)
    whole = train(settings, tmp_path / "whole")
    end = killed_and_resumed(settings, tmp_path / "killed", kills, random.Random(kills))
    assert end.validation_loss == whole.validation_loss
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    kept = {"config.json", "metrics.jsonl", "checkpoint.pt", "result.json", "lock"}
    assert {path.name for path in (tmp_path / "killed").iterdir()} == kept


def test_a_line_cut_by_a_kill_is_dropped_and_written_again(small, tmp_path):
    train(small, tmp_path / "run")
    folder = RunFolder(tmp_path / "run")
    before = losses(tmp_path / "run")
    folder.result.unlink()
    content = folder.metrics.read_bytes()
    folder.checkpoint.unlink()
    folder.metrics.write_bytes(content[:-30])
    assert len(losses(tmp_path / "run")) == len(before) - 1
    train(None, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == before


def test_a_finished_run_is_read_not_repeated(small, tmp_path):
    settings = small.replace(steps=3)
    first = train(settings, tmp_path / "run")
    stamps = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}
    again = train(settings, tmp_path / "run", resume=True)
    assert again == first
    assert stamps == {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run").iterdir()}


def test_accumulation_gives_the_same_losses(small, tmp_path):
    train(small.replace(steps=6), tmp_path / "one")
    train(small.replace(steps=6, accumulation=4), tmp_path / "four")
    for one, four in zip(losses(tmp_path / "one"), losses(tmp_path / "four"), strict=True):
        # Sums of float32 in another order.
        assert one[2] == pytest.approx(four[2], rel=1e-5)


def test_the_metrics_are_a_log_that_fit_reads(small, tmp_path):
    train(small, tmp_path / "run")
    run = read_run(tmp_path / "run", loss="needed")
    assert run.lr[0] == small.lr
    rows = RunFolder(tmp_path / "run").rows()
    assert rows[-1]["tokens"] == small.steps * small.tokens_per_step
    assert rows[-1]["tokens_per_second"] > 0


def test_a_run_that_is_lost_is_called_diverged_and_ends_there(small, tmp_path):
    wild = small.replace(optimizer="sgd", lr=1e30, clip=0.0)
    result = train(wild, tmp_path / "run")
    assert result.status == "diverged"
    assert result.step < small.steps
    folder = RunFolder(tmp_path / "run")
    assert folder.read_result()["status"] == "diverged"
    folder.result.unlink()  # killed between the last save and the result
    again = train(None, folder.path, resume=True)
    assert (again.status, again.step) == ("diverged", result.step)


def test_a_run_whose_last_step_is_lost_is_diverged(small, tmp_path):
    """Its training loss was measured before that step: only the validation loss tells."""
    wild = small.replace(optimizer="sgd", lr=1e30, clip=0.0, steps=1)
    assert train(wild, tmp_path / "run").status == "diverged"


@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_the_loss_of_a_fresh_model_is_that_of_guessing(model, small):
    shape = Shape(model, 50, 16, context=8, heads=2)
    windows = torch.randint(0, 50, (64, 9), generator=torch.Generator().manual_seed(0))
    loss = next_token_loss(build(shape), windows).item()
    assert loss == pytest.approx(math.log(50), abs=0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # inside torch.compile
@pytest.mark.parametrize("change", [{"compile": True}, {"precision": "bfloat16"}])
def test_compiling_and_bfloat16_train_the_same_model(change, small, tmp_path):
    settings = small.replace(model="transformer", heads=2, optimizer="adana", lr=1e-3, steps=5)
    plain = train(settings, tmp_path / "plain")
    other = train(settings.replace(**change), tmp_path / "other")
    # float32 in another order; bfloat16 keeps 8 bits.
    tolerance = 1e-5 if "compile" in change else 1e-2
    assert other.validation_loss == pytest.approx(plain.validation_loss, rel=tolerance)


def test_bfloat16_trains_an_lstm_or_is_refused_before_work(small, tmp_path):
    settings = small.replace(precision="bfloat16", steps=5)
    try:
        check_bfloat16_lstm()
    except ValueError:  # a CPU without the kernel
        with pytest.raises(ValueError, match="Use float32"):
            train(settings, tmp_path / "run")
        assert not RunFolder(tmp_path / "run").started
        return
    result = train(settings, tmp_path / "run")
    plain = train(small.replace(steps=5), tmp_path / "plain")
    # bfloat16 keeps 8 bits.
    assert result.validation_loss == pytest.approx(plain.validation_loss, rel=1e-2)
