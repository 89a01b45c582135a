"""`hidim demo`: the main job, on the power-law model and on two real data sets.

Four optimizers at their recommended rates: the curve is predicted, then the algorithm itself is
run many times and set beside it. On real data prediction and rates are those of the rows, and the
runs draw them; which rows carry the gain is said, and what a Gaussian with the same covariance
would have recommended.
"""

from __future__ import annotations

import argparse
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import hidim
from hidim.cli import common, demo_data
from hidim.cli.numbers import count
from hidim.curve import log_spaced_steps
from hidim.problems.law import DataLaw
from hidim.support.checks import whole
from hidim.support.extras import require
from hidim.support.files import write_text
from hidim.systems.row_gain import Gain, RowLoop, looks, loop_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUMMARY = "Predict and run four optimizers on the power-law model and on two real data sets."

EXAMPLE = """\
example: the whole demonstration, about a minute; tables and a figure in demo/
  hidim demo --out demo

a first look in seconds
  hidim demo --out demo --quick
"""

ALGORITHMS = ("sgd", "sgd-momentum", "dana-constant", "dana-decaying")


@dataclass(frozen=True)
class Part:
    """One problem of the demonstration: predictions, runs, and what they show.

    Attributes:
        note: what its panel says besides.
    """

    key: str
    title: str
    text: str
    predicted: list[hidim.Curve]
    measured: list[hidim.Curve]
    note: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    group = parser.add_argument_group("demonstration")
    group.add_argument("--out", metavar="FOLDER", default="demo", help="where it goes (demo)")
    group.add_argument("--runs", type=count, metavar="N", default=32, help="runs per curve (32)")
    group.add_argument("--quick", action="store_true", help="a tenth of the steps, 8 runs")
    group.add_argument("--json", action="store_true", help="print one JSON object instead")


def run(args: argparse.Namespace) -> int:
    """Do all parts, print their tables, write the figure, the report and the curves."""
    started = time.perf_counter()
    runs = 8 if args.quick else int(whole("runs", args.runs, minimum=2))
    require("matplotlib", "plots")
    require("sklearn", "demo")
    folder = _folder(args.out)
    steps = 1000 if args.quick else 10_000
    parts = []
    for make in (power_law, digits, tumours):
        parts.append(make(steps, runs))
        if not args.json:
            print(_section(parts[-1]), flush=True)
    for part in parts:
        common.write_csv(str(folder / f"{part.key}.csv"), _columns(part))
    write_text(folder / "report.txt", "\n".join(_section(part) for part in parts))
    _figure(folder / "demo.png", parts)
    seconds = time.perf_counter() - started
    if args.json:
        answer = {
            part.key: {"title": part.title, "text": part.text, "rows": _rows(part)}
            for part in parts
        }
        common.print_json(answer | {"folder": str(folder), "seconds": seconds})
        return 0
    files = ", ".join(["demo.png", "report.txt", *(f"{part.key}.csv" for part in parts)])
    print(f"in {folder}/: {files}")
    print(f"hidim {hidim.__version__}, {seconds:.0f} s")
    return 0


def power_law(steps: int, runs: int) -> Part:
    """PLRF(alpha=1, beta=0.7, d=1000): Gaussian data, so prediction and runs must agree."""
    problem = hidim.PLRF(alpha=1.0, beta=0.7, d=1000, v=4000)
    spectrum = problem.spectrum(seed=0)
    predicted, measured = [], []
    for name in ALGORITHMS:
        algorithm = hidim.recommend(problem, name)
        predicted.append(hidim.predict(spectrum, algorithm, at=_line(steps)))
        run = hidim.simulate(spectrum, algorithm, steps=steps, runs=runs, seed=1, at=_marks(steps))
        measured.append(run)
    text = f"Gaussian data, one sampled W: floor {spectrum.risk_floor:.4g}. Lines go on to "
    text += f"{100 * steps:,} steps at no more cost."
    return Part("power-law", "PLRF(alpha=1, beta=0.7, d=1000)", text, predicted, measured)


