"""Who runs what, with which seeds? The same for every method, and nothing depends on its name.

For each task, every method gets one run for each of 12 points of its declared space, at full
length, all with one seed; the point with the lowest held-out value is its own. Then five fresh
seeds at length 1, .75 and .5, the schedule finished at each. Seeds depend on the task, the role and
an index alone: weights at the start and batches are the same for every method.
Limits: the held-out value chooses among 12 points, of every method alike; the fresh seeds draw new
weights and batches, on the same held-out data.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hidim.contest.entries import Reference
from hidim.contest.rows import PROTOCOL, Run, compute, seed_of
from hidim.contest.spaces import points
from hidim.support.checks import positive, whole
from hidim.support.stores import Store
from hidim.support.tasks import run_tasks

ALARMS = 40  # further seeds of the baseline for the rate of false alarms


@dataclass(frozen=True)
class Protocol:
    """The numbers of a contest.

    Args:
        points: tuning runs for each method; one less than a prime.
        seeds: fresh seeds at each length.
        lengths: shares of a task's steps, the first is 1.
        scale: factor on the steps of every task, for trials.

    Raises:
        ValueError: an argument outside its range, naming it.

    >>> Protocol().runs
    27
    """

    points: int = 12
    seeds: int = 5
    lengths: tuple[float, ...] = (1.0, 0.75, 0.5)
    scale: float = 1.0

    def __post_init__(self) -> None:
        points({}, self.points)
        whole("seeds", self.seeds, minimum=2)
        positive("scale", self.scale)
        if not self.lengths or self.lengths[0] != 1 or not all(0 < x <= 1 for x in self.lengths):
            raise ValueError(f"`lengths` must be shares that begin with 1, got {self.lengths}.")

    @property
    def runs(self) -> int:
        """Of each method on each task."""
        return self.points + self.seeds * len(self.lengths)

    @property
    def full_lengths(self) -> float:
        """The same in runs of full length."""
        return self.points + self.seeds * sum(self.lengths)

    def tuning(self, task: Reference, method: Reference) -> list[Run]:
        """The runs that choose a point."""
        settings = points(method.space, self.points)
        return [
            self._run(task, method, "tune", 0, 1.0, k, values) for k, values in enumerate(settings)
        ]

    def finals(
        self, task: Reference, method: Reference, point: int, *, role: str = "final"
    ) -> list[Run]:
        """The runs that count, or those for the false alarms."""
        values = points(method.space, self.points)[point]
        lengths = self.lengths if role == "final" else (1.0,)
        count = self.seeds if role == "final" else ALARMS
        return [
            self._run(task, method, role, index, length, point, values)
            for length in lengths
            for index in range(count)
        ]

    def _run(
        self,
        task: Reference,
        method: Reference,
        role: str,
        index: int,
        length: float,
        point: int,
        values: Mapping[str, Any],
    ) -> Run:
        steps = max(round(task.entry.steps * self.scale * length), 1)
        seed = seed_of(task.name, role, index)
        text = json.dumps(values, sort_keys=True)
        return Run(task, method, role, index, length, point, text, steps, seed)


def best_point(rows: Sequence[Mapping[str, Any]]) -> int:
    """The point of the lowest value; the first of equals.

    >>> best_point([{"value": 3.0, "point": 0}, {"value": 2.0, "point": 1}])
    1
    """
    return int(min(rows, key=lambda row: (row["value"], row["point"]))["point"])


def hold(
    protocol: Protocol,
    tasks: Sequence[Reference],
    methods: Sequence[Reference],
    store: Store[dict[str, Any]],
    *,
    workers: int | None = 1,
    progress: bool | None = None,
    told: Callable[[str], object] = lambda line: None,
) -> list[dict[str, Any]]:
    """Run what is missing, task by task, and return all rows.

    Args:
        protocol: the numbers.
        tasks, methods: who takes part.
        store: where rows are found and kept.
        workers: processes.
        progress: as in `run_tasks`.
        told: is told a line when a task is complete.

    Raises:
        Refused: a method left the rules.
    """

    def run(runs: Sequence[Run], label: str) -> dict[str, dict[str, Any]]:
        return run_tasks(
            compute,
            {one.name: one for one in runs},
            store=store,
            workers=workers,
            progress=progress,
            label=label,
        )

    rows: list[dict[str, Any]] = []
    for task in tasks:
        tuning = {method.name: protocol.tuning(task, method) for method in methods}
        found = run([one for runs in tuning.values() for one in runs], f"{task.name}: tuning")
        finals: list[Run] = []
        for method in methods:
            point = best_point([found[one.name] for one in tuning[method.name]])
            finals += protocol.finals(task, method, point)
        found |= run(finals, f"{task.name}: fresh seeds")
        rows += found.values()
        told(f"{task.name} is complete: {len(found)} runs")
    return rows


def raise_alarms(
    protocol: Protocol,
    tasks: Sequence[Reference],
    method: Reference,
    store: Store[dict[str, Any]],
    *,
    workers: int | None = 1,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Further seeds of one tuned method at full length, on each of the tasks."""

    def run(runs: Sequence[Run], label: str) -> list[dict[str, Any]]:
        tasks = {one.name: one for one in runs}
        done = run_tasks(
            compute, tasks, store=store, workers=workers, progress=progress, label=label
        )
        return list(done.values())

    rows: list[dict[str, Any]] = []
    for task in tasks:
        point = best_point(run(protocol.tuning(task, method), f"{task.name}: tuning"))
        runs = protocol.finals(task, method, point, role="alarm")
        rows += run(runs, f"{task.name}: false alarms")
    return rows


def of_this(
    protocol: Protocol,
    tasks: Sequence[Reference],
    methods: Sequence[Reference],
    rows: Sequence[dict[str, Any]],
) -> list[dict[str, Any]]:
    """The rows that belong to this contest: its entries in their versions, its steps."""
    steps = {task.name: (task.version, task.entry.steps * protocol.scale) for task in tasks}
    versions = {method.name: method.version for method in methods}
    none = (None, 0.0)
    return [
        row
        for row in rows
        if versions.get(row["method"]) == row["method_version"]
        and steps.get(row["task"], none)[0] == row["task_version"]
        and row["steps"] == max(round(steps[row["task"]][1] * row["length"]), 1)
        and row["protocol"] == PROTOCOL
    ]


def progress_of(
    protocol: Protocol,
    tasks: Sequence[Reference],
    methods: Sequence[Reference],
    rows: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """For each task, of rows of this contest: runs done and wanted, CPU hours done and left."""
    listed = []
    for task in tasks:
        own = [row for row in rows if row["task"] == task.name and row["role"] != "alarm"]
        wanted = protocol.runs * len(methods)
        full = [row["seconds"] for row in own if row["length"] == 1 and row["status"] == "ok"]
        each = sum(full) / len(full) if full else task.entry.seconds * protocol.scale
        total = each * protocol.full_lengths * len(methods)
        done = sum(row["seconds"] for row in own)
        share = 1 - sum(row["length"] for row in own) / (protocol.full_lengths * len(methods))
        listed.append(
            {
                "task": task.name,
                "runs": wanted,
                "finished": len(own),
                "steps": max(round(task.entry.steps * protocol.scale), 1),
                "seconds_each": each,
                "hours_done": done / 3600,
                "hours_left": max(share, 0.0) * total / 3600,
            }
        )
    return listed
