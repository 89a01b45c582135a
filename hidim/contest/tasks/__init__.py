"""The tasks of the contest, one line each."""

from hidim.contest.entries import Table, Task

_HERE = "hidim.contest.tasks"

TASKS = Table(
    "task",
    Task,
    {
        "least-squares": f"{_HERE}.least_squares:TASK",
        "rows-mlp": f"{_HERE}.rows:TASK",
        "words-zipf": f"{_HERE}.words:TASK",
        "images-cnn": f"{_HERE}.images:TASK",
        "text-lstm": f"{_HERE}.text:LSTM",
        "text-transformer": f"{_HERE}.text:TRANSFORMER",
    },
)
