"""Claims about tasks: each done once, none lost, whoever works on them and whatever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from task_examples import dies, dies_once, refuses, square

from hidim.support.stores import Store
from hidim.support.tasks import Stopped, run_tasks
from hidim.support.workers import Call, WorkersLost, check_executor

ROOT = Path(__file__).resolve().parents[2]


def squares(count, seconds=0.0):
    return {f"task{k}": (k, seconds) for k in range(count)}


def values(results):
    return {name: one["square"] for name, one in results.items()}


def test_processes_threads_and_this_process_give_the_same_in_the_order_asked_for():
    tasks = squares(6)
    here = run_tasks(square, tasks, workers=1)
    assert {one["process"] for one in here.values()} == {os.getpid()}
    apart = run_tasks(square, tasks, workers=2)
    assert os.getpid() not in {one["process"] for one in apart.values()}
    with ThreadPoolExecutor(2) as threads:
        shared = run_tasks(square, tasks, executor=threads)
    assert values(here) == values(apart) == values(shared)
    assert list(here) == list(apart) == list(tasks)


def test_what_the_store_holds_is_not_done_again(tmp_path):
    store = Store(tmp_path / "new" / "results")
    counted = []
    run_tasks(square, squares(3), store=store, workers=1)
    before = {file: file.stat().st_mtime_ns for file in store.folder.iterdir()}
    (store.folder / ".task4.json.half").write_text("{")  # of a process that was killed
    more = run_tasks(square, squares(5), store=store, workers=1, done=lambda: counted.append(None))
    assert values(more) == {f"task{k}": k**2 for k in range(5)}
    assert len(counted) == 5
    assert before.items() <= {f: f.stat().st_mtime_ns for f in store.folder.iterdir()}.items()


def test_a_worker_that_is_killed_is_replaced(tmp_path):
    tasks = {f"task{k}": (k, None) for k in range(8)} | {"last": (8, str(tmp_path / "mark"))}
    found = run_tasks(dies_once, tasks, workers=2)
    assert list(found.values()) == list(range(9))
    assert (tmp_path / "mark").exists()


def test_workers_that_always_die_are_given_up_in_one_line(tmp_path):
    with pytest.raises(WorkersLost, match=r"died before the first result.*0 of 2 tasks") as caught:
        run_tasks(dies, {"a": 1, "b": 2}, store=Store(tmp_path), workers=2)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_fails_says_so_and_leaves_what_others_finished(tmp_path, workers):
    with pytest.raises(ValueError, match="`task` must not be 2"):
        run_tasks(refuses, {str(k): k for k in range(4)}, store=Store(tmp_path), workers=workers)
    assert {"0", "1"} <= Store(tmp_path).finished()


def test_a_damaged_result_is_named(tmp_path):
    store = Store(tmp_path)
    run_tasks(square, squares(1), store=store, workers=1)
    store.file("task0").write_text('{"square": ')
    with pytest.raises(ValueError, match=r"task0\.json"):
        run_tasks(square, squares(1), store=store, workers=1)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot make the folder"):
        run_tasks(square, squares(1), store=Store(tmp_path / "file" / "in"), workers=1)


@pytest.mark.parametrize("wrong", ["dask", 3, ThreadPoolExecutor, print])
def test_what_is_no_executor(wrong):
    with pytest.raises(ValueError, match="`executor` must be 'processes' or an executor"):
        check_executor(wrong)


def test_an_executor_that_was_shut_down_is_lost(tmp_path):
    threads = ThreadPoolExecutor(1)
    threads.shutdown()
    with pytest.raises(WorkersLost, match="cannot schedule"):
        run_tasks(square, squares(2), store=Store(tmp_path), executor=threads)


def test_a_worker_of_another_version_refuses():
    with ThreadPoolExecutor(1) as threads, pytest.raises(WorkersLost, match="same version"):
        threads.submit(Call(square, version="0.0"), (1, 0.0)).result()


def test_ctrl_c_in_this_process_keeps_what_is_finished(tmp_path):
    def interrupted(task):
        if task == 2:
            raise KeyboardInterrupt
        return task

    with pytest.raises(Stopped, match=r"2 of 4 tasks are kept in .*go on from there\."):
        run_tasks(interrupted, {str(k): k for k in range(4)}, store=Store(tmp_path), workers=1)
    with pytest.raises(Stopped, match="Name a folder"):
        run_tasks(interrupted, {"a": 2}, workers=1)


SCRIPT = """
import sys
from task_examples import square
from hidim.support.stores import Store
from hidim.support.tasks import run_tasks
from pathlib import Path
if __name__ == "__main__":
    tasks = {f"task{k}": (k, 0.1) for k in range(100)}
    run_tasks(square, tasks, store=Store(Path(sys.argv[1])), workers=2)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_or_killed_run_leaves_no_worker_and_loses_no_result(tmp_path, number):
    script, folder = tmp_path / "script.py", tmp_path / "results"
    script.write_text(SCRIPT)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    run = subprocess.Popen(
        [sys.executable, script, folder],
        env={**os.environ, "PYTHONPATH": path},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    store = Store(folder)
    end = time.monotonic() + 20
    while time.monotonic() < end and not (folder.is_dir() and len(store.finished()) >= 3):
        time.sleep(0.02)
    if number == signal.SIGINT:  # as a terminal does: to all of them
        os.killpg(run.pid, number)
    else:
        os.kill(run.pid, number)
    error = run.communicate(timeout=20)[1]
    while time.monotonic() < end and alive(run.pid):
        time.sleep(0.02)
    assert not alive(run.pid), "a worker outlived the run"
    kept = store.finished()
    assert len(kept) >= 3
    assert all(store.load(name)["square"] == int(name[4:]) ** 2 for name in kept)
    if number == signal.SIGINT:
        assert error.count("Traceback") == 1, error  # the script's own, none of the workers'
        assert f"{len(kept)} of 100 tasks are kept" in error


def alive(group):
    """Whether any process of the group is there."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_bar_judges_the_time_left_by_what_is_done_now(tmp_path, monkeypatch, capsys):
    clock = iter(range(1000))
    monkeypatch.setattr("hidim.support.progress.time.monotonic", lambda: float(next(clock)))
    store = Store(tmp_path)
    run_tasks(square, squares(8), store=store, workers=1)
    run_tasks(square, squares(10), store=store, workers=1, progress=True, label="squares")
    first, second = capsys.readouterr().err.split("\r\x1b[2K")[1:3]
    assert first.startswith("squares [")
    assert " 90% 1 s left" in first  # nine of ten, of which one took a second
    assert "100% 0 s left" in second
