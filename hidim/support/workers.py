"""Who works on tasks, and what if a worker dies? Processes of this machine, or any executor.

An executor is whatever has the `submit` of PEP 3148. A pool of processes that loses one is broken,
so it is replaced and goes on with what is left; an executor of somebody else's (Dask's hands a lost
task to another worker) that gives up ends the run.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable
from concurrent.futures import (
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
)
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

from hidim._version import __version__
from hidim.support.checks import shown, whole
from hidim.support.memory import steady_memory

# Told the name and the result of a task; takes it out of what is left.
Arrived = Callable[[str, Any], None]

TRIES = 3  # times in a row that workers may die before another result arrives


class WorkersLost(OSError):
    """The workers died, or cannot work; the message says why, and what is kept."""


def check_executor(executor: Any, *, folder: object = None) -> Any:
    """An executor, or None for processes of this machine.

    Args:
        executor: given by the user: None, "processes", an executor, or a Dask Client.
        folder: where results are kept, which the jobs of submitit need.

    Raises:
        ValueError: none of them.
    """
    if executor is None or (isinstance(executor, str) and executor == "processes"):
        return None
    made = not isinstance(executor, type)  # an object, not the class of one
    if made and hasattr(executor, "get_executor"):  # a Dask Client; its `submit` is no PEP 3148
        return executor.get_executor(pure=False)
    if not made or not callable(getattr(executor, "submit", None)):
        raise ValueError(
            "`executor` must be 'processes' or an executor with `submit`, such as Dask's "
            f"Client(address).get_executor(); got {shown(executor)}."
        )
    if submits_jobs(executor) and folder is None:
        raise ValueError("`folder` must be given with jobs of submitit: their results go there.")
    return executor


def check_workers(workers: Any) -> int | None:
    """A number of processes or jobs, or None."""
    return None if workers is None else int(whole("workers", workers, minimum=1))


def submits_jobs(executor: object) -> bool:
    """Whether this is an executor of submitit, whose jobs are no futures."""
    return not isinstance(executor, Executor) and hasattr(executor, "batch")


def cores() -> int:
    """How many this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Call:
    """The function as a worker calls it, after a look at the worker's version of hidim.

    Attributes:
        function: what is done with a task.
        version: of the caller.
        steady: whether the worker, somebody else's, keeps its memory while it is at a task.
    """

    function: Callable[[Any], Any]
    version: str = __version__
    steady: bool = False

    def __call__(self, task: Any) -> Any:
        """The function's answer."""
        if self.version != __version__:
            raise WorkersLost(
                f"a worker runs hidim {__version__} and was sent a task of hidim {self.version}: "
                "install the same version"
            )
        with steady_memory() if self.steady else nullcontext():
            return self.function(task)


def in_processes(call: Call, left: dict[str, Any], arrived: Arrived, count: int) -> None:
    """Work in `count` processes, replaced where they die.

    Raises:
        WorkersLost: at the first task, or again and again.
    """
    # Fresh ones: a fork would copy the caller's threads and locks in unknown states.
    context = multiprocessing.get_context("spawn")
    first, deaths = len(left), 0
    while left:
        before = len(left)
        pool = ProcessPoolExecutor(min(count, before), mp_context=context, initializer=_as_worker)
        try:
            with pool:
                _gather(pool, call, left, arrived)
        except BrokenExecutor:
            deaths = 1 if len(left) < before else deaths + 1
            if len(left) == first:
                raise WorkersLost(
                    "the worker processes died before the first result: a script must start them "
                    "below `if __name__ == '__main__':`; where memory is short, take fewer workers"
                ) from None
            if deaths == TRIES:
                raise WorkersLost(f"worker processes died {TRIES} times in a row") from None


def _as_worker() -> None:
    """In a new process: Ctrl-C is the parent's to answer, and nobody works for a dead parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent: Any = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def in_executor(executor: Any, call: Call, left: dict[str, Any], arrived: Arrived) -> None:
    """Work in an executor of somebody else's.

    Raises:
        WorkersLost: it gave up, or its workers cannot import the task.
    """
    try:
        _gather(executor, replace(call, steady=True), left, arrived)
    except Exception as error:
        if (reason := _reason(error)) is None:
            raise
        raise WorkersLost(reason) from None


def _gather(executor: Any, call: Call, left: dict[str, Any], arrived: Arrived) -> None:
    """Hand out what is left and take results as they come; at an error, those that are there."""
    waiting: dict[Future[Any], str] = {}
    try:
        for name, task in left.items():
            waiting[_submit(executor, call, task)] = name
        for future in as_completed(waiting):
            arrived(waiting[future], future.result())
    except BaseException:
        for future in waiting:
            future.cancel()
        if isinstance(executor, ProcessPoolExecutor):
            executor.shutdown()  # what is being worked on takes seconds
        for future, name in waiting.items():
            fine = future.done() and not future.cancelled() and future.exception() is None
            if fine and name in left:
                arrived(name, future.result())
        raise


def _submit(executor: Any, call: Call, task: Any) -> Future[Any]:
    """The future of a task, which is done as it is unpickled.

    So it is the worker's task that meets a package which is not there, and says so; Dask's worker
    would break its connection over a function that it cannot import, and nobody would hear why.
    """
    work = pickle.dumps(_Work(call, task))
    try:
        future: Future[Any] = executor.submit(pickle.loads, work)
    except BrokenExecutor:  # who made it may replace it
        raise
    except RuntimeError as error:
        raise WorkersLost(f"the executor takes no task ({error})") from None
    return future


@dataclass(frozen=True)
class _Work:
    """Pickled, it is a call; unpickled, what the call returned."""

    call: Call
    task: Any

    def __reduce__(self) -> tuple[Call, tuple[Any]]:
        return self.call, (self.task,)


def _reason(error: Exception) -> str | None:
    """Why an executor gave up, in one line; None where a task did."""
    if isinstance(error, ImportError):
        return f"a worker cannot import what it needs ({error}): install the same packages there"
    if isinstance(error, CancelledError):
        return "the tasks were cancelled: their scheduler has gone"
    if isinstance(error, BrokenExecutor) or type(error).__module__.startswith("distributed"):
        said = " ".join(str(error).split()) or type(error).__name__
        return f"the workers are lost: {said[:300]}"
    return None
