"""Files that people hand in: read whole, or refused in one line that says what they hold.

Nothing here unpickles, and a name that is misspelt or comes twice is never passed over in silence.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from hidim.support.checks import file_path, nearest

# What the standard library says of an archive that was cut off, changed or encrypted.
_DAMAGE = (OSError, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def read_bytes(path: str | os.PathLike[str], at_most: int = -1) -> bytes:
    """The bytes of a file, or its first `at_most`.

    Raises:
        ValueError: there is no such file, or it cannot be read.
    """
    try:
        with open(file_path(path), "rb") as stream:
            return stream.read(at_most)
    except FileNotFoundError:
        raise ValueError(f"there is no file {str(path)!r}.") from None
    except OSError as error:
        raise ValueError(f"cannot read {str(path)!r}: {error.strerror or error}.") from None


def encoding_of(path: str | os.PathLike[str], data: bytes) -> str:
    """How the text of a file is encoded: UTF-8, or UTF-16 where its mark says so.

    Raises:
        ValueError: it is neither.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise ValueError(
            f"{str(path)!r} is not a text file, or not one in UTF-8: save it as UTF-8."
        ) from None
    if "\0" in text:
        raise ValueError(
            f"{str(path)!r} is not a text file: it holds zero bytes. If it is UTF-16 without its "
            "mark, save it as UTF-8."
        )
    return encoding


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a file, without a byte-order mark."""
    data = read_bytes(path)
    return data.decode(encoding_of(path, data))


def read_json(path: str | os.PathLike[str]) -> Any:
    """What a JSON file holds.

    Raises:
        ValueError: no JSON, or one name twice in an object.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{str(path)!r} names {name!r} twice.")
        return dict(pairs)

    def integer(digits: str) -> int:
        try:
            return int(digits)
        except ValueError:  # more digits than Python reads
            raise ValueError(
                f"{str(path)!r} holds a whole number of {len(digits)} digits, beyond float64."
            ) from None

    text = read_text(path)
    try:
        return json.loads(text, object_pairs_hook=once, parse_int=integer)
    except json.JSONDecodeError as error:
        raise ValueError(f"{str(path)!r} is not JSON: {error}.") from None
    except RecursionError:
        raise ValueError(f"{str(path)!r} is nested too deeply.") from None


def read_npz(
    path: str | os.PathLike[str],
    wanted: Sequence[str] | None = None,
    *,
    remedy: str = "numpy.savez writes one",
) -> dict[str, np.ndarray]:
    """The arrays of an .npz archive.

    Args:
        path: the archive.
        wanted: the names to read, all of which it must hold; None reads whatever there is.
        remedy: what to hand in instead.

    Raises:
        ValueError: no archive, a damaged one, one that lacks a name, or arrays of Python objects.
    """
    try:
        with io.BytesIO(read_bytes(path)) as stream:  # a pipe cannot be sought in
            if not zipfile.is_zipfile(stream):
                raise ValueError(f"{str(path)!r} is no .npz archive: {remedy}.")
            with zipfile.ZipFile(stream) as archive:
                bad = archive.testzip()  # before NumPy takes apart what may be damaged
            if bad is not None:
                raise zipfile.BadZipFile(f"{bad!r} in it is damaged")
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as arrays:
                for name in wanted or ():
                    if name not in arrays.files:
                        raise ValueError(_lacks(path, name, arrays.files, remedy))
                return {name: _array(path, arrays, name) for name in wanted or arrays.files}
    except _DAMAGE as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(f"cannot read {str(path)!r}: {reason}.") from None


def check_names(
    path: str | os.PathLike[str],
    found: Sequence[str],
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
) -> None:
    """Refuse names that are unknown or come twice, and files that lack a required one.

    Raises:
        ValueError: naming the file, what it holds, and the nearest known name.
    """
    known = [*required, *optional]
    for name in found:
        if name not in known:
            near = nearest(name, known)
            hint = f"Did you mean {near!r}?" if near else f"Known are {', '.join(known)}."
            raise ValueError(f"{str(path)!r} holds {_listed(found)}: {name!r} is unknown. {hint}")
        if list(found).count(name) > 1:
            raise ValueError(f"column {name!r} appears twice in {str(path)!r}.")
    for name in required:
        if name not in found:
            raise ValueError(_lacks(path, name, found, f"it must have {', '.join(required)}"))


def _lacks(path: str | os.PathLike[str], name: str, found: Sequence[str], remedy: str) -> str:
    return f"{str(path)!r} has no {name!r}; it has {_listed(found)}: {remedy}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, list(names)[:12])) or "nothing"


def _array(path: str | os.PathLike[str], arrays: Any, name: str) -> np.ndarray:
    try:
        array = arrays[name]
    except ValueError:  # NumPy's own message advises to unpickle
        raise ValueError(
            f"{name!r} in {str(path)!r} holds Python objects, not numbers: save it with a numeric "
            "dtype."
        ) from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{str(path)!r} is no .npz archive: {name!r} in it is no array.")
    return array
