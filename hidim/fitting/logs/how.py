"""How is a log to be read?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hidim.algorithms.schedules import Schedule
from hidim.algorithms.words import Words, read_words
from hidim.fitting.logs.averages import read_average
from hidim.fitting.logs.repairs import RESUMED
from hidim.fitting.logs.roles import NONE, ROLES
from hidim.support.checks import choice, non_negative, positive


@dataclass(frozen=True)
class How:
    """How logs are to be read; the arguments of `read_run`."""

    columns: Mapping[str, str] = field(default_factory=dict)
    warmup_steps: float = 0.0
    loss: str = "needed"
    lr: float | None = None
    schedule: str | Schedule | None = None
    resumed: str = "refuse"
    drop_nan: bool = False
    averaged: str = "auto"
    step_scale: float | None = None  # 1, but rows are no steps of themselves
    loss_scale: float = 1.0
    vocabulary: float | None = None
    logged_first: bool = False  # a logged rate that is not the schedule's is kept, not refused

    def __post_init__(self) -> None:
        choice("loss", self.loss, ("needed", "optional"))
        choice("resumed", self.resumed, RESUMED)
        positive("step_scale", self.scale)
        positive("loss_scale", self.loss_scale)
        non_negative("warmup_steps", self.warmup_steps)
        read_average(self.averaged, known=False)
        if self.schedule is not None and not callable(self.schedule):
            read_words(self.schedule)  # refuses what is neither words nor a schedule
        for role in self.columns:
            choice("columns", role, ROLES)
        used = [name for name in self.columns.values() if name != NONE]
        if len(set(used)) < len(used):
            raise ValueError(f"`columns` gives one column two roles: {dict(self.columns)}.")
        if self.lr is not None and self.schedule is not None:
            raise ValueError("`lr` and `schedule` both say the learning rate: give one.")

    @property
    def scale(self) -> float:
        """Optimizer steps per step of the log."""
        return 1.0 if self.step_scale is None else self.step_scale

    @property
    def words(self) -> Words | None:
        """The schedule, as words or as an object of the library."""
        if self.schedule is None:
            return None
        if isinstance(self.schedule, str):
            return read_words(self.schedule)
        return Words(repr(self.schedule), self.schedule, None, None)
