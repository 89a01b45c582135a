"""Which curve did a training run draw?

    risk            validation loss, nats per token, at its steps; infinite where it was no number
    train           mean training loss since the point before; NaN at step 0, where there is none
    test            the risk again, under the name that every curve has for held-out data
    lr              of the step to come
    tokens          trained on so far
    flops           spent so far, forward and backward: tokens x the model's flops per token
    gradient_norm   of the last gradient, before clipping; where the run logged it, as are
    clipped, update_to_weight, momentum_share   see `watch.py`

The validation loss is the risk, since it is measured on the same held-out windows every time, with
the parameters of that very step; the training loss is an average over the steps before. Where it
is logged more often, `provenance["train"]` holds its steps and means.
Speed is no part of it: two runs of equal settings have equal curves.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.lab.training.settings import Settings

Rows = Sequence[Mapping[str, Any]]
_OWN = ("lr", "tokens", "gradient_norm", "clipped", "update_to_weight", "momentum_share")
_READ = {"train": "train_loss", **{name: name for name in _OWN}}


def run_curve(config: Mapping[str, Any], rows: Rows, status: str | None) -> Curve:
    """The curve of a run.

    Args:
        config: what `config.json` holds.
        rows: of the metrics, at least one.
        status: "ok" or "diverged", of a finished run; None for one that is not.

    Raises:
        ValueError: settings that are none.
        KeyError: something is missing.
    """
    settings = Settings.from_dict(config["settings"])
    logged = {"steps": [row["step"] for row in rows]}
    logged |= {"loss": _column(rows, "train_loss").tolist(), "lr": _column(rows, "lr").tolist()}
    every, rows = rows, [row for row in rows if "validation_loss" in row]
    if not rows:
        raise ValueError("it has not been evaluated yet")
    steps = np.array([row["step"] for row in rows], dtype=np.float64)
    columns = {
        name: _column(rows, key)
        for name, key in _READ.items()
        if any(row.get(key) is not None for row in rows)
    }
    risk = _column(rows, "validation_loss")
    risk[np.isnan(risk)] = math.inf
    if "train" in columns:
        if len(every) > len(rows):
            columns["train"] = _joint(logged, steps)
        columns["train"][np.isnan(columns["train"]) & (steps > 0)] = math.inf
    columns |= {"test": risk, "flops": columns["tokens"] * config["flops_per_token"]}
    # A run whose last loss is no number is lost, whatever it says.
    lost = status == "diverged" or not math.isfinite(risk[-1])
    versions = config.get("versions", {})
    return Curve(
        steps=steps,
        risk=risk,
        status="diverged" if lost else "unfinished" if status is None else "ok",
        diverged_at=float(steps[-1]) if lost else None,
        label=label_of(settings),
        dimension=float(config["parameters"]),
        batch_size=settings.batch_size,
        columns=columns,
        provenance={
            "hidim": versions.get("hidim"),
            "torch": versions.get("torch"),
            "engine": "train",
            "settings": settings.to_dict(),
            "seed": settings.seed,
            "text": dict(config.get("text", {})),
            "flops_per_token": config["flops_per_token"],
            **({} if len(every) == len(rows) else {"train": logged}),
        },
    )


def label_of(settings: Settings, others: Sequence[str] = (), *, tuned: Collection[str] = ()) -> str:
    """The optimizer with its options, its schedule unless constant, and `others` of its settings.

    Of the options in `tuned` the name alone is said: runs of several values are one method.

    >>> label_of(Settings(optimizer="sgd", options={"momentum": 0.5}, schedule="wsd"), ["width"])
    'sgd momentum=0.5 wsd width=64'
    """
    options = "".join(
        f" {key}" if key in tuned else f" {key}={_short(value)}"
        for key, value in settings.options.items()
    )
    schedule = "" if settings.schedule == "constant" else f" {settings.schedule}"
    rest = "".join(f" {name}={_short(getattr(settings, name))}" for name in others)
    return f"{settings.optimizer}{options}{schedule}{rest}"


def _joint(logged: Mapping[str, Any], steps: np.ndarray) -> np.ndarray:
    """Mean training loss since the evaluation before, of means over shorter stretches."""
    ends = np.array(logged["steps"], dtype=np.float64)
    lengths = np.diff(ends, prepend=0.0)
    total = np.where(lengths > 0, np.asarray(logged["loss"]) * lengths, 0.0)
    sums, places = np.cumsum(total), np.searchsorted(ends, steps)
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.diff(sums[places], prepend=0.0) / np.diff(ends[places], prepend=0.0)
    return np.asarray(means)


def _column(rows: Rows, key: str) -> np.ndarray:
    """One number per row, NaN for null."""
    values = (row.get(key) for row in rows)
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
