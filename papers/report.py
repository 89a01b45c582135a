"""What a script of this folder hands over, and how it becomes a section of docs/papers.md.

A script holds TITLE, SOURCE, `measure() -> dict` of plain numbers, and below it `report(found) ->
Section`. Only `measure` is slow; what it found is kept in .cache/papers under a name that depends
on the text above `report` and on the library's version, so a second run only draws.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import hidim
from hidim.cli.output import plain
from hidim.support.files import write_text, write_with

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img" / "papers"
CACHE = ROOT / ".cache" / "papers"


@dataclass
class Section:
    """One section of the page.

    Attributes:
        text: markdown: what was asked, expected beside measured, what does not agree.
        figures: file stem -> (alternative text, function that draws on a matplotlib Figure).
    """

    text: str
    figures: Mapping[str, tuple[str, Callable[[Any], None]]] = field(default_factory=dict)


def found_by(script: ModuleType, *, fresh: bool = False) -> dict[str, Any]:
    """What the script measures, from the cache if nothing it depends on has changed."""
    # What stands above `report` decides what is measured; below it, only how it is shown.
    text = inspect.getsource(script).split("\ndef report")[0] + hidim.__version__
    name = script.__name__.rsplit(".", 1)[-1]
    file = CACHE / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.json"
    if file.is_file() and not fresh:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    found = plain(script.measure())
    CACHE.mkdir(parents=True, exist_ok=True)
    for stale in CACHE.glob(f"{name}-*.json"):
        stale.unlink()
    write_text(file, json.dumps(found))
    return dict(found)


def section_of(script: ModuleType, found: dict[str, Any]) -> str:
    """The section as markdown, its figures drawn into docs/img/papers."""
    from matplotlib.figure import Figure

    section = script.report(found)
    IMAGES.mkdir(parents=True, exist_ok=True)
    pictures = []
    for stem, (words, draw) in section.figures.items():
        figure = Figure(figsize=(8.0, 3.4), layout="constrained")
        draw(figure)
        target = IMAGES / f"{stem}.png"
        write_with(target, lambda stream, f=figure: f.savefig(stream, format="png", dpi=110))
        pictures.append(f"![{words}](img/papers/{stem}.png)")
    parts = [f"## {script.TITLE}", f"*{script.SOURCE}*", section.text.strip(), *pictures]
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table, numbers as given."""
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)
