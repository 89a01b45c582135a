"""What happens between a run's first step and its last?

Step t reads its windows from (seed, t), so a checkpoint is model, optimizer, step and the running
mean of the loss, and whoever loads it goes on as if nothing had happened.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hidim._version import __version__
from hidim.lab.text.batches import Batches, validation_windows
from hidim.lab.text.tokens import Tokens
from hidim.lab.training.models import build, check_bfloat16_lstm, next_token_loss
from hidim.lab.training.optimizers import make_optimizer
from hidim.lab.training.processes import Group
from hidim.lab.training.rates import rate_groups
from hidim.lab.training.result import Result, evaluation_steps, few_evaluations
from hidim.lab.training.settings import Settings
from hidim.lab.training.sharding import gathered, load_model, load_optimizer
from hidim.lab.training.signals import caught_signals
from hidim.lab.training.store import Metrics, RunFolder, load_checkpoint
from hidim.lab.training.watch import Watch, peak_flops
from hidim.support.progress import Progress
from hidim.support.results import refusing

Logger = Callable[[dict[str, Any]], None]

LOST = 1e3  # a run is given up when its loss exceeds this multiple of guessing, or is no number


class TrainingRun:
    """A claimed run between its first step and its last."""

    def __init__(
        self,
        settings: Settings,
        folder: RunFolder,
        group: Group,
        text: Tokens,
        *,
        peak: float | str | None = None,
    ) -> None:
        self.settings, self.folder, self.group, self.text = settings, folder, group, text
        s = settings
        self.shape = s.shape(text.vocabulary.size)
        self.batches = Batches(text.train, context=s.context, seed=s.seed)
        group.share_of(s.batch_at(0), s.accumulation)  # refuses what does not divide
        held_out = validation_windows(text.validation, context=s.context, limit=s.validation_tokens)
        self.device = group.device
        self.held_out = torch.from_numpy(held_out)
        self.amp = self._precision()
        self.model = group.place(build(self.shape, seed=s.seed))
        # A program for every size of batch: one for all would depend on where a run was resumed.
        compiled: Any = torch.compile(self.model, dynamic=False) if s.compile else self.model
        self.network = group.wrap(compiled)
        groups = rate_groups(self.model, self.shape, s.optimizer)
        self.optimizer = make_optimizer(
            s.optimizer,
            self.model.named_parameters()
            if len(groups) == 1
            else [{"params": own, "lr": s.lr * factor} for factor, own in groups],
            lr=s.lr,
            options=s.options,
        )
        # Muon makes groups of its own, at one rate.
        several = len(self.optimizer.param_groups)
        self.factors = [1.0] * several if len(groups) == 1 else [factor for factor, _ in groups]
        self.watch = Watch(
            self.model,
            self.optimizer,
            clip=s.clip,
            peak_flops=peak_flops(peak, self.device, self.amp),
        )
        self.rate = s.rate()
        self.evaluated = set(
            few_evaluations(s.steps)
            if s.evaluation_growth is None
            else evaluation_steps(s.steps, s.evaluation_growth)
        )
        self.marks = self.evaluated | set(evaluation_steps(s.steps, s.evaluation_growth or 1.1))
        self.marks |= set(range(0, s.steps, s.log_every)) if s.log_every else set()
        self.step, self.seconds, self.clock = 0, 0.0, time.perf_counter()
        # Kept on the device, so that a GPU need not be waited for at every step.
        self.loss_sum, self.loss_count = self._number(0.0), 0
        self.last: dict[str, Any] = {}

    def _precision(self) -> bool:
        wanted = self.settings.precision
        if wanted == "auto":
            return self.device.type == "cuda" and torch.cuda.is_bf16_supported()
        if wanted == "bfloat16" and self.shape.kind == "lstm" and self.device.type == "cpu":
            check_bfloat16_lstm()
        return wanted == "bfloat16"

    def prepare(self) -> None:
        """Complete the configuration of a new run, or load the checkpoint of an old one."""
        self.group.first_does(self.folder.keep)  # the text may have taken minutes to read
        config = self.folder.read_config()
        if "text" in config:
            with refusing(repr(str(self.folder.config))):
                then = dict(config["text"])
            self._check_text(then, self.folder.config)
        if self.folder.checkpoint.exists():
            self._load(load_checkpoint(self.folder.checkpoint))
        self.group.wait()
        self.group.first_does(
            lambda: None if "text" in config else self.folder.write_config(self._config())
        )

    def _config(self) -> dict[str, Any]:
        return {
            "settings": self.settings.to_dict(),
            "parameters": self.shape.parameters,
            "flops_per_token": self.shape.flops_per_token,
            "text": self._text(),
            "threads": torch.get_num_threads(),
            "versions": {"hidim": __version__, "torch": torch.__version__},
        }

    def _text(self) -> dict[str, Any]:
        return {
            "train_tokens": len(self.text.train),
            "validation_tokens": len(self.text.validation),
            "vocabulary": self.text.vocabulary.size,
            "vocabulary_fingerprint": self.text.vocabulary.fingerprint,
            "fingerprint": self.text.fingerprint,
            **self.text.facts,
        }

    def _check_text(self, then: dict[str, Any], where: Path) -> None:
        now = self._text()
        if then.get("vocabulary_fingerprint") != now["vocabulary_fingerprint"]:
            raise ValueError(
                f"vocabulary mismatch: {str(where)!r} is of {then.get('vocabulary')} tokens, the "
                f"text now has {now['vocabulary']} or other ones. Resume with the same `tokens` "
                "and text."
            )
        if then.get("fingerprint") != now["fingerprint"]:
            raise ValueError(
                f"the text is not that of {str(where)!r} (then {_counts(then)}; now "
                f"{_counts(now)}; or changed in place). Resume with the same text."
            )

    def _load(self, state: dict[str, Any]) -> None:
        with refusing(f"checkpoint {str(self.folder.checkpoint)!r}"):
            text, settings = dict(state["text"]), Settings.from_dict(state["settings"])
        self._check_text(text, self.folder.checkpoint)
        if settings != self.settings:
            raise ValueError(
                f"checkpoint {str(self.folder.checkpoint)!r} is of a run with other settings than "
                f"{str(self.folder.config)!r}. Nothing was changed; put its own back."
            )
        with refusing(f"checkpoint {str(self.folder.checkpoint)!r}"):
            load_model(self.model, state["model"])
            load_optimizer(self.optimizer, state["optimizer"])
            self.step, self.seconds = int(state["step"]), float(state["seconds"])
            self.loss_sum = self._number(state["loss_sum"])
            self.loss_count, self.last = int(state["loss_count"]), dict(state["last"])
            self.watch.load(state)

    def _number(self, value: float) -> torch.Tensor:
        exact = torch.float32 if self.device.type == "mps" else torch.float64
        return torch.tensor(value, dtype=exact, device=self.device)

    def _save(self, metrics: Metrics | None) -> None:
        self._settle()
        # Held in parts, the model is gathered by all; else only the first process looks at it.
        state = self._state() if self.group.first or self.group.sharded else {}

        def write() -> None:
            if metrics is not None:
                self.folder.keep()  # before the disk is waited for
                metrics.sync()
                self.folder.save(state)

        self.group.first_does(write)
        self.clock = time.perf_counter()

    def _state(self) -> dict[str, Any]:
        return {
            "format": "hidim-checkpoint/1",
            "settings": self.settings.to_dict(),
            "shape": self.shape.to_dict(),
            "vocabulary": self.text.vocabulary.to_dict(),
            "text": self._text(),
            "step": self.step,
            "seconds": self.seconds,
            "loss_sum": float(self.loss_sum),
            "loss_count": self.loss_count,
            "last": self.last,
            **self.watch.state(),
            "model": gathered(self.model.state_dict(), keep=self.group.first),
            "optimizer": gathered(self.optimizer.state_dict(), keep=self.group.first),
        }

    def _settle(self) -> float:
        """Wait for the device, count the time since the clock was set, and read the loss sum."""
        total = float(self.loss_sum)
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now
        return total

    def go(
        self, *, save_seconds: float, progress: bool | None, loggers: Sequence[Logger]
    ) -> Result:
        """Train to the end or to a signal."""
        metrics = self._metrics()
        # A run may have been killed after it was given up and before it could say so.
        status, saved_at = self._status(), time.monotonic()
        try:
            with caught_signals() as caught, self._bar(progress) as bar:
                self.clock = time.perf_counter()
                if self.step == 0:
                    self._record(metrics, loggers)
                while self.step < self.settings.steps and status == "ok":
                    due = time.monotonic() - saved_at > save_seconds and self.group.first
                    stop, due = self._update(caught.stop is not None, due or bool(caught.theirs))
                    bar.to(self.step)
                    if self.step in self.marks:
                        status = self._record(metrics, loggers)
                    if stop and self.step < self.settings.steps and status == "ok":
                        self._save(metrics)
                        return self._result("stopped", caught.stop or signal.SIGTERM)
                    if due:
                        self._save(metrics)
                        saved_at = time.monotonic()
                        caught.hand_over()
                self._save(metrics)
                result = self._result(status)
                if self.group.first:
                    self.folder.write_result(result.to_dict())
            self.group.wait()
            return result
        finally:
            if metrics is not None:
                metrics.close()

    def _metrics(self) -> Metrics | None:
        opened: list[Metrics] = []
        self.group.first_does(lambda: opened.append(self._open_metrics()))
        return opened[0] if opened else None

    def _open_metrics(self) -> Metrics:
        metrics = Metrics(self.folder)
        if metrics.last_step < self.last.get("step", -1):
            metrics.close()
            raise ValueError(
                f"{str(self.folder.metrics)!r} ends at step {metrics.last_step}, before its "
                f"checkpoint ({self.step}): rows were lost. Restore the file, or train again in "
                "another folder."
            )
        return metrics

    def _bar(self, progress: bool | None) -> Progress:
        shown = progress if self.group.first else False
        return Progress(self.settings.steps, f"training {self.settings.optimizer}", enabled=shown)

    def _update(self, *wishes: bool) -> tuple[bool, ...]:
        """One optimizer step; says for every wish (to stop, to save) whether any process has it."""
        s = self.settings
        rate = s.lr * float(self.rate(self.step))
        for parameters, factor in zip(self.optimizer.param_groups, self.factors, strict=True):
            parameters["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros_like(self.loss_sum)
        for part in range(s.accumulation):
            # The gradients of the other processes are added once, with the last micro-batch.
            with self.group.quiet(self.network, part < s.accumulation - 1):
                loss = self._loss(self.network, self._windows(part)) / s.accumulation
                loss.backward()
            total += loss.detach()
        self.watch.clip(self.step + 1 in self.marks)
        self.watch.step(self.step + 1 in self.evaluated)
        mean, wished = self.group.combine(total, *wishes)
        self.step += 1
        self.loss_sum, self.loss_count = self.loss_sum + mean, self.loss_count + 1
        return wished

    def _windows(self, part: int) -> torch.Tensor:
        s = self.settings
        size, rows = (
            s.batch_at(self.step),
            self.group.share_of(s.batch_at(self.step), s.accumulation),
        )
        first = s.windows_before(self.step) + part * (size // s.accumulation) + rows.start
        windows = self.batches.windows(first, len(rows))
        return torch.from_numpy(windows).to(self.device, non_blocking=True)

    def _loss(self, network: torch.nn.Module, windows: torch.Tensor) -> torch.Tensor:
        if not self.amp:
            return next_token_loss(network, windows)
        with torch.autocast(self.device.type, torch.bfloat16):
            return next_token_loss(network, windows)

    def _record(self, metrics: Metrics | None, loggers: Sequence[Logger]) -> str:
        """Evaluate and write a row; the status of the run from there on."""
        total = self._settle()
        train_loss = total / self.loss_count if self.loss_count else None
        self.loss_sum, self.loss_count = self._number(0.0), 0
        row = {
            "step": self.step,
            "tokens": self.settings.tokens_before(self.step),
            "train_loss": train_loss,
            "lr": self.settings.lr * float(self.rate(self.step)),
            **self.watch.row(),
            "tokens_per_second": self._speed(),
        }
        if self.step in self.evaluated or self._is_lost(train_loss):
            # A model held in parts is computed by all processes or by none.
            ours = self.group.first or self.group.sharded
            row["validation_loss"] = self.evaluate() if ours else None
            speed = row["tokens_per_second"]
            row |= self.watch.evaluated(speed and speed * self.shape.flops_per_token)
        # A row without an evaluation knows that of the last one.
        self.last = {"validation_loss": self.last.get("validation_loss"), **row}
        if metrics is not None and metrics.append(row):
            self._log(row, metrics, loggers)
        status = self._status()
        self.clock = time.perf_counter()
        return status

    def _log(self, row: dict[str, Any], metrics: Metrics, loggers: Sequence[Logger]) -> None:
        """Tell whoever logs; what they raise costs no step."""
        try:
            for logger in loggers:
                logger(row)
        except Exception:
            if self.group.size == 1:  # of several processes the others know nothing of it
                self._save(metrics)
            raise

    def _status(self) -> str:
        """Whether the last row says that the run is lost: "diverged" or "ok" in every process."""
        losses = [self.last.get(name) for name in ("train_loss", "validation_loss")]
        lost = any(self._is_lost(loss) for loss in losses)
        # The first process may be the only one that evaluates.
        _, (lost,) = self.group.combine(self._number(0.0), lost)
        return "diverged" if lost else "ok"

    def _is_lost(self, loss: float | None) -> bool:
        return loss is not None and not loss < LOST * math.log(self.shape.vocabulary)

    def evaluate(self) -> float:
        """Mean loss over the held-out windows, nats per token."""
        losses, size = [], self.settings.batch_size
        with torch.no_grad():
            for windows in self.held_out.split(size):
                loss = self._loss(self.model, windows.to(self.device))
                losses.append(loss.item() * len(windows))
        return float(np.sum(losses)) / len(self.held_out)

    def _speed(self) -> float | None:
        tokens = self.settings.tokens_before(self.step)
        return tokens / self.seconds if self.seconds > 0 else None

    def _result(self, status: str, number: int | None = None) -> Result:
        return Result(
            status=status,
            step=self.step,
            tokens=self.settings.tokens_before(self.step),
            train_loss=self.last.get("train_loss"),
            validation_loss=self.last.get("validation_loss"),
            seconds=self.seconds,
            parameters=self.shape.parameters,
            flops_per_token=self.shape.flops_per_token,
            signal=number,
        )


def _counts(text: Mapping[str, Any]) -> str:
    known = (text.get("train_tokens"), text.get("validation_tokens"))
    return "{} tokens to train on and {} held out".format(*known)
