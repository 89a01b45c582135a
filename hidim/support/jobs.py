"""How do jobs of submitit share tasks out, when each may wait, be preempted or be killed?

Every job gets a share of the tasks at once and writes each result into the store, a folder that
jobs and caller see; the caller reads there. What a job that died has left undone goes to a new
one, and a job that is preempted or reaches its time limit is queued again by submitit itself and
goes on where it stood.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hidim.support.stores import Store
from hidim.support.workers import TRIES, Arrived, Call, WorkersLost

_LOOK = 0.2  # seconds between two looks at the folder
_LEAVE = 5.0  # seconds that jobs may take to end after their last result
_VISIBLE = 60.0  # seconds that a shared disk may take to show what a job has written


class Requeued(ABC):
    """A call that submitit repeats where its job was preempted or reached its time limit."""

    @abstractmethod
    def __call__(self) -> Any:
        """Do what is not done."""

    def checkpoint(self) -> Any:
        """What submitit queues again: the same call, which finds what it has done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


@dataclass
class Share(Requeued):
    """The tasks of one job: what is done with each, by name, and where the results go."""

    call: Call
    tasks: dict[str, Any]
    store: Store[Any]

    def __call__(self) -> Exception | None:
        """Do what is not done; returns the error that ended it, or None."""
        done = self.store.finished()
        for name, task in self.tasks.items():
            if name in done:
                continue
            try:
                self.store.save(name, self.call(task))
            except Exception as error:  # for the caller to raise
                return error
        return None


def run_jobs(
    executor: Any,
    call: Call,
    left: dict[str, Any],
    arrived: Arrived,
    store: Store[Any],
    count: int,
) -> None:
    """Do the tasks in `left`, which `arrived` takes away, with `count` jobs.

    Raises:
        WorkersLost: jobs cannot be submitted, fail before their first task, or die again and again.
    """
    jobs = _Jobs(executor, call, left, arrived, store)
    try:
        names = list(left)
        # Dealt out like cards: the first tasks are the long ones.
        jobs.submit([names[i::count] for i in range(count)])
        while left:
            if not jobs.read():
                jobs.replace_dead()
                time.sleep(_LOOK)
    except BaseException:
        for job in jobs.shares:
            with suppress(Exception):  # it may have ended
                job.cancel(check=False)
        raise
    finally:
        jobs.wait(_LEAVE)


@dataclass
class _Jobs:
    """The jobs that are running, and what each was given."""

    executor: Any
    call: Call
    left: dict[str, Any]
    arrived: Arrived
    store: Store[Any]
    shares: dict[Any, list[str]] = field(default_factory=dict)
    deaths: int = 0

    def submit(self, shares: list[list[str]]) -> None:
        """One job for each share; together, so that Slurm sees one array of them."""
        jobs = []
        try:
            with self.executor.batch():
                for names in shares:
                    tasks = {name: self.left[name] for name in names}
                    jobs.append(self.executor.submit(Share(self.call, tasks, self.store)))
        except (RuntimeError, OSError) as error:
            said = " ".join(str(error).split())
            raise WorkersLost(f"the jobs cannot be submitted: {said[:300]}") from None
        self.shares |= zip(jobs, shares, strict=True)

    def read(self) -> bool:
        """Take what was written since the last look; whether there was any."""
        new = [name for name in self.store.finished() if name in self.left]
        for name in new:
            self.arrived(name, self.store.load(name))
        self.deaths = 0 if new else self.deaths
        return bool(new)

    def replace_dead(self) -> None:
        """Give what a job has left undone to a new one."""
        for job in [job for job in self.shares if job.done()]:
            names = self.shares.pop(job)
            self.read()
            if any(name in self.left for name in names):
                self._ask(job, names)
            if not (undone := [name for name in names if name in self.left]):
                continue
            self.deaths += 1
            if self.deaths == TRIES:
                raise WorkersLost(f"{TRIES} jobs ended without a result, see {job.paths.stderr}")
            self.submit([undone])

    def wait(self, seconds: float) -> None:
        """Until every job has ended, so long at most."""
        end = time.monotonic() + seconds
        while not all(job.done() for job in self.shares) and time.monotonic() < end:
            time.sleep(_LOOK)

    def _ask(self, job: Any, names: list[str]) -> None:
        """Raise the error that ended a job; return where it was killed.

        Submitit would wait a while for the answer of a job that was killed: it is asked only for
        one that is there.
        """
        if not job.paths.result_pickle.exists():
            return
        try:
            error = job.result()
        except Exception as failure:  # whatever the job met before its first task
            lines = [line.strip() for line in str(failure).splitlines()]
            raised = [line for line in lines if "Error" in line.partition(":")[0]]
            said = raised[-1] if raised else type(failure).__name__
            raise WorkersLost(f"a job failed ({said}), see {job.paths.stderr}") from None
        if error is not None:
            raise error
        end = time.monotonic() + _VISIBLE
        while any(name in self.left for name in names) and time.monotonic() < end:
            if not self.read():
                time.sleep(_LOOK)
