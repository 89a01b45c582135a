"""A Spectrum in a file: .json, .npz, or .csv with one row per mode.

All three hold `eigenvalues`, `error_sq` and, if known, `risk_floor` and `multiplicity`; a CSV
repeats the floor in every row, or leaves the column out where it is zero. JSON and npz keep the
label and the provenance too.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hidim.support.checks import finite_array
from hidim.support.delimited import read_numbers
from hidim.support.files import atomic_write, write_with
from hidim.support.inputs import check_names, read_json, read_npz
from hidim.support.json import decode, dumps, encode, loads
from hidim.support.results import refusing, write_json

REQUIRED = ("eigenvalues", "error_sq")
NUMBERS = ("risk_floor", "multiplicity")
WORDS = ("label", "provenance")
SUFFIXES = (".json", ".npz", ".csv")


def write_parts(path: str | os.PathLike[str], parts: Mapping[str, Any]) -> None:
    """Write the arguments of a Spectrum; the suffix picks the format.

    Raises:
        ValueError: another suffix, a place that cannot be written, or a provenance that cannot be
            kept.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot save {str(path)!r}: the name must end in {_ANY}")
    numbers = {name: np.asarray(parts[name]) for name in (*REQUIRED, *NUMBERS)}
    if suffix == ".csv":
        columns = [np.broadcast_to(column, numbers["eigenvalues"].shape).tolist()
                   for column in numbers.values()]  # fmt: skip
        with atomic_write(path) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([list(numbers), *zip(*columns, strict=True)])
    elif suffix == ".npz":
        # As text: an archive holds arrays alone, and nothing of Python's own.
        words = {
            "label": np.array(parts["label"]),
            "provenance": np.array(dumps(parts["provenance"])),
        }
        write_with(path, lambda stream: np.savez(stream, **numbers, **words))  # type: ignore[arg-type]
    else:
        kept = {name: array.tolist() for name, array in numbers.items()}
        provenance = encode(parts["provenance"], "the provenance")
        write_json(path, {**kept, "label": parts["label"], "provenance": provenance})


def read_parts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of the Spectrum that a file holds.

    Raises:
        ValueError: no such file, another kind, an unknown or a missing name, or no numbers.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot read a spectrum from {str(path)!r}: the name must end in {_ANY}.")
    if suffix == ".csv":
        parts: dict[str, Any] = dict(read_numbers(path, required=REQUIRED, optional=NUMBERS))
    else:
        parts = read_json(path) if suffix == ".json" else read_npz(path, remedy=_REMEDY)
        if not isinstance(parts, Mapping):
            raise ValueError(f"{str(path)!r} holds no object: {_REMEDY}.")
        check_names(path, list(parts), required=REQUIRED, optional=(*NUMBERS, *WORDS))
    try:
        return _checked(parts)
    except ValueError as error:
        raise ValueError(f"cannot read a spectrum from {str(path)!r}: {error}") from None


_ANY = ".json, .npz or .csv"
_REMEDY = "a spectrum has `eigenvalues`, `error_sq`, `risk_floor` and `multiplicity`"


def _checked(parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: finite_array(name, parts[name], ndim=1) for name in REQUIRED}
    floor = np.unique(finite_array("risk_floor", parts.get("risk_floor", 0.0)))
    if floor.size != 1:
        raise ValueError(f"it must hold one `risk_floor`, not {floor.size} different ones.")
    found["risk_floor"] = float(floor[0])
    if parts.get("multiplicity") is not None:
        found["multiplicity"] = finite_array("multiplicity", parts["multiplicity"], ndim=1)
    found["label"] = str(parts.get("label", ""))
    provenance = parts.get("provenance", {})
    with refusing("its `provenance`"):
        text = isinstance(provenance, np.ndarray)
        found["provenance"] = loads(str(provenance)) if text else decode(provenance)
    if not isinstance(found["provenance"], Mapping):
        raise ValueError(f"`provenance` must be an object, got {found['provenance']!r}.")
    return found
