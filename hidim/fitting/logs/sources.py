"""Which text stands in a file, whether it is compressed and however it is encoded?

gzip, bzip2, xz and zstd are undone, UTF-16 and byte-order marks read, nothing else is changed. A
plain table of numbers is never read whole for this: `head` is enough to tell what a file is.
Limits: zstd needs the package zstandard before Python 3.14; colours of a terminal are left in.
"""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from hidim.support.extras import require
from hidim.support.inputs import read_bytes

_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
}
_PACKED = (".gz", ".zst", ".zstd", ".gzip", ".bz2", ".xz")
_TABLE = "export the rows as CSV with columns step, lr and loss"
# What else begins so, and what to do with it.
_OTHERS = {
    b"PK\x03\x04": f"a ZIP archive or a workbook of a spreadsheet: unpack it, or {_TABLE}",
    b"\xd0\xcf\x11\xe0": f"a workbook of a spreadsheet: {_TABLE}",
    b"\x93NUMPY": f"an array of NumPy: {_TABLE}",
    b"\x80\x04": f"a pickle, which is not read: {_TABLE}",
    b"SQLite format 3": f"a database of SQLite: {_TABLE}",
    b"\x89HDF": f"an HDF5 file: {_TABLE}",
    b"ARROW1": "an Arrow or Feather file: save it as Parquet",
    b"FEA1": "a Feather file: save it as Parquet",
    b"%PDF": f"a PDF: {_TABLE}",
    b"\x89PNG": f"a picture: {_TABLE}",
}
_HEAD = 1 << 18
_STRAY = 0.01  # share of letters that are no UTF-8, in a text that a program cut somewhere


class Source:
    """One file: its name without the suffix of a compression, and its text."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        start = read_bytes(path, 16)
        self.packed = next((name for magic, name in _MAGIC.items() if start.startswith(magic)), "")
        self.parquet = start.startswith(b"PAR1")
        self._refuse_others(start)
        name = self.path.name
        packed = self.packed and name.lower().endswith(_PACKED)
        self.name = name[: name.rfind(".")] if packed else name
        self.suffix = Path(self.name).suffix.lower()
        self._head: str | None = None

    def _refuse_others(self, start: bytes) -> None:
        """One line for what is plainly no text."""
        for magic, what in _OTHERS.items():
            if start.startswith(magic):
                raise ValueError(f"{str(self.path)!r} is {what}.")

    def __str__(self) -> str:
        return repr(str(self.path))

    @property
    def head(self) -> str:
        """The first quarter of a megabyte of the text."""
        if self._head is None:
            with self.text("replace") as stream:
                self._head = stream.read(_HEAD)
            if self._head.count("\ufffd") > _STRAY * len(self._head):
                raise ValueError(
                    f"{self} is not a text file, or not one in UTF-8: save it as UTF-8."
                )
            if self._head[257:262] == "ustar":
                raise ValueError(f"{self} is a tar archive: unpack it, and give a file of it.")
            if (
                self._head.lstrip()[:15]
                .lower()
                .startswith(("<!doctype", "<html", "<table", "<?xml"))
            ):
                raise ValueError(f"{self} is HTML or XML: {_TABLE}.")
            if "\0" in self._head:
                raise ValueError(
                    f"{self} is not a text file: it holds zero bytes. If it is UTF-16 without its "
                    "mark, save it as UTF-8; zeros that a crash left are to be cut off."
                )
        return self._head

    @contextmanager
    def text(self, errors: str = "strict") -> Iterator[TextIO]:
        """The text as a stream; `errors` as in `open`, for what is not UTF-8.

        Raises:
            ValueError: no text, or a damaged archive.
            MissingExtra: zstd without zstandard.
        """
        try:
            encoding = "utf-16" if self.utf_16 else "utf-8-sig"
            with (
                self._bytes() as binary,
                io.TextIOWrapper(binary, encoding=encoding, errors=errors) as stream,
            ):
                yield stream
        except UnicodeError:
            raise ValueError(
                f"{self} is not a text file, or not one in UTF-8: save it as UTF-8."
            ) from None
        except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError):
            raise ValueError(f"{self} is a damaged or unfinished {self.packed} file.") from None

    @contextmanager
    def named(self) -> Iterator[Any]:
        """The path itself where NumPy can read the file on its own, which is faster, or `text`."""
        if self.packed or self.utf_16 or self.path.name.lower().endswith(_PACKED):
            with self.text() as stream:
                yield stream
        else:
            yield self.path

    @property
    def utf_16(self) -> bool:
        """Whether the text says by its first two bytes that it is UTF-16."""
        with self._bytes() as binary:
            return binary.read(2) in (b"\xff\xfe", b"\xfe\xff")

    def read(self, errors: str = "strict") -> str:
        """All of the text."""
        with self.text(errors) as stream:
            return stream.read()

    def _bytes(self) -> Any:
        if self.packed == "gzip":
            return gzip.open(self.path, "rb")
        if self.packed == "bzip2":
            return bz2.open(self.path, "rb")
        if self.packed == "xz":
            return lzma.open(self.path, "rb")
        if self.packed == "zstd":
            try:
                return importlib.import_module("compression.zstd").open(self.path, "rb")
            except ModuleNotFoundError:
                packed = open(self.path, "rb")  # noqa: SIM115  # closed with the text
                return io.BufferedReader(_Zstandard(packed, require("zstandard", "fit")))
        return open(self.path, "rb")


class _Zstandard(io.RawIOBase):
    """The bytes of a zstd file, which an end that is missing does not end without a word."""

    def __init__(self, packed: BinaryIO, zstandard: Any) -> None:
        self._packed, self._zstandard = packed, zstandard
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._ready, self._begun = b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            piece = self._frame.unused_data if self._frame.eof else self._packed.read(_HEAD)
            if self._frame.eof:  # another frame may follow
                piece = piece or self._packed.read(_HEAD)
                self._frame = self._zstandard.ZstdDecompressor().decompressobj()
                self._begun = False
            if not piece:
                if self._begun:
                    raise EOFError("zstd")
                return 0
            self._begun = True
            try:
                self._ready = self._frame.decompress(piece)
            except self._zstandard.ZstdError:
                raise EOFError("zstd") from None
            self._begun = not self._frame.eof
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._packed.close()
        super().close()
