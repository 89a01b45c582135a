"""Claims about the `hidim` command as a whole: help, typos, exit codes, interruptions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

import hidim
from hidim.cli.main import COMMANDS, main

PREDICT = ("predict", "--alpha", "1", "--beta", "0.7", "--d", "50", "--steps", "100")


def test_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"hidim {hidim.__version__}\n"


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and summary in text for name, summary in COMMANDS.items())


def test_no_command_is_refused_with_the_list(capsys):
    assert main([]) == 2
    assert "predict" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_shows_a_worked_example(name, capsys):
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    assert "example" in text
    assert f"hidim {name}" in text.split("example", 1)[1]


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["predcit"], "Did you mean 'predict'?"),
        ([*PREDICT, "--algoritm", "sgd"], "did you mean --algorithm?"),
        ([*PREDICT, "--algorithm", "dana-decayin"], "Did you mean 'dana-decaying'?"),
        ([*PREDICT, "--engine", "exat"], "Did you mean 'exact'?"),
        ([*PREDICT, "--plot", "a.pgn"], "Did you mean '.png'?"),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(arguments, hint, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert hint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["phase", "--alpha", "1e3", "--beta", "0.7"],
        ["phase", "--alpha", "1", "--beta", "0.7", "--kappa-b", "1e21"],
        ["frontier", "--alpha", "1", "--beta", "-1e6", "--flops", "1e9"],
        ["frontier", "--alpha", "1", "--beta", "0.7", "--flops", "1e300", "--law-only"],
        [*PREDICT, "--alpha", "1e300"],
        [*PREDICT, "--d", "1e300"],
        ["compare", *PREDICT[1:], "--algorithm", "sgd", "--runs", "1e20"],
    ],
)
def test_numbers_beyond_all_measure_are_refused_in_one_line(arguments, capsys):
    assert main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_reader_of_a_pipe_may_leave():
    script = f"{sys.executable} -m hidim --help | head -1"
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 1
    assert done.stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.skipif(
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
    reason="started in the background with SIGINT ignored, which a child inherits",
)
def test_ctrl_c_ends_long_work_with_one_line_and_code_130(tmp_path):
    # A thousand runs of a million steps take hours.
    command = [sys.executable, "-m", "hidim", "simulate", "--alpha", "1", "--beta", "0.7"]
    command += ["--d", "50", "--v", "100", "--steps", "1e6", "--runs", "1000"]
    command += ["--csv", str(tmp_path / "never.csv")]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as work:
        time.sleep(3.0)
        running = work.poll() is None
        work.send_signal(signal.SIGINT)
        _, error = work.communicate(timeout=20)
    assert running, error
    assert work.returncode == 130
    assert error == "hidim: stopped\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_device_is_named_in_one_line(capsys):
    assert main([*PREDICT, "--csv", "/dev/full"]) == 2
    assert capsys.readouterr().err.startswith("hidim: cannot write '/dev/full': No space left")


@pytest.mark.parametrize("arguments", [PREDICT, (*PREDICT, "--csv", "-"), ("--help",)])
def test_a_closed_standard_output_is_no_error(arguments, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)  # as Python sets it for `hidim ... >&-`
    assert main(list(arguments)) == 0
    sys.stdout.close()
