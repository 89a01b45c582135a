"""What does a contest say? One answer, as text, as data and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hidim.contest.methods import BASELINE, WIDER
from hidim.contest.verdict import LENGTHS, C, false_alarms, leaderboard, profile
from hidim.support.extras import require
from hidim.support.files import write_text, write_with

Board = Sequence[Mapping[str, Any]]

HEAD = f"""# Contest of optimizers

Written by `hidim contest --report --page docs/contest.md` from `docs/results/contest.parquet`;
[how it works, and how to add a method or a task](how-to/contest.md).

Every method gets 12 tuning runs at full length from its declared space, chosen by the held-out
value of one tuning seed, then five fresh seeds at length 1, .75 and .5, the schedule finished at
each. The harness computes and counts every gradient; the method sees the weights and gradients
alone. A method *meets* tuned {BASELINE} at a length if
(target − mean)·√5 ≥ {C} σ, with σ² the sum of both groups' variances: fixed before any run, and
derived [there](how-to/contest.md#the-rule). ± is one standard error over seeds, "σ" the
left side over σ at equal steps; values are held-out losses, lower is better. * is the lowest or
highest value tried.
"""
LIMITS = """## What this does not say

- The tasks are small and a run takes seconds: nothing here is about large models or long runs.
- Ranges were set before the contest after a few trial runs with another seed; a method whose
  optimum lies outside its range shows below its best.
- Twelve points are few: a method with few settings is found better than one with many.
- The tuning run and the fresh seeds look at the same held-out data.
- σ is that of seeds at the chosen points. How lucky the twelve points were is not in it, nor in the
  false alarms: among AdamW's own twelve the best lies up to a quarter below the next, so a
  difference of ten per cent between two methods may be their points', whatever its σ.
"""


def answer_of(rows: Board, plan: Board) -> dict[str, Any]:
    """The object of --json.

    Args:
        rows: all that are kept.
        plan: of `progress_of`.

    Returns:
        c, baseline, leaderboard (verdict.py), profile, false_alarms by task, plan, mixed (tasks
        whose rows are of several data), provenance.
    """
    board = leaderboard(rows, baseline=BASELINE)
    complete = complete_tasks(plan)
    alarms = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        values = [row["value"] for row in rows if row["task"] == task and row["role"] == "alarm"]
        if len(values) >= 20:
            alarms[task] = false_alarms(values)
    return {
        "c": C,
        "baseline": BASELINE,
        "leaderboard": board,
        "profile": profile([one for one in board if one["task"] in complete]),
        "false_alarms": alarms,
        "plan": list(plan),
        "mixed": _mixed(rows),
        "provenance": _provenance(rows),
    }


def complete_tasks(plan: Board) -> list[str]:
    """Those of which every run is done."""
    return [one["task"] for one in plan if one["finished"] >= one["runs"]]


def board_text(answer: Mapping[str, Any]) -> str:
    """The leaderboard for a terminal, and the false alarms."""
    board = answer["leaderboard"]
    lines = [] if board else ["no method has all its runs yet"]
    for task in dict.fromkeys(one["task"] for one in board):
        lines += [f"{task}: held-out value of five fresh seeds, ± its standard error"]
        lines += [
            f"  {one['method']:<14} {_value(one):<22} {_verdict(one)}"
            for one in board
            if one["task"] == task
        ]
    for task, alarm in answer["false_alarms"].items():
        lines.append(f"false alarms on {task}: {_alarm(alarm)}")
    lines += _warnings(answer)
    return "\n".join(lines)


def write_page(path: Path, answer: Mapping[str, Any]) -> None:
    """The leaderboard in Markdown, and its figures in img/contest beside it."""
    board, complete = answer["leaderboard"], complete_tasks(answer["plan"])
    figures = _draw(path.parent / "img" / "contest", board, answer["profile"])
    parts = [HEAD, _state(answer["plan"]), _summary(board, complete)]
    if "profile" in figures:
        parts.append(
            "![Performance profile over the complete tasks](img/contest/profile.png)\n\n"
            "Performance profile (Dolan and Moré 2002): the share of the complete tasks on which "
            "a method's mean is within a ratio of the best.\n"
        )
    for task in dict.fromkeys(one["task"] for one in board):
        parts.append(_task(task, [one for one in board if one["task"] == task], task in complete))
    parts += [_alarms(answer["false_alarms"]), LIMITS, _machines(answer)]
    write_text(path, "\n".join(parts))


def _state(plan: Board) -> str:
    lines = ["## How far it is\n", "| task | runs done | CPU hours done | about left |",
             "| --- | --- | --- | --- |"]  # fmt: skip
    for one in plan:
        done = (
            "complete" if one["finished"] >= one["runs"] else f"{one['finished']} of {one['runs']}"
        )
        done = "not begun" if not one["finished"] else done
        lines.append(
            f"| {one['task']} | {done} | {one['hours_done']:.2f} | {one['hours_left']:.2f} |"
        )
    lines.append("\n`hidim contest --from docs/results/contest.parquet --out DIR` goes on.\n")
    return "\n".join(lines)


def _summary(board: Board, complete: Sequence[str]) -> str:
    methods = list(dict.fromkeys(one["method"] for one in board))
    cells = {(one["task"], one["method"]): one for one in board}
    tasks = [task for task in dict.fromkeys(one["task"] for one in board)
             if task in complete]  # fmt: skip
    if not tasks:
        return "No task is complete yet.\n"

    def met(method: str) -> int:
        several = (cells.get((task, method)) for task in tasks)
        return sum(one is not None and one["meets"] is not None for one in several)

    def ratio(method: str) -> float:
        known = [task for task in tasks if (task, method) in cells]
        ratios = [cells[t, method]["mean"] / cells[t, BASELINE]["mean"] for t in known]
        return math.exp(sum(map(math.log, ratios)) / len(ratios)) if ratios else math.inf

    lines = [
        "## Leaderboard\n",
        "Shortest length at which tuned AdamW's full length is met (–: none; (): its own line), "
        "and the geometric mean of the means over AdamW's. Sorted by tasks met, then by it.\n",
        f"| method | {' | '.join(tasks)} | met | mean ratio |",
        "| --- " * (len(tasks) + 3) + "|",
    ]
    for method in sorted(methods, key=lambda m: (-met(m), ratio(m))):
        marks = [_mark(cells.get((task, method))) for task in tasks]
        lines.append(
            f"| {method} | {' | '.join(marks)} | {met(method)} of {len(tasks)} | "
            f"{ratio(method):.3f} |"
        )
    asked = sum(one["score"] is not None for one in board if one["task"] in tasks)
    lines.append(
        f"\n{asked} comparisons at 5 % each or less: up to {0.05 * asked:.1f} met by chance are "
        "to be expected. Tasks that are not complete are left out.\n"
    )
    lines += [_at_an_edge(t, methods, cells) for t in tasks if cells[t, BASELINE]["edges"]]
    return "\n".join(lines)


def _at_an_edge(
    task: str, methods: Sequence[str], cells: Mapping[tuple[str, str], Mapping[str, Any]]
) -> str:
    """What the target is worth where its own best setting is the highest or lowest it tried."""
    said = (
        f"On {task} AdamW's best setting is the highest or lowest tried: its line may be too high."
    )
    high = cells.get((task, WIDER))
    if high is None:
        return said + "\n"
    found = [cells[task, m] for m in methods if (task, m) in cells and m != WIDER]
    meeting = [one for one in found if one["meets"] is not None]
    above = sum(one["mean"] > high["mean"] for one in meeting)
    return (
        f"{said} With ten times its rates (`{WIDER}`, added when that was seen) it ends at "
        f"{_number(high['mean'])} in the place of {_number(cells[task, BASELINE]['mean'])}; of the "
        f"{len(meeting)} methods that meet its line {above} end above that.\n"
    )


def _mark(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return ""
    if one["score"] is None:
        return "()"
    return "–" if one["meets"] is None else f"**{one['meets']:g}**"


def _task(task: str, board: Board, complete: bool) -> str:
    lengths = [length for length in LENGTHS if length != 1]
    lines = [
        f"## {task}{'' if complete else ' (not complete)'}\n",
        f"![Means over AdamW's](img/contest/{task}.png)\n",
        "| method | value at full length | "
        + " | ".join(f"at {length:g}" for length in lengths)
        + " | σ | met at | chosen | diverged of 12 | CPU s |",
        "| --- " * (len(lengths) + 7) + "|",
    ]
    for one in board:
        means = [_number(one["lengths"][length]) for length in lengths]
        chosen = ", ".join(
            f"{k} {v:g}{'*' if k in one['edges'] else ''}" for k, v in one["tuned"].items()
        )
        score = "" if one["score"] is None else f"{one['score']:+.1f}"
        lines.append(
            f"| {one['method']} | {_value(one)} | {' | '.join(means)} | {score} | {_mark(one)} | "
            f"{chosen} | {one['diverged']} | {one['seconds']:.1f} |"
        )
    return "\n".join([*lines, ""])


def _alarms(alarms: Mapping[str, Mapping[str, Any]]) -> str:
    lines = ["## False alarms\n", "How often the rule says that tuned AdamW beats itself, in "
             "random pairs of disjoint groups of five (`--false-alarms`):\n"]  # fmt: skip
    lines += [f"- {task}: {_alarm(alarm)}" for task, alarm in alarms.items()] or ["- not run yet"]
    return "\n".join([*lines, ""])


def _warnings(answer: Mapping[str, Any]) -> list[str]:
    return [
        f"Rows of {task} are of {many} different data sets, such as the library of two versions of "
        "Python: they do not compare."
        for task, many in answer["mixed"].items()
    ]


def _machines(answer: Mapping[str, Any]) -> str:
    lines = ["## Where it was run\n"]
    for one in answer["provenance"]:
        lines.append(
            f"- hidim {one['hidim']}, torch {one['torch']}, NumPy {one['numpy']}, Python "
            f"{one['python']}, {one['cpu']}, {one['threads']} thread: {one['rows']} runs, "
            f"{one['hours']:.2f} CPU hours, the longest {one['longest']:.1f} s"
        )
    lines += ["", *_warnings(answer)]
    lines.append("\n`hidim contest --rerun ROW --from docs/results/contest.parquet` computes any "
                 "of them again, to the last bit on the same type of machine.\n")  # fmt: skip
    return "\n".join(lines)


def _draw(
    folder: Path, board: Board, profiles: Mapping[str, Sequence[float]]
) -> dict[str, Callable[..., Any]]:
    """Every figure that there is something for, written; by name."""
    require("matplotlib", "plots")
    from matplotlib.figure import Figure

    from hidim.contest.figures import plot_profile, plot_task

    draws: dict[str, Callable[..., Any]] = {}
    for task in dict.fromkeys(one["task"] for one in board):
        draws[task] = partial(plot_task, board, task)
    if any(profiles.values()):
        draws["profile"] = partial(plot_profile, profiles)
    for name, draw in draws.items():
        folder.mkdir(parents=True, exist_ok=True)
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        draw(ax=figure.add_subplot())
        save = partial(figure.savefig, format="png", dpi=110, metadata={"Software": None})
        write_with(folder / f"{name}.png", save)
    return draws


def _number(value: float) -> str:
    return f"{value:.5g}" if math.isfinite(value) else "diverged"


def _value(one: Mapping[str, Any]) -> str:
    if not math.isfinite(one["mean"]):
        return "diverged"
    return f"{one['mean']:.5g} ± {one['stderr']:.1g}"


def _verdict(one: Mapping[str, Any]) -> str:
    if one["score"] is None:
        return "(the target)" if one["method"] == BASELINE else ""
    met = "not met" if one["meets"] is None else f"met at {one['meets']:g}"
    return f"{met} ({one['score']:+.1f} σ)" if math.isfinite(one["score"]) else met


def _alarm(alarm: Mapping[str, Any]) -> str:
    return (
        f"{alarm['rate']:.1%} of {alarm['pairs']:,} pairs from {alarm['runs']} runs (95 %: "
        f"{alarm['low']:.1%} to {alarm['high']:.1%} for these runs; ± {alarm['spread']:.1%}, one "
        "standard error, over runs)"
    )


def _mixed(rows: Board) -> dict[str, int]:
    several: dict[str, set[str]] = {}
    for row in rows:
        several.setdefault(row["task"], set()).add(row["data"])
    return {task: len(data) for task, data in several.items() if len(data) > 1}


def _provenance(rows: Board) -> list[dict[str, Any]]:
    keys = ("hidim", "torch", "numpy", "python", "cpu", "threads")
    several: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        place = json.dumps({key: row.get(key) for key in keys}, sort_keys=True)
        several.setdefault(place, []).append(row)
    return [
        json.loads(place)
        | {
            "rows": len(own),
            "hours": sum(row["seconds"] for row in own) / 3600,
            "longest": max(row["seconds"] for row in own),
        }
        for place, own in sorted(several.items())
    ]
