"""How right are measured frontiers, and how honest are their intervals?

Ladders of sums of powers without noise; the same with noise, 200 of each kind, and the share whose
interval covers the truth; exact ladders of power-law random features to 1e15 flops beside the law.

    python benchmarks/frontier.py             # print the tables, some ten minutes
    python benchmarks/frontier.py --write     # and keep them in docs/benchmarks/frontier.md
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported, hence before

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for tests, which are no part of the package

import numpy as np  # noqa: E402

import hidim  # noqa: E402
from hidim import frontier  # noqa: E402
from hidim.studies import run_ladder  # noqa: E402
from hidim.studies.ladder import sizes_between  # noqa: E402
from hidim.support.files import write_text  # noqa: E402
from tests.measure.ladders import NOISES, PAIRS, exponents, ladder  # noqa: E402

PAGE = ROOT / "docs" / "benchmarks" / "frontier.md"
POINTS = ((1, 0.3), (1, 0.7), (1, 1.5), (1.2, 0.8), (0.7, 1.2), (0.4, 0.3), (0.4, 0.8), (0.27, 0.8))

CLEAN = """## Sums of powers without noise

loss = N^-p + t^-q at compute N t, sizes from 100 up; the truth is η = pq/(p + q), ξ = q/(p + q).
The window is the whole frontier in every case.
"""
NOISY = """## Sums of powers with noise

Share of the ladders whose 95 % interval covers the truth, and the median half width. *points*: 5 %
on every point by itself; *sizes*: 2 % that all points of a size share; *curves*: 2 % that is
remembered over half a decade of steps. 2.5 decades of size for 6 sizes, 3 for 8 and 12.
"""
EXACT = """## Exact ladders of power-law random features to 1e15 flops

d from 100 to 1e7, four sizes a decade, recommended rates. *drift* is η in the later half of the
window minus the earlier half; *law here* is the local η of the law with its constants over the same
window; *settled* says that neither power drifts by more than its error. Where the limit of the law
is further than .01 away, the column says "no", though at two points the drift does not point to it;
the law's own η at these budgets is within .007.
"""


def clean() -> Iterator[str]:
    """Errors of eta and xi on ladders without noise."""
    yield "| sizes | decades | p, q | η - truth | ξ - truth |"
    yield "| --- | --- | --- | --- | --- |"
    for sizes, decades in ((5, 2), (6, 2.5), (7, 4), (8, 3), (13, 2)):
        for p, q in PAIRS:
            found = frontier(ladder(p, q, sizes=sizes, decades=decades))
            eta, xi = exponents(p, q)
            off = f"{found.eta.value - eta:+.1e} | {found.xi.value - xi:+.1e}"
            yield f"| {sizes} | {decades:g} | {p:g}, {q:g} | {off} |"


def noisy(count: int) -> Iterator[str]:
    """Coverage and width of the intervals."""
    yield "| noise | sizes | p, q | η covered | ξ covered | η ± | ξ ± | refused |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for noise in NOISES:
        for sizes in (6, 8, 12):
            for p, q in PAIRS:
                yield _coverage(noise, sizes, p, q, count)


def _coverage(noise: str, sizes: int, p: float, q: float, count: int) -> str:
    rng, truth = np.random.default_rng(11), exponents(p, q)
    hits, widths, refused = np.zeros(2), [], 0
    for _ in range(count):
        runs = ladder(p, q, sizes=sizes, decades=2.5 if sizes == 6 else 3, noise=noise, rng=rng)
        try:
            found = frontier(runs)
        except ValueError:
            refused += 1
            continue
        powers = (found.eta, found.xi)
        hits += [one.low <= true <= one.high for one, true in zip(powers, truth, strict=True)]
        widths.append([(one.high - one.low) / 2 for one in powers])
    share, half = hits / (count - refused), np.median(widths, axis=0)
    return (
        f"| {noise} | {sizes} | {p:g}, {q:g} | {share[0]:.3f} | {share[1]:.3f} | {half[0]:.4f} | "
        f"{half[1]:.4f} | {refused} |"
    )


def exact() -> Iterator[str]:
    """Exact ladders, d from 100 to 1e7 with four sizes a decade, to 1e15 flops."""
    yield "| (α, β) | optimizer | η | ± | drift | law | law here | ξ | ± | law | settled |"
    yield "|" + " --- |" * 11
    for a, b in POINTS:
        for name in ("sgd", "dana-constant", "dana-decaying") if 2 * a > 1 else ("sgd",):
            runs = run_ladder(a, b, name, sizes=sizes_between(100, 1e7, 4))
            cut = [(c.dimension, c.flops[k], c.risk[k]) for c in runs.curves
                   if (k := (c.steps > 0) & (c.flops <= 1e15)).sum() > 5]  # fmt: skip
            one = frontier(cut, law=runs.law)
            half = [(power.high - power.low) / 2 for power in (one.eta, one.xi)]
            here = one.eta_theory_here
            yield (
                f"| ({a:g}, {b:g}) | {name} | {one.eta.value:.4f} | {half[0]:.4f} | "
                f"{one.eta.drift:+.4f} | {one.eta_theory:.4f} | "
                f"{'-' if here is None else format(here, '.4f')} | {one.xi.value:.4f} | "
                f"{half[1]:.4f} | {one.xi_theory:.4f} | {'yes' if one.settled else 'no'} |"
            )


def main() -> None:
    """Print the tables, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="noisy ladders of each kind (200)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    lines = [
        "# Measured frontiers",
        "",
        f"hidim {hidim.__version__}, Python {platform.python_version()}. Written by `python "
        f"benchmarks/frontier.py --count {args.count} --write`.",
    ]
    start = time.process_time()
    for words, rows in ((CLEAN, clean()), (NOISY, noisy(args.count)), (EXACT, exact())):
        lines += ["", words]
        print(words)
        for row in rows:
            print(row, flush=True)
            lines.append(row)
    print(f"{time.process_time() - start:.0f} s of processor time")
    if args.write:
        write_text(PAGE, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
