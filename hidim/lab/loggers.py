"""Who else watches a run? TensorBoard and Weights & Biases, if asked for by name."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from hidim.lab.settings import Settings
from hidim.support.extras import require

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
    """
    with ExitStack() as stack:
        loggers: list[Logger] = []
        if tensorboard:
            require("tensorboard", "loggers")
            module: Any = require("torch.utils.tensorboard", "lab")
            writer = stack.enter_context(module.SummaryWriter(tensorboard))

            def to_tensorboard(row: dict[str, Any]) -> None:
                for name, value in _measured(row).items():
                    writer.add_scalar(name, value, row["step"])

            loggers.append(to_tensorboard)
        if wandb:
            library: Any = require("wandb", "loggers")
            run = library.init(project=wandb, name=str(out), config=settings.to_dict())
            stack.callback(run.finish)
            loggers.append(lambda row: run.log(_measured(row), step=row["step"]))
        yield loggers


def _measured(row: dict[str, Any]) -> dict[str, float]:
    numbers = {k: v for k, v in row.items() if k != "step" and isinstance(v, int | float)}
    return {name: value for name, value in numbers.items() if math.isfinite(value)}
