"""Show doctests as code on the API page: fences every run of `>>>` lines in a docstring.

An extension of griffe, which reads the docstrings for `make docs`. Left alone, Markdown takes `>>>`
for nested quotations and `[0.5]` below it for a link.
"""

from __future__ import annotations

from typing import Any

import griffe


class FenceDoctests(griffe.Extension):
    """Called by griffe for every object that it reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = fence(obj.docstring.value)


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
