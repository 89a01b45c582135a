"""A folder is one process's at a time, and whoever is killed lets go of it."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from forks import fork

from hidim.lab import RunFolder
from hidim.lab.training.locks import take
from hidim.lab.training.store import Busy
from hidim.support.extras import MissingExtra


def holder(path, seconds):
    """A process that holds the lock for a while and ends without a word; its id."""
    ready = path.with_name("ready")

    def hold():
        lock = take(path, wait=False)
        ready.touch()
        time.sleep(seconds if lock else 0)
        os.kill(os.getpid(), signal.SIGKILL)

    child = fork(hold)
    while not ready.exists():
        time.sleep(0.005)
    return child


def test_a_killed_holder_lets_go_and_a_living_one_does_not(tmp_path):
    child = holder(tmp_path / "lock", 60)
    assert take(tmp_path / "lock", wait=False) is None
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    take(tmp_path / "lock", wait=False).release()


def test_who_waits_gets_it_when_the_holder_dies(tmp_path):
    child = holder(tmp_path / "lock", 0.1)
    take(tmp_path / "lock", wait=True).release()
    assert os.waitpid(child, 0)[0] == child


def test_it_may_be_let_go_by_another_thread(tmp_path):
    lock = take(tmp_path / "lock", wait=False)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lock.release).result()
    take(tmp_path / "lock", wait=False).release()


def test_a_folder_claimed_twice_is_busy_and_then_free_again(tmp_path):
    folder = RunFolder(tmp_path / "run")
    for _ in range(2):
        with folder.claim(), pytest.raises(Busy, match="another process"), folder.claim():
            pass


def test_a_file_system_without_locks_is_refused_and_nothing_stands_in_for_one(
    tmp_path, monkeypatch
):
    fcntl = pytest.importorskip("fcntl")

    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(ValueError, match=r"cannot write to the run folder .* has no locks"),
        RunFolder(tmp_path / "run").claim(),
    ):
        pass


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match=r"cannot write to the run folder '.*file.run'"),
        RunFolder(tmp_path / "file" / "run").claim(),
    ):
        pass


def test_without_filelock_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(MissingExtra, match=r"filelock .*hidim\[lab\]"):
        take(tmp_path / "lock", wait=False)
