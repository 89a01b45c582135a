"""How long does one optimizer step take, against torch's own, in one run?

For every optimizer and its yardstick (torch's fused SGD with momentum, fused AdamW, or our own
class with fused=True) the two take turns over the same parameters, and the ratio of neighbouring
times is reported: median, and quartiles in brackets. What the one-pass kernel costs once stands
above the tables. Ratios survive a busy or slow machine where times do not. On a CPU the
processor time of this process is counted, on one thread, or the time by the clock on --threads of
them, for which the machine must be idle; on a GPU the time between synchronisations.

    python benchmarks/optimizers.py                  # print the table
    python benchmarks/optimizers.py --write          # and keep it in docs/benchmarks/optimizers.md
    python benchmarks/optimizers.py --device cuda --write
"""

from __future__ import annotations

import argparse
import gc
import platform
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import hidim.torch as ours
from hidim.support import native
from hidim.torch._machine import library

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks" / "optimizers.md"
Shapes = list[tuple[int, ...]]


def gpt2(width: int = 768, vocabulary: int = 50257, context: int = 1024) -> Shapes:
    """GPT-2's 148 tensors; 124 M parameters in the small model as published."""
    layers = 12
    block: Shapes = [(width,), (width,), (3 * width, width), (3 * width,), (width, width)]
    block += [(width,), (width,), (width,), (4 * width, width), (4 * width,)]
    block += [(width, 4 * width), (width,)]
    return [(vocabulary, width), (context, width), *(block * layers), (width,), (width,)]


def lstm(width: int = 512, vocabulary: int = 10_000) -> Shapes:
    """A 2-layer LSTM language model, embedding and hidden of one width; 14.5 M."""
    layer: Shapes = [(4 * width, width), (4 * width, width), (4 * width,), (4 * width,)]
    return [(vocabulary, width), *(layer * 2), (vocabulary, width), (vocabulary,)]


MODELS: dict[str, Callable[[], Shapes]] = {
    "GPT-2 small": gpt2,
    "LSTM": lstm,
    # Here calls cost more than arithmetic.
    "GPT-2, width 64": lambda: gpt2(64, 2000, 64),
    "LSTM, width 64": lambda: lstm(64, 256),
}


@dataclass(frozen=True)
class Pair:
    """One of ours, its yardstick and the ratio we want."""

    name: str
    cls: Any
    yardstick: str
    target: float | None
    options: dict[str, Any]
    compiled: bool = False


def pairs(device: str, model: str, threads: int) -> list[Pair]:
    """What is measured; on a GPU the target is 1.1 except for Star."""
    on_cpu, small = device == "cpu", "width 64" in model
    sgd = (1.2 if small else 1.03) if on_cpu else 1.1
    adana, mk4, mix, star = (1.03, 1.06, 1.3, 1.8) if on_cpu else (1.1, 1.1, 1.4, 1.4)
    if threads > 1:
        star = 1.4
    fused: dict[str, Any] = {"fused": True} if on_cpu else {}
    lists: dict[str, Any] = {"foreach": True}
    found = [
        Pair("DANADecaying", ours.DANADecaying, "SGD", sgd, fused),
        Pair("DANAConstant", ours.DANAConstant, "SGD", sgd, fused),
        Pair("ADANA", ours.ADANA, "AdamW", adana, fused),
        Pair("DanaMK4", ours.DanaMK4, "AdamW", mk4, fused),
        Pair("DanaStar", ours.DanaStar, "AdamW", star, fused),
        Pair("DanaStarMK4", ours.DanaStarMK4, "AdamW", star, fused),
        Pair("LogTimeAdEMAMix", ours.LogTimeAdEMAMix, "AdamW", mix, fused),
        Pair("DANADecaying, no option", ours.DANADecaying, "itself", 1.1, {}),
        Pair("ADANA, no option", ours.ADANA, "itself", 1.1, {}),
        Pair("DanaStarMK4, no option", ours.DanaStarMK4, "itself", 1.1, {}),
        Pair("DANADecaying, foreach", ours.DANADecaying, "SGD", None, lists),
        Pair("ADANA, foreach", ours.ADANA, "AdamW", 3.0, lists),
        Pair("DanaStarMK4, foreach", ours.DanaStarMK4, "AdamW", None, lists),
    ]
    if model == "LSTM" or not on_cpu:  # elsewhere the compiler takes minutes
        found += [
            Pair("DANADecaying, compiled", ours.DANADecaying, "AdamW", 1.0, {}, compiled=True),
            Pair("ADANA, compiled", ours.ADANA, "AdamW", 1.1, {}, compiled=True),
            Pair("DanaStarMK4, compiled", ours.DanaStarMK4, "AdamW", None, {}, compiled=True),
        ]
    return found


