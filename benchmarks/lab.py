"""Does the training loop cost anything, and does DANA's step? Ratios within one run.

The bare loop is the network, torch's optimizer, clipping where the run clips, and nothing else, on
the same windows; the lab's run is everything `train` does with a run of the default length, its
files included and its evaluations apart. Two bare loops and the lab's run take turns in one
process, ten steps each, in the order A B C B A C, so whatever else the machine does meets all
three alike. Processor time of one thread; the median over runs of the ratio of whole runs with a
95 % interval (of the median, by order statistics), and the two bare loops against each other as
the control. What evaluations take is a share of their own: of a whole run of the default length
and evaluations, and as they were before, at steps 1.1^k.

    python benchmarks/lab.py                 # print the table
    python benchmarks/lab.py --write         # and keep it in docs/benchmarks/lab.md
    python benchmarks/lab.py --evaluations   # the evaluations' rows alone, with --write anew there
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import torch
from scipy import stats
from torch import nn

from hidim.lab import Settings, Shape, build, make_optimizer, train
from hidim.lab.sweeps.executors import KEEP_MEMORY
from hidim.lab.text.batches import Batches
from hidim.lab.text.tokens import Tokens
from hidim.lab.training import entry
from hidim.lab.training.entry import load_tokens
from hidim.lab.training.models import next_token_loss
from hidim.lab.training.processes import Group
from hidim.lab.training.run import TrainingRun
from hidim.lab.training.store import RunFolder

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks" / "lab.md"
SETTINGS = Settings(optimizer="sgd", lr=1.0, steps=100, validation_tokens=64, clip=0.0)
MODERN = SETTINGS.replace(model="modern", heads=2, optimizer="adamw", lr=4e-3, clip=1.0)
DEFAULT = Settings()
WHOLE = {name: getattr(DEFAULT, name) for name in ("steps", "validation_tokens", "clip")}
BLOCK = 10  # steps until another loop has its turn
ROUNDS = 5
DANA_ROUNDS = 9
EVALUATION_ROUNDS = 3
_EVALUATIONS = "evaluations, share of the processor time of a run"
SPEED_ROUNDS = {"SGD": 21, "AdamW": 11}
WIDTHS = (16, 32, 64, 112)
OPTIMIZERS = ("sgd-momentum", "dana-constant", "dana-decaying", "adam", "adamw", "adana")


def bare(tokens: Tokens, s: Settings) -> Iterator[None]:
    """The hand-written loop, a step at a time; the model is made with the first."""
    model = build(s.shape(256))
    kind = torch.optim.SGD if s.optimizer == "sgd" else torch.optim.AdamW
    optimizer = kind(model.parameters(), lr=s.lr, fused=True)
    batches = Batches(tokens.train, context=s.context, seed=0)

    def step(number: int) -> None:  # a function, so that no graph outlives its step
        windows = torch.from_numpy(batches.windows(number * s.batch_size, s.batch_size))
        logits = model(windows[:, :-1])
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        if s.clip:
            nn.utils.clip_grad_norm_(model.parameters(), s.clip)
        optimizer.step()

    for number in range(s.steps):
        step(number)
        yield


class Turns:
    """Processor seconds of the lab's run and of the bare loops that take turns with it."""

    def __init__(self, loops: Sequence[Iterator[None]]) -> None:
        self.loops, self.order = loops, list(range(len(loops)))
        self.bare = [0.0] * len(loops)
        self.lab, self.since = 0.0, time.process_time()

    def pause(self) -> None:
        """The lab's run stops here."""
        now = time.process_time()
        self.lab, self.since = self.lab + now - self.since, now

    def next(self) -> None:
        """A block of every bare loop, in the other order the next time; then the lab's."""
        for which in self.order:
            for _ in islice(self.loops[which], BLOCK):
                pass
            before, self.since = self.since, time.process_time()
            self.bare[which] += self.since - before
        self.order.reverse()


