"""The tasks of the contest, one line each."""

from hidim.contest.entries import Table, Task

_HERE = "hidim.contest.tasks"

TASKS = Table(
    "task",
    Task,
    {
        "least-squares": f"{_HERE}.least_squares:TASK",
    },
)
