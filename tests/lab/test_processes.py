"""Claims about several processes: they train what one process trains."""

from __future__ import annotations

import os
import signal
import socket

import pytest
import torch
from forks import fork

from hidim.lab import RunFolder, train


def together(settings, folder, *, resume=False, interrupt_at=None):
    """Train with two forked gloo processes; returns their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def member(rank):
        os.environ |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
        }

        def interrupt(row):
            if row["step"] == interrupt_at:
                os.kill(os.getpid(), signal.SIGTERM)

        result = train(settings, folder, resume=resume, loggers=[interrupt])
        torch.distributed.destroy_process_group()
        assert result.status == ("ok" if interrupt_at is None else "stopped")

    children = [fork(lambda rank=rank: member(rank)) for rank in range(2)]
    return [os.waitpid(child, 0)[1] for child in children]


def losses(folder):
    rows = RunFolder(folder).rows()
    return [row[name] for row in rows[1:] for name in ("train_loss", "validation_loss")]


@pytest.mark.parametrize("optimizer", ["sgd", "dana-decaying"])
def test_two_processes_reproduce_the_losses_of_one(optimizer, small, tmp_path):
    settings = small.replace(steps=12, optimizer=optimizer, accumulation=2)
    train(settings, tmp_path / "one")
    assert together(settings, tmp_path / "two") == [0, 0]
    # The same gradients, summed in another order in float32.
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=2e-5)


def test_a_signal_to_one_process_stops_and_saves_all(small, tmp_path):
    settings = small.replace(steps=12)
    assert together(settings, tmp_path / "cut", interrupt_at=4) == [0, 0]
    assert not RunFolder(tmp_path / "cut").finished
    assert together(settings, tmp_path / "cut", resume=True) == [0, 0]
    assert together(settings, tmp_path / "whole") == [0, 0]
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_a_refusal_reaches_every_process(small, tmp_path):
    train(small.replace(steps=2), tmp_path / "run")
    assert together(small, tmp_path / "run") == [256, 256]


def test_a_batch_that_does_not_divide_is_refused(small, tmp_path):
    assert together(small.replace(batch_size=5), tmp_path / "run") == [256, 256]