def speed(tokens: Tokens, s: Settings) -> tuple[float, float]:
    """Speed of the lab's run over that of two bare loops, and of one of these over the other."""
    turns = Turns([bare(tokens, s), bare(tokens, s)])

    class Taken(TrainingRun):
        """A run that lets the others have their turns, and counts its evaluations apart."""

        def _update(self, *wishes: bool) -> tuple[bool, ...]:
            if self.step % BLOCK == 0:
                turns.pause()
                turns.next()
            return super()._update(*wishes)

        def evaluate(self) -> float:
            turns.pause()
            try:
                return super().evaluate()
            finally:
                turns.since = time.process_time()

    kept, entry.TrainingRun = entry.TrainingRun, Taken  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as folder:
            turns.since = time.process_time()
            train(s, folder, tokens=tokens, threads=1)
            turns.pause()
    finally:
        entry.TrainingRun = kept  # type: ignore[misc]
    return sum(turns.bare) / len(turns.bare) / turns.lab, turns.bare[0] / turns.bare[1]


def evaluations(tokens: Tokens, s: Settings) -> float:
    """The share of a whole run's processor time that its evaluations take."""
    spent = 0.0

    class Timed(TrainingRun):
        def evaluate(self) -> float:
            nonlocal spent
            start = time.process_time()
            try:
                return super().evaluate()
            finally:
                spent += time.process_time() - start

    kept, entry.TrainingRun = entry.TrainingRun, Timed  # type: ignore[misc]
    try:
        with tempfile.TemporaryDirectory() as folder:
            start = time.process_time()
            train(s, folder, tokens=tokens, threads=1)
            return spent / (time.process_time() - start)
    finally:
        entry.TrainingRun = kept  # type: ignore[misc]


def evaluation_rows(tokens: Tokens) -> list[str]:
    """Of default runs, and at the default's earlier evaluations beside them."""
    rows = []
    for name, s in (("the LSTM", SETTINGS), ("the modern transformer", MODERN)):
        s = s.replace(**WHOLE)
        for growth, when, most in ((None, "the ten", "at most 5 %"), (1.1, "at steps 1.1^k", "")):
            found = [
                evaluations(tokens, s.replace(evaluation_growth=growth))
                for _ in range(EVALUATION_ROUNDS)
            ]
            shown = f"{statistics.median(found):.1%} ({min(found):.1%} to {max(found):.1%})"
            rows.append(
                f"| {_EVALUATIONS} of {s.steps} steps, {name}, {when} | "
                f"{shown.replace('%', ' %')} | {most} |".replace("|  |", "| |")
            )
    return rows


def with_evaluations(page: str, rows: Sequence[str]) -> str:
    """The page with these rows in the place of its old ones, or at the end of its first table."""
    lines = [line for line in page.split("\n") if not line.startswith(f"| {_EVALUATIONS}")]
    place = lines.index("", lines.index("| --- | --- | --- |"))
    return "\n".join([*lines[:place], *rows, *lines[place:]])


def dana_row(tokens: Tokens) -> str:
    """A run with DANA-decaying beside one with SGD with momentum, in turns."""
    ratios = []
    for _ in range(DANA_ROUNDS):
        kinds = ("dana-decaying", "sgd-momentum")
        steps = [updates(tokens, SETTINGS.replace(**WHOLE, optimizer=kind)) for kind in kinds]
        seconds, order = [0.0, 0.0], [0, 1, 1, 0]
        for block in range(2 * WHOLE["steps"] // BLOCK):
            which = order[block % len(order)]
            start = time.process_time()
            for _ in islice(steps[which], BLOCK):
                pass
            seconds[which] += time.process_time() - start
        ratios.append(seconds[0] / seconds[1])
    what = "the steps of a run with DANA-decaying over those with SGD with momentum"
    return f"| {what} | {told(ratios)} | at most 1.05 |"


def updates(tokens: Tokens, s: Settings) -> Iterator[None]:
    """The lab's run, a step at a time, without its rows; made with the first."""
    with tempfile.TemporaryDirectory() as folder:
        run = TrainingRun(s, RunFolder(folder), Group(), tokens)
        while run.step < s.steps:
            run._update(False, False)
            yield


def told(ratios: Sequence[float]) -> str:
    """The median and the pair of order statistics that holds it with 95 %.

    >>> told([1.0, 1.1, 1.2, 1.3, 1.4, 1.5])
    '1.250 (1.000 to 1.500)'
    """
    ordered, n = sorted(ratios), len(ratios)
    rank = max(int(stats.binom.ppf(0.025, n, 0.5)), 1)
    median = statistics.median(ordered)
    return f"{median:.3f} ({ordered[rank - 1]:.3f} to {ordered[n - rank]:.3f})"


def step_seconds(name: str, width: int, repeats: int = 40) -> float:
    """Seconds of one optimizer step on an LSTM's gradients."""
    model = build(Shape("lstm", 256, width))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 1e-6)
    optimizer = make_optimizer(name, model.parameters(), lr=0.1)
    optimizer.step()
    start = time.process_time()
    for _ in range(repeats):
        optimizer.step()
    return (time.process_time() - start) / repeats


