"""How do values become strict JSON, and come back as they were?

JSON has neither infinity nor NaN, and nothing of Python's own. `encode` writes what JSON lacks as
an object with a mark, a key that starts with "$":

    {"$float": "inf"}                           also "-inf" and "nan"
    {"$complex": [re, im]}
    {"$tuple": [...]}, {"$set": [...]}, {"$frozenset": [...]}
    {"$map": [[key, value], ...]}               keys that are no text, or start with "$"
    {"$array": [...], "dtype": "<f8", "shape": [2, 3]}      row by row; "inf", "nan" as text
    {"$path": "runs/a"}, {"$bytes": "base64"}
    {"$data": "hidim.algorithms.schedules:PowerLaw", "scale": 0.1, "t_exponent": 0.5}

The last is how schedules, algorithms, spectra, curves and every other dataclass of this package
are kept, and a user's own schedule, which inherits from one: an algorithm is data. `decode` calls
the class again, so what a file holds is checked like any other argument. NumPy's scalars come
back as Python's numbers of the same value; everything else as it was. A module whose classes once
stood elsewhere names that place, `KEPT_AS`, which leads to them still: files hold the old name.

`plain` is for readers who know no marks, and cannot be read back: what is not finite is null.
Limits: modules outside this package are never imported because a file says so.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath
from typing import Any

import numpy as np

_PACKAGE = __name__.partition(".")[0]
_OURS = re.compile(rf"{_PACKAGE}(\.(?!__)\w+)*")  # never __main__, which runs the command
# Kinds of arrays whose numbers JSON can hold to the last bit, and text.
_KINDS = "biufcU"


def dumps(value: Any) -> str:
    """Strict JSON that `loads` turns back into an equal value, on one line.

    Raises:
        ValueError: something in `value` cannot be kept, named by where it stands.

    >>> dumps({"v": math.inf, "at": (0, 10)})
    '{"v": {"$float": "inf"}, "at": {"$tuple": [0, 10]}}'
    """
    return json.dumps(encode(value), allow_nan=False)


def loads(text: str) -> Any:
    """The value behind `dumps`.

    Raises:
        ValueError: not JSON, an unknown mark, or what a class refuses.

    >>> loads('{"v": {"$float": "inf"}, "at": {"$tuple": [0, 10]}}')
    {'v': inf, 'at': (0, 10)}
    """
    return decode(json.loads(text))


def encode(value: Any, where: str = "the value") -> Any:
    """Plain JSON data with marks; `where` names the value in a refusal."""
    try:
        return _encode(value, where)
    except RecursionError:
        raise ValueError(f"{where} is nested too deeply for a file, or holds itself.") from None


def decode(data: Any) -> Any:
    """What `encode` was given."""
    if isinstance(data, list):
        return [decode(item) for item in data]
    if not isinstance(data, dict):
        return data
    mark = next((key for key in data if key.startswith("$")), None)
    if mark is None:
        return {key: decode(item) for key, item in data.items()}
    if mark not in _MARKS:
        raise ValueError(f"{mark!r} is no mark that this version knows")
    return _MARKS[mark](data)


def plain(value: Any) -> Any:
    """JSON data without marks: arrays become lists, numbers that are not finite become None.

    What has a `to_dict` becomes that, what JSON has no word for becomes text.

    >>> plain({"risk": np.array([1.0, np.inf]), "steps": np.int64(3), "at": (0, 10)})
    {'risk': [1.0, None], 'steps': 3, 'at': [0, 10]}
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        finite = value.dtype.kind in "iu" or (value.dtype.kind == "f" and np.isfinite(value).all())
        return value.tolist() if finite else plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "to_dict"):
        return plain(value.to_dict())
    return str(value)


def numbers(array: np.ndarray) -> list[Any]:
    """The entries of an array row by row, those that are not finite as text.

    >>> numbers(np.array([[1.0, np.nan], [-np.inf, 2.0]]))
    [1.0, 'nan', '-inf', 2.0]
    """
    entries: list[Any] = array.ravel().tolist()
    if array.dtype.kind != "f" or np.isfinite(array).all():
        return entries
    return [entry if math.isfinite(entry) else str(entry) for entry in entries]


