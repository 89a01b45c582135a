"""What does a token cost a model of any size, where flops were counted exactly?

Attention and logits grow slower than 6 x parameters, so that their share falls with size:

    flops per token = a N (1 + (N / M)^-q)^s,    a = 6,  s = 1 or -1

M and q by least squares on the ratio to 6 N, and s by its side of 1: parameters counted with
embeddings that multiply nothing cost less than 6. A power of the size alone would cost less than
6 N beyond the largest runs, which is impossible. Where the ratio lies on both sides of 1 its mean
counts. Limits: shapes that change along the ladder otherwise than by a power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.sizes.size_table import FLOPS_PER_TOKEN
from hidim.support.checks import finite, positive

_CLOSE = 1e-6  # of a ratio to one, which is none
_SLOPES = (0.01, 0.99)  # powers by which the share of attention and logits may fall; the cost grows


@dataclass(frozen=True)
class Cost:
    """Training flops per token, `each` N (1 + (N / middle)^-fall)^side.

    Attributes:
        each: per parameter of a large model.
        middle: size at which the rest costs as much.
        fall: power of the size by which its share falls; 0 where there is none.
        side: 1 where the rest adds to the cost, -1 where parameters cost less.

    >>> Cost()(1e9)
    6000000000.0
    """

    each: float = FLOPS_PER_TOKEN
    middle: float = 1.0
    fall: float = 0.0
    side: float = 1.0

    @classmethod
    def of(cls, params: np.ndarray, per_token: np.ndarray) -> Cost:
        """The cost behind flops per token at some sizes, each (n,)."""
        ratio = per_token / (FLOPS_PER_TOKEN * params)
        side = 1.0 if ratio.min() > 1 else -1.0
        rest = ratio**side - 1
        if rest.min() <= _CLOSE or np.ptp(np.log(params)) == 0:
            return cls(FLOPS_PER_TOKEN * float(np.exp(np.mean(np.log(ratio)))))
        slope, level = np.polyfit(np.log(params), np.log(rest), 1)
        fall = min(max(-float(slope), _SLOPES[0]), _SLOPES[1])
        level = float(np.mean(np.log(rest) + fall * np.log(params)))
        return cls(FLOPS_PER_TOKEN, math.exp(level / fall), fall, side)

    def __call__(self, params: Any) -> Any:
        """Flops per token at sizes, a number or (n,)."""
        if not self.fall:
            return self.each * params
        return self.each * params * (1 + (params / self.middle) ** -self.fall) ** self.side

    def power(self, log_params: float) -> float:
        """Slope of log flops per token in log parameters."""
        if not self.fall:
            return 1.0
        share = 1 / (1 + math.exp(min(self.fall * (log_params - math.log(self.middle)), 600.0)))
        return 1.0 - self.side * self.fall * share

    def said(self) -> str:
        """What a flop counts, in words."""
        if not self.fall:
            exact = "" if self.each == FLOPS_PER_TOKEN else " (exact, their mean)"
            return f"{self.each:.4g} x parameters x tokens{exact}"
        sign = "" if self.side > 0 else "^-1"
        return (
            f"{self.each:.4g} x parameters x tokens x (1 + (parameters / {self.middle:.4g})"
            f"^-{self.fall:.3g}){sign} (exact, with attention and logits)"
        )

    def to_list(self) -> list[float]:
        """Plain data, from which `from_list` makes the same cost."""
        return [self.each, self.middle, self.fall, self.side]

    @classmethod
    def from_list(cls, data: Any) -> Cost:
        """The cost behind `to_list`.

        Raises:
            ValueError: no such four numbers.
        """
        if isinstance(data, list) and data == [FLOPS_PER_TOKEN, 1.0]:
            return cls()  # of files written before
        if not isinstance(data, list) or len(data) != 4:
            raise ValueError(f"`cost` must be four numbers, got {data!r}: fit the law again.")
        each, middle, fall, side = data
        fall = finite("cost", fall)
        if fall < 0 or finite("cost", side) not in (1.0, -1.0):
            raise ValueError(f"`cost` must be falling, on one side of 6 N, got {data!r}.")
        return cls(positive("cost", each), positive("cost", middle), fall, float(side))


SIX = Cost()
