"""docs/real-data.md, written from what is stored; every number on it comes from there."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hidim.support.json import decode
from papers.real_data import words
from papers.real_data.facts import HORIZONS, decayed_ratios, facts, known_ratios, races
from papers.real_data.facts import NAMES as CASE_OF
from papers.real_data.horizons import HORIZONS as KNOWN
from papers.real_data.judge import (
    BANDS,
    Run,
    between,
    confusion,
    lines,
    runs_at,
    slope_of_steps,
)
from papers.real_data.measure import NAMES, TUNED, WHOLE
from papers.real_data.sets import described
from papers.real_data.stored import Entries
from papers.report import markdown_table


def page(predicted: Entries, runs: Entries, tuned: Entries) -> str:
    """The page as markdown."""
    ours = list(runs_at("ours", predicted, runs))
    theirs = list(runs_at("theirs", predicted, runs))
    parts = [
        words.TITLE,
        words.in_short(facts(predicted, runs, tuned)),
        "## What must hold",
        held(predicted, runs),
        words.SETS,
        sets_table(predicted),
        words.SPECTRA,
        spectra_table(predicted),
        words.RUNS.format(runs=WHOLE.runs),
        runs_table(ours),
        "![Predicted curves and runs on four of the sets](img/results/real-data-curves.png)",
        words.GAINS,
        gains_table(predicted, theirs),
        words.CONFUSION,
        confusion_table(predicted, runs),
        _listed(words.BETWEEN, between(predicted, runs)),
        "![Gains at both kinds of rates, and how far runs rose](img/results/real-data-gains.png)",
        words.RACE,
        *(table for name in TUNED[1:] for table in (f"**{name} against sgd**",
          race_table(predicted, runs, name))),
        words.KNOWN,
        known_table(tuned),
        words.NOT_SHOWN,
    ]  # fmt: skip
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def held(predicted: Entries, runs: Entries) -> str:
    """The lines that must hold, and where one does not."""
    found = lines(predicted, runs)
    rows = [(line.claim, "yes" if line.held else "**no**", line.found) for line in found]
    text = markdown_table(("line", "holds", "found"), rows)
    for line in found:
        if line.fails:
            places = "\n".join(f"- {place}" for place in line.fails)
            text += f"\n\nBeyond it ({line.claim}):\n\n{places}"
    return text


def _listed(head: str, found: Sequence[Run]) -> str:
    places = [
        f"- {run.case}, {run.name}, B = {run.batch}: gain {_short(run.gain)}, {run.outcome}, "
        f"at most {_short(float(np.max(run.risk / run.predicted)))} times the curve"
        for run in found
    ]
    return "\n".join([head, "", *places]) if places else ""


def sets_table(predicted: Entries) -> str:
    """Where the rows come from."""
    rows = []
    for key in predicted:
        told = described(CASE_OF[key]) if key in CASE_OF else {}
        sizes = predicted[key]
        rows.append(
            (key, told.get("words", ""), told.get("package", ""), told.get("licence", ""),
             f"{sizes['n']} × {sizes['d']}", sizes["k"], f"{sizes['floor']:.3f}")
        )  # fmt: skip
    return markdown_table(("set", "rows", "from", "licence", "n × d", "rank", "floor"), rows)


def spectra_table(predicted: Entries) -> str:
    """alpha, beta, windows and phases."""
    rows = []
    for key, told in predicted.items():
        if told["alpha"] is None:
            rows.append((key, "-", "-", "-", "-", "-"))
            continue
        a, b = told["alpha"], told["beta"]
        beta = f"{b[0]:.2f} ({_short(b[1])}..{_short(b[2])})" if None not in b else f"{b[0]:.2f}"
        rows.append(
            (key, "{}..{}".format(*told["window"]), f"{a[0]:.2f} ({min(a):.2f}..{max(a):.2f})",
             beta,
             told["phase"], ", ".join(told["phases"]))
        )  # fmt: skip
    header = ("set", "ranks", "α (halves)", "β (95 %)", "phase", "phases of all corners")
    return markdown_table(header, rows)


def runs_table(ours: Sequence[Run]) -> str:
    """Errors of every case at the rates recommended from its rows."""
    rows = []
    for case in dict.fromkeys(run.case for run in ours):
        mine = [run for run in ours if run.case == case]
        error = 100 * np.concatenate([run.error for run in mine])
        alone = 100 * np.concatenate([np.abs(r.risk / r.by_covariance - 1) for r in mine])
        noise = 100 * np.concatenate([run.stderr / run.predicted for run in mine])
        rows.append(
            (case, f"{max(run.gain for run in mine):.2f}",
             f"{np.median(error):.2f} / {error.max():.1f}",
             f"{np.median(alone):.2f} / {alone.max():.1f}",
             f"{np.median(noise):.2f} / {noise.max():.1f}", len(error))
        )  # fmt: skip
    header = ("set", "largest gain", "error, rows", "error, covariance", "one s.e.", "points")
    return markdown_table(header, rows)


def gains_table(predicted: Entries, theirs: Sequence[Run]) -> str:
    """Exact gains at the rates of the covariance, and who carries them."""
    rows = []
    for case, told in predicted.items():
        mine = {(run.name, run.batch): run for run in theirs if run.case == case}
        ours, other = (
            decode(told["cases"]["sgd 1"][rates]).gamma_2.constant for rates in ("ours", "theirs")
        )
        judged = mine["sgd", 1].judged
        rows.append(
            (case, *(_short(mine[name, batch].gain) for batch in (1, 16) for name in NAMES),
             f"{ours / other:.2g}",
             "-" if judged["carriers"] is None else
             f"{judged['carriers']:.0f}; row {judged['row']} has {judged['share']:.0%}")
        )  # fmt: skip
    short = ("sgd", "sgd-m", "dana-c", "dana-d")
    header = ("set", *(f"{n}, B = {b}" for b in (1, 16) for n in short), "rate from rows / from "
              "covariance", "rows that carry it")  # fmt: skip
    return markdown_table(header, rows)


def confusion_table(predicted: Entries, runs: Entries) -> str:
    """Outcomes against gains."""
    table = confusion(predicted, runs)
    rows = [(outcome, *(row[band] for band in BANDS)) for outcome, row in table.items()]
    return markdown_table(("the mean of the runs", *BANDS), rows)


def race_table(predicted: Entries, runs: Entries, name: str) -> str:
    """Ratios of excess risks and of steps."""
    rows = []
    for told in races(predicted, runs, name):
        alpha = predicted[told.case]["alpha"]
        theory = f"{2 - 1 / (2 * alpha[0]):.2f}" if alpha and alpha[0] > 0.5 else "1"
        slope = slope_of_steps(told)
        ran = [
            f"{told.fixed[t]:.2f}, {told.ran[t]:.2f}" if t in told.ran else "-" for t in (10**4,)
        ]
        rows.append(
            (told.case, *ran, *(_short(told.best[t]) + "*" * (t in told.edge) for t in HORIZONS),
             *(_short(told.steps[t]) for t in HORIZONS[:-1]),
             "-" if slope is None else f"{slope:.2f}", theory if alpha else "-")
        )  # fmt: skip
    header = ("set", "same rates, 1e4: predicted, run", *(f"excess, {t:.0e}" for t in HORIZONS),
              *(f"steps, {t:.0e}" for t in HORIZONS[:-1]), "time's power", "theory")  # fmt: skip
    return markdown_table([h.replace("e+0", "e") for h in header], rows)


def known_table(tuned: Entries) -> str:
    """Best rates for known horizons, and what they leave."""
    ratios, (plain, decayed), rows = known_ratios(tuned), decayed_ratios(tuned), []
    for i, (case, one) in enumerate(tuned.items()):
        cells: list[str] = []
        for t in KNOWN:
            sgd, dana = one[f"sgd {t}"], one[f"dana-decaying {t}"]
            cells += [_short(sgd["excess"]), _short(dana["excess"]), f"{ratios[t][i]:.2f}"]
        last = one[f"dana-decaying {KNOWN[-1]}"]
        cells += [_short(last["gamma_2"] / one[f"sgd {KNOWN[-1]}"]["gamma_2"]),
                  _short(last["gamma_3"] / last["gamma_2"])]  # fmt: skip
        rows.append((case, *cells, f"{1 / plain[i]:.2f}", f"{1 / decayed[i]:.2f}"))
    short = [f"{t:.0e}".replace("e+0", "e") for t in KNOWN]
    header = ("set", *(f"{n}, {t}" for t in short for n in ("sgd", "dana-d", "ratio")),
              f"γ₂ dana / sgd, {short[-1]}", "γ₃(0) / γ₂", "sgd cosine / dana-d",
              "both cosine")  # fmt: skip
    return markdown_table(header, rows)


def _short(value: float | None) -> str:
    if value is None or math.isinf(value):
        return "∞"
    return "-" if math.isnan(value) else f"{value:.3g}" if abs(value) < 1e4 else f"{value:.0e}"
