"""How are many tasks done once each, here or on a cluster, so that no finished one is lost?

    results = run_tasks(function, {"first": task, ...}, store=Store("folder"), executor=executor)

A result that the store holds is read; the other tasks go to the executor, and every result is
written, whole or not at all, as it arrives: whatever is killed when, the same call goes on from
there. The executor is anything with the `submit` of PEP 3148: processes of this machine by default
(support/workers.py), Dask's ``Client(address).get_executor()``, mpi4py's ``MPIPoolExecutor()``; or
one of submitit, whose jobs write for themselves (support/jobs.py).
Limits: no order between tasks; one that fails ends the run, and leaves what others finished. A
worker needs the same version of hidim, and a task that can be pickled and takes a few seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hidim.support.jobs import run_jobs
from hidim.support.progress import Progress
from hidim.support.stores import Store
from hidim.support.workers import (
    Call,
    WorkersLost,
    check_executor,
    cores,
    in_executor,
    in_processes,
    submits_jobs,
)

T = TypeVar("T")
R = TypeVar("R")


_AGAIN = "Start the same again to go on from there"


class Stopped(KeyboardInterrupt):
    """Ctrl-C; the message says what is kept and how to go on."""


def run_tasks(
    function: Callable[[T], R],
    tasks: Mapping[str, T],
    *,
    store: Store[R] | None = None,
    executor: Any = None,
    workers: int | None = None,
    progress: bool | None = None,
    label: str = "tasks",
    done: Callable[[], object] | None = None,
    kept: Callable[[], str] | None = None,
) -> dict[str, R]:
    """The result of every task, by its name.

    Args:
        function: what is done with each task; at the top level of a module that workers import.
        tasks: arguments by name; started in this order.
        store: where results are looked for first and kept; None keeps nothing.
        executor: None or "processes" for processes of this machine, or an executor.
        workers: processes, or jobs of submitit; None takes every core. One process is this one.
        progress: show a bar with the time left; None when standard error is a terminal.
        label: what the bar says.
        done: called after each task, those found in the store included.
        kept: says what is kept, where that is not the store's to say.

    Raises:
        WorkersLost: the executor cannot go on.
        Stopped: Ctrl-C.
        Exception: what the function raised for a task.

    >>> run_tasks(abs, {"a": -1, "b": 2}, workers=1)
    {'a': 1, 'b': 2}
    """
    executor = check_executor(executor, folder=store)
    writes = store is not None and not (executor is not None and submits_jobs(executor))
    left, found = dict(tasks), dict[str, R]()
    with Progress(len(tasks), label, enabled=progress) as bar:

        def arrived(name: str, result: R) -> None:
            if writes and store is not None:
                store.save(name, result)
            keep(name, result)
            bar.advance()

        def keep(name: str, result: R) -> None:
            found[name] = result
            del left[name]
            if done is not None:
                done()

        if store is not None:
            store.open()
            for name in store.finished() & tasks.keys():
                keep(name, store.load(name))
            bar.begin(len(found))
        try:
            _run(Call(function), left, arrived, store, executor, workers)
        except (KeyboardInterrupt, WorkersLost) as error:
            rest = _kept(store, found, tasks) if kept is None else f"{kept()}. {_AGAIN}"
            if isinstance(error, WorkersLost):
                raise WorkersLost(f"{error}; {rest}.") from None
            raise Stopped(f"stopped; {rest}.") from None
    return {name: found[name] for name in tasks}


def _run(
    call: Call,
    left: dict[str, Any],
    arrived: Callable[[str, Any], None],
    store: Store[Any] | None,
    executor: Any,
    workers: int | None,
) -> None:
    if not left:
        return
    count = min(len(left), workers or cores())
    if executor is None and count == 1:
        for name, task in list(left.items()):
            arrived(name, call(task))
    elif executor is None:
        in_processes(call, left, arrived, count)
    elif submits_jobs(executor):
        assert store is not None  # check_executor has seen to it
        run_jobs(executor, call, left, arrived, store, count)
    else:
        in_executor(executor, call, left, arrived)


def _kept(store: Store[Any] | None, found: Mapping[str, Any], tasks: Mapping[str, Any]) -> str:
    if store is None:
        return "no finished task was kept. Name a folder for them, to go on from there next time"
    many = f"{len(found)} of {len(tasks)} tasks are kept in {str(store.folder)!r}"
    return f"{many}. {_AGAIN}"
