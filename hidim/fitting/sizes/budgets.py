"""What does a token cost a model of any size, where flops were counted exactly?

Along a ladder whose depth grows with its width w, N ~ w^3. Beside 6 x parameters attention costs as
w^2, and tables of embeddings and logits, which N may count and which may multiply nothing, as w:

    flops per token = 6 N (1 + a x + b x^2),    x = N^(-1/3)

with a and b, of either sign, by least squares of relative errors. A power of the size instead falls
below 6 N beyond the largest runs, which is impossible. Limits: ladders of other shapes are met to
6 %, and to 10 % at up to 55 times the largest (four of them, contexts 1,024 and 4,096).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hidim.fitting.sizes.size_table import FLOPS_PER_TOKEN
from hidim.support.checks import finite, positive

_THIRD = 1 / 3
_NOTHING = 1e-6  # of the cost, which is rounding
_MISSED = 0.1  # beyond which the cost of a large model is no 6 N
_LEAST = 0.5  # of the lowest fitted ratio to the cost of a large model, below which none falls
_FLATTEST = 0.05  # slope of log cost in log size


@dataclass(frozen=True)
class Cost:
    """Training flops per token, `each` N (1 + a x + b x^2) with x = N^(-1/3).

    Attributes:
        each: per parameter of a large model.
        attention: a.
        tables: b.
        least: of the bracket, whatever the size.

    >>> Cost()(1e9)
    6000000000.0
    """

    each: float = FLOPS_PER_TOKEN
    attention: float = 0.0
    tables: float = 0.0
    least: float = 0.0

    @classmethod
    def of(cls, params: np.ndarray, per_token: np.ndarray) -> Cost:
        """The cost behind flops per token at some sizes, each (n,)."""
        unit = float(np.exp(np.mean(np.log(params))))
        x = (params / unit) ** -_THIRD
        ratio = per_token / (FLOPS_PER_TOKEN * params)
        terms = np.stack([np.ones_like(x), x, x**2], axis=1) / ratio[:, None]  # (n, 3)
        found = np.append(1.0, np.linalg.lstsq(terms[:, 1:], 1 - terms[:, 0], rcond=None)[0])
        if np.max(np.abs(terms @ found - 1)) > _MISSED:
            level = 1 / float(np.mean(1 / ratio))
            free = np.linalg.lstsq(terms, np.ones_like(x), rcond=None)[0]
            found = free if free[0] > 0 else np.array([level, 0.0, 0.0])
        if np.max(np.abs(terms[:, 1:] @ found[1:])) < _NOTHING:
            found[1:] = 0.0
        each, a, b = float(found[0]), float(found[1] / found[0]), float(found[2] / found[0])
        least = _LEAST * float(ratio.min()) / each
        return cls(FLOPS_PER_TOKEN * each, a * unit**_THIRD, b * unit ** (2 * _THIRD), least)

    def __call__(self, params: Any) -> Any:
        """Flops per token at sizes, a number or (n,)."""
        if self.plain:
            return self.each * params
        x = params**-_THIRD
        bracket = np.maximum(1 + self.attention * x + self.tables * x**2, self.least)
        found = self.each * params * bracket
        return found if np.ndim(params) else float(found)

    @property
    def plain(self) -> bool:
        """Whether a parameter costs the same at every size."""
        return not (self.attention or self.tables)

    def power(self, params: float) -> float:
        """Slope of log flops per token in log parameters."""
        x = params**-_THIRD
        bracket = 1 + self.attention * x + self.tables * x**2
        if self.plain or bracket <= self.least:
            return 1.0
        slope = (self.attention * x + 2 * self.tables * x**2) / (3 * bracket)
        return max(1.0 - slope, _FLATTEST)

    def said(self) -> str:
        """What a flop counts, in words."""
        text = f"{self.each:.4g} x parameters x tokens"
        if self.plain:
            return text
        terms = "".join(
            f" {'+' if value > 0 else '-'} {abs(value):.4g} N^-{power}/3"
            for value, power in ((self.attention, 1), (self.tables, 2))
        )
        return f"{text} x (1{terms}), exact for transformers like these"

    def to_list(self) -> list[float]:
        """Plain data, from which `from_list` makes the same cost."""
        return [self.each, self.attention, self.tables, self.least]

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
        each, attention, tables, least = (finite("cost", value) for value in data)
        if least < 0 or (least == 0 and (attention < 0 or tables < 0)):
            raise ValueError(f"`cost` must be positive at every size, got {data!r}.")
        return cls(positive("cost", each), attention, tables, least)


SIX = Cost()
