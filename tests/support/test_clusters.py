"""Claims about clusters on this machine: Dask, submitit's local jobs, a stand-in for Slurm."""

from __future__ import annotations

import os
import signal
import stat
import sys
import threading
import time
import types
from pathlib import Path

import pytest
from task_examples import dies, refuses, square

from hidim.cli.main import main
from hidim.studies import load_plane, run_plane
from hidim.support import executors
from hidim.support.executors import opened, submitting
from hidim.support.stores import Store
from hidim.support.tasks import run_tasks
from hidim.support.workers import WorkersLost

distributed = pytest.importorskip("distributed")
pytest.importorskip("submitit")

ROOT = Path(__file__).resolve().parents[2]
PLANE = ["plane", "--alpha", "0.7,1", "--beta", "0.3,0.7", "--d", "100,200", "--points", "32"]
TASKS = {f"task{k}": (k, 0.02) for k in range(40)}


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as cluster:
        yield cluster


@pytest.fixture
def seen_by_jobs(monkeypatch):
    """A fresh Python imports hidim and the examples from here."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    monkeypatch.setenv("PYTHONPATH", path)


def here():
    """The plane of this process."""
    return run_plane([0.7, 1.0], [0.3, 0.7], sizes=[100, 200], points=32, workers=1)


def values(results):
    return [one["square"] for one in results.values()]


def test_a_dask_worker_that_is_killed_loses_nothing(cluster, tmp_path):
    store, killed = Store(tmp_path), []
    first = run_tasks(square, {"task0": TASKS["task0"]}, store=store, workers=1)

    def kill_one():
        if len(store.finished()) == 12:
            killed.append(next(iter(client.run(os.getpid).values())))
            os.kill(killed[0], signal.SIGKILL)

    with distributed.Client(cluster, set_as_default=False) as client:
        found = run_tasks(square, TASKS, store=store, executor=client, done=kill_one)
    assert values(found) == [k**2 for k in range(40)]
    assert killed
    assert found["task0"] == first["task0"]
    workers = {one["process"] for one in found.values()} - {os.getpid()}
    assert len(workers) >= 2


def test_a_plane_of_dask_is_the_plane_of_this_process(cluster, tmp_path):
    out = ["--out", str(tmp_path)]
    assert main([*PLANE, *out, "--executor", "dask", "--scheduler", cluster.scheduler_address]) == 0
    assert load_plane(tmp_path / "plane.nc").identical(here())


def test_a_task_that_fails_on_dask_says_what_it_said(cluster):
    with (
        opened("dask", scheduler=cluster.scheduler_address) as executor,
        pytest.raises(ValueError, match=r"^`task` must not be 2$"),
    ):
        run_tasks(refuses, {str(k): k for k in range(4)}, executor=executor)


def test_a_worker_that_cannot_import_the_task_is_named_in_one_line(cluster, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def function(task):\n    return task", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with (
        opened("dask", scheduler=cluster.scheduler_address) as executor,
        pytest.raises(WorkersLost, match=r"a worker cannot import .*'only_here'") as caught,
    ):
        run_tasks(module.function, {"a": 1}, executor=executor)
    assert "\n" not in str(caught.value)


def test_a_scheduler_that_is_not_there_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(executors, "_ANSWER_SECONDS", 0.3)
    assert main([*PLANE, "--executor", "dask", "--scheduler", "tcp://127.0.0.1:1"]) == 2
    assert main([*PLANE, "--executor", "dask", "--scheduler", "no where"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == error.count("no Dask scheduler answers at") == 2


def test_a_scheduler_without_workers_is_waited_for_and_ctrl_c_ends_that(monkeypatch, capsys):
    get_executor = distributed.Client.get_executor

    def and_ctrl_c(client, **options):
        thread = threading.main_thread().ident
        threading.Timer(0.3, signal.pthread_kill, (thread, signal.SIGINT)).start()
        return get_executor(client, **options)

    monkeypatch.setattr(distributed.Client, "get_executor", and_ctrl_c)
    with distributed.LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=50) as empty:
        address = ["--executor", "dask", "--scheduler", empty.scheduler_address]
        assert main([*PLANE, *address]) == 130
    waiting, stopped = capsys.readouterr().err.splitlines()
    assert waiting.startswith("hidim: waiting for a worker to join")
    assert stopped.startswith("hidim: stopped; no finished task was kept")


def test_a_scheduler_that_goes_keeps_what_is_finished(tmp_path):
    store = Store(tmp_path)
    with distributed.LocalCluster(
        n_workers=1, processes=False, threads_per_worker=1, dashboard_address=":0", silence_logs=50
    ) as mortal:

        def close():
            if len(store.finished()) == 3:
                mortal.close()

        with (
            opened("dask", scheduler=mortal.scheduler_address) as executor,
            pytest.raises(WorkersLost, match="3 of 40 tasks are kept in"),
        ):
            run_tasks(square, TASKS, store=store, executor=executor, done=close)


def test_local_jobs_share_the_tasks_out_and_the_killed_ones_are_replaced(tmp_path, seen_by_jobs):
    store = Store(tmp_path / "results")
    executor = submitting(tmp_path / "jobs", "local")
    killed = []

    def kill_one():
        if not killed:
            killed.append(next(store.load(name)["process"] for name in store.finished()))
            os.kill(killed[0], signal.SIGKILL)

    found = run_tasks(square, TASKS, store=store, executor=executor, workers=2, done=kill_one)
    assert values(found) == [k**2 for k in range(40)]
    assert len({one["process"] for one in found.values()}) == 3


def test_jobs_say_why_they_failed(tmp_path, seen_by_jobs, monkeypatch):
    executor = submitting(tmp_path / "jobs", "local")
    with pytest.raises(ValueError, match=r"^`task` must not be 2$"):
        run_tasks(refuses, {"a": 2}, store=Store(tmp_path / "a"), executor=executor)
    module = types.ModuleType("only_here")
    exec("def function(task):\n    return task", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(WorkersLost, match=r"a job failed \(ModuleNotFoundError.*only_here"):
        run_tasks(module.function, {"a": 1}, store=Store(tmp_path / "b"), executor=executor)
    with pytest.raises(ValueError, match="`folder` must be given"):
        run_tasks(refuses, {"a": 1}, executor=executor)


@pytest.mark.slow
def test_jobs_that_always_die_are_given_up(tmp_path, seen_by_jobs):
    executor = submitting(tmp_path / "jobs", "local")
    with pytest.raises(WorkersLost, match="3 jobs ended without a result"):
        run_tasks(dies, {"a": 1}, store=Store(tmp_path / "a"), executor=executor)


# Slurm's commands, as far as submitit calls them: every job of an array is run at once.
SBATCH = """#!/bin/sh
cp "$1" "$SLURM_LOG/job.sh"
export SLURM_JOB_NUM_NODES=1 SLURM_JOB_NODELIST=here SLURM_NTASKS=1 SLURM_JOB_ID=7
export SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
last=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
for k in $(seq 0 "${last:-0}"); do
    if [ -n "$last" ]; then export SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=$k; fi
    sh "$1" > /dev/null 2>&1 &
