"""What do a prediction, a command and a simulated step cost?

Median CPU seconds with one BLAS thread, against the targets we hold ourselves to; and, in the same
run, what does not change: cost over d and v, cost over the number of steps, and how much faster a
step in the eigenbasis is than the raw one. Where the package brings its library of C, what NumPy
alone takes stands beside it.

    python benchmarks/core.py             # print the table
    python benchmarks/core.py --write     # and keep it in docs/benchmarks/core.md
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported, hence before

import numpy as np  # noqa: E402

import hidim  # noqa: E402
from hidim.compiled.library import library  # noqa: E402

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks" / "core.md"
PREDICT = "predict --alpha 1 --beta 0.7 --d 1000 --algorithm dana-decaying --steps 1e8"
NOTHING = """
import resource, hidim
problem = hidim.PLRF(alpha=1.0, beta=0.7, d=10**9)
hidim.predict(problem, hidim.dana_decaying(0.2, 0.1, 0.5, 3.4), steps=10**12)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """Median CPU seconds of `work` in this process."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def process_seconds(*arguments: str, repeats: int) -> tuple[float, str]:
    """Median CPU seconds of a fresh Python, start included, and what the last one printed."""
    times, output = [], ""
    # Compiled files are kept, as on a user's machine.
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    compiled["PYTHONPYCACHEPREFIX"] = str(Path(tempfile.gettempdir()) / "hidim-benchmarks")
    for _ in range(repeats):
        before = os.times()
        output = subprocess.run(
            [sys.executable, *arguments],
            capture_output=True, text=True, check=True, env=compiled,
        ).stdout  # fmt: skip
        after = os.times()
        used = after.children_user + after.children_system
        times.append(used - before.children_user - before.children_system)
    return statistics.median(times), output


def targets(repeats: int) -> list[list[str]]:
    """What is measured against a target."""
    bare, _ = process_seconds("-c", "pass", repeats=repeats)
    whole, _ = process_seconds("-c", "import hidim", repeats=repeats)
    command, _ = process_seconds("-m", "hidim", *PREDICT.split(), repeats=repeats)
    nothing, memory = process_seconds("-c", NOTHING, repeats=max(repeats // 2, 1))
    rows = [
        ["`import hidim`, start of Python apart", f"{whole - bare:.2f} s", "0.3 s"],
        [f"`hidim {PREDICT}`", f"{command:.2f} s", "0.8 s"],
    ]
    for label, cost in in_hand(repeats).items():
        rows.append([f"predict, d = 1000, 1e8 steps, {label} in hand", f"{cost:.3f} s", "0.10 s"])
    if library() is not None:
        for label, cost in in_hand_by_numpy(repeats).items():
            rows.append([f"the same by NumPy alone, {label}", f"{cost:.3f} s", "0.10 s"])
    label = "PLRF d = 1e9, v = inf, 1e12 steps, from nothing"
    rows.append([label, f"{nothing:.2f} s", "1.6 s"])
    rows.append(["the same, peak memory", f"{float(memory):.0f} MB", "500 MB"])
    return rows + spectra(repeats) + sensitivities(repeats) + speedup()


def in_hand(repeats: int) -> dict[str, float]:
    """CPU seconds of a prediction whose spectrum is there."""
    problem = hidim.PLRF(alpha=1.0, beta=0.7, d=1000, v=4000)
    algorithm = hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
    spectra = {
        "its 1000 sampled modes": problem.spectrum(seed=0),
        "its deterministic equivalent": problem.spectrum(),
    }
    return {
        label: cpu_seconds(lambda s=spectrum: hidim.predict(s, algorithm, steps=10**8), repeats)  # type: ignore[misc]
        for label, spectrum in spectra.items()
    }


def in_hand_by_numpy(repeats: int) -> dict[str, float]:
    """The same in a process without the library."""
    command = [sys.executable, __file__, "--in-hand", "--repeats", str(repeats)]
    environment = os.environ | {"HIDIM_KERNEL": "0"}
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    found: dict[str, float] = json.loads(printed.stdout)
    return found


def spectra(repeats: int) -> list[list[str]]:
    """The deterministic equivalent at a new (alpha, d), then at other targets of the same."""
    new = iter(range(10**6, 10**6 + repeats))
    beta = iter(np.linspace(0.3, 0.9, repeats))
    first = cpu_seconds(lambda: hidim.PLRF(1.0, 0.7, next(new)).spectrum(), repeats)
    other = cpu_seconds(lambda: hidim.PLRF(1.0, float(next(beta)), 10**6).spectrum(), repeats)
    return [
        ["spectrum of a new (alpha, d), d about 1e6", f"{1e3 * first:.0f} ms", "120 ms"],
        ["the same at the next beta", f"{1e3 * other:.0f} ms", "25 ms"],
    ]


def sensitivities(repeats: int) -> list[list[str]]:
    """What derivatives add to the curve of the equivalent at d = 1000 and 1e8 steps."""
    spectrum = hidim.PLRF(alpha=1.0, beta=0.7, d=1000).spectrum()
    algorithm = hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
    names = ["gamma_2", "kappa_3", "delta", "gamma_3"]

    def cost(count: int) -> float:
        return cpu_seconds(
            lambda: hidim.predict(spectrum, algorithm, 10**8, sensitivity=names[:count]), repeats
        )

    plain, one, four = cost(0), cost(1), cost(4)
    return [
        ["the first sensitivity, of the curve", f"{100 * (one / plain - 1):.0f} %", "15 %"],
        ["one more, of the curve", f"{100 * (four - one) / 3 / plain:.0f} %", "15 %"],
    ]


def speedup() -> list[list[str]]:
    """Steps per second of simulate over those of the step as it is written, setup taken out."""
    problem = hidim.PLRF(alpha=1.0, beta=0.7, d=1000, v=4000)
    spectrum = problem.spectrum(seed=0)
    algorithm = hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
    raw = raw_step_seconds(200)

    def per_step(runs: int) -> float:
        def run(steps: int) -> None:
            hidim.simulate(spectrum, algorithm, steps, runs=runs, at=[steps])

        costs = [cpu_seconds(lambda n=n: run(n), 3) for n in (512, 5120)]  # type: ignore[misc]
        return (costs[1] - costs[0]) / (5120 - 512) / runs

    label = "a simulated step at d = 1000, v = 4000 against the raw one"
    return [
        [f"{label}, {runs} at once", f"{raw / per_step(runs):.0f} x", "50 x"] for runs in (1, 16)
    ]


def raw_step_seconds(steps: int) -> float:
    """One DANA step as it is written: draw x, form W^T x, move theta and the momentum."""
    v, d = 4000, 1000
    rng = np.random.default_rng(0)
    W = rng.standard_normal((v, d)) / np.sqrt(d)
    scale, b = np.arange(1, v + 1.0) ** -1.0, np.arange(1, v + 1.0) ** -0.7
    theta, y = np.zeros(d), np.zeros(d)
    start = time.process_time()
    for t in range(steps):
        x = scale * rng.standard_normal(v)
        features = x @ W
        gradient = (features @ theta - x @ b) * features
        y = (t / (3.4 + t)) * y + gradient
        theta -= 0.2 * gradient + 0.1 * (1 + t) ** -0.5 * y
    return (time.process_time() - start) / steps


def flatness(repeats: int) -> list[list[str]]:
    """CPU seconds over d at 1e6 steps, and over the steps at d = 1000."""
    algorithm = hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)

    def cost(d: int, v: float, steps: float, rtol: float = 1e-8) -> str:
        def run() -> None:
            problem = hidim.PLRF(alpha=1.0, beta=0.7, d=d, v=v)
            hidim.predict(problem, algorithm, steps=steps, rtol=rtol)

        return f"{cpu_seconds(run, repeats):.2f}"

    sizes = [10**3, 10**5, 10**7, 10**9]
    return [
        ["d", *(f"{d:.0e}" for d in sizes)],
        ["v = inf, 1e6 steps", *(cost(d, math.inf, 1e6) for d in sizes)],
        ["v = 4 d, 1e6 steps", *(cost(d, 4 * d, 1e6) for d in sizes)],
        ["v = inf, 1e6 steps, rtol = 1e-6", *(cost(d, math.inf, 1e6, 1e-6) for d in sizes)],
        ["steps", "1e4", "1e8", "1e12", "1e16"],
        ["d = 1000, v = inf", *(cost(1000, math.inf, t) for t in (1e4, 1e8, 1e12, 1e16))],
    ]


def laws(repeats: int) -> list[list[str]]:
    """Blocks and CPU seconds of 1e8 steps of every linear law of changed gradients, 300 modes."""
    j = np.arange(1, 301.0)
    spectrum = hidim.Spectrum.from_covariance(j**-2, 0.1 * j**-0.2, noise_variance=1.0)
    matrix = hidim.MatrixLeastSquares(spectrum, outputs=4)
    plain, slow = hidim.sgd(1e-4), hidim.sgd_momentum(0.0, 1e-8, 0.1)
    rows = []
    for label, problem, algorithm in [
        ("signs", spectrum, hidim.sign_sgd(1e-7, drift="linear")),
        ("a momentum of signs", spectrum, hidim.signed(slow, drift="linear")),
        ("clipped residuals", spectrum, hidim.clipped(plain, 1.0)),
        ("clipped samples", spectrum, hidim.clipped(plain, 1.0, "norm")),
        ("clipped means", spectrum, hidim.clipped(plain, 1.0, "batch")),
        ("clipped at the best threshold", spectrum, hidim.clipped(plain, "best")),
        ("noise and l2", spectrum, hidim.noisy(plain, 0.1, 0.01)),
        ("Adam", spectrum, hidim.adam(1e-7, 0.9, 0.999)),
        ("Signum", spectrum, hidim.signum(1e-7, 0.9)),
        ("signs of a matrix", matrix, hidim.sign_sgd(1e-7, drift="linear")),
        ("polar factors (sign-svd)", matrix, hidim.sign_svd(1e-7, drift="linear")),
    ]:
        first = time.process_time()
        curve = hidim.predict(problem, algorithm, 10**8, batch_size=4)
        first = time.process_time() - first
        cost = cpu_seconds(lambda p=problem, a=algorithm: hidim.predict(p, a, 10**8, 4), repeats)  # type: ignore[misc]
        blocks = curve.provenance["effort"]["blocks"]
        rows.append([label, f"{blocks}", f"{cost:.2f}", f"{first:.2f}"])
    return rows


def report(repeats: int) -> str:
    """The page."""
    lines = [
        "# Speed of the core",
        "",
        f"hidim {hidim.__version__}, Python {platform.python_version()}, {processor()}, one "
        f"thread. Median CPU seconds of {repeats}. Written by `python benchmarks/core.py --write`.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in targets(repeats)),
        "",
        "Flat in d and v, and growing with the logarithm of the steps (CPU seconds, spectrum "
        "included):",
        "",
        "| | | | | |",
        "| --- | --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in flatness(repeats)),
        "",
        "A linear law of changed gradients, 300 modes, 1e8 steps, batch 4: at most 60 blocks and "
        "1 s are asked for (the first call in a process with what it imports and tabulates):",
        "",
        "| law | blocks | CPU s | first call, CPU s |",
        "| --- | --- | --- | --- |",
        *(f"| {' | '.join(row)} |" for row in laws(repeats)),
        "",
    ]
    return "\n".join(lines)


def processor() -> str:
    """The processor's own name, where the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if "model name" in line]
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"keep the table in {PAGE}")
    parser.add_argument("--in-hand", action="store_true", help="those predictions alone, as JSON")
    given = parser.parse_args()
    if given.in_hand:
        print(json.dumps(in_hand(given.repeats)))
        return
    page = report(given.repeats)
    print(page)
    if given.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
