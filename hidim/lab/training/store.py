"""Where does a run live, so that killing it at any moment loses nothing that was finished?

    config.json     settings, size, text and versions, written once
    metrics.jsonl   one row per measurement, only ever appended to
    checkpoint.pt   the newest state, replaced as a whole
    result.json     there when, and only when, the run is finished
    lock            held by the process that trains; the system lets go of it at any death
    text.npz        the text as tokens, of a run whose text came through a pipe

Every file but the metrics appears whole or not at all. A line of metrics cut by a kill is removed
before the next is written; rows that were written after the last checkpoint are kept, not repeated.
Limits: workers on several machines need a file system that passes locks on between them (NFSv4,
GPFS, Lustre with `flock`).
"""

from __future__ import annotations

import errno
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hidim.curve import Curve
from hidim.lab.training.curves import run_curve
from hidim.lab.training.locks import holds, take
from hidim.lab.training.settings import Settings
from hidim.support.files import write_text, write_with
from hidim.support.json import plain
from hidim.support.results import refusing


class Busy(ValueError):
    """Another process is training this run."""


class RunFolder:
    """One run's files.

    Args:
        path: the folder; made by `claim`.

    >>> RunFolder("nowhere").curve()
    Traceback (most recent call last):
    ValueError: 'nowhere' holds no run: hidim train --out nowhere makes one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoint = self.path / "checkpoint.pt"
        self.result = self.path / "result.json"
        self.text = self.path / "text.npz"
        self._lock: Any = None  # while it is claimed
        self._seen: tuple[int, int] | None = None  # the checkpoint as it was found or saved

    def __repr__(self) -> str:
        return f"RunFolder({str(self.path)!r})"

    @property
    def started(self) -> bool:
        """Whether a run was ever asked for here."""
        return self.config.exists()

    @property
    def begun(self) -> bool:
        """Whether its text was read, too: from there on it is this run and no other."""
        return self.started and (
            "text" in self.read_config() or self.checkpoint.exists() or self.finished
        )

    @property
    def finished(self) -> bool:
        """Whether the run reached its end."""
        return self.result.exists()

    @contextmanager
    def claim(self) -> Iterator[None]:
        """Hold the folder alone; freed at the end, and by the system if this process dies.

        Raises:
            Busy: another process holds it.
            ValueError: the folder cannot be made or written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = take(self.path / "lock", wait=False)
        except OSError as error:
            raise ValueError(
                f"cannot write to the run folder {str(self.path)!r}: {error.strerror}."
            ) from None
        if lock is None:
            raise Busy(f"{str(self.path)!r} is being trained by another process.")
        self._lock = lock
        try:
            self._drop_half_written()
            self._seen = self._stamp()
            yield
        finally:
            self._lock.release()

    def keep(self) -> None:
        """See that the folder is still held alone, before anything in it is written.

        A lock file that somebody removed, such as what clears old files from scratch disks, holds
        no one back: it is made and held again, unless another process was faster. One that was
        and has left again is known by its result, or by a checkpoint that is not this process's.

        Raises:
            Busy: one was.
        """
        if self._lock is not None and not holds(self._lock):
            again = take(self.path / "lock", wait=False)
            if again is None:
                raise Busy(
                    f"the lock of {str(self.path)!r} was removed, and another process trains the "
                    "run now: nothing more is written here."
                )
            self._lock = again
            if self.finished or self._stamp() != self._seen:
                raise Busy(
                    f"the lock of {str(self.path)!r} was removed, and another process went on with "
                    "the run meanwhile: nothing more is written here."
                )

    def save(self, state: Mapping[str, Any]) -> None:
        """Replace the checkpoint, and know it again as one's own.

        Raises:
            ValueError: as of `save_checkpoint`.
        """
        save_checkpoint(self.checkpoint, state)
        self._seen = self._stamp()

    def _stamp(self) -> tuple[int, int] | None:
        """Which file the checkpoint is, None without one: every save makes another."""
        try:
            found = self.checkpoint.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _drop_half_written(self) -> None:
        """Remove the temporary files of saves that a kill cut short; nobody else writes here."""
        for target in (self.config, self.checkpoint, self.result, self.text):
            for left in self.path.glob(f".{target.name}.*"):
                left.unlink(missing_ok=True)

    def curve(self) -> Curve:
        """What the run has measured so far; it may be training meanwhile.

        The risk is the validation loss, nats per token; "train", "test", "lr", "tokens", "flops"
        and "gradient_norm" are columns, and `flops` is what the lab's reports call so. `status` is
        "ok", "diverged", or "unfinished" while there is no result.

        Raises:
            ValueError: there is no run here, it has not logged yet, or its files are damaged.
        """
        config = self.read_config() if self.started else {}
        if "settings" not in config:
            raise ValueError(
                f"{str(self.path)!r} holds no run: hidim train --out {self.path} makes one."
            )
        # Before the rows, so that a run which is said to be finished has all of them.
        result = self.read_result() if self.finished else {"status": None}
        rows = self.rows()
        if not rows:
            raise ValueError(
                f"the run in {str(self.path)!r} has not logged yet. Ask again after its first row."
            )
        with refusing(f"the run in {str(self.path)!r}"):
            return run_curve(config, rows, result["status"])

    def settings(self) -> Settings:
        """The settings of the run.

        Raises:
            ValueError: `config.json` is missing or damaged.
        """
        with refusing(f"the run in {str(self.path)!r}"):
            return Settings.from_dict(self.read_config()["settings"])

    def read_config(self) -> dict[str, Any]:
        """What `config.json` says."""
        return _read_json(self.config)

    def read_result(self) -> dict[str, Any]:
        """What `result.json` says."""
        return _read_json(self.result)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json` whole.

        Raises:
            Busy: another process has the folder, as of `keep`.
        """
        self.keep()
        write_text(self.config, to_json(config, indent=1))

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write `result.json` whole: the run is finished from now on.

        Raises:
            Busy: another process has the folder, as of `keep`.
        """
        self.keep()
        write_text(self.result, to_json(result, indent=1))

    def rows(self) -> list[dict[str, Any]]:
        """Every complete row of the metrics; a last line that a kill cut short is left out.

        Raises:
            ValueError: a line before the last is damaged.
        """
        if not self.metrics.exists():
            return []
        found = []
        lines = self.metrics.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):
            try:
                row = json.loads(line)
                whole = isinstance(row, dict) and isinstance(row["step"], int)
            except (ValueError, KeyError, RecursionError):
                whole = False
            if whole:
                found.append(row)
            else:
                raise ValueError(
                    f"line {number} of {str(self.metrics)!r} is damaged. Restore the file, or move "
                    "the folder away and train again."
                )
        return found


class Metrics:
    """The metrics of a run, open for appending.

    Args:
        folder: a claimed run.
    """

    def __init__(self, folder: RunFolder) -> None:
        folder.keep()
        _drop_cut_line(folder.metrics)
        rows = folder.rows()
        self.last_step: int = rows[-1]["step"] if rows else -1
        self._folder, self._path = folder, str(folder.metrics)
        self._file = io.FileIO(folder.metrics, "a")  # unbuffered: a row is written or it is not

    def append(self, row: Mapping[str, Any]) -> bool:
        """Add a row unless its step is already there; says whether it was added.

        Raises:
            Busy: another process has the folder, as of `RunFolder.keep`.
        """
        if row["step"] <= self.last_step:
            return False
        self._folder.keep()
        line = (to_json(row) + "\n").encode()
        with self._named():
            if self._file.write(line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.last_step = row["step"]
        return True

    def sync(self) -> None:
        """Push what was written to the disk."""
        with self._named():
            os.fsync(self._file.fileno())

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors of a descriptor know no file."""
        try:
            yield
        except OSError as error:
            error.filename = self._path
            raise

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint as a whole; the old one stays if anything fails.

    Raises:
        ValueError: the disk is full or cannot be written; the old checkpoint is intact.
    """
    import torch

    # Through memory, because a full disk must be an OSError of ours and not a crash in C++.
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    try:
        write_with(path, lambda stream: stream.write(buffer.getbuffer()))
    except OSError as error:
        kept = " The last good checkpoint is kept." if path.exists() else ""
        raise ValueError(f"cannot save {str(path)!r}: {error.strerror or error}.{kept}") from None


def load_checkpoint(path: Path) -> dict[str, Any]:
    """The state in a checkpoint, every byte of it checked.

    Raises:
        ValueError: the file is truncated, damaged or no checkpoint; nothing is changed.
    """
    from pickle import UnpicklingError

    import torch

    advice = "Nothing was changed; restore it from a copy, or delete it to train from the start."
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()  # torch reads without looking at the checksums
        if bad is None:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
            if isinstance(state, dict) and state.get("format") == "hidim-checkpoint/1":
                return state
            raise ValueError(f"{str(path)!r} is not a checkpoint of a training run. {advice}")
    except (zipfile.BadZipFile, EOFError, RuntimeError, OSError, NotImplementedError):
        pass
    except (UnpicklingError, KeyError):  # a whole file that something else wrote
        raise ValueError(f"{str(path)!r} is not a checkpoint of a training run. {advice}") from None
    raise ValueError(f"checkpoint {str(path)!r} is corrupt. {advice}")


def to_json(values: Mapping[str, Any], indent: int | None = None) -> str:
    """Strict JSON: a number that is not finite is null."""
    return json.dumps(plain(values), indent=indent, allow_nan=False)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"there is no {str(path)!r}.") from None
    except ValueError:
        raise ValueError(f"{str(path)!r} is damaged: it is not JSON.") from None
    if not isinstance(values, dict):
        raise ValueError(f"{str(path)!r} is damaged: it holds no record.")
    return values


def _drop_cut_line(path: Path) -> None:
    if not path.exists():
        return
    with open(path, "r+b") as stream:
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            stream.truncate(whole)
