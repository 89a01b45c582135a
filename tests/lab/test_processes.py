"""Claims about several processes: they train what one process trains."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from itertools import product

import pytest
from forks import two_processes

from hidim.lab import RunFolder, train
from hidim.lab.training.store import load_checkpoint


def together(settings, folder, *, parallel="ddp", resume=False, interrupt_at=None):
    """Train with two forked gloo processes; returns their exit codes."""

    def member():
        loggers = [interrupts(interrupt_at)]
        result = train(settings, folder, resume=resume, parallel=parallel, loggers=loggers)
        assert result.status == ("ok" if interrupt_at is None else "stopped")

    return two_processes(member)


def interrupts(step):
    """A logger that asks its own process to stop."""

    def interrupt(row):
        if row["step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return interrupt


def losses(folder):
    rows = RunFolder(folder).rows()
    return [row[name] for row in rows[1:] for name in ("train_loss", "validation_loss")]


@pytest.fixture
def few(small):
    """Six steps, evaluated at four of them: what takes time is that processes meet."""
    return small.replace(steps=6, evaluation_growth=2.0, validation_tokens=64)


@pytest.mark.parametrize("optimizer", ["sgd", "dana-decaying"])
def test_two_processes_reproduce_the_losses_of_one(optimizer, few, tmp_path):
    settings = few.replace(optimizer=optimizer, accumulation=2)
    train(settings, tmp_path / "one")
    assert together(settings, tmp_path / "two") == [0, 0]
    # The same gradients, summed in another order in float32.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-5)


def test_a_signal_to_one_process_stops_and_saves_all(few, tmp_path):
    assert together(few, tmp_path / "cut", interrupt_at=2) == [0, 0]
    assert not RunFolder(tmp_path / "cut").finished
    assert together(few, tmp_path / "cut", resume=True) == [0, 0]
    assert together(few, tmp_path / "whole") == [0, 0]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_refusal_reaches_every_process(small, tmp_path):
    train(small.replace(steps=2), tmp_path / "run")
    assert together(small, tmp_path / "run") == [256, 256]


def test_a_batch_that_does_not_divide_is_refused(small, tmp_path):
    assert together(small.replace(batch_size=5), tmp_path / "run") == [256, 256]


@pytest.fixture
def clipped(few):
    """Every step is clipped, and no dimension of the LSTM is even."""
    return few.replace(width=7, accumulation=2, clip=0.05)


MODELS, OPTIMIZERS = (
    ("lstm", "transformer", "modern"),
    {"dana-decaying": 1.0, "adamw": 0.01, "sgd": 1.0},
)
FAST = (("lstm", "dana-decaying"), ("transformer", "dana-decaying"), ("modern", "adamw"))


@pytest.mark.parametrize(
    ("model", "optimizer"),
    [
        pytest.param(*both, marks=[] if both in FAST else pytest.mark.slow)
        for both in product(MODELS, OPTIMIZERS)
    ],
)
def test_a_model_held_in_parts_has_the_losses_of_a_whole_one(model, optimizer, clipped, tmp_path):
    settings = clipped.replace(model=model, optimizer=optimizer, lr=OPTIMIZERS[optimizer])
    if model == "modern":  # rotary turns pairs; the tied matrix is one in parts, too
        settings = settings.replace(width=10, batch_ramp="4:3", parametrization="mup")
    train(settings, tmp_path / "one")
    assert together(settings, tmp_path / "parts", parallel="fsdp") == [0, 0]
    # The same gradients, summed in another order in float32; Adam takes a whole step also where a
    # gradient is rounding alone, as behind branches that begin at zero.
    rel = 2e-4 if (model, optimizer) == ("modern", "adamw") else 2e-6
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "one"), rel=rel)
    train(settings.replace(clip=0.0), tmp_path / "free")
    if optimizer != "adamw":  # which does not see the size of the gradient
        assert losses(tmp_path / "free") != pytest.approx(losses(tmp_path / "one"), rel=1e-2)


def test_parts_are_saved_as_a_whole_and_resume_to_the_bit(clipped, tmp_path):
    assert together(clipped, tmp_path / "cut", parallel="fsdp", interrupt_at=2) == [0, 0]
    train(clipped, tmp_path / "one")
    one, cut = (load_checkpoint(tmp_path / name / "checkpoint.pt") for name in ("one", "cut"))
    assert shapes(cut["model"]) == shapes(one["model"])
    assert shapes(cut["optimizer"]["state"]) == shapes(one["optimizer"]["state"])
    assert together(clipped, tmp_path / "cut", parallel="fsdp", resume=True) == [0, 0]
    assert together(clipped, tmp_path / "whole", parallel="fsdp") == [0, 0]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def shapes(state):
    """What a state holds: types and shapes, in order."""
    if isinstance(state, dict):
        return [(name, shapes(value)) for name, value in state.items()]
    return (type(state), state.dtype, state.shape)


# The two optimizers take another kernel for parts than for a whole model, and the same.
@pytest.mark.parametrize(("optimizer", "lr"), [("sgd-momentum", 1.0), ("adamw", 0.01)])
def test_a_run_goes_on_in_parts_and_as_a_whole_again(optimizer, lr, clipped, tmp_path):
    settings = clipped.replace(optimizer=optimizer, lr=lr)
    train(settings, tmp_path / "one")
    train(settings, tmp_path / "there", loggers=[interrupts(2)])
    assert together(settings, tmp_path / "there", parallel="fsdp", resume=True) == [0, 0]
    assert together(settings, tmp_path / "back", parallel="fsdp", interrupt_at=2) == [0, 0]
    train(settings, tmp_path / "back", resume=True)
    for name in ("there", "back"):
        assert losses(tmp_path / name) == pytest.approx(losses(tmp_path / "one"), rel=2e-6)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["lstm", "transformer"])
def test_compiled_parts_have_the_losses_of_a_whole_model(model, clipped, tmp_path):
    settings = clipped.replace(model=model, steps=5, lr=0.1)
    train(settings, tmp_path / "one")
    flags = ["--data", settings.data, "--parallel", "fsdp", "--compile"]
    for name, value in settings.to_dict().items():
        if name not in ("data", "options", "max_mb", "compile"):
            flags += ["--" + name.replace("_", "-"), str(value)]
    # A fresh interpreter each: the compiler's own processes do not survive a fork.
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "-m", "hidim", "train", "--out", str(tmp_path / "parts")]
    subprocess.run([*command, *flags], check=True, capture_output=True)
    # float32 in another order, inside the kernels too.
    assert losses(tmp_path / "parts") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)


def test_an_optimizer_that_cannot_update_parts_is_refused(clipped, tmp_path):
    settings = clipped.replace(optimizer="adafactor", lr=0.01)
    assert together(settings, tmp_path / "run", parallel="fsdp") == [256, 256]
    assert not RunFolder(tmp_path / "run").started


def test_one_process_has_nothing_to_share(small, tmp_path):
    settings = small.replace(steps=4)
    train(settings, tmp_path / "one")
    train(settings, tmp_path / "alone", parallel="fsdp")
    assert losses(tmp_path / "alone") == losses(tmp_path / "one")
    with pytest.raises(ValueError, match="parallel"):
        train(settings, tmp_path / "other", parallel="dp")
