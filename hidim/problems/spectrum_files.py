"""A Spectrum in a file: .json, .npz, or .csv with one row per mode.

All three hold `eigenvalues`, `error_sq` and, if known, `risk_floor`, `multiplicity` and the two
kurtoses of the data's law, which are left out where they are 1; a CSV repeats what is one number in
every row, or leaves the column out. JSON and npz keep the label, the provenance and the rest of the
law too; in an archive the rows are arrays, "rows.features" and so on.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from hidim.problems.coordinates import Coordinates, Drawn
from hidim.problems.law import DataLaw
from hidim.problems.rows import Rows
from hidim.support.checks import finite_array
from hidim.support.delimited import read_numbers
from hidim.support.files import atomic_write, write_with
from hidim.support.inputs import check_names, read_json, read_npz
from hidim.support.json import decode, encode, loads
from hidim.support.results import refusing, write_json

REQUIRED = ("eigenvalues", "error_sq")
NUMBERS = ("risk_floor", "multiplicity")
KURTOSES = ("kurtosis", "noise_kurtosis")  # of the law; 1 where a file is silent
WORDS = ("label", "provenance")
CARRIED = ("noise", "rows", "basis")  # of the law; None where a file is silent
ROWS = tuple(f"rows.{one.name}" for one in fields(Rows))  # in an archive, in place of `rows`
SUFFIXES = (".json", ".npz", ".csv")


def write_parts(path: str | os.PathLike[str], parts: Mapping[str, Any]) -> None:
    """Write the fields of a Spectrum; the suffix picks the format.

    Raises:
        ValueError: another suffix, a place that cannot be written, or a provenance or a law of the
            data that cannot be kept.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot save {str(path)!r}: the name must end in {_ANY}")
    law = parts["law"]
    numbers = {name: np.asarray(parts[name]) for name in (*REQUIRED, *NUMBERS)}
    numbers |= {name: np.array(value) for name, value in law.numbers.items()}
    carried = {name: value for name in CARRIED if (value := getattr(law, name)) is not None}
    if suffix == ".csv":
        if isinstance(carried.get("basis"), Coordinates | Drawn):
            del carried["basis"]  # as the label and the provenance are left out
        if carried:
            raise ValueError(
                f"cannot save {str(path)!r}: a .csv holds numbers alone, not the law's "
                f"{', '.join(carried)}. Save as .json or .npz."
            )
        columns = [np.broadcast_to(column, numbers["eigenvalues"].shape).tolist()
                   for column in numbers.values()]  # fmt: skip
        with atomic_write(path) as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerows([list(numbers), *zip(*columns, strict=True)])
        return
    if suffix == ".npz" and isinstance(carried.get("rows"), Rows):
        rows = carried.pop("rows")
        numbers |= {f"rows.{one.name}": np.asarray(getattr(rows, one.name)) for one in fields(rows)}
    words = {"provenance": encode(parts["provenance"], "the provenance")}
    words |= {name: encode(value, f"the law's `{name}`") for name, value in carried.items()}
    if suffix == ".npz":
        # As text: an archive holds arrays alone, and nothing of Python's own.
        texts = {name: np.array(json.dumps(word, allow_nan=False)) for name, word in words.items()}
        texts = {"label": np.array(parts["label"])} | texts
        write_with(path, lambda stream: np.savez(stream, **numbers, **texts))  # type: ignore[arg-type]
    else:
        kept = {name: array.tolist() for name, array in numbers.items()}
        write_json(path, {**kept, "label": parts["label"], **words})


def read_parts(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The arguments of the Spectrum that a file holds.

    Raises:
        ValueError: no such file, another kind, an unknown or a missing name, or no numbers.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot read a spectrum from {str(path)!r}: the name must end in {_ANY}.")
    if suffix == ".csv":
        parts: dict[str, Any] = dict(
            read_numbers(path, required=REQUIRED, optional=(*NUMBERS, *KURTOSES))
        )
    else:
        parts = read_json(path) if suffix == ".json" else read_npz(path, remedy=_REMEDY)
        if not isinstance(parts, Mapping):
            raise ValueError(f"{str(path)!r} holds no object: {_REMEDY}.")
        known = (*NUMBERS, *KURTOSES, *WORDS, *CARRIED, *ROWS)
        check_names(path, list(parts), required=REQUIRED, optional=known)
    try:
        return _checked(parts)
    except ValueError as error:
        raise ValueError(f"cannot read a spectrum from {str(path)!r}: {error}") from None


_ANY = ".json, .npz or .csv"
_REMEDY = "a spectrum has `eigenvalues`, `error_sq`, `risk_floor` and `multiplicity`"


def _checked(parts: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {name: finite_array(name, parts[name], ndim=1) for name in REQUIRED}
    found["risk_floor"] = _one_number("risk_floor", parts.get("risk_floor", 0.0))
    if parts.get("multiplicity") is not None:
        found["multiplicity"] = finite_array("multiplicity", parts["multiplicity"], ndim=1)
    found["label"] = str(parts.get("label", ""))
    found["provenance"] = _word("provenance", parts.get("provenance", {}))
    if not isinstance(found["provenance"], Mapping):
        raise ValueError(f"`provenance` must be an object, got {found['provenance']!r}.")
    law: dict[str, Any] = {
        name: _one_number(name, parts[name]) for name in KURTOSES if name in parts
    }
    law |= {name: _word(name, parts[name]) for name in CARRIED if name in parts}
    if any(name in parts for name in ROWS):
        law["rows"] = _rows(parts)
    found["law"] = DataLaw(**law)
    if isinstance(rows := law.get("rows"), Rows):
        moving, wide = int(np.count_nonzero(found["eigenvalues"])), rows.features.shape[1]
        if wide != moving:
            raise ValueError(f"{moving} `eigenvalues` are not 0, its rows have {wide} features.")
    return found


def _rows(parts: Mapping[str, Any]) -> Rows:
    """The rows that an archive holds array by array."""
    missing = [name for name in ROWS if name not in parts]
    if missing:
        raise ValueError(f"it has rows without `{missing[0]}`.")
    given = {one.name: parts[f"rows.{one.name}"] for one in fields(Rows)}
    with refusing("its `rows`"):
        return Rows(**given | {"of": int(given["of"])})


def _one_number(name: str, value: Any) -> float:
    """A number that a file may repeat in every row."""
    different = np.unique(finite_array(name, value))
    if different.size != 1:
        raise ValueError(f"it must hold one `{name}`, not {different.size} different ones.")
    return float(different[0])


def _word(name: str, value: Any) -> Any:
    with refusing(f"its `{name}`"):
        return loads(str(value)) if isinstance(value, np.ndarray) else decode(value)
