"""What every engine and every training run returns: a loss curve that knows where it came from.

`risk` carries the factor one half of the project's convention (docs/notation.md), and
`steps[i]` counts the optimizer updates made before `risk[i]` was read.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hidim.support import checks, files

Status = Literal["ok", "diverged"]

# A run counts as diverged when its risk exceeds this multiple of the start and stays there.
DIVERGENCE_FACTOR = 1e3

_PER_DECADE = 24
_LONGEST = 1e19


@dataclass(frozen=True, eq=False)
class Curve:
    """Risk against optimizer steps, with its error bars, outcome and provenance.

    Args:
        steps: shape (n,), optimizer updates made; int64 up to 2**53, float64 beyond.
        risk: shape (n,), risk with the one half; infinite once a run has left float range.
        stderr: shape (n,) standard error of `risk`, or None for an exact value.
        status: "ok" or "diverged".
        diverged_at: first step whose risk exceeds 1000 times the start on a run that did
            not come back, or None.
        label: what a table or legend calls this curve.
        dimension: number of trained parameters, None when unknown.
        batch_size: samples per step; math.inf is the full-batch limit.
        provenance: version, parameters, seed: whatever reproduces the curve.
        moments: shape (n, 3, modes): error, momentum and cross second moments, or None.

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
        checks.choice("status", self.status, ("ok", "diverged"))

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        end = "" if not len(self) else f", risk {self.risk[0]:.4g} -> {self.risk[-1]:.4g}"
        last = "" if not len(self) else f", {float(self.steps[-1]):.4g} steps"
        outcome = "" if self.status == "ok" else f", diverged at step {self.diverged_at}"
        return f"Curve({self.label or 'unnamed'}{last}{end}{outcome})"

    @property
    def flops(self) -> np.ndarray:
        """Compute used up to each step: steps x dimension x batch, in multiply-adds, shape (n,)."""
        if self.dimension is None:
            raise ValueError("this curve has no `dimension`, so its flops are unknown.")
        return np.asarray(self.steps, dtype=np.float64) * float(self.dimension) * self.batch_size

    def at(self, step: float) -> float:
        """Risk at `step` by log-log interpolation between the curve's own points.

        Raises:
            ValueError: `step` lies outside the curve.
        """
        steps = np.asarray(self.steps, dtype=np.float64)
        if not steps[0] <= step <= steps[-1]:
            raise ValueError(
                f"`step` must lie within {steps[0]:g}..{steps[-1]:g}, got {step!r}; "
                "ask the engine for it with at=[...]."
            )
        with np.errstate(divide="ignore"):
            value = np.interp(np.log1p(step), np.log1p(steps), np.log(self.risk))
        return float(np.exp(value))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for strict JSON (infinite risk becomes None)."""
        table: dict[str, Any] = {
            "label": self.label,
            "status": self.status,
            "diverged_at": self.diverged_at,
            "dimension": self.dimension,
            "batch_size": _json_number(self.batch_size),
            "steps": [_plain(s) for s in self.steps],
            "risk": [_json_number(r) for r in self.risk],
        }
        if self.stderr is not None:
            table["stderr"] = [_json_number(s) for s in self.stderr]
        table["provenance"] = self.provenance
        return table

    def to_csv(self) -> str:
        """The curve as CSV text with a header row: step, risk and, if measured, stderr."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["step", "risk"] + (["stderr"] if self.stderr is not None else []))
        for i, (step, risk) in enumerate(zip(self.steps, self.risk, strict=True)):
            row = [_plain(step), repr(float(risk))]
            writer.writerow(row + ([] if self.stderr is None else [repr(float(self.stderr[i]))]))
        return stream.getvalue()

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the curve whole or not at all; the suffix picks .json, .npz or .csv.

        .npz keeps moments too; .csv keeps the numbers only and cannot be loaded back.

        Raises:
            ValueError: another suffix, or a place that cannot be written.
        """
        suffix = Path(path).suffix
        if suffix == ".json":
            files.write_text(path, json.dumps(self.to_dict(), allow_nan=False) + "\n")
        elif suffix == ".csv":
            files.write_text(path, self.to_csv())
        elif suffix == ".npz":
            arrays = {"steps": self.steps, "risk": self.risk}
            arrays |= {} if self.stderr is None else {"stderr": self.stderr}
            arrays |= {} if self.moments is None else {"moments": self.moments}
            header = {k: v for k, v in self.to_dict().items() if k not in arrays}
            text = np.array(json.dumps(header, allow_nan=False))
            files.write_with(path, lambda stream: np.savez(stream, header=text, **arrays))  # type: ignore[arg-type]
        else:
            raise ValueError(f"cannot save {str(path)!r}: the name must end in .json, .npz or .csv")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Curve:
        """Read back a curve saved as .json or .npz.

        Raises:
            ValueError: the file is missing, of another kind, or damaged.
        """
        suffix = Path(path).suffix
        if suffix not in (".json", ".npz"):
            raise ValueError(f"cannot load {str(path)!r}: the name must end in .json or .npz")
        try:
            if suffix == ".json":
                table = json.loads(Path(path).read_text(encoding="utf-8"))
            else:
                with np.load(path, allow_pickle=False) as arrays:
                    table = json.loads(str(arrays["header"]))
                    table |= {name: arrays[name] for name in arrays.files if name != "header"}
            table["batch_size"] = math.inf if table["batch_size"] is None else table["batch_size"]
            table["risk"] = [math.inf if r is None else r for r in table["risk"]]
            if table.get("stderr") is not None:
                table["stderr"] = [math.inf if s is None else s for s in table["stderr"]]
            return cls(**table)
        except FileNotFoundError:
            raise ValueError(f"cannot load {str(path)!r}: no such file.") from None
        except (KeyError, TypeError, OSError, ValueError) as error:
            raise ValueError(f"cannot load {str(path)!r}: not a saved curve ({error}).") from None


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


def _json_number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
