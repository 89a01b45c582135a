"""Which text is there to train on?

A source is named in one word: `stdlib` (the default, nothing to download), `package:NAME`, a file,
a folder, `-` (standard input) or a pipe, or `hub:NAME[:CONFIG[:SPLIT]]`. Of a folder the texts are
read, and the rows of its .jsonl files; what is not read is said. How a part is held out stands in
`splits.py`: neither the order of a folder nor the day decides.
Limits: the text must fit in memory; `max_mb` takes the first part of a stream.
"""

from __future__ import annotations

import json
import os
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hidim.lab.text.splits import divide
from hidim.lab.text.streams import is_stream, read_stream
from hidim.support.checks import positive
from hidim.support.extras import require

_TEXT_SUFFIXES = (".txt", ".md", ".rst", ".py", ".tex", ".csv", ".html", ".xml", ".log")
_ROWS = ".jsonl"
# Of the standard library: not its tests, whose presence depends on who packaged Python, and
# neither the tables of encodings nor bundled wheels, which nobody wrote.
_NO_LIBRARY = {"test", "tests", "idle_test", "encodings", "site-packages", "dist-packages"}
_NO_TEXT = {
    b"\x1f\x8b": "is compressed (gzip): unpack it (gunzip), or take it out",
    b"PK\x03\x04": "is an archive or a workbook (zip): unpack it or save it as text",
    b"PAR1": "is a Parquet table: its column `text` is read by hub:{folder} --max-mb N",
    b"\xff\xfe": "is UTF-16. Convert it (iconv -f utf-16 -t utf-8), or take it out",
    b"\xfe\xff": "is UTF-16. Convert it (iconv -f utf-16 -t utf-8), or take it out",
    b"%PDF": "is a PDF: save it as text",
}  # by the first bytes of a file
Documents = Iterator[tuple[str, str]]  # text and file of each
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
        notes: what a reader of its numbers should know, a line each.
    """

    train: tuple[str, ...]
    validation: tuple[str, ...]
    source: str
    licence: str
    notes: tuple[str, ...] = ()

    @property
    def megabytes(self) -> float:
        """Size of both parts in UTF-8, in millions of bytes."""
        parts = (*self.train, *self.validation)
        return sum(len(document.encode("utf-8", "replace")) for document in parts) / 1e6


def read_text(
    source: str = "stdlib",
    *,
    max_mb: float | None = None,
    split: str = "document",
    dedup: str = "document",
) -> Text:
    """The documents of a source, split into training and validation.

    Args:
        source: "stdlib", "package:NAME", "hub:NAME[:CONFIG[:SPLIT]]", a file, a folder or "-".
        max_mb: stop after this many millions of bytes; a hub set needs it.
        split: what is held out: "document", "file" or "time", see `splits.py`.
        dedup: what counts twice: "document", "near" or "line".

    Raises:
        ValueError: no such file, package or data set, or a source without text.
        MissingExtra: a hub set without the `datasets` package.
    """
    limit = None if max_mb is None else positive("max_mb", max_mb)
    kind = _kind(source)
    if kind == "hub" and split == "file":
        raise ValueError(f"`split` file: {source} does not say of which file a row is.")
    notes: list[str] = []
    documents = _capped(_documents(source, kind, limit, notes), limit)
    train, validation = divide(documents, split=split, dedup=dedup, source=source)
    return Text(train, validation, source, _LICENCES[kind], tuple(notes))


def split(documents: Iterable[str], source: str = "") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Training and validation documents, in the order of the hash of their content.

    A single document is cut at the end of a line instead, its last part held out.

    Raises:
        ValueError: there is no text.

    >>> train, validation = split(["one\\n", "two\\n", "one\\n"])
    >>> sorted(train + validation)
    ['one\\n', 'two\\n']
    """
    return divide(((text, "") for text in documents), source=source)


def _kind(source: str) -> str:
    head = source.partition(":")[0]
    return head if source == "stdlib" or head in ("package", "hub") else "local"


