"""Who else watches a run? TensorBoard and Weights & Biases, if asked for by name.

Under torchrun the first process alone speaks to them. A run that goes on adds to what it logged
before: TensorBoard reads all event files of a folder, and W&B knows the run by an id that is kept
in the run's folder, in `wandb-id`.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from hidim.lab.training.settings import Settings
from hidim.support.extras import require
from hidim.support.files import write_text

Logger = Callable[[dict[str, Any]], None]


@contextmanager
def open_loggers(
    tensorboard: str | None, wandb: str | None, settings: Settings, out: str | os.PathLike[str]
) -> Iterator[list[Logger]]:
    """Functions that take every new row of the metrics; closed at the end.

    Args:
        tensorboard: folder for its events, or None.
        wandb: project, or None; WANDB_MODE=offline needs no network.
        settings: shown with the run.
        out: the run's folder, its name there.

    Raises:
        MissingExtra: the package asked for is not installed.
        ValueError: W&B cannot be reached or has no key.
    """
    with ExitStack() as stack:
        loggers: list[Logger] = []
        first = os.environ.get("RANK", "0") == "0"
        if tensorboard and first:
            loggers.append(_to_tensorboard(tensorboard, stack))
        if wandb and first:
            loggers.append(_to_wandb(wandb, settings, Path(out), stack))
        yield loggers


def _to_tensorboard(folder: str, stack: ExitStack) -> Logger:
    require("tensorboard", "loggers")
    module: Any = require("torch.utils.tensorboard", "lab")
    writer = stack.enter_context(module.SummaryWriter(folder))

    def log(row: dict[str, Any]) -> None:
        for name, value in _measured(row).items():
            writer.add_scalar(name, value, row["step"])
        writer.flush()  # rows are rare, and a row that was measured is not logged again

    return log


def _to_wandb(project: str, settings: Settings, out: Path, stack: ExitStack) -> Logger:
    library: Any = require("wandb", "loggers")
    kept = out / "wandb-id"
    known = kept.read_text(encoding="utf-8").strip() if kept.exists() else None
    name = known or secrets.token_hex(4)
    try:
        run = library.init(
            project=project,
            name=str(out),
            id=name,
            resume="allow" if known else None,
            config=settings.to_dict(),
        )
    except library.Error as error:
        raise ValueError(
            f"Weights & Biases cannot start: {error} "
            "WANDB_MODE=offline needs neither key nor network."
        ) from None
    # W&B calls a run failed that did not leave with 0.
    stack.push(lambda kind, error, trace: run.finish(exit_code=0 if kind is None else 1))

    def log(row: dict[str, Any]) -> None:
        if not kept.exists():  # the folder is there, and this process's, from the first row on
            write_text(kept, name + "\n")
        run.log(_measured(row), step=row["step"])

    return log


def _measured(row: dict[str, Any]) -> dict[str, float]:
    numbers = {k: v for k, v in row.items() if k != "step" and isinstance(v, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
