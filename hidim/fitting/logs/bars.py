"""At which step was a line printed that has none, beside a progress bar that is drawn seldom?

Lines printed every L steps stand at L, 2L, 3L, ..., after the bar drawn last and before the
next one, and a run of N steps has N // L of them: as a rule one whole L agrees with all that.
Limits: lines at even distance, from the first step of the run or of its resumption.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

_SILENT = (
    "its lines have no step of their own, and the progress bar beside them is drawn more seldom"
)
_FEW, _SELDOM = 2, 0.1  # lines that have the bar of the one before, and their share
# Of tqdm: 100/10000 [00:12<19:48, 1.2k/10k [00:12; of Levanter: 1.2kit/10kit rate.
_BAR = re.compile(r"([\d.]+)(k?)(?:it)?/([\d.]+)(k?)(?:it (?=rate)| \[[\d:?])")


@dataclass(frozen=True)
class Bar:
    """A progress bar as it stands in a line.

    Attributes:
        step: of `total`.
        total: steps of the run, or of what else the bar counts.
        end: where it ends in the line.
    """

    step: int
    total: int
    end: int


def bar_of(line: str) -> Bar | None:
    """The bar in a line.

    >>> bar_of("  1%|#   | 1.2k/24.0k [00:12<19:48,  8.33it/s]").step
    1200
    """
    found = _BAR.search(line)
    if found is None:
        return None
    step, total = (round(float(found[i]) * (1e3 if found[i + 1] else 1)) for i in (1, 3))
    return Bar(step, total, found.end(1))


@dataclass
class Lines:
    """Lines and bars of a log in the order in which they were printed.

    Attributes:
        told: a row, or a bar.
    """

    told: list[dict[str, Any] | Bar] = field(default_factory=list)

    def counted(self, loss: str) -> tuple[str, str]:
        """Count the steps of rows where several of one bar hold the cell `loss`: what to note of
        it, or why they have no step."""
        rows = [one for one in self.told if isinstance(one, dict) and loss in one]
        same = sum(a["step"] == b["step"] for a, b in pairwise(rows))
        if not same or not any(isinstance(one, Bar) for one in self.told):
            return "", ""
        low, high, ended, again = self._between(loss)
        found = _distances(low, high, ended)
        if len(found) == 1:
            self._count(loss, *found[0])
            return f"steps by the progress bar, with which a line every {found[0][0]} agrees", ""
        if same <= max(_FEW, _SELDOM * len(rows)):
            return "", ""
        for one in self.told:
            if isinstance(one, dict):
                one["step"] = None
        if again:
            return "", f"{_SILENT}, of a resumed run: write a column of steps"
        return "", f"{_SILENT}: say every how many steps one was printed, --step-scale N"

    def _count(self, loss: str, each: int, first: int, extra: int) -> None:
        """Steps of all rows, where those with a loss stand every `each` after the `first`."""
        seen, at = 0, first
        for one in self.told:
            if isinstance(one, dict):
                if loss in one:
                    seen += 1
                    at = first + each * (seen - extra) if seen > extra else first + 1
                one["step"] = str(at)

    def _between(self, loss: str) -> tuple[list[int], list[int], bool, bool]:
        """The bars before and after each row with a loss, whether the run came to its end, and
        whether the bar was drawn again after rows where, or before where, it had been."""
        # Bars of data come before the first loss, those of validation are shorter.
        first = next(i for i, one in enumerate(self.told) if isinstance(one, dict) and loss in one)
        before = [one.total for one in self.told[:first] if isinstance(one, Bar)]
        later = [one.total for one in self.told[first:] if isinstance(one, Bar)]
        total = max(before[-1:] + later)
        low: list[int] = []
        high: list[int] = []
        at, again = 0, False
        for one in self.told:
            if isinstance(one, Bar) and one.total == total:
                again |= one.step < at or (one.step == at and len(low) > len(high) + 1)
                at = one.step
                high += [at] * (len(low) - len(high))
            elif isinstance(one, dict) and loss in one:
                low.append(at)
        return low, high + [total] * (len(low) - len(high)), at == total, again


def _distances(low: list[int], high: list[int], ended: bool) -> list[tuple[int, int, int]]:
    """Distances of lines that agree with the bars around them, with the step before the first, and
    how many come before it: some programs print step 1, too."""
    found = []
    for skip in (0, 1):
        before, after = np.array(low[skip:]), np.array(high[skip:])
        number = np.arange(1, len(before) + 1)
        for each in range(1, int(after[-1]) // max(len(before) - 1, 1) + 1):
            start = low[0] // each * each
            step = start + each * number
            # A run that came to its end has printed a line wherever one was due.
            whole = not ended or (after[-1] - start) // each == len(before)
            if np.all((before <= step) & (step <= after)) and whole:
                found.append((each, start, skip))
        if found:
            break
    return found
