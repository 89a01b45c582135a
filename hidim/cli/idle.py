"""Which flags has a kind of law no use for?

They are refused and not passed over: a number that changes nothing looks as if it had.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

from hidim.cli.problems import flag

# Flags that say how to read a log, and what each is when it is not given.
_LOG: dict[str, Any] = {
    "columns": None,
    "lr": None,
    "schedule": None,
    "warmup_steps": None,
    "resumed": "refuse",
    "drop_nan": False,
    "averaged": "auto",
    "step_scale": None,
    "loss_scale": 1.0,
    "vocabulary": None,
}
_USUAL: dict[str, Any] = {**_LOG, "params": None, "tokens": None, "plot": None}
_IN_LOGS = set(_LOG) - {"columns"}
_FIT_OF_TABLES = {**_LOG, "warmup_steps": 0.0, "params": None}
# What a forecast asks of each kind of law to which flags it has no use for.
_FORECAST: dict[str, set[str]] = {
    "one size": {*_LOG, "plot"},
    "a table": {*_IN_LOGS, "plot", "params", "tokens"},
    "a schedule": {*_LOG} - {"schedule", "warmup_steps"},
    "a log": {"tokens"},
}


def given(args: argparse.Namespace, names: Iterable[str], usual: dict[str, Any]) -> str | None:
    """The first of the flags that was given, as it is typed."""
    for name in names:
        value, unset = getattr(args, name), usual.get(name)
        if value is not None and value is not False and value != unset:
            return flag(name)
    return None


def refuse_in_forecast(args: argparse.Namespace, law: str, asked: str) -> None:
    """Refuse what a forecast of `asked`, a key of the table, has no use for; `law` says of what."""
    idle = [name for name in _USUAL if name in _FORECAST[asked]]
    found = given(args, idle, _USUAL)
    if found is not None:
        where = repr(args.law) if args.law else "what --match or --so-far fits"
        raise ValueError(
            f"{where} is a law {law}, whose forecast of {asked} has no use for {found}: leave it "
            "out."
        )


def refuse_in_fit(args: argparse.Namespace) -> None:
    """Refuse flags of logs where a law of a table of sizes is fitted."""
    found = given(args, (n for n in _FIT_OF_TABLES if n != "columns"), _FIT_OF_TABLES)
    if found is not None:
        raise ValueError(
            f"--law {args.law} is of one table of finished runs and has no use for {found}, a flag "
            "of logs: leave it out, or fit a law of schedules."
        )
