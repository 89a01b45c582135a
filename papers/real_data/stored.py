"""What is kept of the study, beside the page: predictions and runs, case by case.

`docs/results/real-data-predicted.json` is complete before the first run starts, and
`docs/results/real-data-runs.json` names the prediction that each of its runs was made for. An entry
is measured again where the code that made it has changed.
"""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import hidim
from hidim.support.files import write_text
from hidim.support.json import plain
from papers.real_data import horizons, measure, sets
from papers.real_data.measure import Plan
from papers.real_data.sets import Case

PREDICTED, RUNS = "real-data-predicted.json", "real-data-runs.json"
TUNED = "real-data-horizons.json"
_DIGITS = 5
Entries = dict[str, dict[str, Any]]


def read(file: Path) -> Entries:
    """The entries of a file, none where there is none."""
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.is_file() else {}


def measured(
    cases: Sequence[Case], folder: Path, plan: Plan = measure.WHOLE, *, fresh: bool = False
) -> tuple[Entries, Entries]:
    """Predictions of all cases and then their runs, from `folder` where they are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    predicted = _filled(
        folder / PREDICTED,
        cases,
        lambda case: (_of_code(case, plan), partial(measure.predict_case, plan=plan)),
        fresh,
    )

    def run(case: Case) -> tuple[str, Callable[[Case], Any]]:
        told = predicted[case.key]
        return digest(json.dumps(told)), partial(measure.run_case, predicted=told, plan=plan)

    return predicted, _filled(folder / RUNS, cases, run, fresh)


def tuned(cases: Sequence[Case], folder: Path, *, fresh: bool = False) -> Entries:
    """What is best at known horizons; nothing of it is run."""
    return _filled(
        folder / TUNED, cases, lambda case: (_of_horizons(case), horizons.tune_case), fresh
    )


def _filled(
    file: Path,
    cases: Sequence[Case],
    how: Callable[[Case], tuple[str, Callable[[Case], Any]]],
    fresh: bool,
) -> Entries:
    known = {} if fresh else read(file)
    entries: Entries = {}
    for case in cases:
        made_for, make = how(case)
        old = known.get(case.key)
        if old is None or old["made_for"] != made_for:
            old = {"made_for": made_for, **_rounded(plain(make(case)))}
            print(f"{file.stem}: {case.key}", flush=True)
            known[case.key] = old
            _write(file, known)
        entries[case.key] = old
    if list(known) != list(entries):
        _write(file, entries)
    return entries


def _write(file: Path, entries: Entries) -> None:
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in entries.items()]
    write_text(file, "{\n" + ",\n".join(lines) + "\n}\n")


def _of_code(case: Case, plan: Plan) -> str:
    code = inspect.getsource(measure) + inspect.getsource(sets).split("\nSOURCES = ")[0]
    return digest(code + repr(case) + repr(plan) + hidim.__version__)


def _of_horizons(case: Case) -> str:
    return digest(inspect.getsource(horizons) + repr(case) + hidim.__version__)


def digest(text: str) -> str:
    """What an entry was made for, in twelve letters."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _rounded(value: Any) -> Any:
    """Numbers to five digits, but those of algorithms, which are run as they are."""
    if isinstance(value, dict):
        return {
            key: each if key in ("ours", "theirs") and "$data" in each else _rounded(each)
            for key, each in value.items()
        }
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value