def _encode(value: Any, where: str) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, np.generic) and value.dtype.kind in _KINDS:
        item = value.item()
        if not isinstance(item, np.generic):  # as a number of 128 bits stays
            return _encode(item, where)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": str(value)}
    if isinstance(value, complex):
        return {"$complex": [_encode(value.real, where), _encode(value.imag, where)]}
    if isinstance(value, np.ndarray):
        return _encode_array(value, where)
    if isinstance(value, Mapping):
        return _encode_mapping(value, where)
    if isinstance(value, list | tuple):
        items = [_encode(item, f"{where}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, set | frozenset):
        # In an order of its own: the same set gives the same file.
        members = sorted((_encode(item, where) for item in value), key=json.dumps)
        return {f"${'set' if isinstance(value, set) else 'frozenset'}": members}
    if isinstance(value, PurePath):
        return {"$path": str(value)}
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode("ascii")}
    if _is_kept(type(value)):
        return _encode_data(value, where)
    raise ValueError(
        f"{where} is a {type(value).__name__}, which a file cannot keep. Give numbers, text, "
        "arrays, or lists and mappings of them."
    )


def _encode_array(array: np.ndarray, where: str) -> dict[str, Any]:
    kind, size = array.dtype.kind, array.dtype.itemsize
    if kind not in _KINDS or (kind in "fc" and size > (16 if kind == "c" else 8)):
        raise ValueError(
            f"{where} is an array of {array.dtype}, which a file cannot keep. Give numbers of at "
            "most 64 bits, or text."
        )
    flat = array.astype(array.dtype.newbyteorder("=")).ravel()
    entries = numbers(flat.view(f"f{size // 2}") if kind == "c" else flat)
    return {"$array": entries, "dtype": flat.dtype.str, "shape": list(array.shape)}


def _encode_mapping(value: Mapping[Any, Any], where: str) -> dict[str, Any]:
    if all(type(key) is str and not key.startswith("$") for key in value):
        return {key: _encode(item, f"{where}[{key!r}]") for key, item in value.items()}
    pairs = [
        [_encode(key, f"a key of {where}"), _encode(item, f"{where}[{key!r}]")]
        for key, item in value.items()
    ]
    return {"$map": pairs}


def _encode_data(value: Any, where: str) -> dict[str, Any]:
    kind = type(value)
    place = getattr(sys.modules.get(kind.__module__), "KEPT_AS", None) if _is_ours(kind) else None
    name = f"{place or kind.__module__}:{kind.__qualname__}"
    try:
        found = _class_called(name)
    except ValueError:
        found = None
    if found is not kind:
        raise ValueError(
            f"{where} is a {kind.__name__}, whose class no file can name: define it at the top "
            "level of a module."
        )
    fields = (one.name for one in dataclasses.fields(value) if one.init)
    kept = {field: _encode(getattr(value, field), f"{where}.{field}") for field in fields}
    return {"$data": name} | kept


def _is_kept(kind: type) -> bool:
    """Whether a class is a dataclass of this package, or one that inherits from it."""
    return any(_is_ours(base) for base in kind.__mro__) and dataclasses.is_dataclass(kind)


def _is_ours(kind: type) -> bool:
    return kind.__module__.partition(".")[0] == _PACKAGE


def _class_called(name: str) -> type:
    """The class behind "module:Name"; only this package's modules are imported for it."""
    module, _, path = name.partition(":")
    if _OURS.fullmatch(module):
        with suppress(ImportError):
            importlib.import_module(module)
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and _is_kept(found)):
        raise ValueError(f"it needs the class {name!r}, which is not there: import its module")
    return found


def _decode_array(data: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(data["dtype"])
    if dtype.kind not in _KINDS:
        raise ValueError(f"an array of {dtype} is none that a file may hold")
    flat = np.array(data["$array"], dtype=f"f{dtype.itemsize // 2}" if dtype.kind == "c" else dtype)
    return flat.view(dtype).reshape(data["shape"])


def _decode_data(data: dict[str, Any]) -> Any:
    kind = _class_called(data["$data"])
    return kind(**{key: decode(item) for key, item in data.items() if key != "$data"})


_MARKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "$float": lambda data: float(data["$float"]),
    "$complex": lambda data: complex(*decode(data["$complex"])),
    "$tuple": lambda data: tuple(decode(data["$tuple"])),
    "$set": lambda data: set(decode(data["$set"])),
    "$frozenset": lambda data: frozenset(decode(data["$frozenset"])),
    "$map": lambda data: {decode(key): decode(item) for key, item in data["$map"]},
    "$array": _decode_array,
    "$path": lambda data: Path(data["$path"]),
    "$bytes": lambda data: base64.b64decode(data["$bytes"], validate=True),
    "$data": _decode_data,
}