def _documents(source: str, kind: str, limit: float | None, notes: list[str]) -> Documents:
    if kind == "stdlib":
        return _python_files(Path(sysconfig.get_paths()["stdlib"]), _NO_LIBRARY)
    if kind == "package":
        return _python_files(_package_folder(source.partition(":")[2]), set())
    if kind == "hub":
        return ((text, "") for text in _hub(source.partition(":")[2], limit))
    if is_stream(source):
        return iter([(read_stream(source, limit), source)])
    return _local(Path(source), notes)


def _package_folder(name: str) -> Path:
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"`data` names the package {name!r}, which is not installed here. Install it, or use "
            "stdlib, which is always there."
        )
    return Path(next(iter(spec.submodule_search_locations)))


def _python_files(folder: Path, without: set[str]) -> Documents:
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(set(folders) - without)
        for name in sorted(files):
            if name.endswith(".py"):
                file = Path(here) / name
                yield file.read_text(encoding="utf-8", errors="replace"), str(file)


def _local(path: Path, notes: list[str]) -> Documents:
    if path.is_file():
        if path.suffix.lower() == _ROWS:
            notes.append(f"{str(path)!r} is read as it stands, marks of JSON and all; its rows: "
                         f"--data hub:{path.parent}, or a folder with it")  # fmt: skip
        yield _utf8(path), str(path)
    elif path.is_dir():
        files, runs = _files(path)
        if runs:
            notes.append(f"of {str(path)!r} the folders of runs are not read: {', '.join(runs)}")
        read = [file for file in files if file.suffix.lower() in (*_TEXT_SUFFIXES, _ROWS)]
        if files and not read:
            known = ", ".join((*_TEXT_SUFFIXES, _ROWS))
            raise ValueError(
                f"`data` {str(path)!r} has no text: of a folder the files {known} are read. A "
                f"data set in other files (.parquet, .gz): hub:{path} --max-mb N."
            )
        left = Counter(file.suffix.lower() or file.name for file in files if file not in read)
        if left:
            kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(left.items()))
            notes.append(f"of {str(path)!r} {len(read)} files are read; not read: {kinds}")
        for file in read:
            texts = _rows(file) if file.suffix.lower() == _ROWS else [_utf8(file)]
            yield from ((text, str(file)) for text in texts)
    else:
        raise ValueError(
            f"`data` {str(path)!r} is neither a file nor a folder. Other sources: stdlib, "
            "package:NAME, hub:NAME[:CONFIG[:SPLIT]], - for standard input."
        )


def _files(path: Path) -> tuple[list[Path], list[str]]:
    """The files below a folder, and the folders of runs and sweeps in it, which are no text."""
    found = [file for file in sorted(path.rglob("*")) if file.is_file()]
    marks = [file.parent for file in found if file.name in ("config.json", "sweep.json")]
    runs = {folder for folder in marks if (folder / "lock").exists()}
    top = sorted(run for run in runs if not runs & set(run.parents))
    shown = [str(run.relative_to(path)) for run in top[:3]] + ["..."] * (len(top) > 3)
    return [file for file in found if not runs & set(file.parents)], shown


def _rows(path: Path) -> Iterator[str]:
    """The column `text` of a file with one JSON object a line."""
    for number, line in enumerate(_utf8(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(
                f"line {number} of {str(path)!r} is no JSON object with a text under `text`. Mend "
                "it, or take the file out of the folder."
            ) from None
        yield text


def _utf8(path: Path) -> str:
    try:
        # Without the mark that some editors put in front, which nobody wrote.
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        with open(path, "rb") as file:
            start = file.read(4)
        what = next((told for mark, told in _NO_TEXT.items() if start.startswith(mark)), None)
        what = what or "is not UTF-8 text. Convert it (iconv -t utf-8), or take it out"
        raise ValueError(f"`data` {str(path)!r} {what.format(folder=path.parent)}.") from None


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


def _capped(documents: Documents, limit: float | None) -> Documents:
    """Whole documents up to `limit` MB, the last one cut there."""
    left = None if limit is None else int(limit * 1e6)
    for text, file in documents:
        if left is None:
            yield text, file
            continue
        size = len(text.encode("utf-8", "replace"))
        if size >= left:
            yield text.encode("utf-8", "replace")[:left].decode("utf-8", "ignore"), file
            return
        left -= size
        yield text, file
