"""Which text is there to train on, and which part of it is held out?

A source is named in one word: `stdlib` (the default, nothing to download), `package:NAME`, a file,
a folder, or `hub:NAME[:CONFIG[:SPLIT]]`. Documents that are equal count once, and whole documents
go to one side of the split, chosen by a hash of their content: no text is on both sides, and
neither the order of a folder nor the day decides.
Limits: the text must fit in memory; `max_mb` takes the first part of a stream.
"""

from __future__ import annotations

import hashlib
import os
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hidim.support.checks import positive
from hidim.support.extras import require

HELD_OUT = 0.05  # share of the bytes that is never trained on
_TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py", ".tex", ".csv", ".html", ".xml", ".log")
# Of the standard library: not its tests, whose presence depends on who packaged Python, and
# neither the tables of encodings nor bundled wheels, which nobody wrote.
_NO_LIBRARY = {"test", "tests", "idle_test", "encodings", "site-packages", "dist-packages"}
_LICENCES = {
    "stdlib": "the Python standard library's own source, PSF licence",
    "package": "the source of an installed package, under that package's licence",
    "hub": "see the data set's own page",
    "local": "the user's own text",
}


@dataclass(frozen=True)
class Text:
    """Documents, split.

    Attributes:
        train: documents to train on, in a fixed shuffled order.
        validation: documents held out, no content of which is in `train`.
        source: the name it was asked for by.
        licence: what is known about it.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    licence: str

    @property
    def megabytes(self) -> float:
        """Size of both parts in UTF-8, in millions of bytes."""
        parts = (*self.train, *self.validation)
        return sum(len(document.encode("utf-8", "replace")) for document in parts) / 1e6


def read_text(source: str = "stdlib", *, max_mb: float | None = None) -> Text:
    """The documents of a source, split into training and validation.

    Args:
        source: "stdlib", "package:NAME", "hub:NAME[:CONFIG[:SPLIT]]", a file or a folder.
        max_mb: stop after this many millions of bytes; a hub set needs it.

    Raises:
        ValueError: no such file, package or data set, or a source without text.
        MissingExtra: a hub set without the `datasets` package.
    """
    limit = None if max_mb is None else positive("max_mb", max_mb)
    kind = _kind(source)
    train, validation = split(_capped(_documents(source, kind, limit), limit), source)
    return Text(train, validation, source, _LICENCES[kind])


def split(documents: Iterable[str], source: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Training and validation documents, in the order of the hash of their content.

    A single document is cut at the end of a line instead, its last part held out.

    Raises:
        ValueError: there is no text.

    >>> train, validation = split(["one\\n", "two\\n", "one\\n"])
    >>> sorted(train + validation)
    ['one\\n', 'two\\n']
    """
    # Hash order is a shuffle that everyone repeats; equal documents fall together.
    unique = {_digest(text): text for text in documents if text.strip()}
    ordered = [unique[key] for key in sorted(unique)]
    if not ordered:
        raise ValueError(f"`data` {source!r} has no text: nothing to train on.")
    if len(ordered) == 1:
        return _cut(ordered[0], source)
    total = sum(map(len, ordered))
    taken, count = 0, 0
    while count < len(ordered) - 1 and taken < HELD_OUT * total:
        # A held-out document must not swallow the training text.
        if len(ordered[count]) > 0.5 * total:
            ordered.append(ordered.pop(count))
            continue
        taken += len(ordered[count])
        count += 1
    return tuple(ordered[count:]), tuple(ordered[:count])


def _cut(text: str, source: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    place = int(len(text) * (1 - HELD_OUT))
    if place == 0:
        raise ValueError(f"`data` {source!r} is {len(text)} character long: give more text.")
    end_of_line = text.find("\n", place)
    if 0 <= end_of_line < len(text) - 1:
        place = end_of_line + 1
    return (text[:place],), (text[place:],)


def _kind(source: str) -> str:
    head = source.partition(":")[0]
    return head if source == "stdlib" or head in ("package", "hub") else "local"


def _documents(source: str, kind: str, limit: float | None) -> Iterator[str]:
    if kind == "stdlib":
        return _python_files(Path(sysconfig.get_paths()["stdlib"]), _NO_LIBRARY)
    if kind == "package":
        return _python_files(_package_folder(source.partition(":")[2]), set())
    if kind == "hub":
        return _hub(source.partition(":")[2], limit)
    return _local(Path(source))


def _package_folder(name: str) -> Path:
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"`data` names the package {name!r}, which is not installed here. Install it, or use "
            "stdlib, which is always there."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _python_files(folder: Path, without: set[str]) -> Iterator[str]:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - without)
        for name in sorted(files):
            if name.endswith(".py"):
                yield (Path(here) / name).read_text(encoding="utf-8", errors="replace")


def _local(path: Path) -> Iterator[str]:
    if path.is_file():
        yield _utf8(path)
    elif path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.is_file()]
        texts = [file for file in files if file.suffix.lower() in _TEXT_SUFFIXES]
        if files and not texts:
            read = ", ".join(_TEXT_SUFFIXES)
            raise ValueError(
                f"`data` {str(path)!r} has no text: of a folder the files {read} are read. Rows "
                f"of a data set (.jsonl, .parquet): hub:{path} --max-mb N."
            )
        for file in texts:
            yield _utf8(file)
    else:
        raise ValueError(
            f"`data` {str(path)!r} is neither a file nor a folder. Other sources: stdlib, "
            "package:NAME, hub:NAME[:CONFIG[:SPLIT]]."
        )


def _utf8(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(
            f"`data` {str(path)!r} is not UTF-8 text. Convert it (iconv -t utf-8), or take it out."
        ) from None


def _hub(name: str, limit: float | None) -> Iterator[str]:
    """Documents of a hub set, or of a local folder in the same format, as they stream in."""
    if limit is None:
        raise ValueError(
            f"`data` hub:{name} needs `max_mb` (--max-mb), how much of the stream to take."
        )
    datasets: Any = require("datasets", "lab")
    path, _, rest = name.partition(":")
    config, _, part = rest.partition(":")
    try:
        stream = datasets.load_dataset(path, config or None, split=part or "train", streaming=True)
        for row in stream:
            if not isinstance(row.get("text"), str):
                raise ValueError(
                    f"`data` hub:{name} has no column `text`; it has {', '.join(row)}."
                )
            yield row["text"]
    except (OSError, datasets.exceptions.DatasetsError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"`data` hub:{name} cannot be read: {first}") from None


def _capped(documents: Iterator[str], limit: float | None) -> Iterator[str]:
    """Whole documents up to `limit` MB, the last one cut there."""
    left = None if limit is None else int(limit * 1e6)
    for text in documents:
        if left is None:
            yield text
            continue
        size = len(text.encode("utf-8", "replace"))
        if size >= left:
            yield text.encode("utf-8", "replace")[:left].decode("utf-8", "ignore")
            return
        left -= size
        yield text


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
