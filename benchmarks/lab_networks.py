"""Is the transformer of today better than that of 2019 at equal flops, and by which of its parts?

Both are trained on the stdlib text at width 64 with two layers, AdamW and a cosine, on equal flops;
the rate of each is tuned at full length with a seed of its own on rates a factor 2 apart, three of
them and further ones while the best is at an end; then three fresh seeds. All of that at
two lengths. With --parts N each choice of the modern one is also undone alone, in runs of the first
length, at the rate of the whole and on N of the seeds. Differences are paired by seed, with
Student's 95 % interval.

    python benchmarks/lab_networks.py DIR            # train what is missing in DIR, print the page
    python benchmarks/lab_networks.py DIR --parts 1  # the parts, too
    python benchmarks/lab_networks.py DIR --write    # and keep page and table in docs/

Killed and started again it goes on. --minutes stops after so long: start it again. Lengths that are
not whole yet are left out of the page, which --page prints as it is so far, training nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import signal
import statistics
import sys
import threading
from pathlib import Path

from scipy import stats

from hidim.lab import Settings
from hidim.lab.reports.tables import consolidate
from hidim.lab.sweeps.executors import KEEP_MEMORY
from hidim.lab.sweeps.sweep import Sweep, work

DOCS = Path(__file__).resolve().parents[1] / "docs"
BASE = Settings(
    model="transformer",
    heads=2,
    batch_size=16,
    warmup=40,
    optimizer="adamw",
    schedule="cosine",
    validation_tokens=32768,
)
LENGTHS = (600, 2000)  # steps of the transformer, whose flops both have
RATES = {"transformer": (2e-3, 4e-3, 8e-3), "modern": (8e-3, 1.6e-2, 3.2e-2)}
TUNING, SEEDS = 1000, (0, 1, 2)
UNDONE = {
    "mlp relu2": "relu2",
    "mlp gelu": "gelu",
    "norm layer": "layer",
    "positions learned": "learned",
    "qk_norm off": False,
    "head untied": "untied",
}


def run_of(length: int, model: str, lr: float, seed: int, **choices: object) -> Settings:
    """A run on the flops of the transformer in so many steps."""
    base = BASE.replace(model=model, **choices)
    steps = round(length * BASE.shape(256).flops_per_token / base.shape(256).flops_per_token)
    return base.replace(lr=float(f"{lr:.6g}"), seed=seed, steps=steps)


def bits(sweep: Sweep) -> dict[str, float]:
    """Final bits per byte by the fingerprint of the settings; infinite where a run is lost."""
    known = sweep.settings()
    return {
        known[name].fingerprint: found["validation_loss"] / math.log(2)
        if found["status"] == "ok"
        else math.inf
        for name, found in sweep.finished().items()
    }


def tuning(length: int, model: str, done: dict[str, float]) -> tuple[list[Settings], float | None]:
    """The runs that tune a rate, and the best one once all are there."""
    rates = sorted(RATES[model])
    while True:
        runs = [run_of(length, model, lr, TUNING) for lr in rates]
        if any(one.fingerprint not in done for one in runs):
            return runs, None
        best = min(runs, key=lambda one: done[one.fingerprint]).lr
        if best == min(rates):
            rates.insert(0, best / 2)
        elif best == max(rates):
            rates.append(best * 2)
        else:
            return runs, best


def wanted(sweep: Sweep, parts: int) -> list[Settings]:
    """What is to be trained, as far as the results so far say."""
    done = bits(sweep)
    found: list[Settings] = []
    for length in LENGTHS:
        tuned = {model: tuning(length, model, done) for model in RATES}
        found += [one for runs, _ in tuned.values() for one in runs]
        best = {model: lr for model, (_, lr) in tuned.items() if lr is not None}
        if len(best) < len(RATES):
            return found
        found += [run_of(length, model, lr, seed) for seed in SEEDS for model, lr in best.items()]
        if length == LENGTHS[0]:
            found += [undone(name, best["modern"], s) for s in SEEDS[:parts] for name in UNDONE]
    return found


def undone(name: str, lr: float, seed: int) -> Settings:
    """A run of the modern network without one of its choices."""
    return run_of(LENGTHS[0], "modern", lr, seed, **{name.split()[0]: UNDONE[name]})


def interval(values: list[float]) -> str:
    """Mean ± Student's 95 % half-width."""
    mean = statistics.mean(values)
    if len(values) < 2:
        return f"{mean:.4f}"
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return f"{mean:.4f} ± {half:.4f}"


