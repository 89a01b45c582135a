"""What every engine and every training run returns: a loss curve that knows where it came from.

`risk` carries the factor one half of the project's convention (docs/notation.md), and
`steps[i]` counts the optimizer updates made before `risk[i]` was read.

Files hold steps, risk and stderr as plain lists, in which null is a risk (or a standard error) that
is infinite; moments, provenance and every other column, under "column:" and its name, as
`hidim.support.json` keeps any value.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, SupportsFloat, get_args, overload

import numpy as np

from hidim.support import checks, files
from hidim.support.json import decode, encode, numbers, plain
from hidim.support.results import ByContent, build, refusing, write_json

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

Status = Literal["ok", "diverged", "inaccurate", "unfinished"]

# A run counts as diverged when its risk exceeds this multiple of the start and stays there.
DIVERGENCE_FACTOR = 1e3

_FORMAT = "hidim-curve/2"  # files of version 0.1 name none
_COLUMN = "column:"  # before its name in a file
_OWN = ("", "step", "risk", "stderr")  # no name of a column: what a CSV has already
_PER_DECADE = 24
_LONGEST = 1e19


@dataclass(frozen=True, eq=False)
class Curve(ByContent):
    """Risk against optimizer steps, with its error bars, outcome and provenance.

    Two curves are equal when everything they hold is, arrays entry by entry.

    Args:
        steps: shape (n,), optimizer updates made; int64 up to 2**53, float64 beyond.
        risk: shape (n,), risk with the one half; infinite once a run has left float range.
        stderr: shape (n,) standard error of `risk`, or None for an exact value.
        status: "ok"; "diverged"; "inaccurate" where the relative error asked for (`rtol`) could
            not be kept, how large it may be is in provenance["error"]; or "unfinished", a training
            run that is under way or was stopped, as far as it has come.
        diverged_at: first step whose risk exceeds 1000 times the start on a run that did
            not come back, or was given up on its way; None otherwise.
        label: what a table or legend calls this curve.
        dimension: number of trained parameters, None when unknown.
        batch_size: samples per step; math.inf is the full-batch limit.
        provenance: version, parameters, seed: whatever reproduces the curve.
        moments: shape (n, 3, modes): error, momentum and cross second moments, or None.
        risk_floor: risk that no parameters go below, None when unknown.
        columns: what else was read at the steps by name, each shape (n,): another readout;
            d_<parameter>, the derivative of the log risk; of a training run "train" and "test"
            loss, "lr" of the step to come, "tokens" trained on, "gradient_norm" and "flops". NaN
            is what was not read. Names are printable text.

    Example:
        >>> curve = Curve(steps=[0, 1, 10, 100], risk=[1.0, 0.5, 0.05, 0.005])
        >>> round(curve.at(31.6), 3)
        0.016
    """

    steps: np.ndarray
    risk: np.ndarray
    stderr: np.ndarray | None = None
    status: Status = "ok"
    diverged_at: float | None = None
    label: str = ""
    dimension: float | None = None
    batch_size: float = 1
    provenance: dict[str, Any] = field(default_factory=dict)
    moments: np.ndarray | None = None
    risk_floor: float | None = None
    columns: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        steps = step_array(self.steps)
        risk = np.asarray(self.risk, dtype=np.float64)
        if steps.ndim != 1 or steps.shape != risk.shape:
            raise ValueError(
                f"`steps` and `risk` must be two rows of one length, got {steps.shape} and "
                f"{risk.shape}."
            )
        if np.any(np.isnan(risk)):
            raise ValueError("`risk` holds NaN; a run that left float range is infinite instead.")
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "risk", risk)
        if self.stderr is not None:
            stderr = np.asarray(self.stderr, dtype=np.float64)
            if stderr.shape != risk.shape:
                raise ValueError(f"`stderr` must have the shape of `risk`, got {stderr.shape}.")
            object.__setattr__(self, "stderr", stderr)
        object.__setattr__(self, "columns", _columns(self.columns, risk.shape))
        checks.choice("status", self.status, get_args(Status))
        for name in ("dimension", "batch_size", "risk_floor"):
            value = getattr(self, name)
            if value is not None and value != math.inf:
                check = checks.positive if name == "batch_size" else checks.non_negative
                check(name, value)

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        what, along = self._told
        end = "" if not len(self) else f", {what} {along[0]:.4g} -> {along[-1]:.4g}"
        last = "" if not len(self) else f", {float(self.steps[-1]):.4g} steps"
        outcome = "" if self.status == "ok" else f", {self.status}"
        error, caution = self.provenance.get("error"), self.provenance.get("caution")
        if self.status == "diverged":
            outcome += f" at step {self.diverged_at}"
        elif outcome and caution:  # of the theory, beside which the solver's error is nothing
            outcome += f": {caution}"
        elif outcome and isinstance(error, float):
            outcome += f": off by up to {error:.1e}"
        if small := self.provenance.get("finite_size"):
            outcome += f", {small}"
        return f"Curve({self.label or 'unnamed'}{last}{end}{outcome})"

    @property
    def flops(self) -> np.ndarray:
        """Compute used up to each step, shape (n,): steps x dimension x batch, in multiply-adds.

        A training run counts its own, forward and backward, in the column "flops".
        """
        if "flops" in self.columns:
            return np.asarray(self.columns["flops"])
        if self.dimension is None:
            raise ValueError("this curve has no `dimension`, so its flops are unknown.")
        return np.asarray(self.steps, dtype=np.float64) * float(self.dimension) * self.batch_size

    @property
    def _told(self) -> tuple[str, np.ndarray]:
        """The loss that is a number, and what to call it."""
        if self._endless and "excess" in self.columns:
            return "excess risk", self.columns["excess"]
        return "risk", self.risk

    @property
    def _endless(self) -> bool:
        """Whether the floor, and so every risk, is infinite: of noise without a variance."""
        return self.risk_floor == math.inf

    @property
    def excess(self) -> np.ndarray:
        """Risk above the floor, shape (n,); where little is left, with the risk's rounding.

        >>> Curve([0, 1], [1.0, 0.5], risk_floor=0.25).excess
        array([0.75, 0.25])
        """
        if self.risk_floor is None:
            raise ValueError(
                "this curve has no `risk_floor`, so its excess is unknown. Take that of the "
                "problem: curve.risk - problem.spectrum().risk_floor."
            )
        if "excess" in self.columns:  # where the floor itself is infinite
            return np.asarray(self.columns["excess"])
        if self._endless:
            raise ValueError(
                'this curve has an infinite `risk_floor` and no column "excess", so its excess is '
                "missing: give columns={'excess': [...]}."
            )
        return self.risk - self.risk_floor

    def finite(self) -> Curve:
        """The curve of the excess where the floor, and so every risk, is infinite; else itself.

        Raises:
            ValueError: the floor is infinite and the curve holds no column "excess".

        >>> endless = Curve([0], [np.inf], risk_floor=np.inf, columns={"excess": [0.5]})
        >>> endless.finite().risk.tolist()
        [0.5]
        """
        if not self._endless:
            return self
        rest = {name: values for name, values in self.columns.items() if name != "excess"}
        return replace(self, risk=self.excess, risk_floor=0.0, columns=rest)

    def in_time(self) -> tuple[np.ndarray, np.ndarray]:
        """Steps, each once and ascending, and the risk there: a curve keeps the order asked for.

        >>> Curve([10, 0, 10], [0.5, 1.0, 0.5]).in_time()[0]
        array([ 0., 10.])
        """
        steps, places = np.unique(np.asarray(self.steps, dtype=np.float64), return_index=True)
        return steps, self.risk[places]

    @overload
    def at(self, step: SupportsFloat) -> float: ...
    @overload
    def at(self, step: ArrayLike) -> Any: ...
    def at(self, step: Any) -> Any:
        """Risk at `step` by log-log interpolation between the curve's own points.

        Args:
            step: a number, or steps of any shape; the answer has the same.

        Raises:
            ValueError: a step lies outside the curve, or is no number.

        >>> Curve([0, 1, 10, 100], [1.0, 0.5, 0.05, 0.005]).at([[1, 10], [10, 100]])
        array([[0.5  , 0.05 ], [0.05 , 0.005]])
        """
        if not len(self):
            raise ValueError("this curve has no points.")
        try:
            given = np.asarray(step)
            if step is None or given.dtype.kind not in "iufO":
                raise TypeError
            wanted = given.astype(np.float64)
        except (TypeError, ValueError, OverflowError):
            text = checks.shown(step)
            raise ValueError(f"`step` must be a number or numbers, got {text}.") from None
        known, risk = self.in_time()
        outside = ~((wanted >= known[0]) & (wanted <= known[-1]))
        if outside.any():
            raise ValueError(
                f"`step` must lie within {known[0]:g}..{known[-1]:g}, got {wanted[outside][0]:g}; "
                "ask the engine for it with at=[...]."
            )
        with np.errstate(divide="ignore"):
            value = np.interp(np.log1p(wanted), np.log1p(known), np.log(risk))
        return np.exp(value) if wanted.ndim else float(np.exp(value))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers for strict JSON, without the moments; infinities become None.

        `"loss": "excess"` says that the risk is infinite throughout, its noise having no variance,
        and None here: the numbers are in the column "excess". For reading only: `save` and `load`
        lose nothing.
        """
        table = self._header() | ({"loss": "excess"} if self._endless else {})
        table |= {"steps": [_plain(step) for step in self.steps], "risk": self.risk}
        table |= {} if self.stderr is None else {"stderr": self.stderr}
        table |= {"columns": dict(self.columns)} if self.columns else {}
        strict: dict[str, Any] = plain(table | {"provenance": self.provenance})
        return strict

    def _header(self) -> dict[str, Any]:
        """What is neither a column nor provenance."""
        names = ["label", "status", "diverged_at", "dimension", "batch_size"]
        names += [] if self.risk_floor is None else ["risk_floor"]
        return {name: getattr(self, name) for name in names}

    def to_csv(self) -> str:
        """The curve as CSV text with a header row: step, risk, stderr if measured, the columns."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        numbers = {"risk": self.risk}
        numbers |= {} if self.stderr is None else {"stderr": self.stderr}
        numbers |= self.columns
        writer.writerow(["step", *numbers])
        for i, step in enumerate(self.steps):
            writer.writerow([_plain(step), *(repr(float(v[i])) for v in numbers.values())])
        return stream.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve whole or not at all; the suffix picks .json, .npz or .csv.

        .json and .npz keep everything; .csv keeps the numbers only and cannot be loaded back.

        Raises:
            ValueError: another suffix, a place that cannot be written, or a provenance that no
                file can keep.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".csv":
            files.write_text(path, self.to_csv())
            return
        if suffix not in (".json", ".npz"):
            raise ValueError(f"cannot save {str(path)!r}: the name must end in .json, .npz or .csv")
        header = {
            "format": _FORMAT,
            **encode(self._header(), "the curve"),
            "batch_size": None if self.batch_size == math.inf else encode(self.batch_size),
            "provenance": encode(self.provenance, "`provenance`"),
        }
        arrays = {"steps": self.steps, "risk": self.risk}
        arrays |= {} if self.stderr is None else {"stderr": self.stderr}
        arrays |= {} if self.moments is None else {"moments": np.asarray(self.moments)}
        arrays |= {_COLUMN + name: values for name, values in self.columns.items()}
        if suffix == ".json":
            write_json(path, header | {name: _written(name, arrays[name]) for name in arrays})
        else:
            text = np.array(json.dumps(header, allow_nan=False))
            files.write_with(path, lambda stream: np.savez(stream, header=text, **arrays))  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Curve:
        """Read back a curve saved as .json or .npz, by this version or by 0.1.

        Raises:
            ValueError: the file is missing, of another kind, or damaged.
        """
        suffix = Path(path).suffix.lower()
        if suffix not in (".json", ".npz"):
            raise ValueError(f"cannot load {str(path)!r}: the name must end in .json or .npz")
        from hidim.support.inputs import read_json, read_npz  # on use: it needs archives

        table = read_json(path) if suffix == ".json" else _with_header(read_npz(path))
        known = isinstance(table, Mapping) and {"steps", "risk", "batch_size"} <= set(table)
        if not known or table.get("format", _FORMAT) != _FORMAT:
            raise ValueError(f"cannot load {str(path)!r}: it is not a saved curve.")
        with refusing(f"cannot load {str(path)!r}: the curve in it"):
            rows = ("steps", "risk", "stderr", "moments")
            others = [name for name in table if name.startswith(_COLUMN)]
            plainly = [name for name in table if name not in rows and name not in others]
            fields = {name: decode(table[name]) for name in plainly}
            fields |= {name: _read(table[name]) for name in rows if table.get(name) is not None}
            fields["columns"] = {n.removeprefix(_COLUMN): _read(table[n]) for n in others}
            fields.pop("format", None)
            fields["batch_size"] = math.inf if table["batch_size"] is None else fields["batch_size"]
            return build(cls, fields)


def _columns(given: Mapping[str, Any], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Columns as float64 rows under names that every file can keep."""
    columns = {}
    for name, values in given.items():
        if not isinstance(name, str) or not name.isprintable() or name in _OWN:
            raise ValueError(
                f"`columns` must be called by printable text other than {', '.join(_OWN)}, got "
                f"{checks.shown(name)}."
            )
        columns[name] = np.asarray(values, dtype=np.float64)
        if columns[name].shape != shape:
            raise ValueError(
                f"column {name!r} must have the shape of `risk`, got {columns[name].shape}."
            )
    return columns


