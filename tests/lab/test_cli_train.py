"""Claims about `hidim train`: what it prints, where it goes on, how it refuses."""

from __future__ import annotations

import json
import signal

import pytest

from hidim.cli.main import main
from hidim.lab import RunFolder

SMALL = "--tokens char --width 8 --context 8 --batch-size 8 --steps 12 --lr 1"


@pytest.fixture
def command(text_file, tmp_path):
    return ["train", "--out", str(tmp_path / "run"), "--data", str(text_file), *SMALL.split()]


def test_it_shows_the_loss_and_keeps_the_run(command, tmp_path, capsys):
    assert main([*command, "--optimizer", "dana-decaying", "--options", "kappa_3=0.7"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0].split() == ["step", "tokens", "train", "validation", "bits/byte", "tokens/s"]
    assert out[-1].startswith("ok: 12 steps, 768 tokens, validation loss")
    settings = RunFolder(tmp_path / "run").read_config()["settings"]
    assert settings["options"] == {"kappa_3": 0.7}


def test_a_finished_run_answers_at_once_and_json_is_strict(command, capsys):
    assert main([*command, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main([*command, "--json", "--resume"]) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert main(command) == 2
    assert "already holds a run" in capsys.readouterr().err


def test_resuming_needs_no_flag_but_the_folder(command, tmp_path, capsys):
    assert main(command) == 0
    RunFolder(tmp_path / "run").result.unlink()
    assert main(["train", "--out", str(tmp_path / "run"), "--resume"]) == 0
    assert main(["train", "--out", str(tmp_path / "run"), "--resume", "--tokens", "byte"]) == 2
    assert "vocabulary mismatch" in capsys.readouterr().err


def test_ctrl_c_saves_and_exits_with_130(command, tmp_path, capsys, monkeypatch):
    class Impatient:
        def __init__(self, *given):
            pass

        def __call__(self, row):
            if row["step"] == 4:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("hidim.cli.train._Rows", Impatient)
    assert main(command) == 130
    assert "--resume" in capsys.readouterr().out
    assert RunFolder(tmp_path / "run").checkpoint.exists()
    monkeypatch.undo()
    assert main([*command, "--resume"]) == 0


def test_a_logger_that_is_not_installed_is_named(command, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    assert main([*command, "--wandb", "project"]) == 2
    error = capsys.readouterr().err
    assert "hidim[loggers]" in error
    assert len(error.splitlines()) == 1


def test_a_run_above_guessing_is_told_and_a_setting_has_one_name(text_file, tmp_path, capsys):
    small = f"--data {text_file} --width 4 --context 8 --batch-size 2 --steps 3".split()
    out = ["train", "--out", str(tmp_path / "run"), *small]
    assert main([*out, "--optimizer", "sgd", "--lr", "500"]) == 0
    assert "above guessing among 256 tokens" in capsys.readouterr().err
    assert main([*out, "--autocast", "bf16", "--precision", "float32"]) == 2
    assert "--precision float32 are one setting" in capsys.readouterr().err
    for wrong, right in ((["--steps", "atuo"], "or auto"), (["--peak-flops", "mesure"], "measure")):
        assert main(["train", "--out", str(tmp_path / "other"), *wrong]) == 2
        assert right in capsys.readouterr().err
