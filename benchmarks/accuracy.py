"""How far is a prediction from the recursion it sums up, and does it know?

Random runs of every algorithm (tests/agreement/configurations.py) against their plain recursion in
80-bit floats, and runs of 1e8 and 1e12 steps at constant rates against powers of the full map in
decimals: the error, `predict`'s own estimate of it, and the promises that were not kept. The truth
takes minutes and is kept under --cache, so a command that was stopped goes on where it was.

    python benchmarks/accuracy.py             # print the tables
    python benchmarks/accuracy.py --write     # and keep them in docs/benchmarks/accuracy.md
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported, hence before

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))  # for tests, which are no part of the package

import numpy as np  # noqa: E402

import hidim  # noqa: E402
from tests.agreement.configurations import (  # noqa: E402
    Configuration,
    configurations,
    constant_configurations,
)
from tests.agreement.judge import (  # noqa: E402
    HAS_RTOL,
    ROUNDING,
    RTOL,
    Verdict,
    default_cache,
    judge,
    power_truths,
    truths,
)

PAGE = ROOT / "docs" / "benchmarks" / "accuracy.md"
SHOWN = 20  # of the worst runs
LISTED = 40  # of those that broke a promise; the lines printed on the way mark them all


def judged(given: Sequence[Configuration], cache: Path, rtol: float) -> list[Verdict]:
    """One verdict each, printed as it falls; the truths first, since they are kept."""
    find = power_truths if given[0].steps > 1e7 else truths
    start, known = time.process_time(), {}
    for i, truth in find(given, cache):
        known[i] = truth
        if time.process_time() - start > 1:  # those that were kept are there at once
            print(f"truth {len(known)} of {len(given)}", file=sys.stderr, flush=True)
    found = []
    for i, configuration in enumerate(given):
        found.append(judge(configuration, known[i], rtol))
        print(line(found[-1]), flush=True)
    return found


def line(v: Verdict) -> str:
    """A verdict in one line."""
    estimate = "none" if v.estimate is None else f"{v.estimate:.1e} ({v.ratio:.3g} x)"
    effort = " ".join(f"{key} {value}" for key, value in v.effort.items())
    cost = f"{v.seconds:.2f} s [{effort}]"
    faults = "".join(f"  !! {fault}" for fault in v.faults)
    return f"{v.error:.1e} at {v.step:<7g} estimate {estimate} {v.status} {cost} {v.name}{faults}"


def summary(found: Sequence[Verdict]) -> list[str]:
    """The table of one set of runs."""
    errors = np.array([v.error for v in found])
    seconds = np.array([v.seconds for v in found])
    quantiles = np.quantile(errors, [0.5, 0.9, 0.99, 1.0])
    cpu = f"{np.median(seconds):.3f}, {seconds.max():.2f}, {seconds.sum():.0f}"
    rows = [
        ["runs", f"{len(found)}"],
        ["error: median, 90 %, 99 %, worst", ", ".join(f"{q:.1e}" for q in quantiles)],
        *([f"errors above {x:g}", f"{np.sum(errors > x)}"] for x in (1e-8, 1e-7, 1e-6)),
        ["status", ", ".join(f"{n} {s}" for s, n in _counts([v.status for v in found]))],
        ["CPU seconds: median, worst, all", cpu],
    ]
    if all(v.estimate is not None for v in found):
        low = sum(not v.estimate >= v.error for v in found)  # type: ignore[operator]
        ratios = np.array([v.ratio for v in found if v.error > ROUNDING])
        share = len(ratios) / len(found)
        middle = ", ".join(f"{q:.3g}" for q in np.quantile(ratios, [0.5, 0.9])) if share else "-"
        what = f"estimate over error: median, 90 %; of the {share:.0%} with errors > {ROUNDING:g}"
        rows += [["estimates below the error", f"{low}"], [what, middle]]
    else:
        rows.append(["estimates", "none: this version of hidim makes none"])
    return table(["", ""], rows)


def by_algorithm(found: Sequence[Verdict]) -> list[str]:
    """Errors of each algorithm."""
    rows = []
    for name in dict.fromkeys(v.name.split()[1] for v in found):
        errors = [v.error for v in found if v.name.split()[1] == name]
        rows.append([name, f"{len(errors)}", f"{np.median(errors):.1e}", f"{max(errors):.1e}"])
    return table(["algorithm", "runs", "median error", "worst"], rows)


def worst(found: Sequence[Verdict]) -> list[str]:
    """The runs with the largest errors."""
    rows = []
    for v in sorted(found, key=lambda v: -v.error)[:SHOWN]:
        estimate = "" if v.estimate is None else f"{v.estimate:.1e}"
        effort = f"{v.effort.get('single_steps', 0)} + {v.effort.get('blocks', 0)}"
        rows.append([f"{v.error:.1e}", estimate, v.status, f"{v.step:g}", effort, v.name])
    head = ["error", "estimate", "status", "at step", "steps + blocks", "run"]
    return table(head, rows)


def broken(found: Sequence[Verdict]) -> list[str]:
    """The promises that were not kept."""
    lines = [f"- {v.name}: {'; '.join(v.faults)}" for v in found if v.faults]
    if not lines:
        return ["Every run kept its promises."]
    promised = (
        "" if HAS_RTOL else " This version promises no accuracy; it is held to one all the same."
    )
    more = [f"- and {len(lines) - LISTED} more"] if len(lines) > LISTED else []
    head = f"Promises not kept by {len(lines)} of {len(found)} runs.{promised}"
    return [head, "", *lines[:LISTED], *more]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def _counts(words: Sequence[str]) -> list[tuple[str, int]]:
    return [(word, words.count(word)) for word in dict.fromkeys(words)]


def report(random: Sequence[Verdict], long: Sequence[Verdict], given: argparse.Namespace) -> str:
    """The page."""
    asked = f"`rtol={given.rtol:g}`" if HAS_RTOL else "no `rtol` yet"
    lines = [
        "# Accuracy of predictions",
        "",
        f"hidim {hidim.__version__}, Python {platform.python_version()}, {asked}. An error is the "
        "largest distance to the truth over the largest risk within a factor two in time. Written "
        f"by `python benchmarks/accuracy.py --count {given.count} --seed {given.seed} --steps "
        f"{given.steps:g} --write`.",
    ]
    what = f"Random runs of up to {given.steps:g} steps, against the recursion in 80-bit floats"
    long_what = "Constant rates to 1e8 and 1e12 steps, against powers of the map in decimals"
    for title, found in ((what, random), (long_what, long)):
        if found:
            lines += ["", f"## {title}", "", *summary(found), "", *by_algorithm(found)]
            lines += ["", "The worst:", "", *worst(found), "", *broken(found)]
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=300, help="random runs")
    parser.add_argument("--long", type=int, default=24, help="runs at constant rates")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=float, default=1e5, help="of the longest random run")
    parser.add_argument("--rtol", type=float, default=RTOL)
    parser.add_argument("--only", default="", help="judge those whose name holds this text")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="keeps the truth")
    parser.add_argument("--write", action="store_true", help=f"keep the tables in {PAGE}")
    given = parser.parse_args()
    given.cache.mkdir(parents=True, exist_ok=True)
    sets = []
    for drawn in (
        configurations(given.count, given.seed, steps=given.steps),
        constant_configurations(given.long, given.seed),
    ):
        chosen = [c for c in drawn if given.only in c.name]
        sets.append(judged(chosen, given.cache, given.rtol) if chosen else [])
    page = report(*sets, given)
    print(page)
    if given.write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