def training_seconds(width: int, repeats: int = 10) -> float:
    """Seconds of a training step with SGD at the batch of the ladders."""
    model = build(Shape("lstm", 256, width))
    optimizer = make_optimizer("sgd", model.parameters(), lr=0.1)
    windows = torch.randint(0, 256, (16, 65))

    def step() -> None:
        optimizer.zero_grad()
        next_token_loss(model, windows).backward()
        optimizer.step()

    step()
    start = time.process_time()
    for _ in range(repeats):
        step()
    return (time.process_time() - start) / repeats


def costs() -> list[str]:
    """What every optimizer of the ladders adds to a training step with SGD, in percent."""
    header = " | ".join(f"{Shape('lstm', 256, width).parameters:,}" for width in WIDTHS)
    cells: dict[str, list[str]] = {name: [] for name in OPTIMIZERS}
    for width in WIDTHS:
        training = [training_seconds(width) for _ in range(ROUNDS)]
        seconds = {name: [] for name in ("sgd", *OPTIMIZERS)}  # type: dict[str, list[float]]
        for _ in range(ROUNDS):
            for name, measured in seconds.items():
                measured.append(step_seconds(name, width))
        plain = statistics.median(seconds["sgd"])
        for name in OPTIMIZERS:
            added = statistics.median(seconds[name]) - plain
            share = 100 * added / statistics.median(training)
            cells[name].append(f"{share:.1f} % ({1e6 * added:,.0f} µs)")
    rows = [f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()]
    return [f"| parameters | {header} |", "| --- |" + " --- |" * len(WIDTHS), *rows]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--evaluations", action="store_true")
    given = parser.parse_args()
    write = given.write
    if not KEEP_MEMORY.keys() & os.environ.keys():
        # Which loop meets page faults is chance: both keep their memory, as a sweep's workers do.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**KEEP_MEMORY, **os.environ})
    torch.set_num_threads(1)
    tokens = load_tokens(SETTINGS.replace(max_mb=2))
    if given.evaluations:
        rows = evaluation_rows(tokens)
        print("\n".join(rows))
        if write:
            PAGE.write_text(with_evaluations(PAGE.read_text("utf-8"), rows), encoding="utf-8")
        return
    rows = []
    for _ in bare(tokens, SETTINGS):  # what only a process's first loop pays
        pass
    for name, what, s in (
        ("the LSTM", "SGD", SETTINGS),
        ("the modern transformer", "AdamW", MODERN),
    ):
        found = [speed(tokens, s.replace(**WHOLE)) for _ in range(SPEED_ROUNDS[what])]
        own, control = zip(*found, strict=True)
        what = f"speed of the lab's run over the bare loops', {name}, {what}"
        rows += [
            f"| {what} | {told(own)} | at least 0.97 |",
            f"| one bare loop over the other, {name} | {told(control)} | 1 |",
        ]
    rows.append(dana_row(tokens))
    for width in (64, 704):
        pairs = [
            (step_seconds("dana-decaying", width), step_seconds("sgd-momentum", width))
            for _ in range(ROUNDS)
        ]
        ratio = statistics.median(a / b for a, b in pairs)
        size = f"{Shape('lstm', 256, width).parameters:,}"
        rows.append(
            f"| the step alone over SGD with momentum's, {size} parameters | {ratio:.3f} | |"
        )
    rows += evaluation_rows(tokens)
    page = "\n".join(
        [
            "# Benchmarks: the training lab",
            "",
            "Median ratios of processor times, with a 95 % interval of the median. Loops take "
            "turns by ten steps in one process; the lab's runs are whole ones of the default "
            "length with their files, clipped as the bare loops, evaluations apart. The LSTM has "
            "99,584 parameters. What evaluations take is the median and the range of whole runs.",
            "Written by `python benchmarks/lab.py --write`.",
            "",
            "| what | ratio | target |",
            "| --- | --- | --- |",
            *rows,
            "",
            "What an optimizer adds to a training step with SGD (batch 16, context 64, one core):",
            "",
            *costs(),
            "",
        ]
    )
    print(page)
    if write:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
