"""Where do the workers of a sweep run? As processes here, as jobs of Slurm, or in any executor.

Each claims its runs by the locks of their folders, wherever it is: workers of all three kinds may
share a sweep.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from hidim.lab.sweeps.sweep import Outcome, Stage, Sweep, attempt, left_to_train, work
from hidim.lab.training.result import Result
from hidim.lab.training.signals import passing_on
from hidim.support.executors import submitting
from hidim.support.jobs import Requeued
from hidim.support.tasks import run_tasks
from hidim.support.workers import check_executor, submits_jobs

_LOOK_SECONDS = 5.0
_GRACE_SECONDS = 6.0  # that a worker has to save in when its parent has died
# A worker keeps the memory that one step frees for the next; glibc would give it back and ask for
# it again, which can take a quarter of a small model's time. Other C libraries do not look.
KEEP_MEMORY = {
    "MALLOC_TOP_PAD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(2_000_000_000),
    "MALLOC_MMAP_THRESHOLD_": str(2_000_000_000),
}


def local_workers(
    sweep: Sweep,
    count: int,
    *,
    preset: str | None = None,
    save_seconds: float = 60.0,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Train a sweep with `count` processes, each on one core; returns the first bad exit code.

    Ctrl-C, SIGTERM and the other signals that ask to stop reach every worker, which saves and
    leaves, as it does within seconds when this process is killed. A worker that is killed is not
    replaced: the others take over its run.
    """
    flags = ["--out", str(sweep.path), "--worker", "--lifeline"]
    flags += ["--save-seconds", str(save_seconds)]
    if preset is not None:
        flags += ["--preset", preset]
    command = [sys.executable, "-m", "hidim", "sweep", *flags]
    workers: list[subprocess.Popen[bytes]] = []

    def stop() -> None:
        for worker in workers:
            worker.terminate()

    with passing_on(stop) as asked:
        for _ in range(count):
            workers.append(_start(command))
            if asked:  # while this one was being started: it was not told
                workers[-1].terminate()
                break
        look = 0.0  # reading the plan of hundreds of runs takes tens of milliseconds
        while any(worker.poll() is None for worker in workers):
            if progress is not None and time.monotonic() >= look:
                progress(len(sweep.finished()), len(sweep.settings()))
                look = time.monotonic() + _LOOK_SECONDS
            time.sleep(0.25)
        if progress is not None:
            progress(len(sweep.finished()), len(sweep.settings()))
    if asked:
        return 128 + asked[0]
    done = len(sweep.finished()) == len(sweep.settings())
    return 0 if done else next((w.returncode for w in workers if w.returncode), 1)


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    """A worker that reads from a pipe of ours: the system closes it when we die, however we do."""
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        # A group of their own: Ctrl-C would otherwise reach them twice.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows's word for it
        env={**KEEP_MEMORY, **os.environ},
    )


def die_with_parent(stream: int = 0) -> None:
    """Save and leave once whoever holds the other end of `stream`, a pipe, has died.

    What is in the middle of a step that takes longer than `_GRACE_SECONDS` is killed.
    """

    def watch() -> None:
        with suppress(OSError):
            while os.read(stream, 1024):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_GRACE_SECONDS)
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

    threading.Thread(target=watch, daemon=True).start()


def submit_workers(
    sweep: Sweep,
    count: int,
    *,
    preset: str | None = None,
    cluster: str = "slurm",
    parameters: Mapping[str, Any] | None = None,
) -> list[Any]:
    """Submit `count` workers as jobs through submitit, and return the jobs at once.

    Args:
        sweep: on a disk that the jobs see.
        count: number of jobs.
        preset: a ladder to go on with when the listed runs are finished.
        cluster: "slurm", "local" (processes) or "debug" (here, when a result is asked for).
        parameters: of submitit's executor, such as slurm_partition and timeout_min.

    Raises:
        MissingExtra: submitit is not installed.
        ValueError: Slurm is not there, or it does not take a parameter.
    """
    executor = submitting(sweep.path / "jobs", cluster, parameters)
    try:
        return [executor.submit(Worker(str(sweep.path), preset)) for _ in range(count)]
    except (RuntimeError, NameError, TypeError) as error:
        raise ValueError(f"the jobs cannot be submitted to {cluster}: {error}") from None


@dataclass(frozen=True)
class Worker(Requeued):
    """What a job does: train what is left, and leave when nothing can be claimed.

    With a preset it stays while others train: what is wanted next follows from their results. A
    job that is preempted or reaches its time limit is queued again, and goes on.
    """

    path: str
    preset: str | None = None

    def __call__(self) -> Outcome:
        """Train."""
        from hidim.lab.sweeps.presets import ladder

        stage = ladder(self.preset).stage if self.preset else None
        return work(Sweep(self.path), stage=stage, wait=stage is not None)


def train_with(
    sweep: Sweep,
    executor: Any,
    *,
    stage: Stage | None = None,
    workers: int | None = None,
    save_seconds: float = 60.0,
    progress: bool | None = None,
) -> Outcome:
    """Train a sweep by the workers of an executor, one task for each run.

    A worker that is killed lets go of its run, and another goes on from the checkpoint: the runs
    are claimed by the same locks as everywhere, so all workers must see the sweep's folder, and
    any number of other processes may train beside them.

    Args:
        sweep: the folder.
        executor: "processes" of this machine, or an executor such as Dask's
            ``Client(address).get_executor()``.
        stage: once all listed runs are finished, asked for more.
        workers: processes; None takes every core.
        save_seconds: between checkpoints.
        progress: show a bar with the time left; None when standard error is a terminal.

    Raises:
        ValueError: no executor, or one of submitit: `submit_workers` submits jobs.
        WorkersLost: the executor cannot go on; what is trained is kept.
        Stopped: Ctrl-C.
    """
    executor = check_executor(executor, folder=sweep.path)
    if executor is not None and submits_jobs(executor):
        raise ValueError("`executor` submits jobs: take `submit_workers` for them.")
    outcome = Outcome()

    def kept() -> str:
        done, wanted = len(sweep.finished()), len(sweep.settings())
        return f"{done} of {wanted} runs are finished, the others go on from their checkpoints"

    while pending := left_to_train(sweep, outcome, stage):
        path = str(sweep.path.resolve())  # workers may stand in another folder
        found = run_tasks(
            _train,
            {name: _Run(path, name, save_seconds) for name in pending},
            executor=executor,
            workers=workers,
            progress=progress,
            label="training",
            kept=kept,
        )
        for name, answer in found.items():
            if isinstance(answer, str):
                outcome.failed[name] = answer
            elif answer is not None and answer.status != "stopped":
                outcome.trained.append(name)
        if all(answer is None for answer in found.values()):
            time.sleep(1.0)  # others train them
    return outcome


@dataclass(frozen=True)
class _Run:
    path: str
    name: str
    save_seconds: float


def _train(run: _Run) -> Result | str | None:
    """The task of one run."""
    sweep = Sweep(run.path)
    settings = sweep.settings()[run.name]
    return attempt(sweep, run.name, settings, texts={}, save_seconds=run.save_seconds)
