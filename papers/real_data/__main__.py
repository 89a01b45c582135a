"""`python -m papers.real_data [--quick] [--fresh] [--out FOLDER]`: predict, run, write the page."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hidim.support.files import write_text
from papers.real_data.figures import draw
from papers.real_data.judge import lines, runs_at
from papers.real_data.measure import QUICK as QUICK_PLAN
from papers.real_data.measure import WHOLE
from papers.real_data.page import confusion_table, held, page, runs_table, sets_table
from papers.real_data.sets import CASES, QUICK
from papers.real_data.stored import measured, tuned
from papers.report import ROOT


def main(argv: Sequence[str] | None = None) -> int:
    """0 if every line holds, else 1; of a quick study those that its few runs can decide."""
    parser = argparse.ArgumentParser(prog="python -m papers.real_data", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three small sets and 300 steps")
    parser.add_argument("--fresh", action="store_true", help="measure again, whatever is kept")
    parser.add_argument("--out", type=Path, help="where results go, and no page is written")
    args = parser.parse_args(argv)
    folder = args.out or (ROOT / ".cache" / "papers" if args.quick else ROOT / "docs" / "results")
    cases, plan = (QUICK, QUICK_PLAN) if args.quick else (CASES, WHOLE)
    predicted, runs = measured(cases, folder, plan, fresh=args.fresh)
    print(sets_table(predicted), runs_table(list(runs_at("ours", predicted, runs))), sep="\n\n")
    print(confusion_table(predicted, runs), held(predicted, runs), sep="\n\n")
    if not (args.quick or args.out):
        draw(ROOT / "docs" / "img" / "results", predicted, runs)
        write_text(
            ROOT / "docs" / "real-data.md",
            page(predicted, runs, tuned(cases, folder, fresh=args.fresh)),
        )
    found = lines(predicted, runs)
    if args.quick:
        print(f"\n{plan.runs} runs are noisier than the first two lines ask: not judged.")
    return 0 if all(line.held for line in found[2 if args.quick else 0 :]) else 1


if __name__ == "__main__":
    raise SystemExit(main())
