"""How right are measured frontiers, and how honest are their intervals?

Ladders of sums of powers without noise; the same with noise, 200 of each kind, and the share whose
interval covers the truth, without a floor and with one that is fitted; ladders of equal tokens;
exact ladders of power-law random features to 1e15 flops beside the law.

    python benchmarks/frontier.py             # print the tables, some ten minutes of two cores
    python benchmarks/frontier.py --write     # and keep them in docs/benchmarks/frontier.md

Every row is kept as it is found, under a name that depends on the library's text: the same command
goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import sys
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
from hidim.support.stores import Store  # noqa: E402
from hidim.support.tasks import run_tasks  # noqa: E402
from tests.measure.ladders import (  # noqa: E402
    FLOOR_SHARES,
    NOISES,
    PAIRS,
    best_size,
    equal_tokens,
    exponents,
    ladder,
)

PAGE = ROOT / "docs" / "benchmarks" / "frontier.md"
KEPT = ROOT / ".cache" / "benchmarks"
POINTS = ((1, 0.3), (1, 0.7), (1, 1.5), (1.2, 0.8), (0.7, 1.2), (0.4, 0.3), (0.4, 0.8), (0.27, 0.8))
FLOORED = ((0.34, 0.28, 4.0, 1.8), (0.5, 0.5, 1.0, 0.02))  # p, q, amplitudes, floor

CLEAN = """## Sums of powers without noise

loss = N^-p + t^-q at compute N t, sizes from 100 up; the truth is η = pq/(p + q), ξ = q/(p + q).
The window is the whole frontier in every case.

| sizes | decades | p, q | η - truth | ξ - truth |
| --- | --- | --- | --- | --- |
"""
NOISY = """## Sums of powers with noise

Share of the ladders whose 95 % interval covers the truth, and the median half width. *points*: 5 %
on every point by itself; *sizes*: 2 % that all points of a size share; *curves*: 2 % that is
remembered over half a decade of steps. 2.5 decades of size for 6 sizes, 3 for 8 and 12.

| noise | sizes | p, q | η covered | ξ covered | η ± | ξ ± | refused |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""
FLOOR = """## Sums of powers over a floor that is fitted

The same with loss = floor + a N^-p + a t^-q and `floor="fit"`: floor 1.8 and a = 4 for the first
pair, floor .02 and a = 1 for the second. Noise is a share of the whole loss: .5 % of every point,
.2 % of a size, .2 % of a curve. *settled* counts the ladders that say so.

| noise | sizes | p, q | η covered | ξ covered | floor covered | η ± | ξ ± | floor ± | settled | \
refused |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
TOKENS = """## Equal tokens for all sizes

Eight sizes from 1e6 to 1e9 under 1.8 + 400 N^-.34 + 400 D^-.28, all run to as many tokens D, with
`floor="fit"`. *listed* is the number of budgets with a best size, *off* the largest factor by which
one is off, up to rounding.

| tokens | η - truth | ξ - truth | floor | listed | off | settled |
| --- | --- | --- | --- | --- | --- | --- |
"""
EXACT = """## Exact ladders of power-law random features to 1e15 flops

d from 100 to 1e7, four sizes a decade, recommended rates. *drift* is η in the later half of the
window minus the earlier half; *law here* is the local η of the law with its constants over the same
window; *settled* says that neither power drifts by more than its error. Where the limit of the law
is further than .01 away, the column says "no", though at two points the drift does not point to it;
the law's own η at these budgets is within .007.

| (α, β) | optimizer | η | ± | drift | law | law here | ξ | ± | law | settled |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def clean(sizes: int, decades: float, p: float, q: float) -> str:
    """Errors of eta and xi on a ladder without noise."""
    found = frontier(ladder(p, q, sizes=sizes, decades=decades))
    eta, xi = exponents(p, q)
    off = f"{found.eta.value - eta:+.1e} | {found.xi.value - xi:+.1e}"
    return f"| {sizes} | {decades:g} | {p:g}, {q:g} | {off} |"


def noisy(noise: str, sizes: int, p: float, q: float, count: int) -> str:
    """Coverage and width of the intervals."""
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