def page(sweep: Sweep) -> str:
    """What was found, in Markdown."""
    done = bits(sweep)
    lengths = [length for length in LENGTHS if whole(length, done)]
    lines = [
        "# Benchmarks: networks",
        "",
        f"Bits per byte on {BASE.validation_tokens:,} held-out bytes of the stdlib text at the end "
        f"of the flops of {' and of '.join(f'{one:,}' for one in lengths)} steps of the "
        f"transformer ({BASE.batch_size} windows of {BASE.context} bytes a step), width "
        f"{BASE.width}, {BASE.layers} layers, AdamW, cosine; means over {len(SEEDS)} seeds with "
        "95 % intervals.",
        "Written by `python benchmarks/lab_networks.py DIR --write`; the runs are in "
        "`docs/results/lab-networks.parquet`.",
        "",
        "| model | parameters | flops a token | steps | rate | bits per byte |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    said, rates, undone_at = [], [], (0.0, [0.0])
    for length in lengths:
        finals = {}
        for model in RATES:
            tried, best = tuning(length, model, done)
            assert best is not None
            runs = [run_of(length, model, best, seed) for seed in SEEDS]
            finals[model] = [done[one.fingerprint] for one in runs]
            shape = runs[0].shape(256)
            lines.append(
                f"| {model} | {shape.parameters:,} | {shape.flops_per_token:,} | "
                f"{runs[0].steps:,} | {best:g} | {interval(finals[model])} |"
            )
            cells = [f"{one.lr:g}: {done[one.fingerprint]:.4f}" for one in tried]
            rates.append(f"- {model}, {tried[0].steps:,} steps: " + ", ".join(cells))
            if (length, model) == (LENGTHS[0], "modern"):
                undone_at = best, finals[model]
        gaps = [old - new for old, new in zip(finals["transformer"], finals["modern"], strict=True)]
        said.append(
            f"At the flops of {length:,} steps the modern one ends {interval(gaps)} bits per byte "
            "lower, paired by seed."
        )
    lines += ["", *said, "", "Rates tried at full length, with a seed of their own:", "", *rates]
    return "\n".join([*lines, *parts_told(done, *undone_at), ""])


def whole(length: int, done: dict[str, float]) -> bool:
    """Whether every run of that length is there."""
    best = {model: tuning(length, model, done)[1] for model in RATES}
    return all(
        lr is not None and run_of(length, model, lr, seed).fingerprint in done
        for model, lr in best.items()
        for seed in SEEDS
    )


def parts_told(done: dict[str, float], lr: float, whole: list[float]) -> list[str]:
    """What undoing one choice costs, of those that were tried."""
    rows = []
    for name in UNDONE:
        runs = [(undone(name, lr, seed), own) for seed, own in zip(SEEDS, whole, strict=True)]
        more = [done[one.fingerprint] - own for one, own in runs if one.fingerprint in done]
        if more:
            rows.append(f"| {name} | {', '.join(f'{one:+.4f}' for one in more)} |")
    if not rows:
        return []
    told = (
        f"One choice of the modern one undone, at the same rate and flops ({LENGTHS[0]:,} steps), "
        "by seed:"
    )
    return ["", told, "", "| choice | bits per byte higher by |", "| --- | --- |", *rows]


def keep(sweep: Sweep, *, write: bool) -> None:
    """Print the page, and keep it and the table."""
    text = page(sweep)
    print(text)
    if write:
        (DOCS / "benchmarks" / "lab-networks.md").write_text(text, encoding="utf-8")
        shutil.copyfile(consolidate(sweep.path), DOCS / "results" / "lab-networks.parquet")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--minutes", type=float, default=14.0)
    parser.add_argument("--parts", type=int, default=0, metavar="SEEDS")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--page", action="store_true")
    args = parser.parse_args()
    if not KEEP_MEMORY.keys() & os.environ.keys():
        os.execve(sys.executable, [sys.executable, *sys.argv], {**KEEP_MEMORY, **os.environ})
    sweep = Sweep(args.folder)

    def stage(sweep: Sweep) -> list[Settings]:
        return wanted(sweep, args.parts)

    if args.page:
        keep(sweep, write=args.write)
        return
    sweep.add(stage(sweep))
    # A run that is stopped saves and goes on next time.
    clock = threading.Timer(60 * args.minutes, os.kill, (os.getpid(), signal.SIGTERM))
    clock.daemon = True
    clock.start()
    outcome = work(
        sweep, stage=stage, report=lambda name, r: print(name, r["validation_loss"], flush=True)
    )
    clock.cancel()
    if outcome.signal is not None or outcome.failed:
        sys.exit(f"not finished: {outcome.failed or 'start it again'}")
    keep(sweep, write=args.write)


if __name__ == "__main__":
    main()
