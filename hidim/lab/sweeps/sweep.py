"""How are many runs trained by many processes, each run once, whatever is killed when?

    DIR/sweep.json        every run that is wanted: folder name and settings
    DIR/runs/NAME/        one run's folder
    DIR/text-*.npz        the text as tokens, read once

A worker walks the list, claims a run that is neither finished nor claimed, trains it from its
checkpoint, and goes on. The claim is a lock of the system, so a killed worker lets go of it, and
any number of workers on any number of machines may join or leave at any time.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hidim.lab.text.kept import load_npz, save_npz
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.depth import at_depth
from hidim.lab.training.locks import take
from hidim.lab.training.result import Result
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import Busy, RunFolder, to_json
from hidim.support.checks import choice
from hidim.support.extras import MissingExtra
from hidim.support.files import write_text

# Finished runs so far to the runs that are wanted next; the same answer for the same results.
Stage = Callable[["Sweep"], Iterable[Settings]]


@dataclass(frozen=True)
class Outcome:
    """What a worker did.

    Attributes:
        trained: names of the runs it finished.
        failed: name to the one line that says why.
        signal: number of the signal that stopped it, or None.
    """

    trained: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    signal: int | None = None


class Sweep:
    """A folder of runs.

    Args:
        path: the folder; made by the first `add`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.plan = self.path / "sweep.json"

    def settings(self) -> dict[str, Settings]:
        """Name and settings of every run, in the order they were added."""
        plan = self._plan()
        try:
            return {name: Settings.from_dict(values) for name, values in plan["runs"].items()}
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{str(self.plan)!r} is damaged, or of a later version: {error}"
            ) from None

    @property
    def preset(self) -> str | None:
        """The ladder that the runs come from, if they come from one."""
        name: str | None = self._plan().get("preset")
        return name

    def _plan(self) -> dict[str, Any]:
        if not self.plan.exists():
            return {"runs": {}}
        try:
            plan: dict[str, Any] = json.loads(self.plan.read_text(encoding="utf-8"))
            plan["runs"].items()
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{str(self.plan)!r} is damaged: it lists no runs.") from None
        return plan

    def folder(self, name: str) -> RunFolder:
        """The folder of one run."""
        return RunFolder(self.path / "runs" / name)

    def add(self, runs: Iterable[Settings], *, preset: str | None = None) -> int:
        """Want these runs too; those already wanted stay as they are. Returns how many are new.

        A preset is remembered, so that whoever goes on with the sweep knows what comes next.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._alone("lock"):
            _drop_half_written(self.plan)
            known = self.settings()
            have = {one.fingerprint for one in known.values()}
            new = [one for one in runs if one.fingerprint not in have]
            named = {name_of(one): one for one in new}
            preset = preset or self.preset
            if named or preset != self.preset:
                runs_now = {name: one.to_dict() for name, one in {**known, **named}.items()}
                kept = {} if preset is None else {"preset": preset}
                write_text(self.plan, to_json({**kept, "runs": runs_now}, indent=1))
        return len(named)

    def finished(self) -> dict[str, dict[str, Any]]:
        """Name and result of every finished run."""
        folders = {name: self.folder(name) for name in self.settings()}
        return {n: folder.read_result() for n, folder in folders.items() if folder.finished}

    def tokens(self, settings: Settings) -> Tokens:
        """The text of a run, read once for the whole sweep."""
        from hidim.lab.training.entry import load_tokens

        key = settings.text_fingerprint
        path = self.path / f"text-{key}.npz"
        if path.exists():
            return load_npz(path)
        # One reads, and the others wait: a stream is not asked for once by every worker.
        with self._alone(f"text-{key}.lock"):
            if path.exists():
                return load_npz(path)
            _drop_half_written(path)
            tokens = load_tokens(settings)
            save_npz(path, tokens)
            return tokens

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        lock: Any = take(self.path / name, wait=True)
        try:
            yield
        finally:
            lock.release()


def expand(base: Settings, grid: Mapping[str, Sequence[Any]]) -> list[Settings]:
    """Every combination of the grid's values on top of `base`, equal ones once.

    A name that is no setting is an option of the optimizer, given to those that take it.

    Raises:
        ValueError: an empty list, or an option that none of the optimizers takes.

    >>> runs = expand(Settings(), {"optimizer": ["sgd", "dana-decaying"], "kappa_3": [0.6, 0.7]})
    >>> [(run.optimizer, run.options) for run in runs]
    [('sgd', {}), ('dana-decaying', {'kappa_3': 0.6}), ('dana-decaying', {'kappa_3': 0.7})]
    """
    from hidim.lab.training.entry import check_new
    from hidim.lab.training.optimizers import option_names

    for name, values in grid.items():
        if not values:
            raise ValueError(f"`grid` gives no value for {name!r}.")
    settings = base.to_dict()
    options = [name for name in grid if name not in (*settings, "depth")]
    found: dict[str, Settings] = {}
    taken: set[str] = set()
    allowed: set[str] = set()
    for values in product(*grid.values()):
        chosen = dict(zip(grid, values, strict=True))
        usual = "adamw" if "depth" in chosen else base.optimizer
        optimizer = chosen.get("optimizer", usual)
        known = option_names(optimizer)
        allowed.update(known)
        own = {name: chosen[name] for name in options if name in known}
        taken.update(own)
        changes = {name: value for name, value in chosen.items() if name in settings}
        if "depth" in chosen:
            changes = at_depth(chosen["depth"], changes)
        run = base.replace(**{**changes, "options": {**base.options, **own}})
        if run.fingerprint not in found:
            check_new(run)
        found.setdefault(run.fingerprint, run)
    for name in options:
        if name not in taken:
            choice("grid", name, sorted({*settings, *allowed}))
    return list(found.values())


def work(
    sweep: Sweep,
    *,
    stage: Stage | None = None,
    wait: bool = True,
    save_seconds: float = 60.0,
    report: Callable[[str, dict[str, Any]], None] | None = None,
) -> Outcome:
    """Train what is left of a sweep, beside whoever else does.

    Args:
        sweep: the folder.
        stage: once all listed runs are finished, asked for more.
        wait: stay while others train the last runs, to take over those that are killed.
        save_seconds: between checkpoints.
        report: called with the name and result of every run trained here.

    Returns:
        What was done; a run that cannot be trained is in `failed`, and the others go on.
    """
    outcome = Outcome()
    texts: dict[str, Tokens] = {}
    while pending := left_to_train(sweep, outcome, stage):
        claimed = False
        for name, settings in pending.items():
            if sweep.folder(name).finished:
                continue
            found = attempt(sweep, name, settings, texts=texts, save_seconds=save_seconds)
            if found is None:
                continue
            claimed = True  # where it failed, too: nobody is waited for
            if isinstance(found, str):
                outcome.failed[name] = found
                continue
            if found.status == "stopped":
                return Outcome(outcome.trained, outcome.failed, found.signal)
            outcome.trained.append(name)
            if report is not None:
                report(name, found.to_dict())
        if not claimed and not wait:
            return outcome
        if not claimed:
            time.sleep(1.0)
    return outcome


def left_to_train(sweep: Sweep, outcome: Outcome, stage: Stage | None) -> dict[str, Settings]:
    """The runs that are neither finished nor failed; where there is none, the stage is asked.

    Returns:
        Settings by name; none when nothing is left and nothing more is wanted.
    """
    while True:
        pending = {
            name: settings
            for name, settings in sweep.settings().items()
            if name not in outcome.failed and not sweep.folder(name).finished
        }
        if pending or stage is None or outcome.failed:
            return pending
        # Another worker may have added the same runs a moment ago: only the list tells.
        if not sweep.add(stage(sweep)) and len(sweep.finished()) == len(sweep.settings()):
            return {}


def attempt(
    sweep: Sweep, name: str, settings: Settings, *, texts: dict[str, Tokens], save_seconds: float
) -> Result | str | None:
    """Train one run from where it stands.

    Args:
        sweep: the folder.
        name: of the run.
        settings: its own.
        texts: the text read last, by its fingerprint; replaced where another is needed.
        save_seconds: between checkpoints.

    Returns:
        The result; why the run cannot be trained, in one line; None where another worker has
        it, or has just finished it.
    """
    from hidim.lab.training.entry import train_or_read

    try:
        key = settings.text_fingerprint
        if key not in texts:
            text = sweep.tokens(settings)
            texts.clear()
            texts[key] = text
        result, trained = train_or_read(
            settings,
            sweep.folder(name).path,
            resume=True,
            tokens=texts[key],
            save_seconds=save_seconds,
            threads=1,
            progress=False,
        )
        return result if trained else None
    except Busy:
        return None
    except (ValueError, MissingExtra, OSError) as error:
        return str(error)


def name_of(settings: Settings) -> str:
    """A folder's name that says what matters and is different for different settings.

    >>> name_of(Settings(optimizer="dana-decaying", options={"kappa_3": 0.7}))[:-8]
    'dana-decaying-kappa_3=0.7-lstm64-lr6-seed0-'
    """
    s = settings
    options = "".join(f"-{key}={value}" for key, value in sorted(s.options.items()))
    name = f"{s.optimizer}{options}-{s.model}{s.width}-lr{s.lr:g}-seed{s.seed}-{s.fingerprint}"
    return "".join(c if c.isalnum() or c in "-_=." else "_" for c in name)


def final_losses(sweep: Sweep) -> dict[str, float]:
    """The last loss of every finished run by its fingerprint; infinite where it diverged."""
    settings = sweep.settings()
    losses = {}
    for name, result in sweep.finished().items():
        loss = result["validation_loss"]
        good = result["status"] == "ok" and loss is not None
        losses[settings[name].fingerprint] = loss if good else math.inf
    return losses


def _drop_half_written(target: Path) -> None:
    """Remove what a kill left of writing this file; nobody else is writing it."""
    for left in target.parent.glob(f".{target.name}.*"):
        left.unlink(missing_ok=True)
