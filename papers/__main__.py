"""`python -m papers [NAME ...] [--fresh]`: run the scripts, write docs/papers.md and its pages."""

from __future__ import annotations

import argparse
import importlib
import time

from hidim.support.checks import choice
from hidim.support.files import write_text
from hidim.support.progress import Progress
from papers.report import ROOT, found_by, section_of

# In the order of the page.
SCRIPTS = (
    "loss_curves",
    "adam_cosine",
    "curve_shapes",
    "phase_diagram",
    "floor_time_map",
    "exponents_along_cuts",
    "compute_optimal",
    "critical_rates",
    "same_law",
    "nesterov",
    "four_plus_three",
    "lecture_frontier",
    "theorem",
    "adam",
    "muon",
    "sign",
    "clipping",
    "private",
)
# Scripts with a page of their own in docs/, which is written whenever they run.
PAGES = {
    "sign": "papers-sign.md",
    "clipping": "papers-clipping.md",
    "private": "papers-private.md",
}

INTRODUCTION = """# The papers, reproduced

Each section reproduces a figure or table of *Dimension-adapted Momentum Outscales SGD*
(arXiv 2505.16098), *4+3 Phases of Compute-Optimal Neural Scaling Laws* (arXiv 2405.15074) or the
lecture notes on their method, on exact curves of the library, with what theory expects beside
what was measured. `make papers` writes this page again. Risks carry the factor ½, and
flops = steps × parameters × batch. Changed gradients have pages of their own:
[signSGD](papers-sign.md), [clipping](papers-clipping.md), [noisy SGD](papers-private.md).
"""


def main() -> None:
    """Run every script, or those named, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m papers", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"of {', '.join(SCRIPTS)}")
    parser.add_argument("--fresh", action="store_true", help="measure again, whatever is kept")
    args = parser.parse_args()
    try:
        chosen = [choice("name", name, SCRIPTS) for name in args.names] or list(SCRIPTS)
    except ValueError as error:
        parser.exit(2, f"papers: {error}\n")
    sections = []
    with Progress(len(chosen), "papers") as bar:
        for name in chosen:
            script = importlib.import_module(f"papers.{name}")
            start = time.perf_counter()
            section = section_of(script, found_by(script, fresh=args.fresh))
            if name in PAGES:
                write_text(ROOT / "docs" / PAGES[name], section.removeprefix("#"))
            else:
                sections.append(section)
            print(f"{name}: {time.perf_counter() - start:.1f} s", flush=True)
            bar.advance()
    if chosen == list(SCRIPTS):
        moved = (ROOT / "papers" / "moved.md").read_text(encoding="utf-8")
        write_text(ROOT / "docs" / "papers.md", "\n".join([INTRODUCTION, *sections, moved]))


if __name__ == "__main__":
    main()
