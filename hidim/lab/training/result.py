"""How did a run end, and when was it looked at?"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from hidim.support.results import Saved, refusing


@dataclass(frozen=True, eq=False)
class Result(Saved, format="hidim-lab-result/1"):
    """How a run ended.

    Attributes:
        status: "ok"; "diverged", given up because the loss was no number or 1000 times that of
            guessing; or "stopped" by a signal, and saved.
        step: optimizer steps made; `tokens` trained on.
        train_loss: mean over the last stretch of steps, nats per token.
        validation_loss: at the last evaluation, nats per token.
        seconds: of training, evaluations and saving left out.
        parameters: size of the model; `flops_per_token` its cost.
        signal: number of the signal that stopped it, or None.
    """

    status: str
    step: int
    tokens: int
    train_loss: float | None
    validation_loss: float | None
    seconds: float
    parameters: int
    flops_per_token: int
    signal: int | None = None

    @property
    def tokens_per_second(self) -> float:
        """Training speed."""
        return self.tokens / self.seconds if self.seconds > 0 else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain data, the speed among it."""
        return {**asdict(self), "tokens_per_second": self.tokens_per_second}


def evaluation_steps(steps: int, growth: float = 1.1) -> list[int]:
    """0, the distinct integers just above growth^k, and the last step.

    >>> evaluation_steps(12, growth=1.5)
    [0, 1, 2, 3, 4, 6, 8, 12]
    """
    count = int(math.log(max(steps, 1)) / math.log(growth)) + 1
    marks = {math.ceil(growth**k - 1e-9) for k in range(count + 1)}
    return sorted({0, steps, *(mark for mark in marks if mark <= steps)})


_POINTS = 9  # with step 0 ten: some 4 % of a run of 300 steps
_DECADES = 2.0  # before the end, where curves are compared


def few_evaluations(steps: int) -> list[int]:
    """Step 0, and up to nine steps, equal factors apart, over the last two decades of the run.

    >>> few_evaluations(300)
    [0, 3, 5, 9, 17, 30, 53, 95, 169, 300]
    """
    factors = (10 ** (-_DECADES * k / (_POINTS - 1)) for k in range(_POINTS))
    return sorted({0, *(round(steps * factor) for factor in factors)})


def from_record(record: dict[str, Any]) -> Result:
    """The result that a `result.json` holds."""
    with refusing("the result of the run"):
        return Result(**{key: value for key, value in record.items() if key != "tokens_per_second"})