def floored(
    noise: str, sizes: int, p: float, q: float, amplitude: float, floor: float, count: int
) -> str:
    """Coverage and width of the intervals with a fitted floor."""
    rng, truth = np.random.default_rng(11), np.array([*exponents(p, q), floor])
    hits, widths, refused, settled = np.zeros(3), [], 0, 0
    for _ in range(count):
        runs = ladder(p, q, sizes=sizes, a=amplitude, b=amplitude, floor=floor, noise=noise,
                      share=FLOOR_SHARES[noise], rng=rng)  # fmt: skip
        try:
            found = frontier(runs, floor="fit")
        except ValueError:
            refused += 1
            continue
        ends = np.array([(one.low, one.high) for one in (found.eta, found.xi)])
        ends = np.array([*ends, found.floor_interval])
        hits += (ends[:, 0] <= truth) & (truth <= ends[:, 1])
        widths.append((ends[:, 1] - ends[:, 0]) / 2)
        settled += found.settled
    share, half = hits / (count - refused), np.median(widths, axis=0)
    covered = " | ".join(f"{one:.3f}" for one in share)
    wide = " | ".join(f"{one:.4f}" for one in half)
    return f"| {noise} | {sizes} | {p:g}, {q:g} | {covered} | {wide} | {settled} | {refused} |"


def tokens(last: float) -> str:
    """A ladder of equal tokens with a fitted floor."""
    found = frontier(equal_tokens(last), floor="fit")
    eta, xi = exponents(0.34, 0.28)
    off = float(np.exp(np.abs(np.log(found.d / best_size(found.flops))).max()))
    return (
        f"| {last:.0e} | {found.eta.value - eta:+.1e} | {found.xi.value - xi:+.1e} | "
        f"{found.floor:.4f} | {len(found.flops)} | {off:.2f} | {found.reason or 'yes'} |"
    )


def exact(a: float, b: float, name: str) -> str:
    """An exact ladder, d from 100 to 1e7 with four sizes a decade, to 1e15 flops."""
    runs = run_ladder(a, b, name, sizes=sizes_between(100, 1e7, 4))
    cut = [(c.dimension, c.flops[k], c.risk[k]) for c in runs.curves
           if (k := (c.steps > 0) & (c.flops <= 1e15)).sum() > 5]  # fmt: skip
    one = frontier(cut, law=runs.law)
    half = [(power.high - power.low) / 2 for power in (one.eta, one.xi)]
    here = one.eta_theory_here
    return (
        f"| ({a:g}, {b:g}) | {name} | {one.eta.value:.4f} | {half[0]:.4f} | "
        f"{one.eta.drift:+.4f} | {one.eta_theory:.4f} | "
        f"{'-' if here is None else format(here, '.4f')} | {one.xi.value:.4f} | "
        f"{half[1]:.4f} | {one.xi_theory:.4f} | {'yes' if one.settled else 'no'} |"
    )


def parts(count: int) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    """Every section, with the calls that make its rows."""
    shapes = ((5, 2), (6, 2.5), (7, 4), (8, 3), (13, 2))
    yield CLEAN, [("clean", n, decades, *pair) for n, decades in shapes for pair in PAIRS]
    yield NOISY, [("noisy", noise, sizes, *pair, count)
                  for noise in NOISES for sizes in (6, 8, 12) for pair in PAIRS]  # fmt: skip
    yield FLOOR, [("floored", noise, sizes, *case, count)
                  for noise in NOISES for sizes in (8, 12) for case in FLOORED]  # fmt: skip
    yield TOKENS, [("tokens", last) for last in (1e9, 1e10, 1e11)]
    named = [(a, b, "sgd") if 2 * a < 1 else (a, b, name) for a, b in POINTS
             for name in ("sgd", "dana-constant", "dana-decaying")]  # fmt: skip
    yield EXACT, [("exact", *one) for one in dict.fromkeys(named)]


def row(call: tuple[object, ...]) -> str:
    """The row of a call."""
    kind, *arguments = call
    return str(globals()[str(kind)](*arguments))


def main() -> None:
    """Print the tables, and keep them if asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=200, help="noisy ladders of each kind (200)")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    texts = b"".join(file.read_bytes() for file in sorted((ROOT / "hidim").rglob("*.py")))
    sections = list(parts(args.count))
    calls = {
        "-".join(map(str, call)).replace(".", "_"): call for _, rows in sections for call in rows
    }
    state = hashlib.sha256(texts + Path(__file__).read_bytes()).hexdigest()[:12]
    found = run_tasks(row, calls, store=Store(KEPT / f"frontier-{state}"), label="rows")
    names = iter(calls)
    tables = [words + "\n".join(found[next(names)] for _ in rows) for words, rows in sections]
    head = (
        f"# Measured frontiers\n\nhidim {hidim.__version__}, Python {platform.python_version()}. "
        f"Written by `python benchmarks/frontier.py --count {args.count} --write`."
    )
    text = "\n\n".join([head, *tables]) + "\n"
    print(text)
    if args.write:
        write_text(PAGE, text)


if __name__ == "__main__":
    main()