def yardstick(pair: Pair, params: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """torch's optimizer of one pass, or ours."""
    if pair.yardstick == "itself":
        return pair.cls(params, lr=1e-6, fused=True)
    if pair.yardstick == "SGD":
        return torch.optim.SGD(params, lr=1e-6, momentum=0.9, fused=True)
    return torch.optim.AdamW(params, lr=1e-6, fused=True)


def kernel_cost() -> str:
    """What the one-pass kernel costs: to compile once, and to load in every process."""
    start = time.perf_counter()
    found = library.library()
    loaded = time.perf_counter() - start
    if found is None:
        return f"No one-pass kernel: {library.why_none()}."
    words = native.compiler()
    if words is None:
        return f"The one-pass kernel was loaded in {loaded * 1e3:.0f} ms; no compiler here."
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        native.build(words, library.SOURCES, library._level(), Path(folder))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return (
        f"The one-pass kernel: {spent:.1f} s of processor time to compile, once; "
        f"{loaded * 1e3:.0f} ms to find and load, in every process."
    )


def timed(step: Callable[[], Any], device: str, inner: int) -> float:
    """Seconds of one step, averaged over `inner` of them."""
    if device == "cpu":
        # The threads of a step wait for each other: their times do not add up to what it takes.
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        start = clock()
        for _ in range(inner):
            step()
        return (clock() - start) / inner
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(inner):
        step()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / inner


def measure(pair: Pair, shapes: Shapes, device: str, repeats: int) -> dict[str, Any]:
    """Alternate the two optimizers `repeats` times over the same parameters."""
    generator = torch.Generator(device).manual_seed(0)
    params = [
        torch.nn.Parameter(torch.randn(shape, device=device, generator=generator))
        for shape in shapes
    ]
    for p in params:
        p.grad = torch.randn(p.shape, device=device, generator=generator) * 1e-2
    theirs, mine = yardstick(pair, params), pair.cls(params, lr=1e-6, **pair.options)
    steps = {"theirs": theirs.step, "mine": mine.step}
    if pair.compiled:
        steps["mine"] = torch.compile(mine.step)
    for _ in range(3):
        for step in steps.values():
            step()
    count = sum(p.numel() for p in params)
    inner = max(1, round(3e7 / count)) if device == "cpu" else 10
    times, ratios = [], []
    for repeat in range(repeats):
        # Who goes first alternates: the second finds the parameters in the cache.
        order = ("theirs", "mine") if repeat % 2 else ("mine", "theirs")
        seconds = {who: timed(steps[who], device, inner) for who in order}
        times.append((seconds["theirs"], seconds["mine"]))
        ratios.append(seconds["mine"] / seconds["theirs"])
    state = sum(t.numel() * t.element_size() for s in mine.state.values() for t in s.values())
    low, middle, high = statistics.quantiles(ratios, n=4)
    result = {
        "ratio": middle,
        "low": low,
        "high": high,
        "theirs": statistics.median(t for t, _ in times) * 1e3,
        "mine": statistics.median(m for _, m in times) * 1e3,
        "bytes": (state - 4 * len(params)) / count,
    }
    del theirs, mine, params, steps
    gc.collect()
    return result


def machine(device: str) -> str:
    """The model of the processor or GPU."""
    if device != "cpu":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if "model name" in line)
        numbers = {
            key: line.split(":", 1)[1].strip()
            for line in lines
            for key in ("cpu family", "model", "stepping")
            if line.split("\t")[0].strip() == key
        }
        return f"{name}, " + ", ".join(f"{key} {value}" for key, value in numbers.items())
    except OSError:
        return platform.processor() or platform.machine()


def report(
    device: str, repeats: int, models: list[str], threads: int, only: str | None = None
) -> str:
    """The table, as Markdown; printed line by line as it is measured."""
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        print(line, flush=True)

    where = f"{threads} thread(s) of {machine(device)}" if device == "cpu" else machine(device)
    say(f"## {'CPU' if device == 'cpu' else 'GPU'}: {machine(device)}\n")
    say(f"{where}; torch {torch.__version__}; float32; {repeats} alternating repeats.\n")
    if device == "cpu":
        say(f"{kernel_cost()}\n")
    for model in models:
        shapes = MODELS[model]()
        total = sum(torch.Size(shape).numel() for shape in shapes)
        say(f"### {model}: {total / 1e6:.1f} M parameters in {len(shapes)} tensors\n")
        say(
            "| optimizer | against | ratio (quartiles) | target | ms, theirs | ms, ours | B state |"
        )
        say("| --- | --- | --- | --- | --- | --- | --- |")
        for pair in pairs(device, model, threads):
            if (only or "") not in pair.name:
                continue
            m = measure(pair, shapes, device, repeats)
            target = "" if pair.target is None else f"{pair.target:.2f}"
            say(
                f"| {pair.name} | {pair.yardstick}, fused | {m['ratio']:.2f} "
                f"({m['low']:.2f}–{m['high']:.2f}) | {target} | {m['theirs']:.1f} | "
                f"{m['mine']:.1f} | {m['bytes']:.0f} |"
            )
        say("")
    return "\n".join(lines)


def keep(section: str) -> None:
    """Replace the section of this machine on the page, or add it."""
    text = PAGE.read_text() if PAGE.exists() else "# Optimizer steps\n"
    head, *sections = text.split("\n## ")
    title = section[3:].split("\n", 1)[0]
    sections = [s for s in sections if s.split("\n", 1)[0] != title] + [section[3:]]
    PAGE.write_text("\n\n## ".join([head.rstrip(), *(s.strip() for s in sections)]) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--model", choices=list(MODELS), action="append")
    parser.add_argument("--only", help="measure the optimizers whose name contains this")
    parser.add_argument("--write", action="store_true", help=f"keep the table in {PAGE.name}")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    section = report(
        given.device, given.repeats, given.model or list(MODELS), given.threads, given.only
    )
    if given.write:
        keep(section)


if __name__ == "__main__":
    main()