def _written(name: str, array: np.ndarray) -> Any:
    """A column as a list with null for infinity, as in version 0.1; others as any array."""
    if name == "moments" or name.startswith(_COLUMN):
        return encode(array)
    return [None if entry == "inf" else entry for entry in numbers(array)]


def _read(column: Any) -> np.ndarray:
    """The array behind `_written`, or one from an .npz."""
    if isinstance(column, list):
        return np.array([math.inf if entry is None else entry for entry in column], dtype=float)
    return np.asarray(decode(column))


def _with_header(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """What an .npz holds beside its arrays, and these; nothing where it holds no header."""
    try:
        header = json.loads(str(arrays.pop("header", "")))
    except ValueError:
        return {}
    return arrays | header if isinstance(header, dict) else {}


def step_array(steps: Any) -> np.ndarray:
    """Step counts as int64 where integers are exact in float64, as float64 beyond 2**53."""
    array = checks.finite_array("steps", steps)
    if np.any(array < 0) or np.any(array != np.floor(array)):
        raise ValueError("`steps` must be whole numbers, none negative.")
    return array.astype(np.int64) if array.size == 0 or array.max() <= 2**53 else array


def log_spaced_steps(last: float, *, per_decade: int = 24) -> np.ndarray:
    """Steps 0..last inclusive, all small ones and then `per_decade` of each decade.

    >>> log_spaced_steps(3)
    array([0, 1, 2, 3])
    """
    last = checks.whole("steps", last, minimum=0)
    if last == 0:
        return np.zeros(1, dtype=np.int64)
    count = math.ceil(per_decade * math.log10(last)) + 1 if last > 1 else 1
    grid = np.rint(np.geomspace(1.0, float(last), max(count, 2)))
    grid = np.minimum(np.concatenate([[0.0], grid, [float(last)]]), float(last))
    return step_array(np.unique(grid))


def log_steps(last: float, *, points: int | None = None) -> np.ndarray:
    """0, then whole steps evenly spread in log up to `last`, 24 a decade or `points` in all."""
    last = max(min(last, _LONGEST), 2.0)
    count = points or max(2, int(_PER_DECADE * math.log10(last)) + 1)
    return np.unique(np.concatenate([[0.0], np.round(np.geomspace(1, last, count))]))[-count:]


def _plain(step: Any) -> int | float:
    return int(step) if float(step) <= 2**53 else float(step)
