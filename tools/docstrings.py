"""Docstrings as the API page wants them: doctests fenced, arguments one by one.

An extension of griffe, which reads the docstrings for `make docs`. Left alone, Markdown takes `>>>`
for nested quotations and `[0.5]` below it for a link; and griffe, for which an argument has one
name, warns of `betas, eps: as in torch.optim.AdamW`, which stops a strict build.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

NAMES = re.compile(r"( +)((?:\*{0,2}\w+,\s+)+\*{0,2}\w+):\s")


class Readable(griffe.Extension):
    """Called by griffe for every object that it reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = fence(one_by_one(obj.docstring.value))


def fence(text: str) -> str:
    """Put ``` around each doctest, from its first `>>>` to the blank line or dedent after it."""
    lines: list[str] = []
    indent: str | None = None
    for line in text.split("\n"):
        stripped = line.lstrip()
        if indent is not None and not (stripped and line.startswith(indent)):
            lines.append(f"{indent}```")
            indent = None
        if indent is None and stripped.startswith(">>>"):
            indent = line[: len(line) - len(stripped)]
            lines.append(f"{indent}```python")
        lines.append(line)
    if indent is not None:
        lines.append(f"{indent}```")
    return "\n".join(lines)


def one_by_one(text: str) -> str:
    """Write `a, b: what` under Args and Attributes as `a: what` and `b: what`."""
    sections = re.split(r"^(?=\S)", text, flags=re.MULTILINE)
    return "".join(
        _spread(section) if re.match(r"(Args|Attributes):", section) else section
        for section in sections
    )


def _spread(section: str) -> str:
    head, *items = re.split(r"\n(?=    \S)", section)
    lines = [head]
    for item in items:
        found = NAMES.match(item)
        if found is None:
            lines.append(item)
            continue
        indent, what = found.group(1), item[found.end() :]
        lines += [f"{indent}{name}: {what}" for name in re.split(r",\s+", found.group(2))]
    return "\n".join(lines)
