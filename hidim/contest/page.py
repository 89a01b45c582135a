"""What does a contest say? One answer, as text, as data and as a page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hidim.contest.methods import BASELINE
from hidim.contest.verdict import C, false_alarms, leaderboard, profile
from hidim.support.files import write_text

Board = Sequence[Mapping[str, Any]]


def answer_of(rows: Board, plan: Board) -> dict[str, Any]:
    """The object of --json: leaderboard, profile, false_alarms by task, plan, c, provenance."""
    board = leaderboard(rows, baseline=BASELINE)
    complete = [one["task"] for one in plan if one["finished"] >= one["runs"]]
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
        "provenance": _provenance(rows),
    }


def board_text(answer: Mapping[str, Any]) -> str:
    """The leaderboard for a terminal, and the false alarms."""
    board = answer["leaderboard"]
    if not board:
        return "no method has all its runs yet"
    lines = []
    for task in dict.fromkeys(one["task"] for one in board):
        lines += [f"{task}: held-out value of five fresh seeds, ± its standard error"]
        lines += [
            f"  {one['method']:<14} {_value(one):<22} {_verdict(one)}"
            for one in board
            if one["task"] == task
        ]
    for task, alarm in answer["false_alarms"].items():
        lines.append(f"false alarms on {task}: {_alarm(alarm)}")
    return "\n".join(lines)


def write_page(path: Path, rows: Board, answer: Mapping[str, Any]) -> None:
    """The leaderboard in Markdown."""
    write_text(path, "\n".join(board_text(answer).splitlines()) + "\n")


def _value(one: Mapping[str, Any]) -> str:
    if not math.isfinite(one["mean"]):
        return "diverged"
    return f"{one['mean']:.5g} ± {one['stderr']:.2g}"


def _verdict(one: Mapping[str, Any]) -> str:
    if one["score"] is None:
        return "-"
    met = "does not meet it" if one["meets"] is None else f"meets it at {one['meets']:g}"
    return f"{met} ({one['score']:+.1f} σ)" if math.isfinite(one["score"]) else met


def _alarm(alarm: Mapping[str, Any]) -> str:
    return (
        f"{alarm['rate']:.1%} of {alarm['pairs']:,} pairs from {alarm['runs']} runs (95 % "
        f"{alarm['low']:.1%} to {alarm['high']:.1%} for these runs; ± {alarm['spread']:.1%} over "
        "runs)"
    )


def _provenance(rows: Board) -> list[dict[str, Any]]:
    keys = ("hidim", "torch", "numpy", "python", "cpu", "threads")
    several = {json.dumps({key: row.get(key) for key in keys}, sort_keys=True) for row in rows}
    return [json.loads(one) for one in sorted(several)]
