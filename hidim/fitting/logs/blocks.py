"""Which lines of a printed log are one, as a record in braces is, or a block whose step comes last?

    loss: 3.41                {'loss': 3.41,              - loss: 3.41
    lr: 3.0e-04                'lr': 0.0003,                lr: 3.0e-04
    step: 400                  'step': 400}                 step: 400
    ----------

A line without a step else belongs to the step before it.
"""

from __future__ import annotations

import re
from itertools import pairwise

from hidim.fitting.logs.pairs import pairs_of, role_of

_PARTED = re.compile(r"\s*(?:[-=*_#~]{3,}.*)?")  # a line between blocks
_WORDS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789[{")
_SPAN = 40  # lines of a record
_BLOCKS = 200  # looked at


def whole_records(lines: list[str]) -> list[str]:
    """Lines, of which those of a record in braces are one, and those of a block whose step comes
    last, after what it is the step of."""
    whole: list[str] = []
    at = 0
    while at < len(lines):
        end = _closed(lines, at)
        whole.append(" ".join(lines[at:end]))
        at = end
    blocks: list[list[str]] = [[]]
    for line in whole:
        if line[:1] not in _WORDS and _PARTED.fullmatch(line):
            blocks.append([])
        elif re.match(r"- \w", line):  # an entry of a list
            blocks.append([line])
        else:
            blocks[-1].append(line)
    told = [block for block in blocks if len(block) > 1][:_BLOCKS]
    late = sum(map(_step_last, told))
    if late < 2 or late < 0.8 * len(told):
        return _in_turn(whole)
    out: list[str] = []
    for block in blocks:
        out += [" | ".join(block)] if _step_last(block) else block
    return out


def _closed(lines: list[str], at: int) -> int:
    """The line after a record that begins on this one, which is the next where none does."""
    deep = 0
    for end in range(at, min(at + _SPAN, len(lines))):
        deep += lines[end].count("{") - lines[end].count("}")
        if deep <= 0:
            steps = [line for line in lines[at : end + 1] if end > at and _steps(line)]
            return end + 1 if len(steps) < 2 else at + 1
    return at + 1


def _steps(line: str) -> bool:
    return any(role_of(name) == "step" for name, _ in pairs_of(line))


def _step_last(block: list[str]) -> bool:
    """Whether the first line of a block with a step comes after one with a loss."""
    if not 1 < len(block) <= _SPAN:
        return False
    roles = [{role_of(name) for name, _ in pairs_of(line)} for line in block]
    step = next((i for i, found in enumerate(roles) if "step" in found), 0)
    return any("loss" in found for found in roles[:step])


def _in_turn(lines: list[str]) -> list[str]:
    """Lines, joined to the one with their step where it comes last: where the first line that says
    something has no step, the last one has, and the same is said before each."""
    said: list[tuple[int, frozenset[str]]] = []  # number of the line, what it names
    for number, line in enumerate(lines):
        names = frozenset(name for name, _ in pairs_of(line) if role_of(name))
        if names:
            said.append((number, names))
        if said and _has_step(said[0][1]):
            return lines
    steps = [place for place, (_, names) in enumerate(said) if _has_step(names)]
    if len(steps) < 2 or steps != list(range(steps[0], len(said), steps[0] + 1)):
        return lines
    groups = [said[place - steps[0] : place + 1] for place in steps]
    if len({tuple(names for _, names in group) for group in groups}) > 1:
        return lines
    ends = [group[-1][0] + 1 for group in groups]
    return [" | ".join(lines[a:b]) for a, b in pairwise([0, *ends])]


def _has_step(names: frozenset[str]) -> bool:
    return any(role_of(name) == "step" for name in names)
