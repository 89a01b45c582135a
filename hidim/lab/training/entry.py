"""How does the loss of a language model fall under an optimizer? One loop, resumable to the bit.

Step t reads its windows from (seed, t), so a checkpoint is model, optimizer, step and the running
mean of the loss; a run that was killed goes on from there and on a CPU ends in the same bits.
Under torchrun every process takes its rows of the same global batch.
Limits: exact resumption needs the same thread count and torch build; a GPU repeats itself only to
rounding.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch

from hidim.lab.text.facts import check_enough, facts_of, line_of_passes, lines_of
from hidim.lab.text.kept import load_npz, save_npz
from hidim.lab.text.sources import read_text
from hidim.lab.text.streams import is_stream
from hidim.lab.text.tokens import Tokens, parse_kind, tokenize
from hidim.lab.training.optimizers import check_optimizer
from hidim.lab.training.processes import Group
from hidim.lab.training.rates import check_rates
from hidim.lab.training.result import Result, from_record
from hidim.lab.training.run import Logger, TrainingRun
from hidim.lab.training.settings import Settings
from hidim.lab.training.store import RunFolder

_WIDE = 256  # below it a step is too short to be shared among threads


def load_tokens(settings: Settings) -> Tokens:
    """The text of a run as tokens, with its facts."""
    s = settings
    text = read_text(s.data, max_mb=s.max_mb, split=s.split, dedup=s.dedup)
    tokens = tokenize(text, s.tokens)
    facts = facts_of(text, tokens, asked=parse_kind(s.tokens)[1])
    return replace(tokens, facts=facts)


def run_tokens(settings: Settings, folder: RunFolder) -> Tokens:
    """The text of the run in a folder, which keeps there what came through a pipe.

    Raises:
        ValueError: several processes are to read one pipe.
    """
    if not is_stream(settings.data):
        return load_tokens(settings)
    if folder.text.exists():
        return load_npz(folder.text)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(f"`data` {settings.data!r} can be read by one process only: use a file.")
    tokens = load_tokens(settings)
    save_npz(folder.text, tokens)
    return tokens


def check_new(settings: Settings) -> None:
    """Refuse, before any work, what no run should begin with.

    Raises:
        ValueError: no such optimizer or option, or a warm-up that never ends.
    """
    check_optimizer(settings.optimizer, settings.lr, settings.options)
    check_rates(settings.parametrization, settings.optimizer)
    if settings.batch_at(settings.steps) < settings.batch_size:
        raise ValueError(
            f"`batch_ramp` {settings.batch_ramp} is longer than the run of {settings.steps} "
            "`steps`: its batch would never be reached. Give fewer, such as a tenth of the steps."
        )
    if settings.warmup > settings.steps:
        raise ValueError(
            f"`warmup` {settings.warmup} is longer than the run of {settings.steps} `steps`: its "
            "rate would never be reached. Give fewer, such as a tenth of the steps."
        )


def train(
    settings: Settings | None,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    tokens: Tokens | None = None,
    save_seconds: float = 60.0,
    threads: int | None = None,
    parallel: str = "ddp",
    progress: bool | None = None,
    loggers: Sequence[Logger] = (),
    tell: Callable[[str], object] | None = None,
    peak_flops: float | str | None = None,
) -> Result:
    """Train a model, or go on with a run that was stopped, and leave everything in a folder.

    Args:
        settings: the run; None takes those of the folder that is resumed.
        out: the run's folder; must not hold another run.
        resume: go on where the folder's checkpoint is; a finished run is only read.
        tokens: the text already read, to share it between runs.
        save_seconds: time between checkpoints; one is always saved at the end and on SIGTERM or
            Ctrl-C.
        threads: of torch; by default what the run had, or one for a small model on a CPU, where
            threads would mostly wait for each other.
        parallel: how the processes of a torchrun share the work: "ddp", each holding the model, or
            "fsdp", each holding a part of model and optimizer (FSDP2). No setting of the run: it
            changes no number beyond rounding nor the checkpoint, so a run may go on with the other
            one, or with another number of processes.
        progress: show a bar; None means on a terminal.
        loggers: called with every new row of the metrics.
        tell: called before a new run trains, with a line each on what its text is worth: the
            overlap of the held-out part with the training part, what is not as asked, and how many
            passes over the text its steps are.
        peak_flops: of the device, per second, or "measure": rows with an evaluation then say which
            share of it the model's flops are.

    Raises:
        ValueError: settings, text, vocabulary or checkpoint do not fit; nothing was overwritten.
    """
    result, _ = train_or_read(
        settings,
        out,
        resume=resume,
        tokens=tokens,
        save_seconds=save_seconds,
        threads=threads,
        parallel=parallel,
        progress=progress,
        loggers=loggers,
        tell=tell,
        peak_flops=peak_flops,
    )
    return result


def train_or_read(
    settings: Settings | None,
    out: str | os.PathLike[str],
    *,
    resume: bool,
    tokens: Tokens | None,
    save_seconds: float,
    threads: int | None,
    parallel: str = "ddp",
    progress: bool | None = None,
    loggers: Sequence[Logger] = (),
    tell: Callable[[str], object] | None = None,
    peak_flops: float | str | None = None,
) -> tuple[Result, bool]:
    """`train`, and whether it trained: of several workers on a sweep one did."""
    folder = RunFolder(out)
    group = Group(parallel)
    # Before it is claimed: nothing changes there any more, and the folder may be read-only.
    ended = group.first_tells(lambda: _ended(settings, folder) if resume else None)
    if ended is not None:
        return from_record(ended), False
    # A folder is claimed by one process; the others of a torchrun follow it.
    with group.first_claims(folder):
        begun = group.first_tells(lambda: _begin(settings, folder, resume, threads))
        settings = Settings.from_dict(begun["settings"])
        if begun["result"] is not None:
            return from_record(begun["result"]), False
        with _threads(begun["threads"]), _memory():
            try:
                text = tokens or run_tokens(settings, folder)
                if not begun["begun"]:
                    check_enough(text, settings.data)
                run = TrainingRun(settings, folder, group, text, peak=peak_flops)
                run.prepare()
            except Exception:
                if group.first and not begun["claimed"]:
                    _withdraw(folder)
                raise
            if tell is not None and group.first and not begun["begun"]:
                told = {**text.facts, "validation_tokens": len(text.validation)}
                for line in lines_of(told, evaluated=settings.validation_tokens):
                    tell(line)
                tell(passes_of(settings, text))
            if tell is not None and group.first and (peak := run.watch.peak_flops):
                tell(f"flops used are shares of {peak / 1e9:,.4g} GFlop/s, {_peak(peak_flops)}.")
            result = run.go(save_seconds=save_seconds, progress=progress, loggers=loggers)
            return result, True


def passes_of(settings: Settings, text: Tokens) -> str:
    """How often a run reads its text, in words."""
    trained = settings.tokens_before(settings.steps)
    return line_of_passes(trained, len(text.train), steps=settings.steps)


def _peak(wanted: float | str | None) -> str:
    by = "measured by the product of two square matrices with the run's threads and precision"
    return by if wanted == "measure" else "as given"


def _begin(
    settings: Settings | None, folder: RunFolder, resume: bool, threads: int | None
) -> dict[str, Any]:
    """What a claimed folder is to train: written down before the text is read.

    A kill while it is read, which may take minutes, then leaves the run that was asked for. Such a
    folder holds no run yet, and whoever asks for another one there may have it.
    """
    if not resume and folder.begun:
        raise ValueError(
            f"{str(folder.path)!r} already holds a run. Resume it (--resume), or choose "
            "another folder."
        )
    chosen = _agreed(settings, folder) if resume or settings is None else settings
    if folder.finished:
        return {"settings": chosen.to_dict(), "threads": None, "result": folder.read_result()}
    begun = folder.begun
    if begun:
        check_optimizer(chosen.optimizer, chosen.lr, chosen.options)
    else:
        check_new(chosen)
    claimed = folder.started and (resume or settings is None)
    kept = folder.read_config().get("threads") if claimed else None
    wanted = threads or kept or (1 if chosen.width < _WIDE else torch.get_num_threads())
    asked = {"settings": chosen.to_dict(), "threads": wanted}
    if not claimed:
        folder.write_config(asked)
    return {**asked, "result": None, "claimed": claimed, "begun": begun}


def _withdraw(folder: RunFolder) -> None:
    """Leave no claim on a folder by a run that turned out to be none."""
    with suppress(ValueError):
        folder.keep()  # another's claim is not ours to withdraw
        if "text" not in folder.read_config():
            folder.config.unlink()


def _ended(settings: Settings | None, folder: RunFolder) -> dict[str, Any] | None:
    """The result of a finished run, which must be the one asked for."""
    if not (folder.started and folder.finished):
        return None
    _agreed(settings, folder)
    return folder.read_result()


def _agreed(settings: Settings | None, folder: RunFolder) -> Settings:
    """The settings of the run; those given must be those of the folder."""
    if not folder.started:
        if settings is None:
            raise ValueError(f"{str(folder.path)!r} holds no run to resume: give settings.")
        return settings
    stored = folder.settings()
    if settings is None:
        return stored
    for name, value in stored.to_dict().items():
        given = settings.to_dict()[name]
        if given != value:
            what = "vocabulary mismatch: " if name == "tokens" else ""
            raise ValueError(
                f"{what}`{name}` is {given!r}, and the run in {str(folder.path)!r} has {value!r}. "
                "Resume it with its own settings, or choose another folder."
            )
    return stored


@contextmanager
def _memory() -> Iterator[None]:
    """Say in one line that the model does not fit; the last checkpoint is as it was."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "allocate memory" not in str(error):
            raise
        raise ValueError(
            "the memory of this machine is too small for the run. Use a smaller `width`, `context` "
            "or `batch_size`, or more `accumulation`."
        ) from None


def one_thread() -> AbstractContextManager[None]:
    """As a small model is trained: threads would mostly wait for each other."""
    return _threads(1)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """The thread count of the run, because sums are rounded in another order with another."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
