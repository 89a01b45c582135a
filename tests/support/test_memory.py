"""Claims about the memory of workers: kept while a task lasts, handed back as asked afterwards."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from hidim.support import memory, workers
from hidim.support.memory import steady_memory
from hidim.support.tasks import run_tasks


@pytest.fixture
def calls(monkeypatch):
    """What glibc is told."""
    told = []
    libc = SimpleNamespace(
        mallopt=lambda which, value: told.append((which, value)),
        malloc_trim=lambda pad: told.append("trim"),
    )
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: libc)
    return told


def test_thresholds_are_raised_and_set_back(calls, monkeypatch):
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    with contextlib.suppress(ValueError), steady_memory():
        assert calls == [(-1, 1 << 28), (-3, 1 << 25)]
        raise ValueError
    assert calls[2:] == [(-1, 65536), (-3, 128 * 1024), "trim"]


def test_nothing_is_done_where_nobody_asked_for_trims(calls, monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    with steady_memory():
        pass
    assert calls == []


@pytest.mark.parametrize("error", [OSError, TypeError])
def test_a_system_without_glibc_goes_on(monkeypatch, error):
    def none(name):
        raise error

    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    monkeypatch.setattr(memory.ctypes, "CDLL", none)
    with steady_memory():
        pass


def test_workers_of_somebody_else_keep_their_memory_at_every_task(monkeypatch):
    tasks = []

    @contextlib.contextmanager
    def counted():
        tasks.append(1)
        yield

    monkeypatch.setattr(workers, "steady_memory", counted)
    with ThreadPoolExecutor(1) as executor:
        assert run_tasks(abs, {"a": -1, "b": 2}, executor=executor) == {"a": 1, "b": 2}
    assert len(tasks) == 2
    run_tasks(abs, {"a": -1}, workers=1)
    assert len(tasks) == 2