def digits(steps: int, runs: int) -> Part:
    """Handwritten digits: all rows nearly as long, so that a Gaussian would do."""
    title = "Handwritten digits (odd or even), 600 random features"
    return _real("digits", title, demo_data.digits, steps, runs)


def tumours(steps: int, runs: int) -> Part:
    """Tumour measurements: a few long rows decide which rates hold."""
    title = "Breast tumours (benign or not), 600 random features"
    return _real("tumours", title, demo_data.tumours, steps, runs)


def _real(
    key: str,
    title: str,
    load: Callable[[], tuple[np.ndarray, np.ndarray]],
    steps: int,
    runs: int,
) -> Part:
    X, y = load()
    spectrum = hidim.Spectrum.from_data(X, y)
    algorithms = [hidim.recommend(spectrum, name) for name in ALGORITHMS]
    predicted = [hidim.predict(spectrum, one, at=_line(steps)) for one in algorithms]
    at = _marks(steps)
    measured = [
        hidim.simulate_rows(X, y, one, steps, runs=runs, seed=1, at=at) for one in algorithms
    ]
    blind = replace(spectrum, law=DataLaw())
    gaussian = [hidim.recommend(blind, name) for name in ALGORITHMS]
    loop = loop_of(spectrum)
    assert loop is not None  # from_data keeps the rows
    name, most = _largest(loop, algorithms, steps)
    other, gain = _largest(loop, gaussian, steps)
    holds = "hold here too" if gain.value < 1 else "are mean-square unstable here"
    text = (
        f"{len(X):,} real rows, drawn with replacement, at rates recommended from them; floor "
        f"{spectrum.risk_floor:.4g}. With {name} {loop.told(most)}. The rates recommended for "
        f"Gaussian rows with the same covariance {holds}: with {other} their gain is "
        f"{gain.value:.3g}."
    )
    note = f"gain {most.value:.2g}, {_carriers(loop, most)}\n"
    note += f"rates for Gaussian rows: gain {gain.value:.2g}"
    note += "" if gain.value < 1 else ", unstable"
    return Part(key, title, text, predicted, measured, note)


def _largest(loop: RowLoop, algorithms: Sequence[Any], steps: int) -> tuple[str, Gain]:
    """The algorithm whose gain over the runs is largest, and that gain."""
    found = [(one.name, gain) for one in algorithms for gain in loop.along(one, 1, looks(steps))]
    return max(found, key=lambda pair: pair[1].value)


def _carriers(loop: RowLoop, gain: Gain) -> str:
    """Who carries a gain, in a few words."""
    order = np.argsort(-gain.shares, kind="stable")[:3]
    if gain.carriers > 0.5 * len(gain.shares):
        return f"spread over some {gain.carriers:.0f} rows"
    first = ", ".join(str(loop.rows.index[i]) for i in order)
    return f"carried by rows {first} and some {max(gain.carriers - 3.0, 0.0):.0f} more"


def _marks(steps: int) -> np.ndarray:
    """Step 0 and about five points a decade."""
    return log_spaced_steps(steps, per_decade=5)


def _line(steps: int) -> np.ndarray:
    """Where the predictions are read: the marks, and finely up to a hundred times the steps."""
    return np.union1d(_marks(steps), log_spaced_steps(100 * steps))


def _rows(part: Part) -> list[dict[str, Any]]:
    """How far runs and prediction are apart, at the last step of each decade."""
    rows = []
    for predicted, measured in zip(part.predicted, part.measured, strict=True):
        assert measured.stderr is not None  # runs always carry their errors
        for index, step in enumerate(measured.steps.tolist()):
            if step < 10 or not np.log10(step).is_integer():
                continue
            truth, run = predicted.at(step), float(measured.risk[index])
            error = float(measured.stderr[index])
            rows.append(
                {
                    "algorithm": measured.label,
                    "step": step,
                    "predicted": truth,
                    "run": run,
                    "stderr": error,
                    "off": run / truth - 1.0,
                }
            )
    return rows