done
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/sh
while [ "$1" != "${1#-}" ]; do
    case "$1" in --output|--error) shift 2 ;; *) shift ;; esac
done
exec "$@"
"""
SACCT = "#!/bin/sh\necho 'JobID|State|NodeList'\n"


@pytest.fixture
def slurm(tmp_path, monkeypatch, seen_by_jobs):
    """Stand-ins first on the path; what was submitted is at `job.sh`."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scancel", "")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755 | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_LOG", str(folder))
    return folder


def test_a_plane_of_slurm_is_one_array_of_jobs_with_the_parameters_given(slurm, tmp_path):
    out = tmp_path / "plane"
    flags = ["--out", str(out), "--workers", "2"]
    parameters = "slurm_partition=cpu,timeout_min=7,slurm_array_parallelism=2"
    assert main([*PLANE, *flags, "--slurm", parameters]) == 0
    assert load_plane(out / "plane.nc").identical(here())
    script = (slurm / "job.sh").read_text()
    for line in ("--partition=cpu", "--time=7", "--array=0-1%2"):
        assert f"#SBATCH {line}" in script
    assert len(list((out / "tasks").glob("*.npz"))) == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--executor", "dask"], "--scheduler tcp://10.0.0.1:8786"),
        (["--scheduler", "tcp://a:1"], "goes with --executor dask"),
        (["--executor", "slurm"], "--out"),
        (["--executor", "sulrm"], "Did you mean 'slurm'?"),
        (["--executor", "dask", "--slurm", "a=1"], "--slurm goes with --executor slurm"),
        (["--executor", "slurm", "--out", "plane"], "cannot be submitted to slurm"),
        (["--slurm", "partition", "--out", "plane"], "`slurm` must read NAME=VALUE"),
        (["--workers", "0"], "`workers` must be at least 1"),
        (["--executor", "dask", "--scheduler", "a:1", "--workers", "2"], "scheduler has its own"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(
    flags, said, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main([*PLANE, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "line",
    [
        "exponents --spectrum s.json --executor processes",
        "frontier --runs folder --workers 2",
        "frontier --runs folder --out kept",
    ],
)
def test_where_nothing_is_worked_on_apart_the_flags_are_refused(line, capsys):
    assert main(line.split()) == 2
    assert "nothing is worked on apart" in capsys.readouterr().err


def test_a_parameter_that_slurm_does_not_take_is_refused(slurm, tmp_path, capsys):
    start = time.monotonic()
    assert main([*PLANE, "--out", str(tmp_path / "o"), "--slurm", "slurm_partitoin=cpu"]) == 2
    error = capsys.readouterr().err
    assert "slurm_partitoin" in error
    assert error.count("\n") == 1
    assert time.monotonic() - start < 5
