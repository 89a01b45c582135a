"""Claims about TensorBoard and Weights & Biases: they are told every row, once, by one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from forks import two_processes

from hidim.cli.main import main
from hidim.lab import RunFolder

SMALL = "--tokens char --width 8 --context 8 --batch-size 8 --lr 1 --validation-tokens 256"


@pytest.fixture
def command(text_file, tmp_path):
    """A run of few steps, as arguments."""
    return ["train", "--out", str(tmp_path / "run"), "--data", str(text_file), *SMALL.split()]


@pytest.fixture
def events():
    """A function that reads a folder of events back."""
    module = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pytest.importorskip("torch.utils.tensorboard")

    def read(folder):
        found = module.EventAccumulator(str(folder))
        found.Reload()
        return {
            name: [(event.step, event.value) for event in found.Scalars(name)]
            for name in found.Tags()["scalars"]
        }

    return read


def measured(folder, name):
    """What the run's own metrics say."""
    return [(row["step"], row[name]) for row in RunFolder(folder).rows() if row[name] is not None]


def test_tensorboard_reads_the_rows_of_the_metrics(command, events, tmp_path):
    logs = str(tmp_path / "events")
    assert main([*command, "--steps", "6", "--tensorboard", logs]) == 0
    found = events(logs)
    for name in ("train_loss", "validation_loss", "lr", "tokens"):
        expected = measured(tmp_path / "run", name)
        assert [step for step, _ in found[name]] == [step for step, _ in expected]
        # Events are float32.
        values = [value for _, value in expected]
        assert [value for _, value in found[name]] == pytest.approx(values, rel=1e-6)
    # A run that is only read, or refused, leaves no event.
    files = os.listdir(logs)
    assert main([*command, "--steps", "6", "--tensorboard", logs, "--resume"]) == 0
    assert main([*command, "--steps", "6", "--tensorboard", logs]) == 2
    assert os.listdir(logs) == files


def test_a_run_that_goes_on_is_logged_once(command, events, tmp_path, monkeypatch):
    import signal

    class Impatient:
        def __call__(self, row):
            if row["step"] == 4:
                signal.raise_signal(signal.SIGTERM)

    command += ["--steps", "12", "--tensorboard", str(tmp_path / "events")]
    monkeypatch.setattr("hidim.cli.train._Rows", Impatient)
    assert main(command) == 128 + signal.SIGTERM
    monkeypatch.undo()
    assert main([*command, "--resume"]) == 0
    found = events(tmp_path / "events")["validation_loss"]
    steps = [step for step, _ in measured(tmp_path / "run", "validation_loss")]
    assert [step for step, _ in found] == steps


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_of_two_processes_one_speaks(parallel, command, events, tmp_path):
    command += ["--steps", "4", "--tensorboard", str(tmp_path / "events"), "--parallel", parallel]

    def member():
        assert main(command) == 0

    assert two_processes(member) == [0, 0]
    assert len(os.listdir(tmp_path / "events")) == 1
    found = events(tmp_path / "events")["train_loss"]
    assert [step for step, _ in found] == [1, 2, 3, 4]


@pytest.mark.slow
def test_wandb_keeps_an_offline_run_and_goes_on_with_it(command, tmp_path):
    pytest.importorskip("wandb")
    environment = os.environ | {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path)}
    command += ["--steps", "6", "--wandb", "project", "--json"]

    def run(*more):
        # In a process of its own: W&B starts threads and a service that outlive a run.
        arguments = [sys.executable, "-W", "error", "-m", "hidim", *command, *more]
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["step"] == 6
        return sorted(path.name for path in tmp_path.glob("wandb/offline-run-*/*.wandb"))

    name = "run-{id}.wandb"
    runs = run()
    kept = (tmp_path / "run" / "wandb-id").read_text().strip()
    assert runs == [name.format(id=kept)]
    content = next(tmp_path.glob("wandb/offline-run-*/*.wandb")).read_bytes()
    assert b"validation_loss" in content
    assert run("--resume") == runs  # only read: nothing was opened
    RunFolder(tmp_path / "run").result.unlink()
    RunFolder(tmp_path / "run").checkpoint.unlink()
    RunFolder(tmp_path / "run").metrics.unlink()
    assert run("--resume") == [name.format(id=kept)] * 2


def test_wandb_without_a_key_is_refused_in_one_line(command, tmp_path, capsys, monkeypatch):
    class Wandb:
        Error = RuntimeError

        @staticmethod
        def init(**options):
            raise RuntimeError("No API key configured.")

    monkeypatch.setitem(sys.modules, "wandb", Wandb)
    assert main([*command, "--wandb", "project"]) == 2
    error = capsys.readouterr().err
    assert "No API key configured. WANDB_MODE=offline" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "run").exists()