def _section(part: Part) -> str:
    rows = _rows(part)
    columns = {
        "algorithm": [row["algorithm"] for row in rows],
        "step": [common.step_text(row["step"]) for row in rows],
        "predicted": [common.risk_text(row["predicted"]) for row in rows],
        "runs": [_run_text(row) for row in rows],
        "off by": [_off_text(row["off"]) for row in rows],
        "bar": [_bar_text(row) for row in rows],
    }
    text = textwrap.fill(part.text, 100)
    return "\n".join([part.title, text, "", common.table(columns), "", _verdict(rows), ""])


def _run_text(row: dict[str, Any]) -> str:
    return f"{row['run']:.4g}" if np.isfinite(row["run"]) else "diverged"


def _off_text(off: float) -> str:
    if abs(off) < 2:
        return f"{100 * off:+.1f} %"
    return f"{off + 1:.3g} times" if np.isfinite(off) else "without bound"


def _bar_text(row: dict[str, Any]) -> str:
    share = 2 * row["stderr"] / row["predicted"]
    return f"±{100 * share:.1f} %" if share < 1 else "beyond 100 %"


def _verdict(rows: list[dict[str, Any]]) -> str:
    distances = np.array([abs(row["off"]) for row in rows])
    beyond = sum(abs(row["off"]) * row["predicted"] > 2 * row["stderr"] for row in rows)
    worst = rows[int(np.argmax(distances))]
    text = (
        f"Median distance {100 * np.median(distances):.1f} %; {beyond} of {len(rows)} beyond two "
        f"standard errors; farthest {_off_text(worst['off'])} ({worst['algorithm']} at step "
        f"{common.step_text(worst['step'])})."
    )
    lost = sum(row["off"] > 1 for row in rows)
    if lost:
        text += (
            f"\nPrediction and runs part here: {lost} of {len(rows)} lie at more than twice the "
            "prediction. Near the edge\nrare runs carry the mean, so even their standard errors "
            "cannot be trusted."
        )
    return text


def _columns(part: Part) -> dict[str, Any]:
    names = [c.label for c in part.measured for _ in c.steps]
    return {
        "algorithm": names,
        "step": np.concatenate([c.steps for c in part.measured]),
        "predicted": np.concatenate(
            [
                [p.at(float(step)) for step in m.steps]
                for p, m in zip(part.predicted, part.measured, strict=True)
            ]
        ),
        "run": np.concatenate([c.risk for c in part.measured]),
        "stderr": np.concatenate([np.asarray(c.stderr) for c in part.measured]),
    }


def _figure(path: Path, parts: list[Part]) -> None:
    """Lines are predictions, points are runs; one panel per problem."""
    from matplotlib.figure import Figure

    from hidim.support.files import write_with

    figure = Figure(figsize=(4.8 * len(parts), 4.7), layout="constrained")
    for ax, part in zip(np.atleast_1d(figure.subplots(1, len(parts))), parts, strict=True):
        _panel(ax, part)
    runs = parts[0].measured[0].provenance.get("runs", "several")
    figure.suptitle(
        f"Lines: predicted. Points: the algorithm itself, {runs} runs, two standard errors "
        "(triangles: beyond the axis).",
        fontsize="medium",
    )
    write_with(path, lambda stream: figure.savefig(stream, format="png", dpi=140))


def _panel(ax: Axes, part: Part) -> None:
    from hidim.plots import plot_curves

    ceiling = 2.5 * float(part.predicted[0].risk[0])
    plot_curves([*part.predicted, *part.measured], ax, ceiling=ceiling, title=part.title)
    low = min(float(curve.risk.min()) for curve in part.predicted)
    ax.set_ylim(bottom=low / 1.6)
    corner = ax.transAxes
    ax.text(0.98, 0.97, part.note, fontsize="small", ha="right", va="top", transform=corner)


def _folder(name: str) -> Path:
    folder = Path(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"cannot make folder {name!r}: {error.strerror}.") from None
    return folder
