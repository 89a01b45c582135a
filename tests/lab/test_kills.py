"""Claims about kill -9 at random moments, from the first millisecond of the command on.

Children are forked, so their first millisecond is the command's and not that of an import; the text
takes as long to read as the rest, so kills fall before, during and after that.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time

import pytest
from forks import fork

from conftest import story
from hidim.cli.main import main
from hidim.lab import RunFolder
from hidim.lab.sweeps.sweep import Sweep

SMALL = "--tokens char --width 8 --context 8 --batch-size 8 --lr 1 --validation-tokens 256"
OFTEN = "--steps 30 --save-seconds 0.02"


def measured(folder):
    rows = RunFolder(folder).rows()
    return [(row["step"], row["train_loss"], row.get("validation_loss")) for row in rows]


def told(*arguments):
    """The command in a child; its process id."""

    def child():
        with open(os.devnull, "w", encoding="utf-8") as nowhere:
            sys.stdout = sys.stderr = nowhere
            code = main(list(arguments))
        os._exit(code)

    return fork(child)


def killed(child, moment):
    """Kill a child at this time, or let it end before; its exit code, None where it was killed."""
    end = time.monotonic() + moment
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(min(2e-4, moment))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def moments(seed, whole):
    """A third from the first millisecond on, every decade as often as the others; two thirds
    anywhere in the `whole` seconds that an undisturbed child takes."""
    pick = random.Random(seed)
    while True:
        early = pick.random() < 1 / 3
        yield whole * (10 ** pick.uniform(-3.5, 0.0) if early else pick.uniform(0.0, 1.5))


def undisturbed(*arguments):
    """Seconds that the command takes in a child that is left alone."""
    first = f"train --out {arguments[2]}-first --data {__file__} {SMALL} --steps 1"
    assert main(first.split()) == 0  # imports what every child would import
    began = time.monotonic()
    assert killed(told(*arguments), 60.0) == 0
    return time.monotonic() - began


@pytest.fixture
def long_text(tmp_path):
    """Long enough for a reading of some tenths of a second."""
    path = tmp_path / "story.txt"
    path.write_text(story(10_000), encoding="utf-8")
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("kills", [80])
def test_train_ends_as_the_run_that_was_asked_for(kills, long_text, tmp_path):
    asked = f"--data {long_text} {SMALL} {OFTEN}".split()
    seconds = undisturbed("train", "--out", str(tmp_path / "whole"), *asked)
    whole = measured(tmp_path / "whole")
    done, number, before, when = 0, 0, 0, moments(kills, seconds)
    while done < kills:
        number += 1
        out = str(tmp_path / f"run-{number}")
        code = killed(told("train", "--out", out, *asked), next(when))
        while code is None:
            done += 1
            before += not RunFolder(out).started
            code = killed(told("train", "--out", out, "--resume"), next(when))
            if code == 2:  # killed before anything was asked for: then it is asked again
                assert not RunFolder(out).started
                code = killed(told("train", "--out", out, *asked), next(when))
        assert code == 0
        assert measured(out) == whole
        assert RunFolder(out).settings() == RunFolder(tmp_path / "whole").settings()
        kept = {"config.json", "metrics.jsonl", "checkpoint.pt", "result.json", "lock"}
        assert {path.name for path in RunFolder(out).path.iterdir()} == kept
    print(f"{done} kills of {number} runs of {seconds:.1f} s, {before} before a claim")


@pytest.mark.slow
@pytest.mark.parametrize("kills", [60])
def test_a_sweep_trains_each_of_its_runs_once(kills, long_text, tmp_path):
    asked = f"--data {long_text} {SMALL} {OFTEN} --grid seed=0,1".split()
    one = ["--workers", "1"]
    seconds = undisturbed("sweep", "--out", str(tmp_path / "whole"), *asked, *one)
    whole = Sweep(tmp_path / "whole")
    done, number, when = 0, 0, moments(kills, seconds)
    while done < kills:
        number += 1
        sweep = Sweep(tmp_path / f"sweep-{number}")
        out = ["sweep", "--out", str(sweep.path)]
        code, stamps = killed(told(*out, *asked, *one), next(when)), {}
        while code is None:
            done += 1
            now = {name: sweep.folder(name).metrics.stat().st_mtime_ns for name in sweep.finished()}
            assert stamps.items() <= now.items(), "a finished run was trained again"
            stamps = now
            again = asked if not sweep.plan.exists() else []
            code = killed(told(*out, *again, *one), next(when))
        assert code == 0
        assert list(sweep.finished()) == list(whole.finished())
        for name in whole.finished():
            assert measured(sweep.folder(name).path) == measured(whole.folder(name).path)
        assert not [path for path in sweep.path.rglob(".*")]
        assert json.loads(sweep.plan.read_text()) == json.loads(whole.plan.read_text())
    print(f"{done} kills of {number} sweeps")
