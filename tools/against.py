"""Is this checkout slower than another one? The same work in both, in turns.

    git worktree add ../old v0.1.0        # or any commit
    python tools/against.py ../old        # five interleaved pairs, ratios of CPU seconds

Each round starts a fresh process per checkout, one BLAS thread; a row is the median over the rounds
of new / old, so that what else the machine does cancels.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

COMMAND = "predict --alpha 1 --beta 0.7 --d 1000 --algorithm dana-decaying --steps 1e8"
WORK = """
import json, time, hidim
def cpu(work, repeats=5):
    times = []
    for _ in range(repeats):
        start = time.process_time(); work(); times.append(time.process_time() - start)
    return min(times)
problem, dana = hidim.PLRF(1.0, 0.7, 1000, 4000), hidim.dana_decaying(0.2, 0.1, 0.5, 3.4)
start = time.process_time(); equal = problem.spectrum(); cold = time.process_time() - start
drawn = problem.spectrum(seed=0)
def steps(spectrum, algorithm, last, **options):
    return lambda: hidim.predict(spectrum, algorithm, steps=last, **options)
found = {"a cold spectrum": cold}
found["equivalent, DANA, 1e8"] = cpu(steps(equal, dana, 1e8))
found["equivalent, SGD, 1e8"] = cpu(steps(equal, hidim.sgd(0.2), 1e8))
found["1000 sampled modes, DANA, 1e8"] = cpu(steps(drawn, dana, 1e8))
for d in (1e2, 1e4, 1e6):
    found[f"v = inf, d = {d:g}, 1e8"] = cpu(steps(hidim.PLRF(1.0, 0.7, d).spectrum(), dana, 1e8))
for last in (1e4, 1e12, 1e16):
    found[f"equivalent, DANA, {last:g}"] = cpu(steps(equal, dana, last))
found["volterra, 3000"] = cpu(steps(equal, dana, 3000, engine="volterra"), 2)
found["ode, 1e6"] = cpu(steps(equal, dana, 1e6, engine="ode"), 3)
found["recommend"] = cpu(lambda: hidim.recommend(problem, "dana-decaying"))
found["stability"] = cpu(lambda: hidim.stability(equal, dana, 1e6), 3)
found["its edge"] = cpu(lambda: hidim.stability(equal, dana, 1e5).largest_gamma_2, 2)
for runs in (1, 16):
    run = lambda: hidim.simulate(drawn, dana, 2000, runs=runs, at=[2000], progress=False)
    found[f"simulate, runs = {runs}"] = cpu(run, 3)
print(json.dumps(found))
"""
NOTHING = """
import hidim
hidim.predict(hidim.PLRF(1.0, 0.7, 10**9), hidim.dana_decaying(0.2, 0.1, 0.5, 3.4), steps=10**12)
"""
PROCESSES = {
    "import hidim": ["-c", "import hidim"],
    "hidim predict": ["-m", "hidim", *COMMAND.split()],
    "d = 1e9 to 1e12 from nothing": ["-c", NOTHING],
}


def measure(checkout: Path) -> dict[str, float]:
    """CPU seconds of every piece of work in that checkout."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Compiled files are kept, as on a user's machine, where only the first start compiles them.
    environment = os.environ | threads | {"PYTHONPATH": str(checkout)}
    environment |= {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "hidim-against")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(arguments: list[str]) -> tuple[float, str]:
        before = os.times()
        output = subprocess.run(
            [sys.executable, *arguments],
            cwd=checkout, env=environment, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        after = os.times()
        used = after.children_user + after.children_system
        return used - before.children_user - before.children_system, output

    found: dict[str, float] = json.loads(run(["-c", WORK])[1])
    return found | {name: run(arguments)[0] for name, arguments in PROCESSES.items()}


def main() -> None:
    """Print one ratio a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path, help="a checkout of hidim to compare with")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    new, old = Path(__file__).resolve().parent.parent, args.old.resolve()
    for checkout in (old, new):
        measure(checkout)  # compiles
    pairs = [(measure(old), measure(new)) for _ in range(args.rounds)]
    for name in pairs[0][0]:
        seconds = statistics.median(after[name] for _, after in pairs)
        ratio = statistics.median(after[name] / max(before[name], 1e-9) for before, after in pairs)
        print(f"{name:32} {ratio:5.2f}   {seconds:.3f} s")


if __name__ == "__main__":
    main()
