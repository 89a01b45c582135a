"""What did a folder of runs measure, as curves?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hidim.curve import Curve
from hidim.lab.reports.tables import consolidate as consolidate
from hidim.lab.reports.tables import query as query
from hidim.lab.reports.tables import run_folders, stored_records
from hidim.lab.sweeps.sweep import Sweep
from hidim.lab.text.facts import bits_per_byte
from hidim.lab.training.curves import label_of
from hidim.lab.training.networks.choices import CHOICES
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder
from hidim.support.checks import choice
from hidim.support.results import Saved

# What a label need not say: it is said elsewhere, or it is no part of a method.
_UNNAMED = ("optimizer", "options", "schedule", "lr", "seed", "steps", "width", "layers", "heads",
            "validation_tokens", "evaluation_growth", "log_every", "precision",
            "compile")  # fmt: skip


@dataclass(frozen=True, eq=False)
class MeasuredRun(Saved, format="hidim-lab-run/2"):
    """A run among others: its curve, and what sets it apart from them.

    Attributes:
        name: of its folder.
        label: the optimizer with its options, its schedule unless constant, and what else is not
            the same in all runs of the folder, such as the batch size or the text; shape and
            evaluation only where the size does not tell the runs apart.
        settings: what it was.
        curve: what it measured, see `hidim.lab.RunFolder.curve`.
        tokens_per_second: of training, evaluations left out.
    """

    name: str
    label: str
    settings: Settings
    curve: Curve
    tokens_per_second: float

    @property
    def status(self) -> str:
        """That of the curve: "ok", "diverged" or "unfinished"."""
        return self.curve.status

    @property
    def parameters(self) -> int:
        """Size of the model."""
        return int(self.curve.dimension or 0)

    @property
    def tokens(self) -> np.ndarray:
        """Trained on at each evaluation after the first step, shape (n,)."""
        return self._later(self.curve.columns["tokens"])

    @property
    def flops(self) -> np.ndarray:
        """Spent by then, forward and backward, shape (n,)."""
        return self._later(self.curve.flops)

    @property
    def loss(self) -> np.ndarray:
        """Validation loss there, nats per token, shape (n,); rows without a number are left out."""
        return self._later(self.curve.risk)

    def _later(self, column: np.ndarray) -> np.ndarray:
        return column[(self.curve.steps > 0) & np.isfinite(self.curve.risk)]

    @property
    def final(self) -> float:
        """The last validation loss; infinite for a run that diverged."""
        return float(self.curve.risk[-1]) if self.status != "diverged" else float("inf")

    @property
    def text(self) -> dict[str, Any]:
        """What the run knows of its text: sizes, fingerprints, overlap; empty of old tables."""
        return dict(self.curve.provenance.get("text") or {})

    @property
    def bits_per_byte(self) -> float | None:
        """Bits per byte of one nat per token; None where the table has no byte counts."""
        return bits_per_byte(self.text, self.settings.tokens)

    @property
    def above_guessing(self) -> bool:
        """Whether it ended above the loss of guessing among its tokens."""
        size = self.text.get("vocabulary") or (256 if self.settings.tokens == "byte" else None)
        last = self.curve.risk[-1]
        return size is not None and not last <= np.log(size)

    def beside(self, **changes: Any) -> str:
        """A fingerprint of the settings with these changed: equal for runs that differ by them."""
        return self.settings.replace(**changes).fingerprint


def unfinished(path: str | os.PathLike[str]) -> int:
    """How many runs below a folder were begun, or are wanted by a sweep, and are not finished."""
    below = {folder.path for folder in run_folders(path) if not folder.finished}
    for plan in Path(path).rglob("sweep.json"):
        sweep = Sweep(plan.parent)
        wanted = (sweep.folder(name) for name in sweep.settings())
        below |= {folder.path for folder in wanted if not folder.finished}
    return len(below)


def measured_runs(
    path: str | os.PathLike[str], *, unfinished: bool = False, tuned: Sequence[str] = ()
) -> list[MeasuredRun]:
    """The finished runs below a folder, or in a file that `consolidate` wrote.

    A run that is there twice, as a copy or in two sweeps, counts once: it is one seed.

    Args:
        path: the folder or the file.
        unfinished: take runs that are under way too, once they have two measurements after the
            first step; of a file, finished ones alone.
        tuned: options, and settings such as "warmup", that were tuned with the rate or follow from
            the length of a run; runs that differ by them are one method, whose best point counts.

    Raises:
        ValueError: there is none, the file is no such file, or no run has a name in `tuned`.
        MissingExtra: a file is read and pyarrow is not installed.
    """
    if Path(path).is_file():
        records = list(stored_records(Path(path)))
    else:
        found = (_record(folder) for folder in run_folders(path) if unfinished or folder.finished)
        records = [record for record in found if record is not None]
    # The first by name of those with equal settings.
    records = list({r["settings"].fingerprint: r for r in reversed(records)}.values())[::-1]
    if not records:
        raise ValueError(f"{str(path)!r} holds no finished run: hidim sweep --out {path}")
    every = [record["settings"].to_dict() for record in records]
    varied = [name for name in every[0] if name not in (*_UNNAMED, *tuned) and _varies(name, every)]
    known = sorted({*every[0], *(option for one in every for option in one["options"])})
    for name in tuned:
        choice("tuned", name, known)
    varied += _confused(records)
    return [
        MeasuredRun(label=label_of(record["settings"], varied, tuned=tuned), **record)
        for record in records
    ]


def _varies(name: str, every: Sequence[dict[str, Any]]) -> bool:
    """Whether a setting tells runs apart; what only one model has, among its own runs."""
    values = [one[name] for one in every if one[name] is not None or name not in CHOICES]
    return any(value != values[0] for value in values)


def _confused(records: Sequence[dict[str, Any]]) -> list[str]:
    """Settings that a label must name because runs of one size, rate, length and seed differ by
    them alone, such as the heads of a transformer: they would pass for further seeds."""
    said = ("optimizer", "options", "schedule", "lr", "seed", "steps")
    quiet = [name for name in _UNNAMED if name not in said]
    seen: dict[tuple[str, float], dict[str, Any]] = {}
    found: dict[str, None] = {}
    for record in records:
        own = record["settings"].to_dict()
        alike = Settings().to_dict()
        rest = record["settings"].replace(**{name: alike[name] for name in quiet}).fingerprint
        first = seen.setdefault((rest, record["curve"].dimension), own)
        found |= dict.fromkeys(name for name in quiet if own[name] != first[name])
    return list(found)


def _record(folder: RunFolder) -> dict[str, Any] | None:
    """A run by its name, settings, curve and speed; None for one that has hardly begun."""
    result = folder.read_result() if folder.finished else None
    rows = folder.rows()
    if result is None and len(rows) < 3:
        return None
    if not rows:
        raise ValueError(f"{str(folder.metrics)!r} holds no measurement of a run that is finished.")
    curve = folder.curve()
    return {
        "name": folder.path.name,
        "settings": Settings.from_dict(curve.provenance["settings"]),
        "curve": curve,
        "tokens_per_second": (result or rows[-1])["tokens_per_second"],
    }
