"""What will a sweep cost? A table of its networks and lengths, and the hours of all of it.

Runs that are finished are not counted. Of a preset, which decides step by step, the runs that it
will want are counted where no rate or horizon has to be widened.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from hidim.lab.training.cost import Cost, cost_of, expected_shape, seconds_per_step
from hidim.lab.training.settings import Settings
from hidim.support.checks import positive
from hidim.support.progress import Progress

_GIB = float(2**30)


@dataclass(frozen=True)
class Line:
    """Runs of one network and one length.

    Attributes:
        name: of the network.
        runs: how many.
        steps: of each.
        cost: of each, with the memory of the one that takes most.
        seconds: of each, None where they are not known.
    """

    name: str
    runs: int
    steps: int
    cost: Cost
    seconds: float | None


def budget(
    runs: Iterable[Settings], finished: Iterable[Settings] = (), *, tflops: float | None = None
) -> list[Line]:
    """Runs that are left, counted by network and length, the cheapest first.

    Args:
        runs: all of them, each once.
        finished: those that need not be trained again. One whose rate a preset chose stands for
            the run of its length whose rate was not known.
        tflops: what a machine sustains in training, 1e12 flops a second; without it, every network
            is tried out here for a few steps, if these are short.

    Raises:
        ValueError: `tflops` not positive.
    """
    if tflops is not None:
        positive("tflops", tflops)
    done_of = Counter(map(_kind, finished))
    every: dict[tuple[object, ...], list[Settings]] = defaultdict(list)
    for run in runs:
        every[_kind(run)].append(run)
    alike = {key: same[done_of[key] :] for key, same in every.items() if done_of[key] < len(same)}
    tried: dict[tuple[object, ...], float | None] = {}
    lines = []
    with Progress(len(alike), "trying out") as bar:
        for done, (key, same) in enumerate(alike.items()):
            bar.to(done)
            if tflops is None and key[:-1] not in tried:
                tried[key[:-1]] = seconds_per_step(same[0])
            lines.append(_line(same, tried.get(key[:-1]), tflops))
    return sorted(lines, key=lambda line: (line.cost.flops, line.name))


def _kind(run: Settings) -> tuple[object, ...]:
    """Equal for runs that cost the same, up to what their optimizers keep."""
    batches = (run.tokens_per_step, run.batch_ramp, run.accumulation)
    return (expected_shape(run), *batches, run.precision, run.steps)


def _line(same: list[Settings], step: float | None, tflops: float | None) -> Line:
    """A line of runs whose step takes so many seconds here."""
    firsts = {repr((run.optimizer, run.options)): run for run in same}
    cost = max(map(cost_of, firsts.values()), key=lambda one: one.memory)
    seconds = None if step is None else same[0].steps * step
    if tflops is not None:
        seconds = cost.flops / (tflops * 1e12)
    shape = expected_shape(same[0])
    name = f"{shape.kind} {shape.width} x {shape.layers}"
    return Line(name, len(same), same[0].steps, cost, seconds)


def table(lines: list[Line]) -> str:
    """The lines below their headings, and what they come to."""
    heads = ("network", "parameters", "steps", "runs", "tokens", "flops", "memory", "time each")
    rows = [heads, *map(_row, lines)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    text = ["  ".join(_put(cell, w, i) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
            for row in rows]  # fmt: skip
    return "\n".join([*(line.rstrip() for line in text), _total(lines)])


def _put(cell: str, width: int, column: int) -> str:
    return cell.ljust(width) if not column else cell.rjust(width)


def _row(line: Line) -> tuple[str, ...]:
    cost = line.cost
    each = "?" if line.seconds is None else _time(line.seconds)
    return (
        line.name, f"{cost.parameters:,}", f"{line.steps:,}", str(line.runs), f"{cost.tokens:.3g}",
        f"{cost.flops:.2g}", _memory(cost.memory), each,
    )  # fmt: skip


def _total(lines: list[Line]) -> str:
    def of(each: Callable[[Line], float]) -> float:
        return sum(line.runs * each(line) for line in lines)

    known = [line for line in lines if line.seconds is not None]
    told = f"{of(lambda x: 1):.0f} runs, {of(lambda x: x.cost.tokens):.3g} tokens, "
    told += f"{of(lambda x: x.cost.flops):.2g} flops"
    if len(known) < len(lines):
        return (
            told + "; how long is not known: give --tflops, what the machine sustains in training"
        )
    return (
        told + f", {_time(of(lambda x: x.seconds or 0.0))} one after another, without evaluations"
    )


def _memory(size: float) -> str:
    return f"{size / _GIB:.2g} GiB" if size > 0.1 * _GIB else f"{size / 2**20:.2g} MiB"


def _time(seconds: float) -> str:
    for size, unit in ((3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"
