"""What does a prediction on measured rows cost?

Median CPU seconds with one BLAS thread: least squares of the rows, the recommended rates, the gain
at these rates from nothing, and the curve to 1e8 steps with its error control, for four algorithms
and two batches; against the targets we hold ourselves to.

    python benchmarks/rows.py             # print the table, some three minutes
    python benchmarks/rows.py --write     # and keep it in docs/benchmarks/rows.md
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported, hence before

import numpy as np  # noqa: E402
from sklearn import datasets  # noqa: E402

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

import hidim  # noqa: E402
from hidim.problems import features  # noqa: E402
from hidim.support.files import write_text  # noqa: E402
from hidim.systems.row_gain import loop_of  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks" / "rows.md"
STEPS = 1e8
NAMES = ("sgd", "sgd-momentum", "dana-constant", "dana-decaying")
# Rows, features, and the targets for a gain and a curve, in seconds; None where there are none.
SETS: tuple[tuple[str, int, float | None, float | None], ...] = (
    ("breast_cancer", 0, 0.02, 0.3),
    ("digits", 600, 2.0, 5.0),
    ("wine", 100, None, None),
)


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    """What `work` returns and its median CPU seconds; one run is enough of what takes seconds."""
    found, times = None, list[float]()
    while len(times) < repeats and not (times and times[0] > 2.0):
        start = time.process_time()
        found = work()
        times.append(time.process_time() - start)
    return found, statistics.median(times)


def table(name: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Standardised rows that ship inside scikit-learn, or random features of them."""
    data = getattr(datasets, f"load_{name}")()
    X = features.standardize(data.data)
    X = features.relu(X, count, seed=0) if count else X
    return X / np.sqrt(X.shape[1]), (data.target - data.target.mean()) / data.target.std()


def lines(
    name: str, count: int, gain_target: float | None, curve_target: float | None, repeats: int
) -> Iterator[str]:
    """One set: its heading, a line per algorithm and batch, and what is held to a target."""
    X, y = table(name, count)
    spectrum, squares = timed(partial(hidim.Spectrum.from_data, X, y), repeats)
    kind = f"{count} random features of {name}" if count else f"{name}, raw"
    n, k = spectrum.law.rows.features.shape
    yield f"## {kind}: n = {n}, k = {k}\n\nLeast squares and the basis: {squares:.3f} s.\n"
    yield "| algorithm | B | recommend | gain | curve to 1e8 | blocks | error |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    gains, curves = [], []
    for algorithm in NAMES:
        for batch in (1, 16):
            here, chosen = timed(partial(hidim.recommend, spectrum, algorithm, batch), 1)
            loop = loop_of(spectrum)
            _, gain = timed(partial(loop.gain, here, batch, 0.0), repeats)
            follow = partial(hidim.predict, spectrum, here, STEPS, batch_size=batch)
            curve, cost = timed(follow, repeats)
            gains.append(gain)
            curves.append(cost)
            yield (
                f"| {algorithm} | {batch} | {chosen:.3f} s | {1e3 * gain:.1f} ms | {cost:.2f} s | "
                f"{curve.provenance['effort']['blocks']} | {curve.provenance['error']:.0e} |"
            )
    if gain_target is not None and curve_target is not None:
        held = max(gains) <= gain_target and max(curves) <= curve_target
        yield (
            f"\nAt most {1e3 * gain_target:g} ms and {curve_target:g} s are wanted: "
            f"{1e3 * max(gains):.1f} ms and {max(curves):.2f} s, {'held' if held else 'NOT held'}."
        )


def main() -> None:
    """Measure, print, and write the page if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="of what takes less than 2 s (3)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    page = [
        "# Measured rows",
        "",
        f"hidim {hidim.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, "
        "one BLAS thread. Median CPU seconds, at recommended rates; gains from nothing, curves at "
        "rtol = 1e-8 with their error control. Written by `python benchmarks/rows.py --write`.",
        "",
    ]
    for one in SETS:
        for line in lines(*one, repeats=args.repeats):
            print(line, flush=True)
            page.append(line)
        page.append("")
    if args.write:
        write_text(PAGE, "\n".join(page))


if __name__ == "__main__":
    main()
