"""What does a plane of exact curves cost, here and on a cluster whose workers are killed?

40 x 40 points (alpha, beta) at 10 sizes, 16,000 curves of SGD, with two workers: processes of this
machine, and a LocalCluster of Dask with one worker killed midway; and a small plane by submitit's
local jobs, one killed. Seconds on the clock with one BLAS thread; the curves must be identical.

    python benchmarks/plane.py             # print the table, three minutes on two free cores
    python benchmarks/plane.py --write     # and keep it in docs/benchmarks/plane.md
"""

from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported, hence before

import distributed  # noqa: E402
import numpy as np  # noqa: E402

import hidim  # noqa: E402
from hidim.studies import plane_exponents, run_plane  # noqa: E402
from hidim.support.executors import submitting  # noqa: E402

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks" / "plane.md"
ALPHAS, BETAS = np.linspace(0.3, 1.5, 40), np.linspace(0.05, 1.5, 40)
SMALL = {"alphas": [0.5, 1.0], "betas": [0.3, 0.7], "sizes": [100 * 2**k for k in range(10)]}
WORKERS = 2


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What `work` returns, and its seconds on the clock."""
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def half(which: int, executor: Any = None, folder: str | None = None) -> Any:
    """Every second row of the large plane."""
    workers = WORKERS if executor is None else None
    return run_plane(
        ALPHAS[which::2], BETAS, recipes="sgd", workers=workers, executor=executor, folder=folder
    )


@contextmanager
def killing_one(folder: str, tasks: int, find: Callable[[], int]) -> Iterator[list[int]]:
    """While the block lasts: once so many tasks are kept in `folder`, kill the process found."""
    killed: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            if len(list(Path(folder).glob("*.npz"))) >= tasks:
                killed.append(find())
                os.kill(killed[0], signal.SIGKILL)
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def by_both() -> tuple[list[Any], list[Any], float, float, int]:
    """The halves by processes and by Dask, the seconds of each, and how many workers died.

    In the order processes, Dask, Dask, processes, so that what else the machine does meets both.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        distributed.LocalCluster(
            n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0", silence_logs=50
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        # Both keep every task in a folder: what is compared is who does the work.
        own = tempfile.mkdtemp(dir=folder)
        first, first_seconds = timed(lambda: half(0, folder=own))
        kept = tempfile.mkdtemp(dir=folder)
        with killing_one(kept, 100, lambda: min(client.run(os.getpid).values())) as killed:
            there, there_seconds = timed(lambda: half(0, client, kept))
        rest, rest_seconds = timed(lambda: half(1, client, kept))
        last, last_seconds = timed(lambda: half(1, folder=own))
    pool, dask = first_seconds + last_seconds, there_seconds + rest_seconds
    return [first, last], [there, rest], pool, dask, len(killed)


def job_process() -> int:
    """A process of our own jobs: a child of the controllers that submitit started for us."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True)
    parents = dict(map(int, line.split()) for line in listed.stdout.splitlines()[1:])
    ours = [pid for pid, parent in parents.items() if parent == os.getpid()]
    return min(pid for pid, parent in parents.items() if parent in ours)


def by_jobs() -> tuple[Any, float, int]:
    """The small plane by submitit's local jobs, one killed."""
    with tempfile.TemporaryDirectory() as folder:
        tasks = str(Path(folder) / "tasks")
        executor = submitting(Path(folder) / "jobs", "local")
        with killing_one(tasks, 5, job_process) as killed:
            found, seconds = timed(
                lambda: run_plane(**SMALL, workers=WORKERS, executor=executor, folder=tasks)
            )
        return found, seconds, len(killed)


def rows() -> list[tuple[str, str, str]]:
    """What was done, what was measured, and what we hold ourselves to."""
    here, there, pool, dask, killed = by_both()
    measured = sum(timed(lambda one=one: plane_exponents(one))[1] for one in here)
    small, alone = timed(lambda: run_plane(**SMALL, workers=WORKERS))
    jobs, submitted, ended = by_jobs()
    same = {True: "identical", False: "NOT identical"}
    curves = sum(int(np.isfinite(one.risk.values[..., 0]).sum()) for one in here)
    alike = all(one.identical(other) for one, other in zip(here, there, strict=True))
    return [
        (f"{curves:,} curves by {WORKERS} processes", f"{pool:.0f} s", "240 s"),
        (
            f"the same by {WORKERS} workers of Dask, {killed} killed on its way",
            f"{dask:.0f} s, {dask / pool:.2f} x, {same[alike]}",
            "1.15 x, identical",
        ),
        ("their exponents eta and xi, in this process", f"{measured:.0f} s", ""),
        (f"{small.risk.size // 128} curves by {WORKERS} processes", f"{alone:.1f} s", ""),
        (
            f"the same by {WORKERS} local jobs of submitit, {ended} killed",
            f"{submitted:.1f} s, {same[small.identical(jobs)]}",
            "identical",
        ),
    ]


def page(found: list[tuple[str, str, str]]) -> str:
    """The table with its heading."""
    load = max(os.getloadavg()[1] - WORKERS, 0.0)
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    lines = [f"| {' | '.join(row)} |" for row in found]
    return "\n".join(
        [
            "# Planes of curves",
            "",
            f"hidim {hidim.__version__}, {machine}, one BLAS thread each. 40 x 40 points "
            "(alpha, beta), alpha 0.3 to 1.5 and beta 0.05 to 1.5, SGD at ten sizes from 100 to "
            "51,200, 128 points each. Seconds on the clock, in two halves, processes and Dask in "
            f"turn, with {load:.1f} other processes at work on the machine. Written by "
            "`python benchmarks/plane.py --write`.",
            "",
            "| what | measured | target |",
            "| --- | --- | --- |",
            *lines,
            "",
        ]
    )


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description="What a plane of exact curves costs.")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {PAGE}")
    args = parser.parse_args()
    text = page(rows())
    print(text)
    if args.write:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
