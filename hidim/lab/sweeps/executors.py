"""Where do the workers of a sweep run? As processes of this machine, or as jobs of Slurm."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from hidim.lab.sweeps.sweep import Outcome, Sweep, work
from hidim.support.checks import choice
from hidim.support.extras import require

_LOOK_SECONDS = 5.0
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

    Ctrl-C and SIGTERM reach every worker, which saves and leaves. A worker that is killed is not
    replaced: the others take over its run.
    """
    flags = ["--out", str(sweep.path), "--worker", "--save-seconds", str(save_seconds)]
    if preset is not None:
        flags += ["--preset", preset]
    command = [sys.executable, "-m", "hidim", "sweep", *flags]
    environment = {**KEEP_MEMORY, **os.environ}
    workers: list[subprocess.Popen[bytes]] = []
    asked: list[int] = []

    def stop(number: int, frame: Any) -> None:
        asked.append(number)
        for worker in workers:
            worker.terminate()

    numbers: tuple[int, ...] = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        # A group of their own: Ctrl-C would otherwise reach them twice.
        alone = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Windows's word for it
        for _ in range(count):
            workers.append(
                subprocess.Popen(
                    command, start_new_session=True, creationflags=alone, env=environment
                )
            )
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
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        return 128 + asked[0]
    done = len(sweep.finished()) == len(sweep.settings())
    return 0 if done else next((w.returncode for w in workers if w.returncode), 1)


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
    submitit: Any = require("submitit", "lab")
    choice("cluster", cluster, ("slurm", "local", "debug"))
    try:
        executor = submitit.AutoExecutor(folder=sweep.path / "jobs", cluster=cluster)
        executor.update_parameters(**(parameters or {}))
        path = str(sweep.path)
        return [executor.submit(run_worker, path, preset) for _ in range(count)]
    except (RuntimeError, NameError, TypeError) as error:
        raise ValueError(f"the jobs cannot be submitted to {cluster}: {error}") from None


def run_worker(path: str, preset: str | None = None) -> Outcome:
    """What a job does: train what is left, and leave when nothing can be claimed.

    With a preset it stays while others train: what is wanted next follows from their results.
    """
    from hidim.lab.sweeps.presets import ladder

    stage = ladder(preset).stage if preset else None
    return work(Sweep(path), stage=stage, wait=stage is not None)
